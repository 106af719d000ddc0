package e2e

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/worker/testpeer"
)

// slowUpstream answers with a first part, and with the rest when it is told to.
func slowUpstream(t *testing.T) (addr string, goOn chan bool) {
	t.Helper()
	goOn = make(chan bool)
	at := testpeer.ServeTCP(t, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience))
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
		<-goOn
		io.WriteString(c, "5\r\nrest\n\r\n0\r\n\r\n")
	})
	return at.String(), goOn
}

// TestReloadFinishesProxiedRequests has a reload while an upstream has answered in part.
func TestReloadFinishesProxiedRequests(t *testing.T) {
	addr, goOn := slowUpstream(t)
	s := start(t, config{servers: pidServer + "location /proxied { proxy_pass http://" + addr + "; }"})
	pid := s.get("/").body
	c := s.dial().send("GET /proxied HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1)
	s.signal(syscall.SIGHUP)
	for deadline := time.Now().Add(patience); s.get("/").body == pid; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the old worker still answers")
		}
	}
	goOn <- true
	c.read("GET").expect(t, 200, "first\nrest\n")
	c.closed()
}

// TestUpstreamZone has two workers share what they know of a server that fails.
func TestUpstreamZone(t *testing.T) {
	const conf = `upstream up { ZONE server 127.0.0.1:1 fail_timeout=60s; server 127.0.0.1:PORT2; }
		server { listen 127.0.0.1:PORT; location / { add_header Worker $pid; proxy_pass http://up; } }
		server { listen 127.0.0.1:PORT2; return 200 fine; }`
	s := start(t, config{main: "daemon off; worker_processes 2;", http: strings.Replace(conf, "ZONE", "zone up 64k;", 1)})
	workers := map[string]bool{}
	for deadline := time.Now().Add(patience); len(workers) < 2 && time.Now().Before(deadline); {
		workers[s.get("/").expect(t, 200, "fine").header.Get("Worker")] = true
	}
	if len(workers) < 2 {
		t.Fatal("one worker answers everything")
	}
	log := s.readFile("logs/error.log")
	if n := strings.Count(log, "connect() failed (111: Connection refused) while connecting to upstream"); n != 1 {
		t.Errorf("the server was tried %d times", n)
	}
	if n := strings.Count(log, "upstream server temporarily disabled while connecting to upstream"); n != 1 {
		t.Errorf("it was disabled %d times", n)
	}
	// A reload with the same servers knows it, too.
	s.signal(syscall.SIGHUP)
	again := ""
	for deadline := time.Now().Add(patience); again == "" && time.Now().Before(deadline); {
		if w := s.get("/").expect(t, 200, "fine").header.Get("Worker"); !workers[w] {
			again = w
		}
	}
	if n := strings.Count(s.readFile("logs/error.log"), "connect() failed"); n != 1 || again == "" {
		t.Errorf("after a reload, worker %q: tried %d times", again, n)
	}
}
