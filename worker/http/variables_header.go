package http

import (
	"bytes"
	"strconv"
)

// headerNamed tells whether a header's name is the one that a variable's name means: lower case, '_' for '-'.
func headerNamed[S ~string | ~[]byte](name S, variable string) bool {
	if len(name) != len(variable) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := lowerByte(name[i])
		if c == '-' {
			c = '_'
		}
		if c != variable[i] {
			return false
		}
	}
	return true
}

// httpHeader is the value of $http_NAME; several headers of one name are joined.
func httpHeader(r *Request, dst []byte, name string) ([]byte, bool) {
	separator := ", "
	if name == "cookie" {
		separator = "; "
	}
	found := false
	for i := range r.HeadersIn.List {
		h := &r.HeadersIn.List[i]
		if !headerNamed(h.Name, name) {
			continue
		}
		if found {
			dst = append(dst, separator...)
		}
		dst = append(dst, h.Value...)
		found = true
	}
	return dst, found
}

// appendOutHeaders appends the values of all headers of a name.
func appendOutHeaders(dst []byte, list []OutHeader, name string) ([]byte, bool) {
	found := false
	for i := range list {
		h := &list[i]
		if !headerNamed(h.Name, name) {
			continue
		}
		if found {
			dst = append(dst, ", "...)
		}
		dst = append(dst, h.Value...)
		found = true
	}
	return dst, found
}

// sentTrailer is the value of $sent_trailer_NAME.
func sentTrailer(r *Request, dst []byte, name string) ([]byte, bool) {
	return appendOutHeaders(dst, r.filters.trailers, name)
}

// sentHeader is the value of $sent_http_NAME.
func sentHeader(r *Request, dst []byte, name string) ([]byte, bool) {
	out := &r.HeadersOut
	switch name {
	case "content_type":
		if out.ContentType == "" {
			return dst, false
		}
		dst = append(dst, out.ContentType...)
		if out.Charset != "" {
			dst = append(append(dst, "; charset="...), out.Charset...)
		}
		return dst, true
	case "content_length":
		if out.ContentLengthN >= 0 {
			return strconv.AppendInt(dst, out.ContentLengthN, 10), true
		}
		return dst, false
	case "location":
		if out.Location != "" {
			return append(dst, out.Location...), true
		}
	case "last_modified":
		if out.LastModified >= 0 {
			return appendHTTPDate(dst, out.LastModified), true
		}
		return dst, false
	case "connection":
		switch {
		case out.Status == 101:
			return append(dst, "upgrade"...), true
		case r.keptAlive():
			return append(dst, "keep-alive"...), true
		}
		return append(dst, "close"...), true
	case "keep_alive":
		if t := r.Loc.KeepaliveHeader.V; r.keptAlive() && t > 0 {
			return strconv.AppendInt(append(dst, "timeout="...), int64(t.Seconds()), 10), true
		}
		return dst, false
	case "transfer_encoding":
		if r.Chunked {
			return append(dst, "chunked"...), true
		}
		return dst, false
	}
	return appendOutHeaders(dst, out.List, name)
}

// keptAlive is what variables tell of keep-alive. As in nginx it is over once the response has been sent: in the log phase.
func (r *Request) keptAlive() bool { return r.KeepAlive && !r.engine.ended }

// cookieValue is the value of $cookie_NAME.
func cookieValue(r *Request, dst []byte, name string) ([]byte, bool) {
	for i := range r.HeadersIn.List {
		if r.HeadersIn.List[i].ID != HeaderCookie {
			continue
		}
		if v, ok := findCookie(r.HeadersIn.List[i].Value, name); ok {
			return append(dst, v...), true
		}
	}
	return dst, false
}

// findCookie looks for a cookie in one Cookie header. The name is compared without regard to case, as nginx does.
func findCookie(line []byte, name string) ([]byte, bool) {
	for len(line) > 0 {
		pair, rest, _ := bytes.Cut(line, []byte{';'})
		line = bytes.TrimLeft(rest, " ")
		if len(pair) <= len(name) || !equalFoldASCII(pair[:len(name)], name) {
			continue
		}
		value := bytes.TrimLeft(pair[len(name):], " ")
		if len(value) > 0 && value[0] == '=' {
			return bytes.TrimLeft(value[1:], " "), true
		}
	}
	return nil, false
}

func equalFoldASCII(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

// FindArg looks for an argument of a query; the name is compared without regard to case. The value is not decoded.
func FindArg(args []byte, name string) ([]byte, bool) {
	for len(args) > 0 {
		pair, rest, _ := bytes.Cut(args, []byte{'&'})
		args = rest
		if len(pair) > len(name) && pair[len(name)] == '=' && equalFoldASCII(pair[:len(name)], name) {
			return pair[len(name)+1:], true
		}
	}
	return nil, false
}

func argValue(r *Request, dst []byte, name string) ([]byte, bool) {
	v, ok := FindArg(r.Args, name)
	return append(dst, v...), ok
}

// remoteUser is the user of basic authentication.
func remoteUser(r *Request, dst []byte, _ string) ([]byte, bool) {
	v := r.HeadersIn.Value(HeaderAuthorization)
	const scheme = "basic "
	if len(v) < len(scheme) || !equalLower(v[:len(scheme)], scheme) {
		return dst, false
	}
	v = bytes.TrimLeft(v[len(scheme):], " ")
	begin := len(dst)
	dst, ok := stdBase64.appendDecoded(dst, v)
	colon := bytes.IndexByte(dst[begin:], ':')
	if !ok || colon <= 0 {
		return dst[:begin], false
	}
	return dst[:begin+colon], true
}

func contentType(r *Request, dst []byte, _ string) ([]byte, bool) {
	return httpHeader(r, dst, "content_type")
}

func contentLength(r *Request, dst []byte, _ string) ([]byte, bool) {
	if h := r.HeadersIn.Get(HeaderContentLength); h != nil {
		return append(dst, h.Value...), true
	}
	if r.HeadersIn.ContentLengthN >= 0 {
		return strconv.AppendInt(dst, r.HeadersIn.ContentLengthN, 10), true
	}
	return dst, false
}

var headerVariables = []Variable{
	{Name: "http_", Prefix: true, Get: httpHeader, Doc: "a request header"},
	{Name: "sent_http_", Prefix: true, Get: sentHeader, Doc: "a response header"},
	{Name: "sent_trailer_", Prefix: true, Get: sentTrailer, Doc: "a header behind the body of a chunked response"},
	{Name: "cookie_", Prefix: true, Get: cookieValue, Doc: "a cookie"},
	{Name: "arg_", Prefix: true, Get: argValue, Doc: "an argument of the request line"},
	{Name: "content_type", Get: contentType,
		Doc: "Content-Type of the request"},
	{Name: "content_length", Get: contentLength, Doc: "Content-Length of the request"},
	{Name: "remote_user", Get: remoteUser, Doc: "user of basic authentication"},
}
