// Package testpeer has the servers that tests put on the other side of a connection. They listen on loopback, each connection
// has a goroutine of its own, and all of it ends with the test. Nothing but tests imports it.
package testpeer

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// Serve listens at an address and serves each connection with f, which is closed afterwards.
func Serve(t testing.TB, network, addr string, f func(c net.Conn)) net.Addr {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, ln, f)
	return ln.Addr()
}

func accept(t testing.TB, ln net.Listener, f func(c net.Conn)) {
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c)
			}()
		}
	}()
}

// ServeTCP is Serve at some port of 127.0.0.1.
func ServeTCP(t testing.TB, f func(c net.Conn)) netip.AddrPort {
	t.Helper()
	return Serve(t, "tcp", "127.0.0.1:0", f).(*net.TCPAddr).AddrPort()
}

// ServeDNS is a name server, over TCP and UDP at the same port. answer makes an answer out of a question, nil for none.
func ServeDNS(t testing.TB, answer func(question []byte, datagram bool) []byte) netip.AddrPort {
	t.Helper()
	ln, udp := listenBoth(t)
	accept(t, ln, func(c net.Conn) {
		for {
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			a := answer(b, false)
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
		}
	})
	t.Cleanup(func() { _ = udp.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if a := answer(b[:n], true); a != nil {
				_, _ = udp.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// listenBoth listens at a port that is free for TCP and for UDP.
func listenBoth(t testing.TB) (net.Listener, *net.UDPConn) {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(ln.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return ln, udp
		}
		_ = ln.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}
