package difftest

import (
	"fmt"
	"strings"
)

// more writes one of the longer constructs.
func (g *generator) more() {
	switch g.r.IntN(22) {
	case 13, 14:
		g.patterns()
	case 15:
		g.stringArgs()
	case 16:
		g.integers()
	case 17:
		g.yields()
	case 18, 19:
		g.namedErrors()
	case 20:
		g.sorting()
	case 21:
		g.numerals()
	case 0:
		g.metatable()
	case 1:
		g.closures()
	case 2:
		g.assignments()
	case 3:
		g.wrap()
	case 4:
		g.tableCalls()
	case 5:
		g.environment()
	case 6:
		g.longString()
	case 7:
		g.varargs()
	case 8:
		g.gotos()
	case 9:
		g.handler()
	case 10:
		g.formats()
	case 11:
		g.source()
	default:
		g.numbers()
	}
}

// metatable declares an object with metamethods of its own.
func (g *generator) metatable() {
	n := g.name()
	fmt.Fprintf(&g.b, "local %s = setmetatable({%s}, {\n", n, g.list(1))
	for _, e := range []string{"__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__concat", "__eq", "__lt", "__le",
		"__index", "__newindex", "__call", "__tostring"} {
		if g.r.IntN(3) > 0 {
			continue
		}
		switch {
		case e == "__tostring":
			fmt.Fprintf(&g.b, "%s = function(...) tick() return %s end,\n", e, g.pick(`"T"`, `"obj" .. select('#', ...)`))
		case e == "__newindex" && g.r.IntN(2) == 0:
			fmt.Fprintf(&g.b, "%s = function(t, k, v) tick() rawset(t, k, %s) end,\n", e, g.expr(anything, 1))
		case g.r.IntN(4) == 0:
			fmt.Fprintf(&g.b, "%s = %s,\n", e, g.local(anything))
		default:
			fmt.Fprintf(&g.b, "%s = function(...)\n", e)
			g.function(1+g.r.IntN(2), nil)
			g.b.WriteString("end,\n")
		}
	}
	g.b.WriteString("})\n")
	g.locals = append(g.locals, variable{n, table})
	other := g.local(anything)
	switch g.r.IntN(6) {
	case 0:
		fmt.Fprintf(&g.b, "emit(pcall(function() return %s %s %s end))\n", n, g.pick("+", "-", "*", "/", "%", "^", ".."), other)
	case 1:
		fmt.Fprintf(&g.b, "emit(pcall(function() return %s %s %s end))\n", other, g.pick("+", "..", "<", "<=", ">", ">=", "==", "~="), n)
	case 2:
		fmt.Fprintf(&g.b, "emit(pcall(function() local r = %s.%s return r end))\n", n, g.field())
	case 3:
		fmt.Fprintf(&g.b, "emit(pcall(function() %s.%s = %s end), %s)\n", n, g.field(), g.expr(anything, 1), n)
	case 4:
		fmt.Fprintf(&g.b, "emit(pcall(function() return -%s, %s(%s) end))\n", n, n, g.list(2))
	default:
		fmt.Fprintf(&g.b, "emit(pcall(tostring, %s))\n", n)
	}
}

// closures makes functions that share variables of a loop and of around it.
func (g *generator) closures() {
	fs, i, u, s := g.name(), g.name(), g.name(), g.name()
	fmt.Fprintf(&g.b, "local %s, %s = {}, 0\nfor %s = 1, %d do\nlocal %s = %s\n", fs, s, i, 2+g.r.IntN(2), u, g.expr(number, 1))
	fmt.Fprintf(&g.b, "%s[#%s + 1] = function(d) tick() %s = %s + d %s = show(%s) .. d return %s, %s, %s end\n", fs, fs, s, s, u, u, u, i, s)
	fmt.Fprintf(&g.b, "%s[#%s + 1] = function(...) tick() %s = %s + 1 return %s, (function() %s = %s return %s end)() end\n",
		fs, fs, i, i, u, u, g.expr(anything, 1), u)
	if g.r.IntN(3) == 0 {
		fmt.Fprintf(&g.b, "if %s == 2 then break end\n", i)
	}
	fmt.Fprintf(&g.b, "end\nfor _ = 1, 2 do for k = 1, #%s do emit(%s[k](k)) end end\n", fs, fs)
}

func (g *generator) assignments() {
	var to []string
	for range 2 + g.r.IntN(3) {
		switch g.r.IntN(3) {
		case 0:
			to = append(to, g.local(table)+"."+g.field())
		case 1:
			to = append(to, g.local(table)+"["+g.expr(number, 1)+"]")
		default:
			n, _ := g.assignee()
			to = append(to, n)
		}
	}
	fmt.Fprintf(&g.b, "%s = %s\n", strings.Join(to, ", "), g.list(1+g.r.IntN(4)))
	if len(g.locals) > 1 {
		a, b := g.locals[g.r.IntN(len(g.locals))].name, g.locals[g.r.IntN(len(g.locals))].name
		if a != b {
			fmt.Fprintf(&g.b, "%s, %s = %s, %s\nemit(%s, %s)\n", a, b, b, a, a, b)
		}
	}
}

// wrap iterates over a wrapped coroutine, which may make others.
func (g *generator) wrap() {
	v, n, w := g.name(), g.name(), g.name()
	fmt.Fprintf(&g.b, "local %s, %s = 0, coroutine.wrap(function(...) tick() coroutine.yield(%s)\n", n, w, g.list(1+g.r.IntN(2)))
	g.function(1+g.r.IntN(3), nil)
	fmt.Fprintf(&g.b, "end)\nfor %s in %s, %s do tick() %s = %s + 1 emit(%s)\nif %s > 3 then break end\n", v, w, g.list(1), n, n, v, n)
	g.loopBody(variable{v, anything})
	fmt.Fprintf(&g.b, "end\nemit(pcall(%s%s))\n", w, g.tail(g.r.IntN(2)))
	g.locals = append(g.locals, variable{w, callable})
}

func (g *generator) tableCalls() {
	n := g.name()
	fmt.Fprintf(&g.b, "local %s = {%s, %s, %s}\n", n, g.pick("3", "5", `"b"`), g.pick("1", "4", `"a"`), g.pick("2", "2.5", `"c"`))
	for range 1 + g.r.IntN(4) {
		switch g.r.IntN(8) {
		case 0:
			fmt.Fprintf(&g.b, "%s = dense(%s) emit(pcall(table.insert, %s, (%s)))\n", n, n, n, g.expr(g.anyKind(), 1))
		case 1:
			fmt.Fprintf(&g.b, "%s = dense(%s) emit(pcall(table.insert, %s, %s, %s))\n", n, n, n, g.pick("1", "2", "#"+n, "#"+n+" + 1"), g.pick("7", `"i"`))
		case 2:
			fmt.Fprintf(&g.b, "%s = dense(%s) emit(table.remove(%s%s))\n", n, n, n, g.pick("", ", 1", ", 2", ", #"+n))
		case 3:
			fmt.Fprintf(&g.b, "emit(pcall(table.sort, dense(%s)%s))\n", n, g.pick("", ", function(a, b) tick() return show(a) > show(b) end",
				", function(a, b) tick() return show(a) < show(b) end"))
		case 4:
			fmt.Fprintf(&g.b, "emit(pcall(table.concat, dense(%s)%s))\n", n, g.pick("", `, "-"`, `, ",", 2`, `, "", 1, 2`, `, "", 3, 9`))
		case 5:
			fmt.Fprintf(&g.b, "emit(unpack(%s, %s, %s))\n", n, g.pick("1", "2", "-1", "0"), g.pick("1", "3", "0", "5"))
		case 6:
			fmt.Fprintf(&g.b, "for k, v in next, %s do tick() if k == %s then %s[k] = nil end end\n", n, g.pick("1", "2", "3"), n)
			fmt.Fprintf(&g.b, "%s = {%s}\n", n, g.pick("1, 2", "9", `"q", "r", "s", "t"`))
		default:
			fmt.Fprintf(&g.b, "emit(table.maxn(%s), border(%s), next({}), pcall(next, %s, %s))\n", n, n, n, g.pick("99", `"none"`, n+"[1] and 1"))
		}
	}
	fmt.Fprintf(&g.b, "emit(%s)\n", n)
	g.locals = append(g.locals, variable{n, table})
}

func (g *generator) environment() {
	f := g.name()
	fmt.Fprintf(&g.b, "local %s = setfenv(function(...)\n", f)
	g.function(1+g.r.IntN(3), nil)
	fmt.Fprintf(&g.b, "end, setmetatable({%s = %s}, {__index = _G}))\n", g.pick("g1", "g2", "g3"), g.expr(anything, 1))
	fmt.Fprintf(&g.b, "emit(pcall(%s, %s)) emit(getfenv(%s).g1, getfenv(1) == _G, pcall(getfenv, %s))\n", f, g.list(1), f, g.pick("-1", "80", "tostring"))
	if g.r.IntN(3) == 0 {
		fmt.Fprintf(&g.b, "setfenv(1, setmetatable({}, {__index = getfenv(1)}))\n")
	}
}

func (g *generator) longString() {
	s := g.name()
	fmt.Fprintf(&g.b, "local %s = (%s):rep(%s%s)\n", s, g.pick(`"ab"`, `"x,y;"`, `"a b\n"`, `"key=val&"`), g.pick("40", "129", "3", "0"), "")
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(9) {
		case 0:
			fmt.Fprintf(&g.b, "emit(#%s, %s:byte(%s, %s))\n", s, s, g.pick("1", "-2", "5"), g.pick("3", "-1", "8"))
		case 1:
			fmt.Fprintf(&g.b, "emit(%s:find(%s, %s))\n", s, g.pick(`"b"`, `"="`, `"%s"`, `"[,;]"`, `"()b"`, `"a-b"`, `"%w+$"`), g.pick("1", "3", "-2", "500", "2, true"))
		case 2:
			fmt.Fprintf(&g.b, "emit(%s:gsub(%s, %s, %s))\n", s, g.pick(`"b"`, `"(%w)(.)"`, `"%s*"`, `"x?"`, `""`),
				g.pick(`"%1"`, `"%0%0"`, `"<>"`, `{a = 1, b = "B"}`, "function(a, b) tick() return b end", `"%2"`), g.pick("3", "0", "50"))
		case 3:
			fmt.Fprintf(&g.b, "for a, b in %s:gmatch(%s) do tick() emit(a, b) break end\n", s, g.pick(`"(%w)(.)"`, `"%w+"`, `"()(%p)"`, `"(.-)="`, `"$"`))
		case 4:
			fmt.Fprintf(&g.b, "emit(pcall(string.gsub, %s, %s, %s))\n", s, g.pick(`"("`, `"[a"`, `"%"`, `"(()"`, `"%b"`, `"%f"`, `"b%"`, `"%1"`, `")"`), g.pick(`""`, `"%9"`, "true"))
		case 5:
			fmt.Fprintf(&g.b, "emit(%s:match(%s))\n", s, g.pick(`"^(%w*)(.-)$"`, `"%b=&"`, `"(a)(b)"`, `"%f[%W]."`, `"[^%w]+"`, `"[]]?"`, `"[a-]*"`, `"%x%x?"`))
		case 6:
			fmt.Fprintf(&g.b, "%s = %s .. %s .. #%s\nemit(%s)\n", s, s, g.expr(number, 1), s, s)
		case 7:
			fmt.Fprintf(&g.b, "emit(%s:sub(%s, %s):upper(), %s:reverse():sub(1, 9), string.char(%s))\n", s, g.pick("-5", "2", "0"), g.pick("-2", "9", "400"), s, g.pick("65, 66", "48", ""))
		default:
			fmt.Fprintf(&g.b, "emit(%s < %s, %s == (%s:gsub(%q, \"\")), %s:len())\n", s, g.expr(text, 1), s, s, "%d", s)
		}
	}
	g.locals = append(g.locals, variable{s, text})
}

func (g *generator) varargs() {
	f := g.name()
	fmt.Fprintf(&g.b, `local function %s(%s...)
tick()
local n = select("#", ...)
local a, b = ...
if n > %d then return %s(select(2, ...)) end
return n, a, b, %s, %s
end
emit(pcall(%s, %s))
emit((%s(%s)))
emit(%s(nil, nil, %s))
`, f, g.pick("", "p, "), g.r.IntN(3), f, g.pick("{...}", "(...)", "border({...})"), g.pick("...", "select(-1, 0, ...)", "(select('#', ...))"),
		f, g.list(1+g.r.IntN(4)), f, g.list(g.r.IntN(3)), f, g.list(1))
	g.locals = append(g.locals, variable{f, callable})
}

// gotos writes a loop of goto, whose variables closures keep.
func (g *generator) gotos() {
	if !g.dialect.LuaJIT {
		g.longString()
		return
	}
	n, fs, u := g.name(), g.name(), g.name()
	g.labels++
	l := g.labels
	fmt.Fprintf(&g.b, "do local %s, %s = 0, {}\n::top%d:: tick()\n%s = %s + 1\ndo\nlocal %s = %s\n%s[%s] = function() %s = %s return %s, %s end\n",
		n, fs, l, n, n, u, g.expr(anything, 1), fs, n, u, g.expr(anything, 1), u, n)
	loops := g.loops
	g.loops = 0
	g.inner(1 + g.r.IntN(2))
	g.loops = loops
	fmt.Fprintf(&g.b, "if %s < 3 then goto top%d end\nif %s then goto out%d end\nend\nemit(%s)\n::out%d::\nfor i = 1, 3 do emit(pcall(%s[i])) end\nend\n",
		n, l, g.expr(anything, 1), l, n, l, fs)
}

func (g *generator) handler() {
	h := g.pick(`function(m) return "H:" .. show(m) end`, "function(m) tick() error(m) end", "function(...) return select('#', ...), ... end", "tostring", "error", "nil")
	if g.dialect.LuaJIT {
		fmt.Fprintf(&g.b, "emit(xpcall(%s, %s%s))\n", g.callee(), h, g.tail(g.r.IntN(3)))
		fmt.Fprintf(&g.b, "do local i = debug.getinfo(%d, \"nSl\") if i and i.linedefined > 0 then emit(i.what, i.currentline, i.name, i.namewhat, i.linedefined) end end\n", 1+g.r.IntN(4))
		return
	}
	fmt.Fprintf(&g.b, "emit(xpcall(%s, %s))\n", g.local(callable), `function(m) return "H:" .. show(m) end`)
}

func (g *generator) formats() {
	var f strings.Builder
	var args []string
	for range 1 + g.r.IntN(4) {
		flags := ""
		for _, c := range []string{"-", "+", " ", "#", "0"} {
			if g.r.IntN(6) == 0 {
				flags += c
			}
		}
		c := g.pick("d", "i", "u", "x", "X", "o", "e", "E", "f", "g", "G", "s", "q", "c", "%")
		switch c {
		case "q", "%":
			flags = ""
		case "c":
			flags = g.pick("", "3", "-3")
		case "s":
			flags = g.pick("", "-", "") + g.pick("", "5", "12", "1") + g.pick("", ".3", ".0")
		default:
			flags += g.pick("", "1", "8", "20") + g.pick("", "", g.zeroDigits(), ".3", ".10", ".17")
		}
		f.WriteString("%" + flags + c + g.pick("", " ", "|"))
		switch c {
		case "s", "q":
			args = append(args, g.pick("show("+g.expr(anything, 1)+")", g.binary(), "12.5", `"long long string"`))
		case "c":
			args = append(args, g.pick("65", "0x30"))
		case "d", "i":
			args = append(args, g.pick("0", "-1", "2147483648", "-2^53", "7", `"12"`, "1e15", "3.99", "-3.99"))
		case "u", "x", "X", "o":
			args = append(args, g.pick("0", "2147483648", "2^53", "7", `"12"`, "1e15", "3.99"))
		case "%":
		default:
			args = append(args, g.pick("0", "-0.5", "1e300", "1/3", "2.5", "123456.789", "1e-7", "-1/0", "5e-324", `"1e2"`, "0.1 + 0.2", "99999.5"))
		}
	}
	if g.dialect.LuaJIT && g.r.IntN(10) == 0 && len(args) > 0 { // others may read what is there as another type
		args = args[1:]
	}
	if !g.dialect.LuaJIT {
		// LuaJIT rounds halves up, PUC Lua to even, as C.
		for i, a := range args {
			args[i] = strings.NewReplacer("2.5", "2.3", "99999.5", "99999.27", "-0.5", "-0.7").Replace(a)
		}
	}
	list := ""
	if len(args) > 0 {
		list = ", " + strings.Join(args, ", ")
	}
	fmt.Fprintf(&g.b, "emit(pcall(string.format, %q%s))\n", f.String(), list)
}

// source has the compiler read a few tokens, most often with an error.
func (g *generator) source() {
	if !g.dialect.LuaJIT {
		g.numbers()
		return
	}
	var s strings.Builder
	for range 2 + g.r.IntN(9) {
		s.WriteString(g.pick("local", "x", "y", "=", "1", "0x1p4", "'s'", "(", ")", "{", "}", "[", "]", "function", "end", "if", "then", "else", "elseif",
			"for", "in", "do", "while", "repeat", "until", "return", "break", "goto", "::", "not", "and", "or", "..", "...", "+", "-", "==", "<", "~=", "~",
			":", ".", ",", ";", "#", "nil", "true", "[[a]]", "--c\n", "\n", "\n", "f(x)", "x.y = 1", "local z", "x = {}", "'un", "1e", "0x", "12ULL", "3i",
			"[==[", "\\", "$", "@", "'\\q'", "'\\xfg'", "function f()", "for i = 1, 2 do", "if x then", "local function g(...)", "goto l", "::l::"))
		s.WriteByte(' ')
	}
	fmt.Fprintf(&g.b, "emit(pcall(loadstring, %q, %s))\n", s.String(), g.pick(`"=src"`, `"@file.lua"`, "nil"))
}

// numbers shows numbers in all the ways there are.
func (g *generator) numbers() {
	e := g.expr(number, 3)
	fmt.Fprintf(&g.b, "do local ok, n = pcall(function() return %s end) emit(ok, n)\nif type(n) == \"number\" and n == n then\n", e)
	formats := "(\"%.14g %.17g %.3f %e\"):format(n, n, n, n)"
	if !g.dialect.LuaJIT { // halves are rounded another way
		formats = "(\"%.60e\"):format(n)"
	}
	fmt.Fprintf(&g.b, "emit(n .. \"\", tostring(n), "+strings.ReplaceAll(formats, "%", "%%")+", tonumber(tostring(n)), math.floor(n), math.ceil(n) + 0, n %% %s)\n",
		g.pick("1", "2", "-3", "0.5", "1/0", "7"))
	fmt.Fprintf(&g.b, "emit(%s)\n", g.pick("math.abs(n)", "math.max(n, 1, 2)", "math.min(n, -1)", "math.modf(n)", "math.fmod(n, 3)", "math.sqrt(math.abs(n))", "n ^ 2, n ^ 0.5 == n ^ 0.5, n ^ 3",
		"math.frexp(n)", "math.ldexp(n, 3)", "-n, n - 1, 1 / n", "n == math.floor(n), n < 0, n <= 1e10", "tonumber(\" \" .. n .. \" \")"))
	if g.dialect.LuaJIT {
		fmt.Fprintf(&g.b, "if n > -2^40 and n < 2^40 then emit(bit.tobit(n), bit.band(n, 255), bit.lshift(n, 3), bit.tohex(n), bit.bnot(n)) end\n")
	}
	g.b.WriteString("end end\n")
}

// binary is a string that %q quotes; PUC Lua and LuaJIT differ in how.
func (g *generator) binary() string {
	if g.dialect.LuaJIT {
		return `"a\nb\0c\"\\\r"`
	}
	return `"a\nb\"\\"`
}

// zeroDigits is a precision for which the rounding of halves shows.
func (g *generator) zeroDigits() string {
	if g.dialect.LuaJIT {
		return ".0"
	}
	return ".5"
}
