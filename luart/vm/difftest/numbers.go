package difftest

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Numbers returns Lua expressions that convert numbers to text and back, and the
// program that evaluates them: it returns one line for each.
func Numbers(seed uint64, count int) (cases []string, program string) {
	g := &numbers{rand.New(rand.NewPCG(seed, 0))}
	var b strings.Builder
	b.WriteString(numbersPrologue)
	for i := range count {
		// A function has room for 65,536 constants.
		if i%1000 == 0 {
			if i > 0 {
				b.WriteString("end)();\n")
			}
			b.WriteString("(function()\n")
		}
		c := g.expression()
		cases = append(cases, c)
		fmt.Fprintf(&b, "case(%s)\n", c)
	}
	b.WriteString("end)()\nreturn table.concat(out, '\\n')\n")
	return cases, b.String()
}

// Values are shown with all their digits, without relying on conversions: the
// mantissa is a sum of integers.
const numbersPrologue = `
local out = {}
local format, ldexp, frexp = string.format, math.ldexp, math.frexp
local function show(v)
	if type(v) ~= "number" then
		return type(v) .. " " .. tostring(v)
	end
	if v ~= v or v == 1/0 or v == -1/0 or v == 0 then
		return "number " .. tostring(v)
	end
	local m, e = frexp(v)
	m = m * 2^53
	local high = m < 0 and -math.floor(-m / 2^27) or math.floor(m / 2^27)
	return "number " .. high .. "," .. m - high * 2^27 .. "," .. e
end
local function case(f, ...)
	local ok, v = pcall(f, ...)
	out[#out + 1] = (show(v):gsub("[\n\r%z]", {["\n"] = "\\n", ["\r"] = "\\r", ["\0"] = "\\0"}))
end
local function add(s) return s + 0 end
local function concat(x) return x .. "" end
local function literal(s) return assert(loadstring("return " .. s, "=literal"))() end
local function loop(s) for i = s, s do return i end end
;`

type numbers struct{ *rand.Rand }

func (g *numbers) oneOf(list ...string) string { return list[g.IntN(len(list))] }

// float is a number that is likely to be hard to convert.
func (g *numbers) float() float64 {
	var x float64
	switch g.IntN(12) {
	case 0, 1, 2:
		x = math.Float64frombits(g.Uint64())
	case 3:
		x, _ = strconv.ParseFloat("1e"+strconv.Itoa(g.IntN(640)-330), 64)
	case 4:
		x = math.Ldexp(1, g.IntN(2100)-1075)
	case 5:
		x = float64(g.Int64() >> g.IntN(64))
	case 6:
		x = math.Float64frombits(g.Uint64() >> (12 + g.IntN(52))) // subnormal
	case 7:
		// A half of the last digit that is shown, for some number of digits.
		x = float64(2*g.Int64N(1<<uint(1+g.IntN(40)))+1) / float64(uint64(2)<<g.IntN(30))
	case 8:
		x = float64(g.Int64N(1000000)) / math.Pow10(g.IntN(8))
	case 9:
		x = float64(g.IntN(20)) + 0.5
	case 10:
		x = g.Float64() * math.Pow10(g.IntN(20)-4)
	default:
		x = [...]float64{0, 1, 10, 0.1, 0.5, 2.5, 9.5, 99.5, 9.995, 1e14, 1e15, 1e16, 1e21, 1 << 31, 1 << 32, 1 << 53, 1 << 63, 1 << 64,
			math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.NaN()}[g.IntN(22)]
	}
	if g.IntN(8) == 0 {
		x = math.Nextafter(x, math.Inf(1-2*g.IntN(2)))
	}
	if g.IntN(3) == 0 {
		x = -x
	}
	return x
}

// exact writes x as an expression that no conversion of fractions is part of.
func exact(x float64) string {
	switch {
	case x != x:
		return "0/0"
	case math.IsInf(x, 0):
		return fmt.Sprintf("%v/0", math.Copysign(1, x))
	case x == 0:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	m, e := math.Frexp(x)
	if e < -1021 { // what is subnormal has fewer digits
		n := uint(-1021 - e)
		return fmt.Sprintf("ldexp(%d,%d)", int64(math.Ldexp(m, 53))>>n, e-53+int(n))
	}
	return fmt.Sprintf("ldexp(%d,%d)", int64(math.Ldexp(m, 53)), e-53)
}

func (g *numbers) expression() string {
	switch g.IntN(12) {
	case 0:
		return "tostring, " + exact(g.float())
	case 1:
		return "concat, " + exact(g.float())
	case 2:
		return g.oneOf("tonumber", "add", "literal", "loop", "tonumber", "add") + ", " + luaString(g.spelling())
	case 3:
		return "tonumber, " + luaString(g.spelling())
	case 4:
		digits := strconv.FormatUint(g.Uint64()>>g.IntN(64), 2+g.IntN(35))
		return fmt.Sprintf("tonumber, %s, %d", luaString(g.disturb(digits)), g.IntN(38))
	case 5:
		return g.text()
	default:
		return g.conversion()
	}
}

// conversion is a call of format with a number.
func (g *numbers) conversion() string {
	spec := "%"
	for g.IntN(3) == 0 {
		spec += g.oneOf("-", "+", " ", "#", "0")
	}
	if g.IntN(3) == 0 {
		spec += strconv.Itoa(g.IntN(40))
	}
	if g.IntN(2) == 0 {
		spec += "." + g.oneOf("", strconv.Itoa(g.IntN(20)), strconv.Itoa(g.IntN(100)))
	}
	arg := exact(g.float())
	verb := g.oneOf("g", "g", "e", "f", "a", "G", "E", "F", "A", "d", "i", "u", "x", "X", "o", "s", "c", "q")
	switch g.IntN(16) {
	case 0:
		arg = luaString(g.spelling())
	case 1:
		arg = strconv.FormatInt(g.Int64()>>g.IntN(64), 10) + g.oneOf("LL", "ULL")
		verb = g.oneOf("d", "i", "u", "x", "X", "o", "s", "g", "c", "q")
	case 2:
		arg = g.oneOf("nil", "true", "{}", "print", "''")
		verb = g.oneOf("d", "x", "c", "g", "a", "f")
	}
	if verb == "c" && g.IntN(4) > 0 {
		arg = strconv.Itoa(g.IntN(256))
	}
	if g.IntN(200) == 0 {
		verb = g.oneOf("", "\\n", "l", "100", "*", "%", "y", "\\200", "$", "\\0")
	}
	return fmt.Sprintf(`format, "|%s%s|", %s`, spec, verb, arg)
}

// text is a call of format with a string.
func (g *numbers) text() string {
	spec := "%" + g.oneOf("", "", "-", "0", "+", "#", " -")
	if g.IntN(2) == 0 {
		spec += strconv.Itoa(g.IntN(30))
	}
	if g.IntN(2) == 0 {
		spec += "." + g.oneOf("", strconv.Itoa(g.IntN(20)))
	}
	var s []byte
	for range g.IntN(20) {
		s = append(s, "\x00\n\r\t\\\"019a \x7f\x80\xff"[g.IntN(14)])
	}
	return fmt.Sprintf(`format, "|%s%s|", %s`, spec, g.oneOf("s", "q"), luaString(string(s)))
}

// spelling writes a number in one of many ways, some of them wrong.
func (g *numbers) spelling() string {
	x := g.float()
	var s string
	switch g.IntN(10) {
	case 0:
		s = strconv.FormatFloat(x, 'x', g.IntN(18)-1, 64)
	case 1:
		s = strconv.FormatFloat(x, 'f', -1, 64)
	case 2, 3:
		s = strconv.FormatFloat(x, 'e', g.IntN(30)-1, 64)
	case 4:
		// All the digits, and half the way to the next number.
		next := math.Nextafter(x, math.Inf(1))
		s = strconv.FormatFloat(x, 'f', g.IntN(80), 64)
		if e := math.Ilogb(x); x != 0 && next-x > 0 && e > -300 && e < 300 {
			s = halfway(x)
		}
	case 5:
		s = fmt.Sprintf("%#x", g.Uint64()>>g.IntN(64))
	case 6:
		s = "0x" + g.digits("0123456789abcdefABCDEF", 1+g.IntN(30))
		if g.IntN(2) == 0 {
			s += "." + g.digits("0123456789abcdef", g.IntN(30))
		}
		if g.IntN(2) == 0 {
			s += g.oneOf("p", "P") + g.oneOf("", "+", "-") + strconv.Itoa(g.IntN(1200))
		}
	case 7:
		s = g.digits("0123456789", 1+g.IntN(60))
		if g.IntN(2) == 0 {
			s += "." + g.digits("0123456789", g.IntN(60))
		}
		if g.IntN(2) == 0 {
			s += g.oneOf("e", "E") + g.oneOf("", "+", "-") + strconv.Itoa(g.IntN(400))
		}
	case 8:
		s = g.oneOf("0b", "0B") + g.digits("01", g.IntN(70))
	default:
		s = g.oneOf("", ".", "e1", "0x", "0xp1", "1e", "1e+", "inf", "nan", "infinity", "-INF", "NaN", "0x.p1", ".5", "5.", "0x.8", "0x8.", "1e1048576",
			"1e-1048576", "1e1048575", "0e99999999", "0x0p99999999", "1e99999999999", "00000000000000000000000001", "0000.0000001", "1__0", "1,5", "0b2",
			"1 2", "0x1g", "--1", "+-1", "- 1", "1e5.5", "1.2.3", "0x1.8.1", "1LL", "1ull", "0x7fffffffffffffffll", "1i", "2.5i", "18446744073709551615ULL",
			"1.5LL", "1e3ll", "0b11LL", "12345678901234567890LL", "0X1P-1", "0x1p", "1f", "0x1p1.5", strings.Repeat("9", 400), "0."+strings.Repeat("0", 400)+"1",
			strings.Repeat("1", 310)+"e-310", "0x"+strings.Repeat("f", 300), "0x."+strings.Repeat("0", 300)+"1p1200",
			"0x"+g.digits("0123456789abcdef", 14)+g.digits("08", 8)+"p-"+strconv.Itoa(1070+g.IntN(100)))
	}
	if g.IntN(6) == 0 {
		s = g.disturb(s)
	}
	if g.IntN(6) == 0 {
		s = g.oneOf("", " ", "\t\n", "+", "-", " -", "\v\f\r ", "\x00", "\xa0") + s + g.oneOf("", " ", "\n\t", "\x00", "x", " x", "\x00x", "\xa0", "L")
	}
	return s
}

func (g *numbers) digits(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[g.IntN(len(set))]
	}
	return string(b)
}

// disturb changes s in one place, or leaves it.
func (g *numbers) disturb(s string) string {
	if s == "" || g.IntN(2) == 0 {
		return s
	}
	i := g.IntN(len(s) + 1)
	return s[:i] + g.oneOf(".", "e", "p", "-", "+", " ", "x", "0", "9", "f", "_", "\x00") + s[min(len(s), i+g.IntN(2)):]
}

// halfway is the decimal expansion of what is in the middle between x and the
// number after it, now and then with another digit far behind.
func halfway(x float64) string {
	a := new(big.Float).SetPrec(2000).SetFloat64(x)
	b := new(big.Float).SetPrec(2000).SetFloat64(math.Nextafter(x, math.Inf(1)))
	a.Add(a, b).Quo(a, big.NewFloat(2))
	return a.Text('f', 1100)
}

// luaString writes s so that every byte of it survives.
func luaString(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			b = fmt.Appendf(b, "\\%03d", c)
		} else {
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
