package loop

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollWaiter waits for events of the epoll descriptor, in one of two ways.
//
// A plain epoll_wait(2) is what EPOLLEXCLUSIVE needs: the kernel counts a
// process as woken only if it waits on the very epoll descriptor that has the
// socket, and not on another one that this one is in. But a goroutine of the
// outside that the network wakes may then wait until the runtime's monitor
// thread looks, up to 10 ms. So while there are such goroutines the wait is one
// of Go's own poller, in which the epoll descriptor is registered.
type pollWaiter struct {
	file     *os.File
	raw      syscall.RawConn
	deadline time.Time // armed in the Go runtime, zero if none
	events   []unix.EpollEvent
	n        int
	ready    func(fd uintptr) bool
	err      error
}

// monitorPeriod is how long, in msec, the Go runtime's monitor thread sleeps at
// most between two looks at the network.
const monitorPeriod = 10

// attach registers the epoll descriptor in Go's poller. It is not there while
// nobody needs it: a thread of the runtime would wake for each event.
func (p *pollWaiter) attach(epfd int) error {
	fd, err := unix.FcntlInt(uintptr(epfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("fcntl(F_DUPFD_CLOEXEC): %w", err)
	}
	// Go's poller takes a descriptor only if it is in non-blocking mode.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("fcntl(O_NONBLOCK): %w", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return fmt.Errorf("epoll descriptor in the Go poller: %w", err)
	}
	p.file, p.raw = file, raw
	p.ready = func(fd uintptr) bool {
		p.n = epollWait(int(fd), p.events, 0)
		return p.n > 0
	}
	return nil
}

func (p *pollWaiter) detach() {
	if p.file != nil {
		p.file.Close()
		*p = pollWaiter{err: p.err}
	}
}

// How long, in msec, after the last event a wait keeps its processor of the Go
// runtime. See Alone for the longer one.
const (
	holdTime  = 4
	aloneTime = 100
)

// breathTime is how often, in msec, a busy loop lets the scheduler look for others
// that want its processor. After 10 ms the monitor would have it do that by a
// signal, and if it met a system call of which it is told (the write of a log, say)
// it would take the processor and go on looking every 20 µs.
const breathTime = 8

// block waits in the kernel; timeout is in msec, -1 for ever. hold is for how much
// of it, at most, the processor is kept; the wait may end early, with no event.
//
// A wait that the runtime is told of costs more than the call: its monitor
// thread wakes every 20 µs to see whether the processor should be taken from
// the waiting thread, takes it, and is woken again by the end of the wait, to
// wake every 20 µs for another while. With a file of 10 MiB a request, and waits
// of some ms, that was more than half of all CPU. So only an idle loop tells, and
// then the monitor sleeps as well. Should the runtime want the processor
// meanwhile, for another goroutine or to stop the world, its signal ends the
// wait; that may take it 20 ms.
func block(epfd int, events []unix.EpollEvent, timeout, hold int) int {
	if hold > 0 {
		if timeout < 0 || timeout > hold {
			timeout = hold
		}
		return epollWait(epfd, events, timeout)
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wait waits in Go's poller.
func (p *pollWaiter) wait(epfd int, events []unix.EpollEvent, timeout int) int {
	if p.file == nil && p.attach(epfd) != nil {
		// Out of descriptors. The runtime's monitor looks at the network every
		// 10 ms, and what it finds needs the processor that block holds.
		if timeout < 0 || timeout > monitorPeriod {
			timeout = monitorPeriod
		}
		return block(epfd, events, timeout, 0)
	}
	p.arm(timeout, time.Now())
	p.events, p.n = events, 0
	if err := p.raw.Read(p.ready); err != nil && !os.IsTimeout(err) {
		p.err = fmt.Errorf("epoll_wait: %w", err)
		return 0
	}
	return p.n
}

// arm sets the runtime's deadline unless the one that is set comes soon
// enough: a wake-up for nothing is cheaper than moving it for each turn.
func (p *pollWaiter) arm(timeout int, now time.Time) {
	if timeout < 0 {
		if !p.deadline.IsZero() && p.deadline.Before(now) {
			p.deadline = time.Time{}
			_ = p.file.SetReadDeadline(p.deadline)
		}
		return
	}
	want := now.Add(time.Duration(timeout) * time.Millisecond)
	if !p.deadline.IsZero() && p.deadline.After(now) && !p.deadline.After(want) {
		return
	}
	p.deadline = want
	_ = p.file.SetReadDeadline(want)
}

func epollWait(epfd int, events []unix.EpollEvent, msec int) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(msec), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
