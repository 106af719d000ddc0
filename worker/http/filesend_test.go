package http

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
)

// largeFile writes 12 MiB, more than sockets hold.
func largeFile(t testing.TB, path string) []byte {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef"), 12<<16)
	for i := 0; i < len(data); i += 4096 {
		copy(data[i:], strconv.Itoa(i))
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return data
}

// openOf counts the descriptors of this process that are of files with the name.
func openOf(name string) int {
	n := 0
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == name {
			n++
		}
	}
	return n
}

// TestSlowFiles has files sent to clients that take them slowly, in parts, with another request behind, or not at all.
func TestSlowFiles(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; sendfile on; sendfile_max_chunk 300k; location /ok { return 200 ok; }
		location /time/ { send_timeout 50ms; alias DIR/; } location /chunk/ { sendfile_max_chunk 0; open_file_cache max=10; alias DIR/; } }`)
	name := ts.dir + "/large"
	data := largeFile(t, name)
	want := sha256.Sum256(data)
	for _, path := range []string{"/large", "/chunk/large"} {
		c := ts.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\nGET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
		ts.waitFor(func(s Stats) bool { return s.Writing == 1 })
		other := ts.dial()
		other.send("GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
		other.read()
		_ = other.Close()
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if n, err := io.Copy(sum, res.Body); n != int64(len(data)) || err != nil || [32]byte(sum.Sum(nil)) != want {
			t.Fatalf("%s: %d bytes, %v", path, n, err)
		}
		if got := c.read(); !bytes.HasSuffix([]byte(got), []byte("ok")) {
			t.Errorf("behind it: %q", got)
		}
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nRange: bytes=1000000-11999999\r\n\r\n")
		if res, err = http.ReadResponse(c.r, nil); err != nil {
			t.Fatal(err)
		}
		if part, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(part, data[1000000:12000000]) {
			t.Errorf("%s: a part of %d bytes, %v", path, len(part), err)
		}
		_ = c.Close()
	}
	c := ts.dial()
	c.send("GET /time/large HTTP/1.1\r\nHost: x\r\n\r\n")
	ts.errorLog("client timed out (110: Connection timed out) while sending response to client, client: 127.0.0.1")
	_ = c.Close()
	c = ts.dial()
	c.send("GET /large?gone HTTP/1.1\r\nHost: x\r\n\r\n")
	ts.waitFor(func(s Stats) bool { return s.Writing == 1 })
	_ = c.Close() // with bytes that have not been read: a RST
	ts.none()
	if n := openOf(name); n != 1 {
		t.Errorf("%d descriptors are left, want the one of the cache", n)
	}
}

// TestFileOfDrainingServer: a server that goes away sends what it has begun.
func TestFileOfDrainingServer(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; sendfile on; }`)
	data := largeFile(t, ts.dir+"/large")
	c := ts.dial()
	c.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	ts.waitFor(func(s Stats) bool { return s.Writing == 1 })
	drained := make(chan bool)
	ts.do(func() {
		ts.s.StopAccepting()
		ts.s.OnDrained(func() { close(drained) })
	})
	answer := c.all()
	if !bytes.HasSuffix([]byte(answer), data) {
		t.Errorf("%d bytes", len(answer))
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Errorf("not drained: %+v", ts.s.Stats())
	}
}

// TestClientLeavesWhileSending: a client that closes while its response waits for it is noticed at once, as limit_rate's next
// piece might be minutes away; a handler that goes on without its client does so.
func TestClientLeavesWhileSending(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; sendfile on;
		location /slow { limit_rate 1; return 200 0123456789; }
		location /gzip { gzip on; gzip_types *; gzip_comp_level 1; alias DIR/noise; } }`)
	largeFile(t, ts.dir+"/large")
	noise := make([]byte, 12<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	if err := os.WriteFile(ts.dir+"/noise", noise, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/slow", "/large", "/gzip"} {
		c := ts.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
		if _, err := c.r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ts.errorLog("client prematurely closed connection")
		_ = c.Close()
		ts.none()
	}
}
