package vm

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// finalizers are what is due for objects that are unreachable. The collector's
// goroutine puts it here; the machine calls it at safe points.
type finalizers struct {
	pending atomic.Bool
	mu      sync.Mutex
	queue   []func(t *Thread)
}

// SetUserdataMetatable sets the metatable of u. If it has a __gc field then,
// the machine calls that after u became unreachable.
func (m *VM) SetUserdataMetatable(u *Userdata, mt *Table) {
	u.meta = mt
	if mt != nil && mt.metaField(evGC).p != nil {
		m.watch(u)
	}
}

// watch makes the collector report u once. Whether there is a __gc is looked
// up then, since newproxy's metatables are filled later. A VM that is dropped while
// it refers to such an object stays in memory: only what needs it is watched.
func (m *VM) watch(u *Userdata) {
	if u.watched {
		return
	}
	u.watched = true
	// A finalizer, unlike a cleanup, brings the object back, as __gc needs it.
	runtime.SetFinalizer(u, func(u *Userdata) { m.Finalize(u.finalize) })
}

// Finalize has f called at a safe point, by whatever thread runs then. Any
// goroutine may call it.
func (m *VM) Finalize(f func(t *Thread)) {
	q := &m.finalizers
	q.mu.Lock()
	q.queue = append(q.queue, f)
	q.mu.Unlock()
	q.pending.Store(true)
}

// finalize calls __gc. Errors in it are dropped, as the collector of Lua 5.1 does
// in a protected call.
func (u *Userdata) finalize(t *Thread) {
	u.watched = false
	for _, e := range u.entries {
		if e.tb.Get(u.Value()).p == nil {
			_ = e.tb.Set(u.Value(), e.v) // a userdata is a key like any
		}
	}
	u.entries = nil
	if u.meta == nil {
		return
	}
	if h := u.meta.metaField(evGC); h.p != nil {
		if _, err := t.PCall(h, u.Value()); err != nil {
			return
		}
	}
}

// runFinalizers calls what is due, that of the latest object first.
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
	t.m.alone(func() {
		for i := len(queue) - 1; i >= 0; i-- {
			queue[i](t)
		}
	})
}
