// Package peer is a worker's outgoing connections: to upstreams, and from Lua's
// cosockets. A connection lives in the worker's event loop; what must wait parks
// the goroutine and gives the baton away, so that everything here is for the
// holder of the baton only.
//
// The package owns the descriptors of its connections. It never resolves names,
// keeps no pools, and knows nothing of the protocols that are spoken.
package peer

import (
	"io"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"perilune/worker/loop"
)

// ErrTimeout is the error of a wait that took too long.
var ErrTimeout = loop.ErrTimeout

// Addr is where a peer listens.
type Addr struct {
	Sockaddr unix.Sockaddr
	Name     string // for messages and variables: "127.0.0.1:80", "[::1]:80", "unix:/path"
}

// TCP is the address of a port of a host.
func TCP(ip netip.Addr, port uint16) Addr {
	ip = ip.Unmap()
	if ip.Is4() {
		return Addr{&unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}, ip.String() + ":" + strconv.Itoa(int(port))}
	}
	sa := &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
	return Addr{sa, "[" + ip.WithZone("").String() + "]:" + strconv.Itoa(int(port))}
}

// Unix is the address of a socket in the file system; of an abstract one if path
// begins with @.
func Unix(path string) Addr {
	return Addr{&unix.SockaddrUnix{Name: path}, "unix:" + path}
}

// Dial says how to connect. The zero value is a TCP or unix stream.
type Dial struct {
	Type  int                // unix.SOCK_STREAM if 0
	Local unix.Sockaddr      // the address to connect from, if not nil
	Setup func(fd int) error // sets options before connecting, if not nil
	Close func()             // called when a connection that Start has returned is closed, if not nil
}

// Conn is a connection to a peer. Reading and writing may wait at the same time,
// in two goroutines; each of them in one goroutine at a time.
type Conn struct {
	FD   loop.FD
	loop *loop.Loop
	idle func() // of OnIdle
	end  func() // of Dial's Close
	fd   int    // -1 once closed
}

// Connect connects to a, within the timeout (0 is none). The error is ErrTimeout or a
// syscall.Errno, and what Setup has returned otherwise.
func (d Dial) Connect(l *loop.Loop, a Addr, timeout time.Duration) (*Conn, error) {
	c, err := d.Start(l, a)
	if err != nil {
		return nil, err
	}
	if err := c.Connected(timeout); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Start begins to connect, for callers that want to tell errors at once from later ones,
// or to close the connection while it is being made. Connected waits for it.
func (d Dial) Start(l *loop.Loop, a Addr) (*Conn, error) {
	c, err := d.start(l, a)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.end = d.Close
	return c, nil
}

// start is Start; the connection is for closing where there is an error.
func (d Dial) start(l *loop.Loop, a Addr) (*Conn, error) {
	c := &Conn{loop: l, fd: -1}
	kind := d.Type
	if kind == 0 {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family(a.Sockaddr), kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return c, err
	}
	c.fd = fd
	if d.Setup != nil {
		if err := d.Setup(fd); err != nil {
			return c, err
		}
	}
	if d.Local != nil {
		if err := unix.Bind(fd, d.Local); err != nil {
			return c, err
		}
	}
	if err := l.Register(&c.FD, fd, c); err != nil {
		return c, err
	}
	switch err := unix.Connect(fd, a.Sockaddr); err {
	case nil:
		c.FD.Writable = true
	case unix.EINPROGRESS:
	case unix.EAGAIN:
		return c, unix.EAGAIN // the queue of a unix socket is full
	default:
		return c, err
	}
	return c, nil
}

func family(sa unix.Sockaddr) int {
	switch sa.(type) {
	case *unix.SockaddrInet4:
		return unix.AF_INET
	case *unix.SockaddrInet6:
		return unix.AF_INET6
	}
	return unix.AF_UNIX
}

// Connected waits until the connection is there, or has failed.
func (c *Conn) Connected(timeout time.Duration) error {
	if c.FD.Writable {
		return nil
	}
	if err := c.FD.WaitWrite(timeout); err != nil {
		return err
	}
	return c.SocketError()
}

// SocketError takes the pending error of the socket: a syscall.Errno, or nil.
func (c *Conn) SocketError() error {
	n, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = syscall.Errno(n)
	}
	return err
}

// Read reads what there is, and waits for it, within the timeout (0 is none), if
// there is nothing. The end of the stream is io.EOF.
func (c *Conn) Read(b []byte, timeout time.Duration) (int, error) {
	for {
		n, err := c.FD.Read(b)
		switch {
		case err == nil && n == 0 && len(b) > 0:
			return 0, io.EOF
		case err != loop.ErrAgain:
			return n, err
		}
		if err := c.FD.WaitRead(timeout); err != nil {
			return 0, err
		}
	}
}

// Write writes all of b. The timeout (0 is none) is for each wait, as nginx counts
// it. n is how much was written before an error.
func (c *Conn) Write(b []byte, timeout time.Duration) (n int, err error) {
	for n < len(b) {
		m, err := c.FD.Write(b[n:])
		n += m
		if err == loop.ErrAgain || err == nil && n < len(b) {
			err = c.FD.WaitWrite(timeout)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Quiet reports whether an idle connection is as it should be: open, and with
// nothing to read.
func (c *Conn) Quiet() bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == unix.EAGAIN
}

// OnIdle has f called, with the baton, when something can be read, or the peer closes,
// and nobody waits for it: what ends a connection that is kept for later. nil ends that.
func (c *Conn) OnIdle(f func()) { c.idle = f }

// OnEvent is the loop's call.
func (c *Conn) OnEvent(_ *loop.FD, readable, _, hup bool) {
	if c.idle != nil && (readable || hup) {
		c.idle()
	}
}

// Loop returns the loop that the connection lives in.
func (c *Conn) Loop() *loop.Loop { return c.loop }

// Closed reports whether Close has been called.
func (c *Conn) Closed() bool { return c.fd < 0 }

// Close closes the connection; waits on it end with loop.ErrStopped. It may be
// called again.
func (c *Conn) Close() {
	if c.fd < 0 {
		return
	}
	c.loop.Unregister(&c.FD)
	_ = unix.Close(c.fd)
	c.fd = -1
	if c.end != nil {
		c.end()
	}
}
