// Package testpeer has the servers that tests put on the other side of a connection. They listen on loopback, each connection
// has a goroutine of its own, and all of it ends with the test. Nothing but tests imports it.
package testpeer

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
)

// Serve listens at an address and serves each connection with f, which is closed afterwards.
func Serve(t testing.TB, network, addr string, f func(c net.Conn)) net.Addr {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
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
	return ln.Addr()
}

// ServeTCP is Serve at some port of 127.0.0.1.
func ServeTCP(t testing.TB, f func(c net.Conn)) netip.AddrPort {
	t.Helper()
	return Serve(t, "tcp", "127.0.0.1:0", f).(*net.TCPAddr).AddrPort()
}

// ServeDNS is a name server, over TCP and UDP at the same port. answer makes an answer out of a question, nil for none.
func ServeDNS(t testing.TB, answer func(question []byte, datagram bool) []byte) netip.AddrPort {
	t.Helper()
	addr := ServeTCP(t, func(c net.Conn) {
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
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
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
	return addr
}
