package http

import (
	"strconv"
	"strings"

	"perilune/conf"
)

// utf8Bytes is how many bytes a character of UTF-8 may have in a charset_map.
const utf8Bytes = 4

// recoder converts a body from one charset to another. One of its tables is set.
type recoder struct {
	bytes    *[256]byte
	toUTF8   *[256][]byte
	fromUTF8 *[256]*[256]byte // by the high and the low byte; 0 is none

	changesLength bool
}

// charsetMap is a charset_map block: both of its directions.
type charsetMap struct {
	from, to  string
	there     recoder
	backAgain recoder
}

// between finds what converts between two charsets, nil if there is none.
func (m *charsetMain) between(from, to string) *recoder {
	for _, x := range m.maps {
		switch {
		case strings.EqualFold(x.from, from) && strings.EqualFold(x.to, to):
			return &x.there
		case strings.EqualFold(x.to, from) && strings.EqualFold(x.from, to):
			return &x.backAgain
		}
	}
	return nil
}

// setCharsetMap handles charset_map … { … }.
func setCharsetMap(cf *conf.Conf, c any) error {
	m := c.(*charsetMain)
	from, to := cf.Args[1], cf.Args[2]
	m.spelled(from)
	m.spelled(to)
	if strings.EqualFold(from, to) {
		return conf.Errorf("\"charset_map\" between the same charsets \"%s\" and \"%s\"", from, to)
	}
	if m.between(from, to) != nil {
		return conf.Errorf("duplicate \"charset_map\" between \"%s\" and \"%s\"", from, to)
	}
	x := &charsetMap{from: from, to: to}
	m.maps = append(m.maps, x)
	utf8 := strings.EqualFold(to, "utf-8")
	x.init(utf8)
	return cf.ParseEntries(func(cf *conf.Conf) error {
		if len(cf.Args) != 2 {
			return conf.Errorf("invalid parameters number")
		}
		invalid := func(i int) error { return conf.Errorf("invalid value \"%s\"", cf.Args[i]) }
		b, ok := hexByte(cf.Args[0])
		if !ok {
			return invalid(0)
		}
		if utf8 {
			ok = x.addUTF8(b, cf.Args[1])
		} else {
			var other byte
			if other, ok = hexByte(cf.Args[1]); ok {
				x.there.bytes[b], x.backAgain.bytes[other] = other, b
			}
		}
		if !ok {
			return invalid(1)
		}
		return nil
	})
}

// init fills the tables with what holds without entries: ASCII is the same everywhere, the rest has no match.
func (x *charsetMap) init(utf8 bool) {
	if !utf8 {
		x.there.bytes, x.backAgain.bytes = new([256]byte), new([256]byte)
		for i := range 256 {
			b := byte(i)
			if i >= 128 {
				b = '?'
			}
			x.there.bytes[i], x.backAgain.bytes[i] = b, b
		}
		return
	}
	x.there = recoder{toUTF8: new([256][]byte), changesLength: true}
	x.backAgain = recoder{fromUTF8: new([256]*[256]byte), changesLength: true}
	ascii := new([256]byte)
	x.backAgain.fromUTF8[0] = ascii
	for i := range 256 {
		b := byte(i)
		if i < 128 {
			ascii[i] = b
		} else {
			b = '?'
		}
		x.there.toUTF8[i] = []byte{b}
	}
}

// hexByte reads up to two hexadecimal digits.
func hexByte(s string) (byte, bool) {
	n, err := strconv.ParseUint(s, 16, 64)
	return byte(n), err == nil && n <= 255
}

// addUTF8 takes the hexadecimal text of a character.
func (x *charsetMap) addUTF8(b byte, text string) bool {
	var char []byte
	for i := 0; i < len(text); i += 2 {
		c, ok := hexByte(text[i:min(i+2, len(text))])
		if !ok {
			return false
		}
		char = append(char, c)
	}
	if len(char) == 0 || len(char) >= utf8Bytes {
		return false
	}
	code, _ := decodeUTF8(char)
	if code > 0xffff {
		return false
	}
	x.there.toUTF8[b] = char
	table := x.backAgain.fromUTF8[code>>8]
	if table == nil {
		table = new([256]byte)
		x.backAgain.fromUTF8[code>>8] = table
	}
	table[code&0xff] = b
	return true
}

// What decodeUTF8 answers instead of a character.
const (
	utf8Invalid    = 0xffffffff
	utf8Incomplete = 0xfffffffe
)

// decodeUTF8 decodes the first character, as nginx does where it is none: n says how many bytes have been used up.
func decodeUTF8(s []byte) (code uint32, n int) {
	var least uint32
	more := 0
	code = uint32(s[0])
	switch {
	case code >= 0xf8:
		return utf8Invalid, 1
	case code >= 0xf0:
		code, least, more = code&0x07, 0xffff, 3
	case code >= 0xe0:
		code, least, more = code&0x0f, 0x7ff, 2
	case code >= 0xc2:
		code, least, more = code&0x1f, 0x7f, 1
	default:
		return utf8Invalid, 1
	}
	if len(s) <= more {
		return utf8Incomplete, 0
	}
	for n = 1; n <= more; n++ {
		if s[n] < 0x80 {
			return utf8Invalid, n + 1
		}
		code = code<<6 | uint32(s[n]&0x3f)
	}
	if code <= least {
		return utf8Invalid, n
	}
	return code, n
}

// charsetCtx is what the module keeps of a response that it converts.
type charsetCtx struct {
	*recoder
	rest []byte // the beginning of a character whose end has not come
	out  []byte
}

// recode converts a piece of a body. The result holds until the next one.
func (x *charsetCtx) recode(data []byte) []byte {
	switch out := x.out[:0]; {
	case x.bytes != nil:
		for _, b := range data {
			out = append(out, x.bytes[b])
		}
		x.out = out
	case x.toUTF8 != nil:
		for _, b := range data {
			out = append(out, x.toUTF8[b]...)
		}
		x.out = out
	default:
		x.out = x.recodeFromUTF8(out, data)
	}
	return x.out
}

func (x *charsetCtx) recodeFromUTF8(out, data []byte) []byte {
	if len(x.rest) > 0 {
		data = append(x.rest, data...)
		x.rest = nil
	}
	for len(data) > 0 {
		if data[0] < 0x80 {
			out = append(out, data[0])
			data = data[1:]
			continue
		}
		code, n := decodeUTF8(data)
		if code == utf8Incomplete {
			x.rest = append([]byte(nil), data...)
			break
		}
		data = data[n:]
		if code > 0x10ffff {
			out = append(out, '?')
			continue
		}
		if code <= 0xffff {
			if table := x.fromUTF8[code>>8]; table != nil && table[code&0xff] != 0 {
				out = append(out, table[code&0xff])
				continue
			}
		}
		out = append(out, "&#"...)
		out = append(strconv.AppendUint(out, uint64(code), 10), ';')
	}
	return out
}

// charsetBodyFilter converts bodies.
func charsetBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		x, ok := r.Ctx[charsetModule.Index].(*charsetCtx)
		if !ok || x.recoder == nil || len(b.Data) == 0 {
			return next(r, b)
		}
		b.Data = x.recode(b.Data)
		return next(r, b)
	}
}
