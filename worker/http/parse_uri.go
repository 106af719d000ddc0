package http

import "bytes"

// URIParts is what NormalizeURI finds in a request target.
type URIParts struct {
	Path      []byte // decoded and normalised; always begins with '/'
	Exten     int    // offset in Path of the file name extension, behind its dot; -1: none
	Args      int    // offset in the raw target of the query; -1: none
	ArgsEnd   int    // end of the query in the raw target
	HasQuoted bool   // something was percent-encoded
}

// States of NormalizeURI, about the bytes of the segment so far.
const (
	uriUsual  uint8 = iota
	uriSlash        // behind a slash
	uriDot          // behind "/."
	uriDotDot       // behind "/.."
)

var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i] = int8(10 + i)
		t['A'+i] = int8(10 + i)
	}
	return t
}()

// NormalizeURI decodes a request target in origin form: percent-encoding, dot segments and, where asked for, runs of
// slashes. The path is appended to dst, which must not overlap raw. It answers false for targets that nginx refuses
// with 400: bad percent-encoding, %00, and paths that lead above the root. A '#' ends the path, or the query.
func NormalizeURI(dst, raw []byte, emptyPath, mergeSlashes bool) (URIParts, bool) {
	base := len(dst)
	u := URIParts{Exten: -1, Args: -1}
	if emptyPath {
		dst = append(dst, '/')
	}
	state := uriUsual
	i := 0
loop:
	for i < len(raw) {
		c := raw[i]
		i++
		if charClass[c]&chUsual != 0 {
			state = uriUsual
			dst = append(dst, c)
			continue
		}
		switch c {
		case '?', '#':
			i--
			break loop
		case '%':
			u.HasQuoted = true
			if i+1 >= len(raw) || hexDigit[raw[i]] < 0 || hexDigit[raw[i+1]] < 0 {
				return u, false
			}
			c = byte(hexDigit[raw[i]]<<4 | hexDigit[raw[i+1]])
			i += 2
			if c == 0 {
				return u, false
			}
		}
		switch {
		case c == '/':
			var ok bool
			if dst, ok = popSegment(dst, base, state); !ok {
				return u, false
			}
			if state == uriUsual || (state == uriSlash && !mergeSlashes) {
				dst = append(dst, '/')
			}
			u.Exten = -1
			state = uriSlash
		case c == '.' && state != uriUsual && state != uriDotDot:
			dst = append(dst, '.')
			state++
		default:
			if c == '.' && state == uriUsual {
				u.Exten = len(dst) + 1 - base
			}
			dst = append(dst, c)
			state = uriUsual
		}
	}
	dst, ok := popSegment(dst, base, state)
	if !ok {
		return u, false
	}
	if i < len(raw) && raw[i] == '?' {
		u.Args, u.ArgsEnd = i+1, len(raw)
		if n := bytes.IndexByte(raw[i+1:], '#'); n >= 0 {
			u.ArgsEnd = i + 1 + n
		}
	}
	u.Path = dst[base:]
	return u, true
}

// popSegment takes back a dot segment that has just ended, and for ".." the segment before it.
func popSegment(dst []byte, base int, state uint8) ([]byte, bool) {
	switch state {
	case uriDot:
		return dst[:len(dst)-1], true
	case uriDotDot:
		n := len(dst) - len("/..")
		if n < base {
			return dst, false
		}
		slash := bytes.LastIndexByte(dst[base:n], '/')
		if slash < 0 {
			return dst, false
		}
		return dst[:base+slash+1], true
	}
	return dst, true
}
