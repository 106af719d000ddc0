package luart

import (
	"math"
	"unsafe"

	"perilune/luart/vm"
)

// openConsole makes the output of ngx.say and the like go to standard output, as
// in OpenResty's resty, for a program that answers no request. The global print
// stays Lua's own.
func (rt *Runtime) openConsole(print vm.Value) {
	m := rt.vm
	m.Globals().SetStr("print", print)
	ngx, _ := m.Globals().GetStr("ngx").AsTable()
	config, _ := ngx.GetStr("config").AsTable()
	config.SetStr("is_console", vm.True)
	exit := vm.Nil
	if lib, ok := m.Globals().GetStr("os").AsTable(); ok {
		exit = lib.GetStr("exit")
	}
	ngx.SetStr("exit", exit)
	rt.fill(ngx, map[string]vm.GoFunction{
		"print": func(t *vm.Thread) int { return rt.consoleWrite(t, false) },
		"say":   func(t *vm.Thread) int { return rt.consoleWrite(t, true) },
		"flush": func(t *vm.Thread) int { return consoleDone(t, m.FlushStdout()) },
		"eof":   func(t *vm.Thread) int { return consoleDone(t, nil) },
	})
}

func (rt *Runtime) consoleWrite(t *vm.Thread, newline bool) int {
	buf := rt.scratch[:0]
	rt.scratch = nil
	for i, n := 1, t.NArgs(); i <= n; i++ {
		buf = appendConsole(t, buf, t.Arg(i), 0)
	}
	if newline {
		buf = append(buf, '\n')
	}
	err := rt.vm.WriteStdout(unsafe.String(unsafe.SliceData(buf), len(buf)))
	rt.keepScratch(buf)
	return consoleDone(t, err)
}

func consoleDone(t *vm.Thread, err error) int {
	if err != nil {
		return fail(t, err.Error())
	}
	t.PushBool(true)
	return 1
}

// maxConsoleDepth bounds tables that hold themselves.
const maxConsoleDepth = 200

// appendConsole appends a value as ngx.print does, and those that it refuses as
// tostring shows them.
func appendConsole(t *vm.Thread, buf []byte, v vm.Value, depth int) []byte {
	if tab, ok := v.AsTable(); ok {
		if depth == maxConsoleDepth {
			t.Errorf("table is nested too deeply")
		}
		t.Charge(1)
		for i, n := 1, maxIndex(tab); i <= n; i++ {
			buf = appendConsole(t, buf, tab.GetInt(i), depth+1)
		}
		return buf
	}
	if out, ok := appendScalar(buf, v); ok {
		return out
	}
	return append(buf, t.ToString(v)...)
}

// maxIndex is the largest index of a table's elements.
func maxIndex(tab *vm.Table) int {
	most := 0
	for k := vm.Nil; ; {
		nk, _, ok, err := tab.Next(k)
		if err != nil || !ok {
			return most
		}
		if n, isNum := nk.AsNumber(); isNum && n > float64(most) && n < math.MaxInt32 && math.Floor(n) == n {
			most = int(n)
		}
		k = nk
	}
}
