package http

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// FuzzMemcAnswer has all commands look at bytes from a server.
func FuzzMemcAnswer(f *testing.F) {
	for _, text := range []string{"STORED\r\n", "NOT_STORED\r\n", "ERROR\r\n", "CLIENT_ERROR x\r\n", "SERVER_ERROR \r\n", "12  \r\n", "DELETED\r\n", "OK\r\n", "VERSION 1\r\n", "STAT a b\r\nEND\r\n", "END\r\n", "STAT \r\nEN", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, c := range memcCommandList {
			st, n, status := c.match(data)
			if n < 0 || n > len(data) {
				t.Fatalf("%s: %d of %d bytes", c.name, n, len(data))
			}
			if st != responseDone {
				continue
			}
			if status == 0 || !bytes.HasSuffix(data[:n], crlf) {
				t.Fatalf("%s: %d %q", c.name, status, data[:n])
			}
			// What follows, and how it comes in pieces, changes nothing.
			if more, m, s := c.match(append(data[:n:n], "more"...)); more != st || m != n || s != status {
				t.Fatalf("%s: %d bytes, with more %d", c.name, n, m)
			}
			if before, _, _ := c.match(data[:n-1]); before != responseMore {
				t.Fatalf("%s: done before its end: %q", c.name, data[:n])
			}
		}
	})
}

// TestMemcKeepsConnections has one connection serve many requests, and a broken answer end it.
func TestMemcKeepsConnections(t *testing.T) {
	addr, counts := startMemcached(t)
	ts := serve(t, `upstream m { server `+addr+`; keepalive 2; } server { listen 127.0.0.1:8000;
		location / { set $memc_cmd $arg_cmd; set $memc_key $arg_key; set $memc_value $arg_val; memc_pass m; } location /own { set $memcached_key $arg_key; memcached_pass m; } }`)
	c := ts.dial()
	ask := func(uri, want string) {
		t.Helper()
		c.send("GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := c.read(); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q", uri, got)
		}
	}
	for range 20 {
		ask("/?cmd=set&key=a&val=1", "201 ")
		ask("/?cmd=get&key=a", "200 ")
		ask("/own?key=a", "200 ")
		ask("/?cmd=get&key=nix", "404 ")
		ask("/?cmd=incr&key=a&val=1", "201 ")
		ask("/?cmd=delete&key=nix", "404 ")
		ask("/?cmd=version", "200 ")
		ask("/?cmd=set&key=server&val=1", "502 ")
	}
	if conns, open := counts(); conns != 1 || open != 1 {
		t.Errorf("%d connections, %d open", conns, open)
	}
	ask("/?cmd=get&key=badend", "200 ")
	ask("/?cmd=get&key=a", "200 ")
	if conns, _ := counts(); conns != 2 {
		t.Errorf("%d connections", conns)
	}
	_ = c.Close()
	ts.none()
}

// TestMemcached speaks to the program itself.
func TestMemcached(t *testing.T) {
	bin, err := exec.LookPath("memcached")
	if err != nil {
		t.Skip("no memcached")
	}
	addr := freeport.Addr(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(bin, "-l", "127.0.0.1", "-p", port, "-U", "0", "-u", "nobody", "-t", "1", "-m", "16")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // another program: there is no event to wait for
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("memcached does not come up")
		}
	}
	ts := serve(t, `upstream m { server `+addr+`; keepalive 2; } server { listen 127.0.0.1:8000; client_max_body_size 2m; client_body_buffer_size 8k;
		location / { set $memc_cmd $arg_cmd; set $memc_key $arg_key; memc_pass m; } location /n { set $memc_cmd $arg_cmd; set $memc_key n; set $memc_value 7; memc_pass m; } }`)
	large := strings.Repeat("0123456789abcdef", 30000)
	for _, c := range []struct{ method, uri, body, status, want string }{
		{"PUT", "/?key=k", "value", "201", "STORED\r\n"}, {"GET", "/?key=k", "", "200", "value"}, {"POST", "/?key=k", "other", "200", "NOT_STORED\r\n"},
		{"PUT", "/?key=k&cmd=append", "+", "201", "STORED\r\n"}, {"PUT", "/?key=k&cmd=prepend", "-", "201", "STORED\r\n"}, {"GET", "/?key=k", "", "200", "-value+"}, {"PUT", "/?key=nix&cmd=replace", "x", "200", "NOT_STORED\r\n"},
		{"PUT", "/?key=large", large, "201", "STORED\r\n"}, {"GET", "/?key=large", "", "200", large}, {"DELETE", "/?key=large", "", "200", "DELETED\r\n"}, {"DELETE", "/?key=large", "", "404", "<html>"},
		{"PUT", "/?key=n", "1", "201", "STORED\r\n"}, {"GET", "/n?cmd=incr", "", "201", "8\r\n"}, {"GET", "/n?cmd=decr", "", "201", "1\r\n"}, {"GET", "/?cmd=version", "", "200", "VERSION "}, {"GET", "/?cmd=stats", "", "200", "STAT pid "},
		{"GET", "/?cmd=flush_all", "", "200", "OK\r\n"}, {"GET", "/?key=k", "", "404", "<html>"}, {"GET", "/?key=" + strings.Repeat("k", 300), "", "502", "<html>"},
	} {
		answer := ask(t, ts.addrs[0], fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", c.method, c.uri, len(c.body), c.body))
		status, body := answerOf(t, answer)
		if status != c.status || !strings.HasPrefix(body, c.want) || len(c.want) > 12 && body != c.want {
			t.Errorf("%s %s: %s %q", c.method, c.uri, status, cutText(body))
		}
	}
	ts.none()
}

// TestMemcachedBind has a server that answers with the address that the connection comes from.
func TestMemcachedBind(t *testing.T) {
	s := &scripted{t: t}
	s.listen(func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 100))
		from := c.RemoteAddr().(*net.TCPAddr).IP.String()
		_, _ = fmt.Fprintf(c, "VALUE k 0 %d\r\n%s\r\nEND\r\n", len(from), from)
	})
	ts := serve(t, "server { listen 127.0.0.1:8000; memcached_bind 127.0.0.9; set $memcached_key k; location / { memcached_pass "+s.addr+"; } location /off { memcached_bind off; memcached_pass "+s.addr+"; } location /arg { memcached_bind $arg_a; memcached_pass "+s.addr+"; } }")
	for uri, want := range map[string]string{"/": "127.0.0.9", "/off": "127.0.0.1", "/arg?a=127.0.0.8": "127.0.0.8", "/arg": "127.0.0.1"} {
		c := ts.dial()
		c.send("GET " + uri + " HTTP/1.0\r\n\r\n")
		if got := c.all(); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: %q", uri, got)
		}
	}
}

// TestErrorLogTwice has one file named twice, as nginx allows.
func TestErrorLogTwice(t *testing.T) {
	dir := t.TempDir()
	if got := ourMessages(t, dir, "events {}\nhttp { server { listen 127.0.0.1:8000; location / { error_log a; error_log a warn; proxy_next_upstream error updating; proxy_pass http://127.0.0.1; } } }"); got != "" {
		t.Error(got)
	}
	if got := ourMessages(t, dir, "events {}\nhttp { server { location / { limit_except CONNECT { } } } }"); !strings.Contains(got, `invalid method "CONNECT"`) {
		t.Error(got)
	}
}
