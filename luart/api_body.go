package luart

import "perilune/luart/vm"

func bodyAPI() []Function {
	const in = phasesRequest
	return []Function{
		{Name: "ngx.req.read_body", Args: "()", Phases: PhasesResponse, fn: reqReadBody, noRequest: errNotFound, Doc: "reads the whole body; the request waits for it"},
		{Name: "ngx.req.discard_body", Args: "()", Phases: in, fn: reqDiscardBody, noRequest: errNotFound, fake: true, Doc: "throws the body away"},
		{Name: "ngx.req.get_body_data", Args: "(max?)", Phases: in, fn: reqGetBodyData, noRequest: errNotFound, fake: true, Doc: "the body that was read, nil when there is none or when it is in a file"},
		{Name: "ngx.req.get_body_file", Args: "()", Phases: in, fn: reqGetBodyFile, noRequest: errNotFound, fake: true, Doc: "the name of the file that the body was read into, or nil"},
		{Name: "ngx.req.set_body_data", Args: "(data)", Phases: in, fn: reqSetBodyData, noRequest: errNotFound, fake: true, Doc: "replaces the body that was read"},
	}
}

func noArgs(t *vm.Thread) {
	if n := t.NArgs(); n != 0 {
		t.Errorf("expecting 0 arguments but seen %d", n)
	}
}

// bodyWait is a wait for the body, which ends with its thread.
type bodyWait struct{ req Request }

func (w bodyWait) close() { w.req.LeaveBody() }

func reqReadBody(t *vm.Thread, c *Ctx) int {
	noArgs(t)
	logText(c.req, LevelDebug, "lua start to read buffered request body")
	m, err := c.beginWait(t, bodyWait{c.req})
	if err != nil {
		return t.Abort(err)
	}
	rc := c.req.ReadBody()
	if c.watched {
		c.watchClient()
	}
	if err := c.endWait(m); err != nil {
		return t.Abort(err)
	}
	if rc != OK {
		c.exitCode, c.exited = rc, true
		return t.Abort(errExit)
	}
	return 0
}

func reqDiscardBody(t *vm.Thread, c *Ctx) int {
	noArgs(t)
	if err := c.req.DiscardBody(); err != nil {
		return raise(t, "failed to discard request body")
	}
	return 0
}

func reqGetBodyData(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "expecting 0 or 1 arguments but seen %d", n)
	}
	max := 0
	if n == 1 {
		max = int(t.CheckNumber(1))
	}
	body := c.req.Body()
	switch {
	case c.body != nil && !c.body.spills():
		body = c.body.data
	case c.body != nil, !c.req.BodyRead(), c.req.BodyFile() != "":
		t.PushNil()
		return 1
	}
	if len(body) == 0 {
		t.PushNil()
		return 1
	}
	if max > 0 && len(body) > max {
		body = body[:max]
	}
	t.PushBytes(body)
	return 1
}

func reqGetBodyFile(t *vm.Thread, c *Ctx) int {
	noArgs(t)
	if name := c.req.BodyFile(); name != "" {
		t.PushString(name)
	} else {
		t.PushNil()
	}
	return 1
}

func reqSetBodyData(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 arguments but seen %d", n)
	}
	data := t.CheckString(1)
	if c.req.BodyDiscarded() {
		return raise(t, "request body already discarded asynchronously")
	}
	if !c.req.BodyRead() {
		return raise(t, "request body not read yet")
	}
	c.body = nil
	c.req.SetBody(bytesOf(data))
	_ = c.req.SetHeaderIn("Content-Length", itoa(len(data)), true)
	return 0
}
