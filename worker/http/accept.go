package http

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// acceptPause is how long a worker that is out of descriptors leaves its
// listen sockets alone.
const acceptPause = 500 * time.Millisecond

// listener is a listen socket that this worker accepts from.
type listener struct {
	fd     loop.FD
	server *Server
	ls     *conf.Listening
	port   *listenPort
	sysfd  int
	slot   int // of reuseport, else 0
	shared bool
}

// Start puts the listen sockets into the loop.
func (s *Server) Start() error {
	s.started = true
	for _, ls := range s.cycle.Listening {
		slot := 0
		if ls.Reuseport {
			slot = s.slot
		}
		if slot >= len(ls.FDs) {
			return fmt.Errorf("no listen socket for %s in slot %d", ls.Addr, slot)
		}
		if err := s.listen(ls, slot); err != nil {
			return err
		}
	}
	s.used++ // the channel to the master
	return nil
}

func (s *Server) listen(ls *conf.Listening, slot int) error {
	port, ok := ls.Data.(*listenPort)
	if !ok {
		return nil // not a socket of http
	}
	ln := &listener{server: s, ls: ls, port: port, sysfd: ls.FDs[slot], slot: slot}
	ln.shared = !ls.Reuseport && s.workers > 1
	if err := s.loop.RegisterListen(&ln.fd, ln.sysfd, ln, ln.shared); err != nil {
		return fmt.Errorf("listen socket %s: %w", ls.Addr, err)
	}
	s.listeners = append(s.listeners, ln)
	s.used++
	return nil
}

// Adopt makes this worker accept from the reuseport sockets of another slot
// too, whose worker is gone; Orphan ends that.
func (s *Server) Adopt(slot int) error {
	if !s.started || slot == s.slot {
		return nil
	}
	for _, ls := range s.cycle.Listening {
		if !ls.Reuseport || slot >= len(ls.FDs) || slices.ContainsFunc(s.listeners, func(ln *listener) bool {
			return ln.ls == ls && ln.slot == slot
		}) {
			continue
		}
		if err := s.listen(ls, slot); err != nil {
			return err
		}
	}
	return nil
}

// Orphan ends accepting from the sockets of another slot.
func (s *Server) Orphan(slot int) {
	if slot == s.slot {
		return
	}
	s.listeners = slices.DeleteFunc(s.listeners, func(ln *listener) bool {
		if !ln.ls.Reuseport || ln.slot != slot {
			return false
		}
		s.loop.Unregister(&ln.fd)
		s.used--
		return true
	})
}

// StopAccepting takes the listen sockets out of the loop; the caller may close
// them afterwards. From now on responses close their connections.
func (s *Server) StopAccepting() {
	s.draining = true
	s.started = false
	for _, ln := range s.listeners {
		s.loop.Unregister(&ln.fd)
		s.used--
	}
	s.listeners = nil
	s.loop.DropTimer(&s.paused)
	for _, f := range s.onDraining {
		f()
	}
	s.checkDrained()
}

func (s *Server) pauseAccepting() {
	for _, ln := range s.listeners {
		s.loop.Unregister(&ln.fd)
	}
	s.loop.SetTimer(&s.paused, acceptPause)
}

func (s *Server) resumeAccepting() {
	for _, ln := range s.listeners {
		if err := s.loop.RegisterListen(&ln.fd, ln.sysfd, ln, ln.shared); err != nil {
			s.log.Logf(logging.Alert, 0, "cannot accept on %s: %v", ln.ls.Addr, err)
		}
	}
}

// OnEvent accepts.
func (ln *listener) OnEvent(*loop.FD, bool, bool, bool) {
	s := ln.server
	accepted := false
	for s.accept(ln) {
		accepted = true
		if !s.multiAccept {
			break
		}
	}
	if accepted && ln.shared && !s.stayFirst && ln.fd.Registered() {
		// Epoll wakes the first waiter of the queue that can be woken: always
		// the same worker while it is not busy. At the end of the queue, this
		// worker comes up again only after all others.
		if err := s.loop.Rearm(&ln.fd, true); err != nil {
			s.log.Logf(logging.Alert, 0, "cannot accept on %s: %v", ln.ls.Addr, err)
		}
	}
}

// StayFirst leaves out the step that makes the next worker get the next
// connection, for comparison. Measured with 8 workers on one socket: see the
// package documentation.
func (s *Server) StayFirst() { s.stayFirst = true }

// sockaddr is the kernel's, of any family.
type sockaddr [unix.SizeofSockaddrAny]byte

// accept takes one connection and reports whether another may be waiting.
func (s *Server) accept(ln *listener) bool {
	var sa sockaddr
	size := uint32(len(sa))
	r, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(ln.sysfd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN:
		return false
	case unix.ECONNABORTED, unix.EINTR:
		s.logAccept(logging.Error, errno)
		return s.multiAccept
	case unix.EMFILE, unix.ENFILE:
		s.logAccept(logging.Crit, errno)
		s.pauseAccepting()
		return false
	default:
		s.logAccept(logging.Alert, errno)
		return false
	}
	fd := int(r)
	s.accepted++
	if !s.Reserve() {
		unix.Close(fd)
		return s.multiAccept
	}
	c := s.newConn()
	c.Listening = ln.ls
	c.setRemote(&sa)
	c.debug = s.debugs(c)
	s.number++
	c.Number = s.number
	if err := s.loop.Register(&c.FD, fd, c); err != nil {
		s.log.Logf(logging.Alert, c.Number, "%v", err)
		unix.Close(fd)
		s.Release()
		s.freeConns = append(s.freeConns, c)
		return true
	}
	c.startMsec = s.loop.NowMsec()
	s.active++
	s.countersChanged()
	s.handled++
	c.state = connWait
	c.action = "waiting for request"
	if !c.resolve(ln.port) {
		c.close()
		return true
	}
	if c.addr.opt.proxyProtocol {
		c.awaitsProxy = true
		c.action = "reading PROXY protocol"
	}
	s.idle.push(c)
	s.loop.SetTimer(&c.timer, c.addr.def.ClientHeaderTimeout.V)
	return true
}

// debugs reports whether debug_connection names the client.
func (s *Server) debugs(c *Conn) bool {
	debugged := &s.cycle.EventsConf().Debugged
	if debugged.Empty() {
		return false
	}
	a, _ := netip.AddrFromSlice(c.Binary) // not valid for "unix:", whose length is none of an address
	return debugged.Contains(a)
}

func (s *Server) logAccept(lv logging.Level, errno syscall.Errno) {
	s.log.LogErr(lv, 0, errno, "accept4() failed")
}

// setRemote keeps the client's address.
func (c *Conn) setRemote(sa *sockaddr) {
	switch binary.NativeEndian.Uint16(sa[:2]) {
	case unix.AF_INET:
		c.RemotePort = binary.BigEndian.Uint16(sa[2:4])
		c.Binary = append(c.Binary[:0], sa[4:8]...)
		c.Remote = netip.AddrFrom4([4]byte(sa[4:8])).String()
	case unix.AF_INET6:
		c.RemotePort = binary.BigEndian.Uint16(sa[2:4])
		c.Binary = append(c.Binary[:0], sa[8:24]...)
		c.Remote = netip.AddrFrom16([16]byte(sa[8:24])).String()
	default:
		c.RemotePort = 0
		c.Binary = append(c.Binary[:0], "unix:"...)
		c.Remote = "unix:"
	}
}
