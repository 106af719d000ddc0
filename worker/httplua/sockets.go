package httplua

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/luart"
	"perilune/worker/http"
	"perilune/worker/loop"
	"perilune/worker/peer"
	"perilune/worker/resolver"
)

// network connects the cosockets with connections in the worker's loop.
type network struct {
	loop    *loop.Loop
	srv     *http.Server
	release func() // of srv
}

func newNetwork(srv *http.Server) *network { return &network{srv.Loop(), srv, srv.Release} }

// Lookup prepares asking the resolver of the location whose code runs.
func (n *network) Lookup(s *luart.SocketSettings, name string) luart.Lookup {
	return &lookup{loop: n.loop, names: s.Names.(names), name: name}
}

// lookup is a question for the resolver.
type lookup struct {
	loop  *loop.Loop
	names names
	name  string
	query resolver.Query
}

// Addrs waits for the answer.
func (l *lookup) Addrs() ([]netip.Addr, error) {
	addrs, err := l.names.resolver.LookupWith(&l.query, l.loop, l.name, l.names.timeout)
	return addrs, streamError(err)
}

// Close ends the wait.
func (l *lookup) Close() { l.query.Cancel(l.loop, loop.ErrStopped) }

// Dial begins to connect.
func (n *network) Dial(d *luart.Dial) (luart.Stream, error) {
	addr := peer.TCP(d.To.IP, uint16(d.To.Port))
	if d.To.Path != "" {
		addr = peer.Unix(d.To.Path)
	}
	how := peer.Dial{}
	var local unix.Sockaddr
	if d.Datagram {
		how.Type = unix.SOCK_DGRAM
		if d.To.Path != "" {
			// The kernel gives it a name, so that the peer can answer.
			local = &unix.SockaddrUnix{}
		}
	}
	if d.From.IsValid() && d.To.Path == "" {
		local = peer.TCP(d.From.Addr(), d.From.Port()).Sockaddr
	}
	if local != nil {
		how.Setup = func(fd int) error {
			if d.From.Port() == 0 && !d.Datagram {
				// Without it the kernel chooses a port that is free for all peers.
				_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			}
			if err := unix.Bind(fd, local); err != nil {
				return &luart.BindError{Err: err}
			}
			return nil
		}
	}
	if !n.srv.TryReserve() {
		return nil, &luart.LimitError{Text: n.srv.NotEnough()}
	}
	how.Close = n.release
	c, err := how.Start(n.loop, addr)
	if err != nil {
		n.srv.Release()
		return nil, err
	}
	if d.Datagram {
		return datagram{stream{c}}, nil
	}
	return stream{c}, nil
}

// streamError is an error as luart knows it.
func streamError(err error) error {
	switch err {
	case nil:
		return nil
	case loop.ErrTimeout:
		return luart.ErrTimeout
	case loop.ErrStopped:
		return luart.ErrClosed
	}
	return err
}

// stream is a connection to a peer.
type stream struct{ *peer.Conn }

func (s stream) Connected(timeout time.Duration) error { return streamError(s.Conn.Connected(timeout)) }

func (s stream) Read(b []byte, timeout time.Duration) (int, error) {
	if !s.FD.Readable {
		if err := s.FD.WaitRead(timeout); err != nil {
			return 0, streamError(err)
		}
	}
	n, err := s.Conn.Read(b, timeout)
	return n, streamError(err)
}

func (s stream) Write(b []byte, timeout time.Duration) (int, error) {
	n, err := s.Conn.Write(b, timeout)
	return n, streamError(err)
}

func (s stream) PeerClosed() bool { return s.FD.HUP }

// Quiet asks the kernel only if there has been an event.
func (s stream) Quiet() bool {
	if !s.FD.Readable {
		return true
	}
	if s.FD.HUP || !s.Conn.Quiet() {
		return false
	}
	s.FD.Readable = false
	return true
}

// socketOptions are the levels and names of options.
var socketOptions = [...][2]int{
	luart.SocketKeepAlive:     {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	luart.SocketReuseAddr:     {unix.SOL_SOCKET, unix.SO_REUSEADDR},
	luart.SocketNoDelay:       {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	luart.SocketSendBuffer:    {unix.SOL_SOCKET, unix.SO_SNDBUF},
	luart.SocketReceiveBuffer: {unix.SOL_SOCKET, unix.SO_RCVBUF},
	luart.SocketKeepInterval:  {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	luart.SocketKeepCount:     {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
}

func (s stream) Option(o luart.SocketOption) (int, error) {
	return unix.GetsockoptInt(s.FD.Sysfd, socketOptions[o][0], socketOptions[o][1])
}

func (s stream) SetOption(o luart.SocketOption, value int) error {
	return unix.SetsockoptInt(s.FD.Sysfd, socketOptions[o][0], socketOptions[o][1], value)
}

// tcpClosed is the kernel's state of a connection that is over.
const tcpClosed = 7

// Unacked is how many bytes the peer has not confirmed; dead says that it will not.
func (s stream) Unacked() (n int, dead bool) {
	n, err := unix.IoctlGetInt(s.FD.Sysfd, unix.SIOCOUTQ)
	if err != nil || n == 0 {
		return 0, err != nil
	}
	info, err := unix.GetsockoptTCPInfo(s.FD.Sysfd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return n, err != nil || info.State == tcpClosed
}

// Abort closes the connection and throws away what is still to be sent.
func (s stream) Abort() {
	_ = unix.SetsockoptLinger(s.FD.Sysfd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s.Close()
}

func (s stream) Descriptor() int { return s.FD.Sysfd }

// datagram is a datagram socket with a peer.
type datagram struct{ stream }

func (d datagram) Read(b []byte, timeout time.Duration) (int, error) {
	for {
		n, err := d.FD.Read(b)
		if err != loop.ErrAgain {
			// The next datagram may be there already, whatever the size of this one.
			d.FD.Readable = true
			return n, err
		}
		if err := d.FD.WaitRead(timeout); err != nil {
			return 0, streamError(err)
		}
	}
}

func (d datagram) Write(b []byte, _ time.Duration) (int, error) {
	n, err := d.FD.Write(b)
	if err == loop.ErrAgain {
		err = syscall.EAGAIN
	}
	return n, err
}

// clientStream is the connection to the client of a request, or the request's body.
type clientStream struct {
	r   *http.Request
	raw bool

	reading, writing bool // a thread may wait
}

// Stream is the connection to the client.
func (q *request) Stream(raw bool) (luart.Stream, error) {
	err := error(nil)
	switch {
	case raw:
		err = q.r.TakeOver()
	case q.discarded && !q.r.BodyDiscarded():
		err = http.ErrNoBody
	case q.r.HeadersIn.Chunked:
		err = errors.New("chunked request bodies not supported yet")
	default:
		err = q.r.OpenBody()
	}
	if err != nil {
		return nil, err
	}
	return &clientStream{r: q.r, raw: raw}, nil
}

func (s *clientStream) Connected(time.Duration) error { return nil }

func (s *clientStream) Read(b []byte, timeout time.Duration) (n int, err error) {
	s.reading = true
	defer func() { s.reading = false }()
	if s.raw {
		n, err = s.r.ReadClient(b, timeout)
	} else {
		n, err = s.r.ReadOpenBody(b, timeout)
	}
	if err == io.ErrUnexpectedEOF {
		return n, luart.ErrClientAborted
	}
	return n, streamError(err)
}

func (s *clientStream) Write(b []byte, timeout time.Duration) (int, error) {
	s.writing = true
	defer func() { s.writing = false }()
	n, err := s.r.WriteClient(b, timeout)
	return n, streamError(err)
}

func (s *clientStream) PeerClosed() bool                       { return s.r.Conn.FD.HUP }
func (s *clientStream) Quiet() bool                            { return false }
func (s *clientStream) Descriptor() int                        { return s.r.Conn.FD.Sysfd }
func (s *clientStream) OnIdle(func())                          {}
func (s *clientStream) Option(luart.SocketOption) (int, error) { return 0, syscall.EOPNOTSUPP }

// SetOption knows the one option that sending sets.
func (s *clientStream) SetOption(o luart.SocketOption, _ int) error {
	if o != luart.SocketNoDelay {
		return syscall.EOPNOTSUPP
	}
	s.r.Conn.SetNodelay()
	return nil
}

// Close ends the waits of this stream, and leaves others of the request alone. The
// connection is the engine's to close.
func (s *clientStream) Close() {
	if s.reading {
		s.r.Conn.FD.CancelRead(loop.ErrStopped)
	}
	if s.writing {
		s.r.Conn.FD.CancelWrite(loop.ErrStopped)
	}
}
