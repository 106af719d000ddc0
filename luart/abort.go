package luart

import "perilune/luart/vm"

// watchClient asks to be told when the client goes, as lua_check_client_abort says.
func (c *Ctx) watchClient() {
	if !c.settings.CheckClientAbort || c.req.Subrequest() {
		return
	}
	c.watched = true
	c.req.OnAbort(c.clientGone)
}

func (c *Ctx) unwatchClient() {
	if c.watched {
		c.watched = false
		c.req.OnAbort(nil)
	}
}

// clientGone starts the callback of ngx.on_abort; without one the request ends.
func (c *Ctx) clientGone() {
	u := c.onAbort
	if u == nil {
		if !c.aborted {
			c.Abort()
		}
		return
	}
	logText(c.req, LevelDebug, "lua waking up the on_abort callback thread")
	c.onAbort, c.aborted = nil, true
	c.add(u)
	c.runThread(u)
}

// Abort ends the code of the request, if any runs, because its client has gone.
func (c *Ctx) Abort() {
	if c.entry.t == nil || c.ending {
		return
	}
	c.exitCode, c.exited = statusClientClosed, true
	c.end(&vm.AbortError{Err: errExit})
	if c.joiner != nil && c.alive() == 0 {
		c.joiner.Wake(nil)
	}
}

func ngxOnAbort(t *vm.Thread, c *Ctx) int {
	if c.onAbort != nil || c.aborted {
		return fail(t, "duplicate call")
	}
	if !c.settings.CheckClientAbort {
		return fail(t, "lua_check_client_abort is off")
	}
	c.checkPhase(t, PhasesResponse)
	fn, ok := t.Arg(1).AsFunction()
	if !ok || fn.IsGo() {
		return argError(t, 1, "Lua function expected")
	}
	parent := c.current(t)
	if parent == nil {
		return raise(t, "no co ctx found")
	}
	c.onAbort = c.newThread(t, parent, fn)
	return succeed(t)
}
