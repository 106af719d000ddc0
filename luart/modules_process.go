package luart

import (
	"math"

	"perilune/luart/vm"
)

// openProcess makes the module ngx.process.
func openProcess(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 8), map[string]vm.GoFunction{
		"type": func(t *vm.Thread) int {
			kind := rt.cfg.Worker.ProcessType()
			if c := context(t); (c == nil || c.phase == PhaseInit) && kind != "single" {
				kind = "master" // whose work init_by_lua is to nginx
			}
			t.PushString(kind)
			return 1
		},
		"get_master_pid":          func(t *vm.Thread) int { t.PushInt(rt.cfg.Worker.MasterPID()); return 1 },
		"signal_graceful_exit":    func(*vm.Thread) int { rt.cfg.Worker.Quit(); return 0 },
		"enable_privileged_agent": func(t *vm.Thread) int { return enablePrivilegedAgent(t, rt) },
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// defaultAgentConnections are the connections of an agent that nothing is said of.
const defaultAgentConnections = 512

func enablePrivilegedAgent(t *vm.Thread, rt *Runtime) int {
	if c := context(t); c != nil && c.phase != PhaseInit {
		return fail(t, errCurrentContext)
	}
	n := float64(defaultAgentConnections)
	if v := t.Arg(1); v.Truthy() {
		var ok bool
		if n, ok = v.AsNumber(); !ok || !(n >= 0) || n > math.MaxInt32 {
			return fail(t, "bad 'connections' argument: number expected and greater than 0")
		}
	}
	rt.cfg.Worker.EnableAgent(int(n))
	t.PushBool(true)
	return 1
}
