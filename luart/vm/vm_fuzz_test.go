package vm

import (
	"errors"
	"testing"
)

// FuzzLoad compiles and runs arbitrary text under a budget: nothing may panic
// in the host or hang.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"return 1 + 2", "local a <const> = 1", "for i = 1, 10 do goto c ::c:: end", "x = {1, 2; a = 3, [4] = 5}",
		"local t = setmetatable({}, {__index = function(t, k) return k end}) return t.x .. t[1]",
		"return coroutine.wrap(function(...) return pcall(coroutine.yield, ...) end)(1, 2)",
		"local function f(...) return select('#', ...) end return f(1, f(2, 3))", "repeat local x = 1 until x",
		"while true do end", "return ('x'):rep(100):gsub('.', '%0%0')", "return 0x1p4, 1LL, 2ULL, 3i, '\\u{20AC}\\z  x'",
	} {
		f.Add([]byte(s))
	}
	m := New()
	for _, name := range []string{"io", "os", "debug", "dofile", "loadfile", "print", "collectgarbage", "package", "require"} {
		m.Globals().SetStr(name, Nil)
	}
	over := errors.New("over budget")
	f.Fuzz(func(t *testing.T, src []byte) {
		fn, err := m.Load(src, "=fuzz")
		if err != nil {
			return
		}
		left := 20
		m.SetBudget(1000, func(*Thread) error {
			if left--; left < 0 {
				return over
			}
			return nil
		})
		env := m.NewTable(0, 0)
		mt := m.NewTable(0, 1)
		mt.SetStr("__index", m.Globals().Value())
		env.SetMetatable(mt)
		fn.SetEnv(env)
		th := m.NewThread()
		if _, err := th.Call(fn.Value()); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Panic != nil {
				t.Fatalf("%v\n%s", e.Panic, e.Stack)
			}
		}
		if th.ci != -1 {
			t.Fatalf("a frame is left: %d", th.ci)
		}
	})
}
