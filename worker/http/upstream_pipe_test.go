package http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/worker/testpeer"
)

// pattern is a body in which each place is known by what is there.
func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 36), '\n')
	}
	return b[:n]
}

// startSender starts an upstream that sends a response to each connection and closes it. sent gets a value each time that the
// kernel has taken all of it and the other side has closed, or read it all.
func startSender(t *testing.T, response []byte) (addr string, sent chan error) {
	t.Helper()
	sent = make(chan error, 16)
	at := testpeer.ServeTCP(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(patience))
		buf := make([]byte, 4096)
		_, _ = c.Read(buf)
		if _, err := c.Write(response); err != nil {
			sent <- err
			return
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, err := c.Read(buf) // until the server has closed it
		sent <- err
	})
	return at.String(), sent
}

func chunkedOf(body []byte, size int) []byte {
	var b []byte
	for len(body) > 0 {
		n := min(size, len(body))
		b = AppendChunkSize(b, n)
		b = append(append(b, body[:n]...), "\r\n"...)
		body = body[n:]
	}
	return AppendLastChunk(b)
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestProxySlowClient has a client that reads nothing until the upstream has sent everything and is free.
func TestProxySlowClient(t *testing.T) {
	body := pattern(20 << 20)
	for name, response := range map[string][]byte{
		"length":  append([]byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...),
		"chunked": append([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), chunkedOf(body, 1000)...),
		"close":   append([]byte("HTTP/1.1 200 OK\r\n\r\n"), body...),
	} {
		t.Run(name, func(t *testing.T) {
			addr, sent := startSender(t, response)
			dir := t.TempDir()
			ts := serve(t, fmt.Sprintf("server { listen 127.0.0.1:8000; location / { proxy_pass http://%s; proxy_temp_path %s; } }", addr, dir))
			before := openFiles(t)
			cl := ts.dial()
			cl.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
			if err := <-sent; err != io.EOF {
				t.Fatalf("the upstream is not free: %v", err)
			}
			ts.errorLog("an upstream response is buffered to a temporary file " + dir + "/")
			_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, _ error) error {
				if !e.IsDir() {
					t.Errorf("there is a file %s", path)
				}
				return nil
			})
			_, got, _ := strings.Cut(cl.all(), "\r\n\r\n")
			if got != string(body) {
				t.Errorf("the body of %d bytes is not the upstream's of %d", len(got), len(body))
			}
			_ = cl.Close()
			waitFor(t, func() bool { return openFiles(t) <= before })
		})
	}
}

// TestProxyNoTempFile has the upstream wait instead, or after a part.
func TestProxyNoTempFile(t *testing.T) {
	body := pattern(16 << 20)
	addr, sent := startSender(t, append([]byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...))
	dir := t.TempDir()
	ts := serve(t, fmt.Sprintf(`server { listen 127.0.0.1:8000; proxy_temp_path %s;
		location /none { proxy_pass http://%s; proxy_max_temp_file_size 0; }
		location /some { proxy_pass http://%s; proxy_max_temp_file_size 1m; proxy_busy_buffers_size 4k; }
		location /rate { proxy_pass http://%s; proxy_limit_rate 16m; limit_rate 64m; } }`, dir, addr, addr, addr))
	for _, path := range []string{"/none", "/some", "/rate"} {
		cl := ts.dial()
		cl.send("GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n")
		begin := make([]byte, 5)
		if _, err := io.ReadFull(cl.r, begin); err != nil {
			t.Fatal(err)
		}
		select {
		case <-sent:
			t.Errorf("%s: the upstream is free before the client has read", path)
		default:
		}
		_, got, _ := strings.Cut(cl.all(), "\r\n\r\n")
		if got != string(body) {
			t.Errorf("%s: the body of %d bytes is not the upstream's", path, len(got))
		}
		if err := <-sent; err != io.EOF {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestProxyTempFull has no room for the temporary file.
func TestProxyTempFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	body := bytes.Repeat([]byte("x"), 32<<20)
	addr, sent := startSender(t, append([]byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...))
	ts := serve(t, fmt.Sprintf("server { listen 127.0.0.1:8000; location / { proxy_pass http://%s; proxy_temp_path %s; } }", addr, dir))
	cl := ts.dial()
	cl.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if err := <-sent; err == nil || err == io.EOF {
		t.Errorf("the upstream has got rid of everything")
	}
	ts.errorLog("pwrite() \"" + dir + "/")
	ts.errorLog("failed (28: No space left on device) while reading upstream, client: 127.0.0.1, server: ")
	if got := len(cl.all()); got >= len(body) {
		t.Errorf("the client has got all %d bytes", got)
	}
	waitFor(t, func() (ok bool) {
		ts.do(func() { ok = ts.s.Active() == 0 })
		return ok
	})
}

// TestProxyTrailers passes the trailers of chunked responses on.
func TestProxyTrailers(t *testing.T) {
	up := scriptedFor(t)
	up.script["/badtrailer"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX Y: 1\r\n\r\n"
	up.script["/bigtrailer"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n"
	up.script["/latetrailer"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-One: " + PAUSE + "1\r\n" + PAUSE + "\r\n"
	ts := serve(t, "server { listen 127.0.0.1:8000; location / { proxy_pass http://"+up.addr+`; proxy_http_version 1.1; proxy_pass_trailers on;
		proxy_hide_header X-Two; add_trailer Seen "$upstream_trailer_x_one,$upstream_trailer_x_two"; } }`)
	for path, want := range map[string]string{
		"/trailers":    "\r\n5\r\nhello\r\n0\r\nX-One: 1\r\nSeen: 1,2\r\n\r\n",
		"/latetrailer": "\r\n5\r\nhello\r\n0\r\nX-One: 1\r\nSeen: 1,\r\n\r\n",
		"/chunked":     "\r\nb\r\nhello world\r\n0\r\nTrailer: x\r\nSeen: ,\r\n\r\n",
	} {
		cl := ts.dial()
		cl.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got := cl.all(); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	for path, log := range map[string]string{"/badtrailer": `upstream sent invalid trailer: "X\x20..."`, "/bigtrailer": "upstream sent too big trailers"} {
		cl := ts.dial()
		cl.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got := cl.all(); strings.HasSuffix(got, "0\r\n\r\n") {
			t.Errorf("%s: %q", path, got)
		}
		ts.errorLog(log)
	}
}
