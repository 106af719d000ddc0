package luart

import (
	"errors"
	"strings"
	"testing"

	"perilune/luart/vm"
)

func TestAskTraceback(t *testing.T) {
	m := vm.New()
	rt := &Runtime{vm: m}
	var answer <-chan string
	turns := 0
	m.SetBudget(1000, func(th *vm.Thread) error {
		if turns++; turns == 2 {
			answer = rt.AskTraceback()
		}
		if err := rt.spent(th); err != nil || turns < 3 {
			return err
		}
		return errors.New("enough")
	})
	fn, err := m.Load([]byte("local function inner()\n while true do end\nend\ninner()"), "=stuck")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.NewThread().Call(fn.Value()); err == nil {
		t.Fatal("it ended by itself")
	}
	select {
	case got := <-answer:
		if !strings.Contains(got, "stuck:2:") || !strings.Contains(got, "inner") {
			t.Errorf("got %q", got)
		}
	default:
		t.Error("no answer")
	}
}
