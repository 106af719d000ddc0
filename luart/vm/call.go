package vm

// yieldToHost is returned as an error by what makes the entry's own coroutine
// yield.
var yieldToHost = &thrown{}

// pushArgs puts a function and its arguments on the stack.
func (t *Thread) pushArgs(at int, fn Value, args []Value) {
	if at+len(args)+2*stackSlack > len(t.stack) {
		t.growStack(at + len(args) + 2*stackSlack)
	}
	t.stack[at] = fn
	copy(t.stack[at+1:], args)
}

// enter calls the function at stack index at and runs the machine until it
// returns; the results are from at to t.top. stop is what is to be known of the call.
func (t *Thread) enter(at, nargs int, stop frame) *thrown {
	base, n := t.base, t.nargs
	status := t.status
	t.status = stRunning
	stop.kind, stop.base = frStop, at
	*t.pushFrame(frStop) = stop
	t.stops++
	_, th := t.execute(entryCall, at, nargs)
	t.base, t.nargs, t.status = base, n, status
	return th
}

// CallValue calls fn from a Go function; errors propagate. The results, as many
// as wanted (-1: all), are valid until the next use of t.
func (t *Thread) CallValue(fn Value, nresults int, args ...Value) []Value {
	return t.callValue(fn, nresults, args, frame{})
}

// CallValueAsLua is CallValue for a function that is Lua code elsewhere: what it calls
// is seen in the tracebacks of errors.
func (t *Thread) CallValueAsLua(fn Value, nresults int, args ...Value) []Value {
	return t.callValue(fn, nresults, args, frame{asLua: true})
}

func (t *Thread) callValue(fn Value, nresults int, args []Value, stop frame) []Value {
	at := t.top
	t.pushArgs(at, fn, args)
	if th := t.enter(at, len(args), stop); th != nil {
		panic(th)
	}
	return t.results(at, nresults)
}

// results returns the values from at to t.top and drops them.
func (t *Thread) results(at, want int) []Value {
	n := t.top - at
	if want >= 0 {
		if at+want+stackSlack > len(t.stack) {
			t.growStack(at + want + stackSlack)
		}
		for i := n; i < want; i++ {
			t.stack[at+i] = Nil
		}
		n = want
	}
	t.top = at
	return t.stack[at : at+n : at+n]
}

// PCall calls fn from a Go function and returns a Lua error as *Error. An
// abort is not caught.
func (t *Thread) PCall(fn Value, args ...Value) ([]Value, error) {
	at := t.top
	t.pushArgs(at, fn, args)
	th := t.enter(at, len(args), frame{safe: true})
	if th != nil {
		t.top = at
		if th.abort != nil {
			panic(th)
		}
		return nil, th.err()
	}
	return t.results(at, -1), nil
}

func (th *thrown) err() error {
	if th.abort != nil {
		return &AbortError{Err: th.abort, Traceback: th.traceback}
	}
	return &Error{Value: th.value, Traceback: th.traceback, Panic: th.panicked, Stack: th.stack}
}

// Call calls fn from the host, when t is not running, and runs it to
// completion. The error is an *Error or an *AbortError. The results are valid
// until the next use of t.
func (t *Thread) Call(fn Value, args ...Value) ([]Value, error) {
	at := t.scratch()
	if t.ci < 0 {
		at = 0
	}
	top := t.top
	t.top = at
	t.pushArgs(at, fn, args)
	th := t.enter(at, len(args), frame{safe: true, host: true})
	if th != nil {
		t.top = top
		return nil, th.err()
	}
	res := t.results(at, -1)
	t.top = top
	return res, nil
}

// Start prepares fn as the body of a coroutine for the host, to be run by
// Resume.
func (t *Thread) Start(fn Value) {
	data := t.Data
	t.Reset()
	t.Data = data
	t.stack[0] = fn
	t.top = 1
	fr := t.pushFrame(frBase)
	fr.fn, fr.base, fr.host, fr.safe = nil, 0, true, true
	t.status = stSuspended
}

// Resume starts or continues a coroutine that Start prepared, from the host.
// yielded says that it waits for the next Resume.
func (t *Thread) Resume(args ...Value) (results []Value, yieldedNow bool, err error) {
	if t.ci < 0 || t.status != stSuspended {
		return nil, false, &Error{Value: String("cannot resume " + t.deadText() + " coroutine")}
	}
	at := t.top
	if at+len(args)+2*stackSlack > len(t.stack) {
		t.growStack(at + len(args) + 2*stackSlack)
	}
	copy(t.stack[at:], args)
	t.top += len(args)
	t.status = stRunning
	t.resumer = nil
	out, th := t.execute(entryResume, 0, len(args))
	switch out {
	case failed:
		t.status = stDead
		return nil, false, th.err()
	case yielded:
		n := t.nargs
		return t.stack[t.top-n : t.top : t.top], true, nil
	}
	t.status = stDead
	return t.results(0, -1), false, nil
}

func (t *Thread) deadText() string {
	if t.status == stDead || t.ci < 0 {
		return "dead"
	}
	return "running"
}

// Yield is returned by a Go function to yield its coroutine with values:
// return t.Yield(v…). What resume passes becomes the results of the function.
func (t *Thread) Yield(values ...Value) int {
	for _, v := range values {
		t.Push(v)
	}
	return -1 - len(values)
}

// CanYieldToHost reports whether the running Go function may return t.Yield(v…)
// to end the Resume that has started or continued t.
func (t *Thread) CanYieldToHost() bool {
	return t.resumer == nil && t.stops == 0 && t.frames[0].kind == frBase
}
