package luart

import (
	"errors"
	"weak"

	"perilune/luart/vm"
)

// A thread that is spawned runs at once, and its parent goes on when it waits for
// something or has ended, after everybody else who is ready. Most have ended before
// they wait for anything. So it runs on the goroutine of its parent, whose code has
// left that by a yield: if the new thread waits, another goroutine takes the parent
// over. A parent that cannot yield, since it is a coroutine or below a function in
// Go, parks instead.

// errTaken says that another goroutine has taken the code over, and sees to its end.
var errTaken = errors.New("taken over")

// spawnCharge is the work that starting a thread counts as: its stack is not small.
const spawnCharge = 64

// maxDepth is how many threads run on one goroutine, each spawned by the one before.
const maxDepth = 16

func threadSpawn(t *vm.Thread, c *Ctx) int {
	fn, ok := t.Arg(1).AsFunction()
	if !ok || fn.IsGo() {
		return argError(t, 1, "Lua function expected")
	}
	t.Charge(spawnCharge)
	parent := c.current(t)
	if parent == nil {
		return raise(t, "no co ctx found")
	}
	u := c.newThread(t, parent, fn)
	u.results = u.few[:0]
	for i, n := 2, t.NArgs(); i <= n; i++ {
		u.results = append(u.results, t.Arg(i))
	}
	c.add(u)
	w := c.waiter(parent)
	if t == parent.t && t.CanYieldToHost() && parent.depth < maxDepth {
		parent.starting = u
		return t.Yield()
	}
	phase := c.phase
	c.rt.cfg.Loop.Next(func() {
		// The parent goes on as soon as the new thread waits for something.
		w.Wake(nil)
		c.phase = phase
		c.runThread(u)
	})
	if err := c.parkThread(parent, 0); err != nil {
		return t.Abort(errKilled)
	}
	t.Push(u.t.Value())
	return 1
}

// newThread is a light thread that has not begun to run.
func (c *Ctx) newThread(t *vm.Thread, parent *thread, fn *vm.Function) *thread {
	u := &thread{t: c.rt.vm.NewThread(), ctx: c, code: c.code, parent: parent}
	if u.byEntry = t == c.entry.t; !u.byEntry {
		u.spawner = weak.Make(t)
	}
	u.t.Data = t.Data
	u.t.Start(fn.Value())
	u.t.Owner = u
	return u
}

// runThread is the life of a spawned thread.
func (c *Ctx) runThread(u *thread) {
	var results []vm.Value
	err := error(nil)
	if args := u.results; !u.killed {
		u.results = nil
		c.rt.resumed(c)
		results, err = c.drive(u, args)
	}
	c.endThread(u, results, err)
}

// endThread is what comes after the code of a thread has ended.
func (c *Ctx) endThread(u *thread, results []vm.Value, err error) {
	if err == errTaken {
		return
	}
	c.threadEnded(u, results, err)
	if u.wait != nil {
		u.wait.Drop()
	}
	if err == nil {
		u.t.Recycle()
	}
	if c.joiner != nil && c.alive() == 0 {
		c.joiner.Wake(nil)
	}
}

// drive runs the code of a thread to its end.
func (c *Ctx) drive(u *thread, args []vm.Value) ([]vm.Value, error) {
	for {
		results, yielded, err := u.t.Resume(args...)
		if !yielded {
			return results, err
		}
		args = nil
		switch {
		case u.starting != nil:
			child := u.starting
			if !c.startChild(u) {
				return nil, errTaken
			}
			if u.killed {
				return nil, &vm.AbortError{Err: errKilled}
			}
			args = append(u.few[:0], child.t.Value())
		case c.running > 0:
			// coroutine.yield of a light thread lets the others run.
			if err := c.yield(u); err != nil {
				return nil, &vm.AbortError{Err: errKilled}
			}
		}
	}
}

// startChild runs the thread that u has spawned. It reports whether u is still this
// goroutine's: if not, the child has waited, and somebody else sees to the end of u.
func (c *Ctx) startChild(u *thread) bool {
	child, takes := u.starting, u.takes
	u.phase = c.phase
	if u.goOn == nil {
		u.goOn = func() { c.takeOver(u) }
	}
	u.wait.Enqueue(u.goOn)
	child.depth = u.depth + 1
	c.runThread(child)
	if u.takes != takes {
		return false
	}
	u.wait.TakePlace()
	c.goesOn(u)
	return true
}

// goesOn is called when u gets the baton after it has started a thread.
func (c *Ctx) goesOn(u *thread) {
	u.starting = nil
	c.phase = u.phase
	c.rt.resumed(c)
}

// takeOver goes on with a thread whose goroutine waits in one that it has started.
func (c *Ctx) takeOver(u *thread) {
	child := u.starting
	u.takes++
	u.depth = 0
	c.goesOn(u)
	results, err := []vm.Value(nil), error(&vm.AbortError{Err: errKilled})
	if !u.killed {
		results, err = c.drive(u, append(u.few[:0], child.t.Value()))
	}
	switch {
	case u != &c.entry:
		c.endThread(u, results, err)
	case err != errTaken:
		c.entryDead(err)
		u.results, u.err, u.ended = results, c.entryEnded(err), true
		if c.joiner != nil {
			c.joiner.Wake(nil)
		}
	}
}

// takenEntry waits for the end of the code of a phase that was taken over.
func (c *Ctx) takenEntry() ([]vm.Value, error) {
	for !c.entry.ended {
		if err := c.parkJoiner(); err != nil {
			return nil, err
		}
	}
	return c.entry.results, c.entry.err
}
