package http

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// sameTimes gives all files below a directory one time.
func sameTimes(t *testing.T, dir string) {
	t.Helper()
	when := unix.NsecToTimespec(1700000000e9)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestZstd(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; default_type text/html; zstd on; gzip on; zstd_static on; gzip_vary on; zstd_comp_level 3; zstd_min_length 10; }`)
	text := strings.Repeat("a text that comes again ", 5000)
	_ = os.WriteFile(ts.dir+"/page", []byte(text), 0o644)
	_ = os.WriteFile(ts.dir+"/short", []byte("short"), 0o644)
	enc, _ := zstd.NewWriter(nil)
	_ = os.WriteFile(ts.dir+"/pre.zst", enc.EncodeAll([]byte("packed before"), nil), 0o644)
	for _, c := range []struct{ path, accept, coding, want string }{
		{"/page", "gzip, zstd", "zstd", text}, {"/page", "gzip, zstd;q=0", "gzip", text}, {"/page", "br", "", text},
		{"/short", "zstd", "", "short"}, {"/pre", "zstd", "zstd", "packed before"},
	} {
		for range 2 { // the second time with an encoder that has been used
			answer := ask(t, ts.addrs[0], "GET "+c.path+" HTTP/1.0\r\nAccept-Encoding: "+c.accept+"\r\n\r\n")
			if c.coding == "gzip" {
				answer = ask(t, ts.addrs[0], "GET "+c.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: "+c.accept+"\r\n\r\n")
				answer = unpacked(t, answer)
			}
			header, body, _ := strings.Cut(answer, "\r\n\r\n")
			if got := headerOf(header, "Content-Encoding"); got != c.coding {
				t.Errorf("%s for %q: coding %q, want %q", c.path, c.accept, got, c.coding)
			}
			if c.coding == "zstd" {
				d, _ := zstd.NewReader(nil)
				plain, err := d.DecodeAll([]byte(body), nil)
				if err != nil {
					t.Errorf("%s: %v", c.path, err)
				}
				body = string(plain)
			}
			if body != c.want {
				t.Errorf("%s for %q: body of %d bytes, want %d", c.path, c.accept, len(body), len(c.want))
			}
		}
	}
}

func headerOf(header, name string) string {
	_, value, _ := strings.Cut(header, "\r\n"+name+": ")
	value, _, _ = strings.Cut(value, "\r\n")
	return value
}

// TestGzipFlush sees each flushed piece of a body before the next is there.
func TestGzipFlush(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		ts := serve(t, `server { listen 127.0.0.1:8000; default_type text/html; gzip on; brotli on; zstd on;
			location / { echo one; echo_flush; echo_sleep 600; echo two; } }`)
		c := ts.dial()
		c.send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + coding + "\r\n\r\n")
		// The head and one chunk come while the handler still sleeps.
		buf := make([]byte, 4096)
		var got []byte
		for !bytes.Contains(got, []byte("\r\n\r\n")) || len(got)-bytes.Index(got, []byte("\r\n\r\n")) < 12 {
			n, err := c.r.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v after %q", coding, err, got)
			}
			got = append(got, buf[:n]...)
		}
		_ = c.Close()
		if coding != "gzip" {
			continue
		}
		_, chunk, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		_, data, _ := bytes.Cut(chunk, []byte("\r\n"))
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 4)
		if _, err := io.ReadFull(z, text); err != nil || string(text) != "one\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// TestSlowClient has a body that is far longer than what may be kept of it go
// through the filters to a client that does not read.
func TestSlowClient(t *testing.T) {
	const size = 48 << 20
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; default_type text/html;
		location /sub/ { sub_filter nothing x; alias DIR/; }
		location /add/ { add_before_body /sub/big; add_after_body /big; alias DIR/; }
		location /file/ { sendfile on; alias DIR/; } }`)
	if err := os.WriteFile(ts.dir+"/big", bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/sub/big": size, "/add/big": 3 * size, "/file/big": size} {
		c := ts.dial()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send("GET " + path + " HTTP/1.0\r\n\r\n")
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		for range 100 { // the server's turns until it has filled the socket
			ts.do(func() {})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("%s: %d bytes are held for a client that does not read", path, grown)
		}
		n, err := io.Copy(io.Discard, c.r)
		if err != nil || int(n) < want || int(n) > want+1000 {
			t.Errorf("%s: %d bytes, %v, want %d", path, n, err, want)
		}
	}
}

// TestLimitRate only looks that a response is not faster than allowed.
func TestLimitRate(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR;
		location / { limit_rate 20k; limit_rate_after 10k; }
		location /var/ { set $limit_rate $arg_r; sendfile on; alias DIR/; } }`)
	_ = os.WriteFile(ts.dir+"/f", bytes.Repeat([]byte{'x'}, 60<<10), 0o644)
	for _, path := range []string{"/f", "/var/f?r=20k"} {
		start := time.Now()
		c := ts.dial()
		c.send("GET " + path + " HTTP/1.0\r\n\r\n")
		n, err := io.Copy(io.Discard, c.r)
		if took := time.Since(start); err != nil || n < 60<<10 || took < 900*time.Millisecond {
			t.Errorf("%s: %d bytes in %v, %v", path, n, took, err)
		}
	}
}

// TestSendfileTurns has two clients take turns while one is sent a long file.
func TestSendfileTurns(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; sendfile on; sendfile_max_chunk 4k; location /x { return 200 x; } }`)
	if err := os.WriteFile(ts.dir+"/f", make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	c := ts.dial()
	c.send("GET /f HTTP/1.0\r\n\r\n")
	done := make(chan int64, 1)
	go func() { n, _ := io.Copy(io.Discard, c.r); done <- n }()
	d := ts.dial()
	for range 20 {
		d.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		d.read()
	}
	if n := <-done; n < 8<<20 {
		t.Errorf("%d bytes", n)
	}
}

// TestStaticAllocations bounds what a static file costs.
func TestStaticAllocations(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; sendfile on; keepalive_requests 100000000; gzip_types text/css; default_type text/html;
		location /gz/ { gzip on; alias DIR/; } location /cache/ { open_file_cache max=10; alias DIR/; } }`)
	_ = os.WriteFile(ts.dir+"/small", bytes.Repeat([]byte{'x'}, 1024), 0o644)
	c := ts.rawDial()
	for path, most := range map[string]float64{"/small": 2, "/cache/small": 2, "/gz/small": 8} {
		request := []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
		n := testing.AllocsPerRun(300, func() {
			if c.trip(request) <= 0 {
				t.Fatal("the connection is closed")
			}
		})
		if n > most {
			t.Errorf("%s: %v allocations, want at most %v", path, n, most)
		}
		t.Logf("%s: %v allocations", path, n)
	}
}

// FuzzSubSearch compares replacing in pieces with replacing at once.
func FuzzSubSearch(f *testing.F) {
	f.Add("foo", "foobar", "xfooBARfoobarfo", 3)
	f.Add("aab", "ab", "aaabaab", 2)
	f.Fuzz(func(t *testing.T, one, two, text string, cut int) {
		if one == "" || two == "" || len(text) > 1000 || len(one) > 300 || len(two) > 300 || !ascii(one+two+text) {
			return
		}
		s := &subSearch{}
		s.add(0, one)
		s.add(1, two)
		s.prepare()
		done := make([]bool, 2)
		var want, got strings.Builder
		low := strings.ToLower(text)
		for i := 0; i < len(text); {
			switch {
			case len(low[i:]) < len(one) && strings.HasPrefix(s.patterns[0], low[i:]),
				!strings.HasPrefix(low[i:], s.patterns[0]) && len(low[i:]) < len(two) && strings.HasPrefix(s.patterns[1], low[i:]):
				// The first pattern may begin here, and the body ends: as nginx does, no other is looked for.
				want.WriteString(text[i:])
				i = len(text)
			case strings.HasPrefix(low[i:], s.patterns[0]):
				want.WriteString("<0>")
				i += len(one)
			case strings.HasPrefix(low[i:], s.patterns[1]):
				want.WriteString("<1>")
				i += len(two)
			default:
				want.WriteByte(text[i])
				i++
			}
		}
		var held []byte
		cut = max(1, cut%17)
		for rest := text; rest != ""; {
			n := min(cut, len(rest))
			held = append(held, rest[:n]...)
			rest = rest[n:]
			for {
				p, at := s.find(held, done, n%2 == 0)
				got.Write(held[:at])
				held = held[at:]
				if p < 0 {
					break
				}
				got.WriteString([]string{"<0>", "<1>"}[p])
				held = held[len(s.patterns[p]):]
			}
		}
		got.Write(held)
		if got.String() != want.String() && one != two {
			t.Errorf("%q for %q and %q in pieces of %d: %q, want %q", text, one, two, cut, got.String(), want.String())
		}
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// FuzzAcceptEncoding looks that what is accepted names the coding.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip", "gzip;q=0.5, br", "gzip;q=", "x-gzip;q=1", ";q=gzip;", "gzip;q=0.0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		for _, name := range []string{"gzip", "br", "zstd"} {
			if acceptsCoding([]byte(accept), name) && !strings.Contains(strings.ToLower(accept), name) {
				t.Errorf("%q accepts %s", accept, name)
			}
		}
	})
}

// FuzzRanges looks that ranges are within the body.
func FuzzRanges(f *testing.F) {
	for _, s := range []string{"0-1", "-5", "5-", "0-1,2-3", "9223372036854775807-", " 1 - 2 , 3-"} {
		f.Add(s, int64(1000))
	}
	f.Fuzz(func(t *testing.T, spec string, size int64) {
		if size < 0 {
			return
		}
		list, status := parseRanges([]byte(spec), size, 10)
		if (status == 0) != (len(list) > 0) || len(list) > 10 {
			t.Errorf("%q: %v, %d", spec, list, status)
		}
		for _, rg := range list {
			if rg.start < 0 || rg.start >= rg.end || rg.end > size {
				t.Errorf("%q of %d bytes: %v", spec, size, rg)
			}
		}
	})
}
