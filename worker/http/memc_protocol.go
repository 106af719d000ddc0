package http

import (
	"bytes"
	"strconv"
	"strings"

	"perilune/logging"
)

// memcRequest is a command of a request to a memcached server, and what is known of its answer.
type memcRequest struct {
	command *memcCommand
	conf    *memcConf
	own     bool // of nginx's own module

	key, flags, exptime, value []byte
	hasValue                   bool

	answer []byte // the whole of it, unless it is a value
	ended  int    // bytes of memcEnd that have come
}

// memcAnswer is a line that answers a command.
type memcAnswer struct {
	text   string
	open   bool // something follows the text
	some   bool // and it is not empty
	number bool // digits and spaces instead of a text
	status int  // 200 if 0
}

// match looks for the answer at the beginning of a buffer: responseMore if it may be that, responseDone with n as its
// length, responseInvalid with n as where it is another one.
func (a *memcAnswer) match(buf []byte) (st, n int) {
	if a.number {
		return matchNumber(buf)
	}
	want := a.text
	if !a.open {
		want += "\r\n"
	}
	for ; n < len(want); n++ {
		if n == len(buf) {
			return responseMore, n
		}
		if buf[n] != want[n] {
			return responseInvalid, n
		}
	}
	if !a.open {
		return responseDone, n
	}
	begin := n
	if a.some {
		begin++
	}
	if begin <= len(buf) {
		if i := bytes.Index(buf[begin:], crlf); i >= 0 {
			return responseDone, begin + i + len(crlf)
		}
	}
	return responseMore, len(buf)
}

var crlf = []byte("\r\n")

// matchNumber is match for the answer to incr and decr.
func matchNumber(buf []byte) (st, n int) {
	for n < len(buf) && charClass[buf[n]]&chDigit != 0 {
		n++
	}
	if n > 0 {
		for n < len(buf) && buf[n] == ' ' {
			n++
		}
		for i := 0; i < len(crlf); i++ {
			if n == len(buf) {
				return responseMore, n
			}
			if buf[n] != crlf[i] {
				return responseInvalid, n
			}
			n++
		}
		return responseDone, n
	}
	if len(buf) == 0 {
		return responseMore, 0
	}
	return responseInvalid, 0
}

// matchStats is match for the answer to stats: lines of STAT, and END.
func matchStats(buf []byte) (st, n int) {
	for {
		st, m := (&memcAnswer{text: "END"}).match(buf[n:])
		if st != responseInvalid {
			return st, n + m
		}
		bad := n + m
		st, m = (&memcAnswer{text: "STAT ", open: true, some: true}).match(buf[n:])
		switch st {
		case responseDone:
			n += m
		case responseMore:
			return st, n + m
		default:
			return st, max(bad, n+m)
		}
	}
}

// match finds which of its answers a command has got.
func (c *memcCommand) match(buf []byte) (st, n, status int) {
	st, n = responseInvalid, 0
	if c.name == "stats" {
		if st, n = matchStats(buf); st == responseDone {
			return st, n, 200
		}
	}
	for i := range c.answers {
		a := &c.answers[i]
		switch s, m := a.match(buf); {
		case s == responseDone && a.status == 0:
			return s, m, 200
		case s == responseDone:
			return s, m, a.status
		case s == responseMore:
			st = s
		case st == responseInvalid:
			n = max(n, m)
		}
	}
	return st, n, 0
}

// header is the upstream's call: it parses what has come of the answer.
func (q *memcRequest) header(u *upstreamRequest) int {
	buf := u.buf[:u.last]
	if q.command == memcGet {
		return q.valueHeader(u, buf)
	}
	st, n, status := q.command.match(buf)
	switch st {
	case responseMore:
		return st
	case responseInvalid:
		u.r.Log(logging.Error, "memcached sent invalid response for command \"%s\" at pos %d: %s", q.command.name, n, buf[:n])
		u.status, u.closes = 502, true
		u.pos = u.last
		return responseDone
	}
	q.answer = bytes.Clone(buf[:n])
	u.status, u.length, u.noBody, u.pos = status, int64(n), true, 0
	return responseDone
}

// valueHeader parses the line before a value, or the one that says that there is none.
func (q *memcRequest) valueHeader(u *upstreamRequest, buf []byte) int {
	r := u.r
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		return responseMore
	}
	line := buf[:max(i-1, 0)]
	invalid := func(what string) int {
		if what == "" {
			r.Log(logging.Error, "memcached sent invalid response: \"%s\"", line)
		} else {
			r.Log(logging.Error, "memcached sent invalid %s in response \"%s\" for key \"%s\"", what, line, q.key)
		}
		return responseInvalid
	}
	if i == 0 || buf[i-1] != '\r' {
		if q.own {
			line = buf[:i]
		}
		return invalid("")
	}
	u.pos = i + 1
	if string(line) == "END" {
		r.Log(logging.Info, "key: \"%s\" was not found by memcached", q.key)
		u.status, u.length = 404, 0
		return responseDone
	}
	rest, isValue := bytes.CutPrefix(line, []byte("VALUE "))
	if !isValue {
		return invalid("")
	}
	rest, found := bytes.CutPrefix(rest, q.key)
	if !found {
		return invalid("key")
	}
	if len(rest) == 0 || rest[0] != ' ' {
		return invalid("")
	}
	flags, length, found := bytes.Cut(rest[1:], []byte{' '})
	if !found {
		return invalid("")
	}
	if !q.takeFlags(r, flags) {
		return invalid("flags")
	}
	n, err := strconv.ParseUint(string(length), 10, 63)
	if err != nil {
		return invalid("length")
	}
	u.status, u.length = 200, int64(n)
	u.closes = true // until the end of the value has been read
	if q.own {
		r.AllowRanges, r.SingleRange = true, true
	}
	return responseDone
}

// takeFlags acts on the flags of a value.
func (q *memcRequest) takeFlags(r *Request, flags []byte) bool {
	if !q.own {
		memcMainOf(r).setFlags(r, bytes.Clone(flags))
		if q.conf.toLastModified.V {
			if sec, err := strconv.ParseUint(string(flags), 10, 62); err == nil {
				r.HeadersOut.LastModified = int64(sec)
			}
		}
		return true
	}
	if q.conf.gzipFlag.V == 0 {
		return true
	}
	n, err := strconv.ParseUint(string(flags), 10, 63)
	if err == nil && n&uint64(q.conf.gzipFlag.V) != 0 {
		r.HeadersOut.Add("Content-Encoding", "gzip")
	}
	return err == nil
}

// memcEnd follows a value.
const memcEnd = "\r\nEND\r\n"

// body is the upstream's call: it passes the answer on to the client, who has the header.
func (q *memcRequest) body(u *upstreamRequest, data []byte) {
	b := &u.pipe
	if q.answer != nil || u.status != 200 {
		b.append(q.answer)
		u.whole(!u.closes)
		return
	}
	n := min(int64(len(data)), b.rest)
	b.append(data[:n])
	b.rest -= n
	if data = data[n:]; b.rest > 0 {
		return
	}
	end, whole := strings.CutPrefix(memcEnd[q.ended:], string(data))
	switch {
	case !whole:
		u.r.Log(logging.Error, "memcached sent invalid trailer")
		u.whole(false)
	case end == "":
		u.closes = false
		u.whole(true)
	}
	q.ended = len(memcEnd) - len(end)
}
