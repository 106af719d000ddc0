package luart

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"

	"perilune/logging"
	"perilune/luart/vm"
)

// tcpSocket is a stream socket.
type tcpSocket struct {
	openSocket
	kind     socketKind
	conn     *connection // nil when it is not connected
	pool     *socketPool // that counts the connection
	key      string      // of the pool
	local    netip.AddrPort
	identity *Identity // for TLS
	inited   bool      // it has been connected once

	connecting              bool // a thread waits for a name or for room in the pool
	readClosed, writeClosed bool // after an error
	eof                     bool // the peer has sent its last byte

	connectTimeout, sendTimeout, readTimeout int // in milliseconds, 0 for what is configured

	buf       []byte // received; what has not been read is buf[pos:last]
	pos, last int
	acc       []byte // a result that takes several reads
}

// connection is a connection of sockets, one after the other if it is pooled.
type connection struct {
	Stream
	host    string // as connect was called
	to      Endpoint
	reused  int
	noDelay bool // has been set

	connecting, reading, writing bool // a thread waits for that

	// While it is idle:
	pool   *socketPool
	timer  Timer
	onIdle func()
}

// upstream is how messages name the peer.
func (k *connection) upstream() string {
	if k == nil || k.host == "" {
		return ""
	}
	return upstreamText(k.host, k.to)
}

func upstreamText(host string, to Endpoint) string {
	s := ", upstream: " + host
	if to.Port != 0 {
		s += ":" + itoa(to.Port)
	}
	return s + "(" + to.host() + ")"
}

func tcpNew(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 0 {
		return raise(t, "expecting zero arguments, but got %d", n)
	}
	t.Push(c.newSocket(&tcpSocket{}))
	return 1
}

// newSocket makes the object that stands for a stream socket.
func (c *Ctx) newSocket(s *tcpSocket) vm.Value {
	return c.socketObject(s, c.rt.sockets.meta[s.kind])
}

func (c *Ctx) socketObject(data any, meta *vm.Table) vm.Value {
	tab := c.rt.vm.NewTable(1, 0)
	tab.SetInt(1, c.rt.vm.NewUserdata(data, nil).Value())
	tab.SetMetatable(meta)
	return tab.Value()
}

// tcpOf is the socket that a method was called for, nil for a table that is none.
func tcpOf(t *vm.Thread) *tcpSocket {
	u, ok := t.CheckTable(1).GetInt(1).AsUserdata()
	if !ok {
		return nil
	}
	s, _ := u.Data.(*tcpSocket)
	return s
}

// Operations that exclude each other.
const (
	opConnect = 1 << iota
	opRead
	opWrite
)

// busy pushes the error of a socket in which another thread waits.
func (s *tcpSocket) busy(t *vm.Thread, ops int) bool {
	conn := s.conn
	switch {
	case ops&opConnect != 0 && (s.connecting || conn != nil && conn.connecting):
		fail(t, "socket busy connecting")
	case conn == nil:
		return false
	case ops&opRead != 0 && conn.reading:
		fail(t, "socket busy reading")
	case ops&opWrite != 0 && conn.writing:
		fail(t, "socket busy writing")
	default:
		return false
	}
	return true
}

// check prepares an operation on a connection; it reports whether that may go on, and
// has pushed an error otherwise.
func (s *tcpSocket) check(t *vm.Thread, c *Ctx, ops int) bool {
	if !s.mine(c) {
		t.Errorf("bad request")
	}
	return !s.busy(t, ops)
}

func (s *tcpSocket) bothClosed() bool {
	return s == nil || s.conn == nil || s.readClosed && s.writeClosed
}

// close closes the connection, if there is one, and makes room in its pool.
func (s *tcpSocket) close() {
	c := s.c
	conn := s.detach()
	if conn == nil {
		return
	}
	c.debug("lua finalize socket")
	if s.kind == socketTCP {
		c.debug("lua close socket connection")
	}
	conn.Close()
	s.leavePool()
}

// leavePool ends that a pool counts the connection.
func (s *tcpSocket) leavePool() {
	if p := s.pool; p != nil {
		s.pool = nil
		p.drop()
	}
}

// detach takes the connection from the socket.
func (s *tcpSocket) detach() *connection {
	conn := s.conn
	if conn == nil {
		return nil
	}
	c := s.c
	c.disown(&s.openSocket)
	c.rt.sockets.putBuffer(s.buf)
	s.conn, s.buf, s.pos, s.last, s.acc = nil, nil, 0, 0, nil
	s.readClosed, s.writeClosed = true, true
	return conn
}

// attach gives the socket a connection.
func (s *tcpSocket) attach(t *vm.Thread, c *Ctx, conn *connection) {
	s.conn = conn
	s.readClosed, s.writeClosed, s.eof = false, false, false
	c.guard(t, 1)
	c.own(&s.openSocket, s)
}

func tcpClose(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 argument (including the object) but seen %d", n)
	}
	s := tcpOf(t)
	if s.bothClosed() {
		return fail(t, "closed")
	}
	if !s.check(t, c, opConnect|opRead|opWrite) {
		return 2
	}
	if s.kind != socketTCP {
		return fail(t, "attempt to close a request socket")
	}
	s.close()
	return succeed(t)
}

func tcpSetTimeout(t *vm.Thread, _ *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "ngx.socket settimeout: expecting 2 arguments (including the object) but seen %d", n)
	}
	ms := timeoutArg(t, 2)
	if s := tcpOf(t); s != nil {
		s.connectTimeout, s.sendTimeout, s.readTimeout = ms, ms, ms
	}
	return 0
}

func tcpSetTimeouts(t *vm.Thread, _ *Ctx) int {
	if n := t.NArgs(); n != 4 {
		return raise(t, "ngx.socket settimeouts: expecting 4 arguments (including the object) but seen %d", n)
	}
	connect, send, read := timeoutArg(t, 2), timeoutArg(t, 3), timeoutArg(t, 4)
	if s := tcpOf(t); s != nil {
		s.connectTimeout, s.sendTimeout, s.readTimeout = connect, send, read
	}
	return 0
}

func tcpBind(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		return raise(t, "expecting 2 or 3 arguments, but got %d", n)
	}
	c.checkSocketPhase(t)
	s := tcpOf(t)
	port := 0
	if n == 3 {
		f, ok := t.Arg(3).ToNumberCoerced()
		if !ok {
			return fail(t, "expecting port to be anumber but got type: "+t.Arg(3).TypeName())
		}
		if port = int(f); port < 0 || port > 65535 {
			return fail(t, "bad port number: "+itoa(port))
		}
	}
	local, ok := bindArg(t, port)
	if !ok {
		return fail(t, "bad address")
	}
	if s != nil {
		s.local = local
	}
	t.PushBool(true)
	return 1
}

// checkSocketPhase raises an error where ngx_lua's sockets cannot connect.
func (c *Ctx) checkSocketPhase(t *vm.Thread) {
	if c.phase&phasesYieldable == 0 && (c.phase&phasesWaiting == 0 || c.strict()) {
		t.Errorf("%s%s", errContextOf, c.phase.Directive())
	}
}

func tcpSend(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "expecting 2 arguments (including the object), but got %d", n)
	}
	s := tcpOf(t)
	if s == nil || s.conn == nil || s.writeClosed {
		s.logClosed(c, "send")
		return fail(t, "closed")
	}
	if !s.check(t, c, opConnect|opWrite) {
		return 2
	}
	data, scratch := sendable(t, c, 2)
	if len(data) == 0 {
		c.rt.giveScratch(data, scratch)
		t.PushInt(0)
		return 1
	}
	conn := s.conn
	settings := c.socketSettings()
	if settings.NoDelay && !conn.noDelay && conn.to.Path == "" {
		c.debug("lua socket tcp_nodelay")
		if err := conn.SetOption(SocketNoDelay, 1); err != nil {
			if settings.LogErrors {
				c.logErrno("setsockopt(TCP_NODELAY)", err, conn.upstream())
			}
			c.rt.giveScratch(data, scratch)
			return fail(t, "setsocketopt tcp_nodelay failed")
		}
		conn.noDelay = true
	}
	limit := timeout(s.sendTimeout, settings.SendTimeout)
	c.debugTimeout("lua tcp socket send", limit)
	m, err := c.beginWait(t, s)
	if err != nil {
		return t.Abort(err)
	}
	conn.writing = true
	_, err = conn.Write(data, limit)
	conn.writing = false
	size := len(data)
	c.rt.giveScratch(data, scratch)
	if killed := c.endWait(m); killed != nil {
		return t.Abort(killed)
	}
	if err == nil {
		t.PushInt(size)
		return 1
	}
	s.writeClosed = true
	if err == ErrTimeout {
		if settings.LogErrors {
			logText(c.logger(c.rt), LevelError, "lua tcp socket write timed out"+conn.upstream())
		}
	} else if e, ok := err.(*TLSError); ok {
		c.logTLS(e)
	} else if s.kind == socketTCP {
		c.logErrno("send()", err, "")
	}
	return fail(t, failureText(err))
}

// giveScratch gives back what sendable has taken.
func (rt *Runtime) giveScratch(buf []byte, scratch bool) {
	if scratch {
		rt.keepScratch(buf)
	}
}

// logClosed logs the use of a socket that is closed.
func (s *tcpSocket) logClosed(c *Ctx, what string) {
	if !c.socketSettings().LogErrors {
		return
	}
	var conn *connection
	eof := 0
	if s != nil {
		conn = s.conn
		if s.eof {
			eof = 1
		}
	}
	if s != nil && !s.inited {
		s = nil
	}
	logText(c.logger(c.rt), LevelError, fmt.Sprintf("attempt to %s data on a closed socket: u:%016X, c:%016X, ft:0 eof:%d%s",
		what, pointerOf(s), pointerOf(conn), eof, conn.upstream()))
}

func tcpGetReusedTimes(t *vm.Thread, _ *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 argument (including the object), but got %d", n)
	}
	s := tcpOf(t)
	if s.bothClosed() {
		return fail(t, "closed")
	}
	t.PushInt(s.conn.reused)
	return 1
}

var socketOptions = map[string]SocketOption{
	"keepalive": SocketKeepAlive, "reuseaddr": SocketReuseAddr, "tcp-nodelay": SocketNoDelay,
	"sndbuf": SocketSendBuffer, "rcvbuf": SocketReceiveBuffer,
	"keepintvl": SocketKeepInterval, "keepcnt": SocketKeepCount,
}

// optionArgs reads the arguments of getoption and setoption; ok is false when the
// error has been pushed.
func optionArgs(t *vm.Thread, value bool) (s *tcpSocket, o SocketOption, ok bool) {
	s = tcpOf(t)
	if s == nil || !s.inited {
		t.Errorf("bad tcp socket")
	}
	v := t.Arg(2)
	if v.IsNil() {
		fail(t, "missing the \"option\" argument")
		return nil, 0, false
	}
	if value && t.Arg(3).IsNil() {
		fail(t, "missing the \"value\" argument")
		return nil, 0, false
	}
	name, _ := v.AsString()
	if o, ok = socketOptions[name]; !ok {
		fail(t, "unsupported option "+t.ToString(v))
		return nil, 0, false
	}
	if s.conn == nil {
		fail(t, "closed")
		return nil, 0, false
	}
	return s, o, true
}

// failErrno pushes nil and the text of the error of a system call.
func failErrno(t *vm.Thread, err error) int {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fail(t, logging.Strerror(errno))
	}
	return fail(t, err.Error())
}

func tcpGetOption(t *vm.Thread, _ *Ctx) int {
	s, o, ok := optionArgs(t, false)
	if !ok {
		return 2
	}
	n, err := s.conn.Option(o)
	if err != nil {
		return failErrno(t, err)
	}
	t.PushInt(n)
	return 1
}

// tcpGetFD is for passing the descriptor to foreign code.
func tcpGetFD(t *vm.Thread, _ *Ctx) int {
	s := tcpOf(t)
	if s == nil || s.conn == nil {
		return fail(t, "closed")
	}
	t.PushInt(s.conn.Descriptor())
	return 1
}

func tcpSetOption(t *vm.Thread, _ *Ctx) int {
	s, o, ok := optionArgs(t, true)
	if !ok {
		return 2
	}
	n := 0
	switch on, isBool := t.Arg(3).AsBool(); {
	case !isBool:
		n = t.CheckInt(3)
	case on:
		n = 1
	}
	if err := s.conn.SetOption(o, n); err != nil {
		return failErrno(t, err)
	}
	if o == SocketNoDelay {
		s.conn.noDelay = true
	}
	t.PushBool(true)
	return 1
}

// connectionLost reports whether a pooled connection could not be used any more.
func (s *tcpSocket) connectionLost() bool {
	return s.conn == nil || s.readClosed || s.writeClosed || s.eof || s.conn.PeerClosed()
}

// received returns what a read has got, or nil, the error and what has come before it.
func (s *tcpSocket) received(t *vm.Thread, c *Ctx, v vm.Value, err error) int {
	if err == nil {
		t.Push(v)
		return 1
	}
	if err == errKilled {
		return t.Abort(errKilled)
	}
	conn := s.conn
	switch err {
	case ErrTimeout:
		if c.socketSettings().LogErrors {
			logText(c.logger(c.rt), LevelError, "lua tcp socket read timed out"+conn.upstream())
		}
	case io.EOF, ErrClosed, ErrClientAborted:
		s.readClosed = true
	default:
		s.readClosed = true
		if e, ok := err.(*TLSError); ok {
			c.logTLS(e)
		} else if s.kind == socketTCP {
			c.logErrno("recv()", err, "")
		}
	}
	t.PushNil()
	t.PushString(failureText(err))
	t.Push(v)
	return 3
}
