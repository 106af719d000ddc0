package vm

import (
	"os"
	"slices"
	"strings"
)

// The version that programs look for; there is no compiler to machine code,
// and jit.status says so.
const (
	jitVersion    = "LuaJIT 2.1.0-beta3"
	jitVersionNum = 20100
)

func openJIT(m *VM) {
	lib := m.NewTable(0, 16)
	nothing := func(*Thread) int { return 0 }
	m.Register(lib, []Reg{
		{"on", nothing, "does nothing: there is no compiler to turn on"},
		{"off", nothing, "does nothing: there is no compiler to turn off"},
		{"flush", nothing, "does nothing: there is no compiled code"},
		{"status", func(t *Thread) int { t.PushBool(false); return 1 }, "false: nothing is compiled to machine code"},
		{"attach", func(t *Thread) int { t.CheckFunction(1); return 0 }, "does nothing: nothing happens that a function could be told of"},
	})
	opt := m.NewTable(0, 1)
	m.Register(opt, []Reg{{"start", jitOptStart, "checks the optimizations named; there is nothing that they would change"}})
	lib.SetStr("opt", opt.Value())
	lib.SetStr("version", String(jitVersion))
	lib.SetStr("version_num", Int(jitVersionNum))
	lib.SetStr("os", String("Linux"))
	lib.SetStr("arch", String("x64"))
	m.openLib("jit", lib)
	m.preload("jit.opt", func(*Thread) Value { return opt.Value() })
	m.preload("jit.v", func(*Thread) Value { return m.traceLog(1, "LUAJIT_VERBOSEFILE") })
	m.preload("jit.dump", func(*Thread) Value { return m.traceLog(2, "LUAJIT_DUMPFILE") })
	for _, name := range []string{"jit.util", "jit.profile", "jit.p", "jit.bc"} {
		m.preload(name, func(t *Thread) Value {
			t.Errorf("module '%s' is not available: there is no compiler to machine code", name)
			return Nil
		})
	}
}

// The flags and parameters of LuaJIT's optimizer.
var (
	jitFlags  = strings.Fields("fold cse dce fwd dse narrow loop abc sink fuse fma")
	jitParams = strings.Fields("maxtrace maxrecord maxirconst maxside maxsnap minstitch hotloop hotexit tryside instunroll " +
		"loopunroll callunroll recunroll sizemcode maxmcode")
)

// jitOptStart is jit.opt.start: wrong names are errors, as programs are to run with LuaJIT, too.
func jitOptStart(t *Thread) int {
	for i := 1; i <= t.NArgs(); i++ {
		arg := t.CheckString(i)
		if !jitOption(arg) {
			t.Errorf("unknown or malformed optimization flag '%s'", arg)
		}
	}
	return 0
}

func jitOption(arg string) bool {
	if arg == "" {
		return false
	}
	if digits := strings.TrimLeft(arg, "0123456789"); digits == "" {
		return len(arg) == 1
	}
	if name, value, ok := strings.Cut(arg, "="); ok {
		return slices.Contains(jitParams, name) && value != "" && strings.Trim(value, "0123456789") == ""
	}
	flag := strings.TrimPrefix(strings.TrimPrefix(arg, "+"), "-")
	return slices.Contains(jitFlags, flag) || slices.Contains(jitFlags, strings.TrimPrefix(arg, "no"))
}

// traceLog makes jit.v or jit.dump, which write what is compiled into the file that an argument or a variable of the environment
// names: here a file that stays empty.
func (m *VM) traceLog(arg int, variable string) Value {
	tab := m.NewTable(0, 3)
	on := func(t *Thread) int {
		path := os.Getenv(variable)
		if v := t.Arg(arg); v.p != nil {
			path = t.CheckString(arg)
		}
		if path == "" || path == "-" {
			return 0
		}
		f, err := os.Create(path)
		if err != nil {
			t.ErrorValue(String(fileError(path, err)), 0)
		}
		_ = f.Close()
		return 0
	}
	m.Register(tab, []Reg{
		{"on", on, "makes the file"},
		{"start", on, "the same"},
		{"off", func(*Thread) int { return 0 }, "does nothing"},
	})
	return tab.Value()
}
