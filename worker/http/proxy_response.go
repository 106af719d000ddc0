package http

import (
	"strconv"
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// takeHeader copies the header that has been parsed, as one text, and looks at the headers that matter here. It is not
// ok if they contradict each other.
func (u *upstreamRequest) takeHeader() bool {
	p := &u.parser
	text := string(u.buf[:p.pos])
	u.status, u.line = p.status, text[p.line:p.lineEnd]
	u.closes = p.version < 1001
	for i := range p.spans {
		s := &p.spans[i]
		u.header = append(u.header, upstreamLine{name: text[s.name:s.nameEnd], value: text[s.value:s.valueEnd]})
		if !u.noteHeader(&u.header[len(u.header)-1]) {
			return false
		}
	}
	if u.chunked {
		u.length = -1
	}
	return true
}

// first is the first header of a kind, nil if there is none.
func (u *upstreamRequest) first(kind upstreamKind) *upstreamLine {
	if i := u.known[kind]; i != 0 {
		return &u.header[i-1]
	}
	return nil
}

// noteHeader acts on one header.
func (u *upstreamRequest) noteHeader(h *upstreamLine) bool {
	r := u.r
	h.kind = upstreamKindOf(h.name)
	if h.kind == upOther {
		return true
	}
	const duplicate = "upstream sent duplicate header line: \"%s: %s\", previous value: \"%s: %s\""
	old := u.first(h.kind)
	if old == nil {
		u.known[h.kind] = uint16(len(u.header))
	}
	switch h.kind {
	case upContentLength, upTransferEncoding:
		if old != nil {
			r.Log(logging.Error, duplicate, h.name, h.value, old.name, old.value)
			return false
		}
		if u.known[upContentLength] != 0 && u.known[upTransferEncoding] != 0 {
			r.Log(logging.Error, "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time")
			return false
		}
		if h.kind == upTransferEncoding {
			u.chunked = equalLower(h.value, "chunked")
			if !u.chunked {
				r.Log(logging.Error, "upstream sent unknown \"Transfer-Encoding\": \"%s\"", h.value)
			}
			return u.chunked
		}
		n, err := strconv.ParseUint(h.value, 10, 63)
		if err != nil {
			r.Log(logging.Error, "upstream sent invalid \"Content-Length\" header: \"%s: %s\"", h.name, h.value)
			return false
		}
		u.length = int64(n)
	case upConnection:
		u.closes = u.closes || containsLower(h.value, "close")
	case upAccelBuffering:
		if u.conf.ignore.V&ignoreAccelBuffering == 0 {
			switch {
			case equalLower(h.value, "no"):
				u.buffering = false
			case equalLower(h.value, "yes"):
				u.buffering = true
			}
		}
	case upAccelCharset:
		if u.conf.ignore.V&ignoreAccelCharset == 0 {
			r.HeadersOut.overrideCharset = h.value
		}
	default:
		if knownUpstreams[h.kind].once && old != nil {
			r.Log(logging.Warn, duplicate+", ignored", h.name, h.value, old.name, old.value)
			h.ignored = true
			break
		}
		if h.kind == upAccelLimitRate && u.conf.ignore.V&ignoreAccelLimitRate == 0 {
			if n, err := conf.ParseNum(h.value); err == nil {
				r.SetLimitRate(int64(n))
			}
		}
	}
	return true
}

// respond passes the answer on and returns what the handler returns.
func (u *upstreamRequest) respond() int {
	r := u.r
	if u.status >= 300 && u.conf.interceptErrors.V && (r.hasErrorPage(u.status) || u.status == 404 && u.protocol != nil) {
		if u.status == 401 {
			for i := range u.header {
				if h := &u.header[i]; h.kind == upWWWAuthenticate {
					r.HeadersOut.Add(h.name, h.value)
				}
			}
		}
		status := u.status
		u.release(u.bodyless())
		return u.finalize(status)
	}
	if h := u.first(upAccelRedirect); h != nil && u.conf.ignore.V&ignoreAccelRedirect == 0 {
		return u.redirect(h.value)
	}
	u.copyHeaders()
	if u.status == 101 && r.HeadersIn.Get(HeaderUpgrade) != nil {
		return u.tunnel()
	}
	if err := r.SendHeader(); err != nil {
		return u.finalize(StatusOf(err))
	}
	if r.HeaderOnly && r.Parent == nil {
		u.release(u.bodyless())
		return u.finalize(OK)
	}
	return u.passBody()
}

// bodyless reports whether there is no body to come.
func (u *upstreamRequest) bodyless() bool {
	return u.status == 204 || u.status == 304 || u.noBody || !u.chunked && u.length == 0
}

// redirect is X-Accel-Redirect.
func (u *upstreamRequest) redirect(uri string) int {
	r := u.r
	for i := range u.header {
		if h := &u.header[i]; knownUpstreams[h.kind].redirect && !h.ignored {
			u.copyHeader(h)
		}
	}
	u.release(u.bodyless())
	u.finalize(Declined)
	if strings.HasPrefix(uri, "@") {
		return r.NamedLocation([]byte(uri))
	}
	_, args := splitArgs([]byte(uri))
	path, ok := r.safeURI([]byte(uri))
	if !ok {
		return 404
	}
	if r.MethodID != MethodHead {
		r.MethodID, r.Method = MethodGet, methodGET
	}
	return r.InternalRedirect(path, args)
}

// copyHeaders makes the header of the client's response of the upstream's.
func (u *upstreamRequest) copyHeaders() {
	r := u.r
	out := &r.HeadersOut
	for _, h := range []struct {
		kind  upstreamKind
		place *string
	}{{upServer, &out.Server}, {upDate, &out.Date}} {
		if !inSet(u.conf.hidden, knownUpstreams[h.kind].name) {
			*h.place = Suppress // it is listed, if there is one
		}
	}
	for i := range u.header {
		h := &u.header[i]
		if !h.ignored && !inSet(u.conf.hidden, h.name) {
			u.copyHeader(h)
		}
	}
	out.Status, out.StatusLine = u.status, u.line
	out.ContentLengthN = u.length
	r.Unconditional = true
	if u.conf.forceRanges.V {
		r.AllowRanges, r.SingleRange = true, true
	}
	if u.version9 {
		r.Plain, r.HTTPVersion = true, 9
	}
}

func (u *upstreamRequest) copyHeader(h *upstreamLine) {
	r := u.r
	out := &r.HeadersOut
	switch h.kind {
	case upContentLength, upConnection, upKeepAlive, upTransferEncoding:
		return
	case upAcceptRanges:
		if u.conf.forceRanges.V {
			return
		}
	case upContentType:
		out.ContentType, out.Charset = h.value, ""
		if t, charset, ok := strings.Cut(h.value, "; charset="); ok && !strings.ContainsAny(t, ";\"") && !strings.ContainsAny(charset, ";\"") {
			out.ContentType, out.Charset = t, charset
		}
		return
	case upLastModified:
		out.LastModified, out.ModifiedListed = parseHTTPDate([]byte(h.value)), true
	case upLocation:
		if value, ok := r.rewriteWith(u.redirects(), h.value, 0); ok {
			if strings.HasPrefix(value, "/") && r.Loc.AbsoluteRedirect.V {
				out.Location = value
				return
			}
			out.Add(h.name, value)
			return
		}
	case upRefresh:
		if i := strings.Index(strings.ToLower(h.value), "url="); i >= 0 {
			value, _ := r.rewriteWith(u.redirects(), h.value, i+4)
			out.Add(h.name, value)
			return
		}
	case upSetCookie:
		out.Add(h.name, u.rewriteCookie(h.value))
		return
	}
	out.Add(h.name, h.value)
}

// redirects are the rules for Location and Refresh.
func (u *upstreamRequest) redirects() []*proxyRewrite {
	if !u.conf.redirect.V {
		return nil
	}
	return u.conf.redirects
}
