package luart

import "perilune/luart/vm"

// openProcess makes the module ngx.process.
func openProcess(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 8), map[string]vm.GoFunction{
		"type": func(t *vm.Thread) int {
			kind := rt.cfg.Worker.ProcessType()
			if c := context(t); (c == nil || c.phase == PhaseInit) && kind == "worker" {
				kind = "master" // whose work init_by_lua is to nginx
			}
			t.PushString(kind)
			return 1
		},
		"get_master_pid":          func(t *vm.Thread) int { t.PushInt(rt.cfg.Worker.MasterPID()); return 1 },
		"signal_graceful_exit":    func(*vm.Thread) int { rt.cfg.Worker.Quit(); return 0 },
		"enable_privileged_agent": enablePrivilegedAgent,
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// enablePrivilegedAgent refuses: there is no such process.
func enablePrivilegedAgent(t *vm.Thread) int {
	if c := context(t); c != nil && c.phase != PhaseInit {
		return fail(t, errCurrentContext)
	}
	return fail(t, "there is no privileged agent process")
}
