package http

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/worker/testpeer"
)

// startRaw starts an upstream that answers whatever comes, and allocates nothing for that.
func startRaw(t testing.TB, response []byte) string {
	t.Helper()
	return testpeer.ServeTCP(t, func(c net.Conn) {
		f, err := c.(*net.TCPConn).File()
		_ = c.Close() // out of Go's poller
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }()
		fd := int(f.Fd())
		_ = unix.SetNonblock(fd, false)
		buf := make([]byte, 4096)
		for {
			n, err := unix.Read(fd, buf)
			if n <= 0 || err != nil {
				return
			}
			for rest := response; len(rest) > 0; {
				n, err := unix.Write(fd, rest)
				if err != nil {
					return
				}
				rest = rest[n:]
			}
		}
	}).String()
}

const proxyHot = `upstream up { server UP; keepalive 8; }
	server { listen 127.0.0.1:8000; keepalive_requests 100000000;
	location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; } }`

var hotResponse = []byte("HTTP/1.1 200 OK\r\nServer: up\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nETag: \"x\"\r\nX-Header: some value\r\n\r\nhello")

func BenchmarkProxy(b *testing.B) {
	ts := serve(b, replaceUp(proxyHot, startRaw(b, hotResponse)))
	c := ts.rawDial()
	b.ReportAllocs()
	for b.Loop() {
		if c.trip(hotRequest) <= 0 {
			b.Fatal("the connection is closed")
		}
	}
}

// TestProxyAllocations bounds what a proxied request allocates: the text of the upstream's header.
func TestProxyAllocations(t *testing.T) {
	ts := serve(t, replaceUp(proxyHot, startRaw(t, hotResponse)))
	c := ts.rawDial()
	if n := testing.AllocsPerRun(500, func() {
		if c.trip(hotRequest) <= 0 {
			t.Fatal("the connection is closed")
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func replaceUp(conf, addr string) string { return strings.ReplaceAll(conf, "UP", addr) }
