package vm

import (
	"strings"
	"testing"
)

// eval runs a chunk and returns its results as text, or its error.
func eval(t *testing.T, src string) string {
	t.Helper()
	m := New()
	f, err := m.Load([]byte(src), "=t")
	if err != nil {
		return err.Error()
	}
	th := m.Main()
	res, err := th.Call(f.Value())
	if err != nil {
		return err.Error()
	}
	out := make([]string, 0, len(res))
	for _, v := range append([]Value(nil), res...) {
		out = append(out, th.ToString(v))
	}
	return strings.Join(out, " ")
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"return 1 + 2 * 3 ^ 2, 7 % -3, -7 % 3, 2 ^ 0.5 == math.sqrt(2)", "19 -2 2 true"},
		{"local a, b = 1, 2 a, b = b, a return a, b", "2 1"},
		{"local a = {1} local i = 1 i, a[i] = i + 1, 20 return i, a[1], a[2]", "2 20 nil"},
		{"local x = 5 x = x and x + 1 or 0 return x", "6"},
		{"local x x = x and x.y return x", "nil"},
		{"local function f(...) return select('#', ...), ... end return f(nil, nil)", "2 nil nil"},
		{"return (function(...) return ... end)(1, 2), 3", "1 3"},
		{"return ((function() return 1, 2 end)())", "1"},
		{"local t = {(function() return 1, 2, 3 end)()} return #t", "3"},
		{"local s = 0 for i = 10, 1, -3 do s = s * 100 + i end return s", "10070401"},
		{"for i = 1, 3 do local j = i if j == 2 then goto done end end ::done:: return 'ok'", "ok"},
		{"local n = 0 for i = 1, 5 do if i % 2 == 0 then goto continue end n = n + i ::continue:: end return n", "9"},
		{"local goto_ = {} goto_.goto = 1 return goto_.goto", "1"},
		{"local f = {} for i = 1, 3 do f[i] = function() i = i + 1 return i end end return f[1](), f[1](), f[2]()", "2 3 3"},
		{"local f do local i = 0 repeat local j = i f = f or function() return j end i = i + 1 until j == 2 end return f()", "0"},
		{"return 0x10, 0x.8p1, 0xA.8, 1e2, .5", "16 1 10.5 100 0.5"},
		{`return "\x41\u{20AC}\z
		   b\065\10"`, "A€bA\n"},
		{"return 1LL + 1, 1ULL - 2, -7LL / 2, -7LL % 3, 2LL ^ 10, 1LL == 1, 3i", "2LL 18446744073709551615ULL -3LL -1LL 1024LL true 0+3i"},
		{"return 1e15, 2^53, -0, 1e100, 123456789012, 0.1, -1e-7", "1e+15 9.007199254741e+15 -0 1e+100 123456789012 0.1 -1e-07"},
		{"return 10 == '10', '10' + 5, '0x10' * 1, ' 5 ' - 1", "false 15 16 4"},
		{"return #{1, 2, nil, 4}, #{nil, nil, 3}, #'abc'", "4 3 3"},
		{"local t = setmetatable({}, {__index = function(_, k) return k .. '!' end}) return t.a, t[1]", "a! 1!"},
		{"local t = setmetatable({}, {__lt = function() return 1 end}) return t < t, t <= t, t > t", "true false true"},
		{"local m = {__eq = function() return true end} return setmetatable({}, m) == setmetatable({}, m)", "true"},
		{"local t = setmetatable({}, {__concat = function(a, b) return 'c' end}) return 1 .. t, t .. 2, 'x' .. 'y' .. t .. 'z'", "c c xyc"},
		{"local t = setmetatable({}, {__len = function() return 7 end}) return #t", "0"},
		{"local t = setmetatable({}, {__call = function(self, a) return a end}) return t(5)", "5"},
		{"return select(-1, 1, 2, 3), select('#')", "3 0"},
		{"local t = {} t[5e7] = 1 for i = 1, 10 do t[i] = i end return #t", "10"},
		{"local t = {} for i = 1, 100 do t[i] = i end for k in pairs(t) do t[k] = nil end return next(t)", "nil"},
		{"local function f(n) if n == 0 then return 'end' end return f(n - 1) end return f(1e6)", "end"},
		{"local s = 0 for k, v in pairs({1, 2, 3, x = 4}) do s = s + v end return s", "10"},
		{"return load('return ...', 'x', 't', {})(3), load('x')", "3 nil [string \"x\"]:1: '=' expected near '<eof>'"},
		{"return load('\\27LJ', 'x', 't')", "nil attempt to load chunk with wrong mode"},
		{"return load('\\27LJ', '=x'), (select(2, load('\\27LJ', '@x'))), (select(2, load('\\27LJ')))",
			"nil x: cannot load incompatible bytecode (binary): cannot load incompatible bytecode"},
		{"package.loaders = {function() return 5 end} return (select(2, pcall(require, 'q')))", "module 'q' not found:5"},
		{"return -1i, 1i == 1i, 1LLU", "0-1i false 1ULL"},
		{"return pcall(loadstring('return 18446744073709551616ULL') or error)", "false nil"},
		{"local co = coroutine.create(function() while true do end end) debug.sethook(co, function() error('late', 0) end, '', 1000) return coroutine.resume(co)",
			"false late"},
		{"local f = loadstring('a = 1\\n\\nb = 2\\n\\n') local n = {} for l in pairs(debug.getinfo(f, 'L').activelines) do n[#n + 1] = l end return #n, debug.getinfo(f).lastlinedefined",
			"2 5"},
		{"return pcall(load, 'return 1', '=x', 'b')", "true nil attempt to load chunk with wrong mode"},
	} {
		if got := eval(t, c.src); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.src, got, c.want)
		}
	}
}

func TestCoroutines(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"local w = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return w(1), w(5)", "2 10"},
		{"local w = coroutine.wrap(function() return pcall(function() coroutine.yield(1) error('x', 0) end) end) return w(), w()", "1 false x"},
		{"local w = coroutine.wrap(function() return xpcall(coroutine.yield, print, 7) end) local a = w() return a, w(8)", "7 true 8"},
		{"local t = setmetatable({}, {__index = function(_, k) return coroutine.yield(k) end, __add = coroutine.yield, __lt = coroutine.yield, __concat = coroutine.yield}) " +
			"local w = coroutine.wrap(function() local r = t.x return r, t + 1, t < t, 'a' .. t end) w() w(1) w(2) w(true) return w('c')", "1 2 true c"},
		{"local w = coroutine.wrap(function() for v in coroutine.yield do return v end end) w() return w(9)", "9"},
		{"return coroutine.resume(coroutine.create(function() error({}) end)) == false", "true"},
		{"local function f(x) error('m' .. x, 0) end local co = coroutine.create(function() table.sort({1, 2}, f) end) coroutine.resume(co) " +
			"return debug.traceback(co, 'tb'), debug.getlocal(co, 1, 1)",
			"tb\nstack traceback:\n\t[C]: in function 'sort'\n\tt:1: in function <t:1> nil"},
		{"local co co = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(co)", "true false cannot resume running coroutine"},
		{"local co = coroutine.create(print) return pcall(coroutine.status, 1)", "false bad argument #1 to '?' (coroutine expected)"},
		{"local w = coroutine.wrap(function() end) w() return pcall(w)", "false cannot resume dead coroutine"},
		{"return coroutine.wrap(function() return pcall(table.sort, {1, 2, 3}, coroutine.yield) end)()", "false attempt to yield across C-call boundary"},
		{"local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return coroutine.status(co), coroutine.running()", "suspended nil"},
		{"local co local function up() return coroutine.resume(co) end co = coroutine.create(function() return coroutine.wrap(up)() end) return coroutine.resume(co)",
			"true false cannot resume running coroutine"},
		{"local function r() return coroutine.wrap(r)() end local ok, e = pcall(r) return ok, e:match('C stack overflow')", "false C stack overflow"},
	} {
		if got := eval(t, c.src); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.src, got, c.want)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"local x x.y = 1", "t:1: attempt to index local 'x' (a nil value)"},
		{"x.y.z = 1", "t:1: attempt to index global 'x' (a nil value)"},
		{"local x = {} return x.y.z", "t:1: attempt to index field 'y' (a nil value)"},
		{"local x return function() end and (function() return x.y end)()", "t:1: attempt to index upvalue 'x' (a nil value)"},
		{"local t = {} t:m()", "t:1: attempt to call method 'm' (a nil value)"},
		{"local t = {} t.f()", "t:1: attempt to call field 'f' (a nil value)"},
		{"f()", "t:1: attempt to call global 'f' (a nil value)"},
		{"local a return a + 1", "t:1: attempt to perform arithmetic on local 'a' (a nil value)"},
		{"local a return 1 + a", "t:1: attempt to perform arithmetic on local 'a' (a nil value)"},
		{"local a return 'x' .. a", "t:1: attempt to concatenate local 'a' (a nil value)"},
		{"return {} < {}", "t:1: attempt to compare two table values"},
		{"return 1 < nil", "t:1: attempt to compare number with nil"},
		{"return 1 > {}", "t:1: attempt to compare table with number"},
		{"return #5", "t:1: attempt to get length of a number value"},
		{"for i = 'a', 2 do end", "t:1: 'for' initial value must be a number"},
		{"local t = {} t[nil] = 1", "t:1: table index is nil"},
		{"return 1LL + {}", "t:1: attempt to perform arithmetic on 'int64_t' and 'table'"},
		{"local function f() return 1 + f() end f()", "t:1: stack overflow"},
		{"string.rep()", "t:1: bad argument #1 to 'rep' (string expected, got no value)"},
		{"('x'):rep({})", "t:1: bad argument #1 to 'rep' (number expected, got table)"},
		{"error('m', 2)", "m"},
		{"\n\nerror('m')", "t:3: m"},
		{"return xpcall(error, function(m) return m .. '!' end, 'x')", "false x!"},
		{"return xpcall(error, function() error() end)", "false error in error handling"},
		{"for i = 1,\n'x' do end", "t:2: 'for' limit must be a number"},
		{"for i in\nnil\ndo end", "t:2: attempt to call a nil value"},
		{"local _ = pairs()", "t:1: bad argument #1 to 'pairs' (value expected)"},
		{"require 'no.such'", ""},
	} {
		got := eval(t, c.src)
		if c.want == "" {
			if !strings.Contains(got, "module 'no.such' not found:\n\tno field package.preload['no.such']") {
				t.Errorf("%s: got %q", c.src, got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.src, got, c.want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	locals := strings.Repeat("local a\n", 201)
	for _, c := range []struct{ src, want string }{
		{"x=", "t:1: unexpected symbol near '<eof>'"},
		{"if x then", "t:1: 'end' expected near '<eof>'"},
		{"if x\nthen\n\n", "t:4: 'end' expected (to close 'if' at line 1) near '<eof>'"},
		{"x = \"abc", "t:1: unfinished string near '<eof>'"},
		{"x='a\nb'", "t:1: unfinished string near ''a'"},
		{"x=3x", "t:1: malformed number near '3x'"},
		{"x=[[abc", "t:1: unfinished long string near '<eof>'"},
		{"x='\\q'", "t:1: invalid escape sequence near '''"},
		{"goto x", "t:1: undefined label 'x'"},
		{"goto\nx", "t:2: undefined label 'x'"},
		{"::x:: ::x::", "t:1: duplicate label 'x'"},
		{"do goto x end local a ::x:: print(a)", "t:1: <goto x> jumps into the scope of local 'a'"},
		{"do goto c; local y; ::c:: end return 1", "1"},
		{"break", "t:1: no loop to break"},
		{"f\n()", "t:2: ambiguous syntax (function call x new statement) near '('"},
		{"x:y", "t:1: function arguments expected near '<eof>'"},
		{"(a)=1", "t:1: syntax error near '='"},
		{"for i 1 2", "t:1: '=' or 'in' expected near '1'"},
		{"local function f() return ... end", "t:1: cannot use '...' outside a vararg function near '...'"},
		{"x=[==", "t:1: invalid long string delimiter near '[=='"},
		{"x = \x01", "t:1: unexpected symbol near 'char(1)'"},
		{"else", "t:1: '<eof>' expected near 'else'"},
		{locals, "t:202: main function has more than 200 local variables"},
		{"\nfunction f()\n" + locals + "end", "t:204: function at line 2 has more than 200 local variables"},
		{"return f(" + strings.Repeat("f(", 3000), "t:1: chunk has too many syntax levels"},
		{strings.Repeat("a,", 199) + "a = 1", "t:1: main function has more than 200 variable names"},
		{strings.Repeat("a,", 198) + "a = 1", ""},
		{"a, b = 0, {} b.b, b.a = b, 0 return a" + strings.Repeat(" + a", 2000) + " + b" + strings.Repeat(".b", 2000) + ".a", "0"},
		{strings.Repeat("(", 250), "t:1: chunk has too many syntax levels"},
		{"x = f(" + strings.Repeat("b,", 260) + "c)", "t:1: function or expression too complex"},
	} {
		if got := eval(t, c.src); got != c.want {
			t.Errorf("%.60s\n got %q\nwant %q", c.src, got, c.want)
		}
	}
}
