package luart

import "perilune/luart/vm"

// reqSocket is ngx.req.socket.
func reqSocket(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "expecting 0 or 1 argument, but got %d", n)
	}
	raw := t.ToBool(1)
	if c.req.Subrequest() {
		return raise(t, "attempt to read the request body in a subrequest")
	}
	switch v := c.req.HTTPVersion(); {
	case v >= 3000:
		return raise(t, "http v3 not supported yet")
	case v >= 2000:
		return raise(t, "http v2 not supported yet")
	}
	s := &tcpSocket{inited: true}
	if raw {
		s.kind = socketReqRaw
		if c.buffering {
			return fail(t, "http 1.0 buffering")
		}
		if c.raw {
			return fail(t, "duplicate call")
		}
	} else {
		s.kind = socketReqBody
	}
	stream, err := c.req.Stream(raw)
	if err != nil {
		return fail(t, err.Error())
	}
	if raw {
		c.raw, c.headerSent = true, true
	}
	s.conn = &connection{Stream: stream}
	c.own(&s.openSocket, s)
	v := c.newSocket(s)
	c.guardSocket(v)
	t.Push(v)
	return 1
}
