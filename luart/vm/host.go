package vm

import "math"

// noTrace stands for a traceback that nobody wants.
const noTrace = " "

// abortResult is the number of results that says that Abort was called.
const abortResult = math.MinInt

// Abort ends the Lua code below the host's Call with an error that Lua cannot
// catch. A Go function returns its result at once. No traceback is made.
func (t *Thread) Abort(err error) int {
	t.aborting = thrown{abort: err, traceback: noTrace}
	return abortResult
}

// Resumer returns the thread that waits for the coroutine t, nil if there is none.
func (t *Thread) Resumer() *Thread { return t.resumer }

// hostTrace is the traceback of an error that reaches the host.
func (t *Thread) hostTrace() string {
	if f := t.m.HostTrace; f != nil {
		return f(t)
	}
	return t.Traceback("", 0)
}

// hostWraps reports whether the errors of coroutine.wrap's functions go to their caller
// as they are.
func (m *VM) hostWraps(t *Thread) bool { return m.HostWraps != nil && m.HostWraps(t) }

// wrapped reports whether t is a coroutine of coroutine.wrap whose errors are to
// have a traceback.
func (t *Thread) wrapped() bool {
	r := t.resumer
	return t.m.hostWraps(t) && r != nil && r.ci >= 0 && r.frames[r.ci].fn != nil && r.frames[r.ci].fn.special == spWrap
}
