package vm

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bombs are scripts that want more memory or stack than there may be.
var bombs = []struct{ name, source, message string }{
	{"rep with separator", `return ("x"):rep(1e9, ("y"):rep(1000))`, "not enough memory"},
	{"rep in a loop", `local t = {} for i = 1, 1e6 do t[i] = ("x"):rep(1e6) .. i end`, "not enough memory"},
	{"rep in a list", `local t = {} for i = 1, 100 do t[i] = ("x"):rep(2e7) end`, "not enough memory"},
	{"doubling", `local s = "x" while true do s = s .. s end`, "not enough memory|string length overflow"},
	{"concat", `local t, s = {}, ("x"):rep(1e6) for i = 1, 1e5 do t[i] = s end return table.concat(t)`, "not enough memory"},
	{"gsub", `local s = ("x"):rep(1e5) return s:gsub("x", s)`, "not enough memory"},
	{"gsub twice", `return (("x"):rep(1e4):gsub("", ("y"):rep(1e5)))`, "not enough memory"},
	{"format", `local s = ("x"):rep(4e6) return (("%s"):rep(20):format(s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s))`, "not enough memory"},
	{"quoting", `local s = ("\0"):rep(8e6) return ("%q"):format(s)`, "not enough memory"},
	{"width", `return ("%1000000000s"):format("x")`, "invalid option"},
	{"upper", `local t, s = {}, ("x"):rep(4e6) for i = 1, 100 do t[i] = s:upper() end`, "not enough memory"},
	{"parts", `local t, s = {}, ("x"):rep(4e6) for i = 1, 100 do t[i] = s:sub(1, 1.9e6) end`, "not enough memory"},
	{"captures", `local t, s = {}, ("x"):rep(4e6) for i = 1, 100 do t[i] = s:match("^" .. ("."):rep(30) .. "(x*)") .. i end`, "not enough memory"},
	{"table.concat of numbers", `local t = {} for i = 1, 1e5 do t[i] = i end return table.concat(t, ("x"):rep(1e4))`, "not enough memory"},
	{"string.buffer", `local b, s = require("string.buffer").new(), ("x"):rep(1e6) while true do b:put(s) end`, "not enough memory"},
	{"encode", `local s = ("x"):rep(4e6) return require("string.buffer").encode({s, s, s, s, s, s, s, s, s, s, s, s})`, "not enough memory"},
	{"array", `local t = {} for i = 1, 1e9 do t[i] = i end`, "not enough memory"},
	{"insert", `local t = {} for i = 1, 1e9 do table.insert(t, i) end`, "not enough memory"},
	{"move", `local t = {1} for i = 0, 40 do table.move(t, 1, 2^i, 2^i + 1) end`, "not enough memory"},
	{"hash", `local t = {} for i = 1, 1e9 do t[i + 0.5] = i end`, "not enough memory"},
	{"rawset", `local t = {} for i = 1, 1e9 do rawset(t, -i, i) end`, "not enough memory"},
	{"tables", `local t = {} for i = 1, 1e9 do t = {t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16} end`, "not enough memory"},
	{"tables with fields", `local t = {} for i = 1, 1e9 do t = {next = t, a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8} end`, "not enough memory"},
	{"table.new", `local new, t = require "table.new", {} for i = 1, 1000 do t[i] = new(1e6, 0) end`, "not enough memory"},
	{"table.clone", `local clone, t = require "table.clone", {} for i = 1, 1e5 do t[i] = i end for i = 1, 1000 do t[i] = clone(t) end`, "not enough memory"},
	{"coroutines in a list", `local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end`, "not enough memory"},
	{"closures", `local t for i = 1, 1e9 do local u = t t = function() return u, i end end`, "not enough memory"},
	{"load", `local n = 0 return assert(load(function() n = n + 1 return "x = {" .. ("1,"):rep(1e5) .. "} " end))`, "not enough memory"},
	{"expressions", `return assert(loadstring("return {" .. ("{1,2},"):rep(1e6) .. "}"))`, "not enough memory"},
	{"a file without end", `return io.open("/dev/zero"):read("*a")`, "not enough memory"},
	{"a line without end", `return io.open("/dev/zero"):read("*l")`, "not enough memory"},
	{"bytes without end", `return io.open("/dev/zero"):read(1e9)`, "not enough memory"},
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

const bombLimit = 24 << 20

// watchHeap looks at the heap until its result is called, which returns the largest
// size seen.
func watchHeap(m *VM) func() int64 {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for {
			most = max(most, m.MemoryInUse())
			select {
			case <-done:
				result <- most
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(done)
		return <-result
	}
}

func TestBombs(t *testing.T) {
	t.Cleanup(runtime.GC)
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			m := New()
			runtime.GC()
			start := m.MemoryInUse()
			m.SetMemoryLimit(start + bombLimit)
			f, err := m.Load([]byte("local ok, e = pcall(function() "+b.source+" end) assert(not ok, 'no error') return tostring(e)"), "=bomb")
			if err != nil {
				t.Fatal(err)
			}
			th := m.NewThread()
			most := watchHeap(m)
			r, err := th.Call(f.Value())
			if peak := most() - start; peak > 3*bombLimit {
				t.Errorf("took %d MiB", peak>>20)
			}
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

// TestStopsSoon: what the library does for long by itself ends soon after it is to.
func TestStopsSoon(t *testing.T) {
	t.Cleanup(runtime.GC) // other tests wait for collections
	stop := errors.New("time is up")
	for _, source := range []string{
		`local t = {} for i = 1, 1e9 do t[i] = i end`,
		`local t = {} for i = 1, 1e9 do table.insert(t, 1, i) end`,
		`local t = {} for i = 1, 1e9 do t[i .. ""] = i end`,
		`while true do table.concat(big) end`,
		`while true do table.concat(big, ",") end`,
		`while true do table.sort(mixed()) end`,
		`while true do table.remove(big, 1) table.insert(big, 1, 1) end`,
		`while true do unpack(big, 1, 1e5) end`,
		`local s = ("x"):rep(2e7) while true do local t = s .. "y" end`,
		`local s = ("x"):rep(2e7) while true do s:upper() end`,
		`local s = ("x"):rep(2e7) while true do s:find("y", 1, true) end`,
		`local s = ("x"):rep(2e7) while true do s:find("yx") end`,
		`local s = ("x"):rep(2e7) while true do s:gsub("x", "y") end`,
		`local s = ("x"):rep(2e7) while true do s:find("(x*)y") end`,
		`local s = ("x"):rep(2e7) while true do s:match("%s-y") end`,
		`local s = ("x"):rep(1e7) while true do s:rep(10) end`,
		`local s, t = ("x"):rep(2e7), ("x"):rep(2e7) while true do local e = s == t, s < t end`,
		`local s = ("x"):rep(2e7) while true do ("%s"):format(s) end`,
		`local t = {} for i = 1, 2e5 do t["k" .. i] = i end for i = 1, 2e5 do t["k" .. i] = nil end while true do next(t) for _ in pairs(t) do end end`,
		`local s = "return {" .. ("{1, 2}, "):rep(1e5) .. "}" while true do loadstring(s) end`,
		`local function f(...) return ... end while true do f(f(unpack(big, 1, 1e5))) end`,
		`local t = require("table.clone") while true do t(big) end`,
		`local b = require("string.buffer") while true do b.decode(b.encode(big)) end`,
	} {
		m := New()
		var deadline time.Time
		m.SetBudget(1<<15, func(*Thread) error {
			if !deadline.IsZero() && time.Now().After(deadline) {
				return stop
			}
			return nil
		})
		f, err := m.Load([]byte(`local big = {} for i = 1, 2e5 do big[i] = i % 1000 .. "" end
local function mixed() local t = {} for i = 1, 3e5 do t[i] = i * 7919 % 999983 end return t end
go() pcall(function() `+source+` end) while true do end`), "=soon")
		if err != nil {
			t.Fatal(err)
		}
		m.Globals().SetStr("go", m.NewFunction("go", func(*Thread) int {
			deadline = time.Now().Add(20 * time.Millisecond)
			return 0
		}))
		_, err = m.NewThread().Call(f.Value())
		if late := time.Since(deadline); !errors.Is(err, stop) || late > 2*time.Second {
			t.Errorf("%s: %v, %s late", source, err, late)
		} else if testing.Verbose() {
			t.Log(late, source)
		}
	}
}
