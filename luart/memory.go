package luart

import (
	"fmt"

	"perilune/luart/vm"
)

// memoryWatch is lua_memory_limit. The heap is that of the process, so that the
// limit alone does not say who is to blame when there is no room. Each request is
// held to account for what the heap has grown by while its code ran: those that
// have taken little go on.
type memoryWatch struct {
	limit   int64
	owner   *Ctx  // whose code has been running since
	seen    int64 // the heap was of this size
	pressed bool  // there is so much of it that it is looked at whenever other code gets the baton
}

// Shares of the limit: what a request may take before it is to blame, and how far
// beyond the limit the others may go on.
const (
	blameShare   = 8
	overrunShare = 4
)

// maxMemoryErrors is how often the code of a request may catch "not enough memory":
// after that it is ended.
const maxMemoryErrors = 10

// memoryError ends a request that goes on after "not enough memory".
type memoryError struct{ limit int64 }

func (e memoryError) Error() string { return fmt.Sprintf("memory limit of %d bytes exceeded", e.limit) }

// limitMemory sets the limit up.
func (rt *Runtime) limitMemory(limit int64) {
	if limit == 0 {
		return
	}
	rt.memory.limit = limit
	rt.vm.OverMemory = rt.overMemory
	rt.vm.SetMemoryLimit(limit)
}

// look holds the code that has been running to account, and then watches that of c. It
// is called every share of the budget.
func (w *memoryWatch) look(c *Ctx) {
	now := vm.TakenMemory()
	if w.owner != nil && now > w.seen {
		w.owner.grown += now - w.seen
	}
	w.owner, w.seen, w.pressed = c, now, now > w.limit/2
}

// resumed is called when c's code gets the baton.
func (w *memoryWatch) resumed(c *Ctx) {
	if w.pressed {
		w.look(c)
	} else {
		w.owner = nil
	}
}

// overMemory decides who fails when the heap has no room.
func (rt *Runtime) overMemory(t *vm.Thread, n, over int64) (fail bool, abort error) {
	limit := rt.memory.limit
	c := context(t)
	if c == nil {
		return true, nil
	}
	if n+c.grown < limit/blameShare && over < limit/overrunShare {
		return false, nil
	}
	if c.memoryErrors++; c.memoryErrors > maxMemoryErrors {
		return false, memoryError{limit}
	}
	return true, nil
}
