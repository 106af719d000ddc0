package http

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTimeouts(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		client_header_timeout 2s; client_body_timeout 50ms; keepalive_timeout 60ms; lingering_timeout 40ms; send_timeout 50ms;
		location / { return 200 "ok"; }
		location /body { test_handler body; }
		location /big { test_handler big; } }`, testModule)
	var clients []*client
	for _, part := range []string{"", "GET / HT", "GET /x HTTP/1.1\r\nHo"} {
		c := ts.dial()
		c.send(part)
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.wantEnd()
	}
	ts.errorLog(`client timed out (110: Connection timed out) while waiting for request, client: 127.0.0.1, server: 127.0.0.1:8000`)
	ts.errorLog(`client timed out (110: Connection timed out) while reading client request line, client: 127.0.0.1, server: , request: "GET / HT"`)
	ts.errorLog(`client timed out (110: Connection timed out) while reading client request headers, client: 127.0.0.1, server: , request: "GET /x HTTP/1.1"`)
	// A body that does not come.
	c := ts.dial()
	c.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
	c.wantEnd()
	// Keep-alive.
	c = ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.want(okText("ok"))
	c.wantEnd()
	// Lingering: the server has sent its end, and closes after the timeout.
	c = ts.dial()
	c.send("GET / HTTP/1.1\r\nBad Header\r\n\r\n")
	if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("got %q", got)
	}
	// A client that does not read.
	c = ts.dial()
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	c.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	ts.errorLog(`client timed out (110: Connection timed out), client: 127.0.0.1, server: , request: "GET /big HTTP/1.1", host: "x"`)
	ts.none()
}

// none waits until the server has no connection left.
func (ts *testServer) none() {
	ts.t.Helper()
	var s Stats
	for end := time.Now().Add(patience); time.Now().Before(end); {
		ts.do(func() { s = ts.s.Stats() })
		if s.Active == 0 {
			if s.Reading != 0 || s.Writing != 0 || s.Waiting != 0 {
				ts.t.Errorf("%+v", s)
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	ts.t.Errorf("connections left: %+v", s)
}

func TestClientGoesAway(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { return 200 "ok"; }
		location /body { test_handler body; }
		location /big { test_handler big; } }`, testModule)
	for _, part := range []string{
		"", "GET / HT", "GET / HTTP/1.1\r\nHo", "GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
		"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
	} {
		c := ts.dial()
		c.send(part)
		ts.do(func() {})
		_ = c.Close()
	}
	ts.none()
	ts.errorLog("client closed connection while waiting for request, client: 127.0.0.1, server: 127.0.0.1:8000")
	ts.errorLog(`client prematurely closed connection while reading client request line, client: 127.0.0.1, server: , request: "GET / HT"`)
	ts.errorLog(`client prematurely closed connection while reading client request headers, client: 127.0.0.1, server: , request: "GET / HTTP/1.1"`)
	ts.errorLog(`client prematurely closed connection, client: 127.0.0.1, server: , request: "POST /body HTTP/1.1", host: "x"`)
}

func TestKeepaliveRequests(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; keepalive_requests 3; location / { return 200 ok; } }`)
	c := ts.dial()
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText("ok"))
	}
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, want := c.all(), strings.Replace(okText("ok"), "keep-alive", "close", 1); got != want {
		t.Errorf("got %q", got)
	}
}

func TestWorkerConnections(t *testing.T) {
	// One listen socket and the channel to the master leave three.
	ts := serveWith(t, "events { worker_connections 5; }",
		`server { listen 127.0.0.1:8000; location / { return 200 ok; } location /sleep { test_handler gate; } }`, testModule)
	gate.Store(false)
	idle := ts.dial()
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.want(okText("ok"))
	var busy [2]*client
	for i := range busy {
		busy[i] = ts.dial()
		busy[i].send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
		ts.waitFor(func(s Stats) bool { return s.Writing == i+1 })
	}
	// The idle one makes room for the next.
	next := ts.dial()
	next.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.wantEnd()
	ts.errorLog("[warn] ")
	ts.errorLog("5 worker_connections are not enough, reusing connections")
	ts.waitFor(func(s Stats) bool { return s.Writing == 3 })
	// No room for a fifth.
	over := ts.dial()
	over.wantEnd()
	if line := ts.errorLog("5 worker_connections are not enough\n"); !strings.Contains(line, "[alert]") {
		t.Errorf("logged %q", line)
	}
	gate.Store(true)
	for _, c := range append(busy[:], next) {
		c.want(okText("slept"))
	}
}

// waitFor waits until the counters are as wanted.
func (ts *testServer) waitFor(ok func(Stats) bool) {
	ts.t.Helper()
	var s Stats
	for end := time.Now().Add(patience); time.Now().Before(end); {
		ts.do(func() { s = ts.s.Stats() })
		if ok(s) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	ts.t.Fatalf("%+v", s)
}

func TestOutOfDescriptors(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; return 200 ok; }`)
	log, err := os.Open(ts.dir + "/error.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var c *client
	var old unix.Rlimit
	begin := time.Now()
	ts.do(func() {
		// The kernel completes the connection; accepting waits for the baton.
		c = ts.dial()
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
		// No number below that of a descriptor just made is free.
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
		}
		_ = unix.Close(fd)
		low := old
		low.Cur = uint64(fd)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Error(err)
		}
	})
	var b [4096]byte
	n := 0
	for end := begin.Add(patience); time.Now().Before(end); {
		if n, _ = log.ReadAt(b[:], 0); n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	most := 1 + int(time.Since(begin)/acceptPause)
	if line := string(b[:n]); !strings.Contains(line, "[crit]") || !strings.Contains(line, "accept4() failed (24: Too many open files)") {
		t.Errorf("logged %q", line)
	}
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.want(okText("ok"))
	n, _ = log.ReadAt(b[:], 0)
	if strings.Count(string(b[:n]), "accept4") > most {
		t.Errorf("accepting was tried again before the pause was over:\n%s", b[:n])
	}
}

func TestDrain(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { return 200 ok; }
		location /min { keepalive_min_timeout 50ms; return 200 min; }
		location /sleep { test_handler gate; } }`, testModule)
	gate.Store(false)
	fresh, idle, again, busy, least := ts.dial(), ts.dial(), ts.dial(), ts.dial(), ts.dial()
	for _, c := range []*client{idle, again} {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText("ok"))
	}
	least.send("GET /min HTTP/1.1\r\nHost: x\r\n\r\n")
	least.want(okText("min"))
	busy.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
	ts.waitFor(func(s Stats) bool { return s.Writing == 1 && s.Active == 5 })
	drained := make(chan struct{})
	ts.do(func() {
		// On the way already when the connections in keep-alive are closed.
		again.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		ts.s.StopAccepting()
		ts.s.CloseIdle()
		ts.s.OnDrained(func() { close(drained) })
	})
	idle.wantEnd()
	last := strings.Replace(okText("ok"), "keep-alive", "close", 1)
	if got := again.all(); got != last {
		t.Errorf("a request that was on its way got %q", got)
	}
	fresh.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := fresh.all(); got != last {
		t.Errorf("a first request got %q", got)
	}
	late := ts.dial()
	late.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	gate.Store(true)
	if got, want := busy.all(), strings.Replace(okText("slept"), "keep-alive", "close", 1); got != want {
		t.Errorf("got %q", got)
	}
	least.wantEnd()
	<-drained
	ts.do(func() {
		if s := ts.s.Stats(); s.Accepted != 5 {
			t.Errorf("accepted while draining: %+v", s)
		}
	})
}

func TestUnixSocket(t *testing.T) {
	ts := serve(t, `server { listen unix:DIR/socket; location / { return 200 "$remote_addr"; } location /r { return 301 /x; } }`)
	conn, err := net.Dial("unix", ts.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(b), "\r\n\r\nunix:") {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestAdopt has a worker serve the reuseport socket of another slot.
func TestAdopt(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000 reuseport; return 200 ok; }`)
	ls := ts.s.cycle.Listening[0]
	own := ts.addrs[0]
	ts.bind(ls)
	other := ts.addrs[1]
	ts.do(func() { ls.FDs = append(ls.FDs, ls.FDs[0]) })
	// A connection that is not served is given up soon.
	served := func(addr string, limit time.Duration) bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		b, _ := io.ReadAll(c)
		return len(b) > 0
	}
	if !served(own, patience) || served(other, 100*time.Millisecond) {
		t.Error("the worker serves the other slot unasked")
	}
	ts.do(func() {
		for range 2 {
			if err := ts.s.Adopt(1); err != nil {
				t.Error(err)
			}
		}
	})
	if !served(own, patience) || !served(other, patience) {
		t.Error("the worker does not serve the slot it has adopted")
	}
	ts.do(func() { ts.s.Orphan(1) })
	if !served(own, patience) || served(other, 100*time.Millisecond) {
		t.Error("the worker still serves the slot")
	}
}

func TestMultiAccept(t *testing.T) {
	ts := serveWith(t, "events { multi_accept on; }", `server { listen 127.0.0.1:8000; return 200 ok; }`)
	ts.do(func() {
		for range 20 {
			ts.dial()
		}
	})
	ts.waitFor(func(s Stats) bool {
		if s.Accepted != 0 && s.Accepted != 20 {
			t.Fatalf("%+v after one turn", s)
		}
		return s.Accepted == 20
	})
}

// TestManyClients has clients of all kinds at once.
func TestManyClients(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { return 200 "$uri"; }
		location /body { test_handler body; }
		location /async { test_handler async; }
		location /sleep { test_handler sleep; } }`, testModule)
	done := make(chan error)
	const clients = 40
	for i := range clients {
		go func() {
			done <- func() error {
				for j := range 20 {
					c, err := net.Dial("tcp", ts.addrs[0])
					if err != nil {
						return err
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					body := strings.Repeat("q", i*j*10)
					_, err = fmt.Fprintf(c, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\nPOST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"+
						"GET /async HTTP/1.1\r\nHost: x\r\n\r\nGET /sleep?1ms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", i, j, len(body), body)
					if err != nil {
						return err
					}
					b, err := io.ReadAll(c)
					_ = c.Close()
					if err != nil {
						return err
					}
					want := okText(fmt.Sprintf("/%d/%d", i, j)) + okText(body) + okText("later") + strings.Replace(okText("slept"), "keep-alive", "close", 1)
					if got := masked(b); got != want {
						return fmt.Errorf("got %q\nwant %q", got, want)
					}
				}
				return nil
			}()
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	ts.none()
}
