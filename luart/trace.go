package luart

import (
	"errors"
	"strconv"

	"perilune/luart/vm"
)

// Limits of a traceback, as in ngx_lua.
const (
	maxTraceThreads = 5
	maxTraceLevels  = 22
)

// hostTrace is the traceback of an error that has ended a request's code, in
// ngx_lua's shape: a part for each coroutine, the innermost first.
func hostTrace(t *vm.Thread, topLine bool) string {
	buf := []byte("stack traceback:")
	for n := 0; t != nil && n < maxTraceThreads; n++ {
		buf = append(buf, "\ncoroutine "...)
		buf = strconv.AppendInt(buf, int64(n), 10)
		buf = append(buf, ':')
		lost := 0
		if n == 0 && !topLine {
			lost = t.LostLevels()
		}
		for level := 0; ; level++ {
			in := t.LevelInfo(lost + level)
			if in == nil {
				break
			}
			if level == maxTraceLevels {
				buf = append(buf, "\n\t..."...)
				break
			}
			buf = appendLevel(buf, in, topLine || n > 0 || level > 0)
		}
		t = waitsFor(t)
	}
	return string(buf)
}

// waitsFor is the thread that t was resumed by, or spawned by; nil if there is none.
func waitsFor(t *vm.Thread) *vm.Thread {
	if r := t.Resumer(); r != nil {
		return r
	}
	c := context(t)
	if c == nil {
		return nil
	}
	if u := c.find(t); u != nil && !u.orphan() {
		return u.spawnedBy()
	}
	return nil
}

func appendLevel(buf []byte, in *vm.Info, withLine bool) []byte {
	buf = append(append(buf, "\n\t"...), in.ShortSource...)
	buf = append(buf, ':')
	if withLine && in.CurrentLine > 0 {
		buf = strconv.AppendInt(buf, int64(in.CurrentLine), 10)
		buf = append(buf, ':')
	}
	switch {
	case in.NameWhat != "":
		buf = append(append(buf, " in function '"...), in.Name...)
		buf = append(buf, '\'')
	case in.What == "main":
		buf = append(buf, " in main chunk"...)
	case in.What == "C":
		buf = append(buf, " ?"...)
	default:
		buf = append(append(buf, " in function <"...), in.ShortSource...)
		buf = append(buf, ':')
		buf = strconv.AppendInt(buf, int64(in.LineDefined), 10)
		buf = append(buf, '>')
	}
	return buf
}

// traceback makes the traceback of an error that reaches the host.
func (rt *Runtime) traceback(t *vm.Thread) string {
	if c := context(t); c == nil || c.phase&phasesYieldable == 0 || c.console && c.current(t) == &c.entry {
		return t.Traceback("", 0)
	} else if u := c.find(t); u != nil && u.parent != nil {
		if in := t.LevelInfo(0); in != nil && in.What == "C" && in.Name == "error" {
			u.where = t.Where(1)
		}
	}
	// An error of the machine itself leaves no line in LuaJIT's top frame; a script
	// that was stopped is to show where.
	return hostTrace(t, rt.cpu.tripped)
}

// describe is an error that has ended a request's code.
func describe(err error) string {
	var abort *vm.AbortError
	if errors.As(err, &abort) {
		return abort.Err.Error() + "\n" + abort.Traceback
	}
	var e *vm.Error
	if !errors.As(err, &e) {
		return "runtime error: " + err.Error()
	}
	text, ok := e.Value.ToStringCoerced()
	if !ok {
		text = "unknown reason"
	}
	return "runtime error: " + cString(text) + "\n" + e.Traceback
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

// describeFilter is describeSync for the phases of requests, whose words for an
// error that is no string are others.
func describeFilter(err error) string {
	var e *vm.Error
	if errors.As(err, &e) {
		if _, ok := e.Value.ToStringCoerced(); !ok {
			return "unknown reason"
		}
	}
	return describeSync(err)
}
