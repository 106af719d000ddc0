package luart

import (
	"strconv"
	"sync"
	"time"

	"perilune/luart/vm"
)

// ErrorLog keeps the latest lines of the error log for ngx.errlog, as
// lua_capture_error_log says. Lines come from any goroutine.
type ErrorLog struct {
	mu     sync.Mutex
	size   int
	used   int
	filter Level
	lines  []capturedLine
}

type capturedLine struct {
	level Level
	time  time.Time
	text  string
}

// capturedHead is what a line takes of the size beside its text.
const capturedHead = 24

// NewErrorLog returns a log that keeps so many bytes.
func NewErrorLog(size int) *ErrorLog { return &ErrorLog{size: size, filter: LevelDebug} }

// Add adds a line, for which the oldest ones may have to go.
func (e *ErrorLog) Add(lv Level, at time.Time, line []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(line) + capturedHead
	if lv > e.filter || n > e.size {
		return
	}
	gone := 0
	for ; e.used+n > e.size; gone++ {
		e.used -= len(e.lines[gone].text) + capturedHead
	}
	e.lines = append(append(e.lines[:0], e.lines[gone:]...), capturedLine{lv, at, string(line)})
	e.used += n
}

// take takes the oldest line out.
func (e *ErrorLog) take() (capturedLine, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.lines) == 0 {
		return capturedLine{}, false
	}
	l := e.lines[0]
	e.lines = e.lines[1:]
	e.used -= len(l.text) + capturedHead
	return l, true
}

func (e *ErrorLog) setFilter(lv Level) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.filter = lv
}

const errNoCapture = "directive \"lua_capture_error_log\" is not set"

func goodLevel(n int) bool { return n >= int(LevelStderr) && n <= int(LevelDebug) }

// openErrlog makes the module ngx.errlog.
func openErrlog(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 8), map[string]vm.GoFunction{
		"set_filter_level": rt.errlogFilter, "get_logs": rt.errlogGet, "get_sys_filter_level": rt.errlogLevel, "raw_log": rt.errlogRaw,
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

func (rt *Runtime) errlogFilter(t *vm.Thread) int {
	if !t.Arg(1).Truthy() {
		return fail(t, "missing \"level\" argument")
	}
	lv := t.CheckInt(1)
	switch {
	case rt.cfg.ErrorLog == nil:
		return fail(t, errNoCapture)
	case !goodLevel(lv):
		return fail(t, "bad log level: "+strconv.Itoa(lv))
	}
	rt.cfg.ErrorLog.setFilter(Level(lv))
	t.PushBool(true)
	return 1
}

func (rt *Runtime) errlogGet(t *vm.Thread) int {
	most := t.OptInt(1, 10)
	tab, ok := t.Arg(2).AsTable()
	if !ok {
		tab = rt.vm.NewTable(3*min(max(most, 0), 64)+1, 0)
	}
	n := 0
	for range most {
		if rt.cfg.ErrorLog == nil {
			return fail(t, errNoCapture)
		}
		l, ok := rt.cfg.ErrorLog.take()
		if !ok {
			break
		}
		tab.SetInt(n+1, vm.Int(int(l.level)))
		tab.SetInt(n+2, vm.Number(seconds(l.time)))
		tab.SetInt(n+3, vm.String(l.text))
		n += 3
	}
	if most > 0 {
		tab.SetInt(n+1, vm.Nil)
	}
	t.Push(tab.Value())
	return 1
}

func (rt *Runtime) errlogLevel(t *vm.Thread) int {
	l := context(t).logger(rt)
	lv := LevelDebug
	for lv > LevelStderr && !l.LogEnabled(lv) {
		lv--
	}
	t.PushInt(int(lv))
	return 1
}

func (rt *Runtime) errlogRaw(t *vm.Thread) int {
	lv, ok := t.Arg(1).AsNumber()
	if !ok {
		return raiseAt(t, 1, "bad argument #1 to 'raw_log' (must be a number)")
	}
	msg, ok := t.Arg(2).AsString()
	if !ok {
		return raiseAt(t, 1, "bad argument #2 to 'raw_log' (must be a string)")
	}
	if !goodLevel(int(lv)) {
		return raiseAt(t, 1, "bad log level")
	}
	logText(context(t).logger(rt), Level(lv), msg)
	return 0
}
