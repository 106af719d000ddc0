package http

import (
	"strconv"
	"time"

	"perilune/conf"
)

// statusLines are the texts of the statuses; nginx's, where it differs from
// the registry.
var statusLines = map[int]string{
	101: "101 Switching Protocols",
	200: "200 OK", 201: "201 Created", 202: "202 Accepted", 204: "204 No Content", 206: "206 Partial Content",
	301: "301 Moved Permanently", 302: "302 Moved Temporarily", 303: "303 See Other", 304: "304 Not Modified",
	307: "307 Temporary Redirect", 308: "308 Permanent Redirect",
	400: "400 Bad Request", 401: "401 Unauthorized", 402: "402 Payment Required", 403: "403 Forbidden",
	404: "404 Not Found", 405: "405 Not Allowed", 406: "406 Not Acceptable",
	407: "407 Proxy Authentication Required", 408: "408 Request Time-out", 409: "409 Conflict", 410: "410 Gone",
	411: "411 Length Required", 412: "412 Precondition Failed", 413: "413 Request Entity Too Large",
	414: "414 Request-URI Too Large", 415: "415 Unsupported Media Type", 416: "416 Requested Range Not Satisfiable",
	421: "421 Misdirected Request", 429: "429 Too Many Requests",
	500: "500 Internal Server Error", 501: "501 Not Implemented", 502: "502 Bad Gateway",
	503: "503 Service Temporarily Unavailable", 504: "504 Gateway Time-out",
	505: "505 HTTP Version Not Supported", 507: "507 Insufficient Storage",
}

// statusTable is statusLines for the ways where every nanosecond counts.
var statusTable = func() (t [600]string) {
	for status, text := range statusLines {
		t[status] = text
	}
	return t
}()

// StatusText returns the reason phrase with the status, as in a status line;
// the bare number and a space for a status without one.
func StatusText(status int) string {
	if status >= 0 && status < len(statusTable) && statusTable[status] != "" {
		return statusTable[status]
	}
	return strconv.Itoa(status) + " "
}

var serverLines = [...]string{
	TokensOff:   "Server: perilune\r\n",
	TokensOn:    "Server: perilune/" + conf.Version + "\r\n",
	TokensBuild: "Server: " + serverBuildText + "\r\n",
}

// chunkedHeader decides on the transfer coding.
func (r *Request) chunkedHeader() {
	h := &r.HeadersOut
	if h.Status == 304 || h.Status == 204 || h.Status < 200 || r.MethodID == MethodHead {
		return
	}
	if h.ContentLengthN != -1 && !r.filters.expectTrailers {
		return
	}
	switch {
	case r.HTTPVersion >= 1001 && r.Loc.ChunkedTransferEncoding.V:
		if r.filters.expectTrailers {
			r.ClearContentLength()
		}
		r.Chunked = true
	case h.ContentLengthN == -1:
		r.KeepAlive = false
	}
}

// headerFilter is the last of the header filters: it makes the header's text.
func headerFilter(r *Request) error {
	if r.HeaderSent {
		return nil
	}
	r.HeaderSent = true
	if r.Parent != nil {
		r.HeaderOnly = r.HeaderOnly || r.sub.capture && r.MethodID == MethodHead
		return nil // the header of a subrequest is nobody's but who captures it
	}
	h := &r.HeadersOut
	r.chunkedHeader()
	if r.Plain {
		return nil
	}
	if r.MethodID == MethodHead {
		r.HeaderOnly = true
	}
	if h.LastModified != -1 && h.Status != 200 && h.Status != 206 && h.Status != 304 {
		h.LastModified = -1
	}
	if r.Server.draining {
		r.KeepAlive = false
	}
	if h.StatusLine == "" {
		switch h.Status {
		case 204:
			r.HeaderOnly = true
			h.ContentType = ""
			h.LastModified = -1
			h.ContentLengthN = -1
		case 304:
			r.HeaderOnly = true
		}
	}
	o := r.outBuf()
	before := len(o.buf)
	o.buf = r.appendHeader(o.buf)
	r.HeaderLen = int64(len(o.buf) - before)
	if r.HeaderOnly && r.sub == nil {
		return writeFilter(r, Buf{Last: true})
	}
	if int64(len(o.buf)) >= r.Loc.PostponeOutput.V {
		return r.flushOut()
	}
	return nil
}

// appendHeader appends status line and headers, in nginx's order.
func (r *Request) appendHeader(b []byte) []byte {
	h := &r.HeadersOut
	b = append(b, "HTTP/1.1 "...)
	switch {
	case h.StatusLine != "":
		b = append(b, h.StatusLine...)
	case h.Status >= 0 && h.Status < len(statusTable) && statusTable[h.Status] != "":
		b = append(b, statusTable[h.Status]...)
	default:
		if h.Status < 100 {
			b = append(b, "000"[:3-len(strconv.Itoa(h.Status))]...)
		}
		b = strconv.AppendInt(b, int64(h.Status), 10)
		b = append(b, ' ')
	}
	b = append(b, "\r\n"...)
	absolute := r.absoluteLocation()
	b = r.appendCommon(b)
	b = r.appendConnection(b)
	location := h.Location != "" && !absolute
	for i := range h.List {
		if location && i == h.locationAt {
			b = appendField(b, "Location", h.Location)
			location = false
		}
		if h.List[i].Name != "" {
			b = appendField(b, h.List[i].Name, h.List[i].Value)
		}
	}
	if location {
		b = appendField(b, "Location", h.Location)
	}
	return append(b, "\r\n"...)
}

// appendCommon appends Server … Last-Modified.
func (r *Request) appendCommon(b []byte) []byte {
	h := &r.HeadersOut
	switch h.Server {
	case "":
		b = append(b, serverLines[r.Loc.ServerTokens.V]...)
	case Suppress:
	default:
		b = appendField(b, "Server", h.Server)
	}
	switch h.Date {
	case "":
		b = append(b, "Date: "...)
		b = append(b, r.Server.loop.HTTPTime()...)
		b = append(b, "\r\n"...)
	case Suppress:
	default:
		b = appendField(b, "Date", h.Date)
	}
	if h.ContentType != "" {
		b = append(b, "Content-Type: "...)
		b = append(b, h.ContentType...)
		if h.Charset != "" {
			b = append(b, "; charset="...)
			b = append(b, h.Charset...)
		}
		b = append(b, "\r\n"...)
	}
	if h.ContentLengthN >= 0 && !h.LengthListed {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, h.ContentLengthN, 10)
		b = append(b, "\r\n"...)
	}
	if h.LastModified != -1 && !h.ModifiedListed {
		b = append(b, "Last-Modified: "...)
		b = time.Unix(h.LastModified, 0).UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
		b = append(b, "\r\n"...)
	}
	if r.absoluteLocation() {
		b = r.appendLocation(b)
	}
	return b
}

// appendConnection appends Transfer-Encoding, Connection and Keep-Alive.
func (r *Request) appendConnection(b []byte) []byte {
	if r.Chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case r.HeadersOut.Status == 101:
		b = append(b, "Connection: upgrade\r\n"...)
	case r.KeepAlive:
		b = append(b, "Connection: keep-alive\r\n"...)
		if sec := r.Loc.KeepaliveHeader.V; sec > 0 {
			b = append(b, "Keep-Alive: timeout="...)
			b = strconv.AppendInt(b, int64(sec/time.Second), 10)
			b = append(b, "\r\n"...)
		}
	default:
		b = append(b, "Connection: close\r\n"...)
	}
	if r.filters.gzipVary && gzipConfOf(r).vary.V {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	return b
}

// absoluteLocation reports whether a redirect to a path is to be made one to
// an absolute URL.
func (r *Request) absoluteLocation() bool {
	l := r.HeadersOut.Location
	return l != "" && l[0] == '/' && r.Loc.AbsoluteRedirect.V
}

// appendLocation appends a Location that is made absolute, and keeps it as
// logs show it.
func (r *Request) appendLocation(b []byte) []byte {
	lc := r.Loc
	b = append(b, "Location: "...)
	begin := len(b)
	b = append(b, "http://"...)
	addr, port := r.Conn.LocalAddr()
	switch {
	case lc.ServerNameInRedirect.V:
		b = append(b, r.Srv.Name...)
	case len(r.HeadersIn.Host) > 0:
		b = append(b, r.HeadersIn.Host...)
	default:
		b = append(b, addr...)
	}
	if port != 0 && port != 80 && lc.PortInRedirect.V {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(port), 10)
	}
	b = append(b, r.HeadersOut.Location...)
	r.HeadersOut.Location = string(b[begin:])
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
