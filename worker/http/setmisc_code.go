package http

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	insecure "math/rand/v2"
	"strconv"

	"perilune/logging"
)

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// sqlEscapes are the bytes that set_quote_sql_str escapes, with what stands behind the backslash.
var sqlEscapes = [256]byte{0: '0', '\b': 'b', '\n': 'n', '\r': 'r', '\t': 't', '\\': '\\', '\'': '\'', '"': '"', '$': '$', 26: 'Z'}

func quoteSQL(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	dst = append(dst, '\'')
	for _, c := range v[0] {
		if e := sqlEscapes[c]; e != 0 {
			dst = append(dst, '\\', e)
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '\''), true
}

func quotePgSQL(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	if len(v[0]) == 0 {
		return append(dst, "''"...), true
	}
	begin := len(dst)
	dst, _ = quoteSQL(r, append(dst, 'E'), v)
	if looksUTF8(v[0]) {
		return dst, true
	}
	text := append([]byte(nil), dst[begin:]...)
	dst = dst[:begin]
	for _, c := range text {
		if c < 0x80 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		}
	}
	return dst, true
}

// looksUTF8 is the module's idea of UTF-8, which is not all that there is to know of it: it looks at the last byte of a character.
func looksUTF8(b []byte) bool {
	for len(b) > 0 {
		c, n := b[0], 1
		switch {
		case c&0xe0 == 0xc0:
			n = 2
		case c&0xf0 == 0xe0:
			n = 3
		case c&0xf8 == 0xf0:
			n = 4
		}
		if len(b) < n || n == 1 && (c >= 0x80 && c < 0xc2 || c > 0xf4) || n > 1 && (b[n-1] < 0x80 || b[n-1] > 0xbf) {
			return false
		}
		b = b[n:]
	}
	return true
}

// jsonEscapes are the escapes of JSON that have a letter.
var jsonEscapes = [128]byte{'\r': 'r', '\n': 'n', '\\': '\\', '"': '"', '\f': 'f', '\b': 'b', '\t': 't'}

// appendJSON appends the inner part of a string of JSON, whose hexadecimal digits are of either case.
func appendJSON(dst, text []byte, digits string) []byte {
	for _, c := range text {
		switch {
		case c < 0x80 && jsonEscapes[c] != 0:
			dst = append(dst, '\\', jsonEscapes[c])
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', '0'+c>>4, digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

const hexDigits = "0123456789abcdef"

func quoteJSON(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	if len(v[0]) == 0 {
		return append(dst, "null"...), true
	}
	return append(appendJSON(append(dst, '"'), v[0], hexDigits), '"'), true
}

// unhex is the value of a hexadecimal digit, -1 of another byte.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func setUnescapeURI(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	return unescapeURI(dst, v[0], true), true
}

// unescapeURI appends a text with percent-encoding decoded, and with plus a plus as a space. As in nginx a percent sign without
// two digits is lost, and with it the one digit if there is one.
func unescapeURI(dst, b []byte, plus bool) []byte {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+' && plus:
			dst = append(dst, ' ')
		case c != '%':
			dst = append(dst, c)
		case i+1 == len(b):
		case unhex(b[i+1]) < 0:
			i++
			dst = append(dst, b[i])
		case i+2 == len(b):
			i++
		default:
			if low := unhex(b[i+2]); low >= 0 {
				dst = append(dst, byte(unhex(b[i+1])<<4|low))
			}
			i += 2
		}
	}
	return dst
}

// escapeComponent are the bytes that set_escape_uri escapes.
var escapeComponent = escapeSet("\"#%&+/:;<=>?[\\]^{}")

func setEscapeURI(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	return appendEscaped(dst, v[0], &escapeComponent), true
}

func setEncodeBase32(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	mc := r.LocCtx[setMiscModule.Index].(*setMiscConf)
	bits, n := uint(0), 0
	for _, c := range v[0] {
		bits, n = bits<<8|uint(c), n+8
		for n >= 5 {
			n -= 5
			dst = append(dst, mc.alphabet.V[bits>>n&31])
		}
	}
	if n > 0 {
		dst = append(dst, mc.alphabet.V[bits<<(5-n)&31])
	}
	if mc.padding.V {
		for n := (len(v[0])*8 + 4) / 5; n%8 != 0; n++ {
			dst = append(dst, '=')
		}
	}
	return dst, true
}

func setDecodeBase32(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	mc := r.LocCtx[setMiscModule.Index].(*setMiscConf)
	begin := len(dst)
	bits, n, digits := uint(0), 0, 0
	for _, c := range v[0] {
		if c == '=' {
			break
		}
		d := mc.digits[c]
		if d == noBase32 {
			return dst[:begin], true
		}
		digits++
		if bits, n = bits<<5|uint(d), n+5; n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	switch digits % 8 {
	case 1, 3, 6:
		return dst[:begin], true
	}
	return dst, true
}

// base64Code is a kind of base64.
type base64Code struct {
	encoding *base64.Encoding
	digits   [256]byte
}

var (
	stdBase64 = newBase64(base64.StdEncoding, "+/")
	urlBase64 = newBase64(base64.RawURLEncoding, "-_")
)

func newBase64(encoding *base64.Encoding, last string) *base64Code {
	c := &base64Code{encoding: encoding}
	for i := range c.digits {
		c.digits[i] = 0xff
	}
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last
	for i := range len(alphabet) {
		c.digits[alphabet[i]] = byte(i)
	}
	return c
}

// appendDecoded decodes as nginx does: what follows an = does not count, and neither do bits that are left over.
func (c *base64Code) appendDecoded(dst, text []byte) ([]byte, bool) {
	begin := len(dst)
	bits, n, digits := uint(0), 0, 0
	for _, b := range text {
		if b == '=' {
			break
		}
		d := c.digits[b]
		if d == 0xff {
			return dst[:begin], false
		}
		digits++
		if bits, n = bits<<6|uint(d), n+6; n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	if digits%4 == 1 {
		return dst[:begin], false
	}
	return dst, true
}

func encodeBase64With(c *base64Code) setFunc {
	return func(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
		return c.encoding.AppendEncode(dst, v[0]), true
	}
}

func decodeBase64With(name string, c *base64Code) setFunc {
	return func(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
		dst, ok := c.appendDecoded(dst, v[0])
		if !ok {
			r.Log(logging.Error, "%s: invalid value", name)
		}
		return dst, ok
	}
}

func setEncodeHex(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	return hex.AppendEncode(dst, v[0]), true
}

func setDecodeHex(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	dst, err := hex.AppendDecode(dst, v[0])
	if err != nil {
		r.Log(logging.Error, "set_decode_hex: invalid value")
		return dst, false
	}
	return dst, true
}

func setSHA1(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	sum := sha1.Sum(v[0])
	return hex.AppendEncode(dst, sum[:]), true
}

func setMD5(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	sum := md5.Sum(v[0])
	return hex.AppendEncode(dst, sum[:]), true
}

var newSHA1, newSHA256 = sha1.New, sha256.New

func hmacWith(digest func() hash.Hash) setFunc {
	return func(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
		h := hmac.New(digest, v[0])
		h.Write(v[1])
		return h.Sum(dst), true
	}
}

func setRandom(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	from, to, ok := setRange(r, v[0], v[1], "set_random: bad \"%s\" argument: %s")
	if !ok {
		return dst, false
	}
	return appendInt(dst, from+int64(insecure.Uint64N(uint64(to-from)+1))), true
}

const alphanumerics = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func secureRandom(alphabet string) setFunc {
	return func(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
		length, ok := setNumber(v[0])
		if !ok || length < 1 || length > 64 {
			r.Log(logging.Error, "set_random: bad \"length\" argument: %s", v[0])
			return dst, false
		}
		var entropy [64]byte
		for length > 0 {
			_, _ = rand.Read(entropy[:]) // never fails, by its documentation
			for _, b := range entropy {
				// A byte above the last multiple would make some letters likelier.
				if int(b) < 256/len(alphabet)*len(alphabet) && length > 0 {
					dst = append(dst, alphabet[int(b)%len(alphabet)])
					length--
				}
			}
		}
		return dst, true
	}
}
