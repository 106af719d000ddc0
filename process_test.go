package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// binary is the program under test. PERILUNE_BINARY names one that is built already.
var binary string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if binary = os.Getenv("PERILUNE_BINARY"); binary == "" {
		dir, err := os.MkdirTemp("", "perilune")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "perilune")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// patience is how long anything may take that is waited for. It is far above what it takes: a test that runs into it has found
// a hang.
const patience = time.Minute

// site is a prefix directory with a configuration, and maybe a server that runs from there.
type site struct {
	t    *testing.T
	dir  string
	bin  string // what is run
	addr string
	cmd  *exec.Cmd
	err  bytes.Buffer
	done chan struct{} // closed when cmd has ended
}

func newSite(t *testing.T) *site {
	t.Helper()
	// Workers are of another user: t.TempDir makes directories that others cannot enter.
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, bin: binary, addr: freeport.Addr(t)}
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"conf", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	b, err := os.ReadFile(s.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Error(err)
	}
	return string(b)
}

// conf writes a configuration: directives for the main block, and what the server answers.
func (s *site) conf(main, body string) {
	s.t.Helper()
	s.write("conf/nginx.conf", "error_log logs/error.log info;\n"+main+`
events { worker_connections 64; }
http {
    server {
        listen `+s.addr+`;
        location / { return 200 "`+body+`"; }
    }
}
`)
}

// run runs the program to its end.
func (s *site) run(args ...string) (code int, stderr string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(s.bin, append([]string{"-p", s.dir}, args...)...)
	cmd.Stderr = &out
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s *site) mustRun(args ...string) {
	s.t.Helper()
	if code, out := s.run(args...); code != 0 {
		s.t.Fatalf("%v: code %d\n%s", args, code, out)
	}
}

// start runs the server in the foreground and waits until it serves.
func (s *site) start(args ...string) {
	s.t.Helper()
	s.spawn(args...)
	s.until("it serves", func() bool {
		// Workers of a master before it may still answer, and its file may be there.
		_, err := s.get()
		return err == nil && s.pid() == s.cmd.Process.Pid
	})
}

func (s *site) spawn(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command(s.bin, append([]string{"-p", s.dir, "-g", "daemon off;"}, args...)...)
	s.cmd.Stderr = &s.err
	s.done = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
}

// kill ends whatever still runs.
func (s *site) kill() {
	if pid := s.pid(); pid > 1 {
		for _, w := range children(pid) {
			_ = syscall.Kill(w, syscall.SIGKILL)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	if s.t.Failed() {
		s.t.Logf("standard error:\n%s\nerror.log:\n%s", s.err.String(), s.read("logs/error.log"))
	}
}

// ended waits for the end of the foreground process.
func (s *site) ended() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatal("it does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// until waits for what cannot be waited for otherwise: something that happens in another process.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// logged waits until a text is in the error log.
func (s *site) logged(text string) {
	s.t.Helper()
	s.until(fmt.Sprintf("%q is in the error log", text), func() bool { return strings.Contains(s.read("logs/error.log"), text) })
}

func (s *site) pid() int {
	n, _ := strconv.Atoi(strings.TrimSpace(s.read("logs/nginx.pid")))
	return n
}

func (s *site) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// get makes a request on a connection of its own.
func (s *site) get() (string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get("http://" + s.addr + "/")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func (s *site) wantBody(want string) {
	s.t.Helper()
	if got, err := s.get(); err != nil || got != want {
		s.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// children are the child processes of a process, zombies those that have ended.
func children(pid int) []int { return childrenIn(pid, false) }
func zombies(pid int) []int  { return childrenIn(pid, true) }

func childrenIn(pid int, zombie bool) []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(b, ')')
		f := strings.Fields(string(b[i+1:]))
		if len(f) > 1 && (f[0] == "Z") == zombie && f[1] == strconv.Itoa(pid) {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

func cmdline1(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(bytes.TrimRight(b, "\x00"))
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

// fds are what the descriptors of a process refer to, sorted, without the numbers of sockets and the like.
func fds(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	list, _ := os.ReadDir(dir)
	var out []string
	for _, e := range list {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			to, _, _ = strings.Cut(to, ":[")
			out = append(out, to)
		}
	}
	slices.Sort(out)
	return out
}

// status is a field of /proc/PID/status or of a thread's.
func status(dir, field string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}
