package luart

import (
	"encoding/base64"
	"slices"
	"strings"

	"perilune/luart/vm"
)

func ngxEncodeBase64(t *vm.Thread, _ *Ctx) int {
	s := text(t, 1)
	enc := base64.StdEncoding
	if v := t.Arg(2); v.Truthy() {
		if v.Type() != vm.TypeBoolean {
			return raise(t, "bad no_padding: boolean expected, got %s", v.TypeName())
		}
		enc = base64.RawStdEncoding
	}
	enc.Encode(t.PushBlank(enc.EncodedLen(len(s))), bytesOf(s))
	return 1
}

func ngxDecodeBase64(t *vm.Thread, c *Ctx) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		return raise(t, "string argument only")
	}
	return pushBase64Decoded(t, c, s)
}

// ngxDecodeBase64MIME decodes what other characters are strewn into.
func ngxDecodeBase64MIME(t *vm.Thread, c *Ctx) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		return raise(t, "string argument only")
	}
	s, _, _ = strings.Cut(s, "=")
	digits := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if base64Digits[s[i]] != 0xff {
			digits = append(digits, s[i])
		}
	}
	return pushBase64Decoded(t, c, string(digits))
}

func pushBase64Decoded(t *vm.Thread, c *Ctx, s string) int {
	rt := c.rt
	buf, ok := appendBase64Decoded(rt.scratch[:0], s)
	if ok {
		t.PushBytes(buf)
	} else {
		t.PushNil()
	}
	rt.keepScratch(buf)
	return 1
}

var base64Digits = func() (d [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range d {
		d[i] = 0xff
	}
	for i := 0; i < len(alphabet); i++ {
		d[alphabet[i]] = byte(i)
	}
	return d
}()

// appendBase64Decoded decodes with nginx's rules: what follows the first "=" does
// not count, padding may be left out, bits left over are dropped.
func appendBase64Decoded(dst []byte, s string) ([]byte, bool) {
	if n := strings.IndexByte(s, '='); n >= 0 {
		s = s[:n]
	}
	if len(s)%4 == 1 {
		return dst, false
	}
	size := len(s) / 4 * 3
	from := len(dst)
	dst = slices.Grow(dst, size+2)[:from+size]
	to, all := dst[from:], byte(0) // all the digits: those of other characters have the highest bit
	for len(s) > 3 && len(to) > 2 {
		a, b, c, d := base64Digits[s[0]], base64Digits[s[1]], base64Digits[s[2]], base64Digits[s[3]]
		to[0], to[1], to[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		all |= a | b | c | d
		s, to = s[4:], to[3:]
	}
	if len(s) > 1 {
		a, b := base64Digits[s[0]], base64Digits[s[1]]
		dst = append(dst, a<<2|b>>4)
		all |= a | b
		if len(s) > 2 {
			c := base64Digits[s[2]]
			dst = append(dst, b<<4|c>>2)
			all |= c
		}
	}
	return dst, all < 0x80
}
