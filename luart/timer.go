package luart

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"perilune/luart/vm"
)

// TimerLimits are lua_max_pending_timers and lua_max_running_timers; Hold keeps
// the process from ending until Release is called as often.
type TimerLimits struct {
	Pending, Running int
	Hold, Release    func()
}

// timers are those of a runtime.
type timers struct {
	pending []*timer // in no order
	made    uint64
	running int
}

// timer is what ngx.timer.at has made.
type timer struct {
	rt       *Runtime
	number   uint64 // in the order of their making
	at       int    // its place among those that are pending
	fn       *vm.Function
	args     []vm.Value // the first is whether it is premature
	every    time.Duration
	when     time.Time
	alarm    Timer
	t        *vm.Thread
	log      Logger
	settings *Settings
	held     bool
}

func timerAPI() []Function {
	const in = phasesAny &^ (PhaseInit | PhaseExitWorker)
	const noRequest = "no request"
	return []Function{
		{Name: "ngx.timer.at", Args: "(delay, callback, ...)", Phases: in, noRequest: noRequest,
			fn:  func(t *vm.Thread, c *Ctx) int { return timerNew(t, c, false) },
			Doc: "runs callback(premature, ...) once after so many seconds, outside of any request"},
		{Name: "ngx.timer.every", Args: "(delay, callback, ...)", Phases: in, noRequest: noRequest,
			fn:  func(t *vm.Thread, c *Ctx) int { return timerNew(t, c, true) },
			Doc: "runs callback(premature, ...) again and again, with so many seconds between the starts"},
		{Name: "ngx.timer.running_count", Args: "()", Phases: in | PhaseExitWorker, noRequest: noRequest,
			fn:  func(t *vm.Thread, c *Ctx) int { t.PushInt(c.rt.timers.running); return 1 },
			Doc: "how many callbacks of timers run now"},
		{Name: "ngx.timer.pending_count", Args: "()", Phases: in | PhaseExitWorker, noRequest: noRequest,
			fn:  func(t *vm.Thread, c *Ctx) int { t.PushInt(len(c.rt.timers.pending)); return 1 },
			Doc: "how many timers have not run yet"},
	}
}

func timerNew(t *vm.Thread, c *Ctx, every bool) int {
	n := t.NArgs()
	if n < 2 {
		return raise(t, "expecting at least 2 arguments but got %d", n)
	}
	delay := time.Duration(t.CheckNumber(1)*1000) * time.Millisecond
	if every && delay == 0 {
		return raise(t, "delay cannot be zero")
	}
	fn, ok := t.Arg(2).AsFunction()
	if !ok || fn.IsGo() {
		return argError(t, 2, "Lua function expected")
	}
	rt := c.rt
	exiting := rt.cfg.Worker.Exiting()
	if exiting && delay > 0 {
		return fail(t, "process exiting")
	}
	if len(rt.timers.pending) >= rt.cfg.Timers.Pending {
		return fail(t, "too many pending timers")
	}
	x := &timer{rt: rt, fn: fn, args: make([]vm.Value, 1, n-1), settings: c.settings, log: c.timerLog()}
	x.args[0] = vm.False
	for i := 3; i <= n; i++ {
		x.args = append(x.args, t.Arg(i))
	}
	if every {
		x.every = delay
	}
	if exiting {
		x.hold()
	}
	rt.use()
	x.start(delay)
	return succeed(t)
}

// timerLog is the log of a timer that this context makes.
func (c *Ctx) timerLog() Logger {
	if c.phase == PhaseTimer {
		return c.log
	}
	suffix := ", context: ngx.timer"
	if c.req != nil {
		suffix += c.req.Origin()
	}
	return contextLogger{c.rt.cfg.Log, suffix}
}

func (x *timer) hold() {
	if !x.held && x.rt.cfg.Timers.Hold != nil {
		x.held = true
		x.rt.cfg.Timers.Hold()
	}
}

func (x *timer) start(delay time.Duration) {
	x.t = x.rt.takeThread(x.rt.cfg.Log)
	x.when = x.rt.cfg.Loop.Now().Add(delay)
	x.alarm = x.rt.cfg.Loop.NewTimer(x.fire)
	all := &x.rt.timers
	all.made++
	x.number, x.at = all.made, len(all.pending)
	all.pending = append(all.pending, x)
	x.alarm.Set(delay)
}

// remove takes a timer out that is no longer pending.
func (all *timers) remove(x *timer) {
	last := len(all.pending) - 1
	moved := all.pending[last]
	all.pending[x.at], moved.at = moved, x.at
	all.pending[last] = nil
	all.pending = all.pending[:last]
}

// fire runs when the time has come, or prematurely. It may wait.
func (x *timer) fire() {
	rt := x.rt
	logText(rt.cfg.Log, LevelDebug, "lua ngx.timer expired")
	rt.timers.remove(x)
	if x.every > 0 && !rt.cfg.Worker.Exiting() {
		next := *x
		next.held = false
		rt.use()
		next.start(x.every)
	}
	if rt.timers.running >= rt.cfg.Timers.Running {
		in := vm.FunctionInfo(x.fn)
		logText(rt.cfg.Log, LevelAlert, fmt.Sprintf("lua failed to run timer with function defined at %s:%d: %d lua_max_running_timers are not enough",
			in.Source, in.LineDefined, rt.cfg.Timers.Running))
		rt.keepThread(x.t, rt.cfg.Log)
		x.release()
		rt.Unuse()
		return
	}
	x.hold()
	rt.timers.running++
	c := &Ctx{rt: rt, phase: PhaseTimer, settings: x.settings, log: x.log}
	x.t.Data = c
	rt.resumed(c)
	_, err := c.runEntry(x.t, x.fn.Value(), x.args...)
	rt.release(x.t)
	rt.finish(c, err)
	c.close()
	rt.timers.running--
	c.releaseTable(x.log)
	logText(x.log, LevelDebug, "http lua close fake http connection")
	x.release()
	rt.Unuse()
}

func (x *timer) release() {
	if x.held {
		x.held = false
		x.rt.cfg.Timers.Release()
	}
}

// ExpireTimers runs the timers that are pending at once, with premature set, for
// a process that is about to end: those first whose time would have come first.
func (rt *Runtime) ExpireTimers() {
	pending := slices.Clone(rt.timers.pending)
	slices.SortFunc(pending, func(a, b *timer) int { return cmp.Or(a.when.Compare(b.when), cmp.Compare(a.number, b.number)) })
	if len(pending) > 0 {
		logText(rt.cfg.Log, LevelDebug, "lua abort pending timers")
		logText(rt.cfg.Log, LevelDebug, fmt.Sprintf("lua found %d pending timers to be aborted prematurely", len(pending)))
	}
	for _, x := range pending {
		x.alarm.Stop()
		x.args[0] = vm.True
		x.hold()
		rt.cfg.Loop.Go(x.fire)
	}
}
