package vm

import "testing"

// TestPatternBudget shows that no pattern runs longer than the budget allows.
func TestPatternBudget(t *testing.T) {
	for _, p := range []string{"a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b", ".-.-.-.-.-.-b", "(a*)(a*)(a*)(a*)(a*)b"} {
		m := fuzzVM(t)
		th := m.NewThread()
		find := runLua(t, m, "t", `return string.find`)[0]
		subject := make([]byte, 5000)
		for i := range subject {
			subject[i] = 'a'
		}
		if _, err := th.Call(find, Bytes(subject), String(p)); err == nil || err.Error() != errSlow.Error() {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// TestPatternDepth shows the limit of the matcher's own stack.
func TestPatternDepth(t *testing.T) {
	m := newTestVM(t)
	r := runLua(t, m, "t", `return pcall(string.find, ("a"):rep(300), ("a?"):rep(300) .. ("b?"):rep(10))`)
	if s, _ := r[1].AsString(); s != "pattern too complex" {
		t.Errorf("got %v %q", r[0].Truthy(), s)
	}
}
