package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// testServer is a server of this process.
type testServer struct {
	t     testing.TB
	dir   string
	addrs []string // of the listen directives, in the order of the cycle
	s     *Server
	l     *loop.Loop
	done  chan struct{}
}

// serve runs a server with the text of an http block. DIR stands for a
// temporary directory.
func serve(t testing.TB, http string, modules ...*conf.Module) *testServer {
	return serveWith(t, "events { worker_connections 512; }", http, modules...)
}

func serveWith(t testing.TB, events, http string, modules ...*conf.Module) *testServer {
	t.Helper()
	ts := &testServer{t: t, dir: t.TempDir(), done: make(chan struct{})}
	text := "error_log DIR/error.log info;\n" + events + "\nhttp {\naccess_log off;\n" + http + "\n}\n"
	text = strings.ReplaceAll(text, "DIR", ts.dir)
	file := filepath.Join(ts.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mods := append([]*conf.Module{conf.CoreModule, conf.EventsModule}, Modules()...)
	cycle, err := conf.Load(conf.Options{Prefix: ts.dir, ConfFile: file, Modules: append(mods, modules...)})
	if err != nil {
		t.Fatal(err)
	}
	makeZones(t, cycle)
	log := logging.New()
	for _, d := range cycle.CoreConf().ErrorLogs {
		log.AddDirective(cycle.Files, d)
	}
	for _, ls := range cycle.Listening {
		ts.bind(ls)
	}
	if ts.l, err = loop.New(); err != nil {
		t.Fatal(err)
	}
	if ts.s, err = NewServer(ts.l, cycle, log); err != nil {
		t.Fatal(err)
	}
	if err := cycle.Files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	if err := ts.s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ts.done)
		if err := ts.l.Run(); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		ts.l.Post(ts.l.Stop)
		<-ts.done
		cycle.Files.CloseAll()
		for _, ls := range cycle.Listening {
			for _, fd := range ls.FDs {
				_ = unix.Close(fd)
			}
		}
	})
	return ts
}

// bind opens a socket on a free port in place of what the configuration says.
func (ts *testServer) bind(ls *conf.Listening) {
	ts.t.Helper()
	network, addr := "tcp", "127.0.0.1:0"
	if ls.Network == "unix" {
		network, addr = "unix", strings.TrimPrefix(ls.Addr, "unix:")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.addrs = append(ts.addrs, l.Addr().String())
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		ts.t.Fatal(err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		ts.t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		ts.t.Fatal(err)
	}
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	_ = f.Close()
	_ = l.Close()
	ls.FDs = []int{fd}
}

// patience is how long anything may take that is waited for. It is far above what it takes: a test that runs into it has found
// a hang.
const patience = time.Minute

// do runs f with the baton.
func (ts *testServer) do(f func()) {
	done := make(chan struct{})
	ts.l.Post(func() { f(); close(done) })
	<-done
}

func (ts *testServer) dial() *client {
	ts.t.Helper()
	c, err := net.Dial("tcp", ts.addrs[0])
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{ts.t, c, bufio.NewReader(c)}
}

// errorLog waits until the error log has a line with the text, and returns it.
func (ts *testServer) errorLog(text string) string {
	ts.t.Helper()
	var log []byte
	for end := time.Now().Add(patience); time.Now().Before(end); {
		log, _ = os.ReadFile(ts.dir + "/error.log")
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, text) {
				return line
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	ts.t.Fatalf("no %q in the error log:\n%s", text, log)
	return ""
}

// client is a connection that speaks bytes.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

var dateRE = regexp.MustCompile(`(Date|Last-Modified): [A-Z][^\r]*`)

func masked(b []byte) string { return dateRE.ReplaceAllString(string(b), "$1: X") }

// all reads to the end of the connection.
func (c *client) all() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return masked(b)
}

// read reads a response with a Content-Length, or with no body.
func (c *client) read() string {
	c.t.Helper()
	var b []byte
	length := 0
	for {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", b, err)
		}
		b = append(b, line...)
		if len(line) == 2 {
			break
		}
		_, _ = fmt.Sscanf(string(line), "Content-Length: %d", &length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return masked(append(b, body...))
}

// testModule has content handlers for tests, by the test_handler directive.
var testModule = &conf.Module{
	Name: "http_test",
	Kind: conf.HTTPKind,
	Commands: []conf.Command{{
		Name: "test_handler", Ctx: conf.Location, Args: conf.Take1, Level: conf.LocConf,
		Set: func(cf *conf.Conf, _ any) error {
			h, ok := testHandlers[cf.Args[1]]
			if !ok {
				return conf.Errorf("no handler %q", cf.Args[1])
			}
			LocConfOf(cf).Handler = h
			return nil
		},
	}},
}

// gate lets the requests to the handler of that name go on.
var gate atomic.Bool

var testHandlers = map[string]Handler{
	// The body, or the path of its file and its size.
	"body": func(r *Request) int {
		if err := r.ReadBody(); err != nil {
			return StatusOf(err)
		}
		body := r.BodyBytes()
		if file := r.BodyFile(); file != "" {
			b, err := os.ReadFile(file)
			if err != nil {
				return 500
			}
			body = fmt.Appendf(nil, "file of %d bytes: %d times %q", r.BodySize(), len(b), b[:1])
		}
		return r.SendResponse(200, "text/plain", body)
	},
	// One that waits as long as the query says.
	"sleep": func(r *Request) int {
		d, err := time.ParseDuration(string(r.Args))
		if err != nil {
			return 400
		}
		if r.Loop().Sleep(d) != nil {
			return Error
		}
		return r.SendResponse(200, "text/plain", []byte("slept"))
	},
	// Many bytes of unknown length.
	"big": func(r *Request) int {
		r.HeadersOut.Status = 200
		line := []byte(strings.Repeat("0123456789", 1000))
		for range 1000 {
			if r.Write(line) != nil {
				return Error
			}
		}
		if r.Finish() != nil {
			return Error
		}
		return OK
	},
	// Chunks, flushed one by one.
	"chunks": func(r *Request) int {
		r.HeadersOut.Status = 200
		for _, s := range []string{"a", "bc", "", "def"} {
			if r.Write([]byte(s)) != nil || r.Flush(true) != nil || r.Loop().Sleep(time.Millisecond) != nil {
				return Error
			}
		}
		if r.Finish() != nil {
			return Error
		}
		return OK
	},
	// One that finishes outside of its handler.
	"async": func(r *Request) int {
		r.Retain()
		r.Loop().Go(func() {
			_ = r.Loop().Sleep(5 * time.Millisecond)
			r.Finalize(r.SendResponse(200, "text/plain", []byte("later")))
		})
		return Done
	},
	// One that waits for the gate.
	"gate": func(r *Request) int {
		for !gate.Load() {
			if r.Loop().Sleep(time.Millisecond) != nil {
				return Error
			}
		}
		return r.SendResponse(200, "text/plain", []byte("slept"))
	},
	"redirect": func(r *Request) int { return r.InternalRedirect([]byte("/target"), []byte("a=b")) },
	"loop":     func(r *Request) int { return r.InternalRedirect(r.URI, nil) },
	"named":    func(r *Request) int { return r.NamedLocation([]byte("@there")) },
}

const keepAliveOK = "HTTP/1.1 200 OK\r\nServer: perilune/0.1.0\r\nDate: X\r\nContent-Type: text/plain\r\n" +
	"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s"

func okText(body string) string { return fmt.Sprintf(keepAliveOK, len(body), body) }

func (c *client) want(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// wantEnd reads to the end and expects nothing.
func (c *client) wantEnd() {
	c.t.Helper()
	if got := c.all(); got != "" {
		c.t.Fatalf("got %q, want the connection closed", got)
	}
}

func TestPipelining(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { return 200 "$uri"; }
		location /body { test_handler body; }
		location /async { test_handler async; }
		location /sleep { test_handler sleep; } }`, testModule)
	for _, step := range []int{1, 7, 100, 10000} {
		c := ts.dial()
		text := "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" +
			"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst" +
			"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n" +
			"GET /async HTTP/1.1\r\nHost: x\r\n\r\n" +
			"GET /sleep?2ms HTTP/1.1\r\nHost: x\r\n\r\n" +
			"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n0\r\n\r\n" +
			"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
		go func() {
			for text != "" {
				n := min(step, len(text))
				if _, err := io.WriteString(c, text[:n]); err != nil {
					t.Error(err)
					return
				}
				text = text[n:]
			}
		}()
		for _, want := range []string{"/1", "first", "second", "later", "slept", "/2", "/3"} {
			c.want(okText(want))
		}
	}
}

func TestBodies(t *testing.T) {
	ts := serve(t, `client_body_temp_path DIR/temp 1 2;
	server { listen 127.0.0.1:8000; client_body_buffer_size 1k; client_max_body_size 100k;
		location /body { test_handler body; }
		location /file { client_body_in_file_only clean; test_handler body; }
		location /small { client_max_body_size 10; test_handler body; } }`, testModule)
	head := func(path, rest string) string { return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + rest + "\r\n\r\n" }
	chunks := func(sizes ...int) string {
		s := ""
		for _, n := range sizes {
			s += fmt.Sprintf("%x;ext=1\r\n%s\r\n", n, strings.Repeat("z", n))
		}
		return s + "0\r\nTrailer: x\r\n\r\n"
	}
	z := func(n int) string { return strings.Repeat("z", n) }
	for _, test := range []struct{ request, want string }{
		{head("/body", "Content-Length: 0"), ""},
		{head("/body", "X: y"), ""},
		{head("/body", "Content-Length: 1200") + z(1200), z(1200)},
		{head("/body", "Content-Length: 50000") + z(50000), `file of 50000 bytes: 50000 times "z"`},
		{head("/body", "Transfer-Encoding: chunked") + chunks(1, 2, 300), z(303)},
		{head("/body", "Transfer-Encoding: chunked") + chunks(), ""},
		{head("/body", "Transfer-Encoding: chunked") + chunks(3000, 70000), `file of 73000 bytes: 73000 times "z"`},
		{head("/file", "Content-Length: 3") + "xyz", `file of 3 bytes: 3 times "x"`},
	} {
		for _, pause := range []bool{false, true} {
			c := ts.dial()
			if pause {
				// Header and body come in pieces of their own.
				i := strings.Index(test.request, "\r\n\r\n") + 4
				c.send(test.request[:i])
				ts.do(func() {})
				for _, part := range []string{test.request[i:][:(len(test.request)-i)/2], test.request[i:][(len(test.request)-i)/2:]} {
					c.send(part)
					ts.do(func() {})
				}
			} else {
				c.send(test.request)
			}
			c.want(okText(test.want))
		}
	}
	for _, request := range []string{
		head("/small", "Transfer-Encoding: chunked") + chunks(11),
		head("/small", "Content-Length: 11") + z(11),
	} {
		c := ts.dial()
		c.send(request)
		if got := c.read(); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("got %q", got)
		}
		c.wantEnd()
	}
	ts.errorLog("client intended to send too large chunked body: 0+11 bytes, client: 127.0.0.1")
	ts.errorLog("client intended to send too large body: 11 bytes, client: 127.0.0.1")
	ts.errorLog("[warn] ")
	var left []string
	_ = filepath.Walk(ts.dir+"/temp", func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestContinue(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; location / { test_handler body; } }`, testModule)
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	c.want("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("ok")
	c.want(okText("ok"))
}

func TestOutput(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location /chunks { test_handler chunks; }
		location /big { test_handler big; } }`, testModule)
	c := ts.dial()
	c.send("GET /chunks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	want := "HTTP/1.1 200 OK\r\nServer: perilune/0.1.0\r\nDate: X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
		"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"
	if got := c.all(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c = ts.dial()
	c.send("GET /chunks HTTP/1.0\r\n\r\n")
	want = "HTTP/1.1 200 OK\r\nServer: perilune/0.1.0\r\nDate: X\r\nConnection: close\r\n\r\nabcdef"
	if got := c.all(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c = ts.dial()
	c.send("HEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n")
	c.want("HTTP/1.1 200 OK\r\nServer: perilune/0.1.0\r\nDate: X\r\nConnection: keep-alive\r\n\r\n")
	// Ten megabytes to a slow reader: the handler has to wait.
	c.send("GET /big HTTP/1.0\r\n\r\n")
	_ = c.read()
	n, err := io.Copy(io.Discard, c.r)
	if err != nil || n != 10_000_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestRedirects(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location /go { test_handler redirect; }
		location /loop { test_handler loop; }
		location /name { test_handler named; }
		location @there { return 200 "named $uri"; }
		location /target { internal; return 200 "$uri $args"; } }`, testModule)
	c := ts.dial()
	c.send("GET /go?x HTTP/1.1\r\nHost: x\r\n\r\nGET /name HTTP/1.1\r\nHost: x\r\n\r\nGET /target HTTP/1.1\r\nHost: x\r\n\r\nGET /loop HTTP/1.1\r\nHost: x\r\n\r\n")
	c.want(okText("/target a=b"))
	c.want(okText("named /name"))
	if got := c.read(); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("got %q", got)
	}
	if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
		t.Errorf("got %q", got)
	}
	ts.errorLog("rewrite or internal redirection cycle while internally redirecting to \"/loop\", client: 127.0.0.1")
}

// TestParallel has slow requests not hold up quick ones.
func TestParallel(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { return 200 "quick"; }
		location /sleep { test_handler sleep; } }`, testModule)
	slow := make([]*client, 100)
	for i := range slow {
		slow[i] = ts.dial()
		slow[i].send("GET /sleep?300ms HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	c := ts.dial()
	for range 100 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText("quick"))
	}
	for _, s := range slow {
		s.want(okText("slept"))
	}
}
