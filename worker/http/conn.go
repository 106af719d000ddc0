package http

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// connStage is what a connection is about.
type connStage uint8

const (
	connClosed  connStage = iota
	connWait              // no byte of a request yet
	connHeader            // in the header of a request
	connBusy              // a request's handlers have it
	connLinger            // answered; what still comes is thrown away
	connClosing           // its last request is being logged
)

// Conn is a client connection. While it waits for a request it has neither a
// goroutine nor a buffer.
type Conn struct {
	FD       loop.FD
	Number   uint64 // as in the error log: *N
	Requests int    // requests so far, this one included ($connection_requests)
	Server   *Server

	Remote    string // address without the port; "unix:" for unix sockets
	Binary    []byte // address in network byte order ($binary_remote_addr)
	Listening *conf.Listening
	BytesOut  int64 // sent, all requests together

	RemotePort  uint16
	state       connStage
	running     bool // run is under way, on some stack
	isIdle      bool // in the server's list of idle connections
	keepalive   bool // waits for another request than the first
	errored     bool // nothing can be sent any more
	timedout    bool
	nodelay     bool
	corked      bool
	writing     bool // a goroutine waits for room in the socket
	debug       bool // debug_connection names the client
	awaitsProxy bool // the connection begins with a header of the PROXY protocol
	action      string

	addr      *address
	startMsec int64
	timer     loop.Timer
	req       *Request
	sending   *fileSend    // what the events send, if not nil
	paused    *loop.Waiter // of a goroutine whose output limit_rate holds up

	buf       []byte // nil while idle
	pos, last int    // of buf: read, and not used yet

	idlePrev, idleNext *Conn
	rest               time.Duration // of keepalive_timeout, behind keepalive_min_timeout
	lingerEnd          int64         // msec

	local *localAddress // nil until it is asked for
	proxy *proxyHeader  // what the PROXY protocol said, nil if nothing
}

func (s *Server) newConn() *Conn {
	if n := len(s.freeConns); n > 0 {
		c := s.freeConns[n-1]
		s.freeConns[n-1] = nil
		s.freeConns = s.freeConns[:n-1]
		return c
	}
	c := &Conn{Server: s}
	c.timer.Init(c.onTimer)
	return c
}

// localAddress is an address that a client connected to.
type localAddress struct {
	netip.AddrPort
	text string // without the port
}

// resolve finds the configuration of the address that the client connected to.
func (c *Conn) resolve(port *listenPort) bool {
	if port.single != nil {
		c.addr = port.single
		return true
	}
	local := c.localAddr()
	if !local.IsValid() {
		return false
	}
	c.addr = port.find(local.Addr())
	return true
}

// localAddr asks the kernel for the address that the client connected to.
func (c *Conn) localAddr() netip.AddrPort {
	if c.local != nil {
		return c.local.AddrPort
	}
	if c.Listening.Network == "unix" {
		return netip.AddrPort{}
	}
	sa, err := unix.Getsockname(c.FD.Sysfd)
	if err != nil {
		c.Server.log.LogErr(logging.Crit, c.Number, err, "getsockname() failed")
		return netip.AddrPort{}
	}
	var a netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		a = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	c.local = &localAddress{a, a.Addr().String()}
	return a
}

// LocalAddr returns the address that the client connected to ($server_addr)
// and its port, 0 for unix sockets.
func (c *Conn) LocalAddr() (string, int) {
	if c.Listening.Network == "unix" {
		return c.Listening.Addr, 0
	}
	a := c.localAddr()
	if c.local == nil {
		return a.Addr().String(), 0
	}
	return c.local.text, int(a.Port())
}

// OnEvent is the loop's call.
func (c *Conn) OnEvent(_ *loop.FD, readable, writable, hup bool) {
	if c.sending != nil && writable {
		c.sending.goOn()
		return
	}
	if !readable {
		return
	}
	switch c.state {
	case connWait:
		c.waitRequest()
	case connHeader:
		c.run()
	case connLinger:
		c.linger()
	case connBusy:
		if hup {
			c.clientGone()
		}
	}
}

func (c *Conn) onTimer() {
	switch c.state {
	case connWait:
		if c.keepalive {
			if c.rest > 0 && !c.Server.draining {
				c.Server.loop.SetTimer(&c.timer, c.rest)
				c.rest = 0
				return
			}
			c.close()
			return
		}
		c.logErr(logging.Info, unix.ETIMEDOUT, "client timed out")
		c.close()
	case connHeader:
		r := c.req
		r.LogErr(logging.Info, unix.ETIMEDOUT, "client timed out")
		c.timedout = true
		r.closeRequest(408)
	case connLinger:
		c.req.closeRequest(0)
	}
}

// logErr logs about a connection without a request.
func (c *Conn) logErr(lv logging.Level, err error, msg string) {
	log := c.Server.log
	if c.addr != nil && c.addr.def.Loc.Log != nil {
		log = c.addr.def.Loc.Log
	}
	if c.debug {
		log = log.Debugging()
	}
	ln := log.Begin(lv, c.Number)
	if ln == nil {
		return
	}
	ln.Str(msg).Err(err).Str(" while ").Str(c.action)
	ln.AttrStr("client", c.Remote).AttrStr("server", c.Listening.Addr)
	ln.End()
}

// waitRequest reads the first bytes of a request.
func (c *Conn) waitRequest() {
	s := c.Server
	c.buf = s.buffers.get(int(c.addr.def.ClientHeaderBufferSize.V))
	c.pos, c.last = 0, 0
	n, err := c.FD.Read(c.buf)
	switch {
	case errors.Is(err, loop.ErrAgain):
		c.dropBuffer()
		return
	case err != nil:
		if !c.keepalive || !errors.Is(err, unix.ECONNRESET) {
			c.logErr(logging.Info, err, "recv() failed")
		}
		c.close()
		return
	case n == 0:
		c.logClosed()
		c.close()
		return
	}
	c.last = n
	if c.awaitsProxy && !c.takeProxyHeader() {
		return
	}
	c.startRequest()
	c.run()
}

func (c *Conn) logClosed() {
	if c.keepalive {
		// The connection has no request, and so has the message no context.
		c.Server.log.Logf(logging.Info, c.Number, "client %s closed keepalive connection", c.Remote)
		return
	}
	c.logErr(logging.Info, nil, "client closed connection")
}

// startRequest leaves the idle state for the header of a request.
func (c *Conn) startRequest() {
	s := c.Server
	s.idle.remove(c)
	if c.keepalive {
		s.loop.StopTimer(&c.timer)
	}
	c.state = connHeader
	s.reading++
	c.action = "reading client request line"
	c.req = s.newRequest(c)
}

// run reads and serves requests until more input is needed, or a handler keeps
// the connection.
func (c *Conn) run() {
	number := c.Number
	c.running = true
	for c.step() && c.Number == number {
	}
	if c.Number == number {
		c.running = false
	}
}

// step takes the connection one stage on, and reports whether there may be a
// next one at once. The connection may be closed by then, and even be another:
// a handler may have had to wait after the end of its request.
func (c *Conn) step() bool {
	switch c.state {
	case connHeader:
		if c.readHeader() {
			c.req.process()
		}
		return c.state == connWait
	case connWait:
		if c.last == 0 {
			return false
		}
		c.startRequest()
		c.action = "reading client pipelined request line"
		c.req.parts.pipelined = true
		return true
	}
	return false
}

// keepOpen makes the connection wait for another request.
func (c *Conn) keepOpen(lc *LocConf) {
	s := c.Server
	c.keepalive = true
	c.state = connWait
	c.req = nil
	if c.corked {
		c.cork(false)
	}
	if lc.TCPNodelay.V && !c.nodelay {
		c.setNodelay()
	}
	if c.pos < c.last {
		// A pipelined request: run goes on with it.
		c.last = copy(c.buf, c.buf[c.pos:c.last])
		c.pos = 0
		if !c.running {
			s.loop.Defer(c.run)
		}
		return
	}
	c.dropBuffer()
	c.action = "keepalive"
	timeout := lc.KeepaliveTimeout.V
	c.rest = 0
	if least := lc.KeepaliveMinTimeout.V; least > 0 && timeout > least {
		c.rest = timeout - least
		timeout = least
	}
	s.loop.SetTimer(&c.timer, timeout)
	s.idle.push(c)
	if c.FD.Readable {
		s.loop.Defer(c.readAgain)
	}
}

// readAgain looks for input that came while a request was in work: the edge
// that told of it is gone.
func (c *Conn) readAgain() {
	if c.state == connWait && c.FD.Readable {
		c.waitRequest()
	}
}

func (c *Conn) dropBuffer() {
	if c.buf != nil {
		c.Server.buffers.put(c.buf)
		c.buf = nil
	}
	c.pos, c.last = 0, 0
}

// keepsMinimum reports whether keepalive_min_timeout still protects the
// connection from being closed.
func (c *Conn) keepsMinimum() bool { return c.keepalive && c.rest > 0 && c.timer.Active() }

// closeIdle closes a connection of the idle list, lingering ones included.
func (c *Conn) closeIdle() {
	if c.state == connLinger {
		c.req.closeRequest(0)
		return
	}
	c.close()
}

// close closes the socket and keeps the Conn for another.
func (c *Conn) close() {
	if c.state == connClosed {
		return
	}
	s := c.Server
	s.idle.remove(c)
	if c.state == connHeader {
		s.reading--
	}
	c.state = connClosed
	s.loop.DropTimer(&c.timer)
	sysfd := c.FD.Sysfd
	s.loop.Unregister(&c.FD)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(sysfd), 0, 0); errno != 0 {
		s.log.LogErr(logging.Alert, c.Number, errno, "close() socket failed")
	}
	c.dropBuffer()
	binaryAddr := c.Binary[:0]
	timer := c.timer
	*c = Conn{Server: s, Binary: binaryAddr, timer: timer}
	if len(s.freeConns) < maxFreeConns {
		s.freeConns = append(s.freeConns, c)
	}
	s.active--
	s.countersChanged()
	s.Release()
	s.checkDrained()
}

// maxFreeConns bounds the memory that stays after a burst of connections.
const maxFreeConns = 256

func (c *Conn) setNodelay() {
	c.nodelay = true
	if c.Listening.Network == "unix" {
		return
	}
	if err := unix.SetsockoptInt(c.FD.Sysfd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		c.logErr(logging.Alert, err, "setsockopt(TCP_NODELAY) failed")
	}
}

func (c *Conn) cork(on bool) {
	if c.Listening.Network == "unix" {
		return
	}
	v := 0
	if on {
		v = 1
	}
	c.corked = on
	if err := unix.SetsockoptInt(c.FD.Sysfd, unix.IPPROTO_TCP, unix.TCP_CORK, v); err != nil {
		c.logErr(logging.Alert, err, "setsockopt(TCP_CORK) failed")
	}
}

// reset makes close(2) throw away what is unsent and send a RST.
func (c *Conn) reset() {
	if err := unix.SetsockoptLinger(c.FD.Sysfd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		c.logErr(logging.Alert, err, "setsockopt(SO_LINGER) failed")
	}
}

// startLinger stops sending and waits for the client to do so, too: a close
// with unread input would make the kernel send a RST, and the client could lose
// the answer.
func (c *Conn) startLinger(r *Request) {
	s := c.Server
	lc := r.Loc
	if c.lingerEnd == 0 {
		c.lingerEnd = s.loop.NowMsec() + lc.LingeringTime.V.Milliseconds()
	}
	c.state = connLinger
	if err := unix.Shutdown(c.FD.Sysfd, unix.SHUT_WR); err != nil {
		if !errors.Is(err, unix.ENOTCONN) {
			r.LogErr(logging.Info, err, "shutdown() failed")
		}
		r.closeRequest(0)
		return
	}
	s.idle.push(c)
	s.loop.SetTimer(&c.timer, lc.LingeringTimeout.V)
	if c.FD.Readable {
		c.linger()
	}
}

func (c *Conn) linger() {
	s := c.Server
	left := time.Duration(c.lingerEnd-s.loop.NowMsec()) * time.Millisecond
	if left <= 0 {
		c.req.closeRequest(0)
		return
	}
	var scrap [4096]byte
	for c.FD.Readable {
		n, err := c.FD.Read(scrap[:])
		if errors.Is(err, loop.ErrAgain) {
			break
		}
		if err != nil || n == 0 {
			c.req.closeRequest(0)
			return
		}
	}
	s.loop.SetTimer(&c.timer, min(left, c.req.Loc.LingeringTimeout.V))
}
