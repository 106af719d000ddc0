package luart

import (
	"errors"
	"io/fs"

	"perilune/luart/vm"
)

func uriAPI() []Function {
	const in = phasesRequest
	return []Function{
		{Name: "ngx.req.set_uri", Args: "(uri, jump?, binary?)", Phases: in, fn: reqSetURI, noRequest: errNoRequest, fake: true,
			Doc: "changes the path of the URI; with jump, in the rewrite phases, the location is looked for again"},
		{Name: "ngx.req.init_body", Args: "(size?)", Phases: in, fn: reqInitBody, noRequest: errNoRequest, fake: true,
			Doc: "begins a new body; beyond size it goes to a file"},
		{Name: "ngx.req.append_body", Args: "(data)", Phases: in, fn: reqAppendBody, noRequest: errNoRequest, fake: true, Doc: "adds to the new body"},
		{Name: "ngx.req.finish_body", Args: "()", Phases: in, fn: reqFinishBody, noRequest: errNoRequest, fake: true, Doc: "ends the new body"},
		{Name: "ngx.req.set_body_file", Args: "(name, auto_clean?)", Phases: in, fn: reqSetBodyFile, noRequest: errNoRequest, fake: true,
			Doc: "makes a file the body; with auto_clean it is deleted when the request ends"},
	}
}

func reqSetURI(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n < 1 || n > 3 {
		return raise(t, "expecting 1, 2 or 3 arguments but seen %d", n)
	}
	uri := t.CheckString(1)
	if uri == "" {
		return raise(t, "attempt to use zero-length uri")
	}
	binary := false
	if n >= 3 {
		checkBoolean(t, 3)
		binary = t.ToBool(3)
	}
	for i := 0; !binary && i < len(uri); i++ {
		if unsafeURISet.has(uri[i]) {
			return raise(t, "unsafe byte \"0x%02x\" in uri \"%s\" (maybe you want to set the 'binary' argument?)",
				uri[i], escapeForLog(uri))
		}
	}
	jump := false
	if n >= 2 {
		checkBoolean(t, 2)
		jump = t.ToBool(2)
	}
	if jump && c.phase&(PhaseRewrite|PhaseServerRewrite) == 0 {
		return raise(t, "%s%s", errContextOf, c.phase.Directive())
	}
	if jump {
		c.checkAbortable(t)
	}
	c.req.SetURI(uri, jump)
	if !jump {
		return 0
	}
	c.jumped = true
	return t.Abort(errExit)
}

func checkBoolean(t *vm.Thread, i int) {
	if t.Arg(i).Type() != vm.TypeBoolean {
		t.TypeError(i, "boolean")
	}
}

// newBody is a body that Lua code puts together. It can go on with it when it has
// finished.
type newBody struct {
	data []byte
	size int // beyond it the body goes to a file
}

func (b *newBody) spills() bool { return len(b.data) > b.size || b.size == 0 }

func (c *Ctx) checkBodyRead(t *vm.Thread) {
	if c.req.BodyDiscarded() {
		t.Errorf("request body already discarded asynchronously")
	}
	if !c.req.BodyRead() {
		t.Errorf("request body not read yet")
	}
}

func reqInitBody(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "expecting 0 or 1 argument but seen %d", n)
	}
	c.checkBodyRead(t)
	size := c.req.BodyBufferSize()
	if n == 1 {
		if size = t.CheckInt(1); size < 0 {
			return raise(t, "bad size argument: %d", size)
		}
	}
	c.body = &newBody{size: size}
	return 0
}

func reqAppendBody(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 arguments but seen %d", n)
	}
	data := t.CheckString(1)
	if c.body == nil {
		return raise(t, "request_body not initialized")
	}
	c.body.data = append(c.body.data, data...)
	return 0
}

func reqFinishBody(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 0 {
		return raise(t, "expecting 0 argument but seen %d", n)
	}
	b := c.body
	if b == nil {
		return raise(t, "request_body not initialized")
	}
	c.req.SetBody(b.data)
	if b.spills() {
		if err := c.req.SpillBody(); err != nil {
			return raise(t, "fail to write file")
		}
	}
	_ = c.req.SetHeaderIn("Content-Length", itoa(len(b.data)), true)
	return 0
}

func reqSetBodyFile(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting 1 or 2 arguments but seen %d", n)
	}
	name := t.CheckString(1)
	c.checkBodyRead(t)
	clean := false
	if n == 2 {
		checkBoolean(t, 2)
		clean = t.ToBool(2)
	}
	c.body = nil
	size, err := c.req.SetBodyFile(name, clean)
	if err != nil {
		call := "open"
		if errors.Is(err, fs.ErrNotExist) {
			call = "stat"
		}
		return raise(t, "%s() \"%s\" failed", call, name)
	}
	_ = c.req.SetHeaderIn("Content-Length", itoa(int(size)), true)
	return 0
}
