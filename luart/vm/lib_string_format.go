package vm

import (
	"math"
	"math/bits"
	"strconv"
)

// formatSpec is a conversion of string.format.
type formatSpec struct {
	minus, plus, space, alt, zero bool
	width                         int
	prec                          int // -1 if not given
	verb                          byte
}

// parseSpec reads what follows a %. It returns the number of bytes it read; a
// verb of 0 means that the text up to there is no valid conversion.
func parseSpec(s string) (f formatSpec, n int) {
	f.prec = -1
	i := 0
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '-':
			f.minus = true
		case '+':
			f.plus = true
		case ' ':
			f.space = true
		case '#':
			f.alt = true
		case '0':
			f.zero = true
		default:
			break flags
		}
	}
	digits := func() (v int) {
		for n := 0; n < 2 && i < len(s) && isDigit(s[i]); n++ {
			v = v*10 + int(s[i]-'0')
			i++
		}
		return v
	}
	f.width = digits()
	if i < len(s) && s[i] == '.' {
		i++
		f.prec = digits()
	}
	if i == len(s) || s[i] < ' ' {
		return f, i
	}
	switch s[i] {
	case 'c', 'd', 'i', 'o', 'u', 'x', 'X', 'a', 'A', 'e', 'E', 'f', 'F', 'g', 'G', 'q', 's', 'p':
		f.verb = s[i]
	}
	return f, i + 1
}

// pad fills dst[from:] up to the width. With zeros they go after the sign and
// the 0x that are the first skip bytes.
func (f *formatSpec) pad(dst []byte, from, skip int, zeros bool) []byte {
	n := f.width - (len(dst) - from)
	if n <= 0 {
		return dst
	}
	fill := byte(' ')
	at := from
	switch {
	case f.minus:
		at = len(dst)
	case zeros:
		fill = '0'
		at += skip
	}
	for range n {
		dst = append(dst, fill)
	}
	copy(dst[at+n:], dst[at:len(dst)-n])
	for i := at; i < at+n; i++ {
		dst[i] = fill
	}
	return dst
}

// appendSign appends - or what the flags ask for.
func (f *formatSpec) appendSign(dst []byte, neg bool) []byte {
	switch {
	case neg:
		return append(dst, '-')
	case f.plus:
		return append(dst, '+')
	case f.space:
		return append(dst, ' ')
	}
	return dst
}

// appendStr is %s and %c.
func (f *formatSpec) appendStr(dst []byte, s string) []byte {
	if f.prec >= 0 && f.prec < len(s) {
		s = s[:f.prec]
	}
	from := len(dst)
	return f.pad(append(dst, s...), from, 0, false)
}

// appendInt is %d, %i.
func (f *formatSpec) appendInt(dst []byte, i int64) []byte {
	if f.width == 0 && f.prec < 0 && !f.plus && !f.space {
		return strconv.AppendInt(dst, i, 10)
	}
	from := len(dst)
	u := uint64(i)
	if i < 0 {
		u = -u
	}
	return f.appendDigits(f.appendSign(dst, i < 0), from, u, 10)
}

// appendUint is %u, %o, %x, %X.
func (f *formatSpec) appendUint(dst []byte, u uint64) []byte {
	from := len(dst)
	switch f.verb {
	case 'o':
		// The padding with zeros may provide the leading zero that # wants.
		digits := (bits.Len64(u) + 2) / 3
		if f.alt && u != 0 && !(f.zero && !f.minus && f.prec < 0 && f.width > digits) {
			f.prec = max(f.prec, digits+1)
		}
		return f.appendDigits(dst, from, u, 8)
	case 'x', 'X':
		if f.alt && u != 0 {
			dst = append(dst, '0', f.verb)
		}
		return f.appendDigits(dst, from, u, 16)
	}
	return f.appendDigits(dst, from, u, 10)
}

// appendDigits appends u after the sign at dst[from:], and pads.
func (f *formatSpec) appendDigits(dst []byte, from int, u uint64, base int) []byte {
	skip := len(dst) - from
	if u != 0 || f.prec != 0 || f.alt && base == 8 {
		n := 1
		for v := u / uint64(base); v != 0; v /= uint64(base) {
			n++
		}
		for ; n < f.prec; n++ {
			dst = append(dst, '0')
		}
		start := len(dst)
		dst = strconv.AppendUint(dst, u, base)
		if f.verb == 'X' {
			upperBytes(dst[start:])
		}
	}
	return f.pad(dst, from, skip, f.zero && f.prec < 0)
}

// appendFloat is %e, %f, %g, %a and their upper-case forms.
func (f *formatSpec) appendFloat(dst []byte, x float64) []byte {
	from := len(dst)
	upper := f.verb < 'a'
	verb := f.verb | 0x20
	if x != x || math.IsInf(x, 0) {
		switch {
		case x == x:
			dst = append(f.appendSign(dst, x < 0), "inf"...)
		case f.space: // unlike a plus
			dst = append(dst, " nan"...)
		default:
			dst = append(dst, "nan"...)
		}
		if upper {
			upperBytes(dst[from:])
		}
		return f.pad(dst, from, 0, false)
	}
	neg := math.Signbit(x)
	x = math.Abs(x)
	dst = f.appendSign(dst, neg)
	skip := len(dst) - from
	prec := f.prec
	if prec < 0 {
		prec = 6
	}
	switch verb {
	case 'a':
		skip += 2
		dst = appendHexFloat(dst, x, f.prec, f.alt)
	case 'e':
		dst = appendExp(dst, x, prec, f.alt)
	case 'f':
		dst = appendFixed(dst, x, prec)
		if f.alt && prec == 0 {
			dst = append(dst, '.')
		}
	default:
		dst = appendGeneral(dst, x, prec, f.alt)
	}
	if upper {
		upperBytes(dst[from:])
	}
	return f.pad(dst, from, skip, f.zero)
}

func upperBytes(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 32
		}
	}
}

// appendScientific is x >= 0 as d.ddde±dd. Halves are rounded up, as in LuaJIT,
// where C and strconv round them to even.
func appendScientific(dst []byte, x float64, prec int) []byte {
	from := len(dst)
	dst = strconv.AppendFloat(dst, x, 'e', prec, 64)
	mark := len(dst) - 3
	for dst[mark] != 'e' {
		mark--
	}
	exp := 0
	for _, c := range dst[mark+2:] {
		exp = exp*10 + int(c-'0')
	}
	if dst[mark+1] == '-' {
		exp = -exp
	}
	p := prec - exp // digits after the point
	if !mayTie(x, p) {
		return dst
	}
	// The expansion is exact: is it the digits wanted, and a half?
	var buf [400]byte
	digits := strconv.AppendFloat(buf[:0], x, 'f', max(p+1, 0), 64)
	n := 0
	for _, c := range digits {
		if c != '.' && (c != '0' || n > 0) {
			digits[n] = c
			n++
		}
	}
	if digits = digits[:n]; n < prec+2 || digits[prec+1] != '5' || !allZero(digits[prec+2:]) {
		return dst
	}
	digits = digits[:prec+1]
	if carry := increment(digits); carry {
		return dst // 9.5 to 10: strconv has rounded up
	}
	dst[from] = digits[0]
	if prec > 0 {
		copy(dst[from+2:], digits[1:])
	}
	return dst
}

// mayTie reports whether x can be a half of the digit p places after the point:
// x*10^p - 1/2 is no integer unless x*2^(p+1) is one.
func mayTie(x float64, p int) bool {
	y := math.Ldexp(x, p+1)
	return y == math.Trunc(y) && x != 0
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// increment adds one to the number in decimal digits b, which may have a point.
func increment(b []byte) (carry bool) {
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case '.':
		case '9':
			b[i] = '0'
		default:
			b[i]++
			return false
		}
	}
	return true
}

// appendExp is %.<prec>e for x >= 0.
func appendExp(dst []byte, x float64, prec int, alt bool) []byte {
	from := len(dst)
	dst = appendScientific(dst, x, prec)
	if alt && prec == 0 {
		dst = append(dst, 0)
		copy(dst[from+2:], dst[from+1:])
		dst[from+1] = '.'
	}
	return dst
}

// appendFixed is %.<prec>f for x >= 0. Package strconv is slow at this but not
// at a known number of significant digits, so usual numbers go that way.
func appendFixed(dst []byte, x float64, prec int) []byte {
	if x == math.Trunc(x) && x < 1<<53 {
		dst = strconv.AppendUint(dst, uint64(x), 10)
		if prec > 0 {
			dst = append(dst, '.')
			for range prec {
				dst = append(dst, '0')
			}
		}
		return dst
	}
	if mayTie(x, prec) {
		from := len(dst)
		dst = strconv.AppendFloat(dst, x, 'f', prec+1, 64) // exact
		half := dst[len(dst)-1] == '5'
		dst = dst[:len(dst)-1]
		if prec == 0 {
			dst = dst[:len(dst)-1] // the point
		}
		if half && increment(dst[from:]) {
			dst = append(dst, 0)
			copy(dst[from+1:], dst[from:])
			dst[from] = '1'
		}
		return dst
	}
	exp := 0
	switch {
	case x >= 1e15 || x < 0.001:
		return strconv.AppendFloat(dst, x, 'f', prec, 64)
	case x >= 1:
		for u := uint64(x); u >= 10; u /= 10 {
			exp++
		}
	case x >= 0.1:
		exp = -1
	case x >= 0.01:
		exp = -2
	default:
		exp = -3
	}
	if exp+prec < 0 || exp+prec > 16 {
		return strconv.AppendFloat(dst, x, 'f', prec, 64)
	}
	var buf [32]byte
	digits, e := scanExp(strconv.AppendFloat(buf[:0], x, 'e', exp+prec, 64))
	// Rounding up to the next power of ten leaves a digit too few, a zero.
	for len(digits) < e+1+prec {
		digits = append(digits, '0')
	}
	if e < 0 {
		dst = append(dst, '0')
	} else {
		dst = append(dst, digits[:e+1]...)
		digits = digits[e+1:]
	}
	if prec == 0 {
		return dst
	}
	dst = append(dst, '.')
	for i := -1; i > e; i-- {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// scanExp splits d.ddde±dd, in place, into digits and exponent.
func scanExp(b []byte) (digits []byte, exp int) {
	i := len(b) - 1
	for b[i] != 'e' {
		i--
	}
	for _, c := range b[i+2:] {
		exp = exp*10 + int(c-'0')
	}
	if b[i+1] == '-' {
		exp = -exp
	}
	if i > 1 {
		copy(b[1:], b[2:i])
		i--
	}
	return b[:i], exp
}

// appendGeneral is %.<prec>g for x >= 0.
func appendGeneral(dst []byte, x float64, prec int, alt bool) []byte {
	prec = max(prec, 1)
	var buf [128]byte
	b := appendScientific(buf[:0], x, prec-1)
	mark := len(b) - 1
	for b[mark] != 'e' {
		mark--
	}
	var tail [8]byte
	suffix := append(tail[:0], b[mark:]...)
	digits, exp := scanExp(b)
	if !alt {
		for len(digits) > 1 && digits[len(digits)-1] == '0' {
			digits = digits[:len(digits)-1]
		}
	}
	switch {
	case exp < -4 || exp >= prec:
		dst = append(dst, digits[0])
		if len(digits) > 1 || alt {
			dst = append(dst, '.')
			dst = append(dst, digits[1:]...)
		}
		return append(dst, suffix...)
	case exp < 0:
		dst = append(dst, "0."...)
		for range -exp - 1 {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	n := min(exp+1, len(digits))
	dst = append(dst, digits[:n]...)
	for ; n < exp+1; n++ {
		dst = append(dst, '0')
	}
	if len(digits) > exp+1 || alt {
		dst = append(dst, '.')
	}
	if len(digits) > exp+1 {
		dst = append(dst, digits[exp+1:]...)
	}
	return dst
}

// appendHexFloat is %.<prec>a for x >= 0, with halves rounded up; a negative prec
// asks for as many digits as needed.
func appendHexFloat(dst []byte, x float64, prec int, alt bool) []byte {
	frac, exp := uint64(0), 0
	if x != 0 {
		var m float64
		m, exp = math.Frexp(x)
		exp--
		frac = uint64(math.Ldexp(m, 53)) // 1 << 52 is the leading one
	}
	if prec >= 0 && prec < 13 {
		shift := uint(4 * (13 - prec))
		half := uint64(1) << (shift - 1)
		frac = (frac + half) &^ (1<<shift - 1)
	}
	dst = append(dst, '0', 'x', '0'+byte(frac>>52))
	frac &= 1<<52 - 1
	n := prec
	if n < 0 {
		for n = 0; frac<<(12+4*n) != 0; n++ {
		}
	}
	if n > 0 || alt {
		dst = append(dst, '.')
	}
	for i := range n {
		d := byte(0)
		if i < 13 {
			d = byte(frac >> (48 - 4*i) & 15)
		}
		dst = append(dst, "0123456789abcdef"[d])
	}
	dst = append(dst, 'p')
	if exp >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

// appendQuoted is %q.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 127:
			dst = append(dst, '\\')
			if i+1 < len(s) && isDigit(s[i+1]) {
				dst = append(dst, '0'+c/100, '0'+c/10%10, '0'+c%10)
			} else {
				dst = strconv.AppendUint(dst, uint64(c), 10)
			}
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendPointer is %p, which has no width.
func appendPointer(dst []byte, v Value) []byte {
	p := v.Pointer()
	if p == 0 {
		return append(dst, "NULL"...)
	}
	return strconv.AppendUint(append(dst, "0x"...), uint64(p), 16)
}

// floatToUint converts for %x: what is at least 2^63 wraps.
func floatToUint(x float64) uint64 {
	if x >= 1<<63 {
		return uint64(floatToInt(x - 1<<64))
	}
	return uint64(floatToInt(x))
}

// appendFormat appends format with the arguments of t from arg+1 on; arg is the
// number of the format's own argument.
func (t *Thread) appendFormat(dst []byte, format string, arg int) []byte {
	for i := 0; i < len(format); {
		if format[i] != '%' {
			j := i + 1
			for j < len(format) && format[j] != '%' {
				j++
			}
			dst = append(t.grown(dst, j-i), format[i:j]...)
			i = j
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			dst = append(dst, '%')
			i++
			continue
		}
		f, n := parseSpec(format[i:])
		if f.verb == 0 {
			t.Errorf("invalid option '%%%s' to 'format'", format[i:i+n])
		}
		i += n
		arg++
		if arg > t.NArgs() {
			t.ArgError(arg, "value expected")
		}
		dst = t.appendArg(dst, &f, arg)
	}
	return dst
}

// appendArg appends argument arg as f asks.
func (t *Thread) appendArg(dst []byte, f *formatSpec, arg int) []byte {
	v := t.Arg(arg)
	switch f.verb {
	case 's', 'q':
		var s string
		switch {
		case v.isStr():
			s = v.str().s
		case v.isNum() && f.verb == 's' && f.width == 0 && f.prec < 0:
			return AppendNumber(dst, v.float())
		default:
			s = t.ToString(v)
		}
		if f.verb == 'q' {
			return appendQuoted(t.grown(dst, len(s)+len(s)/8+2), s)
		}
		return f.appendStr(t.grown(dst, len(s)), s)
	case 'p':
		return appendPointer(dst, v)
	case 'd', 'i':
		if c := t.boxed(arg); c != nil {
			return f.appendInt(dst, int64(c.Bits))
		}
		return f.appendInt(dst, int64(t.CheckInt(arg)))
	case 'o', 'u', 'x', 'X':
		if c := t.boxed(arg); c != nil {
			return f.appendUint(dst, c.Bits)
		}
		return f.appendUint(dst, floatToUint(t.CheckNumber(arg)))
	case 'c':
		f.prec = -1
		return f.appendStr(dst, byteStrings[byte(t.checkInt32(arg))].s)
	}
	return f.appendFloat(dst, t.CheckNumber(arg))
}
