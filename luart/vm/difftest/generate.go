// Package difftest compares the Lua machine with other Lua implementations on
// random programs. It owns the generator; it never ships in the binary.
package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// prelude gives each program a place for its results and a limit on its steps,
// so that every program ends and prints the same on every implementation.
const prelude = `local out, steps = {}, 0
local function tick() steps = steps + 1 if steps > 3000 then error("limit", 0) end end
local function show(v, depth)
  local t = type(v)
  if t == "number" or t == "string" or t == "boolean" or t == "nil" then
    if v ~= v then return "nan" end
    v = tostring(v):gsub("0x%x+", "ADDR")
    return #v > 200 and v:sub(1, 200) or v
  end
  if t ~= "table" or (depth or 0) > 2 then return t end
  local parts = {}
  for i = 1, 8 do
    local e = rawget(v, i)
    if e == nil then break end
    parts[i] = show(e, (depth or 0) + 1)
  end
  for _, k in ipairs { "x", "y", "z", "n" } do
    local f = rawget(v, k)
    if f ~= nil then parts[#parts + 1] = k .. "=" .. show(f, (depth or 0) + 1) end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end
local function border(v)
  if type(v) ~= "table" then return #v end
  local n = 0
  while rawget(v, n + 1) ~= nil do n = n + 1 end
  return n
end
local function dense(t)
  return table.maxn(t) == border(t) and t or {}
end
local function emit(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = show((select(i, ...))) end
  if #out < 400 then out[#out + 1] = table.concat(parts, " ") end
end
local mt = {
  __index = function(t, k) return k end,
  __add = function(a, b) return "add" end, __concat = function(a, b) return "cat" end,
  __lt = function(a, b) return true end, __le = function(a, b) return false end,
  __eq = function(a, b) return true end, __call = function(self, ...) return select("#", ...), ... end,
  __unm = function(a) return "unm" end, __len = function() return 3 end, __tostring = function() return "obj" end,
}
local obj, obj2 = setmetatable({ x = 1 }, mt), setmetatable({ y = 2 }, mt)
g1, g2, g4 = 10, "global", { 1, 2, x = 3 }
`

// Dialect says which constructs programs may use.
type Dialect struct {
	LuaJIT bool // goto, yields below pcall
}

// kind is the type that an expression is meant to have. Now and then it has
// another one, so that errors are compared as well.
type kind int

const (
	anything kind = iota
	number
	text
	table
	callable
)

type variable struct {
	name string
	kind kind
}

type generator struct {
	r       *rand.Rand
	b       strings.Builder
	dialect Dialect
	locals  []variable // in scope
	loops   int        // loops around this place in the function
	depth   int
	names   int
	labels  int
}

// Program returns a program that depends on seed alone. It evaluates to the
// string of everything it emitted.
func Program(seed uint64, d Dialect) string {
	g := &generator{r: rand.New(rand.NewPCG(seed, 7)), dialect: d}
	g.b.WriteString(prelude)
	for _, k := range []kind{number, text, table} {
		n := g.name()
		fmt.Fprintf(&g.b, "local %s = %s\n", n, g.atom(k))
		g.locals = append(g.locals, variable{n, k})
	}
	for i := range 4 + g.r.IntN(5) {
		fmt.Fprintf(&g.b, "emit(%d, pcall(function(...)\n", i)
		g.function(2+g.r.IntN(5), nil)
		fmt.Fprintf(&g.b, "end, %s, %s))\n", g.atom(number), g.atom(table))
	}
	g.b.WriteString("return table.concat(out, \"\\n\")\n")
	return g.b.String()
}

func (g *generator) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g *generator) name() string {
	g.names++
	return fmt.Sprintf("v%d", g.names)
}

// local names a variable, of kind k if there is one.
func (g *generator) local(k kind) string {
	for range 4 {
		if len(g.locals) == 0 || g.r.IntN(15) == 0 {
			break
		}
		if v := g.locals[g.r.IntN(len(g.locals))]; k == anything || v.kind == k || g.r.IntN(12) == 0 {
			return v.name
		}
	}
	switch k {
	case number:
		return "g1"
	case text:
		return "g2"
	case table:
		return "g4"
	case callable:
		return "tostring"
	}
	return g.pick("g1", "g2", "g3", "g4")
}

// assignee names a variable to assign to, with the kind that it has.
func (g *generator) assignee() (string, kind) {
	if len(g.locals) > 0 && g.r.IntN(6) > 0 {
		v := g.locals[g.r.IntN(len(g.locals))]
		return v.name, v.kind
	}
	return g.pick("g1", "g3"), number
}

func (g *generator) anyKind() kind { return kind(g.r.IntN(4)) }

// scope runs f and forgets the locals that it declared.
func (g *generator) scope(f func()) {
	n := len(g.locals)
	g.depth++
	f()
	g.depth--
	g.locals = g.locals[:n]
}

func (g *generator) declare() {
	n, k := g.name(), g.anyKind()
	fmt.Fprintf(&g.b, "local %s = %s\n", n, g.expr(k, 2))
	g.locals = append(g.locals, variable{n, k})
}

// function writes a body of n statements.
func (g *generator) function(n int, params []variable) {
	loops := g.loops
	g.loops = 0
	g.scope(func() {
		g.locals = append(g.locals, params...)
		g.b.WriteString("tick()\n")
		g.block(n)
		if g.r.IntN(2) == 0 {
			switch g.r.IntN(4) {
			case 0:
				fmt.Fprintf(&g.b, "return %s(%s)\n", g.callee(), g.list(g.r.IntN(3)))
			default:
				fmt.Fprintf(&g.b, "return %s\n", g.list(g.r.IntN(4)))
			}
		}
	})
	g.loops = loops
}

func (g *generator) block(n int) {
	for range n {
		g.statement()
	}
}

func (g *generator) inner(n int) { g.scope(func() { g.block(n) }) }

func (g *generator) statement() {
	if g.depth > 5 {
		fmt.Fprintf(&g.b, "emit(%s)\n", g.list(1+g.r.IntN(2)))
		return
	}
	switch g.r.IntN(32) {
	case 0, 1, 2:
		g.declare()
	case 3:
		a, b := g.name(), g.name()
		fmt.Fprintf(&g.b, "local %s, %s = %s\n", a, b, g.list(1+g.r.IntN(3)))
		g.locals = append(g.locals, variable{a, anything}, variable{b, anything})
	case 4, 5:
		n, k := g.assignee()
		fmt.Fprintf(&g.b, "%s = %s\n", n, g.expr(k, 3))
	case 6:
		a, k := g.assignee()
		b, l := g.assignee()
		fmt.Fprintf(&g.b, "%s, %s = %s, %s\n", a, b, g.expr(k, 2), g.expr(l, 2))
	case 7:
		fmt.Fprintf(&g.b, "%s.%s = %s\n", g.local(table), g.field(), g.expr(g.anyKind(), 2))
	case 8:
		fmt.Fprintf(&g.b, "%s[%s] = %s\n", g.local(table), g.expr(g.anyKind(), 1), g.expr(g.anyKind(), 2))
	case 9, 10:
		fmt.Fprintf(&g.b, "if %s then\n", g.expr(anything, 2))
		g.inner(1 + g.r.IntN(3))
		if g.r.IntN(2) == 0 {
			fmt.Fprintf(&g.b, "elseif %s then\n", g.expr(anything, 2))
			g.inner(1 + g.r.IntN(2))
		}
		if g.r.IntN(2) == 0 {
			g.b.WriteString("else\n")
			g.inner(1 + g.r.IntN(2))
		}
		g.b.WriteString("end\n")
	case 11:
		g.numericFor()
	case 12:
		g.genericFor()
	case 13:
		g.while()
	case 14:
		g.repeat()
	case 15, 16:
		g.localFunction()
	case 17:
		fmt.Fprintf(&g.b, "emit(pcall(%s%s))\n", g.callee(), g.tail(g.r.IntN(3)))
	case 18:
		fmt.Fprintf(&g.b, "do\n")
		g.inner(1 + g.r.IntN(3))
		g.b.WriteString("end\n")
	case 19:
		g.coroutine()
	case 20:
		if g.loops > 0 {
			fmt.Fprintf(&g.b, "if %s then break end\n", g.expr(anything, 1))
		} else if g.r.IntN(3) == 0 {
			fmt.Fprintf(&g.b, "error(%s%s)\n", g.expr(anything, 1), g.pick("", ", 0", ", 2"))
		}
	case 21, 22, 23:
		fmt.Fprintf(&g.b, "emit(%s)\n", g.list(1+g.r.IntN(3)))
	default:
		g.more()
	}
}

func (g *generator) numericFor() {
	v := g.name()
	from, to, step := g.pick("1", "3", "-1", "0.5", "#g2", "2^53-1", `"1"`), g.pick("3", "5", "1", "-2", "2^53", "1/0", "3.5"),
		g.pick("", "", ", 1", ", 2", ", -1", ", 0.25")
	if g.dialect.LuaJIT && g.r.IntN(3) == 0 { // PUC Lua steps back first and so rounds
		from, step = g.pick("-0.3", "0.7", "1"), g.pick(", 0.1", ", -1/0", `, "2"`, ", 1e100")
	}
	fmt.Fprintf(&g.b, "for %s = %s, %s%s do tick()\n", v, from, to, step)
	g.loopBody(variable{v, number})
	g.b.WriteString("end\n")
}

func (g *generator) loopBody(vars ...variable) {
	g.loops++
	g.scope(func() {
		g.locals = append(g.locals, vars...)
		if g.dialect.LuaJIT && g.r.IntN(4) == 0 {
			g.labels++
			fmt.Fprintf(&g.b, "do if %s then goto cont%d end\n", g.expr(anything, 1), g.labels)
			label := g.labels
			g.inner(1 + g.r.IntN(3))
			fmt.Fprintf(&g.b, "end ::cont%d::\n", label)
			return
		}
		g.block(1 + g.r.IntN(3))
	})
	g.loops--
}

func (g *generator) genericFor() {
	k, v := g.name(), g.name()
	fmt.Fprintf(&g.b, "for %s, %s in ipairs({%s}) do tick()\n", k, v, g.list(1+g.r.IntN(4)))
	g.loopBody(variable{k, number}, variable{v, anything})
	g.b.WriteString("end\n")
}

func (g *generator) while() {
	n := g.name()
	fmt.Fprintf(&g.b, "local %s = 0\nwhile %s < %d and %s do %s = %s + 1 tick()\n", n, n, 1+g.r.IntN(4), g.pick("true", g.expr(anything, 1)), n, n)
	g.loopBody()
	g.b.WriteString("end\n")
}

func (g *generator) repeat() {
	n, v := g.name(), g.name()
	fmt.Fprintf(&g.b, "local %s = 0\nrepeat local %s = %s %s = %s + 1 tick()\n", n, v, g.expr(g.anyKind(), 1), n, n)
	g.loops++
	g.inner(1 + g.r.IntN(2))
	g.loops--
	fmt.Fprintf(&g.b, "until %s > 2 or %s\n", n, g.pick(v, "not "+v, v+" == "+n))
}

func (g *generator) localFunction() {
	n := g.name()
	params := []variable{{g.name(), number}, {g.name(), anything}}[:g.r.IntN(3)]
	list := ""
	for _, p := range params {
		list += p.name + ", "
	}
	fmt.Fprintf(&g.b, "local function %s(%s...)\n", n, list)
	g.function(1+g.r.IntN(4), append(params, variable{n, callable}))
	g.b.WriteString("end\n")
	g.locals = append(g.locals, variable{n, callable})
}

func (g *generator) coroutine() {
	co := g.name()
	fmt.Fprintf(&g.b, "local %s = coroutine.create(function(...)\n", co)
	g.function(1+g.r.IntN(3), nil)
	fmt.Fprintf(&g.b, "end)\nfor _ = 1, 3 do tick() emit(coroutine.resume(%s%s)) emit(coroutine.status(%s)) end\n", co, g.tail(g.r.IntN(3)), co)
	g.locals = append(g.locals, variable{co, anything})
}

func (g *generator) field() string { return g.pick("x", "y", "z", "n") }

func (g *generator) callee() string {
	switch g.r.IntN(6) {
	case 0:
		if g.dialect.LuaJIT && g.r.IntN(15) == 0 { // PUC Lua does not check the handler
			return "xpcall"
		}
		return g.pick("tostring", "type", "rawget", "tonumber", "pcall", "error", "math.fmod", g.counter("string.rep"), g.counter("select"),
			"setmetatable", "assert", "rawequal", "getmetatable", "ipairs", "border", "string.byte")
	case 1:
		return "(function(...) tick() return " + g.list(1+g.r.IntN(2)) + " end)"
	case 2:
		return g.local(table) + "." + g.field()
	default:
		return g.local(callable)
	}
}

// counter is a function that wants a count, where 1e10 is not taken for another number.
func (g *generator) counter(f string) string {
	if g.dialect.LuaJIT {
		return f
	}
	return "string.len"
}

func (g *generator) list(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = g.expr(g.anyKind(), 2)
	}
	return strings.Join(parts, ", ")
}

func (g *generator) tail(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + g.list(n)
}

// expr returns an expression of at most the given depth, most often of kind k.
func (g *generator) expr(k kind, depth int) string {
	if depth <= 0 {
		return g.atom(k)
	}
	if g.r.IntN(25) == 0 {
		k = anything
	}
	e := func(k kind) string { return g.expr(k, depth-1) }
	switch g.r.IntN(12) {
	case 0:
		return g.local(table) + "." + g.field()
	case 1:
		return g.local(table) + "[" + e(number) + "]"
	case 2:
		return "(" + e(k) + " " + g.pick("and", "or") + " " + e(k) + ")"
	case 3:
		return "(function(" + g.pick("...", "a, ...") + ") return " + e(k) + g.tail(g.r.IntN(2)) + " end)(" + e(anything) + ")"
	case 4:
		if g.dialect.LuaJIT {
			return "(select(2, pcall(coroutine.yield, " + e(k) + ")))"
		}
	case 5:
		return g.atom(k)
	}
	switch k {
	case number:
		switch g.r.IntN(6) {
		case 0:
			if g.r.IntN(2) == 0 {
				return "border(" + e(kind(1+g.r.IntN(3))) + ")"
			}
			return "- " + e(kind(1+g.r.IntN(3)))
		case 1:
			return "select('#', " + e(anything) + ", " + g.local(anything) + ")"
		}
		return "(" + e(number) + " " + g.pick("+", "-", "*", "/", "%", "^") + " " + e(number) + ")"
	case text:
		if g.r.IntN(3) == 0 {
			return "(" + e(text) + " .. " + e(kind(1+g.r.IntN(2))) + ")"
		}
		return g.stringCall(func() string { return e(g.anyKind()) })
	case table:
		return "{" + e(anything) + ", " + g.field() + " = " + e(number) + ", " + e(g.anyKind()) + "}"
	}
	switch g.r.IntN(5) {
	case 0:
		return "(pcall(" + g.callee() + ", " + e(number) + "))"
	case 1:
		return "not " + e(anything)
	case 2:
		l := g.anyKind()
		return "(" + e(l) + " " + g.pick("==", "~=") + " " + e(l) + ")"
	case 3:
		return "(" + e(text) + " " + g.pick("<", "<=", ">", ">=") + " " + e(text) + ")"
	default:
		return "(" + e(number) + " " + g.pick("<", "<=", ">", ">=") + " " + e(number) + ")"
	}
}

func (g *generator) stringCall(e func() string) string {
	s := "show(" + e() + ")"
	switch g.r.IntN(8) {
	case 0:
		return s + ":sub(" + g.pick("1", "2", "-3", "0") + ", " + g.pick("3", "-1", "-2") + ")"
	case 1:
		return s + ":" + g.pick("upper", "lower", "len", "reverse") + "()"
	case 2:
		return s + ":gsub(" + g.pick(`"%w"`, `"%d+"`, `"."`, `"[aeiou]"`, `"^."`, `"%f[%w]%w"`) + ", " + g.pick(`"<%0>"`, `""`, `"%%"`, "string.upper") + ")"
	case 3:
		return s + ":find(" + g.pick(`"l"`, `"%d"`, `"()"`, `"[^%w]"`, `".-e"`, `"(.)(.)"`) + ")"
	case 4:
		return `string.format(` + g.pick(`"%s"`, `"%5s|"`, `"%-5s|"`, `"%.2s"`, `"%q"`) + ", " + s + ")"
	case 5:
		return `string.format(` + g.pick(`"%d"`, `"%5.1f"`, `"%g"`, `"%x"`, `"%05d"`, `"%+d"`, `"%e"`) + ", " + g.pick("1", "255", "7", "12345") + ")"
	case 6:
		if !g.dialect.LuaJIT { // PUC Lua has negative numbers of other bases wrap
			return "tonumber(" + s + ")"
		}
		return "tonumber(" + s + g.pick("", ", 10", ", 16", ", 36") + ")"
	default:
		return "table.concat({" + s + ", " + s + "}, " + g.pick(`","`, `""`) + ")"
	}
}

func (g *generator) atom(k kind) string {
	if g.r.IntN(2) == 0 {
		return g.local(k)
	}
	switch k {
	case number:
		return g.pick("0", "1", "2", "3", "-1", "0.5", "10", "1e10", "255", "1/0", g.zero(), "2^53", "1e100", "0x10", `"10"`)
	case text:
		return g.pick(`"a"`, `"hello"`, `""`, `"10"`, `"0x1f"`, `" 5 "`, `"x"`, `"1e1"`)
	case table:
		return g.pick("obj", "obj2", "{}", "{1, 2, 3}", "{x = 1, y = 2}")
	}
	return g.pick("nil", "true", "false", "(...)")
}

// zero is 0 or -0; PUC Lua's compiler takes constants of both for the same one.
func (g *generator) zero() string {
	if g.dialect.LuaJIT {
		return g.pick("0", "-0")
	}
	return "0"
}
