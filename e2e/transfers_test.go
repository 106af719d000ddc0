package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/worker/testpeer"
)

// transferUpstream echoes what a tunnel brings, answers /up with the body when all of it has come, and /down with a part at
// once and the rest when it is told to.
func transferUpstream(t *testing.T, goOn chan bool) string {
	return testpeer.ServeTCP(t, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(c)
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head += line
		}
		switch {
		case strings.HasPrefix(head, "GET /tunnel"):
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n")
			io.Copy(c, r)
		case strings.HasPrefix(head, "POST /up"):
			body := make([]byte, 10)
			io.ReadFull(r, body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n%s", body)
		default:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
			<-goOn
			io.WriteString(c, "other")
		}
	}).String()
}

// TestTransfersOutliveSignals has a response, an upload that is not buffered and a tunnel under way when the worker that has
// them is to go: all of them come to their end.
func TestTransfersOutliveSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR2} {
		t.Run(sig.String(), func(t *testing.T) {
			goOn := make(chan bool)
			s := start(t, config{servers: pidServer + `location ~ ^/(up|down|tunnel) { proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;
				proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; proxy_pass http://` + transferUpstream(t, goOn) + "; }"})
			down := s.dial().send("GET /down HTTP/1.1\r\nHost: x\r\n\r\n")
			up := s.dial().send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
			tunnel := s.dial().send("GET /tunnel HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nping\n")
			down.r.Peek(1)
			if text := readUntil(t, tunnel, "ping\n"); !strings.HasPrefix(text, "HTTP/1.1 101 ") {
				t.Errorf("%q", text)
			}
			old := s.get("/").body
			s.signal(sig)
			switch sig {
			case syscall.SIGQUIT:
				s.waitFor("no more connections", func() bool {
					c, err := net.Dial("tcp", s.addr)
					if err == nil {
						c.Close()
					}
					return err != nil
				})
			case syscall.SIGUSR2:
				s.waitFor("the new master", func() bool { pid := s.readPid(); return pid != 0 && pid != s.pid })
				s.pid = s.readPid()
				fallthrough
			default:
				s.waitFor("a new worker", func() bool { return s.get("/").body != old })
			}
			tunnel.send("pong\n")
			readUntil(t, tunnel, "pong\n")
			up.send("world")
			up.read("POST").expect(t, 200, "helloworld")
			goOn <- true
			down.read("GET").expect(t, 200, "firstother")
			up.closed()
			down.closed()
			tunnel.Close()
			if sig == syscall.SIGQUIT {
				waitExit(s.pid, patience)
				s.gone = true
				s.reap()
				s.expectNobodyLeft()
			}
		})
	}
}

// readUntil reads until what has come ends in a text.
func readUntil(t *testing.T, c *conn, end string) string {
	t.Helper()
	text := ""
	for !strings.HasSuffix(text, end) {
		b, err := c.r.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, text)
		}
		text += string(b)
	}
	return text
}
