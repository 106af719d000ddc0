package luart

import (
	"errors"
	"strings"

	"perilune/luart/vm"
)

// describe is an error that has ended a request's code, with ngx_lua's kind of
// traceback.
func describe(err error) string {
	var abort *vm.AbortError
	if errors.As(err, &abort) {
		return abort.Err.Error() + "\n" + threadTrace(abort.Traceback)
	}
	var e *vm.Error
	if !errors.As(err, &e) {
		return "runtime error: " + err.Error()
	}
	text, ok := e.Value.ToStringCoerced()
	if !ok {
		text = "unknown reason"
	}
	return "runtime error: " + text + "\n" + threadTrace(e.Traceback)
}

// describeSync is an error of code that cannot wait, with the traceback of
// debug.traceback.
func describeSync(err error) string {
	var e *vm.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	text, ok := e.Value.ToStringCoerced()
	if !ok {
		return "unknown error"
	}
	return text + "\n" + e.Traceback
}

// threadTrace turns a traceback of debug.traceback into ngx_lua's, which has a
// heading for each coroutine.
func threadTrace(trace string) string {
	const head = "stack traceback:"
	frames := strings.TrimPrefix(trace, head)
	return head + "\ncoroutine 0:" + frames
}
