// Package ipc owns what passes between the master and its workers: the messages, the SOCK_SEQPACKET socket that carries
// them (with descriptors by SCM_RIGHTS), the manifest that a worker is started with, and the title a process shows in ps.
// It never decides anything: what a message leads to is the master's and the worker's business.
package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrFull is returned by Send when the peer does not read: the caller chooses another way, nothing blocks.
var ErrFull = errors.New("the peer does not read its messages")

// Conn is one end of the socket between the master and a worker.
type Conn struct {
	f   *os.File
	raw syscall.RawConn
	mu  sync.Mutex // guards out
	out []byte
	in  []byte
	anc []byte
}

// Pair makes a connected pair: the end that stays here and the one that is handed to a child.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	c, err := NewConn(fds[0])
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return c, os.NewFile(uintptr(fds[1]), "ipc"), nil
}

// NewConn takes over the descriptor of an end that was made by Pair.
func NewConn(fd int) (*Conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if t, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, os.NewSyscallError("getsockopt", err))
	} else if t != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("descriptor %d is a socket of type %d, not SOCK_SEQPACKET", fd, t)
	}
	f := os.NewFile(uintptr(fd), "ipc")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{f: f, raw: raw}, nil
}

// Send writes one message, with descriptors if there are any. It never blocks: ErrFull says that the socket has no room.
func (c *Conn) Send(m *Message, fds ...int) error { return c.send(m, fds, false) }

// SendWait is Send that waits for room, until the deadline that was set.
func (c *Conn) SendWait(m *Message, fds ...int) error { return c.send(m, fds, true) }

// SetDeadline ends the waits of Recv and SendWait at a time.
func (c *Conn) SetDeadline(t time.Time) error { return c.f.SetDeadline(t) }

func (c *Conn) send(m *Message, fds []int, wait bool) error {
	if len(fds) > MaxFiles {
		return fmt.Errorf("%d descriptors in one message, at most %d fit", len(fds), MaxFiles)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = m.Append(c.out[:0])
	if len(c.out) > MaxMessage {
		return fmt.Errorf("a %s message of %d bytes is too long", m.Type, len(c.out))
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		for {
			err = unix.Sendmsg(int(fd), c.out, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if err != unix.EINTR {
				return !wait || err != unix.EAGAIN
			}
		}
	})
	switch {
	case werr != nil:
		return werr
	case err == unix.EAGAIN || err == unix.ENOBUFS:
		return ErrFull
	case err != nil:
		return os.NewSyscallError("sendmsg", err)
	}
	return nil
}

// Recv waits for the next message. The descriptors that come with it are close-on-exec and belong to the caller.
// io.EOF means that the peer is gone. Only one goroutine may receive.
func (c *Conn) Recv() (Message, []int, error) { return c.recv(true) }

func (c *Conn) recv(wait bool) (Message, []int, error) {
	if c.in == nil {
		c.in = make([]byte, MaxMessage)
		c.anc = make([]byte, unix.CmsgSpace(MaxFiles*4))
	}
	var n, oobn, flags int
	var err error
	rerr := c.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, err = unix.Recvmsg(int(fd), c.in, c.anc, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return !wait || err != unix.EAGAIN
			}
		}
	})
	if rerr != nil {
		return Message{}, nil, rerr
	}
	if err == unix.ECONNRESET {
		return Message{}, nil, io.EOF
	}
	if err != nil {
		return Message{}, nil, os.NewSyscallError("recvmsg", err)
	}
	fds := parseRights(c.anc[:oobn])
	if n == 0 && len(fds) == 0 {
		return Message{}, nil, io.EOF
	}
	m, err := Decode(c.in[:n])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("message is longer than allowed")
	}
	if err == nil && len(m.Paths) != len(fds) {
		err = fmt.Errorf("%s names %d files and brings %d descriptors", m.Type, len(m.Paths), len(fds))
	}
	if err != nil {
		closeAll(fds)
		return Message{}, nil, err
	}
	return m, fds, nil
}

func parseRights(oob []byte) []int {
	if len(oob) == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// FD is the descriptor, to be passed on while the Conn is open.
func (c *Conn) FD() int {
	n := -1
	_ = c.raw.Control(func(fd uintptr) { n = int(fd) })
	return n
}

// Close closes this end; a Recv that waits returns with an error.
func (c *Conn) Close() error { return c.f.Close() }
