package http

import "strconv"

// stateVariable makes a variable that has a value for each try: separated by commas, and by colons between upstreams.
func stateVariable(name, doc string, value func(dst []byte, s *upstreamState) []byte) Variable {
	return Variable{Name: name, Doc: doc, Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		u := r.parts.upstream
		if u == nil || len(u.states) == 0 {
			return dst, false
		}
		for i := 0; ; {
			s := &u.states[i]
			dst = value(dst, s)
			if i++; i == len(u.states) {
				return dst, true
			}
			if s.peer != "" && u.states[i].peer != "" {
				dst = append(dst, ", "...)
				continue
			}
			dst = append(dst, " : "...)
			if s.peer != "" { // the one that stands between two upstreams
				if i++; i == len(u.states) {
					return dst, true
				}
			}
		}
	}}
}

func stateTime(of func(*upstreamState) int64) func([]byte, *upstreamState) []byte {
	return func(dst []byte, s *upstreamState) []byte {
		if t := of(s); t >= 0 {
			return appendMsec(dst, t)
		}
		return append(dst, '-')
	}
}

func stateNumber(of func(*upstreamState) int64) func([]byte, *upstreamState) []byte {
	return func(dst []byte, s *upstreamState) []byte { return strconv.AppendInt(dst, of(s), 10) }
}

// upstreamHTTP is the value of $upstream_http_NAME.
func upstreamHTTP(r *Request, dst []byte, name string) ([]byte, bool) {
	if u := r.parts.upstream; u != nil {
		return appendLines(u.header, dst, name)
	}
	return dst, false
}

// upstreamTrailer is the value of $upstream_trailer_NAME.
func upstreamTrailer(r *Request, dst []byte, name string) ([]byte, bool) {
	if u := r.parts.upstream; u != nil {
		return appendLines(u.trailer, dst, name)
	}
	return dst, false
}

// appendLines appends the values of all headers of a name.
func appendLines(list []upstreamLine, dst []byte, name string) ([]byte, bool) {
	found := false
	for i := range list {
		h := &list[i]
		if h.ignored || !headerNamed(h.name, name) {
			continue
		}
		if found {
			dst = append(dst, ", "...)
		}
		dst = append(dst, h.value...)
		found = true
	}
	return dst, found
}

// upstreamCookie is the value of $upstream_cookie_NAME.
func upstreamCookie(r *Request, dst []byte, name string) ([]byte, bool) {
	u := r.parts.upstream
	if u == nil {
		return dst, false
	}
	for i := range u.header {
		h := &u.header[i]
		if h.kind != upSetCookie {
			continue
		}
		n := 0
		for n < len(h.value) && h.value[n] != ';' {
			n++
		}
		if value, ok := findCookie([]byte(h.value[:n]), name); ok {
			return append(dst, value...), true
		}
	}
	return dst, false
}

var upstreamVariables = []Variable{
	stateVariable("upstream_addr", "addresses of the servers that were asked", func(dst []byte, s *upstreamState) []byte {
		if s.unnamed {
			return dst
		}
		return append(dst, s.peer...)
	}),
	stateVariable("upstream_status", "statuses of their responses", func(dst []byte, s *upstreamState) []byte {
		if s.status == 0 {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, int64(s.status), 10)
	}),
	stateVariable("upstream_connect_time", "seconds until the connection was there", stateTime(func(s *upstreamState) int64 { return s.connectTime })),
	stateVariable("upstream_header_time", "seconds until the header was there", stateTime(func(s *upstreamState) int64 { return s.headerTime })),
	stateVariable("upstream_response_time", "seconds until the response was there", stateTime(func(s *upstreamState) int64 { return s.respTime })),
	stateVariable("upstream_response_length", "lengths of the bodies", stateNumber(func(s *upstreamState) int64 { return s.length })),
	stateVariable("upstream_bytes_received", "bytes received", stateNumber(func(s *upstreamState) int64 { return s.received })),
	stateVariable("upstream_bytes_sent", "bytes sent", stateNumber(func(s *upstreamState) int64 { return s.sent })),
	{Name: "upstream_http_", Prefix: true, Get: upstreamHTTP, Doc: "a header of the upstream's response"},
	{Name: "upstream_trailer_", Prefix: true, Get: upstreamTrailer, Doc: "a trailer of the upstream's response, with proxy_pass_trailers"},
	{Name: "upstream_cookie_", Prefix: true, Get: upstreamCookie, Doc: "a cookie that the upstream's response sets"},
}

// targetVariable makes a variable of the target.
func targetVariable(name, doc string, of func(*proxyTarget) string) Variable {
	return Variable{Name: name, Doc: doc, Config: true, Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		u := r.parts.upstream
		if u == nil || u.conf == nil {
			return dst, false
		}
		return append(dst, of(&u.target)...), true
	}}
}

var proxyPassVariables = []Variable{
	targetVariable("proxy_host", "host of the URL of proxy_pass", func(t *proxyTarget) string { return t.host }),
	targetVariable("proxy_port", "port of the URL of proxy_pass", func(t *proxyTarget) string { return t.port }),
	{Name: "proxy_add_x_forwarded_for", Config: true, Get: addXForwardedFor, Doc: "X-Forwarded-For of the request, and the client's address behind it"},
}
