package luart

import (
	"fmt"
	"net/netip"

	"perilune/logging"
	"perilune/luart/vm"
)

// maxDatagram is the longest datagram that is received.
const maxDatagram = 65536

// udpSocket is a datagram socket that has one peer.
type udpSocket struct {
	openSocket
	conn        *connection
	local       netip.AddrPort
	inited      bool
	waiting     bool // a thread waits in it
	readTimeout int  // in milliseconds, 0 for what is configured
}

// udpMethods are the methods of datagram sockets.
func udpMethods() []socketMethod {
	return []socketMethod{
		{"setpeername", "(host, port)", "sets the peer; host may be `unix:PATH`, without a port", udpSetPeerName, ofTCP},
		{"bind", "(address)", "the local address for the next setpeername", udpBind, ofTCP},
		{"send", "(data)", "sends a datagram", udpSend, ofTCP},
		{"receive", "(size?)", "receives a datagram, of at most so many bytes", udpReceive, ofTCP},
		{"close", "()", "closes the socket", udpClose, ofTCP},
		{"settimeout", "(ms)", "the timeout of receive", udpSetTimeout, ofTCP},
	}
}

func udpNew(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 0 {
		return raise(t, "expecting zero arguments, but got %d", n)
	}
	t.Push(c.socketObject(&udpSocket{}, c.rt.sockets.udpMeta))
	return 1
}

func udpOf(t *vm.Thread) *udpSocket {
	u, ok := t.CheckTable(1).GetInt(1).AsUserdata()
	if !ok {
		return nil
	}
	s, _ := u.Data.(*udpSocket)
	return s
}

func (s *udpSocket) close() {
	if conn := s.conn; conn != nil {
		s.conn, s.waiting = nil, false
		s.c.disown(&s.openSocket)
		conn.Close()
	}
}

// free reports whether nobody waits in the socket, and pushes an error otherwise.
func (s *udpSocket) free(t *vm.Thread) bool {
	if s.waiting {
		fail(t, "socket busy")
	}
	return !s.waiting
}

func udpSetPeerName(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		return raise(t, "ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen %d", n)
	}
	c.checkSocketPhase(t)
	s := udpOf(t)
	if s == nil {
		s = &udpSocket{}
		tab, _ := t.Arg(1).AsTable()
		tab.SetInt(1, c.rt.vm.NewUserdata(s, nil).Value())
	}
	host := t.CheckString(2)
	port := 0
	if n == 3 {
		if port = t.CheckInt(3); port < 0 || port > 65535 {
			return fail(t, "bad port number: "+itoa(port))
		}
	}
	if s.inited {
		if s.c != nil && !s.mine(c) {
			return raise(t, "bad request")
		}
		if !s.free(t) {
			return 2
		}
		s.close()
	}
	s.inited = true
	s.c, s.life = c, c.life
	to, name, err := parseHost(host, port)
	if err != nil {
		return fail(t, "failed to parse host name \""+host+"\": "+err.Error())
	}
	if name != "" {
		s.waiting = true
		to.IP, err = c.lookup(t, name, "", func() { s.waiting = false })
		if err == errKilled {
			return t.Abort(err)
		}
		s.waiting = false
		if err != nil {
			return fail(t, err.Error())
		}
	}
	conn := &connection{host: host, to: to}
	if conn.Stream, err = c.rt.cfg.Net.Dial(&Dial{To: to, From: s.local, Datagram: true}); err != nil {
		logDatagram(c, err, s.local, conn.upstream())
		return fail(t, failureText(err))
	}
	s.conn = conn
	c.guard(t, 1)
	c.own(&s.openSocket, s)
	return succeed(t)
}

func logDatagram(c *Ctx, err error, from netip.AddrPort, upstream string) {
	switch err.(type) {
	case *BindError, *LimitError:
		c.logDial(err, Endpoint{}, from, upstream)
		return
	}
	logText(c.logger(c.rt), LevelCrit, "connect() failed "+logging.ErrnoText(err)+upstream)
}

func udpBind(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "expecting 2 arguments, but got %d", n)
	}
	c.checkSocketPhase(t)
	s := udpOf(t)
	local, ok := bindArg(t, 0)
	if !ok {
		return fail(t, "bad address")
	}
	if s != nil {
		s.local = local
	}
	return succeed(t)
}

// usable reports whether the socket is connected and this code's, and nobody waits in it.
func (s *udpSocket) usable(t *vm.Thread, c *Ctx, what string) bool {
	if s == nil || s.conn == nil {
		if c.socketSettings().LogErrors {
			x := s
			if s != nil && !s.inited {
				x = nil
			}
			logText(c.logger(c.rt), LevelError, fmt.Sprintf("attempt to %s data on a closed socket: u:%016X, c:%016X", what, pointerOf(x), 0))
		}
		fail(t, "closed")
		return false
	}
	if !s.mine(c) {
		t.Errorf("bad request")
	}
	return s.free(t)
}

func udpSend(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "expecting 2 arguments (including the object), but got %d", n)
	}
	s := udpOf(t)
	if !s.usable(t, c, "send") {
		return 2
	}
	data, scratch := sendable(t, c, 2)
	n, err := s.conn.Write(data, 0)
	partial := err == nil && n < len(data)
	c.rt.giveScratch(data, scratch)
	switch {
	case partial:
		return fail(t, "partial write")
	case err != nil:
		c.logErrno("send()", err, s.conn.upstream())
		return fail(t, failureText(err))
	}
	return succeed(t)
}

func udpReceive(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting 1 or 2 arguments (including the object), but got %d", n)
	}
	s := udpOf(t)
	if !s.usable(t, c, "receive") {
		return 2
	}
	size := int(min(max(t.OptNumber(2, maxDatagram), 0), maxDatagram))
	settings := c.socketSettings()
	m, err := c.beginWait(t, s)
	if err != nil {
		return t.Abort(err)
	}
	buf := c.rt.sockets.datagram
	c.rt.sockets.datagram = nil
	if buf == nil {
		buf = make([]byte, maxDatagram)
	}
	s.waiting = true
	k, err := s.conn.Read(buf[:size], timeout(s.readTimeout, settings.ReadTimeout))
	if err == nil {
		t.PushBytes(buf[:k])
	}
	c.rt.sockets.datagram = buf
	if killed := c.endWait(m); killed != nil {
		return t.Abort(killed)
	}
	s.waiting = false
	if err == nil {
		return 1
	}
	if err != ErrTimeout {
		c.logErrno("recv()", err, s.conn.upstream())
	} else if settings.LogErrors {
		logText(c.logger(c.rt), LevelError, "lua udp socket read timed out"+s.conn.upstream())
	}
	return fail(t, failureText(err))
}

func udpClose(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 argument (including the object) but seen %d", n)
	}
	s := udpOf(t)
	if s == nil || s.conn == nil {
		return fail(t, "closed")
	}
	if !s.mine(c) {
		return raise(t, "bad request")
	}
	if !s.free(t) {
		return 2
	}
	s.close()
	return succeed(t)
}

func udpSetTimeout(t *vm.Thread, _ *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "ngx.socket settimeout: expecting at least 2 arguments (including the object) but seen %d", n)
	}
	f, _ := t.Arg(2).ToNumberCoerced()
	if s := udpOf(t); s != nil {
		s.readTimeout = int(f)
	}
	return 0
}
