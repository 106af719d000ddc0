package loop

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is a place in the table that epoll's data points into. The generation
// grows with each use, so that an event of a descriptor's predecessor in the
// same slot is known and dropped.
type slot struct {
	fd  *FD
	gen uint32
}

// FD is a descriptor in the loop. Its zero value is ready for Register.
type FD struct {
	Sysfd    int
	Readable bool // reading may succeed; cleared by a read that found nothing
	Writable bool // writing may succeed; cleared by a write that found no room
	HUP      bool // the peer has closed, or half-closed, or the socket failed

	loop   *Loop
	h      Handler
	rw, ww *Waiter
	slot   uint32
	level  bool
}

// Register adds a descriptor, edge-triggered for reading and writing, once for
// its whole life. The descriptor must be non-blocking.
func (l *Loop) Register(f *FD, sysfd int, h Handler) error {
	return l.register(f, sysfd, h, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, false)
}

// RegisterListen adds a listen socket, level-triggered. With exclusive only
// one of the processes that wait on the socket is woken for a connection.
func (l *Loop) RegisterListen(f *FD, sysfd int, h Handler, exclusive bool) error {
	mask := uint32(unix.EPOLLIN)
	if exclusive {
		mask |= unix.EPOLLEXCLUSIVE
	}
	return l.register(f, sysfd, h, mask, true)
}

func (l *Loop) register(f *FD, sysfd int, h Handler, mask uint32, level bool) error {
	var index uint32
	if n := len(l.free); n > 0 {
		index = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		index = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[index]
	s.gen++
	ev := unix.EpollEvent{Events: mask, Fd: int32(index), Pad: int32(s.gen)}
	if errno := epollCtl(l.epfd, unix.EPOLL_CTL_ADD, sysfd, &ev); errno != 0 {
		l.free = append(l.free, index)
		return fmt.Errorf("epoll_ctl(1, %d): %w", sysfd, errno)
	}
	s.fd = f
	*f = FD{Sysfd: sysfd, loop: l, h: h, slot: index, level: level}
	return nil
}

// SetHandler changes who is told of the descriptor's events.
func (f *FD) SetHandler(h Handler) { f.h = h }

// Registered reports whether the descriptor is in a loop.
func (f *FD) Registered() bool { return f.slot != 0 }

// Unregister takes the descriptor out of epoll. It must come before close(2):
// a descriptor that another process shares would stay in the set and wake this
// one for ever. Waits on it end with ErrStopped.
func (l *Loop) Unregister(f *FD) {
	if f.slot == 0 {
		return
	}
	epollCtl(l.epfd, unix.EPOLL_CTL_DEL, f.Sysfd, nil)
	l.slots[f.slot].fd = nil
	l.free = append(l.free, f.slot)
	f.slot = 0
	f.Cancel(ErrStopped)
}

// Rearm takes a listen socket out of the epoll set and puts it back: at the
// end of the kernel's queue of exclusive waiters, so that the next connection
// goes to another process. exclusive is as for RegisterListen.
func (l *Loop) Rearm(f *FD, exclusive bool) error {
	mask := uint32(unix.EPOLLIN)
	if exclusive {
		mask |= unix.EPOLLEXCLUSIVE
	}
	epollCtl(l.epfd, unix.EPOLL_CTL_DEL, f.Sysfd, nil)
	ev := unix.EpollEvent{Events: mask, Fd: int32(f.slot), Pad: int32(l.slots[f.slot].gen)}
	if errno := epollCtl(l.epfd, unix.EPOLL_CTL_ADD, f.Sysfd, &ev); errno != 0 {
		return fmt.Errorf("epoll_ctl(1, %d): %w", f.Sysfd, errno)
	}
	return nil
}

// hupMask are the events that tell of the peer's end.
const hupMask = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// onlyWakes reports whether event would call no handler.
func (f *FD) onlyWakes(mask uint32) bool {
	return !f.level && mask&hupMask == 0 && (mask&unix.EPOLLIN == 0 || f.rw != nil) &&
		(mask&unix.EPOLLOUT == 0 || f.ww != nil || f.Writable && f.rw != nil)
}

func (f *FD) event(mask uint32) {
	hup := mask&hupMask != 0
	readable := mask&(unix.EPOLLIN|hupMask) != 0
	writable := mask&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if f.level {
		f.h.OnEvent(f, readable, writable, hup)
		return
	}
	// Each event tells of both directions; room that was there is no news to
	// a goroutine that waits for input.
	news := writable && (!f.Writable || hup || f.rw == nil)
	f.Readable = f.Readable || readable
	f.Writable = f.Writable || writable
	f.HUP = f.HUP || hup
	l := f.loop
	if readable && f.rw != nil {
		l.Wake(f.rw, nil)
		readable = false
	}
	if writable && f.ww != nil {
		l.Wake(f.ww, nil)
		news = false
	}
	if readable || news {
		f.h.OnEvent(f, readable, news, hup)
	}
}

// WaitRead parks until the descriptor is readable. A timeout of 0 is none.
func (f *FD) WaitRead(timeout time.Duration) error {
	if f.Readable {
		return nil
	}
	return f.wait(&f.rw, timeout)
}

// WaitWrite parks until the descriptor is writable. A timeout of 0 is none.
func (f *FD) WaitWrite(timeout time.Duration) error {
	if f.Writable {
		return nil
	}
	return f.wait(&f.ww, timeout)
}

func (f *FD) wait(place **Waiter, timeout time.Duration) error {
	if *place != nil {
		panic("loop: two goroutines wait for one direction of a descriptor")
	}
	l := f.loop
	w := l.waiter()
	*place = w
	err := l.Park(w, timeout)
	*place = nil
	l.spare = append(l.spare, w)
	return err
}

// Cancel ends the waits on the descriptor with err.
func (f *FD) Cancel(err error) {
	f.CancelRead(err)
	f.CancelWrite(err)
}

// CancelRead ends the wait for reading with err.
func (f *FD) CancelRead(err error) {
	if f.rw != nil {
		f.loop.Wake(f.rw, err)
	}
}

// CancelWrite ends the wait for writing with err.
func (f *FD) CancelWrite(err error) {
	if f.ww != nil {
		f.loop.Wake(f.ww, err)
	}
}

// Read reads without blocking. ErrAgain says that there is nothing yet; 0 and
// no error that the peer has closed.
func (f *FD) Read(b []byte) (int, error) {
	n, errno := rawRecv(f.Sysfd, b, 0)
	switch errno {
	case 0:
		// A short read has emptied the socket, which saves the next one that
		// would say so: what comes later gives a new edge. The end of the
		// input is no later byte, it may have come with the last ones.
		if n < len(b) && !f.HUP {
			f.Readable = false
		}
		return n, nil
	case unix.EAGAIN:
		f.Readable = false
		return 0, ErrAgain
	}
	return 0, errno
}

// Write writes without blocking what the socket takes now.
func (f *FD) Write(b []byte) (int, error) {
	n, errno := rawSend(f.Sysfd, b)
	return f.wrote(n, len(b), errno)
}

// Writev writes the buffers without blocking, in one system call, as far as
// the socket takes them.
func (f *FD) Writev(bufs [][]byte) (int, error) {
	var iov [64]unix.Iovec
	total, n := 0, 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if n == len(iov) {
			break
		}
		iov[n].Base = unsafe.SliceData(b)
		iov[n].SetLen(len(b))
		n++
		total += len(b)
	}
	if n == 0 {
		return 0, nil
	}
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(f.Sysfd), uintptr(unsafe.Pointer(&iov[0])), uintptr(n))
		if errno == unix.EINTR {
			continue
		}
		return f.wrote(int(r), total, errno)
	}
}

func (f *FD) wrote(n, want int, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		if n < want {
			f.Writable = false
		}
		return n, nil
	case unix.EAGAIN:
		f.Writable = false
		return 0, ErrAgain
	}
	return 0, errno
}

// The system calls below never block, so the Go scheduler need not hear of
// them.

// Pending reports whether there are bytes to read in the socket's buffer. The error is
// that of a connection that has failed, which is told only once.
func (f *FD) Pending() (bool, error) {
	var b [1]byte
	n, errno := rawRecv(f.Sysfd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if errno != 0 && errno != unix.EAGAIN {
		return false, errno
	}
	return errno == 0 && n > 0, nil
}

func rawRead(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func epollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return errno
}

func rawRecv(fd int, b []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func rawSend(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
