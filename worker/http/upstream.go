package http

import (
	"errors"
	"fmt"
	"time"

	"perilune/logging"
	"perilune/worker/resolver"
	"perilune/worker/upstream"
)

// upstreamState is what is remembered of one try, for variables.
type upstreamState struct {
	peer                              string // "" between two upstreams
	unnamed                           bool   // no connection could be tried
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

	target   proxyTarget
	uri      []byte
	up       *upstreamConf // nil: the addresses are this request's own
	group    *upstream.Group
	tries    upstream.Tries
	key      []byte // for methods that hash
	balance  Balance
	bound    *localAddr     // what proxy_bind says
	local    *localAddr     // to connect from; nil: any
	connKey  string         // what connections are kept by
	peer     *upstream.Peer // whose connection is in use
	name     string         // of the peer, or of the group
	conn     *upstream.Conn
	cached   bool // the connection has served other requests
	begun    int64
	timeouts struct{ connect, send, read time.Duration }
	tryTime  int64

	query     resolver.Query
	resolving bool
	listed    bool // it is in the main request's list
	watched   bool // and ends with the client
	aborted   bool // the client is gone

	head       []byte // request line, headers, and a body that is not the client's
	ownBody    []byte
	clientBody bool
	stream     bodyStream
	sent       int64 // of head and body
	wire       int64 // and of all else that the try has sent
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

	trailer []upstreamLine // after the last chunk, with proxy_pass_trailers
	piping  bool           // the pipe is in use, with buffering
	pipe    pipe

	memo upstreamMemo
}

// upstreamMemo are the method values of an upstreamRequest, made once.
type upstreamMemo struct {
	readable, resume func()
	setUp            func(fd int) error
}

// upstreamProtocol is how an upstream is spoken to if it does not speak HTTP. Its request is in upstreamRequest.head.
type upstreamProtocol interface {
	// header parses what has been read of the answer: responseMore; responseDone, with status, length and pos set;
	// responseInvalid, which it has logged.
	header(u *upstreamRequest) int
	// body takes bytes of the body, the first ones and none if the body begins later: what is for the client it appends to
	// the pipe. It calls whole or broken at the end.
	body(u *upstreamRequest, data []byte)
}

// upstreamOf is the upstream of a request, made if need be.
func upstreamOf(r *Request) *upstreamRequest {
	if r.parts.upstream == nil {
		u := &upstreamRequest{}
		u.memo = upstreamMemo{readable: u.readable, resume: u.resumePull, setUp: u.setUpSocket}
		u.pipe.timer.Init(u.memo.resume)
		r.parts.upstream = u
	}
	return r.parts.upstream
}

// reset forgets all but memory to be used again.
func (u *upstreamRequest) reset() {
	u.clear()
	u.states = u.states[:0]
}

// clear forgets all but the states.
func (u *upstreamRequest) clear() {
	if u.r == nil {
		return // it has not been used since
	}
	clear(u.header)
	clear(u.trailer)
	u.parser.reset()
	*u = upstreamRequest{
		states: u.states, head: u.head[:0], ownBody: u.ownBody[:0], uri: u.uri[:0], header: u.header[:0], parser: u.parser,
		tries: u.tries, key: u.key[:0], stream: bodyStream{frame: u.stream.frame}, trailer: u.trailer[:0], pipe: u.pipe, memo: u.memo,
	}
}

// startUpstream makes the upstream of a request ready for another one.
func startUpstream(r *Request, c *proxyConf) *upstreamRequest {
	u := upstreamOf(r)
	u.clear()
	u.r, u.conf = r, c
	u.balance.u = u
	u.timeouts.connect, u.timeouts.send, u.timeouts.read = c.connectTimeout.V, c.sendTimeout.V, c.readTimeout.V
	if len(u.states) > 0 {
		u.states = append(u.states, upstreamState{connectTime: -1, headerTime: -1, respTime: -1})
	}
	return u
}

// proxyHandler passes a request to its upstream.
func proxyHandler(r *Request) int {
	u := startUpstream(r, proxyConfOf(r))
	pass := u.conf.pass
	if pass == nil { // it is of an if block, and the settings are those of a later one
		r.Log(logging.Alert, "no upstream configuration")
		return u.finalize(500)
	}
	u.target = pass.target
	var url upstreamURL
	if pass.script != nil {
		var rc int
		if url, rc = u.evaluate(pass); rc != 0 {
			return u.finalize(rc)
		}
	}
	if rc := u.readStream(); rc != 0 {
		return u.finalize(rc)
	}
	if !u.conf.ignoreAbort.V {
		u.watch()
	}
	if rc := u.create(); rc != 0 {
		return u.finalize(rc)
	}
	if pass.upstream != nil {
		u.use(pass.upstream)
	} else if rc := u.findGroup(&url); rc != 0 {
		return u.finalize(rc)
	}
	return u.serve()
}

// serve asks one server after the other until one has answered, and passes its answer on.
func (u *upstreamRequest) serve() int {
	u.begun = u.r.Loop().NowMsec()
	u.bound = u.bindAddr()
	u.tries.Begin(u.group, u.hashKey())
	if most := u.conf.nextTries.V; most > 0 {
		u.tries.Left = min(u.tries.Left, most)
	}
	for {
		rc := 0
		rc = 0
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

// use has a group asked.
func (u *upstreamRequest) use(up *upstreamConf) { u.up, u.group = up, up.group }

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
	u.list()
	if m.Conn.FD.HUP {
		m.Server.loop.Defer(m.Conn.clientGone)
	}
}

// list puts it into the main request's list, once.
func (u *upstreamRequest) list() {
	if !u.listed {
		u.listed = true
		u.r.Main.upstreams = append(u.r.Main.upstreams, u)
	}
}

func (u *upstreamRequest) unlist() {
	if !u.listed {
		return
	}
	u.listed, u.watched, u.piping = false, false, false
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

// logGone writes that the client is gone, and how.
func (u *upstreamRequest) logGone(effect string) {
	msg := "epoll_wait() reported that client prematurely closed connection" + effect
	if _, err := u.r.Conn.FD.Pending(); err != nil {
		u.r.LogErr(logging.Info, err, msg)
		return
	}
	u.r.Log(logging.Info, "%s", msg)
}

// abort ends the waits of a request whose client is gone.
func (u *upstreamRequest) abort() {
	if u.aborted || !u.watched {
		return
	}
	u.aborted = true
	l := u.r.Loop()
	switch {
	case u.resolving:
		u.logGone("")
		u.query.Cancel(l, errAborted)
	case u.conn != nil:
		u.logGone(", so upstream connection is closed too")
		u.conn.FD.Cancel(errAborted)
		u.r.Conn.FD.Cancel(errAborted)
		l.Wake(&u.pipe.waiter, errAborted)
	}
}

// try asks one server: it connects, sends the request and reads the header of the answer. 0 is fine; with failFinal rc
// is the status.
func (u *upstreamRequest) try(rc *int) uint {
	l := u.r.Loop()
	u.action("connecting to upstream")
	u.endTry()
	u.tryTime = l.NowMsec()
	u.states = append(u.states, upstreamState{connectTime: -1, headerTime: -1, respTime: -1})
	u.clearResponse()
	if fail := u.choosePeer(rc); fail != 0 {
		return fail
	}
	u.name = u.peer.Name
	u.state().peer = u.name
	if fail := u.connect(rc); fail != 0 {
		return fail
	}
	u.conn.Requests++
	u.state().connectTime = l.NowMsec() - u.tryTime
	return u.converse(rc)
}

// endTry notes the time of the try before, and what it has sent.
func (u *upstreamRequest) endTry() {
	if n := len(u.states); n > 0 && u.states[n-1].peer != "" && u.states[n-1].respTime < 0 {
		u.states[n-1].respTime = u.r.Loop().NowMsec() - u.tryTime
		u.states[n-1].sent = u.wire
	}
}

// clearResponse makes ready for an answer.
func (u *upstreamRequest) clearResponse() {
	u.sent, u.wire, u.requested, u.complete, u.deadline = 0, 0, false, false, 0
	u.pos, u.last = 0, 0
	u.parser.reset()
	clear(u.header)
	u.header = u.header[:0]
	u.status, u.line, u.version9, u.length, u.chunked, u.closes = 0, "", false, -1, false, false
	u.known = [upstreamKinds]uint16{}
	u.buffering = u.conf.buffering.V
}

// finalize ends the work on the upstream and returns what the handler returns.
func (u *upstreamRequest) finalize(rc int) int {
	u.unlist()
	u.endTry()
	u.done(upstream.Fine)
	u.closeConn()
	u.stopSending()
	u.pipe.release(u)
	u.stream.release(u.r.Server)
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
	pool := u.pool()
	u.endTry()
	u.done(upstream.Fine)
	if u.conn == nil {
		return
	}
	u.conn.OnIdle(nil)
	if pool != nil && keep && !u.closes && u.complete {
		u.keepConn(pool)
		u.conn = nil
		return
	}
	u.closeConn()
}

// resolveComplaint is nginx's message for a name that has no address.
func resolveComplaint(host string, err error) string {
	var e *resolver.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s could not be resolved (%d: %s)", host, e.Code, e.Text())
	}
	return fmt.Sprintf("%s could not be resolved (%v)", host, err)
}
