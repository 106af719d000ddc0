package resolver

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

const (
	udpSize    = 4096
	tcpMaxSize = 2 + 65535
	tcpMaxSend = 8192 // bytes of questions that wait to be sent
	tcpTimeout = 5 * time.Second
)

// server is a name server, with the sockets to it.
type server struct {
	r    *Resolver
	addr netip.AddrPort
	udp  udpSocket
	tcp  tcpSocket
}

func newServer(r *Resolver, addr netip.AddrPort) *server {
	s := &server{r: r, addr: addr}
	s.udp.s, s.tcp.s = s, s
	s.tcp.timer.Init(s.tcp.close)
	return s
}

func (s *server) closeAll() {
	s.udp.close()
	s.tcp.close()
}

// socket is a connected socket in the loop.
type socket struct {
	fd loop.FD
	s  *server
}

// open connects a socket without waiting for it.
func (c *socket) open(kind int, h loop.Handler) bool {
	r := c.s.r
	if r.host != nil && !r.host.Reserve() {
		return false
	}
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if a := c.s.addr.Addr(); a.Is4() {
		sa = &unix.SockaddrInet4{Addr: a.As4(), Port: int(c.s.addr.Port())}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: a.As16(), Port: int(c.s.addr.Port())}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.s.failed(logging.Alert, err, "socket() failed")
		c.release()
		return false
	}
	err = unix.Connect(fd, sa)
	switch {
	case err == nil || errors.Is(err, unix.EINPROGRESS):
		if err = r.loop.Register(&c.fd, fd, h); err == nil {
			return true
		}
		c.s.failed(logging.Alert, err, "epoll_ctl() failed")
	case kind == unix.SOCK_DGRAM:
		c.s.failed(logging.Crit, err, "connect() failed")
	default:
		level := logging.Crit
		if unreachable(err) {
			level = logging.Error
		}
		c.s.failed(level, err, "connect() to "+c.s.addr.String()+" failed")
	}
	_ = unix.Close(fd)
	c.release()
	return false
}

func (c *socket) close() {
	if !c.fd.Registered() {
		return
	}
	c.s.r.loop.Unregister(&c.fd)
	_ = unix.Close(c.fd.Sysfd)
	c.release()
}

func (c *socket) release() {
	if c.s.r.host != nil {
		c.s.r.host.Release()
	}
}

// failed logs an error of a socket.
func (s *server) failed(level logging.Level, err error, what string) {
	if log := s.r.log; log != nil && log.Enabled(level) {
		log.Begin(level, 0).Str(what).Err(err).Str(" while resolving").AttrStr("resolver", s.addr.String()).End()
	}
}

// broken logs an error of send or recv.
func (s *server) broken(err error, what string) {
	level := logging.Alert
	if unreachable(err) {
		level = logging.Error
	}
	s.failed(level, err, what)
}

// unreachable reports whether an error is the network's or the peer's fault.
func unreachable(err error) bool {
	for _, errno := range []unix.Errno{
		unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, unix.ENOTCONN, unix.ETIMEDOUT,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

type udpSocket struct{ socket }

func (s *server) sendUDP(msg []byte) bool {
	c := &s.udp
	if !c.fd.Registered() && !c.open(unix.SOCK_DGRAM, c) {
		return false
	}
	n, err := c.fd.Write(msg)
	switch {
	case err == nil && n == len(msg):
		return true
	case err == nil || err == loop.ErrAgain:
		s.failed(logging.Crit, nil, "send() incomplete")
	default:
		s.broken(err, "send() failed")
	}
	c.close()
	return false
}

// OnEvent reads the answers that are there.
func (c *udpSocket) OnEvent(_ *loop.FD, readable, _, _ bool) {
	if !readable {
		return
	}
	var b [udpSize]byte
	for c.fd.Registered() { // an answer may have been the last one that was due
		n, err := c.fd.Read(b[:])
		switch {
		case err == loop.ErrAgain:
			return
		case err != nil:
			c.s.broken(err, "recv() failed")
			c.close()
			return
		}
		c.s.r.take(b[:n], false)
	}
}

// tcpSocket is a connection for questions whose answers are long.
type tcpSocket struct {
	socket
	out   []byte
	in    []byte
	timer loop.Timer // since the last progress in sending
}

func (s *server) sendTCP(msg []byte) bool {
	c := &s.tcp
	if !c.fd.Registered() {
		if !c.open(unix.SOCK_STREAM, c) {
			return false
		}
		c.in, c.out = nil, nil
		s.r.loop.SetTimer(&c.timer, tcpTimeout)
	}
	if len(c.out)+2+len(msg) > tcpMaxSend {
		s.failed(logging.Crit, nil, "buffer overflow")
		return false
	}
	c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(msg)))
	c.out = append(c.out, msg...)
	if c.fd.Writable {
		c.write()
	}
	return true
}

func (c *tcpSocket) close() {
	c.s.r.dropTimer(&c.timer)
	c.socket.close()
	c.in, c.out = nil, nil
}

func (r *Resolver) dropTimer(t *loop.Timer) {
	if r.loop != nil {
		r.loop.DropTimer(t)
	}
}

// OnEvent reads answers and sends what could not be sent yet.
func (c *tcpSocket) OnEvent(_ *loop.FD, readable, writable, _ bool) {
	if readable {
		c.read()
	}
	if writable && c.fd.Registered() {
		c.write()
	}
}

func (c *tcpSocket) write() {
	for len(c.out) > 0 {
		n, err := c.fd.Write(c.out)
		switch {
		case err == loop.ErrAgain:
			return
		case err != nil:
			c.s.broken(err, "send() failed")
			c.close()
			return
		}
		c.out = c.out[n:]
		c.s.r.loop.SetTimer(&c.timer, tcpTimeout)
	}
}

func (c *tcpSocket) read() {
	for c.fd.Registered() {
		if len(c.in) == cap(c.in) {
			c.in = append(make([]byte, 0, min(tcpMaxSize, 1024+2*cap(c.in))), c.in...)
		}
		n, err := c.fd.Read(c.in[len(c.in):cap(c.in)])
		switch {
		case err == loop.ErrAgain:
			return
		case err != nil:
			c.s.broken(err, "recv() failed")
			c.close()
			return
		case n == 0:
			c.close()
			return
		}
		c.in = c.in[:len(c.in)+n]
		c.messages()
	}
}

// messages takes the messages that are complete.
func (c *tcpSocket) messages() {
	rest := c.in
	for len(rest) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < end {
			break
		}
		c.s.r.take(rest[2:end], true)
		if !c.fd.Registered() {
			return
		}
		rest = rest[end:]
	}
	c.in = c.in[:copy(c.in, rest)]
}
