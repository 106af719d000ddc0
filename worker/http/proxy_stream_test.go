package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// startReader starts an upstream that hands on what it reads, and answers when told to.
func startReader(t *testing.T) (addr string, got chan string, answer chan string) {
	t.Helper()
	got, answer = make(chan string, 100), make(chan string, 4)
	s := &scripted{t: t}
	s.listen(func(c *net.TCPConn) {
		_ = c.SetDeadline(time.Now().Add(patience))
		done := make(chan bool)
		defer close(done)
		go func() {
			for {
				select {
				case text := <-answer:
					_, _ = io.WriteString(c, text)
				case <-done:
					return
				}
			}
		}()
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if n > 0 {
				got <- string(buf[:n])
			}
			if err != nil {
				got <- "END"
				return
			}
		}
	})
	return s.addr, got, answer
}

// until collects what the upstream reads until it ends in a text.
func until(t *testing.T, got chan string, end string) string {
	t.Helper()
	text := ""
	for !strings.HasSuffix(text, end) {
		select {
		case part := <-got:
			text += part
		case <-time.After(patience):
			t.Fatalf("the upstream has got only %q", text)
		}
	}
	return text
}

const streamConf = `server { listen 127.0.0.1:8000; proxy_http_version 1.1; proxy_request_buffering off; client_body_timeout 60s; client_max_body_size 1m;
	location / { proxy_pass http://UP; }
	location /timeout { client_body_timeout 50ms; proxy_pass http://UP; } }`

// TestProxyStreamsBody passes a body on piece by piece.
func TestProxyStreamsBody(t *testing.T) {
	addr, got, answer := startReader(t)
	ts := serve(t, replaceUp(streamConf, addr))
	cl := ts.dial()
	cl.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello")
	if head := until(t, got, "\r\n\r\nhello"); !strings.Contains(head, "\r\nContent-Length: 11\r\n") {
		t.Errorf("%q", head)
	}
	cl.send(" wor")
	until(t, got, " wor")
	cl.send("ld")
	until(t, got, "ld")
	answer <- "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	if text := cl.all(); !strings.HasSuffix(text, "\r\n\r\nok") {
		t.Errorf("%q", text)
	}
	until(t, got, "END")

	cl = ts.dial()
	cl.send("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhel")
	if head := until(t, got, "3\r\nhel\r\n"); !strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n") || strings.Contains(head, "Content-Length") {
		t.Errorf("%q", head)
	}
	cl.send("lo\r\n1;x=y\r\n!\r\n0\r\n\r\n")
	until(t, got, "3\r\nlo!\r\n0\r\n\r\n")
	answer <- "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	if text := cl.all(); !strings.HasSuffix(text, "\r\n\r\nok") {
		t.Errorf("%q", text)
	}
	until(t, got, "END")
}

// TestProxyStreamEnds has bodies that do not come to their end, and answers before that.
func TestProxyStreamEnds(t *testing.T) {
	addr, got, answer := startReader(t)
	ts := serve(t, replaceUp(streamConf, addr))
	for _, c := range []struct{ request, more, want, log string }{
		{"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello", "ANSWER", "HTTP/1.1 413 Too much\r\n", ""},
		{"POST /timeout HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello", "", "", ""},
		{"POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "xy", "HTTP/1.1 400 ", "client sent invalid chunked body"},
		{"POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "\r\n200000\r\n" + strings.Repeat("x", 1<<20), "HTTP/1.1 413 ", "client intended to send too large chunked body"},
		{"POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello", "CLOSE", "", "client prematurely closed connection while sending request to upstream"},
	} {
		cl := ts.dial()
		cl.send(c.request)
		for text := ""; !strings.Contains(text, "hello"); {
			text += <-got
		}
		switch c.more {
		case "ANSWER":
			answer <- "HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n"
		case "CLOSE":
			_ = cl.Close()
		default:
			cl.send(c.more)
		}
		if c.more != "CLOSE" {
			read := cl.toEnd
			if c.more == "ANSWER" {
				read = cl.read
			}
			if text := read(); !strings.HasPrefix(text, c.want) || c.want == "" && text != "" {
				t.Errorf("%q: %q", c.request, text)
			}
		}
		until(t, got, "END")
		if c.log != "" {
			ts.errorLog(c.log)
		}
		_ = cl.Close()
	}
	waitFor(t, func() (ok bool) {
		ts.do(func() { ok = ts.s.Active() == 0 })
		return ok
	})
}

// TestProxyLargeStream passes 8 MiB on, to an upstream that is slow to begin.
func TestProxyLargeStream(t *testing.T) {
	s := &scripted{t: t}
	body := pattern(8 << 20)
	s.listen(func(c *net.TCPConn) {
		_ = c.SetDeadline(time.Now().Add(patience))
		time.Sleep(20 * time.Millisecond) // for the sockets to fill
		all := make([]byte, 0, len(body)+1000)
		buf := make([]byte, 64<<10)
		for len(all) < len(body) || !strings.HasSuffix(string(all[len(all)-10:]), string(body[len(body)-10:])) {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			all = append(all, buf[:n]...)
		}
		_, got, _ := strings.Cut(string(all), "\r\n\r\n")
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%-5v", got == string(body))
	})
	ts := serve(t, strings.Replace(replaceUp(streamConf, s.addr), "client_max_body_size 1m", "client_max_body_size 0", 1))
	cl := ts.dial()
	go cl.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
	if text := cl.all(); !strings.HasSuffix(text, "true ") {
		t.Errorf("%q", text)
	}
}

// TestUnbufferedBodyInVariable: what of the body has come by the time of the answer is in $request_body, not only what came in
// the header's buffer.
func TestUnbufferedBodyInVariable(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; client_header_buffer_size 1k;
		location / { proxy_request_buffering off; add_header X-Body $request_body; proxy_pass http://unix:DIR/up; } }
		server { listen unix:DIR/up; return 200; }`)
	body := strings.Repeat("0123456789", 128)
	for _, text := range []string{
		"Content-Length: 1280\r\n\r\n" + body,
		"Transfer-Encoding: chunked\r\n\r\n500\r\n" + body + "\r\n0\r\n\r\n",
	} {
		c := ts.dial()
		c.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + text)
		if got := c.all(); !strings.Contains(got, "\r\nX-Body: "+body+"\r\n") {
			t.Errorf("got %q", got)
		}
	}
}

// until reads until what has come ends in a text.
func (c *client) until(end string) string {
	c.t.Helper()
	text := ""
	for !strings.HasSuffix(text, end) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("%v after %q", err, text)
		}
		text += string(b)
	}
	return text
}

// theirsToo is the addresses of a server of ours and, if nginx is asked, of one of nginx.
func theirsToo(t *testing.T, servers string) map[string]string {
	t.Helper()
	addrs := map[string]string{"ours": startServer(t, fixedDir(t), servers)[0]}
	if askPeers() {
		addrs["nginx"] = startNginx(t, servers)[0]
	}
	return addrs
}

// TestProxyStreamsOn has an upstream that answers while the body still comes: it gets the rest, and the connection is kept.
func TestProxyStreamsOn(t *testing.T) {
	up, got, answer := startReader(t)
	for who, addr := range theirsToo(t, `upstream up { server `+up+`; keepalive 4; }
		server { LISTEN; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; proxy_buffering off; location / { proxy_pass http://up; } }`) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		cl := &client{Conn: c, t: t, r: bufio.NewReader(c)}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		for range 2 {
			cl.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello")
			until(t, got, "\r\n\r\nhello")
			answer <- "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
			if text := cl.until("\r\n\r\nab"); !strings.Contains(text, "200 OK") {
				t.Errorf("%s: %q", who, text)
			}
			cl.send(" wor")
			until(t, got, " wor")
			cl.send("ld")
			until(t, got, "ld")
			answer <- "cd"
			cl.until("cd")
		}
		cl.send("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		until(t, got, "\r\n\r\n5\r\nhello\r\n")
		answer <- "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
		cl.until("\r\n\r\nab")
		cl.send("x\r\n") // no chunk
		until(t, got, "END")
		if text := cl.all(); text != "" {
			t.Errorf("%s: after a bad chunk: %q", who, text)
		}
		_ = c.Close()
		cl2, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(cl2, "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello")
		until(t, got, "\r\n\r\nhello")
		answer <- "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
		until(t, got, "END") // a connection with half a request cannot be kept
		_ = cl2.Close()
	}
}

// TestProxyClientSlow has a client that takes its time: the upstream's is not counted while nobody waits for it.
func TestProxyClientSlow(t *testing.T) {
	s := &scripted{t: t}
	body := pattern(4 << 20)
	s.listen(func(c *net.TCPConn) {
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		size := len(body)
		if strings.HasPrefix(string(buf[:n]), "GET /cut") {
			size++ // it breaks off
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body)
	})
	for who, addr := range theirsToo(t, `server { LISTEN; proxy_read_timeout 300ms; proxy_max_temp_file_size 0; location / { proxy_pass http://`+s.addr+`; } location /file/ { proxy_max_temp_file_size 1024m; proxy_pass http://`+s.addr+`/; } }`) {
		for _, path := range []string{"/whole", "/cut", "/file/whole", "/file/cut"} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, "GET "+path+" HTTP/1.0\r\n\r\n")
			time.Sleep(700 * time.Millisecond) // being slow is the matter
			all, err := io.ReadAll(c)
			if _, got, _ := strings.Cut(string(all), "\r\n\r\n"); got != string(body) {
				t.Errorf("%s, %s: %d bytes of %d, %v", who, path, len(got), len(body), err)
			}
			_ = c.Close()
		}
	}
}
