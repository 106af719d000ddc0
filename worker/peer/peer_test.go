package peer

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
	"perilune/worker/loop"
)

// inLoop runs f with the baton of a loop that ends with it. f must not call
// Fatal: its goroutine would end with the baton.
func inLoop(t *testing.T, f func(l *loop.Loop)) {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	l.Defer(func() {
		f(l)
		l.Stop()
	})
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, network, addr string, serve func(net.Conn)) Addr {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	if network == "unix" {
		return Unix(addr)
	}
	ap := netip.MustParseAddrPort(ln.Addr().String())
	return TCP(ap.Addr(), ap.Port())
}

func echo(c net.Conn) {
	_, _ = io.Copy(c, c)
	c.Close()
}

func TestEcho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	addrs := []Addr{listen(t, "tcp", "127.0.0.1:0", echo), listen(t, "unix", path, echo)}
	if six, ok := freeport.Addr6(t); ok {
		addrs = append(addrs, listen(t, "tcp", six, echo))
	}
	for _, a := range addrs {
		inLoop(t, func(l *loop.Loop) {
			c, err := Dial{}.Connect(l, a, time.Second)
			if err != nil {
				t.Errorf("connect to %s: %v", a.Name, err)
				return
			}
			if !c.Quiet() {
				t.Errorf("%s: not quiet before anything was sent", a.Name)
			}
			// More than the sockets' buffers hold: writing must wait while another
			// goroutine reads.
			data := make([]byte, 8<<20)
			for i := range data {
				data[i] = byte(i * 7)
			}
			done := false
			l.Defer(func() {
				if n, err := c.Write(data, time.Second); n != len(data) || err != nil {
					t.Errorf("write to %s: %d, %v", a.Name, n, err)
				}
				_ = unix.Shutdown(c.FD.Sysfd, unix.SHUT_WR)
				done = true
			})
			got, buf := 0, make([]byte, 64<<10)
			for {
				n, err := c.Read(buf, 5*time.Second)
				for i := range n {
					if buf[i] != byte((got+i)*7) {
						t.Errorf("wrong byte at %d", got+i)
						return
					}
				}
				got += n
				if err != nil {
					if err != io.EOF || got != len(data) || !done {
						t.Errorf("%s: %d bytes, %v", a.Name, got, err)
					}
					break
				}
			}
			c.Close()
			c.Close()
		})
	}
}

func TestFailures(t *testing.T) {
	ap := netip.MustParseAddrPort(freeport.Addr(t))
	silent := listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {})
	reset := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	full := fullBacklog(t)
	inLoop(t, func(l *loop.Loop) {
		if _, err := (Dial{}).Connect(l, TCP(ap.Addr(), ap.Port()), time.Second); err != syscall.ECONNREFUSED {
			t.Errorf("closed port: %v", err)
		}
		if _, err := (Dial{}).Connect(l, Unix("/nonexistent/socket"), time.Second); err != syscall.ENOENT {
			t.Errorf("no unix socket: %v", err)
		}
		if _, err := (Dial{}).Connect(l, full, 20*time.Millisecond); !errors.Is(err, ErrTimeout) {
			t.Errorf("full backlog: %v", err)
		}
		c, err := Dial{}.Connect(l, silent, time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		var b [8]byte
		if _, err := c.Read(b[:], 10*time.Millisecond); err != ErrTimeout {
			t.Errorf("silent peer: %v", err)
		}
		l.Defer(c.Close)
		if _, err := c.Read(b[:], time.Second); err != loop.ErrStopped {
			t.Errorf("closed while it was read: %v", err)
		}
		if c, err = (Dial{}).Connect(l, reset, time.Second); err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write(b[:1], time.Second); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(b[:], time.Second); err != syscall.ECONNRESET {
			t.Errorf("reset: %v", err)
		}
		c.Close()
	})
}

// fullBacklog is the address of a socket that takes no more connections.
func fullBacklog(t *testing.T) Addr {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := sa.(*unix.SockaddrInet4).Port
	a := TCP(netip.MustParseAddr("127.0.0.1"), uint16(port))
	c, err := net.Dial("tcp", a.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return a
}

func TestIdle(t *testing.T) {
	closing := make(chan struct{})
	a := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		<-closing
		c.Close()
	})
	inLoop(t, func(l *loop.Loop) {
		c, err := Dial{}.Connect(l, a, time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		var w loop.Waiter
		c.OnIdle(func() {
			c.Close()
			l.Wake(&w, nil)
		})
		close(closing)
		if err := l.Park(&w, 5*time.Second); err != nil {
			t.Error(err)
			return
		}
		if !c.Closed() {
			t.Error("not closed")
		}
	})
}

func TestRoundTripAllocates(t *testing.T) {
	a := listen(t, "tcp", "127.0.0.1:0", echo)
	inLoop(t, func(l *loop.Loop) {
		c, err := Dial{}.Connect(l, a, time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		msg, buf := []byte("PING\r\n"), make([]byte, 64)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := c.Write(msg, time.Second); err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Read(buf, time.Second); err != nil {
				t.Error(err)
				return
			}
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
		c.Close()
	})
}
