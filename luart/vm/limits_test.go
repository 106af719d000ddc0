package vm

import (
	"errors"
	"strings"
	"testing"
)

// bombs are scripts that want more memory or stack than there may be.
var bombs = []struct{ name, source, message string }{
	{"rep with separator", `return ("x"):rep(1e9, ("y"):rep(1000))`, "not enough memory"},
	{"rep in a loop", `local t = {} for i = 1, 1e6 do t[i] = ("x"):rep(1e6) .. i end`, "not enough memory"},
	{"rep in a list", `local t = {} for i = 1, 100 do t[i] = ("x"):rep(1e8) end`, "not enough memory"},
	{"doubling", `local s = "x" while true do s = s .. s end`, "not enough memory|string length overflow"},
	{"concat", `local t, s = {}, ("x"):rep(1e6) for i = 1, 1e5 do t[i] = s end return table.concat(t)`, "not enough memory"},
	{"gsub", `local s = ("x"):rep(1e5) return s:gsub("x", s)`, "not enough memory"},
	{"gsub twice", `return (("x"):rep(1e4):gsub("", ("y"):rep(1e5)))`, "not enough memory"},
	{"recursion", `local function f() return 1 + f() end f()`, "stack overflow"},
	{"wide recursion", `local function f(...) return 1, f(1, ...) end f()`, "stack overflow|not enough memory"},
	{"metamethod", `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. ""] end return t.x`, "stack overflow"},
	{"callbacks", `local function f() return (("x"):gsub("x", f)) end f()`, "stack overflow"},
	{"coroutines", `local function f() return coroutine.wrap(f)() end f()`, "stack overflow"},
	{"unpack", `return unpack({}, 1, 1e8)`, "too many results to unpack"},
	{"index chain", `local t = {} for i = 1, 1e5 do t = setmetatable({}, {__index = t}) end return t.x`, "loop in gettable"},
	{"handlers", `return select(2, xpcall(error, function(m) error(m) end)) == "error in error handling" and error("fine")`, "fine"},
	{"nesting", `return assert(loadstring("return " .. ("("):rep(1e5) .. "1" .. (")"):rep(1e5)))`, "too many syntax levels"},
	{"blocks", `return assert(loadstring(("do "):rep(1e5) .. ("end "):rep(1e5)))`, "too many syntax levels"},
}

func TestBombs(t *testing.T) {
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			m := New()
			m.SetMemoryLimit(m.MemoryInUse() + 24<<20)
			f, err := m.Load([]byte("local ok, e = pcall(function() "+b.source+" end) assert(not ok, 'no error') return tostring(e)"), "=bomb")
			if err != nil {
				t.Fatal(err)
			}
			th := m.NewThread()
			r, err := th.Call(f.Value())
			if err != nil {
				t.Fatalf("not caught: %v", err)
			}
			s, _ := r[0].AsString()
			for _, want := range strings.Split(b.message, "|") {
				if strings.Contains(s, want) {
					return
				}
			}
			t.Errorf("got %.200q", s)
		})
	}
}

// A sparse assignment takes no more memory than its entries.
func TestSparse(t *testing.T) {
	m := New()
	before := m.MemoryInUse()
	f, _ := m.Load([]byte(`local t = {} t[5e7] = 1 t[2^40] = 2 t[-1] = 3 return t`), "=sparse")
	if _, err := m.NewThread().Call(f.Value()); err != nil {
		t.Fatal(err)
	}
	if used := m.MemoryInUse() - before; used > 8<<20 {
		t.Errorf("%d bytes", used)
	}
}

// The budget ends functions of the library that work for long by themselves, and
// Lua code cannot catch that.
func TestBudgetInLibrary(t *testing.T) {
	stop := errors.New("time is up")
	for _, source := range []string{
		`table.sort(big, function(a, b) while true do end end)`,
		`table.sort(big, function(a, b) return a < b end) while true do table.sort(big) end`,
		`("x"):rep(100):gsub("x", function() while true do end end)`,
		`while true do ("x"):rep(1e5):gsub("x", "y") end`,
		`("a"):rep(1e5):find((".-"):rep(20) .. "b")`,
		`for w in ("a "):rep(1e3):gmatch("%a") do while true do end end`,
		`table.insert(big, -2^31, 1)`,
		`string.format("%s", setmetatable({}, {__tostring = function() while true do end end}))`,
		`coroutine.wrap(function() pcall(function() while true do end end) while true do end end)()`,
		`xpcall(function() while true do end end, function() while true do end end)`,
		`load(function() while true do end end)`,
		`while true do pcall(error) end`,
		`::again:: goto again`,
		`repeat until false`,
		`local function f() return f() end f()`,
	} {
		m := New()
		n := 0
		m.SetBudget(10000, func(*Thread) error {
			if n++; n > 20 {
				return stop
			}
			return nil
		})
		f, err := m.Load([]byte("local big = {} for i = 1, 2000 do big[i] = i * 7919 % 2003 end\npcall(function() "+source+" end) while true do end"), "=budget")
		if err != nil {
			t.Fatal(err)
		}
		th := m.NewThread()
		_, err = th.Call(f.Value())
		if !errors.Is(err, stop) {
			t.Errorf("%s: %v", source, err)
		}
		th.Reset()
		n = -1 << 30
		ok, _ := m.Load([]byte("return 1 + 1"), "=after")
		if r, err := th.Call(ok.Value()); err != nil || len(r) != 1 {
			t.Errorf("%s: after it: %v", source, err)
		}
	}
}
