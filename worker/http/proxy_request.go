package http

import (
	"strconv"

	"perilune/conf"
	"perilune/logging"
)

// setHeader is a proxy_set_header, or one of the headers that are there by default.
type setHeader struct {
	name   string
	value  *Script // nil: the length of the body, or its coding
	source string
}

// setProxyHeader handles proxy_set_header.
func setProxyHeader(cf *conf.Conf, c any) error {
	pc := c.(*proxyConf)
	value, err := CompileScript(cf, cf.Args[2])
	if err != nil {
		return err
	}
	pc.sets = append(pc.sets, setHeader{name: cf.Args[1], value: value, source: cf.Args[2]})
	return nil
}

// The headers whose values are the engine's.
const (
	lengthHeader = "Content-Length"
	codingHeader = "Transfer-Encoding"
)

var defaultSetHeaders = []setHeader{
	{name: "Host", source: "$proxy_host"}, {name: "Connection", source: "close"}, {name: lengthHeader}, {name: codingHeader},
	{name: "TE"}, {name: "Keep-Alive"}, {name: "Expect"}, {name: "Upgrade"},
}

// addDefaultHeaders completes the headers of requests.
func (pc *proxyConf) addDefaultHeaders(cf *conf.Conf) error {
	for _, h := range pc.sets {
		pc.ownSets.add(h.name)
	}
	list := pc.sets[:len(pc.sets):len(pc.sets)]
	for _, h := range defaultSetHeaders {
		if inSet(pc.ownSets, h.name) {
			continue
		}
		pc.ownSets.add(h.name)
		if h.source != "" {
			var err error
			if h.value, err = CompileScript(cf, h.source); err != nil {
				return err
			}
		}
		if h.source != "" || h.name == lengthHeader || h.name == codingHeader {
			list = append(list, h)
		}
	}
	pc.headers = pc.headers[:0]
	for _, h := range list {
		if h.source != "" || h.value == nil {
			pc.headers = append(pc.headers, h)
		}
	}
	return nil
}

// create makes the request for the upstream: u.head, with the body if it is not the client's. 0 is fine.
func (u *upstreamRequest) create() int {
	r, pc := u.r, u.conf
	b := u.head[:0]
	begin := len(b)
	if pc.method.V != nil {
		b = pc.method.V.AppendTo(r, b)
	} else {
		b = append(b, r.Method...)
	}
	u.noBody = len(b)-begin == 4 && equalLower(b[begin:], "head")
	b = append(b, ' ')
	begin = len(b)
	b = u.appendURI(b)
	if len(b) == begin {
		r.Log(logging.Error, "zero length URI to proxy")
		return 500
	}
	u.uri = append(u.uri[:0], b[begin:]...)
	if pc.version.V == 1001 {
		b = append(b, " HTTP/1.1\r\n"...)
	} else {
		b = append(b, " HTTP/1.0\r\n"...)
	}
	var body []byte
	length := r.HeadersIn.ContentLengthN
	if pc.body.V != nil {
		body = pc.body.V.AppendTo(r, u.ownBody[:0])
		u.ownBody = body
		length = int64(len(body))
	}
	for i := range pc.headers {
		b = u.appendHeader(b, &pc.headers[i], length)
	}
	if pc.passHeaders.V {
		for i := range r.HeadersIn.List {
			h := &r.HeadersIn.List[i]
			if inSet(pc.ownSets, h.Name) {
				continue
			}
			b = append(append(b, h.Name...), ": "...)
			b = append(append(b, h.Value...), "\r\n"...)
		}
	}
	b = append(b, "\r\n"...)
	u.head = append(b, body...)
	u.clientBody = pc.body.V == nil && pc.passBody.V
	if u.stream.on {
		u.streamHead()
	}
	return 0
}

// appendHeader appends a header, unless it is empty.
func (u *upstreamRequest) appendHeader(b []byte, h *setHeader, length int64) []byte {
	begin := len(b)
	b = append(append(b, h.name...), ": "...)
	value := len(b)
	switch {
	case h.value != nil:
		b = h.value.AppendTo(u.r, b)
	case h.name == codingHeader:
		if u.stream.chunks {
			b = append(b, "chunked"...)
		}
	case length >= 0 && !u.stream.chunks:
		b = strconv.AppendInt(b, length, 10)
	}
	if len(b) == value {
		return b[:begin]
	}
	return append(b, "\r\n"...)
}

// appendURI appends the URI of the request for the upstream.
func (u *upstreamRequest) appendURI(b []byte) []byte {
	r, uri := u.r, u.target.uri
	switch {
	case u.conf.pass.script != nil && uri != "":
		return append(b, uri...)
	case uri == "" && !r.engine.rewritten:
		return append(b, r.UnparsedURI...)
	}
	rest := r.URI
	if !r.engine.displaced && uri != "" {
		b = append(b, uri...)
		rest = rest[min(len(u.conf.pass.location), len(rest)):]
	}
	if r.Quoted || r.Internal {
		b = AppendEscapedURI(b, rest)
	} else {
		b = append(b, rest...)
	}
	if len(r.Args) > 0 {
		b = append(append(b, '?'), r.Args...)
	}
	return b
}

// addXForwardedFor is the value of $proxy_add_x_forwarded_for.
func addXForwardedFor(r *Request, dst []byte, _ string) ([]byte, bool) {
	for i := range r.HeadersIn.List {
		if h := &r.HeadersIn.List[i]; h.ID == HeaderXForwardedFor {
			dst = append(append(dst, h.Value...), ", "...)
		}
	}
	return append(dst, r.Conn.Remote...), true
}
