package http

import "perilune/logging"

// OnAbort has f called once, with the baton, when the client closes the connection before the response has been sent;
// nil takes that back. What f does about it is its own affair: wake who works on the response, or Finalize with 499.
// A client that only ends its sending counts as gone, as in nginx. While ReadBody waits for a body it is ReadBody that
// notices.
func (r *Request) OnAbort(f func()) {
	m := r.Main
	m.onAbort = f
	if f != nil && m.Conn.FD.HUP {
		m.Server.loop.Defer(m.Conn.clientGone)
	}
}

// clientGone tells the request in work that its client is.
func (c *Conn) clientGone() {
	r := c.req
	if c.state != connBusy || r == nil || r.onAbort == nil {
		return
	}
	f := r.onAbort
	r.onAbort = nil
	r.Log(logging.Info, "client prematurely closed connection")
	f()
}
