package http

import (
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// The filters are linked in the order of the modules in Modules, the first one
// next to the client, which is nginx's order with Debian's set of modules:
// ranges (header), gzip, brotli, zstd, postpone (the output of subrequests),
// charset, addition, sub, gunzip, headers, echo, srcache, headers-more, capture, Lua, and
// in front of all copy, ranges (body) and not-modified. A response passes them
// from the last to the first.

// filterState is what the filters keep of a request.
type filterState struct {
	inMemory     bool // a filter of this request wants bytes, not files
	mainInMemory bool // of a main request: one behind postpone does
	ranges       *byteRanges

	gzipTested, gzipOK bool // whether the client takes gzip, once asked for
	gzipVary           bool // the response depends on that
	gzipIn, gzipOut    int64

	expectTrailers bool
	trailers       []OutHeader

	limit rateLimit
}

// buildFilters links the filters.
func (m *MainConf) buildFilters() {
	m.headerFilter, m.bodyFilter = headerFilter, writeFilter
	for _, wrap := range m.headerFilters {
		m.headerFilter = wrap(m.headerFilter)
	}
	for _, wrap := range m.bodyFilters {
		m.bodyFilter = wrap(m.bodyFilter)
	}
	m.headerFilter = notModifiedFilter(m.headerFilter)
	m.bodyFilter = rangeBodyFilter(copyFilter(m.bodyFilter))
}

// postponeModule keeps the output of subrequests in order. What is behind it sees
// one body, the main request's.
var postponeModule = &conf.Module{Name: "http_postpone", Kind: conf.HTTPKind}

// captureModule takes the responses of captured subrequests out of the chain.
var captureModule = &conf.Module{Name: "http_capture", Kind: conf.HTTPKind}

func init() {
	postponeModule.Postconfiguration = func(cf *conf.Conf) error {
		m := mainConfOf(cf)
		m.AddBodyFilter(func(next BodyFilter) BodyFilter {
			m.postponed = next
			return func(r *Request, b Buf) error {
				if r.sub != nil {
					return r.sub.write(r, b)
				}
				return next(r, b)
			}
		})
		return nil
	}
	captureModule.Postconfiguration = func(cf *conf.Conf) error {
		m := mainConfOf(cf)
		m.AddHeaderFilter(func(next HeaderFilter) HeaderFilter {
			return func(r *Request) error {
				if r.sub == nil || !r.sub.capture {
					return next(r)
				}
				r.HeaderSent = true
				r.filters.inMemory = true
				r.HeaderOnly = r.HeaderOnly || r.MethodID == MethodHead
				return nil
			}
		})
		m.AddBodyFilter(func(next BodyFilter) BodyFilter {
			return func(r *Request, b Buf) error {
				if r.sub == nil || !r.sub.capture {
					return next(r, b)
				}
				return r.sub.write(r, b)
			}
		})
		return nil
	}
}

// copyFilter reads files into memory where a filter wants that, or where they are
// not sent with sendfile(2).
func copyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		if b.FileLen == 0 || r.Loc.Sendfile.V && !r.filters.inMemory && !r.Main.filters.mainInMemory || r.HeaderOnly {
			return next(r, b)
		}
		return r.eachPiece(b, func(piece Buf) error { return next(r, piece) })
	}
}

// eachPiece reads a part of a file, and calls f with one piece of it after the
// other; the marks of b are those of the last one.
func (r *Request) eachPiece(b Buf, f func(piece Buf) error) error {
	buf := r.Server.buffers.get(int(r.Loc.OutputBuffers.V.Size))
	defer r.Server.buffers.put(buf)
	for off, end := b.Off, b.Off+b.FileLen; off < end; {
		n, err := unix.Pread(b.File, buf[:min(int64(len(buf)), end-off)], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			r.LogErr(logging.Crit, err, "pread() failed")
			r.Conn.errored = true
			return errClosed
		case n == 0:
			r.Log(logging.Alert, "the file has been cut short while it was being sent")
			r.Conn.errored = true
			return errClosed
		}
		off += int64(n)
		last := off == end
		if err := f(Buf{Data: buf[:n], Flush: b.Flush && last, Last: b.Last && last}); err != nil {
			return err
		}
	}
	return nil
}

// NeedInMemory is for header filters whose body filters want bytes, not files.
func (r *Request) NeedInMemory() { r.filters.inMemory = true }

// ClearContentLength is for filters that change the length of a body.
func (r *Request) ClearContentLength() {
	h := &r.HeadersOut
	h.ContentLengthN = -1
	if h.LengthListed {
		h.LengthListed = false
		h.Del("Content-Length")
	}
}

// ClearAcceptRanges is for filters that change a body.
func (r *Request) ClearAcceptRanges() {
	r.AllowRanges = false
	r.HeadersOut.Del("Accept-Ranges")
}

// clearLastModified takes the time of the last change away.
func (h *HeadersOut) clearLastModified() {
	h.LastModified = -1
	if h.ModifiedListed {
		h.ModifiedListed = false
		h.Del("Last-Modified")
	}
}

// weakETag makes the entity tag a weak one: the body has the same meaning, and
// other bytes.
func (h *HeadersOut) weakETag() {
	i := h.Get("ETag")
	if i < 0 || strings.HasPrefix(h.List[i].Value, "W/") {
		return
	}
	v := h.List[i].Value
	if v == "" || v[0] != '"' {
		h.Del("ETag")
		return
	}
	h.List[i].Value = "W/" + v
}

// contentEncoding is the value of Content-Encoding, "" without one.
func (h *HeadersOut) contentEncoding() string {
	if i := h.Get("Content-Encoding"); i >= 0 {
		return h.List[i].Value
	}
	return ""
}

// mimeTypes is the value of gzip_types and the like.
type mimeTypes struct {
	all   bool // *
	names map[string]bool
}

// setMimeTypes handles gzip_types and the like; text/html is always one of them.
func setMimeTypes[C any](f func(*C) *mimeTypes) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		t := f(c.(*C))
		if t.names == nil {
			t.names = map[string]bool{"text/html": true}
		}
		for _, name := range cf.Args[1:] {
			name = strings.ToLower(name)
			switch {
			case t.all:
			case name == "*":
				t.all = true
			case t.names[name]:
				cf.Warnf("duplicate MIME type \"%s\"", name)
			default:
				t.names[name] = true
			}
		}
		return nil
	}
}

func (t *mimeTypes) merge(prev mimeTypes, defaults ...string) {
	switch {
	case t.names != nil:
	case prev.names != nil:
		*t = prev
	default:
		t.names = make(map[string]bool)
		for _, name := range defaults {
			t.names[name] = true
		}
	}
}

// match tells whether the response has one of the content types.
func (t *mimeTypes) match(r *Request) bool {
	if t.all {
		return true
	}
	kind, _, _ := strings.Cut(r.HeadersOut.ContentType, ";")
	if kind == "" {
		return false
	}
	kind = strings.TrimRight(kind, " ")
	return t.names[kind] || t.names[strings.ToLower(kind)]
}

// gather puts small pieces of a body together before it hands them on.
type gather struct {
	r    *Request
	next BodyFilter
	buf  []byte
}

// gatherSize is how much is put together.
const gatherSize = 16 << 10

func (g *gather) begin(r *Request, next BodyFilter) {
	g.r, g.next = r, next
	if g.buf == nil {
		g.buf = r.Server.buffers.get(gatherSize)[:0]
	}
}

// Write takes bytes; it never takes fewer.
func (g *gather) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := copy(g.buf[len(g.buf):cap(g.buf)], rest)
		g.buf = g.buf[:len(g.buf)+n]
		rest = rest[n:]
		if len(g.buf) == cap(g.buf) {
			if err := g.send(false, false); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// send hands on what there is.
func (g *gather) send(flush, last bool) error {
	b := Buf{Data: g.buf, Flush: flush, Last: last}
	g.buf = g.buf[:0]
	if len(b.Data) == 0 && !flush && !last {
		return nil
	}
	return g.next(g.r, b)
}

func (g *gather) end() {
	if g.buf != nil {
		g.r.Server.buffers.put(g.buf[:cap(g.buf)])
	}
	*g = gather{}
}
