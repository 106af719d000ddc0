package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
)

// patience is how long anything may take that is waited for. It is far above
// what it takes: a test that runs into it has found a hang.
const patience = time.Minute

var (
	binary      string // what is tested
	againstReal = os.Getenv("PERILUNE_E2E_NGINX") != ""
	keepDirs    = flag.Bool("keep", false, "keep the prefix directories of the tests")
)

const realModules = "load_module /usr/lib/nginx/modules/ndk_http_module.so;" +
	"load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"

func TestMain(m *testing.M) {
	flag.Parse()
	// Orphans of the servers become children of the tests, so that a process
	// left over is found, whatever it has done to get away.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl(PR_SET_CHILD_SUBREAPER):", err)
		os.Exit(1)
	}
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	if againstReal {
		binary = "/usr/sbin/nginx"
		return run()
	}
	if binary = os.Getenv("PERILUNE_E2E_BINARY"); binary != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "perilune-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "perilune")
	build := exec.Command("go", "build", "-o", binary, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return run()
}

// config is what a test gives of an nginx.conf. PORT, PORT2, PORT3 stand for
// free ports and PREFIX for the directory wherever they appear in it.
type config struct {
	main    string // instead of one worker in the foreground
	events  string
	http    string            // inside of http{}
	servers string            // shorthand: the inside of one server on PORT
	whole   string            // instead of all of the above
	files   map[string]string // further files, paths under the prefix
	args    []string          // further arguments of the command line
}

// server is a running perilune.
type server struct {
	t      testing.TB
	dir    string
	conf   config
	ports  [3]string
	addr   string // 127.0.0.1:PORT
	pid    int    // of the master
	cmd    *exec.Cmd
	stderr lockedBuffer
	gone   bool // it has been stopped, and looked after
}

// newServer makes the prefix directory without starting anything.
func newServer(t testing.TB, c config) *server {
	t.Helper()
	s := &server{t: t, conf: c}
	var err error
	if s.dir, err = os.MkdirTemp("", "perilune-e2e-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if *keepDirs || t.Failed() && os.Getenv("PERILUNE_E2E_KEEP") != "" {
			t.Logf("kept: %s", s.dir)
			return
		}
		os.RemoveAll(s.dir)
	})
	// Workers may run as another user.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"conf", "logs", "html"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s.ports {
		_, s.ports[i], _ = net.SplitHostPort(freeport.Addr(t))
	}
	s.addr = "127.0.0.1:" + s.ports[0]
	for name, text := range c.files {
		s.writeFile(name, text)
	}
	s.writeConf(c)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) expand(text string) string {
	return strings.NewReplacer(
		"PORT2", s.ports[1], "PORT3", s.ports[2],
		"PORT", s.ports[0], "PREFIX", s.dir,
	).Replace(text)
}

func (s *server) writeFile(name, text string) {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.expand(text)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) readFile(name string) string {
	b, err := os.ReadFile(s.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Error(err)
	}
	return string(b)
}

// writeConf writes conf/nginx.conf, in one step for a server that reads it.
func (s *server) writeConf(c config) {
	s.t.Helper()
	text := c.whole
	if text == "" {
		main := c.main
		if main == "" {
			main = "daemon off; worker_processes 1;"
		}
		http := c.http
		if c.servers != "" {
			http += "\nserver {\nlisten 127.0.0.1:PORT;\n" + c.servers + "\n}\n"
		}
		text = fmt.Sprintf("%s\nerror_log logs/error.log info;\npid logs/nginx.pid;\n"+
			"events {\n%s\n}\nhttp {\naccess_log logs/access.log;\n%s\n}\n", main, c.events, http)
	}
	s.writeFile("conf/nginx.conf.new", text)
	if err := os.Rename(s.path("conf/nginx.conf.new"), s.path("conf/nginx.conf")); err != nil {
		s.t.Fatal(err)
	}
}

// command returns the binary with the prefix and further arguments.
func (s *server) command(args ...string) *exec.Cmd {
	all := []string{"-p", s.dir + "/", "-c", "conf/nginx.conf", "-e", "logs/error.log"}
	if againstReal {
		globals := realModules
		if os.Getuid() == 0 {
			globals += "user root;"
		}
		all = append(all, "-g", globals)
	}
	all = append(all, args...)
	cmd := exec.Command(binary, all...)
	cmd.Dir = s.dir
	return cmd
}

// run runs the binary to its end and returns what it printed and its exit code.
func (s *server) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, errOut bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// start starts a server and waits until it listens; the end of the test stops
// it and fails if anything of it is left over.
func start(t testing.TB, c config) *server {
	t.Helper()
	s := newServer(t, c)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = s.command(s.conf.args...)
	s.cmd.Stderr = &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.pid = s.cmd.Process.Pid
	s.t.Cleanup(s.cleanup)
	s.waitFor("the pid file", func() bool { return s.readPid() == s.pid })
}

// readPid returns the number in the pid file, 0 without one.
func (s *server) readPid() int {
	pid, _ := strconv.Atoi(strings.TrimSpace(s.readFile("logs/nginx.pid")))
	return pid
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Fatalf("kill(%d, %v): %v", s.pid, sig, err)
	}
}

// stop ends the server by the signal, waits for it and for all of its
// processes, and returns the exit code of the master.
func (s *server) stop(sig syscall.Signal) int {
	s.t.Helper()
	s.gone = true
	s.signal(sig)
	if !waitExit(s.pid, patience) {
		s.t.Errorf("the master did not exit on %v", sig)
		syscall.Kill(s.pid, syscall.SIGKILL)
	}
	code := s.reap()
	s.expectNobodyLeft()
	return code
}

func (s *server) reap() int {
	if s.cmd.ProcessState == nil {
		s.cmd.Wait()
	}
	return s.cmd.ProcessState.ExitCode()
}

// expectNobodyLeft fails for each process that outlives its master.
func (s *server) expectNobodyLeft() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for _, p := range descendants(os.Getpid()) {
		if !waitExit(p.pid, time.Until(deadline)) {
			s.t.Errorf("left over: process %d (%s)", p.pid, p.cmdline())
			syscall.Kill(p.pid, syscall.SIGKILL)
			waitExit(p.pid, patience)
		}
		var status syscall.WaitStatus
		syscall.Wait4(p.pid, &status, 0, nil)
	}
}

func (s *server) cleanup() {
	if !s.gone {
		if code := s.stop(syscall.SIGQUIT); code != 0 {
			s.t.Errorf("the master exited with %d", code)
		}
	}
	if s.t.Failed() {
		s.t.Logf("standard error:\n%s", s.stderr.String())
		s.t.Logf("error log:\n%s", tail(s.readFile("logs/error.log"), 6000))
	}
	for line := range strings.Lines(s.readFile("logs/error.log")) {
		if strings.Contains(line, "goroutine ") || strings.Contains(line, "panic:") {
			s.t.Errorf("in the error log: %s", line)
			break
		}
	}
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}
