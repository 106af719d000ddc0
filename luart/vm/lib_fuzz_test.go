package vm

import (
	"errors"
	"math"
	"testing"
)

var errSlow = errors.New("budget is spent")

// fuzzVM stops after a budget that ordinary input does not reach.
func fuzzVM(t testing.TB) *VM {
	m := New()
	m.SetBudget(20_000, func(*Thread) error { return errSlow })
	return m
}

// callLib calls a library function; Lua errors and the budget are expected,
// panics of Go code are not.
func callLib(t *testing.T, m *VM, lib, name string, args ...Value) []Value {
	t.Helper()
	tbl, _ := m.Globals().GetStr(lib).AsTable()
	th := m.NewThread()
	r, err := th.Call(tbl.GetStr(name), args...)
	var le *Error
	if errors.As(err, &le) && le.Panic != nil {
		t.Fatalf("panic: %v\n%s", le.Panic, le.Stack)
	}
	return append([]Value(nil), r...)
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"hello world", "(%w+) (%w+)"}, {"a[b]c", "%b[]"}, {"THE (quick) fox", "%f[%a]%a+()"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a?a?a?a?a?a?a?a*a*a*a*a*c"}, {"x", "[%"}, {"x", "[]]"}, {"abab", "(a)(b)%1%2$"},
		{"k=v;", "^(.-)=(.*);$"}, {"\x00\xff", "[^%z]%W"}, {"a-b", "[a-]-[+--]"},
	} {
		f.Add(s[0], s[1], "%0%1")
	}
	f.Fuzz(func(t *testing.T, s, p, repl string) {
		m := fuzzVM(t)
		sv, pv := String(s), String(p)
		found := callLib(t, m, "string", "find", sv, pv)
		if len(found) >= 2 {
			from, _ := found[0].AsNumber()
			to, _ := found[1].AsNumber()
			if from < 1 || to < from-1 || int(to) > len(s) {
				t.Fatalf("find(%q, %q) = %v, %v", s, p, from, to)
			}
		}
		callLib(t, m, "string", "match", sv, pv)
		callLib(t, m, "string", "gsub", sv, pv, String(repl))
	})
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%5.2s|%-8d", "%+08.3f %g", "%q %a %c", "%#x%o%u%%", "%.99f", "%.14g", "%y", "%10"} {
		f.Add(s, "text", 1.5)
		f.Add(s, "12", math.Copysign(0, -1))
	}
	f.Fuzz(func(t *testing.T, format, s string, x float64) {
		m := fuzzVM(t)
		fv := String(format)
		callLib(t, m, "string", "format", fv, String(s), String(s), String(s), String(s))
		callLib(t, m, "string", "format", fv, Number(x), Number(x), Number(x), Number(x))
	})
}

func FuzzBufferDecode(f *testing.F) {
	for _, s := range []string{"\x0d\x03\x01\x07\x00\x00\x00\x00\x00\x00\xf0\x3f\x06\x01\x00\x00\x00\x21a\x02", "\x0a\xff\xff\xff\xff\x7f", "\x0e\x00\x08"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := fuzzVM(t)
		runLua(t, m, "t", `buffer = require "string.buffer"`)
		callLib(t, m, "buffer", "decode", String(s))
	})
}
