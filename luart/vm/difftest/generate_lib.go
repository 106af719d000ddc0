package difftest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// subject is a string to match patterns with.
func (g *generator) subject() string {
	var b strings.Builder
	for range g.r.IntN(20) {
		b.WriteString(g.pick("a", "b", "ab", "B", "1", "27", " ", "\t", "\n", "(", ")", "[", "]", "-", "=", "%", "^", "$", ".", "_", "é", "key=val"))
	}
	return strconv.Quote(b.String())
}

// pattern is a pattern, now and then a malformed one.
func (g *generator) pattern() string {
	var b strings.Builder
	if g.r.IntN(5) == 0 {
		b.WriteString("^")
	}
	open, captures := 0, 0
	for range 1 + g.r.IntN(5) {
		switch n := g.r.IntN(24); {
		case n < 3:
			b.WriteString("(")
			open++
			captures++
			if g.r.IntN(4) == 0 {
				b.WriteString(")")
				open--
			}
			continue
		case n < 5 && open > 0:
			b.WriteString(")")
			open--
			continue
		case n == 5:
			b.WriteString(g.pick("%b()", "%b[]", "%bab", "%f[%w]", "%f[^%w]", "%f[%z]"))
			continue
		case n == 6 && captures > 0:
			b.WriteString("%" + strconv.Itoa(1+g.r.IntN(captures+1)))
			continue
		case n == 7 && g.r.IntN(4) == 0:
			b.WriteString(g.pick("%", "[", "[a", ")", "%b", "%f", "%9", "[%", "%0", "[^]", "[]"))
			continue
		}
		b.WriteString(g.pick("a", "b", ".", "%a", "%d", "%s", "%w", "%W", "%p", "%l", "%u", "%x", "%c", "%D", "[ab]", "[^a]", "[a-z]", "[%w_]", "[]]", "[^]a]",
			"[a-]", "[%a-z]", "[1-9%-]", "%.", "%%", "%(", "=", "-", "$", "\\195\\169"))
		b.WriteString(g.pick("", "", "", "*", "+", "-", "?"))
	}
	for open > 0 && g.r.IntN(20) > 0 {
		b.WriteString(")")
		open--
	}
	if g.r.IntN(6) == 0 {
		b.WriteString("$")
	}
	return `"` + b.String() + `"`
}

// patterns matches strings.
func (g *generator) patterns() {
	s, p := g.name(), g.name()
	fmt.Fprintf(&g.b, "do local %s, %s = %s, %s\n", s, p, g.subject(), g.pattern())
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(5) {
		case 0:
			fmt.Fprintf(&g.b, "emit(pcall(string.find, %s, %s%s))\n", s, p, g.pick("", ", 2", ", -3", ", 100", ", 1, true", ", -100"))
		case 1:
			fmt.Fprintf(&g.b, "emit(pcall(string.match, %s, %s%s))\n", s, p, g.pick("", ", 3", ", -1", ", 0"))
		case 2:
			fmt.Fprintf(&g.b, "emit(pcall(function() for a, b, c in %s:gmatch(%s) do tick() emit(a, b, c) end end))\n", s, p)
		default:
			fmt.Fprintf(&g.b, "emit(pcall(string.gsub, %s, %s, %s%s))\n", s, p,
				g.pick(`"<%0>"`, `"%1%1"`, `"[%2]"`, `"%%"`, `""`, "string.upper", `{a = 1, b = true, [" "] = false, ["27"] = "T"}`, "function(...) tick() return select('#', ...) .. show((...)) end",
					"function(a, b) return b end", `"%"`, `"%x"`, "{}", "5", "function() return {} end", "setmetatable({}, {__index = function(t, k) return k .. k end})"),
				g.pick("", "", ", 1", ", 0", ", 2.7", ", -1"))
		}
	}
	g.b.WriteString("end\n")
}

// value is a number of any kind, as an argument.
func (g *generator) value() string {
	if !g.dialect.LuaJIT { // C leaves the conversion of what is no int open
		return g.pick("0", "1", "2", "-1", "-2", "3", "1.5", "-0.7", "2.9", "1000", "-1000", `"2"`, `" 0x2 "`, "nil", "true", "{}", `"x"`)
	}
	return g.pick("0", "1", "2", "-1", "-2", "3", "1.5", "-0.5", "2.9", "1e15", "-1e15", "2^31", "-2^31", "2^32", "2^53", `"2"`, `" 0x2 "`, "nil", "true", "{}", `"x"`, "1/0", "-1/0")
}

// stringArgs calls string functions with numbers at and beyond their limits.
func (g *generator) stringArgs() {
	s := g.subject()
	v := func() string { return g.value() }
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(7) {
		case 0:
			fmt.Fprintf(&g.b, "emit(pcall(string.sub, %s, %s, %s))\n", s, v(), v())
		case 1:
			fmt.Fprintf(&g.b, "emit(pcall(string.byte, %s, %s, %s))\n", s, v(), g.pick("1", "-1", "3", "nil"))
		case 2:
			fmt.Fprintf(&g.b, "emit(pcall(string.char, %s, %s))\n", v(), g.pick("65", "255", "256", "-1", "0"))
		case 3:
			fmt.Fprintf(&g.b, "emit(pcall(string.rep, %s, %s))\n", g.pick(`"ab"`, `""`, "12", "nil"), g.pick("0", "3", "-1", "2.7", `"2"`, "nil", "{}", "-1000"))
		case 4:
			fmt.Fprintf(&g.b, "emit(pcall(tonumber, %s, %s))\n", g.pick(`"10"`, `"ff"`, `"zz"`, `" 11 "`, `"1 1"`, `""`, `"8"`, `"1e1"`, `"0x10"`, "12"), g.pick("10", "16", "2", "36", "1", "37", "8", "nil", "16.7"))
		case 5:
			fmt.Fprintf(&g.b, "emit(pcall(select, %s, 'a', 'b', 'c'))\n", v())
		default:
			fmt.Fprintf(&g.b, "emit(pcall(table.concat, {1, 'x', 2.5}, %s, %s, %s))\n", g.pick("nil", `","`, "1", "{}"), g.pick("nil", "1", "2", "4"), g.pick("nil", "2", "3", "0", "4"))
		}
	}
}

// integers computes with 64-bit integers.
func (g *generator) integers() {
	if !g.dialect.LuaJIT {
		g.numerals()
		return
	}
	unsigned := g.r.IntN(2) == 0
	first := func() string {
		if unsigned {
			return g.pick("1ULL", "0xffffffffffffffffULL", "0ULL", "123456789012ULL", "0x8000000000000000ULL")
		}
		return g.pick("7LL", "-7LL", "0LL", "123456789012LL", "-0x7fffffffffffffffLL", "0x7fffffffffffffffLL")
	}
	lit := func() string {
		if !unsigned && g.r.IntN(4) == 0 { // C leaves these conversions to unsigned open
			return g.pick("-3", "2^63", "-2^63", "1e300", "-0.5")
		}
		return g.pick(first(), "3", "0.5", "2^53", "7LL", "-1LL", "0x7fffffffffffffffLL", `"5"`, "nil", "{}", "true")
	}
	for range 2 + g.r.IntN(4) {
		a, b := first(), lit()
		if g.r.IntN(3) == 0 {
			a, b = b, a
		}
		switch g.r.IntN(5) {
		case 0, 1:
			fmt.Fprintf(&g.b, "emit(pcall(function() local a, b = %s, %s return tostring(a %s b) end))\n", a, b, g.pick("+", "-", "*", "/", "%", "^"))
		case 2:
			fmt.Fprintf(&g.b, "emit(pcall(function() local a, b = %s, %s return a %s b end))\n", a, b, g.pick("==", "~=", "<", "<=", ">", ">="))
		case 3:
			fmt.Fprintf(&g.b, "emit(pcall(function() local a, b = %s, %s return tostring(-a), type(a), tonumber(b), tostring(bit.%s(a, %s)) end))\n", first(), lit(),
				g.pick("band", "bor", "bxor"), g.pick("255", "1LL", "0xffULL", "-1LL"))
		default:
			fmt.Fprintf(&g.b, "emit(pcall(function() local a, b = %s, %s return tostring(bit.%s(a, %s)), bit.tohex(a, %s) end))\n", first(), lit(),
				g.pick("lshift", "rshift", "arshift", "rol", "ror"), g.pick("0", "1", "31", "32", "63", "64", "-1"), g.pick("8", "16", "-4", "3"))
		}
		if g.r.IntN(4) == 0 {
			fmt.Fprintf(&g.b, "emit(pcall(function() local a, b = %s, %s return %s end))\n", first(), lit(), g.pick("a .. b", "#a", "a.x", "a()", "a < b", "(\"%d %s\"):format(a, tostring(b))", "({[a] = 1})[a]"))
		}
	}
}

// yields leaves metamethods, iterators and protected calls by yield, and comes back.
func (g *generator) yields() {
	if !g.dialect.LuaJIT {
		g.wrap()
		return
	}
	co, o := g.name(), g.name()
	y := func() string { return "coroutine.yield(" + g.list(1+g.r.IntN(2)) + ")" }
	fmt.Fprintf(&g.b, "do local %s = setmetatable({}, {\n", o)
	for _, e := range []string{"__index", "__newindex", "__add", "__concat", "__lt", "__le", "__eq", "__call", "__unm", "__div"} {
		fmt.Fprintf(&g.b, "%s = function(...) tick() local r = %s %s return %s end,\n", e, y(), g.pick("", "", "error("+g.expr(anything, 1)+", 0) ", y()+" "), g.pick("r", "...", g.expr(anything, 1)))
	}
	fmt.Fprintf(&g.b, "})\nlocal p = setmetatable({}, getmetatable(%s))\nlocal %s = coroutine.wrap(function(...)\n", o, co)
	for range 1 + g.r.IntN(4) {
		switch g.r.IntN(9) {
		case 0:
			fmt.Fprintf(&g.b, "emit(%s + %s, %s .. %s)\n", o, g.expr(number, 1), g.expr(text, 1), o)
		case 1:
			fmt.Fprintf(&g.b, "emit(pcall(function() return %s.%s, %s %s p end))\n", o, g.field(), o, g.pick("<", "<=", ">", "==", "~="))
		case 2:
			fmt.Fprintf(&g.b, "if %s < p then emit('less') elseif not (%s == p) then emit('ne') end\n", o, o)
		case 3:
			fmt.Fprintf(&g.b, "%s.%s = %s emit(rawget(%s, 'x'))\n", o, g.field(), g.expr(anything, 1), o)
		case 4:
			fmt.Fprintf(&g.b, "for k, v in %s, %s do tick() emit(k, v) if v or steps %% 2 == 0 then break end end\n", o, g.expr(anything, 1))
		case 5:
			fmt.Fprintf(&g.b, "emit(xpcall(function(...) emit(...) local r = %s if r then error(r, 0) end return -%s end, function(m) return 'H' .. show(m) end, %s))\n", y(), o, g.list(1))
		case 6:
			fmt.Fprintf(&g.b, "emit(pcall(pcall, pcall, coroutine.yield%s))\n", g.tail(g.r.IntN(2)))
		case 7:
			fmt.Fprintf(&g.b, "emit(select(2, pcall(string.gsub, 'abc', '%%w', function(c) %s end)))\n", g.pick("return coroutine.yield(c)", "return c:upper()"))
		default:
			fmt.Fprintf(&g.b, "return %s(%s)\n", o, g.list(1))
			goto done
		}
	}
done:
	fmt.Fprintf(&g.b, "end)\nfor i = 1, 12 do tick() emit(i, pcall(%s, %s)) end end\n", co, g.list(1))
}

// namedErrors fails in an operation on something that has a name, or has none.
func (g *generator) namedErrors() {
	n := g.name()
	fmt.Fprintf(&g.b, "do local %s, up = %s, %s\nlocal function f(a, b, ...)\ntick() local c, d = %s\n", n, g.pick("{}", "nil", "1", `"s"`), g.pick("{}", "nil", "2", "{x = {}}"), g.list(2))
	thing := func() string {
		return g.pick("a", "b", "c", n, "up", "undefined", "up.x", "a.y", "up.x.y", "c.z", "(a or b)", "(a and b.x)", "(...)", "a[1]", "up[c]", "f", "a:m()", "string.nope", "up.x.y.z",
			"(not a)", "(a == b or c.x)", "(c)", "#a", "-b", "a.b.c", "math.pi", "_G.nope", "{}", `"s"`, "5", "nil", "true", "(function() end)", "(a .. b)")
	}
	name := func() string {
		return g.pick("a", "b", "c", n, "up", "undefined", "up.x", "a.y", "up.x.y", "a[1]", "a[c]", "_G.nope", "string.nope")
	}
	for range 1 + g.r.IntN(2) {
		switch g.r.IntN(12) {
		case 0:
			fmt.Fprintf(&g.b, "emit(pcall(function() return %s %s %s end))\n", thing(), g.pick("+", "-", "*", "/", "%", "^", "..", "<", "<=", ">", ">="), thing())
		case 1:
			fmt.Fprintf(&g.b, "local x = %s %s %s emit(x)\n", thing(), g.pick("+", "..", "<", "*"), thing())
		case 2:
			fmt.Fprintf(&g.b, "%s(%s)\n", name(), thing())
		case 3:
			fmt.Fprintf(&g.b, "%s:%s(%s)\n", name(), g.field(), thing())
		case 4:
			fmt.Fprintf(&g.b, "%s.%s = %s\n", name(), g.field(), thing())
		case 5:
			fmt.Fprintf(&g.b, "%s[%s] = %s\n", name(), thing(), thing())
		case 6:
			fmt.Fprintf(&g.b, "emit(#%s, -%s)\n", name(), thing())
		case 7:
			fmt.Fprintf(&g.b, "for i = %s, %s do break end\n", thing(), thing())
		case 8:
			fmt.Fprintf(&g.b, "for k in %s do break end\n", thing())
		case 9:
			fmt.Fprintf(&g.b, "local x = %s .. %s .. %s\n", thing(), thing(), thing())
		case 10:
			fmt.Fprintf(&g.b, "if %s %s %s then emit(1) else emit(2) end\n", thing(), g.pick("<", "<=", ">", ">=", "==", "~="), thing())
		default:
			fmt.Fprintf(&g.b, "emit(pcall(%s, %s, %s))\n", g.pick(g.counter("string.rep"), "math.floor", "table.insert", "ipairs", "setmetatable", "string.find", "math.max", "tostring", "next", "rawset", "unpack",
				"string.upper", "table.concat", "coroutine.resume", "coroutine.wrap", "math.ldexp", "loadstring", "getmetatable", g.counter("select"), "error", "table.remove", "math.fmod"), thing(), thing())
		}
	}
	fmt.Fprintf(&g.b, "return a.b.c.%s, up\nend\nemit(pcall(f, %s)) emit(pcall(f, {b = {c = {}}}, %s)) end\n", g.field(), g.list(2), g.list(2))
}

// sorting sorts with comparators that may be no order.
func (g *generator) sorting() {
	n := g.name()
	var parts []string
	for range g.r.IntN(30) {
		parts = append(parts, g.pick("1", "2", "3", "7", "9", "-1", "0.5", "4", "5", "6", "8"))
	}
	fmt.Fprintf(&g.b, "do local %s = {%s}\nemit(pcall(table.sort, %s%s))\nemit(table.concat(%s, ' '))\n", n, strings.Join(parts, ", "), n,
		g.comparator(), n)
	if g.dialect.LuaJIT {
		fmt.Fprintf(&g.b, "emit(pcall(table.move, %s, %s, %s, %s)) emit(table.concat(dense(%s), ' '))\n", n, g.pick("1", "2", "0"), g.pick("3", "#"+n, "0"), g.pick("1", "2", "4", "-1"), n)
	}
	g.b.WriteString("end\n")
}

// comparator is the second argument of table.sort. What is no order PUC Lua may
// compare with what is beyond the table.
func (g *generator) comparator() string {
	if g.dialect.LuaJIT && g.r.IntN(2) == 0 {
		return g.pick(", function(a, b) return true end", ", function(a, b) return a <= b end", ", function(a, b) return (a * 7 + b * 3) % 5 < 2 end")
	}
	return g.pick("", ", function(a, b) return a > b end", ", function(a, b) if a == 7 then error('seven') end return a < b end", ", 5", ", function(a, b) return a % 2 < b % 2 end")
}

// numerals reads and writes numbers of all magnitudes.
func (g *generator) numerals() {
	for range 2 + g.r.IntN(3) {
		var s string
		switch g.r.IntN(6) {
		case 0:
			s = strconv.FormatFloat(math.Float64frombits(g.r.Uint64()), 'g', -1, 64)
		case 1:
			s = strconv.FormatFloat(math.Float64frombits(g.r.Uint64()), 'e', g.r.IntN(25), 64)
		case 2:
			s = strconv.FormatFloat(g.r.NormFloat64()*math.Pow(10, float64(g.r.IntN(40)-20)), 'f', g.r.IntN(25), 64)
		case 3:
			s = strconv.FormatUint(g.r.Uint64()>>g.r.IntN(64), 10)
		case 4:
			s = "0x" + strconv.FormatUint(g.r.Uint64()>>g.r.IntN(64), 16)
			if g.dialect.LuaJIT && g.r.IntN(2) == 0 {
				s += g.pick(".8", ".fff", "p3", "p-1000", "P+10", ".1p4", "p")
			} else if len(s) > 10 {
				s = s[:10]
			}
		default:
			s = g.pick("", " ", "1e", "1e+", ".5", "5.", ".", "1e400", "1e-400", "inf", "nan", "0x", "1..2", "- 1", "1_000", "1e5x", " \t12\n", "00012", "1e0005", "-.5e-3", "4.9e-324", "2.4e-324")
		}
		if strings.ContainsAny(s, "NI") { // NaN, Inf: sign and case are another matter
			s = "1"
		}
		v := g.name()
		if !g.dialect.LuaJIT { // halves are rounded another way
			fmt.Fprintf(&g.b, "do local %s = tonumber(%q) emit(type(%s), type(%s) == 'number' and (\"%%.60e\"):format(%s)) end\n", v, s, v, v, v)
			continue
		}
		fmt.Fprintf(&g.b, "do local %s = tonumber(%q) emit(%s, type(%s) == 'number' and (\"%%.17g %%g %%.3e\"):format(%s, %s, %s)) end\n", v, s, v, v, v, v, v)
	}
}
