package httplua

import (
	"errors"
	"time"

	"perilune/logging"
	"perilune/luart"
	"perilune/worker/http"
)

// subrequest is one of ngx.location.capture.
type subrequest struct{ r *http.Request }

// What Lua code hears; the error log says more.
var (
	errVariable     = errors.New("failed to adjust the subrequest: -1")
	errUnchangeable = errors.New("failed to adjust the subrequest: 500")
	errSubrequest   = errors.New("failed to issue subrequest: -1")
)

// NewSubrequest makes a subrequest, which its Start or Wait starts.
func (q *request) NewSubrequest(o *luart.SubrequestOptions) (luart.Subrequest, error) {
	if o.MethodName == "" {
		q.r.Log(logging.Error, "unsupported HTTP method: %d", o.MethodID)
		return nil, errVariable
	}
	for _, v := range o.Vars {
		switch known, settable := q.r.VariableSettable(v[0]); {
		case !known:
			q.r.Log(logging.Error, "variable \"%s\" cannot be assigned a value (maybe you forgot to define it first?) ", v[0])
			return nil, errVariable
		case !settable:
			q.r.Log(logging.Error, "variable \"%s\" not changeable", v[0])
			return nil, errUnchangeable
		}
	}
	opts := &http.SubrequestOptions{
		Method: http.Method(o.MethodID), MethodName: o.MethodName, Body: o.Body, Capture: true, Held: true, LogPrefix: "lua ", Vars: http.NewVars,
		Prepare: func(sr *http.Request) { q.prepare(sr, o) }, Failed: q.w.failCaptured,
	}
	switch {
	case o.ShareVars:
		opts.Vars = http.ShareVars
	case o.CopyVars:
		opts.Vars = http.CopyVars
	}
	opts.DropBody = o.Body == nil && !o.ForwardBody && opts.Method != http.MethodPost && opts.Method != http.MethodPut
	sr, err := q.r.Subrequest([]byte(o.URI), []byte(o.Args), opts)
	if err != nil {
		return nil, errSubrequest
	}
	if q.LogEnabled(luart.LevelDebug) {
		q.r.Log(logging.Debug, "lua http subrequest \"%s?%s\"", o.URI, o.Args)
	}
	return subrequest{sr}, nil
}

// prepare gives a subrequest what Lua code has asked for.
func (q *request) prepare(sr *http.Request, o *luart.SubrequestOptions) {
	// It runs in the parent's machine, whatever lua_code_cache says at its location.
	sub := q.w.newContext(sr, locOf(sr), q.lua.Runtime(), nil)
	if o.Ctx != nil {
		sub.lua.UseTable(o.Ctx)
	}
	for _, v := range o.Vars {
		sr.SetVariable(v[0], []byte(v[1]))
	}
	for _, h := range o.Headers {
		_ = sub.SetHeaderIn(h[0], h[1], true)
	}
}

// failCaptured makes the header of a captured error. One that Lua code has written to
// stays as it is; others get a content type, unless they have been sent.
func (w *Worker) failCaptured(sr *http.Request, rc int) {
	sub := w.contextOf(sr, locOf(sr))
	if sub == nil {
		return
	}
	if !sub.lua.HeadersSet() {
		sr.FailCaptured(rc)
	}
	sub.lua.SendHeader()
}

func (s subrequest) Start()      { s.r.StartHeld() }
func (s subrequest) Wait() error { return s.r.Wait() }

// Abort ends the Lua code of the subrequest.
func (s subrequest) Abort() {
	if q, ok := s.r.Ctx[Module.Index].(*request); ok {
		q.lua.Abort()
	}
}

func (s subrequest) Status() int                         { return s.r.CapturedStatus() }
func (s subrequest) Body() (data []byte, truncated bool) { return s.r.CapturedBody() }

func (s subrequest) ContentLength() int64 {
	if out := &s.r.HeadersOut; !out.LengthListed {
		return out.ContentLengthN
	}
	return -1
}

func (s subrequest) EachHeaderOut(f func(name, value string)) {
	out := &s.r.HeadersOut
	for i := range out.List {
		if h := &out.List[i]; h.Name != "" {
			f(h.Name, h.Value)
		}
	}
	if out.ContentType != "" {
		value := out.ContentType
		if out.Charset != "" {
			value += "; charset=" + out.Charset
		}
		f("Content-Type", value)
	}
	if out.LastModified >= 0 && !out.ModifiedListed && (out.Status == 200 || out.Status == 206 || out.Status == 304) {
		f("Last-Modified", time.Unix(out.LastModified, 0).UTC().Format(luart.HTTPTimeLayout))
	}
	if out.Location != "" {
		f("Location", out.Location)
	}
}
