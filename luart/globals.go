package luart

import "perilune/luart/vm"

// guardGlobals makes writing a new global variable while a request is served a
// warning: all requests of the worker share it.
func (rt *Runtime) guardGlobals() {
	mt := rt.vm.NewTable(0, 1)
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", globalNewIndex))
	rt.vm.Globals().SetMetatable(mt)
}

func globalNewIndex(t *vm.Thread) int {
	tab, ok := t.Arg(1).AsTable()
	if !ok {
		return typeError(t, 1, "table")
	}
	if err := tab.Set(t.Arg(2), t.Arg(3)); err != nil {
		return raise(t, "%s", err.Error())
	}
	c := context(t)
	if c == nil || c.phase&(PhaseInit|PhaseInitWorker) != 0 {
		return 0
	}
	l := c.logger(c.rt)
	if !l.LogEnabled(LevelWarn) {
		return 0
	}
	// The position is that of ngx_lua's own guard, which is written in Lua.
	logText(l, LevelWarn, "[lua] _G write guard:12: __newindex(): writing a global Lua variable ('"+t.ToString(t.Arg(2))+
		"') which may lead to race conditions between concurrent requests, so prefer the use of 'local' variables"+
		"\n"+t.Traceback("", 1))
	return 0
}
