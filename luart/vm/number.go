package vm

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// FormatNumber returns f as Lua's tostring does: "%.14g" in C.
func FormatNumber(f float64) string {
	var buf [32]byte
	return string(AppendNumber(buf[:0], f))
}

// AppendNumber appends what FormatNumber returns.
func AppendNumber(dst []byte, f float64) []byte {
	if i := int64(f); float64(i) == f && i < 1e14 && i > -1e14 {
		if i == 0 && math.Signbit(f) {
			return append(dst, '-', '0')
		}
		return strconv.AppendInt(dst, i, 10)
	}
	switch {
	case f != f:
		return append(dst, "nan"...)
	case f > math.MaxFloat64:
		return append(dst, "inf"...)
	case f < -math.MaxFloat64:
		return append(dst, "-inf"...)
	}
	return appendG14(dst, f)
}

// appendG14 is %.14g for a finite number that is not 0.
func appendG14(dst []byte, f float64) []byte {
	if f < 0 {
		dst = append(dst, '-')
		f = -f
	}
	return appendGeneral(dst, f, 14, false)
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// ParseNumber converts a string to a number by Lua's rules: decimal or
// hexadecimal, with white space around.
func ParseNumber(s string) (float64, bool) {
	i, j := 0, len(s)
	for i < j && isSpace(s[i]) {
		i++
	}
	for j > i && isSpace(s[j-1]) {
		j--
	}
	s = s[i:j]
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	f, ok := parseUnsigned(s)
	if neg {
		f = -f
	}
	return f, ok
}

// parseUnsigned converts a number without sign and white space.
func parseUnsigned(s string) (float64, bool) {
	if s == "" {
		return 0, false
	}
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		return parseHex(s[2:])
	}
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'b' {
		u, ok := parseBinary(s[2:])
		return float64(u), ok
	}
	if len(s) <= 15 {
		n := uint64(0)
		for i := 0; ; i++ {
			if i == len(s) {
				return float64(n), true
			}
			if !isDigit(s[i]) {
				break
			}
			n = n*10 + uint64(s[i]-'0')
		}
	}
	if !isDigit(s[0]) && s[0] != '.' {
		switch lower(s) {
		case "inf", "infinity":
			return math.Inf(1), true
		case "nan":
			return math.NaN(), true
		}
		return 0, false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c), c == '.', c|0x20 == 'e', c == '+', c == '-':
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		ne, ok := err.(*strconv.NumError)
		return f, ok && ne.Err == strconv.ErrRange && exponentFits(s)
	case f == 0:
		return f, exponentFits(s)
	}
	return f, true
}

// maxExponent is where LuaJIT refuses an exponent.
const maxExponent = 1 << 20

// exponentFits reports whether the exponent of a decimal number is in range.
func exponentFits(s string) bool {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return true
	}
	e, err := strconv.Atoi(s[i+1:])
	return err == nil && -maxExponent < e && e < maxExponent
}

// parseBinary converts what follows 0b: up to 64 digits after leading zeros.
func parseBinary(s string) (uint64, bool) {
	if s == "" {
		return 0, false
	}
	var u uint64
	for i := range len(s) {
		if s[i]&^1 != '0' || u >= 1<<63 {
			return 0, false
		}
		u = u<<1 | uint64(s[i]&1)
	}
	return u, true
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

// parseHex converts what follows 0x: digits with an optional point and an
// optional binary exponent.
func parseHex(s string) (float64, bool) {
	exp, digits, i := 0, 0, 0
	// Up to 2^60 the mantissa is collected exactly; what follows can only
	// round, and rounds once because the sticky bit is kept.
	var m uint64
	sticky := false
	point := false
	for ; i < len(s); i++ {
		if s[i] == '.' && !point {
			point = true
			continue
		}
		d := hexDigit(s[i])
		if d < 0 {
			break
		}
		digits++
		if m < 1<<58 {
			m = m<<4 | uint64(d)
			if point {
				exp -= 4
			}
		} else {
			sticky = sticky || d != 0
			if !point {
				exp += 4
			}
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(s) && s[i]|0x20 == 'p' {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e <= -maxExponent || e >= maxExponent {
			return 0, false
		}
		exp += e
		i = len(s)
	}
	if i != len(s) {
		return 0, false
	}
	if sticky {
		m |= 1
	}
	// What is subnormal has fewer bits: round to those, and not to 53 before.
	if drop := -1074 - exp; drop > max(0, bits.Len64(m)-53) && drop < 64 {
		m = (m + 1<<(drop-1) - 1 + m>>drop&1) >> drop
		exp = -1074
	}
	return math.Ldexp(float64(m), exp), true
}
