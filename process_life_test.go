package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"perilune/internal/freeport"
)

func TestForegroundLife(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	s.wantBody("one")
	master := s.cmd.Process.Pid
	if s.pid() != master {
		t.Errorf("the pid file has %d, the process is %d", s.pid(), master)
	}
	s.until("there are two workers", func() bool { return len(children(master)) == 2 })
	if got := cmdline1(master); !strings.HasPrefix(got, "perilune: master process "+binary) {
		t.Errorf("the master's title is %q", got)
	}
	for _, w := range children(master) {
		if got := cmdline1(w); got != "perilune: worker process" {
			t.Errorf("a worker's title is %q", got)
		}
	}
	s.signal(syscall.SIGQUIT)
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(s.path("logs/nginx.pid")); err == nil {
		t.Error("the pid file is still there")
	}
	if s.err.Len() > 0 {
		t.Errorf("standard error: %s", s.err.String())
	}
	log := s.read("logs/error.log")
	at := 0
	for _, line := range []string{
		`[notice] %d#%[1]d: using the "epoll" event method`, "[notice] %d#%[1]d: perilune/", "[notice] %d#%[1]d: built by go",
		"[notice] %d#%[1]d: OS: Linux ", "[notice] %d#%[1]d: getrlimit(RLIMIT_NOFILE): ", "[notice] %d#%[1]d: start worker processes",
		"[notice] %d#%[1]d: start worker process ", "[notice] %d#%[1]d: start worker process ",
		"[notice] %d#%[1]d: signal 3 (SIGQUIT) received, shutting down", "exited with code 0\n", "exited with code 0\n", "[notice] %d#%[1]d: exit\n",
	} {
		if strings.Contains(line, "%d") {
			line = fmt.Sprintf(line, master)
		}
		i := strings.Index(log[at:], line)
		if i < 0 {
			t.Fatalf("%q is not in the log, or not in its place:\n%s", line, log)
		}
		at += i + len(line)
	}
	for _, line := range []string{": gracefully shutting down\n", ": exiting\n", ": exit\n"} {
		if n := strings.Count(log, line); n < 2 {
			t.Errorf("%q is there %d times", line, n)
		}
	}
}

func TestDaemon(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	s.mustRun()
	// The sockets are open and the pid file is there when the command returns.
	s.wantBody("one")
	master := s.pid()
	if master == 0 {
		t.Fatal("no pid file")
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", master)); !strings.Contains(string(b), fmt.Sprintf(" %d ", master)) {
		t.Errorf("no session of its own: %s", b)
	}
	for fd, want := range map[int]string{0: "/dev/null", 1: "/dev/null", 2: s.path("logs/error.log")} {
		if got, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", master, fd)); got != want {
			t.Errorf("descriptor %d is %s, want %s", fd, got, want)
		}
	}
	s.mustRun("-s", "stop")
	s.until("it has ended", func() bool { return !alive(master) })
	if s.pid() != 0 {
		t.Error("the pid file is still there")
	}
}

func TestDaemonThatCannotBind(t *testing.T) {
	s := newSite(t)
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.conf("", "one")
	code, out := s.run()
	line := "nginx: [emerg] bind() to " + s.addr + " failed (98: Address already in use)\n"
	if want := strings.Repeat(line, 5) + "nginx: [emerg] still could not bind()\n"; code != 1 || out != want {
		t.Errorf("code %d, %q; want %q", code, out, want)
	}
}

func TestReloadChangesEverything(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 1;", "one")
	s.start()
	old := children(s.pid())
	second := freeport.Addr(t)
	first := s.addr
	s.addr = second
	s.conf("worker_processes 3;", "two")
	s.mustRun("-s", "reload")
	s.until("the old worker is gone", func() bool { return !alive(old[0]) })
	s.wantBody("two")
	if n := len(children(s.pid())); n != 3 {
		t.Errorf("%d workers", n)
	}
	s.until("the address that was removed is closed", func() bool {
		c, err := net.Dial("tcp", first)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func TestReloadWithErrors(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	s.start()
	old := children(s.pid())
	s.conf("foo bar;", "two")
	s.signal(syscall.SIGHUP)
	s.logged(`[emerg]`)
	s.logged(`unknown directive "foo" in ` + s.path("conf/nginx.conf") + ":2")
	s.wantBody("one")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := s.addr
	s.addr = l.Addr().String()
	s.conf("", "two")
	s.addr = addr
	s.signal(syscall.SIGHUP)
	s.logged("still could not bind()")
	s.wantBody("one")
	if got := children(s.pid()); !slices.Equal(got, old) {
		t.Errorf("the workers were %v and are %v", old, got)
	}
	s.conf("", "three")
	s.signal(syscall.SIGHUP)
	s.until("the reload after those that failed is done", func() bool { b, _ := s.get(); return b == "three" })
}

func TestWorkersAreReplaced(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	for _, c := range []struct {
		sig  syscall.Signal
		text string
	}{
		{syscall.SIGKILL, "[alert] %d#%d: worker process %d exited on signal 9"},
		{syscall.SIGTERM, "[notice] %d#%d: worker process %d exited with code 0"},
		{syscall.SIGQUIT, "[notice] %d#%d: worker process %d exited with code 0"},
		{syscall.SIGINT, "[notice] %d#%d: worker process %d exited with code 0"},
	} {
		w := children(s.pid())[0]
		if err := syscall.Kill(w, c.sig); err != nil {
			t.Fatal(err)
		}
		s.logged(fmt.Sprintf(c.text, s.pid(), s.pid(), w))
		s.until("there are two workers again", func() bool { return len(children(s.pid())) == 2 })
		s.wantBody("one")
	}
	w := children(s.pid())[0]
	if err := syscall.Kill(w, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.logged(fmt.Sprintf("%d#%d: signal 1 (SIGHUP) received, ignoring", w, w))
}

func TestReopen(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	for _, name := range []string{"error.log", "access.log"} {
		if err := os.Rename(s.path("logs/"+name), s.path("logs/"+name+".1")); err != nil {
			t.Fatal(err)
		}
	}
	s.mustRun("-s", "reopen")
	for _, pid := range append(children(s.pid()), s.pid()) {
		s.until("every process writes to the new log", func() bool {
			list := fds(pid)
			return slices.Contains(list, s.path("logs/error.log")) && !slices.Contains(list, s.path("logs/error.log.1"))
		})
	}
	s.wantBody("one")
	s.until("the request is in the new access log", func() bool { return strings.Contains(s.read("logs/access.log"), "GET / HTTP/1.1") })
	// A worker that gets the signal alone opens the files by itself.
	w := children(s.pid())[0]
	if err := os.Rename(s.path("logs/access.log"), s.path("logs/access.log.2")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// The worker's user may not make files there.
		s.write("logs/access.log", "")
		if err := os.Chmod(s.path("logs/access.log"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(w, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.until("the worker has reopened", func() bool { return slices.Contains(fds(w), s.path("logs/access.log")) })
}

func TestNothingLeaksOverReloads(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	reload := func(body string, workers int) {
		old := children(s.pid())
		s.conf(fmt.Sprintf("worker_processes %d;", workers), body)
		s.signal(syscall.SIGHUP)
		s.until("the new workers are alone", func() bool {
			now := children(s.pid())
			return len(now) == workers && !slices.ContainsFunc(now, func(w int) bool { return slices.Contains(old, w) })
		})
	}
	reload("first", 2)
	before, workerBefore := fds(s.pid()), fds(children(s.pid())[0])
	for i := range 50 {
		if i%10 == 5 {
			s.conf("broken", "x")
			s.signal(syscall.SIGHUP)
		}
		reload(fmt.Sprint("body ", i), 1+i%3)
	}
	reload("last", 2)
	s.wantBody("last")
	// The master may have had the channel of a worker that had just ended when it was asked first.
	s.until("the master has no more descriptors than before", func() bool { return len(fds(s.pid())) <= len(before) })
	s.until("a worker has no more descriptors than before", func() bool { return len(fds(children(s.pid())[0])) <= len(workerBefore) })
}

func TestNoRequestFailsInReloads(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	var stop atomic.Bool
	var requests, failures atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			for !stop.Load() {
				r, err := client.Get("http://" + s.addr + "/")
				if err == nil {
					r.Body.Close()
				}
				requests.Add(1)
				if err != nil || r.StatusCode != 200 {
					failures.Add(1)
					t.Log(err)
				}
			}
		}()
	}
	for i := range 10 {
		old := children(s.pid())
		s.conf(fmt.Sprintf("worker_processes %d;", 1+i%3), "one")
		s.signal(syscall.SIGHUP)
		s.until("the old workers are gone", func() bool { return !slices.ContainsFunc(old, alive) })
	}
	stop.Store(true)
	wg.Wait()
	if n := failures.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, requests.Load())
	}
}

func TestWorkersLeaveADeadMaster(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	workers := children(s.pid())
	s.signal(syscall.SIGKILL)
	s.until("the workers are gone", func() bool { return !slices.ContainsFunc(workers, alive) })
	s.logged("the master process is gone, shutting down")
	// A new master finds nothing in its way, not even the pid file.
	<-s.done
	s.start()
}

func TestWinch(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	s.mustRun()
	s.until("there is a worker", func() bool { return len(children(s.pid())) == 1 })
	s.signal(syscall.SIGWINCH)
	s.until("the worker is gone", func() bool { return len(children(s.pid())) == 0 })
	s.signal(syscall.SIGHUP)
	s.until("it serves again", func() bool { b, _ := s.get(); return b == "one" })
	s.mustRun("-s", "quit")
	s.until("it has ended", func() bool { return s.pid() == 0 })
}

func TestWorkerIsWhatTheConfigurationSays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change the user")
	}
	s := newSite(t)
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Skip(err)
	}
	cpu := 0 // the first that the test may run on
	if _, err := fmt.Sscan(status("/proc/self", "Cpus_allowed_list"), &cpu); err != nil {
		t.Fatal(err)
	}
	mask := "1" + strings.Repeat("0", cpu)
	s.conf(`user daemon; worker_rlimit_nofile 333; worker_rlimit_core 4096; worker_priority 5; worker_cpu_affinity `+mask+`;
working_directory `+s.path("logs")+`; env TEST_KEPT; env TEST_SET=a=b;`, "one")
	t.Setenv("TEST_KEPT", "kept")
	t.Setenv("TEST_LOST", "lost")
	t.Setenv("TZ", "UTC")
	s.start()
	w := children(s.pid())[0]
	proc := fmt.Sprintf("/proc/%d", w)
	tasks, err := filepath.Glob(proc + "/task/*")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads: %v, %v", tasks, err)
	}
	four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
	want := map[string]string{"Uid": four(daemon.Uid), "Gid": four(daemon.Gid), "Groups": daemon.Gid, "Cpus_allowed_list": fmt.Sprint(cpu)}
	for _, task := range tasks {
		for field, v := range want {
			if got := status(task, field); got != v {
				t.Errorf("%s: %s is %q, want %q", task, field, got, v)
			}
		}
		b, _ := os.ReadFile(task + "/stat")
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if f[16] != "5" {
			t.Errorf("%s: nice %s", task, f[16])
		}
	}
	limits, _ := os.ReadFile(proc + "/limits")
	for _, line := range []string{"Max open files            333                  333 ", "Max core file size        4096                 4096 "} {
		if !strings.Contains(string(limits), line) {
			t.Errorf("%q is not in\n%s", line, limits)
		}
	}
	env, _ := os.ReadFile(proc + "/environ")
	list := strings.Split(strings.TrimRight(string(env), "\x00"), "\x00")
	slices.Sort(list)
	if want := []string{"PERILUNE_WORKER=3", "TEST_KEPT=kept", "TEST_SET=a=b", "TZ=UTC"}; !slices.Equal(list, want) {
		t.Errorf("environment %q, want %q", list, want)
	}
	if dir, _ := os.Readlink(proc + "/cwd"); dir != s.path("logs") {
		t.Errorf("working directory %s", dir)
	}
	// The master has kept its own processors and priority.
	if a, b := status(fmt.Sprintf("/proc/%d", s.pid()), "Cpus_allowed_list"), status("/proc/self", "Cpus_allowed_list"); a != b {
		t.Errorf("the master may run on %s, not on %s", a, b)
	}
}

func TestWorkerHasOnlyItsDescriptors(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	f, err := os.Open(s.path("conf/nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.cmd = exec.Command(binary, "-p", s.dir)
	s.cmd.ExtraFiles = []*os.File{f, f, f}
	s.done = make(chan struct{})
	close(s.done)
	if out, err := s.cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s.wantBody("one")
	if list := fds(children(s.pid())[0]); slices.Contains(list, f.Name()) {
		t.Errorf("a worker has what was open in the shell: %v", list)
	}
}

func TestClosedStandardFiles(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	cmd := exec.Command("/bin/sh", "-c", `exec "$0" "$@" <&- >&- 2>&-`, binary, "-p", s.dir)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	s.wantBody("one")
	s.signal(syscall.SIGHUP)
	s.logged("reconfiguring")
	s.wantBody("one")
	s.mustRun("-s", "stop")
	s.until("it has ended", func() bool { return s.pid() == 0 })
}

func TestProcessOne(t *testing.T) {
	if exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run() != nil {
		t.Skip("no rights to make a process 1")
	}
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.cmd = exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", binary, "-p", s.dir, "-g", "daemon off;")
	s.cmd.Stderr = &s.err
	s.done = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	s.until("it serves", func() bool { _, err := s.get(); return err == nil })
	s.until("the pid file says 1", func() bool { return s.read("logs/nginx.pid") == "1\n" })
	inner := children(s.cmd.Process.Pid)
	if len(inner) != 1 {
		t.Fatalf("children %v", inner)
	}
	if err := syscall.Kill(inner[0], syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.logged("upgrade failed, the old binary stays: process 1 cannot make room for another one")
	s.until("there is no oldbin file", func() bool { _, err := os.Stat(s.path("logs/nginx.pid.oldbin")); return err != nil })
	os.Remove(s.path("logs/nginx.pid")) // its number means another process here
	s.until("there are two workers", func() bool { return len(children(inner[0])) == 2 })
	w := children(inner[0])[0]
	if err := syscall.Kill(w, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.logged("exited on signal 9")
	s.until("the worker was replaced", func() bool { return len(children(inner[0])) == 2 })
	// A process whose parent is gone becomes a child of process 1, which has to wait for it.
	if err := exec.Command("nsenter", "--target", fmt.Sprint(inner[0]), "--pid", "sh", "-c", "(sleep 0.2 &)").Run(); err != nil {
		t.Fatal(err)
	}
	s.until("the orphan has ended", func() bool { return len(children(inner[0])) == 2 })
	s.until("the orphan was waited for", func() bool { return len(zombies(inner[0])) == 0 })
	if err := syscall.Kill(inner[0], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended()
}

func TestSingleProcess(t *testing.T) {
	s := newSite(t)
	s.conf("master_process off;", "one")
	s.start()
	s.wantBody("one")
	if list := children(s.pid()); len(list) != 0 {
		t.Errorf("it has children: %v", list)
	}
	before := fds(s.pid())
	first := s.addr
	s.addr = freeport.Addr(t)
	s.conf("master_process off;", "two")
	s.signal(syscall.SIGHUP)
	s.until("it serves the new configuration", func() bool { b, _ := s.get(); return b == "two" })
	s.until("the old address is closed", func() bool {
		c, err := net.Dial("tcp", first)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	s.until("nothing is left of the old configuration", func() bool { return len(fds(s.pid())) <= len(before) })
	s.conf("broken", "three")
	s.signal(syscall.SIGHUP)
	s.logged("unknown directive")
	s.wantBody("two")
	if err := os.Rename(s.path("logs/access.log"), s.path("logs/old")); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	s.until("the log is reopened", func() bool { _, err := os.Stat(s.path("logs/access.log")); return err == nil })
	s.signal(syscall.SIGQUIT)
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s.pid() != 0 {
		t.Error("the pid file is still there")
	}
}

func TestPidFileMoves(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	s.start()
	pid := s.pid()
	s.conf("pid logs/other.pid;", "one")
	s.signal(syscall.SIGHUP)
	s.until("the pid file has moved", func() bool { return s.read("logs/nginx.pid") == "" && s.read("logs/other.pid") == fmt.Sprintln(pid) })
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended()
	if s.read("logs/other.pid") != "" {
		t.Error("the pid file is still there")
	}
}

// halfRequest opens a connection that a worker has to finish.
func (s *site) halfRequest() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	// The first request makes sure that a worker has the connection.
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n"); err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func TestDrainingWorkerFinishesItsRequest(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	s.start()
	c := s.halfRequest()
	defer c.Close()
	old := children(s.pid())[0]
	s.conf("", "two")
	s.signal(syscall.SIGHUP)
	s.until("the old worker shows that it drains", func() bool { return cmdline1(old) == "perilune: worker process is shutting down" })
	s.wantBody("two")
	// Two further reloads do not wait for it.
	for _, body := range []string{"three", "four"} {
		s.conf("", body)
		s.signal(syscall.SIGHUP)
		s.until("the reload is done", func() bool { b, _ := s.get(); return b == body })
	}
	if _, err := fmt.Fprint(c, "Host: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "one" || !r.Close {
		t.Errorf("%q, %v, close %v", b, err, r.Close)
	}
	s.until("the old worker is gone", func() bool { return !alive(old) })
}

func TestShutdownTimeout(t *testing.T) {
	s := newSite(t)
	s.conf("worker_shutdown_timeout 100ms;", "one")
	s.start()
	c := s.halfRequest()
	defer c.Close()
	old := children(s.pid())[0]
	s.signal(syscall.SIGHUP)
	s.until("the old worker is gone", func() bool { return !alive(old) })
	s.logged(fmt.Sprintf("worker process %d exited with code 0", old))
}

func TestReuseportSlotsOverReloads(t *testing.T) {
	s := newSite(t)
	conf := func(workers int) {
		s.write("conf/nginx.conf", fmt.Sprintf("error_log logs/error.log info; worker_processes %d; events { }\n"+
			"http { server { listen %s reuseport; location / { return 200 one; } } }", workers, s.addr))
	}
	conf(2)
	s.start()
	for _, workers := range []int{4, 1, 3} {
		old := children(s.pid())
		conf(workers)
		s.signal(syscall.SIGHUP)
		s.until("the old workers are gone", func() bool { return !slices.ContainsFunc(old, alive) })
		// The kernel spreads connections over all sockets: each of them has to be served.
		for range 100 {
			s.wantBody("one")
		}
	}
	// A worker that cannot be replaced for a while is stood in for.
	w := children(s.pid())
	for range 2 {
		if err := syscall.Kill(w[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.logged(fmt.Sprintf("worker process %d exited on signal 9", w[0]))
		for range 50 {
			s.wantBody("one")
		}
		if w = slices.DeleteFunc(children(s.pid()), func(p int) bool { return slices.Contains(w, p) }); len(w) == 0 {
			break
		}
	}
}

func TestManyReloadsAtOnce(t *testing.T) {
	s := newSite(t)
	s.conf("worker_processes 2;", "one")
	s.start()
	for range 100 {
		s.signal(syscall.SIGHUP)
	}
	s.conf("worker_processes 2;", "two")
	s.signal(syscall.SIGHUP)
	s.until("the last configuration serves", func() bool { b, _ := s.get(); return b == "two" })
	s.until("there are two workers again", func() bool { return len(children(s.pid())) == 2 })
	// A stop in the middle of a reload leaves nothing behind.
	s.signal(syscall.SIGHUP)
	workers := children(s.pid())
	s.signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if slices.ContainsFunc(workers, alive) || s.pid() != 0 {
		t.Error("something is left behind")
	}
}
