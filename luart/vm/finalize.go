package vm

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// finalizers are the userdata whose __gc is due. The collector's goroutine puts
// them here; the machine calls the metamethods at safe points.
type finalizers struct {
	pending atomic.Bool
	mu      sync.Mutex
	queue   []*Userdata
}

// SetUserdataMetatable sets the metatable of u. If it has a __gc field then,
// the machine calls that after u became unreachable.
func (m *VM) SetUserdataMetatable(u *Userdata, mt *Table) {
	u.meta = mt
	if mt == nil {
		return
	}
	m.watch(u)
}

// watch makes the collector report u once. Whether there is a __gc is looked
// up then, since newproxy's metatables are filled later.
func (m *VM) watch(u *Userdata) {
	if u.watched {
		return
	}
	u.watched = true
	// A finalizer, unlike a cleanup, brings the object back, as __gc needs it.
	runtime.SetFinalizer(u, func(u *Userdata) {
		f := &m.finalizers
		f.mu.Lock()
		f.queue = append(f.queue, u)
		f.mu.Unlock()
		f.pending.Store(true)
	})
}

// runFinalizers calls the __gc metamethods that are due, the latest userdata
// first. Errors in them are dropped, as the collector of Lua 5.1 does in a
// protected call.
func (t *Thread) runFinalizers() {
	f := &t.m.finalizers
	if !f.pending.Load() {
		return
	}
	f.mu.Lock()
	queue := f.queue
	f.queue = nil
	f.pending.Store(false)
	f.mu.Unlock()
	t.cycleEnded()
	for i := len(queue) - 1; i >= 0; i-- {
		u := queue[i]
		u.watched = false
		if u.meta == nil {
			continue
		}
		if h := u.meta.metaField(evGC); h.p != nil {
			if _, err := t.PCall(h, u.Value()); err != nil {
				continue
			}
		}
	}
}
