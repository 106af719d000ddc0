package luart

import (
	"errors"
	"fmt"
	"time"

	"perilune/luart/vm"
)

// errExit unwinds the Lua code of a request that called ngx.exit, ngx.redirect or
// ngx.exec; what it asked for is in the context.
var errExit = errors.New("exit")

func controlAPI() []Function {
	const exit = PhasesResponse | PhaseTimer | PhaseHeaderFilter | PhaseBalancer
	return []Function{
		{Name: "ngx.exit", Args: "(status)", Phases: exit, fn: ngxExit, noRequest: errNoRequest,
			Doc: "ends the request with a status (from 200 on), or only the phase (ngx.OK, ngx.ERROR, ngx.DECLINED)"},
		{Name: "ngx.redirect", Args: "(uri, status?)", Phases: PhasesResponse, fn: ngxRedirect,
			Doc: "answers with a redirect, 302 unless another status is given"},
		{Name: "ngx.exec", Args: "(uri, args?)", Phases: PhasesResponse, fn: ngxExec,
			Doc: "goes on with another location, as an internal redirect"},
		{Name: "ngx.on_abort", Args: "(callback)", Phases: PhasesResponse, late: true, fn: ngxOnAbort, noRequest: errNoRequest,
			Doc: "runs a function as a light thread when the client closes the connection early; needs lua_check_client_abort"},
		{Name: "ngx.sleep", Args: "(seconds)", Phases: phasesYieldable, extra: phasesWaiting, fn: ngxSleep, noRequest: errNoRequest,
			Doc: "lets the request wait while others go on"},
		{Name: "ngx.get_phase", Args: "()", Phases: phasesAny, fn: ngxGetPhase, Doc: "returns the name of the current phase"},
	}
}

func ngxExit(t *vm.Thread, c *Ctx) int {
	n, ok := t.Arg(1).AsNumber()
	if !ok {
		return ffiError(t, 2, "ngx_lua_ffi_exit", t.Arg(1))
	}
	status := int(n)
	if status == Again || status == Done {
		return raise(t, "bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE")
	}
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		l.Log(LevelDebug, fmt.Appendf(nil, "lua exit with code %d", status))
	}
	if status != Error && status != statusRequestTimeout && status != statusClientClosed && status != statusClose {
		c.checkAbortable(t)
	}
	if c.req != nil && c.sent() && status >= statusSpecial && status != statusRequestTimeout &&
		status != statusClientClosed && status != statusClose {
		if st := c.req.Status(); status != st {
			logText(c.req, LevelError, fmt.Sprintf("attempt to set status %d via ngx.exit after sending out the response status %d", status, st))
		}
		status = statusOK
	}
	c.exitCode, c.exited = status, true
	if c.phase&(PhaseHeaderFilter|PhaseBalancer) != 0 {
		return 0
	}
	return t.Abort(errExit)
}

// unsafeURISet is what may not be in the URI of a redirect.
var unsafeURISet = set("\x7f", 0, 8, 10, 31)

func ngxRedirect(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting one or two arguments")
	}
	uri := t.CheckString(1)
	status := 302
	if n == 2 {
		status = int(t.CheckNumber(2))
		switch status {
		case 301, 302, 303, 307, 308:
		default:
			return raise(t, "only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, "+
				"ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
		}
	}
	if c.sent() {
		return raise(t, "attempt to call ngx.redirect after sending out the headers")
	}
	for i := 0; i < len(uri); i++ {
		if unsafeURISet.has(uri[i]) {
			return raise(t, "unsafe byte \"0x%02x\" in redirect uri \"%s\"", uri[i], escapeForLog(uri))
		}
	}
	c.checkAbortable(t)
	c.req.SetRedirect(status, uri)
	c.exitCode, c.exited = status, true
	return t.Abort(errExit)
}

// escapeForLog makes a string fit for a message.
func escapeForLog(s string) string {
	const hex = "0123456789ABCDEF"
	var buf []byte
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 32 || c >= 127 || c == '"' || c == '\\' {
			buf = append(buf, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			buf = append(buf, c)
		}
	}
	return string(buf)
}

func ngxExec(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting one or two arguments, but got %d", n)
	}
	uri := t.CheckString(1)
	if uri == "" {
		return raise(t, "The uri argument is empty")
	}
	path, args, ok := c.req.CheckURI(uri, true)
	if !ok {
		return raise(t, "unsafe uri")
	}
	if n == 2 {
		v := t.Arg(2)
		user := ""
		switch v.Type() {
		case vm.TypeNumber, vm.TypeString:
			user, _ = v.ToStringCoerced()
		case vm.TypeTable:
			tab, _ := v.AsTable()
			user = string(appendArgs(t, nil, tab))
		case vm.TypeNil:
		default:
			return argError(t, 2, "string, number, or table expected, but got "+v.TypeName())
		}
		switch {
		case user == "":
		case args == "":
			args = user
		default:
			args += "&" + user
		}
	}
	if c.sent() {
		return raise(t, "attempt to call ngx.exec after sending out response headers")
	}
	c.checkAbortable(t)
	c.execURI, c.execArgs = path, args
	return t.Abort(errExit)
}

func ngxSleep(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "attempt to pass %d arguments, but accepted 1", n)
	}
	ms := int64(t.CheckNumber(1) * 1000)
	if ms < 0 {
		return raise(t, "invalid sleep duration \"%d\"", ms)
	}
	l := c.logger(c.rt)
	debug := l.LogEnabled(LevelDebug)
	if debug {
		logText(l, LevelDebug, fmt.Sprintf("lua ready to sleep for %d ms", ms))
	}
	err := c.sleep(t, time.Duration(ms)*time.Millisecond)
	if debug {
		c.logAwake(l, err)
	}
	switch err {
	case ErrTimeout:
		return 0
	case errKilled:
		return t.Abort(errKilled)
	}
	c.exitCode, c.exited = Error, true
	return t.Abort(errExit)
}

// sleep waits for d, or for the next turn of the loop if that is 0. The error is ErrTimeout unless it was ended early.
func (c *Ctx) sleep(t *vm.Thread, d time.Duration) error {
	if d > 0 {
		return c.park(t, d)
	}
	u := c.waitingThread(t)
	if err := c.wait(u, func() error { return u.wait.ParkTurn() }); err != nil {
		return err
	}
	return ErrTimeout
}

func (c *Ctx) logAwake(l Logger, err error) {
	if err != ErrTimeout {
		logText(l, LevelDebug, "lua clean up the timer for pending ngx.sleep")
		return
	}
	text := "lua sleep timer expired: \""
	if c.req != nil {
		uri, _ := c.req.Variable("uri")
		text += string(uri) + "?" + string(c.req.Args())
	}
	logText(l, LevelDebug, text+"\"")
}

func ngxGetPhase(t *vm.Thread, c *Ctx) int {
	p := PhaseInit
	if c != nil {
		p = c.phase
	}
	t.PushString(p.String())
	return 1
}

// handleExit is what the phase's handler returns after ngx.exit or ngx.redirect.
func (c *Ctx) handleExit() int {
	if c.phase == PhaseTimer {
		return c.exitCode
	}
	code := c.exitCode
	hard := code == statusRequestTimeout || code == statusClientClosed || code == statusClose
	if !c.sent() && c.req.Status() == 0 && code >= statusOK {
		c.req.SetStatus(code, "")
	}
	if c.buffering && c.req.Status() != 0 && code != Error && !hard {
		if rc := c.sendLast(); rc == Error || rc >= statusSpecial {
			return rc
		}
		if code >= statusOK {
			return statusOK
		}
		return code
	}
	if code == OK && c.enteredContent || code >= statusOK && code < statusSpecial && code != statusNoContent {
		if rc := c.sendLast(); rc == Error || rc >= statusSpecial {
			return rc
		}
	}
	if c.sent() && code > OK && !hard {
		if c.enteredContent {
			return OK
		}
		return statusOK
	}
	return code
}
