package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Handover is the socket by which a master gives its descriptors to the next one in an upgrade. The first master makes it and
// each one passes both ends on: the near end is for the master that serves, the far end for the one that is to follow it. So
// the files that are passed on by inheritance are always the same two, and a failed upgrade leaves nothing behind but messages,
// which the next attempt clears away.
type Handover struct{ near, far *Conn }

// NewHandover makes the socket.
func NewHandover() (*Handover, error) {
	near, f, err := Pair()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	far, err := dupConn(f)
	if err != nil {
		near.Close()
		return nil, err
	}
	return &Handover{near, far}, nil
}

// OpenHandover takes the ends that were inherited. The files stay the caller's.
func OpenHandover(near, far *os.File) (*Handover, error) {
	a, err := dupConn(near)
	if err != nil {
		return nil, err
	}
	b, err := dupConn(far)
	if err != nil {
		a.Close()
		return nil, err
	}
	return &Handover{a, b}, nil
}

// dupConn makes a Conn of a copy of the descriptor; File.Fd would make it a blocking one.
func dupConn(f syscall.Conn) (*Conn, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) })
	if cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	c, err := NewConn(fd)
	if err != nil {
		unix.Close(fd)
	}
	return c, err
}

// Files are both ends, to be passed on.
func (h *Handover) Files() (near, far *os.File) { return h.near.f, h.far.f }

// Give hands descriptors, each with a description, and the state to the next master. It waits for that one to read, until end
// or Interrupt.
func (h *Handover) Give(names []string, fds []int, state string, end time.Time) error {
	if len(state) > MaxMessage/2 {
		return fmt.Errorf("a state of %d bytes is too long", len(state))
	}
	if err := h.near.SetDeadline(end); err != nil {
		return err
	}
	for len(names) > 0 {
		n, size := 0, 0
		for n < len(names) && n < MaxFiles && (n == 0 || size+len(names[n]) < MaxMessage/2) {
			size += len(names[n])
			n++
		}
		if err := h.near.SendWait(&Message{Type: Offer, Paths: names[:n]}, fds[:n]...); err != nil {
			return err
		}
		names, fds = names[n:], fds[n:]
	}
	return h.near.SendWait(&Message{Type: Offered, Text: state})
}

// Interrupt ends a Give that waits.
func (h *Handover) Interrupt() { _ = h.near.SetDeadline(time.Unix(1, 0)) }

// Take receives what Give sends. The descriptors belong to the caller, also if there is an error.
func (h *Handover) Take(end time.Time) (names []string, fds []int, state string, err error) {
	if err := h.far.SetDeadline(end); err != nil {
		return nil, nil, "", err
	}
	for {
		m, got, err := h.far.Recv()
		if err != nil {
			return names, fds, "", err
		}
		switch m.Type {
		case Offer:
			names, fds = append(names, m.Paths...), append(fds, got...)
		case Offered:
			return names, fds, m.Text, nil
		default:
			return names, fds, "", fmt.Errorf("unexpected %s message", m.Type)
		}
	}
}

// Left returns the descriptors that were given and not taken, without waiting. They belong to the caller.
func (h *Handover) Left() (names []string, fds []int) {
	if h.far.SetDeadline(time.Time{}) != nil {
		return nil, nil
	}
	for {
		m, got, err := h.far.recv(false)
		if err != nil {
			return names, fds
		}
		names, fds = append(names, m.Paths...), append(fds, got...)
	}
}

// Answer says something to the master that gave.
func (h *Handover) Answer(text string) error { return h.far.Send(&Message{Type: Answer, Text: text}) }

// Answers returns what the next master has said, and clears what it has not read.
func (h *Handover) Answers() []string {
	var texts []string
	h.near.clear(func(m Message) { texts = append(texts, m.Text) })
	h.far.clear(func(Message) {})
	return texts
}

// clear receives without waiting until there is nothing left.
func (c *Conn) clear(take func(m Message)) {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return
	}
	for {
		m, fds, err := c.recv(false)
		closeAll(fds)
		if err == nil {
			take(m)
			continue
		}
		var sys syscall.Errno
		if errors.As(err, &sys) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
	}
}

// Close closes both ends.
func (h *Handover) Close() {
	h.near.Close()
	h.far.Close()
}
