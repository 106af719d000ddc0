package luart

import "perilune/luart/vm"

// openNDK makes ndk.set_var, whose fields are the functions behind directives such as set_escape_uri.
func (rt *Runtime) openNDK() {
	setVar := rt.vm.NewTable(0, 0)
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", rt.vm.NewFunction("__index", rt.ndkIndex))
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", func(t *vm.Thread) int { return raise(t, "not allowed") }))
	setVar.SetMetatable(mt)
	ndk := rt.vm.NewTable(0, 1)
	ndk.SetStr("set_var", setVar.Value())
	rt.vm.Globals().SetStr("ndk", ndk.Value())
	if loaded := rt.packageLoaded(); loaded != nil {
		loaded.SetStr("ndk", ndk.Value())
	}
}

func (rt *Runtime) ndkIndex(t *vm.Thread) int {
	name := t.ToString(t.Arg(2))
	var call func(req Request, arg string) ([]byte, bool)
	if rt.cfg.Directive != nil {
		call = rt.cfg.Directive(name)
	}
	if call == nil {
		return raise(t, "ndk.set_var: directive \"%s\" not found or does not use ndk_set_var_value", name)
	}
	t.Push(rt.vm.NewFunction(name, func(t *vm.Thread) int {
		c := context(t)
		if c == nil || c.phase == PhaseInit {
			return raise(t, "%s", errNoRequest)
		}
		value, ok := call(c.req, t.ToString(t.Arg(1)))
		if !ok {
			return raise(t, "calling directive %s failed with code %d", name, Error)
		}
		t.PushBytes(value)
		return 1
	}))
	return 1
}
