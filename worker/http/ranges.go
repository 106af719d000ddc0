package http

import (
	"bytes"
	"math"
	"strconv"
	"sync/atomic"

	"perilune/conf"
	"perilune/logging"
)

// etag is the response's entity tag, "" without one.
func (h *HeadersOut) etag() string {
	if i := h.Get("ETag"); i >= 0 {
		return h.List[i].Value
	}
	return ""
}

// checkConditions answers 0, or 304 or 412 by the conditional headers of the request.
func (r *Request) checkConditions() int {
	in, out := &r.HeadersIn, &r.HeadersOut
	if v := in.Value(HeaderIfUnmodifiedSince); v != nil && (out.LastModified < 0 || parseHTTPDate(v) < out.LastModified) {
		return 412
	}
	if v := in.Value(HeaderIfMatch); v != nil && !matchETag(v, out.etag(), false) {
		return 412
	}
	since, noneMatch := in.Value(HeaderIfModifiedSince), in.Value(HeaderIfNoneMatch)
	if since == nil && noneMatch == nil {
		return 0
	}
	if since != nil && r.modifiedSince(parseHTTPDate(since)) {
		return 0
	}
	if noneMatch != nil && !matchETag(noneMatch, out.etag(), true) {
		return 0
	}
	return 304
}

func (r *Request) modifiedSince(t int64) bool {
	last := r.HeadersOut.LastModified
	mode := fileConfOf(r).IfModifiedSince.V
	switch {
	case last < 0 || mode == sinceOff:
		return true
	case t == last:
		return false
	}
	return mode == sinceExact || t < last
}

// matchETag looks for a tag in the list of If-Match or If-None-Match; weak disregards the tags' weakness.
func matchETag(list []byte, etag string, weak bool) bool {
	if string(list) == "*" {
		return true
	}
	if etag == "" {
		return false
	}
	tag := []byte(etag)
	if weak {
		tag = bytes.TrimPrefix(tag, []byte("W/"))
	}
	for len(list) > 0 {
		if weak {
			list = bytes.TrimPrefix(list, []byte("W/"))
		}
		if rest, found := bytes.CutPrefix(list, tag); found {
			if rest = bytes.TrimLeft(rest, " \t"); len(rest) == 0 || rest[0] == ',' {
				return true
			}
		}
		_, list, _ = bytes.Cut(list, []byte{','})
		list = bytes.TrimLeft(list, " \t,")
	}
	return false
}

// notModifiedFilter answers conditional requests.
func notModifiedFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		if r.HeadersOut.Status != 200 || r != r.Main || r.Unconditional {
			return next(r)
		}
		switch r.checkConditions() {
		case 304:
			r.notModified()
		case 412:
			r.CleanHeader()
			_ = r.specialResponse(412)
			_ = r.flushOut() // with subrequests a header alone waits for their output
			return errClosed // the handler has no part in it any more
		}
		return next(r)
	}
}

// notModified makes the response a 304.
func (r *Request) notModified() {
	out := &r.HeadersOut
	out.Status, out.StatusLine = 304, ""
	out.ContentType, out.Charset = "", ""
	r.ClearContentLength()
	r.ClearAcceptRanges()
	out.Del("Content-Encoding")
}

// byteRange is a part of a body; end is behind its last byte.
type byteRange struct{ start, end int64 }

// byteRanges are the parts of a response with status 206.
type byteRanges struct {
	list     []byteRange
	offset   int64  // of the body that has passed
	size     int64  // of the whole body
	boundary string // of a multipart body
	kind     string // content type of a part
}

// rangeBoundary numbers the multipart bodies of the process.
var rangeBoundary atomic.Uint64

// rangeModule answers requests for parts of a body.
var rangeModule = &conf.Module{Name: "http_range", Kind: conf.HTTPKind}

func init() {
	rangeModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHeaderFilter(rangeHeaderFilter)
		return nil
	}
}

// rangeHeaderFilter looks at Range and If-Range, where the handler allows ranges.
func rangeHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		out := &r.HeadersOut
		if !r.AllowRanges || r.HTTPVersion < 1000 || out.Status != 200 || r != r.Main || out.ContentLengthN < 0 {
			return next(r)
		}
		limit := fileConfOf(r).MaxRanges.V
		if limit == 0 {
			return next(r)
		}
		if r.SingleRange {
			limit = 1
		}
		spec := r.HeadersIn.Value(HeaderRange)
		const unit = "bytes="
		if len(spec) <= len(unit) || !equalLower(spec[:len(unit)], unit) || !r.ifRange() {
			out.Add("Accept-Ranges", "bytes")
			return next(r)
		}
		size := out.ContentLengthN
		list, status := parseRanges(spec[len(unit):], size, limit)
		switch {
		case status == 416:
			out.Status = 416
			out.Del("Content-Range")
			out.Add("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
			r.ClearContentLength()
			return StatusError(416)
		case status != 0:
			out.Add("Accept-Ranges", "bytes")
			return next(r)
		}
		out.Status, out.StatusLine = 206, ""
		ranges := &byteRanges{list: list, size: size}
		r.filters.ranges = ranges
		r.ClearContentLength()
		out.Del("Content-Range")
		if len(list) == 1 {
			out.Add("Content-Range", "bytes "+list[0].text(size))
			out.ContentLengthN = list[0].end - list[0].start
		} else {
			ranges.multipart(out, size)
		}
		return next(r)
	}
}

// rangeBodyFilter lets only the ranges of a body pass. It is in front of all other
// filters: one that changes a body has taken AllowRanges away.
func rangeBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		rs := r.filters.ranges
		switch {
		case rs == nil:
			return next(r, b)
		case len(rs.list) > 1:
			return rs.multipartBody(r, b, next)
		}
		start := rs.offset
		size := int64(len(b.Data)) + b.FileLen
		rs.offset += size
		part, passed := b.cut(rs.list[0], start)
		if !passed && !b.Last && !b.Flush {
			return nil
		}
		return next(r, part)
	}
}

// cut leaves of a piece, which begins at start of the whole body, what is in the range.
func (b Buf) cut(rg byteRange, start int64) (part Buf, found bool) {
	size := int64(len(b.Data)) + b.FileLen
	from, to := max(rg.start-start, 0), min(rg.end-start, size)
	part = Buf{Flush: b.Flush, Last: b.Last}
	if from >= to {
		return part, false
	}
	if b.FileLen > 0 {
		part.File, part.Off, part.FileLen = b.File, b.Off+from, to-from
	} else {
		part.Data = b.Data[from:to]
	}
	return part, true
}

// multipartBody sends several ranges, of a body that is in one piece.
func (rs *byteRanges) multipartBody(r *Request, b Buf, next BodyFilter) error {
	size := int64(len(b.Data)) + b.FileLen
	if size == 0 {
		return next(r, b)
	}
	if rs.offset != 0 || size != rs.size {
		r.Log(logging.Alert, "range in overlapped buffers")
		return errClosed
	}
	rs.offset = size
	for _, rg := range rs.list {
		if err := next(r, Buf{Data: rs.partHeader(rg, size)}); err != nil {
			return err
		}
		part, _ := b.cut(rg, 0)
		part.Last, part.Flush = false, false
		if err := next(r, part); err != nil {
			return err
		}
	}
	return next(r, Buf{Data: rs.end(), Last: b.Last, Flush: b.Flush})
}

// ifRange tells whether the file is the one that If-Range means.
func (r *Request) ifRange() bool {
	v := r.HeadersIn.Value(HeaderIfRange)
	switch {
	case v == nil:
		return true
	case len(v) >= 2 && v[len(v)-1] == '"':
		return string(v) == r.HeadersOut.etag()
	}
	return r.HeadersOut.LastModified >= 0 && parseHTTPDate(v) == r.HeadersOut.LastModified
}

const rangeIgnored = 200

// parseRanges reads the list of a Range header. The status is 0, 416, or rangeIgnored to send the whole file.
func parseRanges(s []byte, size int64, limit int) ([]byteRange, int) {
	var list []byteRange
	var total int64
	for {
		var rg byteRange
		var ok bool
		if rg, s, ok = parseRange(s, size); !ok {
			return nil, 416
		}
		if rg.start < rg.end {
			if len(list) == limit || total > math.MaxInt64-(rg.end-rg.start) {
				return nil, rangeIgnored
			}
			list = append(list, rg)
			total += rg.end - rg.start
		} else if rg.start == 0 {
			return nil, rangeIgnored
		}
		if len(s) == 0 {
			break
		}
		s = s[1:] // the comma
	}
	if len(list) == 0 {
		return nil, 416
	}
	if len(list) > 1 {
		if total > size {
			return nil, rangeIgnored
		}
		// Without a limit of the configuration, parts so small that their headers outweigh them are not worth it.
		if limit == math.MaxInt32 && total+int64(len(list))*256 > size+4096 {
			return nil, rangeIgnored
		}
	}
	return list, 0
}

// parseRange reads "5-9", "5-" or "-5"; rest begins with the comma behind it.
func parseRange(s []byte, size int64) (rg byteRange, rest []byte, ok bool) {
	s = bytes.TrimLeft(s, " ")
	suffix := len(s) > 0 && s[0] == '-'
	if suffix {
		s = s[1:]
	} else {
		if rg.start, s, ok = parseOffset(s); !ok {
			return rg, s, false
		}
		s = bytes.TrimLeft(s, " ")
		if len(s) == 0 || s[0] != '-' {
			return rg, s, false
		}
		s = bytes.TrimLeft(s[1:], " ")
		if len(s) == 0 || s[0] == ',' {
			rg.end = size
			return rg, s, true
		}
	}
	var end int64
	if end, s, ok = parseOffset(s); !ok {
		return rg, s, false
	}
	s = bytes.TrimLeft(s, " ")
	if len(s) > 0 && s[0] != ',' {
		return rg, s, false
	}
	if suffix {
		rg.start = max(size-end, 0)
		end = size - 1
	}
	rg.end = min(end, size-1) + 1
	return rg, s, true
}

func parseOffset(s []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(s) && charClass[s[i]]&chDigit != 0 {
		i++
	}
	n, ok = ParseContentLength(s[:i])
	return n, s[i:], ok
}

func (rg byteRange) text(size int64) string {
	return strconv.FormatInt(rg.start, 10) + "-" + strconv.FormatInt(rg.end-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// multipart makes the header of a multipart response.
func (rs *byteRanges) multipart(out *HeadersOut, size int64) {
	n := strconv.FormatUint(rangeBoundary.Add(1), 10)
	rs.boundary = "00000000000000000000"[:20-len(n)] + n
	rs.kind = out.ContentType
	if out.Charset != "" && rs.kind != "" {
		rs.kind += "; charset=" + out.Charset
	}
	out.ContentType, out.Charset = "multipart/byteranges; boundary="+rs.boundary, ""
	length := int64(len(rs.end()))
	for _, rg := range rs.list {
		length += int64(len(rs.partHeader(rg, size))) + rg.end - rg.start
	}
	out.ContentLengthN = length
}

func (rs *byteRanges) partHeader(rg byteRange, size int64) []byte {
	b := append([]byte("\r\n--"), rs.boundary...)
	if rs.kind != "" {
		b = append(append(b, "\r\nContent-Type: "...), rs.kind...)
	}
	b = append(b, "\r\nContent-Range: bytes "...)
	b = append(b, rg.text(size)...)
	return append(b, "\r\n\r\n"...)
}

func (rs *byteRanges) end() []byte { return []byte("\r\n--" + rs.boundary + "--\r\n") }
