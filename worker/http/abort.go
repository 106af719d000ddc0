package http

import "perilune/logging"

// OnAbort has f called once, with the baton, when the client closes the connection before the response has been sent;
// nil takes that back. What f does about it is its own affair: wake who works on the response, or Finalize with 499.
// A client that only ends its sending counts as gone, as in nginx. While ReadBody waits for a body it is ReadBody that
// notices.
func (r *Request) OnAbort(f func()) { r.Main.watchClient(f, false) }

// OnAbortRead is OnAbort for who looks for the end of the input only behind the input itself, as ngx_lua does: a client
// that has sent something that nobody has read counts as there.
func (r *Request) OnAbortRead(f func()) { r.Main.watchClient(f, true) }

func (r *Request) watchClient(f func(), behindInput bool) {
	r.onAbort, r.abortBehindInput = f, behindInput
	if f != nil && r.Conn.FD.HUP {
		r.Server.loop.Defer(r.Conn.clientGone)
	}
}

// clientGone tells the request in work that its client is.
func (c *Conn) clientGone() {
	r := c.req
	if c.state != connBusy || r == nil {
		return
	}
	if c.sending != nil || (c.writing || c.paused != nil) && len(r.upstreams) == 0 && !r.Unheeding {
		r.Log(logging.Info, "client prematurely closed connection")
		c.stopSending()
		return
	}
	for i := 0; i < len(r.upstreams); i++ {
		r.upstreams[i].abort()
	}
	if r.onAbort == nil {
		return
	}
	var failure error
	if r.abortBehindInput {
		pending, err := c.FD.Pending()
		if pending {
			return
		}
		failure = err
	}
	f := r.onAbort
	r.onAbort = nil
	switch {
	case r.abortBehindInput && c.errored: // a message has told of it
	case failure != nil:
		r.LogErr(logging.Info, failure, "client prematurely closed connection")
	default:
		r.Log(logging.Info, "client prematurely closed connection")
	}
	f()
}

// stopSending ends the output that waits for the client.
func (c *Conn) stopSending() {
	c.errored = true
	if c.sending != nil {
		c.sending.finish(errClosed)
		return
	}
	c.FD.CancelWrite(errClosed)
	if c.paused != nil {
		c.Server.loop.Wake(c.paused, errClosed)
	}
}
