package http

import (
	"bytes"
	"strconv"
	"strings"

	"perilune/logging"
)

// srcacheCtx is what the srcache module keeps of a request.
type srcacheCtx struct {
	asked      bool // srcache_fetch has been at work
	hit        bool
	storing    bool
	status     int    // that the header has been stored with
	header     int    // length of the header in text
	text       []byte // of the response, as it is stored
	validUntil int64  // second; 0: the response does not say
}

func srcacheCtxOf(r *Request) *srcacheCtx {
	x, _ := r.Ctx[srcacheModule.Index].(*srcacheCtx)
	return x
}

// srcacheHandler is the last handler of the access phase: it asks the cache.
func srcacheHandler(r *Request) int {
	sc := srcacheConfOf(r)
	if sc.fetch == nil && sc.store == nil || uint(r.MethodID)&sc.methods.V == 0 {
		return Declined
	}
	x := &srcacheCtx{}
	if sc.requestControl.V {
		noCache, noStore := requestCacheControl(r)
		if noCache && noStore {
			return Declined
		}
		if noCache {
			r.Ctx[srcacheModule.Index] = x
			return Declined
		}
	}
	r.Ctx[srcacheModule.Index] = x
	if sc.fetch == nil || skips(r, sc.fetchSkip.V) {
		return Declined
	}
	if err := r.ReadBody(); err != nil {
		return StatusOf(err)
	}
	uri, args, ok := sc.fetch.target(r)
	if !ok {
		return Error
	}
	x.asked = true
	sr, err := r.Subrequest(uri, args, &SubrequestOptions{Method: sc.fetch.method, MethodName: sc.fetch.name, Vars: NewVars, Capture: true})
	if err != nil || sr.Wait() != nil {
		return Error
	}
	if sr.CapturedStatus() != 200 {
		return Declined
	}
	body, truncated := sr.CapturedBody()
	rest, ok := x.takeHeader(r, sr, body)
	if !ok {
		return Declined
	}
	if truncated {
		sr.Log(logging.Error, truncatedBody)
		return Declined
	}
	x.hit = true
	r.Finalize(x.answer(r, rest))
	return Done
}

// answer sends what the cache had.
func (x *srcacheCtx) answer(r *Request, body []byte) int {
	r.HeadersOut.ContentLengthN = int64(len(body))
	if err := r.SendHeader(); err != nil || r.HeaderOnly {
		return sent(err)
	}
	return sent(r.output(Buf{Data: body, Last: true}))
}

// requestCacheControl says what the client thinks of caches.
func requestCacheControl(r *Request) (noCache, noStore bool) {
	for i := range r.HeadersIn.List {
		h := &r.HeadersIn.List[i]
		switch {
		case equalLower(h.Name, "cache-control"):
			noStore = noStore || containsLower(h.Value, "no-store")
			noCache = noCache || containsLower(h.Value, "no-cache")
		case equalLower(h.Name, "pragma"):
			noCache = noCache || containsLower(h.Value, "no-cache")
		}
	}
	return noCache, noStore
}

const (
	truncatedHeader = "cache sent truncated status line or headers"
	truncatedBody   = "srcache_fetch: cache sent truncated response body"
)

// takeHeader makes the header of a stored response that of the request's; body is what follows it. It is not ok if the
// text is no response.
func (x *srcacheCtx) takeHeader(r, sr *Request, text []byte) (body []byte, ok bool) {
	var p responseParser
	most := int(srcacheConfOf(r).headerSize.V)
	complain := func(what string) ([]byte, bool) {
		sr.Log(logging.Error, "srcache_fetch: %s", what)
		if what != truncatedHeader {
			sr.Log(logging.Error, truncatedBody) // nothing else has been taken, either
		}
		return nil, false
	}
	switch p.parse(text) {
	case responseMore:
		return complain(truncatedHeader)
	case responseNone:
		return complain("cache sent invalid status line")
	case responseInvalid:
		return complain("cache sent invalid header")
	}
	for _, s := range p.spans {
		if s.valueEnd-s.name > most {
			return complain("header buffer overflown (maybe you should consider increasing srcache_header_buffer_size?)")
		}
	}
	h := &r.HeadersOut
	h.Status = p.status
	for _, s := range p.spans {
		name, value := string(text[s.name:s.nameEnd]), string(text[s.value:s.valueEnd])
		switch strings.ToLower(name) {
		case "content-type":
			h.ContentType, h.Charset = value, ""
			if kind, charset, found := strings.Cut(value, "; charset="); found {
				h.ContentType, h.Charset = kind, strings.Trim(charset, "\"")
			}
		case "content-length", "connection", "keep-alive":
		case "x-srcache-allow-ranges":
			r.AllowRanges = true
		case "last-modified":
			h.LastModified, h.ModifiedListed = parseHTTPDate([]byte(value)), true
			h.Add(name, value)
		case "date":
			h.Date = Suppress
			h.Add(name, value)
		case "server":
			h.Server = Suppress
			h.Add(name, value)
		default:
			h.Add(name, value)
		}
	}
	return text[p.pos:], true
}

// srcacheHeaderFilter decides whether a response is stored.
func srcacheHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		x := srcacheCtxOf(r)
		if x == nil || x.hit || r.Parent != nil {
			return next(r)
		}
		sc := srcacheConfOf(r)
		h := &r.HeadersOut
		if sc.store == nil || uint(r.MethodID)&sc.methods.V&^uint(MethodHead) == 0 {
			return next(r)
		}
		if encoding := h.contentEncoding(); encoding != "" && !sc.ignoreEncoding.V {
			r.Log(logging.Warn, "srcache_store skipped due to response header \"Content-Encoding: %s\" (maybe you forgot to disable compression on the backend?)", encoding)
			return next(r)
		}
		if sc.responseControl.V && !x.mayStore(r, sc) {
			return next(r)
		}
		if skips(r, sc.storeSkip.V) {
			return next(r)
		}
		const aboutHeader = 15
		if !sc.stores(h.Status) || sc.maxSize.V != 0 && h.ContentLengthN > 0 && h.ContentLengthN+aboutHeader > sc.maxSize.V {
			return next(r)
		}
		r.NeedInMemory()
		x.status, x.storing = h.Status, true
		x.storeHeader(r, sc)
		return next(r)
	}
}

// mayStore heeds Cache-Control and Expires of a response.
func (x *srcacheCtx) mayStore(r *Request, sc *srcacheConf) bool {
	now := r.Loop().Now().Unix()
	for _, h := range r.HeadersOut.List {
		if !strings.EqualFold(h.Name, "Cache-Control") {
			continue
		}
		v := h.Value
		if !sc.storePrivate.V && containsLower(v, "private") || !sc.storeNoStore.V && containsLower(v, "no-store") || !sc.storeNoCache.V && containsLower(v, "no-cache") {
			return false
		}
		i := indexFold([]byte(v), "max-age=")
		if x.validUntil != 0 || i < 0 {
			continue
		}
		age := v[i+len("max-age="):]
		if end := strings.IndexAny(age, ",; "); end >= 0 {
			age = age[:end]
		}
		n, err := strconv.ParseUint(age, 10, 62)
		if n == 0 || err != nil {
			return false
		}
		x.validUntil = now + int64(n)
	}
	if i := r.HeadersOut.Get("Expires"); x.validUntil == 0 && i >= 0 {
		expires := parseHTTPDate([]byte(r.HeadersOut.List[i].Value))
		if expires <= now {
			return false
		}
		x.validUntil = expires
	}
	return true
}

// storeHeader begins what is stored: status line and headers.
func (x *srcacheCtx) storeHeader(r *Request, sc *srcacheConf) {
	h := &r.HeadersOut
	line := h.StatusLine
	if line == "" {
		line = statusLines[h.Status]
	}
	if line == "" {
		line = strconv.Itoa(h.Status)
	}
	b := append(append([]byte("HTTP/1.1 "), line...), "\r\n"...)
	if h.ContentType != "" && !inSet(sc.hidden, "content-type") {
		kind := h.ContentType
		if h.Charset != "" {
			kind += "; charset=" + h.Charset
		}
		b = appendField(b, "Content-Type", kind)
	}
	if !inSet(sc.hidden, "last-modified") && !h.ModifiedListed && h.LastModified != -1 {
		switch h.Status {
		case 200, 206, 304, 204:
			b = append(appendHTTPDate(append(b, "Last-Modified: "...), h.LastModified), "\r\n"...)
		}
	}
	if r.AllowRanges {
		b = appendField(b, "X-SRCache-Allow-Ranges", "1")
	}
	if h.Location != "" && !inSet(sc.hidden, "location") {
		b = appendField(b, "Location", h.Location)
	}
	for _, f := range h.List {
		if f.Name != "" && !inSet(sc.hidden, f.Name) {
			b = appendField(b, f.Name, f.Value)
		}
	}
	x.text = append(b, "\r\n"...)
	x.header = len(x.text)
}

// srcacheBodyFilter collects what is stored, and stores it at the end.
func srcacheBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		x := srcacheCtxOf(r)
		if x == nil || !x.storing || r.Parent != nil {
			return next(r, b)
		}
		x.collect(r, b)
		if err := next(r, b); err != nil || !b.Last || !x.storing {
			return err
		}
		q := srcacheConfOf(r).store
		uri, args, ok := q.target(r)
		if !ok {
			x.storing = false
			return nil
		}
		sr, err := r.Subrequest(uri, args, &SubrequestOptions{Method: q.method, MethodName: q.name, Vars: NewVars, Discard: true, Body: x.text})
		if err != nil {
			x.storing = false
			return nil
		}
		if err := sr.Wait(); err != nil {
			return err
		}
		if status := sr.HeadersOut.Status; sr.ErrStatus >= 300 {
			sr.Log(logging.Error, storeFailed, sr.ErrStatus, 0)
		} else if status >= 300 {
			sr.Log(logging.Error, storeFailed, 0, status)
		}
		return nil
	}
}

const storeFailed = "srcache_store subrequest failed: rc=%d status=%d"

// collect takes a piece of the body, or finds out that the response is not stored after all.
func (x *srcacheCtx) collect(r *Request, b Buf) {
	sc, h := srcacheConfOf(r), &r.HeadersOut
	if h.Status == 206 && x.status == 200 { // by the filter for ranges
		if !sc.storeRanges.V {
			x.storing = false
			return
		}
		copy(x.text, bytes.Replace(x.text[:len("HTTP/1.1 200")], []byte("200"), []byte("206"), 1))
		x.status = 206
	}
	x.text = append(x.text, b.Data...)
	body := int64(len(x.text) - x.header)
	switch {
	case sc.maxSize.V != 0 && int64(len(x.text)) > sc.maxSize.V:
	case !b.Last:
		return
	case h.ContentLengthN > body:
		r.Log(logging.Error, "srcache_store: skipped because response body truncated: %d > %d", h.ContentLengthN, body)
	case h.Status >= 300 && h.Status != x.status:
		r.Log(logging.Error, "srcache_store: skipped due to new error status code %d (old: %d)", h.Status, x.status)
	case skips(r, sc.storeSkip.V):
	default:
		return
	}
	x.storing = false
	x.text = nil
}
