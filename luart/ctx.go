package luart

import (
	"fmt"
	"time"

	"perilune/luart/vm"
)

// Settings are the settings of a location that the API looks at.
type Settings struct {
	HTTP10Buffering      bool          // lua_http10_buffering
	UseDefaultType       bool          // lua_use_default_type
	TransformUnderscores bool          // lua_transform_underscores_in_response_headers
	StrictPhases         bool          // lua_strict_phases
	CheckClientAbort     bool          // lua_check_client_abort
	CPULimit             time.Duration // lua_cpu_limit, 0 for none
	Socket               *SocketSettings
	TLS                  any // of sslhandshake, for Net.StartTLS
}

// Ctx is the state that Lua keeps for one request. The zero value, after Init, is
// ready; it is used again for another request after Release.
type Ctx struct {
	rt       *Runtime
	req      Request
	settings *Settings
	phase    Phase

	eof            bool // the last buffer was sent
	headerSent     bool // by this package, though the engine may have it still
	failed         bool // the header could not be sent
	headerOnly     bool
	headersSet     bool // ngx.header was written to
	mimeSet        bool // and the content type with it
	buffering      bool // HTTP/1.0: the body is kept back to learn its length
	seenBody       bool
	enteredContent bool
	exited         bool
	exitCode       int
	execURI        string
	execArgs       string
	out            []byte    // what buffering has kept back
	table          *vm.Table // ngx.ctx
	tableRef       int       // how many such tables there were when it was made

	entry   thread  // runs the phase's code
	code    uint64  // counts what it has run
	first   *thread // of those of ngx.thread.spawn that have not ended
	last    *thread
	running int     // how many these are
	ending  bool    // the request's code is being ended
	cutOff  bool    // and subrequests with it
	ran     bool    // code that may wait has run
	cleaned bool    // a message has told of its end
	endErr  error   // and why
	joiner  Waiter  // waits for the threads to end
	onAbort *thread // of ngx.on_abort, not started yet
	aborted bool    // the client has gone, and that thread was started
	watched bool    // the engine tells of a client that goes

	chunk        *Chunk // of a body filter that runs
	filteredLast bool   // a body filter has seen the end
	setArg       []string
	body         *newBody
	jumped       bool   // ngx.req.set_uri has changed the location
	log          Logger // of code without a request

	sockets  []closer              // that are open
	disowned int                   // sockets that were closed since, for debugging
	life     uint64                // counts the requests that the context was used for
	raw      bool                  // ngx.req.socket(true) has taken the connection
	programs map[*program]struct{} // that ngx.pipe has started and nobody has waited for
	console  bool                  // the code is a program's on the command line

	grown        int64 // what the heap has grown by while the code ran
	memoryErrors int   // that the code was given
}

// Init ties the context to a request.
func (c *Ctx) Init(rt *Runtime, req Request, settings *Settings) {
	c.rt, c.req, c.settings = rt, req, settings
}

// SetSettings changes the settings, as when the location of the request changes.
func (c *Ctx) SetSettings(settings *Settings) { c.settings = settings }

// Runtime is the runtime that the context was tied to.
func (c *Ctx) Runtime() *Runtime { return c.rt }

// EOF says whether Lua code has finished the response.
func (c *Ctx) EOF() bool { return c.eof }

// Responded says whether the code of a phase before content has answered.
func (c *Ctx) Responded() bool {
	return c.req.HeaderSent() || c.req.Status() != 0 && len(c.out) > 0
}

// End ends an answer of a phase before content and returns what its handler is to
// return.
func (c *Ctx) End() int {
	if !c.eof {
		if rc := c.sendLast(); rc == Error || rc > OK {
			return rc
		}
	}
	return statusOK
}

// Release forgets the request, ngx.ctx included.
func (c *Ctx) Release() {
	c.releaseTable(c.req)
	c.close()
	out := c.out
	if cap(out) > 64<<10 {
		out = nil
	}
	*c = Ctx{out: out[:0], sockets: c.sockets, life: c.life + 1, code: c.code, joiner: c.joiner,
		entry: thread{wait: c.entry.wait, goOn: c.entry.goOn}}
}

// close frees what the code has left open.
func (c *Ctx) close() {
	c.closeSockets()
	c.endPrograms()
	if w := c.entry.wait; w != nil {
		w.Drop()
	}
}

// UseTable makes a table ngx.ctx.
func (c *Ctx) UseTable(tab *vm.Table) {
	if c.table == nil {
		c.rt.ctxTables++
		c.tableRef = c.rt.ctxTables
	}
	c.table = tab
}

// releaseTable forgets ngx.ctx.
func (c *Ctx) releaseTable(l Logger) {
	if c.table == nil {
		return
	}
	c.rt.ctxTables--
	c.table = nil
	if l.LogEnabled(LevelDebug) {
		l.Log(LevelDebug, fmt.Appendf(nil, "lua release ngx.ctx at ref %d", c.tableRef))
	}
}

// reset makes the context ready for another phase of the same request.
func (c *Ctx) reset() {
	c.exited, c.exitCode = false, 0
	c.ran, c.cleaned = true, false
	c.execURI, c.execArgs = "", ""
	c.jumped, c.cutOff = false, false
	c.onAbort, c.aborted = nil, false
}

func (c *Ctx) sent() bool { return c.headerSent || c.req.HeaderSent() }

// HeadersSet reports whether ngx.header was written to.
func (c *Ctx) HeadersSet() bool { return c.headersSet }

// SendHeader sends the header of a response that Lua code has no part in, or no more.
func (c *Ctx) SendHeader() { c.sendHeader() }

// sendHeader sends the header unless it was sent, or is kept back.
func (c *Ctx) sendHeader() int {
	switch {
	case c.failed:
		return Error
	case c.sent():
		return OK
	}
	if c.req.Status() == 0 {
		c.req.SetStatus(statusOK, "")
	}
	if !c.mimeSet {
		c.mimeSet = true
		if c.settings.UseDefaultType && c.req.Status() != statusNotModified {
			c.req.SetDefaultContentType()
		}
	}
	if !c.headersSet {
		c.req.ClearContentLength()
		c.req.ClearAcceptRanges()
	}
	if c.buffering {
		return OK
	}
	rc := c.req.SendHeader()
	c.headerSent, c.failed = true, rc == Error
	return rc
}

// begin is what comes before every piece of the body and before its end.
func (c *Ctx) begin() int {
	if c.req.MethodID() == 0x0004 {
		c.headerOnly = true
		c.req.SetHeaderOnly()
	}
	if !c.headerSent && !c.buffering && c.settings.HTTP10Buffering && c.req.HTTPVersion() < 1001 &&
		!c.req.HeaderSent() && !c.req.HasContentLength() {
		c.buffering = true
	}
	return c.sendHeader()
}

// send writes a piece of the body.
func (c *Ctx) send(p []byte) int {
	if c.eof {
		return OK
	}
	if rc := c.begin(); rc == Error || rc > OK {
		return rc
	}
	if c.headerOnly || c.req.HeaderOnly() {
		c.eof = true
		if rc := c.req.LeaveUnread(); rc != OK {
			return rc
		}
		if c.buffering {
			return c.sendHTTP10Header()
		}
		return OK
	}
	if c.buffering {
		logText(c.req, LevelDebug, "lua buffering output bufs for the HTTP 1.0 request")
		c.out = append(c.out, p...)
		return OK
	}
	return c.req.Write(p)
}

// sendLast ends the body.
func (c *Ctx) sendLast() int {
	if c.eof || c.raw {
		return OK
	}
	if rc := c.begin(); rc == Error || rc > OK {
		return rc
	}
	c.eof = true
	if c.headerOnly || c.req.HeaderOnly() {
		if !c.buffering {
			return c.req.Finish()
		}
		if rc := c.req.LeaveUnread(); rc != OK {
			return rc
		}
		return c.sendHTTP10Header()
	}
	if c.buffering {
		if rc := c.sendHTTP10Header(); rc == Error || rc >= statusSpecial {
			return rc
		}
		if len(c.out) > 0 {
			rc := c.req.Write(c.out)
			c.out = c.out[:0]
			if rc == Error || rc >= statusSpecial {
				return rc
			}
		}
	}
	logText(c.req, LevelDebug, "lua sending last buf of the response body")
	if rc := c.req.Finish(); rc == Error || rc >= statusSpecial {
		return rc
	}
	return OK
}

func (c *Ctx) sendHTTP10Header() int {
	if c.sent() {
		return OK
	}
	if !c.headerOnly && !c.req.HeaderOnly() && !c.req.HasContentLength() {
		c.req.SetContentLength(int64(len(c.out)))
	}
	logText(c.req, LevelDebug, "lua sending HTTP 1.0 response headers")
	rc := c.req.SendHeader()
	c.headerSent, c.failed = true, rc == Error
	return rc
}
