package httplua

import (
	"strconv"
	"strings"
	"time"

	"perilune/luart"
	"perilune/worker/http"
)

// outHeader tells the headers of a response apart that are more than an entry of
// the list.
type outHeader uint8

const (
	outOther outHeader = iota
	outContentType
	outContentLength
	outLastModified
	outLocation
	outServer
	outDate
	outSingle // others that a response has one of, at most
)

func outHeaderOf(name string) outHeader {
	switch len(name) {
	case 4:
		if strings.EqualFold(name, "Date") {
			return outDate
		}
		if strings.EqualFold(name, "ETag") {
			return outSingle
		}
	case 6:
		if strings.EqualFold(name, "Server") {
			return outServer
		}
	case 7:
		if strings.EqualFold(name, "Expires") || strings.EqualFold(name, "Refresh") {
			return outSingle
		}
	case 8:
		if strings.EqualFold(name, "Location") {
			return outLocation
		}
	case 12:
		if strings.EqualFold(name, "Content-Type") {
			return outContentType
		}
	case 13:
		if strings.EqualFold(name, "Last-Modified") {
			return outLastModified
		}
		if strings.EqualFold(name, "Accept-Ranges") || strings.EqualFold(name, "Content-Range") {
			return outSingle
		}
	case 14:
		if strings.EqualFold(name, "Content-Length") {
			return outContentLength
		}
	case 16:
		if strings.EqualFold(name, "Content-Encoding") {
			return outSingle
		}
	}
	return outOther
}

// SetHeaderOut follows ngx_lua: all headers but the content type are entries of
// the list, sent in its order and with the name as the script wrote it.
func (q *request) SetHeaderOut(name, value string, override bool) (mime bool, err error) {
	out := &q.r.HeadersOut
	kind := outHeaderOf(name)
	switch kind {
	case outContentType:
		out.ContentType = value
		q.removeHeaderOut(name)
		return true, nil
	case outContentLength:
		if value == "" {
			out.ContentLengthN, out.LengthListed = -1, false
			break
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return false, errHeader
		}
		out.ContentLengthN = int64(n)
		out.LengthListed = true
	case outLastModified:
		out.LastModified = -1
		if sec, ok := luart.ParseHTTPTime(value); ok && value != "" {
			out.LastModified = sec
		}
		out.ModifiedListed = value != ""
	case outLocation:
		out.Location = ""
	case outServer:
		out.Server = http.Suppress
	case outDate:
		out.Date = http.Suppress
	}
	// One that is there already changes its name, too, unless it leads to a path.
	rename := kind != outOther && !(kind == outLocation && q.listsPath(name))
	if !override && !rename {
		if value != "" {
			out.Add(name, value)
		}
		return false, nil
	}
	found := false
	for i := range out.List {
		h := &out.List[i]
		if h.Name == "" || len(h.Name) != len(name) || !strings.EqualFold(h.Name, name) {
			continue
		}
		if found || value == "" {
			h.Name = ""
		} else {
			h.Value = value
			if rename {
				h.Name = name
			}
		}
		found = true
	}
	if !found && value != "" {
		out.Add(name, value)
	}
	return false, nil
}

// listsPath says whether the list has a header of the name that is a path.
func (q *request) listsPath(name string) bool {
	value, ok := q.HeaderOut(name, 0)
	return ok && strings.HasPrefix(value, "/")
}

func (q *request) removeHeaderOut(name string) {
	out := &q.r.HeadersOut
	for i := range out.List {
		if h := &out.List[i]; len(h.Name) == len(name) && strings.EqualFold(h.Name, name) {
			h.Name = ""
		}
	}
}

// contentType is the content type, with the charset once it was sent.
func (q *request) contentType() string {
	out := &q.r.HeadersOut
	if out.Charset == "" || !q.r.HeaderSent || q.r.Parent != nil {
		return out.ContentType
	}
	return out.ContentType + "; charset=" + out.Charset
}

func (q *request) HeaderOut(name string, i int) (string, bool) {
	out := &q.r.HeadersOut
	switch outHeaderOf(name) {
	case outContentType:
		if out.ContentType != "" {
			return q.contentType(), i == 0
		}
	case outContentLength:
		if !out.LengthListed && out.ContentLengthN >= 0 {
			return strconv.FormatInt(out.ContentLengthN, 10), i == 0
		}
	case outLastModified:
		if out.LastModified < 0 {
			return "", false
		}
		return time.Unix(out.LastModified, 0).UTC().Format(luart.HTTPTimeLayout), i == 0
	case outLocation:
		if out.Location != "" {
			return out.Location, i == 0
		}
	}
	for j := range out.List {
		h := &out.List[j]
		if len(h.Name) == len(name) && strings.EqualFold(h.Name, name) {
			if i == 0 {
				return h.Value, true
			}
			i--
		}
	}
	return "", false
}

func (q *request) EachHeaderOut(f func(name, value string, own bool) bool) {
	out := &q.r.HeadersOut
	if out.ContentType != "" && !f("content-type", q.contentType(), true) {
		return
	}
	if !out.LengthListed && out.ContentLengthN >= 0 &&
		!f("content-length", strconv.FormatInt(out.ContentLengthN, 10), true) {
		return
	}
	connection := "close"
	switch {
	case out.Status == 101:
		connection = "upgrade"
	case q.r.KeepAlive:
		connection = "keep-alive"
	}
	if !f("connection", connection, true) {
		return
	}
	if q.r.Chunked && !f("transfer-encoding", "chunked", true) {
		return
	}
	if out.Location != "" && !f("Location", out.Location, false) {
		return
	}
	for i := range out.List {
		if h := &out.List[i]; h.Name != "" && !f(h.Name, h.Value, false) {
			return
		}
	}
}
