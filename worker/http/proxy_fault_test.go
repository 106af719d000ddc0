package http

import (
	"strings"
	"testing"
	"time"
)

// TestProxyInvalidResponses has responses that later versions of nginx refuse than the one that others are compared with.
func TestProxyInvalidResponses(t *testing.T) {
	up := scriptedFor(t)
	ts := serve(t, "server { listen 127.0.0.1:8000; location / { proxy_pass http://"+up.addr+"; } location /hangs2 { proxy_pass http://"+up.addr+"; proxy_read_timeout 200ms; } }")
	for _, c := range []struct{ path, want, log string }{
		{"/badlength", "HTTP/1.1 502 ", `upstream sent invalid "Content-Length" header: "Content-Length: x"`},
		{"/twolength", "HTTP/1.1 502 ", `upstream sent duplicate header line: "Content-Length: 1", previous value: "Content-Length: 1"`},
		{"/both", "HTTP/1.1 502 ", `upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time`},
		{"/gzipped", "HTTP/1.1 502 ", `upstream sent unknown "Transfer-Encoding": "gzip"`},
		{"/hangs2", "HTTP/1.1 200 ", "upstream timed out (110: Connection timed out) while reading upstream"},
	} {
		cl := ts.dial()
		cl.send("GET " + c.path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := cl.toEnd(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", c.path, got)
		}
		ts.errorLog(c.log)
	}
}

// toEnd reads a page, or all until the connection is closed.
func (c *client) toEnd() string {
	var b []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.r.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil || strings.Contains(string(b), "</html>") {
			return string(b)
		}
	}
}

// TestProxyAbort has clients go away while an upstream is slow: its connection is closed.
func TestProxyAbort(t *testing.T) {
	up := scriptedFor(t)
	ts := serve(t, "server { listen 127.0.0.1:8000; location / { proxy_pass http://"+up.addr+"; } }")
	for _, path := range []string{"/hangs", "/hangs2"} {
		cl := ts.dial()
		cl.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		waitFor(t, func() bool { _, open := up.counts(); return open == 1 })
		_ = cl.Close()
		waitFor(t, func() bool { _, open := up.counts(); return open == 0 })
	}
	ts.errorLog("epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream")
	waitFor(t, func() (ok bool) {
		ts.do(func() { ok = ts.s.Active() == 0 })
		return ok
	})
}

// TestProxyTunnel switches protocols.
func TestProxyTunnel(t *testing.T) {
	up := startScripted(t, map[string]string{"/up": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst", "/next": "second" + CLOSE})
	ts := serve(t, "server { listen 127.0.0.1:8000; location / { proxy_pass http://"+up.addr+`; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`)
	cl := ts.dial()
	cl.send("GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
	got := cl.all()
	if !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.HasSuffix(got, "\r\n\r\nfirstsecond") {
		t.Errorf("got %q", got)
	}
}

// TestTunnelAtTheEnd: a loop that is stopped does not wait for the two ends of a tunnel.
func TestTunnelAtTheEnd(t *testing.T) {
	up := startScripted(t, map[string]string{"/up": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst"})
	ts := serve(t, "server { listen 127.0.0.1:8000; location / { proxy_pass http://"+up.addr+`; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`)
	cl := ts.dial()
	cl.send("GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	for got := ""; !strings.HasSuffix(got, "first"); {
		b, err := cl.r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		got += string(b)
	}
	ts.do(ts.s.Loop().Stop)
	cl.wantEnd()
}

// TestProxyAfterBreak: a URI that has been rewritten goes to the upstream as it is.
func TestProxyAfterBreak(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
			location /step { rewrite ^ /seen; break; proxy_pass http://unix:DIR/up:/other; }
			location /flag { rewrite ^ /seen break; proxy_pass http://unix:DIR/up:/other; }
			location /none { break; proxy_pass http://unix:DIR/up:/other; } }
		server { listen unix:DIR/up; return 200 $request_uri; }`)
	for path, want := range map[string]string{"/step": "/seen", "/flag": "/seen", "/none": "/other"} {
		c := ts.dial()
		c.send("GET " + path + " HTTP/1.0\r\n\r\n")
		if got := c.all(); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// waitFor waits for a condition that another goroutine brings about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("it does not come about")
}

func FuzzResponseParser(f *testing.F) {
	for _, text := range proxyScript {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, parts responseParser
		want := whole.parse(b)
		got := responseMore
		step := max(1, cut%64)
		for n := min(step, len(b)); got == responseMore; n = min(n+step, len(b)) {
			got = parts.parse(b[:n])
			if n == len(b) {
				break
			}
		}
		if got != want && want != responseInvalid && got != responseInvalid {
			t.Fatalf("in one piece %d, in pieces %d", want, got)
		}
		if want == responseDone && got == responseDone && (whole.pos != parts.pos || whole.status != parts.status || len(whole.spans) != len(parts.spans)) {
			t.Fatalf("in one piece %+v, in pieces %+v", whole, parts)
		}
	})
}
