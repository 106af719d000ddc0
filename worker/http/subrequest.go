package http

import (
	"bytes"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// maxSubrequests is how deep subrequests may be nested.
const maxSubrequests = 50

// VarsMode says which variables with a place of their own (set, map, …) a subrequest sees.
type VarsMode uint8

// The modes; the names in brackets are those of ngx.location.capture.
const (
	ShareVars VarsMode = iota // the parent's (share_all_vars), as a subrequest of nginx itself
	CopyVars                  // a copy of the parent's (copy_all_vars)
	NewVars                   // its own, none of which is set
)

// SubrequestOptions says how a subrequest differs from a plain GET of nginx's.
type SubrequestOptions struct {
	Method     Method // MethodGet if 0
	MethodName string // of Method; "GET" if empty

	// The body: nil shares the parent's, unless DropBody is set. It must stay as it is.
	Body     []byte
	DropBody bool

	Vars VarsMode

	// Capture keeps the response from the client: afterwards it is in HeadersOut, CapturedStatus and CapturedBody.
	// Otherwise the body becomes part of the parent's, at the place where the parent's output is when Subrequest is
	// called.
	Capture bool

	LogPrefix string // of messages

	// Discard drops the body instead. The subrequest ends as any other, with error pages and all; afterwards HeadersOut is there.
	Discard bool

	// Failed makes the header of a captured response that is an error, instead of FailCaptured and SendHeader.
	Failed func(sr *Request, rc int)

	// NoBody gives the subrequest an empty body although its header speaks of the parent's.
	NoBody bool

	// Held has it start when StartHeld or Wait is called: by Wait on the goroutine of the caller, unless others who are
	// ready go first.
	Held bool

	// Prepare is called before the subrequest starts, to give it what modules keep of a request: contexts in Ctx,
	// variables by SetVariable.
	Prepare func(sr *Request)
}

// subState is what a request keeps of subrequests: of itself if it is one, and of those in its output.
type subState struct {
	depth    int // subrequests that may be nested in it
	held     bool
	capture  bool
	discard  bool // with capture: what is captured is of no interest
	finished bool // its handlers have ended
	closing  bool // of the main request: a captured one has closed the connection
	done     bool // and all of its output has gone where it belongs
	status   int

	failed   func(sr *Request, rc int)
	captured []byte
	waiter   loop.Waiter

	queue     []piece // output behind that of subrequests that have not ended
	advancing bool
	all       []*Request // of a main request: to be freed with it
}

// piece is output that waits for its turn: bytes, or what a subrequest sends.
type piece struct {
	sr   *Request
	data []byte
	file Buf // a part of a file whose descriptor is the piece's own, if FileLen > 0
	last bool
}

// ErrSubrequests is the error for subrequests nested too deeply; it has been logged.
var ErrSubrequests = errors.New("too many nested subrequests")

// Subrequest starts a request for uri within r, and returns it at once. Its phases, from server-rewrite on and without
// those of access, run straight-line on a task of the loop, when the caller parks; Wait waits for their end. Several
// subrequests may be started before one is waited for: they run in parallel. What a subrequest keeps in memory lives
// as long as the main request.
func (r *Request) Subrequest(uri, args []byte, o *SubrequestOptions) (*Request, error) {
	depth := maxSubrequests
	if r.Parent != nil {
		depth = r.sub.depth - 1
	}
	if depth < 0 {
		r.Log(logging.Error, "%ssubrequests cycle while processing \"%s\"", o.LogPrefix, uri)
		return nil, ErrSubrequests
	}
	s := r.Server
	sr := s.takeRequest(len(r.Ctx))
	sr.Conn, sr.Server, sr.Main, sr.Parent, sr.MainConf = r.Conn, s, r.Main, r, r.MainConf
	state := sr.ownState()
	state.depth, state.capture, state.discard, state.failed = depth, o.Capture || o.Discard, o.Discard, o.Failed
	sr.Start, sr.StartMsec = s.loop.Now(), s.loop.NowMsec()
	sr.RequestLine, sr.UnparsedURI, sr.Protocol, sr.HTTPVersion = r.RequestLine, r.UnparsedURI, r.Protocol, r.HTTPVersion
	sr.Plain = r.Plain
	sr.MethodID, sr.Method = MethodGet, methodGet
	if o.Method != 0 && o.Method != MethodGet {
		sr.MethodID, sr.Method = o.Method, []byte(o.MethodName)
	}
	sr.URI = sr.view(uri)
	if len(args) > 0 {
		sr.Args, sr.HasArgs = sr.view(args), true
	}
	sr.SetExten()
	sr.Internal = true
	sr.engine.rewritten = true
	sr.HeadersOut.ContentLengthN, sr.HeadersOut.LastModified = -1, -1
	sr.engine.changes = maxURIChanges + 1
	sr.engine.expectTested = true
	sr.copyHeadersIn(r, o)
	sr.HeaderOnly = o.Discard
	sr.shareVars(r, o.Vars)
	sr.useServer(r.Srv)
	if o.Prepare != nil {
		o.Prepare(sr)
	}
	r.Main.ownState().all = append(r.Main.ownState().all, sr)
	if !sr.sub.capture {
		state := r.ownState()
		state.queue = append(state.queue, piece{sr: sr})
	}
	r.Retain()
	sr.engine.phase = sr.MainConf.serverRewrite
	if sr.sub.held = o.Held; !o.Held {
		s.loop.Go(sr.startSub)
	}
	return sr, nil
}

// StartHeld has a subrequest that was held start when the caller parks.
func (r *Request) StartHeld() {
	if r.sub.held {
		r.sub.held = false
		r.Server.loop.Go(r.startSub)
	}
}

// startSub runs the phases of a subrequest.
func (r *Request) startSub() {
	r.Conn.action = ""
	r.runPhases()
}

// ownState is the request's subState, made if need be.
func (r *Request) ownState() *subState {
	if r.sub == nil {
		if r.parts.sub == nil {
			r.parts.sub = new(subState)
		}
		r.sub = r.parts.sub
	}
	return r.sub
}

// methodGet is the method of most subrequests.
var methodGet = []byte("GET")

// reset forgets all but the memory for another request.
func (s *subState) reset() {
	clear(s.queue)
	clear(s.all)
	captured := s.captured[:0]
	if cap(captured) > maxArena {
		captured = nil
	}
	s.depth, s.status = 0, 0
	s.capture, s.discard, s.finished, s.done, s.advancing, s.closing = false, false, false, false, false, false
	s.failed = nil
	s.captured, s.queue, s.all = captured, s.queue[:0], s.all[:0]
}

// copyHeadersIn gives a subrequest the parent's header, and the body that is asked for.
func (r *Request) copyHeadersIn(parent *Request, o *SubrequestOptions) {
	list := r.HeadersIn.List
	in := parent.HeadersIn
	own := o.Body != nil || o.DropBody
	for _, h := range in.List {
		if !own || h.ID != HeaderContentLength && h.ID != HeaderTransferEncoding {
			list = append(list, h)
		}
	}
	in.List = list
	r.HeadersIn = in
	if o.NoBody {
		r.bodyOf = r
		r.body.read = true
		return
	}
	if !own {
		r.bodyOf = parent.bodyOwner()
		return
	}
	r.bodyOf = r
	r.body = requestBody{read: true, mem: o.Body, size: int64(len(o.Body))}
	r.HeadersIn.Chunked = false
	r.HeadersIn.ContentLengthN = -1
	r.HeadersIn.Reindex()
	if o.Body != nil {
		r.HeadersIn.ContentLengthN = r.body.size
		r.HeadersIn.Add(HeaderContentLength, []byte("Content-Length"), strconv.AppendInt(nil, r.body.size, 10))
	}
}

func (r *Request) shareVars(parent *Request, mode VarsMode) {
	switch mode {
	case ShareVars:
		r.vars = parent.vars
		r.parts.captures.named = append(r.parts.captures.named, parent.parts.captures.named...)
	case CopyVars:
		r.vars = &r.parts.values
		r.parts.values = append(r.parts.values[:0], *parent.vars...)
		r.parts.captures.named = append(r.parts.captures.named, parent.parts.captures.named...)
	default:
		r.vars = &r.parts.values
	}
}

// Wait parks until the subrequest has ended. Only one may wait for it at a time. An error says that the connection is to
// be closed.
func (r *Request) Wait() error {
	s := r.sub
	if s.held && r.Server.loop.NobodyReady() {
		s.held = false
		r.startSub()
	}
	r.StartHeld()
	if !r.Ended() {
		if err := r.Server.loop.Park(&s.waiter, 0); err != nil {
			return err
		}
	}
	if r.Main.sub.closing {
		return errClosed
	}
	return nil
}

// Ended reports whether the subrequest has ended: its output may still wait for its turn, unless it is captured.
func (r *Request) Ended() bool { return r.sub.done || r.sub.finished && !r.sub.capture }

// CapturedStatus is the status of a captured subrequest that has ended.
func (r *Request) CapturedStatus() int { return r.sub.status }

// CapturedBody is the body of a captured subrequest; truncated says that it is not whole.
func (r *Request) CapturedBody() (body []byte, truncated bool) {
	return r.sub.captured, !r.out.last
}

// finalizeSub ends a subrequest as Finalize does a request.
func (r *Request) finalizeSub(rc int) {
	s := r.sub
	c := r.Conn
	special := rc >= 300 || rc == 201 || rc == 204
	switch {
	case s.capture && !s.discard && (rc == 408 || rc == StatusClientClosedRequest || rc == StatusClose):
		c.timedout = c.timedout || rc != StatusClientClosedRequest
		c.errored = true
		if m := r.Main; m.HeadersOut.Status == 0 || m.BytesOut == 0 {
			m.HeadersOut.Status = rc
		}
		r.Main.ownState().closing = true
	case s.capture && !s.discard:
		s.status = capturedStatus(r.HeadersOut.Status, rc)
		if rc == Error && r.HeadersOut.Status == 0 {
			rc, special = 500, true
		}
		switch {
		case special && s.failed != nil:
			s.failed(r, rc)
		case special && !r.HeaderSent:
			r.FailCaptured(rc)
			_ = r.SendHeader() // its filters may want to see it
		}
	case rc == Error, rc == 408, rc == StatusClientClosedRequest, c.errored, rc == StatusClose:
		c.timedout = c.timedout || rc == 408 || rc == StatusClose
		c.errored = true
	case special:
		r.Finalize(r.specialResponse(rc))
		return
	}
	r.engine.ended = true
	s.finished = true
	if !s.capture {
		r.Server.loop.Wake(&s.waiter, nil)
	}
	r.endSub() // which may free the request
}

// endSub ends a subrequest whose handlers have, once its own subrequests have ended and its output has been sent.
func (r *Request) endSub() {
	s := r.sub
	if !s.finished || s.done || len(s.queue) > 0 {
		return
	}
	s.done = true
	if r.Loc.LogSubrequest.V {
		r.log()
	}
	if !s.capture {
		r.Parent.advance()
	}
	r.Server.loop.Wake(&s.waiter, nil)
	if m := r.Main; len(m.sub.queue) == 0 || r.Conn.errored {
		r.Server.loop.Wake(&m.sub.waiter, nil)
	}
	r.drop()
}

// FailCaptured prepares the header of a captured response that is an error.
func (r *Request) FailCaptured(rc int) {
	r.ErrStatus = rc
	r.HeadersOut.ContentType = ""
	r.HeadersOut.ContentLengthN, r.HeadersOut.LastModified = 0, -1
}

func capturedStatus(status, rc int) int {
	switch {
	case status != 0:
		return status
	case rc == Error:
		return 500
	case rc >= 100:
		return rc
	}
	return 200
}

// waitOutput parks until the output of all subrequests has been sent, at the end of a main request.
func (r *Request) waitOutput() {
	s := r.sub
	for len(s.queue) > 0 && !r.Conn.errored {
		if r.Server.loop.Park(&s.waiter, 0) != nil {
			return
		}
	}
}

// inTurn reports whether what the request sends goes to its destination at once: nothing before it is missing.
func (r *Request) inTurn() bool {
	for r.Parent != nil && !r.sub.capture {
		q := r.Parent.sub.queue
		if len(q) == 0 || q[0].sr != r {
			return false
		}
		r = r.Parent
	}
	return true
}

// write takes a piece of the body of a request that is a subrequest, or that has subrequests in its output.
func (s *subState) write(r *Request, b Buf) error {
	if len(s.queue) == 0 && r.inTurn() {
		return r.emit(b)
	}
	p := piece{data: bytes.Clone(b.Data), last: b.Last}
	if b.FileLen > 0 {
		fd, err := unix.FcntlInt(uintptr(b.File), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			r.LogErr(logging.Crit, err, "dup() failed")
			return errClosed
		}
		p.file = Buf{File: fd, Off: b.Off, FileLen: b.FileLen}
	}
	if len(p.data) > 0 || b.FileLen > 0 || b.Last && r.Parent == nil {
		s.queue = append(s.queue, p)
	}
	if b.Last {
		r.out.last = true
	}
	return nil
}

// emit sends output whose turn it is: to who captures it, or to the client.
func (r *Request) emit(b Buf) error {
	to := r
	for to.Parent != nil && !to.sub.capture {
		to = to.Parent
	}
	if r.Parent != nil {
		r.out.last = r.out.last || b.Last
	}
	if to != r {
		b.Last = false
	}
	if to.Parent != nil && to.sub.discard {
		return nil
	}
	if to.Parent != nil {
		if b.FileLen == 0 {
			to.sub.captured = append(to.sub.captured, b.Data...)
			return nil
		}
		data, err := to.readBuf(b)
		to.sub.captured = append(to.sub.captured, data...)
		return err
	}
	if !to.HeaderSent {
		if err := to.SendHeader(); err != nil {
			return err
		}
	}
	to.out.last = false
	return to.MainConf.postponed(to, b)
}

// readBuf makes the content of a piece of a body one that lasts.
func (r *Request) readBuf(b Buf) ([]byte, error) {
	if b.FileLen == 0 {
		return bytes.Clone(b.Data), nil
	}
	data := make([]byte, b.FileLen)
	n, err := unix.Pread(b.File, data, b.Off)
	for int64(n) < b.FileLen && err == nil {
		var more int
		more, err = unix.Pread(b.File, data[n:], b.Off+int64(n))
		if more == 0 {
			break
		}
		n += more
	}
	if err != nil || int64(n) < b.FileLen {
		r.LogErr(logging.Crit, err, "pread() failed")
		return nil, errClosed
	}
	return data, nil
}

// advance sends what has its turn of the output that waits behind a subrequest.
func (r *Request) advance() {
	s := r.sub
	if s.advancing || !r.inTurn() {
		return
	}
	s.advancing = true
	for len(s.queue) > 0 {
		p := s.queue[0]
		if p.sr != nil {
			p.sr.advance()
			if !p.sr.sub.done {
				break
			}
		} else if r.emit(p.buf()) != nil {
			r.Conn.errored = true
		}
		p.close()
		s.queue = s.queue[1:]
	}
	s.advancing = false
	if r.Parent != nil {
		r.endSub()
	}
}

// buf is the piece as it goes on.
func (p *piece) buf() Buf {
	b := p.file
	b.Data, b.Last = p.data, p.last
	return b
}

func (p *piece) close() {
	if p.file.FileLen > 0 {
		_ = unix.Close(p.file.File)
	}
}

// closePieces closes the files of output that will not be sent any more.
func (r *Request) closePieces() {
	for i := range r.sub.queue {
		r.sub.queue[i].close()
	}
	r.sub.queue = nil
}

// freeSubrequests frees the subrequests of a main request.
func (r *Request) freeSubrequests() {
	if r.sub == nil {
		return
	}
	r.closePieces()
	for _, sr := range r.sub.all {
		sr.closePieces()
		for _, h := range r.MainConf.subrequestEnds {
			h(sr)
		}
		sr.releaseOut()
		if sr.bodyOf == sr {
			sr.releaseBody()
		}
		r.Server.freeRequest(sr)
	}
}

// AddSubrequestEnd adds a function to call for each subrequest before its memory is used again, at the end of the main
// request: the log phase is the main request's alone, unless log_subrequest is on. For Postconfiguration.
func (m *MainConf) AddSubrequestEnd(h func(sr *Request)) {
	m.subrequestEnds = append(m.subrequestEnds, h)
}

// bodyOwner is the request whose body is that of r.
func (r *Request) bodyOwner() *Request {
	if r.bodyOf != nil {
		return r.bodyOf
	}
	return r
}
