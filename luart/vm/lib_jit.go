package vm

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
	})
	lib.SetStr("version", String(jitVersion))
	lib.SetStr("version_num", Int(jitVersionNum))
	lib.SetStr("os", String("Linux"))
	lib.SetStr("arch", String("x64"))
	opt := m.NewTable(0, 1)
	m.Register(opt, []Reg{{"start", nothing, "does nothing: there is no compiler to tune"}})
	lib.SetStr("opt", opt.Value())
	m.openLib("jit", lib)
	m.preload("jit.opt", func(*Thread) Value { return opt.Value() })
	for _, name := range []string{"jit.util", "jit.profile"} {
		m.preload(name, func(t *Thread) Value {
			t.Errorf("module '%s' is not available: there is no compiler to machine code", name)
			return Nil
		})
	}
}
