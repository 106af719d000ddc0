package http

import (
	"perilune/logging"
)

// Finalize ends a request, or one handler's part in it, with what the handler
// has returned:
//
//   - Done gives up a reference that was taken with Retain (an internal redirect
//     takes one, too);
//   - Declined lets the content phase go on with its other handlers;
//   - Error, 408 and 499 close the connection without another byte;
//   - 444 likewise;
//   - 201, 204 and statuses of 300 and above send the page for them;
//   - OK ends a response that has been sent.
//
// The request must not be touched afterwards by a handler that has no reference
// of its own.
func (r *Request) Finalize(rc int) {
	c := r.Conn
	switch {
	case rc == Done:
		r.drop()
	case rc == Declined:
		r.Content = nil
		r.runPhases()
	case r.Parent != nil:
		r.finalizeSub(rc)
	case rc == Error || rc == 408 || rc == StatusClientClosedRequest || c.errored:
		if rc == 408 {
			c.timedout = true
		}
		r.terminate(rc)
	case rc == StatusClose:
		c.timedout = true
		r.terminate(rc)
	case rc >= 300 || rc == 201 || rc == 204:
		r.Finalize(r.specialResponse(rc))
	default:
		if r.sub != nil {
			r.waitOutput()
		}
		if err := r.flushOut(); err != nil {
			r.terminate(Error)
			return
		}
		r.engine.ended = true
		r.drop()
	}
}

// Retain takes a reference: the request lives until Finalize(Done) gives it
// back, for handlers that return Done and finish later.
func (r *Request) Retain() { r.Main.engine.count++ }

// References is how many hold the main request, for messages.
func (r *Request) References() int { return r.Main.engine.count }

// terminate makes the request end without any further output.
func (r *Request) terminate(rc int) {
	r = r.Main
	if rc > 0 && (r.HeadersOut.Status == 0 || r.BytesOut == 0) {
		r.HeadersOut.Status = rc
	}
	r.engine.ended = true
	r.Conn.errored = true
	r.drop()
}

// drop gives up a reference; the last one decides what becomes of the
// connection.
func (r *Request) drop() {
	r = r.Main
	r.engine.count--
	if r.engine.count > 0 {
		return
	}
	r.Server.countersChanged()
	c := r.Conn
	lc := r.Loc
	if c.errored {
		r.closeRequest(0)
		return
	}
	if r.engine.discarding && !r.discardRest() {
		return
	}
	if r.body.unread {
		r.KeepAlive = false
		r.engine.lingering = true
	}
	if r.KeepAlive && (lc.KeepaliveMinTimeout.V > 0 || !r.Server.draining && lc.KeepaliveTimeout.V > 0) {
		r.Server.writing--
		r.free()
		c.keepOpen(lc)
		return
	}
	if lc.LingeringClose.V == LingeringAlways ||
		lc.LingeringClose.V == LingeringOn && (r.engine.lingering || c.pos < c.last || c.FD.Readable) {
		r.Server.writing--
		c.startLinger(r)
		return
	}
	r.closeRequest(0)
}

// closeRequest logs the request and closes its connection.
func (r *Request) closeRequest(rc int) {
	r = r.Main
	c := r.Conn
	if rc > 0 && (r.HeadersOut.Status == 0 || r.BytesOut == 0) {
		r.HeadersOut.Status = rc
	}
	switch c.state {
	case connBusy:
		r.Server.writing--
	case connHeader:
		r.Server.reading--
	}
	c.state = connClosing // handlers of the log phase may wait
	reset := c.timedout && r.Loc.ResetTimedoutConnection.V
	if reset {
		c.reset()
	}
	r.free()
	c.close()
}

// free logs the request, tells the modules that it has ended, and takes back
// its memory.
func (r *Request) free() {
	c := r.Conn
	r.engine.ended = true
	r.runCleanups()
	c.action = "logging request"
	r.log()
	c.action = "closing request"
	r.restoreAddr()
	s := r.Server
	r.releaseLimits()
	for i, b := range r.engine.old {
		s.buffers.put(b)
		r.engine.old[i] = nil
	}
	r.engine.old = r.engine.old[:0]
	r.freeSubrequests()
	r.releaseOut()
	r.releaseBody()
	if c.req == r {
		c.req = nil
	}
	s.freeRequest(r)
}

// log goes through the log phase.
func (r *Request) log() {
	for _, h := range r.MainConf.handlers[Log] {
		h(r)
	}
}

// AddCleanup has f called when the request ends, the last one added first.
func (r *Request) AddCleanup(f func()) {
	r.Main.cleanups = append(r.Main.cleanups, f)
}

func (r *Request) runCleanups() {
	for n := len(r.cleanups); n > 0; n = len(r.cleanups) {
		f := r.cleanups[n-1]
		r.cleanups[n-1] = nil
		r.cleanups = r.cleanups[:n-1]
		f()
	}
}

// specialResponse answers with the page for a status.
func (r *Request) specialResponse(status int) int {
	r.ErrStatus = status
	if r.HeaderSent {
		r.Log(logging.Alert, "header already sent")
		return Error
	}
	if closesConnection(status) {
		r.KeepAlive = false
	}
	if r.engine.lingering {
		switch status {
		case 400, 495, 496, 497:
			r.engine.lingering = false
		}
	}
	r.HeadersOut.ContentType = ""
	if page := r.errorPageFor(status); page != nil {
		rc, redirect := r.sendErrorPage(page)
		if redirect == 0 {
			return rc
		}
		status = redirect
	}
	r.engine.expectTested = true
	if err := r.DiscardBody(); err != nil {
		r.KeepAlive = false
	}
	r.ErrStatus = shownStatus(status)
	page := r.specialPage(status)
	h := &r.HeadersOut
	if (status == 301 || status == 302) && r.HeadersIn.Browser&BrowserMSIE != 0 && fileConfOf(r).MSIERefresh.V {
		page = refreshPage(h.Location)
		r.ErrStatus, h.Location = 200, ""
	}
	h.ContentLengthN = int64(len(page))
	if page != nil {
		h.ContentType = "text/html"
		h.Charset = ""
	}
	h.LastModified = -1
	r.ClearAcceptRanges()
	h.Del("ETag")
	h.Del("Content-Length")
	h.Del("Last-Modified")
	h.LengthListed, h.ModifiedListed = false, false
	if err := r.SendHeader(); err != nil {
		return Error
	}
	if r.HeaderOnly {
		return OK
	}
	if err := r.output(Buf{Data: page, Last: true}); err != nil {
		return Error
	}
	return OK
}

// CleanHeader makes the response's header that of a request just begun.
func (r *Request) CleanHeader() {
	list := r.HeadersOut.List[:0]
	r.HeadersOut = HeadersOut{List: list, ContentLengthN: -1, LastModified: -1}
}
