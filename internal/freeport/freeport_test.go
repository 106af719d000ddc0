package freeport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAddr(t *testing.T) {
	addr := Addr(t)
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the address takes connections")
	}
	for range 2 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	}
	if addr, ok := Addr6(t); ok {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}

// TestHeld asks for any port of a range that has only the one that is held.
func TestHeld(t *testing.T) {
	addr := netip.MustParseAddrPort(Addr(t))
	var refused error
	c := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			refused = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_LOCAL_PORT_RANGE, int(addr.Port())<<16|int(addr.Port()))
		})
	}}
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if refused != nil {
		t.Skip(refused)
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v, %v: the port is given to another", l, err)
	}
}
