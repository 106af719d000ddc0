package luart

import (
	"container/list"
	"time"

	"perilune/luart/vm"
)

// semaphore is an object of the module ngx.semaphore.
type semaphore struct {
	count   int
	waiting *list.List // of *semWaiter, in their order
	posted  bool       // those that wait are being given what was posted
}

type semWaiter struct {
	wait Waiter
	at   *list.Element // nil when it waits no more
	got  bool
}

// openSemaphore makes the module ngx.semaphore.
func (rt *Runtime) openSemaphore() {
	m := rt.vm.NewTable(0, 8)
	mt := rt.vm.NewTable(0, 1)
	mt.SetStr("__index", m.Value())
	for _, f := range []struct {
		name string
		fn   vm.GoFunction
	}{
		{"new", func(t *vm.Thread) int { return semNew(t, mt) }},
		{"wait", semWait}, {"post", semPost}, {"count", semCount},
	} {
		m.SetStr(f.name, rt.vm.NewFunction(f.name, f.fn))
	}
	m.SetStr("version", vm.String(coreVersion))
	rt.preload("ngx.semaphore", m)
}

// coreVersion is the version of lua-resty-core whose modules these are.
const coreVersion = "0.1.32"

// preload makes a table a module that require finds.
func (rt *Runtime) preload(name string, m *vm.Table) {
	p := rt.packageTable()
	if p == nil {
		return
	}
	if loaders, ok := p.GetStr("preload").AsTable(); ok {
		loaders.SetStr(name, rt.vm.NewFunction(name, func(t *vm.Thread) int {
			t.Push(m.Value())
			return 1
		}))
	}
}

func semNew(t *vm.Thread, mt *vm.Table) int {
	n, _ := t.Arg(1).ToNumberCoerced()
	if n < 0 {
		return raiseAt(t, 1, "no negative number")
	}
	obj := t.VM().NewTable(0, 1)
	obj.SetStr("sem", t.VM().NewUserdata(&semaphore{count: int(n), waiting: list.New()}, nil).Value())
	obj.SetMetatable(mt)
	t.Push(obj.Value())
	return 1
}

// semOf is the semaphore that a method was called for.
func semOf(t *vm.Thread) *semaphore {
	if tab, ok := t.Arg(1).AsTable(); ok {
		if u, ok := tab.GetStr("sem").AsUserdata(); ok {
			if s, ok := u.Data.(*semaphore); ok {
				return s
			}
		}
	}
	t.ErrorValue(vm.String("not a semaphore instance"), 1)
	return nil
}

func semWait(t *vm.Thread) int {
	s := semOf(t)
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		return raise(t, "%s", errNoRequest)
	}
	sec, ok := t.Arg(2).ToNumberCoerced()
	if !ok {
		return raiseAt(t, 1, "attempt to perform arithmetic on a nil value")
	}
	if sec < 0 {
		return raiseAt(t, 1, "no negative number")
	}
	if c.phase&phasesYieldable == 0 && (c.phase&phasesWaiting == 0 || c.strict()) {
		return fail(t, errContextOf+c.phase.Directive())
	}
	if s.waiting.Len() == 0 && s.count > 0 {
		s.count--
		t.PushBool(true)
		return 1
	}
	ms := int64(sec * 1000)
	if ms == 0 {
		return fail(t, "timeout")
	}
	u := c.waitingThread(t)
	w := &semWaiter{wait: u.wait}
	w.at = s.waiting.PushBack(w)
	u.cancel = func() {
		s.remove(w)
		if w.got {
			s.count++ // it goes to somebody else
			s.hand(c.rt)
		}
	}
	err := c.parkThread(u, time.Duration(ms)*time.Millisecond)
	u.cancel = nil
	switch {
	case err == errKilled:
		return t.Abort(errKilled)
	case w.got:
		t.PushBool(true)
		t.PushNil()
		return 2
	}
	s.remove(w)
	t.PushBool(false)
	t.PushString("timeout")
	return 2
}

func (s *semaphore) remove(w *semWaiter) {
	if w.at != nil {
		s.waiting.Remove(w.at)
		w.at = nil
	}
}

func semPost(t *vm.Thread) int {
	s := semOf(t)
	n := 1.0
	if v := t.Arg(2); v.Truthy() {
		f, ok := v.ToNumberCoerced()
		if !ok {
			f = 1
		}
		n = f
	}
	if n < 1 {
		return raiseAt(t, 1, "positive number required")
	}
	s.count += int(n)
	if c := context(t); c != nil {
		s.hand(c.rt)
	}
	t.PushBool(true)
	return 1
}

// hand gives the thread that has waited for longest what there is, later in this turn,
// and the next one after that has run.
func (s *semaphore) hand(rt *Runtime) {
	if s.posted || s.count <= 0 || s.waiting.Len() == 0 {
		return
	}
	s.posted = true
	rt.cfg.Loop.Go(func() {
		s.posted = false
		if s.count <= 0 || s.waiting.Len() == 0 {
			return
		}
		w := s.waiting.Front().Value.(*semWaiter)
		s.remove(w)
		if w.wait.Wake(nil) {
			w.got = true
			s.count--
		}
		s.hand(rt)
	})
}

func semCount(t *vm.Thread) int {
	s := semOf(t)
	t.PushInt(s.count - s.waiting.Len())
	return 1
}
