// Package freeport finds addresses of the loopback for servers of tests. An address stays with the test that asked for it until
// the test ends: it is bound by a socket that does not listen, which the kernel lets a server with SO_REUSEADDR share, but which
// keeps it from giving the port to anybody who asks for any port. It never listens and never starts a server.
package freeport

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Addr is an address of 127.0.0.1 that refuses connections until a server of this test listens there.
func Addr(t testing.TB) string {
	t.Helper()
	addr, err := hold(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// Addr6 is the same of ::1, if there is IPv6.
func Addr6(t testing.TB) (addr string, ok bool) {
	t.Helper()
	a, err := hold(t, netip.IPv6Loopback())
	return a.String(), err == nil
}

func hold(t testing.TB, ip netip.Addr) (netip.AddrPort, error) {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if ip.Is4() {
		to = &unix.SockaddrInet4{Addr: ip.As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, to); err != nil {
		return netip.AddrPort{}, err
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := 0
	switch a := got.(type) {
	case *unix.SockaddrInet4:
		port = a.Port
	case *unix.SockaddrInet6:
		port = a.Port
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}
