package http

import (
	"compress/gzip"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// datagrams opens a socket of a syslog server, and returns a function that takes the next message.
func datagrams(t *testing.T, network, address string) (where string, next func() string) {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String(), func() string {
		b := make([]byte, 64<<10)
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

var (
	syslogStamp = regexp.MustCompile(`^(<\d+>)[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d `)
	errorStamp  = regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+: \*\d+ `)
)

func plainSyslog(s string) string {
	return errorStamp.ReplaceAllString(syslogStamp.ReplaceAllString(plain(s), "${1}DATE "), "$1 ")
}

// TestSyslog compares what is sent to syslog servers with nginx's messages.
func TestSyslog(t *testing.T) {
	site := makeSite(t)
	type server struct {
		addr            string
		udp, unix, errs func() string
	}
	start := func(who string, start func(config string) []string) server {
		var s server
		dir := t.TempDir()
		var udp, errs string
		udp, s.udp = datagrams(t, "udp", "127.0.0.1:0")
		errs, s.errs = datagrams(t, "udp", "127.0.0.1:0")
		_, s.unix = datagrams(t, "unixgram", dir+"/log")
		s.addr = start("log_format f escape=json '$request|$http_x|$status'; root " + site + ";\n" +
			"server { LISTEN; server_name example.com; access_log syslog:server=" + udp + " f;\n" +
			"access_log syslog:server=unix:" + dir + "/log,facility=local0,severity=warn,tag=Tag_1,nohostname f;\n" +
			"error_log syslog:server=" + errs + ",facility=daemon,tag=err info;\n" +
			"}\n")[0]
		return s
	}
	theirs := start("nginx", func(c string) []string { return startNginx(t, c) })
	ours := start("perilune", func(c string) []string { return startServer(t, t.TempDir(), c) })
	// nginx's harness has asked whether it is up: one line of the client that sent nothing.
	for _, r := range []string{"GET /a.html|X: a\"b\n", "GET /missing", "GET /missing|Referer: x" + strings.Repeat("y", 3000), "GET /a.html|X: " + strings.Repeat("z", 3000)} {
		for _, s := range []*server{&theirs, &ours} {
			ask(t, s.addr, wire(strings.ReplaceAll(r, "\n", "")))
		}
		got, want := plainSyslog(ours.udp()), plainSyslog(theirs.udp())
		if got != want {
			t.Errorf("%.40q: %q\nnginx: %q", r, got, want)
		}
		if got, want = plainSyslog(ours.unix()), plainSyslog(theirs.unix()); got != want {
			t.Errorf("%.40q: %q\nnginx: %q", r, got, want)
		}
		if strings.Contains(r, "missing") {
			got, want = failure(ours.errs), failure(theirs.errs)
			// Where a long line is cut depends on the length of PID and number.
			if got, want = got[:min(len(got), 1900)], want[:min(len(want), 1900)]; got != want {
				t.Errorf("%.40q: %q\nnginx: %q", r, got, want)
			}
		}
	}
}

// failure takes the next message that is about a request.
func failure(next func() string) string {
	for {
		if s := plainSyslog(next()); strings.Contains(s, "[error]") {
			return s
		}
	}
}

// TestSyslogServerGone: a message that nobody takes is no reason for a request to fail, and the next one is sent again.
func TestSyslogServerGone(t *testing.T) {
	dir := t.TempDir()
	addr := startServer(t, dir, "log_format f '$uri';\n"+
		"server { LISTEN; access_log syslog:server=unix:"+dir+"/log,nohostname f; return 200 ok; }\n")[0]
	if _, body := answerOf(t, ask(t, addr, "GET /1 HTTP/1.0\r\n\r\n")); body != "ok" {
		t.Errorf("body %q", body)
	}
	for deadline := time.Now().Add(patience); ; {
		text, _ := os.ReadFile(dir + "/our-error.log")
		if time.Now().After(deadline) {
			t.Fatalf("no complaint: %q", text)
		}
		if strings.Contains(string(text), "[alert] ") && strings.Contains(string(text), "connect() failed (2: No such file or directory) while logging to syslog, server: unix:"+dir+"/log\n") {
			break
		}
		time.Sleep(time.Millisecond) // the line is written after the answer
	}
	_, next := datagrams(t, "unixgram", dir+"/log")
	ask(t, addr, "GET /2 HTTP/1.0\r\n\r\n")
	if got := next(); !strings.HasSuffix(got, " nginx: /2") || !strings.HasPrefix(got, "<190>") {
		t.Errorf("message %q", got)
	}
}

// TestPathVariables compares the files that logs with variables in their paths make with nginx's.
func TestPathVariables(t *testing.T) {
	site := makeSite(t)
	for _, cache := range []string{"", "open_log_file_cache max=2 inactive=10s min_uses=2 valid=1s;"} {
		config := func(dir string) string {
			return "log_format f '$uri'; root " + site + "; " + cache + " error_log " + dir + "/errors info;\n" +
				"server { LISTEN; server_name example.com; access_log " + dir + "/log-$arg_a.txt f;\n" +
				"location /noroot { root /nonexistent; return 200; access_log " + dir + "/never-$arg_a.txt f; } location / { return 200; } }\n"
		}
		theirs, ours := t.TempDir(), t.TempDir()
		addrs := []string{startNginx(t, config(theirs))[0], startServer(t, t.TempDir(), config(ours))[0]}
		for _, addr := range addrs {
			for _, r := range []string{"/1?a=x", "/2?a=y", "/3?a=x", "/4?a=z", "/5?a=x", "/noroot?a=x", "/6?a=", "/7?a=no/dir", "/8?a=y", "/9?a=x"} {
				ask(t, addr, wire("GET "+r))
			}
			// The last line is written when its answer has been read.
			ask(t, addr, wire("GET /end?a=end"))
		}
		for _, name := range []string{"log-x.txt", "log-y.txt", "log-z.txt", "log-.txt", "never-x.txt", "errors"} {
			want, got := logText(theirs, name), logText(ours, name)
			if got != want {
				t.Errorf("%s %s: %q\nnginx: %q", cache, name, got, want)
			}
		}
	}
}

func logText(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "none"
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(string(b), dir, "DIR")) {
		if !strings.Contains(line, "while waiting for request") && !strings.Contains(line, "[notice]") {
			lines = append(lines, plainError(line))
		}
	}
	return strings.Join(lines, "")
}

// TestLogCacheKeepsWhatIsOpen: a path that cannot be opened takes no place in the cache.
func TestLogCacheKeepsWhatIsOpen(t *testing.T) {
	ts := serve(t, `log_format f $uri; open_log_file_cache max=1 min_uses=2 valid=1m; server { listen 127.0.0.1:8000; root DIR;
		access_log DIR/logs/$arg_a f; return 200; }`)
	if err := os.Mkdir(ts.dir+"/logs", 0o777); err != nil {
		t.Fatal(err)
	}
	get := func(uri string) {
		c := ts.dial()
		c.send("GET " + uri + " HTTP/1.0\r\n\r\n")
		c.all()
		ts.none()
	}
	get("/1?a=x")
	get("/2?a=x")
	if err := os.Rename(ts.dir+"/logs", ts.dir+"/moved"); err != nil {
		t.Fatal(err)
	}
	get("/3?a=y")
	get("/4?a=x")
	if b, err := os.ReadFile(ts.dir + "/moved/x"); string(b) != "/1\n/2\n/4\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestBufferedLog: a buffer is written when it is full, when it is old, and as whole lines.
func TestBufferedLog(t *testing.T) {
	dir := t.TempDir()
	addr := startServer(t, dir, "log_format f '$uri';\n"+
		"server { LISTEN; location / { access_log "+dir+"/full f buffer=100; access_log "+dir+"/old f buffer=1k flush=50ms;\n"+
		"access_log "+dir+"/zip f gzip=9 flush=20ms; access_log "+dir+"/full f; return 200; } }\n")[0]
	line := "/" + strings.Repeat("a", 29)
	for range 5 { // of 31 bytes, twice each: three fit into 100 bytes
		ask(t, addr, "GET "+line+" HTTP/1.0\r\n\r\n")
	}
	wait := func(name string, lines int) string {
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			if name == "zip" {
				b = unzip(t, filepath.Join(dir, name))
			}
			if n := strings.Count(string(b), "\n"); n >= lines || time.Now().After(deadline) {
				if string(b) != strings.Repeat(line+"\n", lines) {
					t.Errorf("%s: %q", name, b)
				}
				return string(b)
			}
		}
	}
	wait("old", 5)
	wait("zip", 5)
	wait("full", 9) // of 10: the last one waits for two more
}

func unzip(t *testing.T, path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Error(err)
	}
	return b
}
