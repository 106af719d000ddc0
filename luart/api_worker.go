package luart

import "perilune/luart/vm"

func workerAPI() []Function {
	const in = phasesAny
	return []Function{
		{Name: "ngx.worker.pid", Args: "()", Phases: in, fn: workerPID, Doc: "the worker's process number"},
		{Name: "ngx.worker.id", Args: "()", Phases: in, fn: workerID, Doc: "the worker's number, from 0 on"},
		{Name: "ngx.worker.count", Args: "()", Phases: in, fn: workerCount, Doc: "how many workers there are"},
		{Name: "ngx.worker.pids", Args: "()", Phases: in &^ (PhaseInit | PhaseInitWorker), fn: workerPIDs, noRequest: errCurrentContext, Doc: "an array of the process numbers of all workers"},
		{Name: "ngx.worker.exiting", Args: "()", Phases: in, fn: workerExiting, Doc: "whether the worker has been told to quit"},
		{Name: "ngx.config.prefix", Args: "()", Phases: in, fn: configPrefix, Doc: "the prefix path, with a slash at its end"},
		{Name: "ngx.config.nginx_configure", Args: "()", Phases: in, fn: configConfigure, Doc: "the configure arguments that -V shows"},
	}
}

// Versions that Lua code sees.
const (
	// APIVersion is the version of ngx_lua whose API this is.
	APIVersion = 10032
)

func (rt *Runtime) openConfig(tab *vm.Table) {
	tab.SetStr("subsystem", vm.String("http"))
	tab.SetStr("debug", vm.False)
	tab.SetStr("nginx_version", vm.Int(rt.cfg.NginxVersion))
	tab.SetStr("ngx_lua_version", vm.Int(APIVersion))
}

func workerPID(t *vm.Thread, c *Ctx) int {
	t.PushInt(c.rt.cfg.Worker.PID())
	return 1
}

func workerID(t *vm.Thread, c *Ctx) int {
	if id := c.rt.cfg.Worker.ID(); id >= 0 {
		t.PushInt(id)
	} else {
		t.PushNil()
	}
	return 1
}

func workerCount(t *vm.Thread, c *Ctx) int {
	t.PushInt(c.rt.cfg.Worker.Count())
	return 1
}

func workerPIDs(t *vm.Thread, c *Ctx) int {
	pids := c.rt.cfg.Worker.PIDs()
	tab := c.rt.vm.NewTable(len(pids), 0)
	for _, pid := range pids {
		tab.Append(vm.Int(pid))
	}
	t.Push(tab.Value())
	return 1
}

func workerExiting(t *vm.Thread, c *Ctx) int {
	t.PushBool(c.rt.cfg.Worker.Exiting())
	return 1
}

func configPrefix(t *vm.Thread, c *Ctx) int {
	t.PushString(c.rt.cfg.Prefix)
	return 1
}

func configConfigure(t *vm.Thread, c *Ctx) int {
	t.PushString(c.rt.cfg.Configure)
	return 1
}
