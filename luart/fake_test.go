package luart

import (
	"strings"
	"testing"
	"time"
)

// fakeLoop is a loop that never waits.
type fakeLoop struct {
	now   time.Time
	slept []time.Duration
}

func (l *fakeLoop) Now() time.Time     { return l.now }
func (l *fakeLoop) Turn() uint64       { return 0 }
func (l *fakeLoop) UpdateTime()        { l.now = l.now.Add(time.Millisecond) }
func (l *fakeLoop) Go(f func())        { f() }
func (l *fakeLoop) Next(f func())      { f() }
func (l *fakeLoop) Post(f func())      { f() }
func (l *fakeLoop) Block(f func())     { f() }
func (l *fakeLoop) Lend(f func()) bool { f(); return false }
func (l *fakeLoop) Outside(int)        {}
func (l *fakeLoop) NewWaiter() Waiter  { return fakeWaiter{l} }
func (l *fakeLoop) NewTimer(f func()) Timer {
	return fakeTimer{}
}

// fakeWaiter is a waiter whose time is up at once.
type fakeWaiter struct{ l *fakeLoop }

func (w fakeWaiter) Park(d time.Duration) error {
	w.l.slept = append(w.l.slept, d)
	w.l.now = w.l.now.Add(d)
	return ErrTimeout
}
func (fakeWaiter) Yield() error    { return nil }
func (fakeWaiter) ParkTurn() error { return nil }
func (fakeWaiter) Enqueue(func())  {}
func (fakeWaiter) TakePlace()      {}
func (fakeWaiter) Wake(error) bool { return false }
func (fakeWaiter) Drop()           {}

type fakeTimer struct{}

func (fakeTimer) Set(time.Duration) {}
func (fakeTimer) Stop()             {}

type fakeWorker struct{}

func (fakeWorker) PID() int            { return 4711 }
func (fakeWorker) ID() int             { return 2 }
func (fakeWorker) Count() int          { return 4 }
func (fakeWorker) Exiting() bool       { return false }
func (fakeWorker) PIDs() []int         { return []int{4711, 4712} }
func (fakeWorker) MasterPID() int      { return 1 }
func (fakeWorker) EnableAgent(int)     {}
func (fakeWorker) ProcessType() string { return "worker" }
func (fakeWorker) Quit()               {}

type fakeLog struct{ lines []string }

var levelNames = [...]string{"stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

func (l *fakeLog) LogEnabled(lv Level) bool { return lv <= LevelNotice }
func (l *fakeLog) Log(lv Level, msg []byte) {
	l.lines = append(l.lines, "["+levelNames[lv]+"] "+string(msg))
}

type header struct{ name, value string }

// fakeRequest is a request that keeps everything in memory.
type fakeRequest struct {
	fakeLog
	method      uint32
	methodName  string
	version     int
	args        string
	in, out     []header
	body        []byte
	bodyRead    bool
	bodyFile    string
	bodyRC      int
	discarded   bool
	status      int
	length      int64
	headerSent  bool
	finished    bool
	sent        strings.Builder
	flushes     int
	vars        map[string]string
	settable    map[string]bool
	captures    []string
	contentType string
	redirect    string
	exec        string
	internal    bool
}

func newFakeRequest() *fakeRequest {
	return &fakeRequest{method: 2, version: 1001, length: -1, vars: map[string]string{"uri": "/x"}, settable: map[string]bool{}}
}

func (r *fakeRequest) MethodID() uint32   { return r.method }
func (r *fakeRequest) MethodName() []byte { return []byte(r.methodName) }
func (r *fakeRequest) SetMethod(id uint32, name string) {
	r.method, r.methodName = id, name
}
func (r *fakeRequest) HTTPVersion() int     { return r.version }
func (r *fakeRequest) Args() []byte         { return []byte(r.args) }
func (r *fakeRequest) SetArgs(a []byte)     { r.args = string(a) }
func (r *fakeRequest) Internal() bool       { return r.internal }
func (r *fakeRequest) Subrequest() bool     { return false }
func (r *fakeRequest) StartTime() time.Time { return time.Unix(1000, 250e6) }
func (r *fakeRequest) KeepAlive() bool      { return true }
func (r *fakeRequest) Origin() string       { return ", client: c, server: s" }
func (r *fakeRequest) AppendRawHeader(dst []byte, without bool) []byte {
	if !without {
		dst = append(dst, "GET /x HTTP/1.1\r\n"...)
	}
	return append(dst, "Host: h\r\n\r\n"...)
}
func (r *fakeRequest) HeadersInLen() int { return len(r.in) }
func (r *fakeRequest) HeaderIn(i int) (name, value []byte) {
	return []byte(r.in[i].name), []byte(r.in[i].value)
}
func (r *fakeRequest) SetHeaderIn(name, value string, override bool) error {
	r.in = setFake(r.in, name, value, override)
	return nil
}

func setFake(list []header, name, value string, override bool) []header {
	if override {
		kept := list[:0]
		for _, h := range list {
			if !strings.EqualFold(h.name, name) {
				kept = append(kept, h)
			}
		}
		list = kept
	}
	if value != "" {
		list = append(list, header{name, value})
	}
	return list
}

func (r *fakeRequest) ReadBody() int {
	r.bodyRead = r.bodyRC == OK
	return r.bodyRC
}
func (r *fakeRequest) LeaveBody()          {}
func (r *fakeRequest) DiscardBody() error  { r.discarded = true; return nil }
func (r *fakeRequest) BodyDiscarded() bool { return r.discarded }
func (r *fakeRequest) BodyRead() bool      { return r.bodyRead }
func (r *fakeRequest) Body() []byte        { return r.body }
func (r *fakeRequest) BodyFile() string    { return r.bodyFile }
func (r *fakeRequest) SetBody(b []byte)    { r.body = append([]byte(nil), b...) }
func (r *fakeRequest) SpillBody() error {
	r.bodyFile = "spilled"
	return nil
}
func (r *fakeRequest) SetBodyFile(path string, clean bool) (int64, error) {
	r.bodyFile = path
	return 3, nil
}
func (r *fakeRequest) BodyBufferSize() int          { return 16 }
func (r *fakeRequest) SetURI(uri string, jump bool) { r.vars["uri"] = uri }
func (r *fakeRequest) Variable(name string) ([]byte, bool) {
	v, ok := r.vars[name]
	return []byte(v), ok
}
func (r *fakeRequest) Capture(n int) ([]byte, bool) {
	if n >= len(r.captures) {
		return nil, false
	}
	return []byte(r.captures[n]), true
}
func (r *fakeRequest) SetVariable(name, value string, unset bool) error {
	if _, ok := r.vars[name]; !ok {
		return ErrVariableNotFound
	}
	if !r.settable[name] {
		return ErrVariableNotChangeable
	}
	r.vars[name] = value
	return nil
}
func (r *fakeRequest) Status() int               { return r.status }
func (r *fakeRequest) SetStatus(n int, _ string) { r.status = n }
func (r *fakeRequest) HeaderSent() bool          { return r.headerSent }
func (r *fakeRequest) HeaderOnly() bool          { return false }
func (r *fakeRequest) SetHeaderOnly()            {}
func (r *fakeRequest) SetHeaderOut(name, value string, override bool) (bool, error) {
	if strings.EqualFold(name, "Content-Type") {
		r.contentType = value
		return true, nil
	}
	r.out = setFake(r.out, name, value, override)
	return false, nil
}
func (r *fakeRequest) HeaderOut(name string, i int) (string, bool) {
	for _, h := range r.out {
		if strings.EqualFold(h.name, name) {
			if i == 0 {
				return h.value, true
			}
			i--
		}
	}
	return "", false
}
func (r *fakeRequest) EachHeaderOut(f func(name, value string, own bool) bool) {
	for _, h := range r.out {
		if !f(h.name, h.value, false) {
			return
		}
	}
}
func (r *fakeRequest) HasContentLength() bool   { return r.length >= 0 }
func (r *fakeRequest) SetContentLength(n int64) { r.length = n }
func (r *fakeRequest) ClearContentLength()      { r.length = -1 }
func (r *fakeRequest) ClearAcceptRanges()       {}
func (r *fakeRequest) BypassConditions()        {}
func (r *fakeRequest) SetDefaultContentType() {
	if r.contentType == "" {
		r.contentType = "text/plain"
	}
}
func (r *fakeRequest) SetRedirect(status int, location string) {
	r.status, r.redirect = status, location
}
func (r *fakeRequest) InternalRedirect(uri, args string) int {
	r.exec = uri + "?" + args
	return Done
}
func (r *fakeRequest) CheckURI(uri string, log bool) (string, string, bool) {
	if strings.Contains(uri, "..") {
		return "", "", false
	}
	path, args, _ := strings.Cut(uri, "?")
	return path, args, true
}
func (r *fakeRequest) OnAbort(func())              {}
func (r *fakeRequest) Stream(bool) (Stream, error) { return nil, ErrClientAborted }
func (r *fakeRequest) NewSubrequest(*SubrequestOptions) (Subrequest, error) {
	return nil, ErrClientAborted
}
func (r *fakeRequest) SendHeader() int    { r.headerSent = true; return OK }
func (r *fakeRequest) Write(p []byte) int { r.sent.Write(p); return OK }
func (r *fakeRequest) Flush(bool) error   { r.flushes++; return nil }
func (r *fakeRequest) Finish() int        { r.finished = true; return OK }
func (r *fakeRequest) LeaveUnread() int   { return OK }

var testSettings = Settings{HTTP10Buffering: true, UseDefaultType: true, TransformUnderscores: true}

func newTestRuntime(t testing.TB) (*Runtime, *fakeLoop, *fakeLog) {
	t.Helper()
	loop, log := &fakeLoop{now: time.Unix(1_700_000_000, 123e6)}, &fakeLog{}
	rt := New(Config{Loop: loop, Log: log, Worker: fakeWorker{}, Prefix: "/p/", NginxVersion: 1027004, Directive: fakeDirective})
	return rt, loop, log
}

func fakeDirective(name string) func(Request, string) ([]byte, bool) {
	if !strings.HasPrefix(name, "set_") {
		return nil
	}
	return func(_ Request, arg string) ([]byte, bool) { return []byte(name + "(" + arg + ")"), arg != "bad" }
}

// run runs content code for a request and returns the handler's result.
func run(t testing.TB, rt *Runtime, r *fakeRequest, phase Phase, code string) int {
	t.Helper()
	fn, _, err := rt.Inline(rt.cfg.Log, code, code, "=content_by_lua(nginx.conf:1)")
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	var c Ctx
	c.Init(rt, r, &testSettings)
	return rt.Run(&c, phase, fn)
}

func (r *fakeRequest) Balancer() (Balancer, bool) { return nil, false }
