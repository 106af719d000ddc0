package vm

import (
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"
	"weak"
)

// weakTables are the tables whose metatable has a __mode. Between collections
// they are tables like others, so that access costs nothing; during one, the
// machine puts Go's weak pointers in the place of their collectable keys and
// values and afterwards removes the entries that did not survive.
type weakTables struct {
	tables  map[weak.Pointer[Table]]struct{}
	stopped bool // by collectgarbage("stop")

	// Go's collector says when it has run; the machine then looks, at a safe
	// point, whether the tables grew so much that a collection pays.
	cycle   *atomic.Bool
	watched bool
	cycles  int // of the collector since weak tables were cleared
	left    int // entries after the last collection

	pause, stepMul gcTuning
}

// gcTuning is a setting of Lua's collector, which Go's does not have: it is
// only remembered, as the difference to the 200 that it is at first.
type gcTuning int

func (g *gcTuning) swap(n int) (old int) {
	old = int(*g) + 200
	*g = gcTuning(n - 200)
	return old
}

// minWeakEntries is how many entries weak tables may have before the machine
// collects by itself.
const minWeakEntries = 1024

// setTableMeta sets the metatable of a table and notes whether it is weak.
func (m *VM) setTableMeta(tb, mt *Table) {
	tb.meta = mt
	if mt == nil || mt.flags&(1<<evMode) != 0 {
		return
	}
	if weakKeys, weakValues := mt.weakMode(); !weakKeys && !weakValues {
		return
	}
	w := &m.weak
	if w.tables == nil {
		w.tables = make(map[weak.Pointer[Table]]struct{})
		w.cycle = new(atomic.Bool)
	}
	w.tables[weak.Make(tb)] = struct{}{}
	m.watchCycle()
}

// weakMode returns what __mode of a metatable says.
func (mt *Table) weakMode() (keys, values bool) {
	mode, _ := mt.metaField(evMode).AsString()
	return strings.Contains(mode, "k"), strings.Contains(mode, "v")
}

// watchCycle has the collector's next cycle noted.
func (m *VM) watchCycle() {
	w := &m.weak
	if w.watched {
		return
	}
	w.watched = true
	w.cycle.Store(false)
	pending := &m.finalizers.pending
	cycle := w.cycle
	runtime.SetFinalizer(&lstring104{}, func(*lstring104) {
		cycle.Store(true)
		pending.Store(true)
	})
}

// weakCycles is after how many cycles of Go's collector weak tables are cleared
// however small they are.
const weakCycles = 16

// cycleEnded collects after a cycle of Go's collector if the weak tables have
// twice the entries that the last collection left, or it has been long since.
func (t *Thread) cycleEnded() {
	w := &t.m.weak
	if !w.watched || !w.cycle.Load() {
		return
	}
	w.watched = false
	n := 0
	for p := range w.tables {
		if tb := p.Value(); tb != nil {
			n += len(tb.arr)
			if tb.nodes != &noNodes {
				n += int(tb.mask) + 1
			}
		} else {
			delete(w.tables, p)
		}
	}
	w.cycles++
	if (n > 2*w.left+minWeakEntries || w.cycles >= weakCycles && n > 0) && !w.stopped {
		w.cycles = 0
		t.collectWeak()
	}
	if len(w.tables) > 0 {
		t.m.watchCycle()
	}
}

// weakRef is a collectable key or value that was taken out of a table. It does
// not refer to the table, which may itself be the value of another one.
type weakRef struct {
	slot *Value
	key  *node // whose key it is, nil for values
	ref  func() unsafe.Pointer
}

// collectWeak runs Go's collector with the weak tables' references weak.
func (t *Thread) collectWeak() {
	w := &t.m.weak
	var refs []weakRef
	for p := range w.tables {
		tb := p.Value()
		if tb == nil || tb.meta == nil {
			delete(w.tables, p)
			continue
		}
		if keys, values := tb.meta.weakMode(); keys || values {
			refs = tb.loosen(refs, keys, values)
		} else {
			delete(w.tables, p)
		}
	}
	runtime.GC()
	for i := range refs {
		refs[i].settle()
	}
	w.left = 0
	for p := range w.tables {
		if tb := p.Value(); tb != nil {
			tb.shrink()
			w.left += len(tb.arr)
			if tb.nodes != &noNodes {
				w.left += int(tb.mask) + 1
			}
		}
	}
}

// loosen takes the collectable keys or values out of a table.
func (tb *Table) loosen(refs []weakRef, keys, values bool) []weakRef {
	take := func(v *Value, key *node) {
		if ref := v.weaken(); ref != nil {
			refs = append(refs, weakRef{v, key, ref})
			v.p = nil
		}
	}
	if values {
		for i := range tb.arr {
			take(&tb.arr[i], nil)
		}
	}
	if tb.nodes == &noNodes {
		return refs
	}
	ns := tb.nodeSlice()
	for i := range ns {
		n := &ns[i]
		if n.v.p == nil {
			continue
		}
		if values {
			take(&n.v, nil)
		}
		if keys {
			if !values {
				tb.keepFor(n)
			}
			take(&n.k, n)
		}
	}
	return refs
}

// keepFor has a userdata that waits for its __gc keep its entry in a table with
// weak keys: as in Lua 5.1 the entry is still there when __gc is called, and goes
// with the next collection.
func (tb *Table) keepFor(n *node) {
	if n.k.p == nil || n.k.Type() != TypeUserdata {
		return
	}
	if u := n.k.udata(); u.watched {
		u.entries = append(u.entries, weakEntry{tb, n.v})
	}
}

// weakEntry is an entry of a table, without its key.
type weakEntry struct {
	tb *Table
	v  Value
}

// settle puts a reference back, or removes its entry.
func (r *weakRef) settle() {
	switch p := r.ref(); {
	case p != nil:
		r.slot.p = p
		if r.key != nil && r.slot.Type() == TypeUserdata {
			r.slot.udata().entries = nil
		}
	case r.key == nil:
		*r.slot = Nil
	default:
		// The key stays as one that nothing is equal to: chains lead through it.
		r.key.k, r.key.v = Value{p: iterTag()}, Nil
	}
}

// weaken returns a function that gives the pointer of a collectable value as
// long as it lives; nil for values that are never removed from weak tables.
func (v *Value) weaken() func() unsafe.Pointer {
	if v.p == nil {
		return nil
	}
	switch v.Type() {
	case TypeTable:
		return weakly(v.tab())
	case TypeFunction:
		return weakly(v.fn())
	case TypeUserdata:
		return weakly(v.udata())
	case TypeThread:
		return weakly(v.thread())
	case TypeCData:
		return weakly(v.cdata())
	}
	return nil
}

func weakly[T any](p *T) func() unsafe.Pointer {
	w := weak.Make(p)
	return func() unsafe.Pointer { return unsafe.Pointer(w.Value()) }
}
