package luart

import (
	"errors"
	"strings"
	"time"
	"weak"

	"perilune/luart/vm"
)

// thread is a light thread: the code of a phase, or what ngx.thread.spawn has
// started. A goroutine runs it, alone while it does not wait for anything, and
// beside others in their waits.
type thread struct {
	t         *vm.Thread
	ctx       *Ctx                    // of a spawned thread
	code      uint64                  // of the context, that it belongs to
	parent    *thread                 // nil of a dead one
	byEntry   bool                    // it is the phase's own code that may wait for it, no coroutine
	spawner   weak.Pointer[vm.Thread] // who else may: a coroutine of the parent perhaps
	prev      *thread                 // in the context's list of those that run
	next      *thread
	wait      Waiter // where it is parked
	state     threadState
	killed    bool
	cancel    func()     // undoes what it waits for, when it is killed
	blockedOn closer     // is closed then: the socket that it waits in
	awaiter   Waiter     // where the parent is parked in ngx.thread.wait for it
	where     string     // the position of the call of error that has ended it
	results   []vm.Value // of a zombie: true or false first; before it runs, its arguments

	subrequests int // that it waits for

	starting *thread // what it has spawned just now, see startChild
	phase    Phase   // of before
	goOn     func()  // takeOver
	takes    int     // how often it was taken over
	depth    int     // of threads that run on one goroutine
	ended    bool    // of the entry: its code has ended on another goroutine, with results
	err      error   // and err

	few [maxThreadResults]vm.Value // room for its arguments, then for the results
}

type threadState uint8

const (
	threadRunning threadState = iota
	threadZombie              // has ended, and its parent has not asked for the results
	threadDead
)

// now is the state. Nobody keeps a list of zombies: whether there still is somebody
// who may ask for the results is looked at when it matters.
func (u *thread) now() threadState {
	if u.killed {
		return threadDead
	}
	if u.state == threadZombie && u.orphan() {
		u.die()
	}
	return u.state
}

// orphan reports whether the code that may wait for the thread has ended.
func (u *thread) orphan() bool {
	if u.parent == nil || u.parent.killed || u.parent.state != threadRunning {
		return true
	}
	t := u.spawnedBy()
	return t == nil || t.Status() == "dead"
}

// spawnedBy is the code that has spawned the thread, nil if it is gone.
func (u *thread) spawnedBy() *vm.Thread {
	if u.byEntry {
		return u.ctx.entry.t
	}
	return u.spawner.Value()
}

func (u *thread) die() {
	u.state, u.parent, u.results = threadDead, nil, nil
}

// status is the thread's state as coroutine.status tells it.
func (u *thread) status() string {
	switch u.now() {
	case threadZombie:
		return "zombie"
	case threadDead:
		return "dead"
	}
	if s := u.t.Status(); s != "suspended" {
		return s
	}
	return "running" // it lets others run
}

// errKilled ends the code of a thread that was killed, or whose request ends.
var errKilled = errors.New("killed")

// maxThreadResults bounds nothing but what takes no allocation of its own.
const maxThreadResults = 4

func threadAPI() []Function {
	const in = phasesYieldable
	return []Function{
		{Name: "ngx.thread.spawn", Args: "(func, ...)", Phases: in, extra: phasesThreads, fn: threadSpawn, noRequest: errNoRequest,
			Doc: "starts a light thread, which runs at once until it waits for something"},
		{Name: "ngx.thread.wait", Args: "(thread, ...)", Phases: in, extra: phasesThreads, fn: threadWait, noRequest: errNoRequest,
			Doc: "waits until the first of these threads ends; returns whether it ended well, and its results"},
		{Name: "ngx.thread.kill", Args: "(thread)", Phases: in, extra: phasesThreads, fn: threadKill, noRequest: errNoRequest,
			Doc: "ends a thread"},
	}
}

// current is the light thread that t runs in, a coroutine of it perhaps.
func (c *Ctx) current(t *vm.Thread) *thread {
	for r := t.Resumer(); r != nil; r = t.Resumer() {
		t = r
	}
	return c.find(t)
}

// find is the light thread of that thread of the machine, nil if it is none.
func (c *Ctx) find(t *vm.Thread) *thread {
	if u, ok := t.Owner.(*thread); ok && u.ctx == c && u.code == c.code {
		return u
	}
	if c.entry.t == t {
		return &c.entry
	}
	return nil
}

// park waits in the thread that t belongs to, with nil after a Wake that gave no
// error. A function of the API that gets errKilled must return t.Abort(errKilled).
func (c *Ctx) park(t *vm.Thread, timeout time.Duration) error {
	return c.parkThread(c.waitingThread(t), timeout)
}

// waitingThread is the thread that is about to wait, ready for parkThread.
func (c *Ctx) waitingThread(t *vm.Thread) *thread {
	u := c.current(t)
	if u == nil {
		u = &thread{}
	}
	c.waiter(u)
	return u
}

func (c *Ctx) parkThread(u *thread, timeout time.Duration) error {
	return c.wait(u, func() error { return u.wait.Park(timeout) })
}

// waiter is what the thread parks on.
func (c *Ctx) waiter(u *thread) Waiter {
	if u.wait == nil {
		u.wait = c.rt.cfg.Loop.NewWaiter()
	}
	return u.wait
}

// wait waits by means of the thread's waiter.
func (c *Ctx) wait(u *thread, park func() error) error {
	if u.killed {
		return errKilled
	}
	c.waiter(u)
	phase, chunk := c.phase, c.chunk
	err := park()
	c.phase, c.chunk = phase, chunk
	c.rt.resumed(c)
	if u.killed {
		return errKilled
	}
	return err
}

// waited is called after a wait in the engine, with the phase from before it. It
// reports whether the thread goes on.
func (c *Ctx) waited(t *vm.Thread, phase Phase) bool {
	c.phase = phase
	c.rt.resumed(c)
	u := c.current(t)
	return u == nil || !u.killed
}

func (c *Ctx) yield(u *thread) error {
	return c.wait(u, func() error { return u.wait.Yield() })
}

// runEntry runs the code of a phase, and the threads that it spawns, to the end of
// all of them. Its results are valid until the thread is used again.
func (c *Ctx) runEntry(t *vm.Thread, fn vm.Value, args ...vm.Value) (vm.Value, error) {
	t.Start(fn)
	c.entry.t = t
	results, err := c.drive(&c.entry, args)
	if err == errTaken {
		results, err = c.takenEntry()
	} else {
		c.entryDead(err)
	}
	first := vm.Nil
	if len(results) > 0 {
		first = results[0]
	}
	if c.running > 0 || c.ending {
		err = c.join(err)
	}
	c.code++
	c.entry = thread{wait: c.entry.wait, goOn: c.entry.goOn}
	return first, err
}

// entryDead notes that the phase's own code has ended.
func (c *Ctx) entryDead(err error) {
	c.entry.state = threadDead
	if err == nil && c.phase&phasesYieldable != 0 {
		logText(c.logger(c.rt), LevelDebug, "lua light thread ended normally")
	}
}

// entryEnded is what comes after the phase's own code has ended: the spawned threads go
// on unless that was with an error.
func (c *Ctx) entryEnded(err error) error {
	switch {
	case c.ending: // by one of the threads
		return c.endErr
	case err != nil:
		c.end(err)
	}
	return err
}

// join waits for the spawned threads when the phase's own code has ended.
func (c *Ctx) join(err error) error {
	if !c.entry.ended {
		err = c.entryEnded(err)
	}
	for c.alive() > 0 {
		if perr := c.parkJoiner(); perr != nil && err == nil {
			err = perr
		}
	}
	if c.ending {
		err = c.endErr
	}
	c.ending, c.endErr = false, nil
	return err
}

// parkJoiner waits until there may be no thread left to wait for.
func (c *Ctx) parkJoiner() error {
	if c.joiner == nil {
		c.joiner = c.rt.cfg.Loop.NewWaiter()
	}
	phase := c.phase
	err := c.joiner.Park(0)
	c.phase = phase
	return err
}

// alive is how many spawned threads have not ended.
func (c *Ctx) alive() int { return c.running }

// add enters a thread that is about to run.
func (c *Ctx) add(u *thread) {
	if u.prev = c.last; u.prev != nil {
		u.prev.next = u
	} else {
		c.first = u
	}
	c.last = u
	c.running++
}

// remove takes a thread out that has ended.
func (c *Ctx) remove(u *thread) {
	if u.prev != nil {
		u.prev.next = u.next
	} else {
		c.first = u.next
	}
	if u.next != nil {
		u.next.prev = u.prev
	} else {
		c.last = u.prev
	}
	u.prev, u.next = nil, nil
	c.running--
}

// end ends all threads of the request, because of err.
func (c *Ctx) end(err error) {
	c.ending, c.endErr, c.cutOff = true, err, c.pendingSubrequests() > 0
	for u := c.first; u != nil; u = u.next {
		c.stop(u)
	}
	c.stop(&c.entry)
}

// stop has a thread end as soon as it gets the baton.
func (c *Ctx) stop(u *thread) {
	if u.state != threadRunning {
		return
	}
	u.killed = true
	if u.cancel != nil {
		u.cancel()
	}
	if u.blockedOn != nil {
		u.blockedOn.close()
	}
	if u.wait != nil {
		u.wait.Wake(errKilled)
	}
}

func (c *Ctx) threadEnded(u *thread, results []vm.Value, err error) {
	c.remove(u)
	if u.killed {
		u.die()
		return
	}
	if _, isAbort := err.(*vm.AbortError); isAbort {
		u.die()
		c.end(err)
		return
	}
	u.results = append(u.few[:0], vm.Bool(err == nil))
	if err == nil {
		logText(c.logger(c.rt), LevelDebug, "lua light thread ended normally")
		u.results = append(u.results, results...)
	} else {
		logText(c.logger(c.rt), LevelError, "lua user thread aborted: "+describe(err))
		// What wait returns is all that LuaJIT leaves on the thread's stack: of a call
		// of error both its argument and the message with the position.
		v := errorValue(err)
		if text, ok := v.AsString(); ok && u.where != "" {
			if arg, ok := strings.CutPrefix(text, u.where); ok {
				u.results = append(u.results, vm.String(arg))
			}
		}
		u.results = append(u.results, v)
	}
	u.state = threadZombie
	if u.now() == threadZombie && u.awaiter != nil {
		u.awaiter.Wake(nil)
	}
}

// errorValue is the value of an error of Lua code.
func errorValue(err error) vm.Value {
	var e *vm.Error
	if errors.As(err, &e) {
		return e.Value
	}
	return vm.String(err.Error())
}

func threadWait(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n == 0 {
		return raise(t, "at least one coroutine should be specified")
	}
	var few [maxThreadResults]*thread
	threads := few[:0]
	for i := 1; i <= n; i++ {
		co, ok := t.Arg(i).AsThread()
		if !ok {
			return argError(t, i, "lua thread expected")
		}
		u := c.find(co)
		if u == nil && foreign(co) {
			return raise(t, "no co ctx found")
		}
		if u == nil || u == &c.entry {
			return raise(t, "attempt to wait on a coroutine that is not a user thread")
		}
		if u.spawnedBy() != t {
			return raise(t, "only the parent coroutine can wait on the thread")
		}
		switch u.now() {
		case threadZombie:
			return takeResults(t, u)
		case threadRunning:
			threads = append(threads, u)
		case threadDead:
			if i == n {
				return fail(t, "already waited or killed")
			}
		}
	}
	me := c.current(t)
	if me == nil {
		return raise(t, "no co ctx found")
	}
	for _, u := range threads {
		u.awaiter = c.waiter(me)
	}
	err := c.parkThread(me, 0)
	var done *thread
	for _, u := range threads {
		u.awaiter = nil
		if done == nil && u.state == threadZombie {
			done = u
		}
	}
	if err != nil || done == nil {
		return t.Abort(errKilled)
	}
	return takeResults(t, done)
}

// takeResults pushes the results of a zombie.
func takeResults(t *vm.Thread, u *thread) int {
	for _, v := range u.results {
		t.Push(v)
	}
	n := len(u.results)
	u.die()
	return n
}

// foreign reports whether the thread is one of other code.
func foreign(co *vm.Thread) bool {
	_, ok := co.Owner.(*thread)
	return ok
}

func threadKill(t *vm.Thread, c *Ctx) int {
	co, ok := t.Arg(1).AsThread()
	if !ok {
		return argError(t, 1, "lua thread expected")
	}
	u := c.find(co)
	switch {
	case u == nil && foreign(co):
		return raise(t, "no co ctx found")
	case u == nil || u == &c.entry:
		return fail(t, "not user thread")
	case u.spawnedBy() != t:
		return fail(t, "killer not parent")
	case u.subrequests > 0:
		return fail(t, "pending subrequests")
	}
	switch u.now() {
	case threadZombie:
		u.die()
		return fail(t, "already terminated")
	case threadDead:
		return fail(t, "already waited or killed")
	}
	c.stop(u)
	t.PushInt(1)
	return 1
}
