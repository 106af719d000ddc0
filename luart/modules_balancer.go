package luart

import (
	"math"
	"time"

	"perilune/luart/vm"
)

// Balancer is the try that the code of balancer_by_lua decides on.
type Balancer interface {
	// SetPeer chooses an address; the complaint says what is wrong with it.
	SetPeer(addr string, port int, host string) (complaint string)
	// MoreTries reports whether the number was reduced to what the configuration allows.
	MoreTries(n int) (reduced bool)
	// LastFailure is "next", "failed", or "" if no try has failed, and the status of the try before.
	LastFailure() (state string, status int)
	SetTimeouts(connect, send, read time.Duration) // 0: as it was
	Recreate() bool
	Keep(idle time.Duration, requests int) bool
	BindTo(addr string) bool
}

// openBalancer makes the module ngx.balancer.
func openBalancer(rt *Runtime) *vm.Table {
	in := func(f func(t *vm.Thread, b Balancer) int, fail func(t *vm.Thread, text string) int) vm.GoFunction {
		return func(t *vm.Thread) int {
			b, complaint := balancerOf(t)
			if complaint != "" {
				return fail(t, complaint)
			}
			return f(t, b)
		}
	}
	tab := rt.fill(rt.vm.NewTable(0, 12), map[string]vm.GoFunction{
		"set_current_peer": balancerSetPeer,
		"set_more_tries":   balancerMoreTries,
		"get_last_failure": in(balancerLastFailure, func(t *vm.Thread, text string) int {
			t.PushNil()
			return 1 + fail(t, text)
		}),
		"set_timeouts":       balancerSetTimeouts,
		"recreate_request":   in(balancerRecreate, fail),
		"enable_keepalive":   balancerKeep,
		"bind_to_local_addr": balancerBind,
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// balancerOf is the balancer of the running code, or ngx_lua's complaint.
func balancerOf(t *vm.Thread) (b Balancer, complaint string) {
	c := context(t)
	if c == nil || c.req == nil {
		raise(t, errNoRequest)
	}
	b, upstream := c.req.Balancer()
	switch {
	case !upstream:
		return nil, "no upstream found"
	case c.phase != PhaseBalancer || b == nil:
		return nil, errCurrentContext
	}
	return b, ""
}

// toCInt is a number as C takes it for an int.
func toCInt(t *vm.Thread, i int, function string) int {
	n, ok := t.Arg(i).AsNumber()
	if !ok {
		raise(t, "bad argument #%d to '%s' (cannot convert '%s' to 'int')", i, function, t.Arg(i).TypeName())
	}
	return int(int32(int64(n)))
}

func balancerSetPeer(t *vm.Thread) int {
	addr, ok := t.Arg(1).AsString()
	if !ok {
		return raise(t, "attempt to get length of local 'addr' (a %s value)", t.Arg(1).TypeName())
	}
	port := 0
	if v := t.Arg(2); v.Truthy() {
		n, ok := v.ToNumberCoerced()
		if !ok {
			return raise(t, "bad argument #4 to '?' (cannot convert 'nil' to 'int')")
		}
		port = int(int32(int64(n)))
	}
	host := ""
	if v := t.Arg(3); v != vm.Nil {
		if host, ok = v.AsString(); !ok {
			return raise(t, "bad argument #3 to 'set_current_peer' (string expected, got %s)", v.TypeName())
		}
	}
	b, complaint := balancerOf(t)
	if complaint == "" {
		complaint = b.SetPeer(addr, port, host)
	}
	if complaint != "" {
		return fail(t, complaint)
	}
	t.PushBool(true)
	return 1
}

func balancerMoreTries(t *vm.Thread) int {
	n := toCInt(t, 1, "?")
	b, complaint := balancerOf(t)
	if complaint != "" {
		return fail(t, complaint)
	}
	t.PushBool(true)
	if b.MoreTries(n) {
		t.PushString("reduced tries due to limit")
		return 2
	}
	return 1
}

func balancerLastFailure(t *vm.Thread, b Balancer) int {
	state, status := b.LastFailure()
	if state == "" {
		t.PushNil()
		return 1
	}
	t.PushString(state)
	t.PushInt(status)
	return 2
}

func balancerSetTimeouts(t *vm.Thread) int {
	var d [3]time.Duration
	for i, what := range [...]string{"connect", "send", "read"} {
		v := t.Arg(i + 1)
		if !v.Truthy() {
			continue
		}
		n, ok := v.AsNumber()
		if !ok || n <= 0 {
			return raiseAt(t, 1, "bad "+what+" timeout")
		}
		d[i] = msecOf(n * 1000)
	}
	b, complaint := balancerOf(t)
	if complaint != "" {
		t.PushBool(false)
		t.PushString(complaint)
		return 2
	}
	b.SetTimeouts(d[0], d[1], d[2])
	t.PushBool(true)
	return 1
}

// msecOf is a number of milliseconds, the fraction cut off.
func msecOf(n float64) time.Duration {
	return time.Duration(min(math.Trunc(n), float64(math.MaxInt64/int64(time.Millisecond)))) * time.Millisecond
}

func balancerRecreate(t *vm.Thread, b Balancer) int {
	if !b.Recreate() {
		return fail(t, "failed to recreate the upstream request")
	}
	t.PushBool(true)
	return 1
}

func balancerKeep(t *vm.Thread) int {
	limits := [...]float64{60, 100}
	for i := range limits {
		v := t.Arg(i + 1)
		if !v.Truthy() {
			continue
		}
		n, ok := v.AsNumber()
		switch {
		case !ok:
			return raiseAt(t, 1, "bad argument #"+string(rune('1'+i))+" to 'enable_keepalive' (number expected, got "+v.TypeName()+")")
		case n < 0:
			return raiseAt(t, 1, "bad argument #"+string(rune('1'+i))+" to 'enable_keepalive' (expected >= 0)")
		}
		limits[i] = n
	}
	b, complaint := balancerOf(t)
	switch {
	case complaint != "":
		return fail(t, complaint)
	case !b.Keep(msecOf(limits[0]*1000), int(min(limits[1], math.MaxInt32))):
		return fail(t, "no current peer set")
	}
	t.PushBool(true)
	return 1
}

func balancerBind(t *vm.Thread) int {
	addr, ok := t.Arg(1).AsString()
	if !ok {
		return raise(t, "bad argument #1 to 'bind_to_local_addr' (string expected, got %s)", t.Arg(1).TypeName())
	}
	b, complaint := balancerOf(t)
	switch {
	case complaint != "":
		return fail(t, complaint)
	case !b.BindTo(addr):
		return fail(t, "invalid addr "+addr)
	}
	t.PushBool(true)
	return 1
}

// RunBalancer runs the code of balancer_by_lua. It returns what the try ends with: OK, Declined, Busy, Error, or a status from
// 300 on.
func (rt *Runtime) RunBalancer(c *Ctx, fn *vm.Function) int {
	c.exited = false
	rt.resumed(c)
	_, err := rt.runFilter(c, PhaseBalancer, fn)
	exited, rc := c.exited, c.exitCode
	c.exited = false
	switch {
	case err != nil:
		c.logFilter(PhaseBalancer, err)
		return Error
	case !exited:
		return OK
	case rc > 0 && rc < statusSpecial:
		return Error
	}
	return rc
}
