package luart

import (
	"sync/atomic"

	"perilune/luart/vm"
)

// question is a request for a traceback that has not been answered.
type question struct{ ch atomic.Pointer[chan string] }

// AskTraceback asks the Lua code that runs where it is. Any goroutine may ask; the
// answer comes from the machine's own one, when the code next calls or loops often
// enough, and never if it stands in a Go function.
func (rt *Runtime) AskTraceback() <-chan string {
	ch := make(chan string, 1)
	rt.asked.ch.Store(&ch)
	return ch
}

// spent is called when a share of the budget is spent.
func (rt *Runtime) spent(t *vm.Thread) error {
	if ch := rt.asked.ch.Swap(nil); ch != nil {
		*ch <- hostTrace(t, true)
	}
	if rt.memory.limit > 0 {
		rt.memory.look(context(t))
	}
	if !rt.cpuLimited {
		return nil
	}
	return rt.cpu.check(t)
}
