package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
)

// binary is the program under test. PERILUNE_BINARY names one that is built already.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	// Masters of an upgrade and workers of a dead master become children of this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl(PR_SET_CHILD_SUBREAPER):", err)
		return 1
	}
	if binary = os.Getenv("PERILUNE_BINARY"); binary == "" {
		dir, err := os.MkdirTemp("", "perilune")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "perilune")
		cmd := exec.Command("go", "build", "-o", binary, "perilune")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// site is a prefix directory with a configuration.
type site struct {
	t    *testing.T
	dir  string
	main string // directives of the main block
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, main: "error_log logs/error.log info;\npid logs/nginx.pid;"}
	for _, d := range []string{"conf", "logs"} {
		if err := os.Mkdir(s.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("error.log:\n%s", s.read("logs/error.log"))
		}
	})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) read(name string) string {
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		return ""
	}
	return string(b)
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// conf writes a configuration of two workers that answers with body on the addresses, and slowly at /slow.
func (s *site) conf(body string, listen ...string) { s.confWith(body, "", listen...) }

func (s *site) confWith(body, http string, listen ...string) {
	s.t.Helper()
	s.confFile("conf/nginx.conf", body, http, listen...)
}

func (s *site) confFile(name, body, http string, listen ...string) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(s.main + `
worker_processes 2;
worker_shutdown_timeout 10s;
env NOTIFY_SOCKET; env WATCHDOG_USEC; env LISTEN_FDS;
events { worker_connections 256; }
http {
    access_log off;
`)
	b.WriteString(http)
	b.WriteString("\n    server {\n")
	for _, l := range listen {
		b.WriteString("        listen " + l + ";\n")
	}
	b.WriteString(`        location / { return 200 "` + body + `"; }
        location = /slow { content_by_lua_block { ngx.print("begin "); ngx.flush(true); ngx.sleep(1); ngx.print("end") } }
    }
}
`)
	s.write(name, b.String())
}

// freeAddrs are addresses of the loopback that nobody listens on.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for range n {
		list = append(list, freeport.Addr(t))
	}
	return list
}

// patience is how long anything may take that is waited for. It is far above what it takes: a test that runs into it has found
// a hang.
const patience = time.Minute

// until waits for what happens in another process and cannot be waited for otherwise.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// network tells a unix address from others.
func network(addr string) (string, string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// get asks an address, by a connection of its own, for a path.
func get(addr, path string) (string, error) {
	d := net.Dialer{Timeout: patience}
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			n, a := network(addr)
			return d.DialContext(ctx, n, a)
		},
	}}
	resp, err := c.Get("http://x" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func wantBody(t *testing.T, addr, body string) {
	t.Helper()
	got, err := get(addr, "/")
	if err != nil || got != body {
		t.Errorf("%s answers %q, %v; want %q", addr, got, err, body)
	}
}

// slow begins a request that takes a second and returns what waits for its end.
func slow(t *testing.T, addr string) (end func() (string, error)) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("begin "))
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
}

// load is clients that connect and ask again and again.
type load struct {
	stop chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex

	done, refused, broken int
	first                 error
}

func startLoad(addrs ...string) *load {
	l := &load{stop: make(chan struct{})}
	for _, a := range addrs {
		l.wg.Add(1)
		go l.run(a)
	}
	return l
}

func (l *load) run(addr string) {
	defer l.wg.Done()
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		_, err := get(addr, "/")
		l.mu.Lock()
		switch {
		case err == nil:
			l.done++
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
			l.refused++
		default:
			l.broken++
		}
		if err != nil && l.first == nil {
			l.first = err
		}
		l.mu.Unlock()
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// more waits until more requests have been answered.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	from := l.count()
	until(t, "requests are answered", func() bool { return l.count() >= from+n })
}

// end stops the clients. None may have been refused; broken is how many requests may have been cut off.
func (l *load) end(t *testing.T, broken int) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d requests, %d connections refused, %d requests cut off", l.done, l.refused, l.broken)
	if l.refused > 0 || l.broken > broken {
		t.Errorf("the first error: %v", l.first)
	}
}

func dial(addr string) (net.Conn, error) {
	n, a := network(addr)
	return net.Dial(n, a)
}
