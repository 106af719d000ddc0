package luart

import "slices"

// byteSet is a set of bytes.
type byteSet [256]bool

func (s *byteSet) has(c byte) bool { return s[c] }

func (s *byteSet) add(chars string) {
	for i := 0; i < len(chars); i++ {
		s[chars[i]] = true
	}
}

func (s *byteSet) addRange(from, to int) {
	for c := from; c <= to; c++ {
		s[c] = true
	}
}

func set(chars string, ranges ...int) *byteSet {
	s := new(byteSet)
	s.add(chars)
	for i := 0; i+1 < len(ranges); i += 2 {
		s.addRange(ranges[i], ranges[i+1])
	}
	return s
}

// What is escaped, by the type argument of ngx.escape_uri; the two last ones are
// for header names and values.
const (
	escapeURI = iota
	escapeArgs
	escapeURIComponent
	escapeHTML
	escapeRefresh
	escapeMemcached
	escapeMailAuth
	escapeHeaderName
	escapeHeaderValue
)

var escapeSets = [...]*byteSet{
	escapeURI:          set(" #%?", 0, 31, 127, 255),
	escapeArgs:         set(" #%+?", 0, 31, 127, 255),
	escapeURIComponent: uriComponentSet(),
	escapeHTML:         set(" #\"%'", 0, 31, 127, 255),
	escapeRefresh:      set(" \"'", 0, 31, 127, 255),
	escapeMemcached:    set(" %", 0, 31),
	escapeMailAuth:     set(" %", 0, 31),
	escapeHeaderName:   set(" \"(),/:;<=>?@[\\]{}", 0, 31, 127, 255),
	escapeHeaderValue:  set("\x7f", 0, 8, 10, 31),
}

// queryStringSet is what ngx.req.set_uri_args escapes in a string.
var queryStringSet = set(" \x7f", 0, 31)

// uriComponentSet is everything but letters, digits and "-._~!*'()".
func uriComponentSet() *byteSet {
	s := set("", 0, 255)
	for c := 0; c < 256; c++ {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '-', c == '.', c == '_', c == '~', c == '!', c == '*', c == '\'', c == '(', c == ')':
		default:
			continue
		}
		s[c] = false
	}
	return s
}

// countEscapes is the number of bytes of s that are to be escaped.
func countEscapes(s string, set *byteSet) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if set.has(s[i]) {
			n++
		}
	}
	return n
}

// fillEscaped writes s with the bytes of the set as %XX to dst, which has room for just that.
func fillEscaped(dst []byte, s string, set *byteSet) {
	const hex = "0123456789ABCDEF"
	j := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !set.has(c) {
			dst[j] = c
			j++
			continue
		}
		to := dst[j : j+3]
		to[0], to[1], to[2] = '%', hex[c>>4], hex[c&15]
		j += 3
	}
}

// appendEscaped appends s with the bytes of the set as %XX.
func appendEscaped(dst []byte, s string, set *byteSet) []byte {
	n := countEscapes(s, set)
	if n == 0 {
		return append(dst, s...)
	}
	from, size := len(dst), len(s)+2*n
	dst = slices.Grow(dst, size)[:from+size]
	fillEscaped(dst[from:], s, set)
	return dst
}

// escapeString is appendEscaped to a string, which is s itself when there is nothing to escape.
func escapeString(s string, set *byteSet) string {
	n := countEscapes(s, set)
	if n == 0 {
		return s
	}
	b := make([]byte, len(s)+2*n)
	fillEscaped(b, s, set)
	return string(b)
}

// appendUnescaped appends s with %XX and + decoded. A % without two hexadecimal
// digits stays.
func appendUnescaped[T string | []byte](dst []byte, s T) []byte {
	from := len(dst)
	dst = slices.Grow(dst, len(s))[:from+len(s)]
	to := dst[from:]
	j := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if hi, lo := unhex[s[i+1]], unhex[s[i+2]]; hi|lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		to[j] = c
		j++
	}
	return dst[:from+j]
}

// unhex is the value of a hexadecimal digit, more than 15 of what is none.
var unhex = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case c >= '0' && c <= '9':
			t[i] = c - '0'
		case c >= 'a' && c <= 'f':
			t[i] = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			t[i] = c - 'A' + 10
		default:
			t[i] = 0xff
		}
	}
	return t
}()
