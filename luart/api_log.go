package luart

import (
	"strconv"
	"strings"

	"perilune/luart/vm"
)

func logAPI() []Function {
	return []Function{
		{Name: "ngx.log", Args: "(level, ...)", Phases: phasesAny, fn: ngxLog,
			Doc: "writes its arguments to the error log at that level"},
	}
}

func logText(l Logger, lv Level, text string) {
	if l != nil && l.LogEnabled(lv) {
		l.Log(lv, bytesOf(text))
	}
}

// logger is the log of the request, or of the worker where there is none.
func (c *Ctx) logger(rt *Runtime) Logger {
	if c != nil && c.req != nil {
		return c.req
	}
	if c != nil {
		switch {
		case c.log != nil:
			return c.log
		case c.phase == PhaseInitWorker:
			return rt.initWorkerLog
		}
	}
	return rt.cfg.Log
}

func ngxLog(t *vm.Thread, c *Ctx) int {
	level := t.CheckInt(1)
	if level < int(LevelStderr) || level > int(LevelDebug) {
		return argError(t, 1, "bad log level: "+strconv.Itoa(level))
	}
	return logArgs(t, c, Level(level), 2)
}

// ngxPrintLog is the global print, which writes to the error log at level notice.
func ngxPrintLog(t *vm.Thread) int {
	return logArgs(t, context(t), LevelNotice, 1)
}

func logArgs(t *vm.Thread, c *Ctx, lv Level, from int) int {
	rt := c.rt
	l := c.logger(rt)
	if !l.LogEnabled(lv) {
		return 0
	}
	buf := append(rt.scratch[:0], "[lua] "...)
	rt.scratch = nil
	buf = appendPosition(buf, t)
	for i, n := from, t.NArgs(); i <= n; i++ {
		v := t.Arg(i)
		if tab, ok := v.AsTable(); ok {
			mt := tab.Metatable()
			if mt == nil || mt.GetStr("__tostring").IsNil() {
				return argError(t, i-from+1, "expected table to have __tostring metamethod")
			}
			buf = append(buf, t.ToString(v)...)
			continue
		}
		var ok bool
		if buf, ok = appendScalar(buf, v); !ok {
			return argError(t, i-from+1, "string, number, boolean, or nil expected, got "+v.TypeName())
		}
	}
	l.Log(lv, buf)
	rt.keepScratch(buf)
	return 0
}

// appendPosition appends who calls: "nginx.conf:12):3: name(): ".
func appendPosition(buf []byte, t *vm.Thread) []byte {
	in := t.LevelInfo(1)
	if in == nil {
		return append(buf, "[C]:-1: "...)
	}
	src := in.ShortSource
	if i := strings.LastIndexAny(src, `/\`); i >= 0 {
		src = src[i+1:]
	}
	buf = append(append(buf, src...), ':')
	line := in.CurrentLine
	if line <= 0 {
		line = in.LineDefined
	}
	buf = strconv.AppendInt(buf, int64(line), 10)
	buf = append(buf, ": "...)
	if in.NameWhat != "" && in.What == "Lua" {
		buf = append(append(buf, in.Name...), "(): "...)
	}
	return buf
}
