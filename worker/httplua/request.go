package httplua

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"perilune/logging"
	"perilune/luart"
	"perilune/worker/http"
)

// request is what Lua keeps for a request, and the request as luart sees it.
type request struct {
	lua luart.Ctx
	r   *http.Request
	w   *Worker
	own *luart.Runtime // with lua_code_cache off; not of a subrequest, which shares it

	displaced *request // of before an internal redirect
	discarded bool     // ngx.req.discard_body was called
	waited    bool     // a flush has had to wait; known at level debug only
}

// displaced is the context of a request that was redirected internally: its code may
// still run, and what it has is released with the request.
type displaced request

// Displaced implements [http.Displacer].
func (q *request) Displaced() any { return (*displaced)(q) }

// Displaced implements [http.Displacer].
func (q *displaced) Displaced() any { return q }

// contextOf returns the module's context of a request, made at its first use. It
// is nil when init_by_lua has failed in a machine of the request's own.
func (w *Worker) contextOf(r *http.Request, l *locConf) *request {
	if q, ok := r.Ctx[Module.Index].(*request); ok {
		q.lua.SetSettings(&l.settings)
		return q
	}
	if l.codeCache.V {
		return w.newContext(r, l, w.rt, nil)
	}
	own, err := w.newRuntime()
	if err != nil {
		return nil
	}
	own.CountUsers()
	return w.newContext(r, l, own, own)
}

// newContext makes the module's context of a request. own is a machine that is not the
// worker's, and of which the request is a user.
func (w *Worker) newContext(r *http.Request, l *locConf, rt, own *luart.Runtime) *request {
	var q *request
	if n := len(w.free); n > 0 {
		q = w.free[n-1]
		w.free = w.free[:n-1]
	} else {
		q = &request{w: w}
	}
	q.r, q.own = r, own
	q.lua.Init(rt, q, &l.settings)
	if old, ok := r.Ctx[Module.Index].(*displaced); ok {
		q.displaced = (*request)(old)
	}
	r.Ctx[Module.Index] = q
	if q.LogEnabled(luart.LevelDebug) {
		r.AddCleanup(q.lua.TraceCleanup)
	}
	return q
}

// maxFree is how many contexts are kept for further requests.
const maxFree = 1024

// release takes the contexts from a request that ends.
func (w *Worker) release(r *http.Request) {
	var q *request
	switch ctx := r.Ctx[Module.Index].(type) {
	case *request:
		q = ctx
	case *displaced:
		q = (*request)(ctx)
	}
	r.Ctx[Module.Index] = nil
	for q != nil {
		older := q.displaced
		q.lua.Release()
		if q.own != nil {
			q.own.Unuse()
		}
		q.r, q.own, q.displaced, q.discarded = nil, nil, nil, false
		if len(w.free) < maxFree {
			w.free = append(w.free, q)
		}
		q = older
	}
}

func (q *request) LogEnabled(lv luart.Level) bool {
	return (lv < luart.LevelDebug || q.w.main.debug) && q.r.ErrorLog().Enabled(logging.Level(lv))
}

func (q *request) Log(lv luart.Level, msg []byte) {
	q.r.Log(logging.Level(lv), "%s", msg)
}

func (q *request) MethodID() uint32   { return uint32(q.r.MethodID) }
func (q *request) MethodName() []byte { return q.r.Method }

func (q *request) SetMethod(id uint32, name string) {
	q.r.MethodID, q.r.Method = http.Method(id), []byte(name)
}

func (q *request) HTTPVersion() int     { return q.r.HTTPVersion }
func (q *request) Args() []byte         { return q.r.Args }
func (q *request) Internal() bool       { return q.r.Internal }
func (q *request) Subrequest() bool     { return q.r != q.r.Main }
func (q *request) StartTime() time.Time { return q.r.Start }
func (q *request) KeepAlive() bool      { return q.r.KeepAlive }

// Origin names the client and the socket.
func (q *request) Origin() string {
	c := q.r.Conn
	s := ", client: " + c.Remote
	if c.Listening != nil {
		s += ", server: " + c.Listening.Addr
	}
	return s
}

func (q *request) SetArgs(args []byte) { q.r.SetArgs(append([]byte{}, args...)) }

func (q *request) AppendRawHeader(dst []byte, withoutRequestLine bool) []byte {
	return q.r.AppendRawHeader(dst, !withoutRequestLine)
}

func (q *request) SetURI(uri string, jump bool) { q.r.SetURI([]byte(uri), jump) }

func (q *request) HeadersInLen() int { return len(q.r.HeadersIn.List) }

func (q *request) HeaderIn(i int) (name, value []byte) {
	h := &q.r.HeadersIn.List[i]
	return h.Name, h.Value
}

var errHeader = errors.New("failed to set header")

func (q *request) SetHeaderIn(name, value string, override bool) error {
	in := &q.r.HeadersIn
	text := append(append(make([]byte, 0, len(name)+len(value)), name...), value...)
	field, content := text[:len(name):len(name)], text[len(name):]
	id := http.HeaderIDOf(field)
	if err := q.applyHeaderIn(id, value); err != nil {
		return err
	}
	if override || singleHeaderIn(id, name) {
		in.Set(id, field, content)
	} else {
		in.Add(id, field, content)
	}
	return nil
}

// singleHeaderIn says of which headers a request keeps one alone: of several values
// that it is given the last one counts.
func singleHeaderIn(id http.HeaderID, name string) bool {
	switch id {
	case http.HeaderContentRange, http.HeaderTE, http.HeaderProxyAuthorization, http.HeaderXForwardedFor, http.HeaderCookie:
		return false
	case http.HeaderOther:
		for _, single := range [...]string{"X-Real-IP", "Depth", "Destination", "Overwrite", "Date"} {
			if strings.EqualFold(name, single) {
				return true
			}
		}
		return false
	}
	return true
}

// applyHeaderIn sets the fields that the engine has made of a header.
func (q *request) applyHeaderIn(id http.HeaderID, value string) error {
	in := &q.r.HeadersIn
	switch id {
	case http.HeaderContentLength:
		if value == "" {
			in.ContentLengthN = -1
			return nil
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return errHeader
		}
		in.ContentLengthN = int64(n)
	case http.HeaderHost:
		host := strings.ToLower(value)
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		in.Host = []byte(strings.TrimSuffix(host, "."))
	case http.HeaderConnection:
		low := strings.ToLower(value)
		in.Close = strings.Contains(low, "close")
		in.KeepAlive = !in.Close && strings.Contains(low, "keep-alive")
	}
	return nil
}

func (q *request) ReadBody() int {
	rc := result(q.r.ReadBody())
	q.discarded = q.discarded && q.r.BodyDiscarded() // none is left: it is empty
	return rc
}

func (q *request) LeaveBody() { q.r.LeaveBody() }

func (q *request) DiscardBody() error {
	q.discarded = q.discarded || !q.r.BodyRead()
	return q.r.DiscardBody()
}

func (q *request) BodyDiscarded() bool { return q.r.BodyDiscarded() }
func (q *request) BodyRead() bool      { return !q.discarded && q.r.BodyRead() }
func (q *request) Body() []byte        { return q.r.BodyBytes() }
func (q *request) BodyFile() string    { return q.r.BodyFile() }
func (q *request) SetBody(data []byte) { q.r.SetBody(data) }
func (q *request) SpillBody() error    { return q.r.SpillBody() }
func (q *request) BodyBufferSize() int { return int(q.r.Loc.ClientBodyBufferSize.V) }

func (q *request) SetBodyFile(path string, clean bool) (int64, error) {
	if err := q.r.SetBodyFile(path, clean); err != nil {
		return 0, err
	}
	return q.r.BodySize(), nil
}

func (q *request) Variable(name string) ([]byte, bool) { return q.r.Variable(name) }
func (q *request) Capture(n int) ([]byte, bool)        { return q.r.Capture(n) }

func (q *request) SetVariable(name, value string, unset bool) error {
	set := func() (known, changed bool) { return q.r.SetVariable(name, []byte(value)) }
	if unset {
		set = func() (known, changed bool) { return q.r.UnsetVariable(name) }
	}
	known, changed := set()
	switch {
	case changed:
		return nil
	case known:
		return luart.ErrVariableNotChangeable
	}
	return luart.ErrVariableNotFound
}

func (q *request) Status() int {
	if q.r.ErrStatus != 0 {
		return q.r.ErrStatus
	}
	return q.r.HeadersOut.Status
}

func (q *request) SetStatus(status int, reason string) {
	q.r.HeadersOut.Status = status
	q.r.HeadersOut.StatusLine = ""
	if reason != "" && status != 101 {
		q.r.HeadersOut.StatusLine = strconv.Itoa(status) + " " + reason
	}
	q.r.ErrStatus = 0
}

func (q *request) HeaderSent() bool { return q.r.HeaderSent }
func (q *request) HeaderOnly() bool { return q.r.HeaderOnly }
func (q *request) SetHeaderOnly()   { q.r.HeaderOnly = true }

func (q *request) HasContentLength() bool   { return q.r.HeadersOut.ContentLengthN >= 0 }
func (q *request) SetContentLength(n int64) { q.r.HeadersOut.ContentLengthN = n }

func (q *request) ClearContentLength()    { q.r.ClearContentLength() }
func (q *request) ClearAcceptRanges()     { q.r.ClearAcceptRanges() }
func (q *request) BypassConditions()      { q.r.Unconditional = true }
func (q *request) SetDefaultContentType() { q.r.SetContentType() }

func (q *request) SetRedirect(status int, location string) {
	q.r.HeadersOut.Status = status
	q.r.HeadersOut.Add("Location", location)
}

func (q *request) CheckURI(uri string, log bool) (path, args string, ok bool) {
	path, args, ok = http.SplitURI(uri)
	if !ok && log {
		q.r.Log(logging.Error, "unsafe URI \"%s\" was detected", path)
	}
	return path, args, ok
}

func (q *request) InternalRedirect(uri, args string) int {
	if uri[0] == '@' {
		if args != "" {
			q.r.Log(logging.Warn, "query strings %s ignored when exec'ing named location %s", args, uri)
		}
		return q.r.NamedLocation([]byte(uri))
	}
	return q.r.InternalRedirect([]byte(uri), []byte(args))
}

func (q *request) OnAbort(f func()) { q.r.OnAbortRead(f) }

func (q *request) SendHeader() int    { return result(q.r.SendHeader()) }
func (q *request) Write(p []byte) int { return result(q.r.Write(p)) }

// Finish ends the response; a body that nobody has read is thrown away.
func (q *request) Finish() int {
	if rc := q.LeaveUnread(); rc != luart.OK {
		return rc
	}
	return result(q.r.Finish())
}

// LeaveUnread throws the request's body away when nobody has read it, since there is
// no more to answer.
func (q *request) LeaveUnread() int {
	if q.r.DiscardBody() != nil {
		return luart.Error
	}
	return luart.OK
}

func (q *request) Flush(wait bool) error {
	debug, broken := q.LogEnabled(luart.LevelDebug), q.r.Broken()
	if debug {
		q.waited = false
		q.r.Main.OnWait = q.logWait
	}
	err := q.r.Flush(wait)
	q.r.Main.OnWait = nil
	if debug && err == nil && !(wait && q.waited) {
		q.r.Log(logging.Debug, "lua flush asynchronously")
	}
	if err == nil {
		return nil
	}
	switch {
	case broken:
		return err
	case q.r.TimedOut():
		return luart.ErrTimeout
	}
	return luart.ErrClientAborted
}

// writeBuffered is nginx's mark of a connection whose output waits.
const writeBuffered = 0x10

// logWait writes the debug message of a flush that waits.
func (q *request) logWait(delayed bool) {
	q.r.Main.OnWait, q.waited = nil, true
	n := 0
	if delayed {
		n = 1
	}
	q.r.Log(logging.Debug, "lua flush requires waiting: buffered 0x%x, delayed:%d", writeBuffered, n)
}

// result is what an error stands for.
func result(err error) int {
	if err == nil {
		return luart.OK
	}
	return http.StatusOf(err)
}
