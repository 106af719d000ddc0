package http

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
	"perilune/worker/peer"
	"perilune/worker/resolver"
	"perilune/worker/upstream"
)

// upstreamState is what is remembered of one try, for variables.
type upstreamState struct {
	peer                              string // "" between two upstreams
	status                            int
	connectTime, headerTime, respTime int64 // msec, -1: none
	received, sent, length            int64
}

// upstreamRequest is what a request keeps of the upstream that it is passed to, and of those before. Everything is done
// by the goroutine of the request, which parks; only fill and abort are called by others.
type upstreamRequest struct {
	r        *Request
	conf     *proxyConf
	protocol upstreamProtocol // nil: HTTP
	states   []upstreamState

	target  proxyTarget
	uri     []byte
	group   *upstream.Group
	tries   upstream.Tries
	peer    *upstream.Peer // whose connection is in use
	name    string         // of the peer, or of the group
	conn    *upstream.Conn
	cached  bool // the connection has served other requests
	begun   int64
	tryTime int64

	query     resolver.Query
	resolving bool
	watched   bool // it is in the main request's list
	aborted   bool // the client is gone

	head       []byte // request line, headers, and a body that is not the client's
	ownBody    []byte
	clientBody bool
	sent       int64 // of head and body
	requested  bool  // something has been sent
	complete   bool  // all has
	deadline   int64 // msec: for the header; 0: not all has been sent

	buf       []byte // of proxy_buffer_size
	pos, last int
	parser    responseParser
	header    []upstreamLine
	status    int
	line      string // status and reason
	version9  bool   // no header at all
	length    int64  // of the body; -1: not known
	chunked   bool
	closes    bool // the connection cannot be kept
	noBody    bool // HEAD
	buffering bool
	known     [upstreamKinds]uint16 // index in header + 1 of the first one

	relay relay
}

// upstreamProtocol is how an upstream is spoken to if it does not speak HTTP. Its request is in upstreamRequest.head.
type upstreamProtocol interface {
	// header parses what has been read of the answer: responseMore; responseDone, with status, length and pos set;
	// responseInvalid, which it has logged.
	header(u *upstreamRequest) int
	// body passes the body on to the client, who has the header. It returns what the handler returns.
	body(u *upstreamRequest) int
}

// upstreamOf is the upstream of a request, made if need be.
func upstreamOf(r *Request) *upstreamRequest {
	if r.parts.upstream == nil {
		r.parts.upstream = &upstreamRequest{}
	}
	return r.parts.upstream
}

// reset forgets all but memory to be used again.
func (u *upstreamRequest) reset() {
	states := u.states[:0]
	u.clear()
	u.states = states
}

// clear forgets all but the states.
func (u *upstreamRequest) clear() {
	clear(u.header)
	u.parser.reset()
	*u = upstreamRequest{
		states: u.states, head: u.head[:0], ownBody: u.ownBody[:0], uri: u.uri[:0], header: u.header[:0], parser: u.parser,
		tries: u.tries,
	}
}

// startUpstream makes the upstream of a request ready for another one.
func startUpstream(r *Request, c *proxyConf) *upstreamRequest {
	u := upstreamOf(r)
	u.clear()
	u.r, u.conf = r, c
	if len(u.states) > 0 {
		u.states = append(u.states, upstreamState{connectTime: -1, headerTime: -1, respTime: -1})
	}
	return u
}

// proxyHandler passes a request to its upstream.
func proxyHandler(r *Request) int {
	u := startUpstream(r, proxyConfOf(r))
	pass := u.conf.pass
	u.target = pass.target
	var url upstreamURL
	if pass.script != nil {
		var rc int
		if url, rc = u.evaluate(pass); rc != 0 {
			return u.finalize(rc)
		}
	}
	if err := r.ReadBody(); err != nil {
		return u.finalize(StatusOf(err))
	}
	if !u.conf.ignoreAbort.V {
		u.watch()
	}
	if rc := u.create(); rc != 0 {
		return u.finalize(rc)
	}
	if pass.upstream != nil {
		u.group = pass.upstream.group
	} else if rc := u.findGroup(&url); rc != 0 {
		return u.finalize(rc)
	}
	return u.serve()
}

// serve asks one server after the other until one has answered, and passes its answer on.
func (u *upstreamRequest) serve() int {
	u.begun = u.r.Loop().NowMsec()
	u.tries.Begin(u.group)
	if most := u.conf.nextTries.V; most > 0 {
		u.tries.Left = min(u.tries.Left, most)
	}
	for {
		rc := 0
		fail := u.try(&rc)
		if fail == 0 {
			fail = u.unwanted()
		}
		switch {
		case fail == 0:
			return u.respond()
		case u.aborted:
			return u.finalize(StatusClientClosedRequest)
		case fail == failFinal:
			return u.finalize(rc)
		}
		if rc := u.next(fail); rc != 0 {
			return u.finalize(rc)
		}
	}
}

func (u *upstreamRequest) action(text string) { u.r.Conn.action = text }

func (u *upstreamRequest) state() *upstreamState { return &u.states[len(u.states)-1] }

// describe adds the upstream to a line of the error log.
func (u *upstreamRequest) describe(ln *logging.Line) {
	if u.name == "" {
		return
	}
	separator := ""
	if u.peer != nil && len(u.name) > 5 && u.name[:5] == "unix:" {
		separator = ":"
	}
	ln.Str(", upstream: \"").Str(u.target.scheme).Str(u.name).Str(separator).Bytes(u.uri).Str("\"")
}

// watch has the upstream's part ended when the client closes its connection.
func (u *upstreamRequest) watch() {
	m := u.r.Main
	u.watched = true
	m.upstreams = append(m.upstreams, u)
	if m.Conn.FD.HUP {
		m.Server.loop.Defer(m.Conn.clientGone)
	}
}

func (u *upstreamRequest) unwatch() {
	if !u.watched {
		return
	}
	u.watched = false
	list := u.r.Main.upstreams
	for i := range list {
		if list[i] == u {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			u.r.Main.upstreams = list[:len(list)-1]
			return
		}
	}
}

var errAborted = errors.New("the client is gone")

// abort ends the waits of a request whose client is gone.
func (u *upstreamRequest) abort() {
	if u.aborted {
		return
	}
	u.aborted = true
	l := u.r.Loop()
	switch {
	case u.resolving:
		u.r.Log(logging.Info, "client prematurely closed connection")
		u.query.Cancel(l, errAborted)
	case u.conn != nil:
		u.r.Log(logging.Info, "client prematurely closed connection, so upstream connection is closed too")
		u.conn.FD.Cancel(errAborted)
		u.r.Conn.FD.Cancel(errAborted)
	}
}

// try asks one server: it connects, sends the request and reads the header of the answer. 0 is fine; with failFinal rc
// is the status.
func (u *upstreamRequest) try(rc *int) uint {
	r := u.r
	l := r.Loop()
	u.action("connecting to upstream")
	u.endTry()
	u.tryTime = l.NowMsec()
	u.states = append(u.states, upstreamState{connectTime: -1, headerTime: -1, respTime: -1})
	u.clearResponse()
	u.peer = u.tries.Next(l.Now().Unix())
	if u.peer == nil {
		u.name = u.group.Name
		u.state().peer = u.name
		r.Log(logging.Error, "no live upstreams")
		return failNoLive
	}
	u.name = u.peer.Name
	u.state().peer = u.name
	if fail := u.connect(rc); fail != 0 {
		return fail
	}
	u.conn.Requests++
	u.state().connectTime = l.NowMsec() - u.tryTime
	return u.converse()
}

// endTry notes the time of the try before.
func (u *upstreamRequest) endTry() {
	if n := len(u.states); n > 0 && u.states[n-1].peer != "" && u.states[n-1].respTime < 0 {
		u.states[n-1].respTime = u.r.Loop().NowMsec() - u.tryTime
	}
}

// clearResponse makes ready for an answer.
func (u *upstreamRequest) clearResponse() {
	u.sent, u.requested, u.complete, u.deadline = 0, false, false, 0
	u.pos, u.last = 0, 0
	u.parser.reset()
	clear(u.header)
	u.header = u.header[:0]
	u.status, u.line, u.version9, u.length, u.chunked, u.closes = 0, "", false, -1, false, false
	u.known = [upstreamKinds]uint16{}
	u.buffering = u.conf.buffering.V
}

// connect gets a connection to the peer.
func (u *upstreamRequest) connect(rc *int) uint {
	r := u.r
	s := r.Server
	if keep := u.group.Keep; keep != nil {
		if u.conn = keep.Take(u.name); u.conn != nil {
			u.cached = true
			return 0
		}
	}
	u.cached = false
	*rc = 500
	if !s.Reserve() {
		return failFinal
	}
	dial := peer.Dial{}
	if u.conf.socketKeepalive.V {
		dial.Setup = func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) }
	}
	c, err := dial.Start(s.loop, u.peer.Addr)
	if err != nil {
		s.Release()
		switch err {
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS:
			r.LogErr(logging.Alert, err, "socket() failed")
			return failFinal
		}
		lv := logging.Crit
		if plainConnectError(err) {
			lv = logging.Error
		}
		r.LogErr(lv, err, "connect() to "+u.name+" failed")
		return failError
	}
	u.conn = upstream.NewConn(c, u.name, s.loop.NowMsec(), s.Release)
	err = c.Connected(u.conf.connectTimeout.V)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, loop.ErrTimeout):
		return failTimeout
	case !u.aborted:
		r.LogErr(connectionLevel(err), err, "connect() failed")
	}
	return failError
}

// plainConnectError reports whether an error of connect(2) is one that networks have.
func plainConnectError(err error) bool {
	switch err {
	case unix.ECONNREFUSED, unix.EAGAIN, unix.ECONNRESET, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// connectionLevel is the level that an error of a connection is logged at.
func connectionLevel(err error) logging.Level {
	switch err {
	case unix.EPIPE, unix.ENOTCONN, unix.ETIMEDOUT, unix.EAGAIN:
		return logging.Error
	}
	if plainConnectError(err) {
		return logging.Error
	}
	return logging.Alert
}

// closeConn closes the connection.
func (u *upstreamRequest) closeConn() {
	if u.conn != nil {
		u.conn.Close()
		u.conn = nil
	}
}

// done tells the group how the try has ended.
func (u *upstreamRequest) done(how upstream.Result) {
	if u.peer == nil {
		return
	}
	u.peer = nil
	if u.tries.Done(how, u.r.Loop().Now().Unix()) {
		u.r.Log(logging.Warn, "upstream server temporarily disabled")
	}
}

// failStatus is the status that the client gets for a failure.
func failStatus(fail uint) int {
	switch fail {
	case failTimeout, fail504:
		return 504
	case fail500:
		return 500
	case fail503:
		return 503
	case fail403:
		return 403
	case fail404:
		return 404
	case fail429:
		return 429
	}
	return 502
}

// next closes a try that has failed, and decides whether there is another one: 0, or the status for the client.
func (u *upstreamRequest) next(fail uint) int {
	if fail == fail403 || fail == fail404 {
		u.done(upstream.Next)
	} else {
		u.done(upstream.Failed)
	}
	if fail == failTimeout {
		u.r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
	}
	if u.cached && fail == failError {
		u.tries.Left++ // it was only the connection that was old
	}
	status := failStatus(fail)
	if u.r.Conn.errored {
		return StatusClientClosedRequest
	}
	u.state().status = status
	if !u.mayRetry(fail) || u.tries.Left == 0 {
		return status
	}
	u.closeConn()
	return 0
}

// mayRetry reports whether another server may be asked after a failure, if there is one.
func (u *upstreamRequest) mayRetry(fail uint) bool {
	if u.requested && u.r.MethodID&(MethodPost|MethodLock|MethodPatch) != 0 {
		fail |= failNonIdempotent
	}
	t := u.conf.nextTimeout.V
	return u.conf.next.V&fail == fail && (t == 0 || u.r.Loop().NowMsec()-u.begun < t.Milliseconds())
}

var statusFailures = map[int]uint{500: fail500, 502: fail502, 503: fail503, 504: fail504, 403: fail403, 404: fail404, 429: fail429}

// unwanted reports whether the status is one for which another server is asked.
func (u *upstreamRequest) unwanted() uint {
	if u.status < 300 || u.tries.Left <= 1 {
		return 0
	}
	if fail := statusFailures[u.status]; fail != 0 && u.mayRetry(fail) {
		return fail
	}
	return 0
}

// finalize ends the work on the upstream and returns what the handler returns.
func (u *upstreamRequest) finalize(rc int) int {
	u.unwatch()
	u.endTry()
	u.done(upstream.Fine)
	u.closeConn()
	u.relay.release(u.r.Server)
	if u.buf != nil {
		u.r.Server.buffers.put(u.buf)
		u.buf = nil
	}
	if rc != Declined {
		u.action("sending to client")
	}
	return rc
}

// release gives the connection back, for it to serve other requests if it can.
func (u *upstreamRequest) release(keep bool) {
	u.endTry()
	u.done(upstream.Fine)
	if u.conn == nil {
		return
	}
	u.conn.OnIdle(nil)
	if keep && !u.closes && u.complete && u.group.Keep != nil {
		u.group.Keep.Put(u.conn)
		u.conn = nil
		return
	}
	u.closeConn()
}

// errReadable ends a wait for room in the socket: there is something to read.
var errReadable = errors.New("readable")

// converse sends the request and reads the header of the answer, which may come before all is sent. 0 is fine.
func (u *upstreamRequest) converse() uint {
	c := u.conn
	if u.buf == nil {
		u.buf = u.r.Server.buffers.get(int(u.conf.bufferSize.V))
	}
	for {
		if !u.complete {
			u.action("sending request to upstream")
			if err := u.send(); err != nil && err != loop.ErrAgain {
				if err == errBodyFile {
					return failError
				}
				u.r.LogErr(connectionLevel(err), err, "writev() failed")
				return failError
			}
		}
		if c.FD.Readable {
			u.action("reading response header from upstream")
			if fail, more := u.readHeader(); !more {
				return fail
			}
			if c.FD.Readable {
				continue
			}
		}
		var err error
		if u.complete {
			u.action("reading response header from upstream")
			err = u.waitHeader()
		} else if !c.FD.Writable {
			c.OnIdle(func() { c.FD.Cancel(errReadable) })
			err = c.FD.WaitWrite(u.conf.sendTimeout.V)
			c.OnIdle(nil)
		}
		switch {
		case err == nil, err == errReadable:
		case errors.Is(err, loop.ErrTimeout):
			return failTimeout
		default:
			return failError
		}
	}
}

// waitHeader waits for more of the header, all of which must have come within proxy_read_timeout.
func (u *upstreamRequest) waitHeader() error {
	l := u.r.Loop()
	if u.deadline == 0 {
		u.deadline = l.NowMsec() + u.conf.readTimeout.V.Milliseconds()
	}
	left := u.deadline - l.NowMsec()
	if left <= 0 {
		return loop.ErrTimeout
	}
	return u.conn.FD.WaitRead(time.Duration(left) * time.Millisecond)
}

var errBodyFile = errors.New("the file of the body cannot be read")

// send sends what is left of the request, as much as the socket takes.
func (u *upstreamRequest) send() error {
	c := u.conn
	head := int64(len(u.head))
	total := head
	body := &u.r.bodyOwner().body
	if u.clientBody {
		total += body.size
	}
	for u.sent < total {
		var n int
		var err error
		switch {
		case u.sent < head && u.clientBody && body.file == 0 && body.size > 0:
			vec := [2][]byte{u.head[u.sent:], body.mem}
			n, err = c.FD.Writev(vec[:])
		case u.sent < head:
			n, err = c.FD.Write(u.head[u.sent:])
		case body.file == 0:
			n, err = c.FD.Write(body.mem[u.sent-head:])
		default:
			n, err = u.sendFile(body, u.sent-head)
		}
		if n > 0 {
			u.requested = true
			u.sent += int64(n)
			u.state().sent = u.sent
		}
		if err != nil {
			return err
		}
	}
	u.complete, u.requested = true, true
	return nil
}

// bodyFilePiece is how much of a body's file is read at a time.
const bodyFilePiece = 32768

// sendFile sends a piece of a body that is in a file.
func (u *upstreamRequest) sendFile(body *requestBody, off int64) (int, error) {
	buf := u.r.Server.buffers.get(bodyFilePiece)
	defer u.r.Server.buffers.put(buf)
	for {
		n, err := unix.Pread(body.file-1, buf[:min(int64(len(buf)), body.size-off)], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			u.r.LogErr(logging.Crit, err, "pread() \""+body.path+"\" failed")
			return 0, errBodyFile
		case n == 0:
			u.r.Log(logging.Alert, "file \"%s\" has been cut short", body.path)
			return 0, errBodyFile
		}
		return u.conn.FD.Write(buf[:n])
	}
}

// readHeader reads what there is of the header. Without more the failure, or 0, is the result.
func (u *upstreamRequest) readHeader() (fail uint, more bool) {
	r := u.r
	n, err := u.conn.FD.Read(u.buf[u.last:])
	switch {
	case err == loop.ErrAgain:
		return 0, true
	case err != nil:
		r.LogErr(connectionLevel(err), err, "recv() failed")
		return failError, false
	case n == 0:
		r.Log(logging.Error, "upstream prematurely closed connection")
		return failError, false
	}
	u.last += n
	u.state().received += int64(n)
	if u.protocol != nil {
		return u.protocolHeader()
	}
	switch u.parser.parse(u.buf[:u.last]) {
	case responseMore:
		if u.last < len(u.buf) {
			return 0, true
		}
		r.Log(logging.Error, "upstream sent too big header")
		return failInvalidHeader, false
	case responseNone:
		r.Log(logging.Error, "upstream sent no valid HTTP/1.0 header")
		u.version9, u.closes = true, true
		u.state().status = 200
		u.state().headerTime = r.Loop().NowMsec() - u.tryTime
		return 0, false
	case responseInvalid:
		u.state().status = u.parser.status
		r.Log(logging.Error, "upstream sent invalid header: \"%s\\x%02x...\"", u.buf[u.parser.badBegin:u.parser.badByte], u.buf[u.parser.badByte])
		return failInvalidHeader, false
	}
	u.pos = u.parser.pos
	u.state().status = u.parser.status
	if !u.takeHeader() {
		return failInvalidHeader, false
	}
	u.state().headerTime = r.Loop().NowMsec() - u.tryTime
	return 0, false
}

// protocolHeader is readHeader's part for other protocols than HTTP.
func (u *upstreamRequest) protocolHeader() (fail uint, more bool) {
	switch u.protocol.header(u) {
	case responseMore:
		if u.last < len(u.buf) {
			return 0, true
		}
		u.r.Log(logging.Error, "upstream sent too big header")
		return failInvalidHeader, false
	case responseInvalid:
		return failInvalidHeader, false
	}
	u.state().status = u.status
	u.state().headerTime = u.r.Loop().NowMsec() - u.tryTime
	return 0, false
}

// resolveComplaint is nginx's message for a name that has no address.
func resolveComplaint(host string, err error) string {
	var e *resolver.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s could not be resolved (%d: %s)", host, e.Code, e.Text())
	}
	return fmt.Sprintf("%s could not be resolved (%v)", host, err)
}
