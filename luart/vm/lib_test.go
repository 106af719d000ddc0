package vm

import (
	"strings"
	"testing"
)

// libCase is an expression and what pcall of a function that evaluates it
// returns, as text separated by tabs.
type libCase struct{ expr, want string }

const libPrelude = `
function __p(...) return ... end
function __ins(...)
  local t = (...)
  table.insert(...)
  local s = ""
  for i = -1, 8 do if t[i] ~= nil then s = s .. i .. "=" .. tostring(t[i]) .. " " end end
  return s
end
function __rem(...)
  local t = (...)
  local n = select("#", table.remove(...))
  local s = n .. ":"
  for i = -1, 8 do if t[i] ~= nil then s = s .. i .. "=" .. tostring(t[i]) .. " " end end
  return s
end
function __hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
`

func newTestVM(t testing.TB) *VM {
	t.Helper()
	t.Setenv("TZ", "UTC")
	m := New()
	runLua(t, m, "prelude", libPrelude)
	return m
}

// runLua runs a chunk on the main thread and returns its results.
func runLua(t testing.TB, m *VM, name, src string) []Value {
	t.Helper()
	f, err := m.Load([]byte(src), "="+name)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	r, err := m.Main().Call(f.Value())
	if err != nil {
		t.Fatalf("run %q: %v", src, err)
	}
	return append([]Value(nil), r...)
}

func runLibCases(t *testing.T, cases []libCase) {
	m := newTestVM(t)
	for _, c := range cases {
		f, err := m.Load([]byte("return __p("+c.expr+")"), "=t")
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		r, err := m.Main().Call(m.Globals().GetStr("pcall"), f.Value())
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		text := make([]string, len(r))
		values := append([]Value(nil), r...)
		for i, v := range values {
			text[i] = m.Main().ToString(v)
		}
		if got := strings.Join(text, "\t"); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.expr, got, c.want)
		}
	}
}
