package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
	"perilune/master"
)

// build makes the program with another version. Each is built once.
func build(t *testing.T, version string) string {
	return buildWith(t, version, "-X perilune/conf.Version="+version)
}

func buildWith(t *testing.T, version, flags string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if path := builds.paths[version]; path != "" {
		return path
	}
	dir := filepath.Dir(binary)
	if os.Getenv("PERILUNE_BINARY") != "" {
		dir = os.TempDir()
	}
	path := filepath.Join(dir, "perilune-"+version)
	cmd := exec.Command("go", "build", "-ldflags", flags, "-o", path, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	builds.paths[version] = path
	return path
}

var builds = struct {
	sync.Mutex
	paths map[string]string
}{paths: make(map[string]string)}

// install puts a program in the place of the one that the site runs from, as a package manager does.
func (s *site) install(from string) {
	s.t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		s.t.Fatal(err)
	}
	s.installFile(b, 0o755)
}

func (s *site) installFile(text []byte, mode os.FileMode) {
	s.t.Helper()
	s.bin = s.path("perilune")
	temp := s.bin + ".new"
	if err := os.WriteFile(temp, text, mode); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(temp, s.bin); err != nil {
		s.t.Fatal(err)
	}
}

// processes are all that run the program which is installed at the site, or was.
func (s *site) processes() []int {
	var list []int
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, s.path("perilune")) {
			pid := 0
			fmt.Sscanf(link, "/proc/%d/exe", &pid)
			if alive(pid) {
				list = append(list, pid)
			}
		}
	}
	slices.Sort(list)
	return list
}

// version is what the Server header says.
func (s *site) version() string {
	r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Get("http://" + s.addr + "/")
	if err != nil {
		return err.Error()
	}
	r.Body.Close()
	return strings.TrimPrefix(r.Header.Get("Server"), "perilune/")
}

// upgrade asks for an upgrade and waits until another master is there and the old one is not.
func (s *site) upgrade() {
	s.t.Helper()
	old := s.pid()
	s.signal(syscall.SIGUSR2)
	s.until("another master has taken over", func() bool {
		pid := s.pid()
		if pid == 0 {
			s.t.Fatal("the pid file is empty or not there")
		}
		return pid != old && !alive(old)
	})
}

// upgradeFails asks for an upgrade that is to fail and checks that nothing has changed.
func (s *site) upgradeFails(why string) {
	s.t.Helper()
	old := s.pid()
	have := strings.Count(s.read("logs/error.log"), "upgrade failed, the old binary stays: ")
	s.signal(syscall.SIGUSR2)
	s.until("the upgrade has failed", func() bool {
		return strings.Count(s.read("logs/error.log"), "upgrade failed, the old binary stays: ") > have
	})
	log := s.read("logs/error.log")
	line := log[strings.LastIndex(log, "upgrade failed, the old binary stays: "):]
	line, _, _ = strings.Cut(line, "\n")
	if !strings.Contains(line, why) {
		s.t.Errorf("%q, want %q in it", line, why)
	}
	s.until("the pid file names the old master", func() bool { return s.pid() == old })
	s.until("there is no pid file of an old binary", func() bool { _, err := os.Stat(s.path("logs/nginx.pid.oldbin")); return err != nil })
	if v := s.version(); v != "1.0" {
		s.t.Errorf("after %q: version %s", why, v)
	}
}

// upgradeConf is a configuration with every kind of listen socket.
func (s *site) upgradeConf(main, http string) string {
	second := freeport.Addr(s.t)
	s.write("conf/nginx.conf", "error_log logs/error.log info;\nworker_processes 2;\n"+main+`
events { worker_connections 256; }
http {
    `+http+`
    server {
        listen `+s.addr+`;
        listen `+second+` reuseport;
        listen unix:`+s.path("sock")+`;
        location / { return 200 "hello"; }
        location /sleep { content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_t)) ngx.print("slept") } }
        location /spin { content_by_lua_block { while true do end } }
        location /eat { content_by_lua_block { local t = {} while true do t[#t + 1] = string.rep("x", 1000000) .. #t end } }
        location /wait { content_by_lua_block { while not io.open("`+s.path("gate")+`") do ngx.sleep(0.01) end ngx.print("waited") } }
        location /upload { client_max_body_size 1m; client_body_buffer_size 1m; content_by_lua_block { ngx.req.read_body() ngx.print(#ngx.req.get_body_data()) } }
        location /big { content_by_lua_block { for i = 1, 16 do ngx.print(string.rep("x", 1000)) ngx.flush(true) end } }
    }
}
`)
	return second
}

// gatedConf is upgradeConf with workers that are not ready before open is called.
func (s *site) gatedConf(main string) (open func()) {
	s.upgradeConf(main, `init_worker_by_lua_block { while not io.open("`+s.path("gate")+`") do os.execute("exec sleep 0.01") end }`)
	return func() { s.write("gate", "") }
}

// text makes a request over a connection of its own and returns the body.
func text(network, addr, path string) (string, error) {
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) { return net.Dial(network, addr) },
	}, Timeout: patience}
	r, err := c.Get("http://test" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func TestUpgrade(t *testing.T) {
	one, two := build(t, "1.0"), build(t, "2.0")
	for _, daemon := range []bool{true, false} {
		t.Run(fmt.Sprint("daemon=", daemon), func(t *testing.T) {
			s := newSite(t)
			s.install(one)
			second := s.upgradeConf("env TABLEFLIP_HAS_PARENT_7DIU3; env PERILUNE_UPGRADE;", "")
			if daemon {
				s.mustRun()
			} else {
				s.start()
			}
			before, session := stdio(s.pid()), stat(s.pid(), 6)
			inode := inodeOf(t, s.path("sock"))
			for i, binary := range []string{two, one, two} {
				old := s.pid()
				s.install(binary)
				s.upgrade()
				want := []string{"2.0", "1.0", "2.0"}[i]
				if v := s.version(); v != want {
					t.Errorf("version %s, want %s", v, want)
				}
				for _, at := range [][2]string{{"tcp", second}, {"unix", s.path("sock")}} {
					if got, err := text(at[0], at[1], "/"); got != "hello" {
						t.Errorf("%s: %q, %v", at, got, err)
					}
				}
				if _, err := os.Stat(s.path("logs/nginx.pid.oldbin")); err == nil {
					t.Error("nginx.pid.oldbin is still there")
				}
				s.until("the old workers are gone", func() bool { return len(s.processes()) == 3 })
				if i == 0 && !daemon {
					if code := s.ended(); code != 0 {
						t.Errorf("the old master's exit code is %d", code)
					}
				}
				s.logged(fmt.Sprintf("%d#%d: new binary process %d is ready", old, old, s.pid()))
			}
			if now := inodeOf(t, s.path("sock")); now != inode {
				t.Error("the socket file is another one")
			}
			if now := stdio(s.pid()); now != before {
				t.Errorf("standard files were %s and are %s", before, now)
			}
			if now := stat(s.pid(), 6); now != session {
				t.Errorf("the session was %s and is %s", session, now)
			}
			for _, w := range children(s.pid()) {
				env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w))
				if strings.Contains(string(env), "TABLEFLIP") {
					t.Errorf("a worker's environment: %q", env)
				}
			}
			pid := s.pid()
			s.mustRun("-s", "quit")
			s.until("it has ended", func() bool { return !alive(pid) })
			for _, name := range []string{"sock", "logs/nginx.pid", "logs/nginx.pid.status"} {
				if _, err := os.Lstat(s.path(name)); err == nil {
					t.Errorf("%s is still there", name)
				}
			}
		})
	}
}

func stdio(pid int) string {
	var list []string
	for fd := range 3 {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
		list = append(list, to)
	}
	return strings.Join(list, " ")
}

// stat is a field of /proc/PID/stat, by its number in proc(5).
func stat(pid, field int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return f[field-3]
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Ino
}

func TestUpgradesThatFail(t *testing.T) {
	s := newSite(t)
	one := build(t, "1.0")
	s.install(one)
	s.upgradeConf("", "")
	confText := s.read("conf/nginx.conf")
	s.mustRun()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	s.installFile([]byte("#!/bin/sh\nexit 7\n"), 0o755)
	s.upgradeFails("exited with code 7")
	before, workers := fds(s.pid()), children(s.pid())
	script := func(text string) func() {
		return func() { s.installFile([]byte("#!/bin/sh\n"+text+"\n"), 0o755) }
	}
	bad := func(main, http string) func() {
		return func() {
			s.install(one)
			s.write("conf/nginx.conf", strings.Replace(strings.Replace(confText, "events {", main+" events {", 1), "http {", "http { "+http, 1))
		}
	}
	for _, c := range []struct {
		prepare func()
		why     string
	}{
		{func() { os.Remove(s.bin) }, `execve() failed while executing new binary process "` + s.bin + `" (2: No such file or directory)`},
		{func() { s.installFile([]byte("x"), 0o644) }, `(13: Permission denied)`},
		{func() { s.installFile([]byte("\x7fELF of another machine"), 0o755) }, `(8: Exec format error)`},
		{script("exit 0"), "exited with code 0"},
		{script("kill -SEGV $$"), "exited on signal 11"},
		{bad("foo bar;", ""), `unknown directive "foo" in ` + s.path("conf/nginx.conf")},
		{bad("master_process off;", ""), "cannot change to master_process off"},
		{bad("", "init_by_lua_block { error('no way') }"), "a worker process exited with code 2"},
		{bad("pid /nowhere/pid;", ""), `open() "/nowhere/pid" failed`},
		{bad("", "server { listen 192.0.2.1:1; }"), "its files or sockets could not be opened"},
	} {
		c.prepare()
		s.upgradeFails(c.why)
		s.write("conf/nginx.conf", confText)
	}
	// A new master that is killed before it is ready.
	s.install(one)
	open := s.gatedConf("")
	old := s.pid()
	s.signal(syscall.SIGUSR2)
	var next int
	s.until("the new master has workers", func() bool {
		for _, p := range children(old) {
			if len(children(p)) > 0 {
				next = p
			}
		}
		return next != 0
	})
	if s.pid() != old || strings.TrimSpace(s.read("logs/nginx.pid.oldbin")) != fmt.Sprint(old) {
		t.Errorf("pid %d, oldbin %s, the old master is %d", s.pid(), s.read("logs/nginx.pid.oldbin"), old)
	}
	if err := syscall.Kill(next, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	open()
	s.logged("exited on signal 9")
	s.write("conf/nginx.conf", confText)
	defer func() {
		if t.Failed() {
			t.Logf("children %v, were %v; processes %v; descriptors\n%v, were\n%v", children(s.pid()), workers, s.processes(), fds(s.pid()), before)
		}
	}()
	s.until("nothing is left of the failed upgrades", func() bool {
		return slices.Equal(children(s.pid()), workers) && slices.Equal(fds(s.pid()), before) && len(s.processes()) == 3
	})
	s.install(build(t, "2.0"))
	s.upgrade()
	if v := s.version(); v != "2.0" {
		t.Errorf("version %s after all", v)
	}
}

func TestUpgradesThatHang(t *testing.T) {
	s := newSite(t)
	one := build(t, "1.0")
	s.install(one)
	s.upgradeConf("upgrade_timeout 1500ms;", "")
	s.mustRun()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	const killed = "was not ready after 1.5s, killed"
	s.installFile([]byte("#!/bin/sh\nexec sleep 100\n"), 0o755)
	s.upgradeFails(killed)
	s.install(one)
	s.upgradeConf("", "init_worker_by_lua_block { while true do end }")
	s.upgradeFails(killed)
	s.until("nothing is left of the failed upgrades", func() bool { return len(s.processes()) == 3 })
}

func TestUpgradesWhileAConnectionDrains(t *testing.T) {
	s := newSite(t)
	one, two := build(t, "1.0"), build(t, "2.0")
	s.install(one)
	s.upgradeConf("", "")
	s.start()
	first := s.processes()
	result := make(chan string, 1)
	go func() {
		got, err := text("tcp", s.addr, "/wait")
		result <- fmt.Sprint(got, err)
	}()
	s.until("the request is there", func() bool { return active(s) == 1 })
	var before []string
	for i := range 6 {
		s.install([]string{two, one}[i%2])
		s.upgrade()
		// Ours, and the one that drains.
		s.until("no process is left but one of the first", func() bool { return len(s.processes()) == 4 })
		s.until("the master knows of the one that drains", func() bool {
			r, err := report(s)
			return err == nil && len(r.Workers) == 3 && r.Workers[0].State == "draining" && r.Workers[0].Generation == 1 && r.Connections.Active >= 1
		})
		if i == 1 {
			before = fds(s.pid())
		}
	}
	if slices.ContainsFunc(s.processes(), func(p int) bool { return p == first[0] }) {
		t.Error("the first master is still there")
	}
	// The connection of a status command may have been among those before.
	s.until("there are no more descriptors than after the second upgrade", func() bool { return len(fds(s.pid())) <= len(before) })
	// Its log files are opened anew, too.
	if err := os.Rename(s.path("logs/error.log"), s.path("logs/error.log.1")); err != nil {
		t.Fatal(err)
	}
	s.mustRun("-s", "reopen")
	for _, p := range s.processes() {
		s.until("every process has the new log", func() bool {
			list := fds(p)
			return slices.Contains(list, s.path("logs/error.log")) && !slices.Contains(list, s.path("logs/error.log.1"))
		})
	}
	s.write("gate", "")
	if got := <-result; got != "waited<nil>" {
		t.Errorf("the long request got %s", got)
	}
	s.until("it has drained", func() bool { return len(s.processes()) == 3 })
	s.until("the master has noticed", func() bool { r, err := report(s); return err == nil && len(r.Workers) == 2 })
}

func TestStopEndsWorkersOfOlderMasters(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("", "")
	s.mustRun()
	for i := range 2 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /sleep?t=60 HTTP/1.1\r\nHost: x\r\n\r\n")
		s.until("the request is there", func() bool { return active(s) == i+1 })
		s.upgrade()
		s.until("the master knows of the worker", func() bool { return active(s) == i+1 })
	}
	s.mustRun("-s", "stop")
	s.until("all have ended", func() bool { return len(s.processes()) == 0 })
	s.logged("which another master has started, is gone")
}

// active counts the client connections of all workers of a site.
func active(s *site) int {
	r, err := report(s)
	if err != nil {
		return -1
	}
	return int(r.Connections.Active)
}

func report(s *site) (*master.Report, error) {
	out, err := exec.Command(s.bin, "-p", s.dir, "-s", "status-json").Output()
	if err != nil {
		return nil, err
	}
	r := new(master.Report)
	return r, json.Unmarshal(out, r)
}

func TestUpgradeChangesTheConfiguration(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	port := s.addr[strings.LastIndexByte(s.addr, ':'):]
	other, third := freeport.Addr(t), freeport.Addr(t)
	conf := func(main string, listen ...string) {
		s.write("conf/nginx.conf", "error_log logs/error.log info;\n"+main+" events {} http { server { listen "+
			strings.Join(listen, "; listen ")+"; location / { return 200 hello; } } }")
	}
	reaches := func(network, addr string) {
		t.Helper()
		// More than once, so that each of the sockets of reuseport has its turn.
		for range 8 {
			if got, err := text(network, addr, "/"); got != "hello" {
				t.Fatalf("%s: %q, %v", addr, got, err)
			}
		}
	}
	gone := func(network, addr string) {
		t.Helper()
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			t.Errorf("%s is still open", addr)
		}
	}
	conf("worker_processes 3;", s.addr, other+" reuseport", "unix:"+s.path("sock"))
	s.mustRun()
	reaches("tcp", other)

	// Fewer workers, a wildcard in place of an address, one address more, other options, no unix socket, another pid file.
	conf("worker_processes 1; pid logs/other.pid;", port[1:], other+" backlog=7", third)
	old := s.pid()
	s.signal(syscall.SIGUSR2)
	s.until("the old master is gone", func() bool { return !alive(old) })
	if s.pid() != 0 {
		t.Error("the old pid file is still there")
	}
	reaches("tcp", s.addr)
	reaches("tcp", other)
	reaches("tcp", third)
	gone("unix", s.path("sock"))
	if _, err := os.Lstat(s.path("sock")); err == nil {
		t.Error("the file of the unix socket that is not used any more is still there")
	}

	conf("worker_processes 2;", s.addr, other+" reuseport", "unix:"+s.path("sock"))
	s.mustRun("-g", "pid logs/other.pid;", "-s", "upgrade")
	s.until("there is the new pid file", func() bool { return s.pid() != 0 })
	s.until("the other one is gone", func() bool { return s.read("logs/other.pid") == "" })
	s.until("only the new processes are left", func() bool { return len(s.processes()) == 3 })
	reaches("tcp", s.addr)
	reaches("tcp", other)
	reaches("unix", s.path("sock"))
	gone("tcp", third)
}

func TestOldMasterIsKilledInAnUpgrade(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("", "")
	s.start()
	open := s.gatedConf("")
	old := s.pid()
	s.signal(syscall.SIGUSR2)
	s.until("there is a new master with a worker", func() bool {
		return slices.ContainsFunc(children(old), func(p int) bool { return len(children(p)) > 0 })
	})
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	open()
	s.until("the new master has taken over", func() bool { pid := s.pid(); return pid != old && alive(pid) && len(s.processes()) == 3 })
	s.until("the pid file of the old binary is gone", func() bool { _, err := os.Stat(s.path("logs/nginx.pid.oldbin")); return err != nil })
	s.upgrade()
}

func TestReloadsAndUpgradesTogether(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("", "init_worker_by_lua_block { os.execute('exec sleep 0.2') }")
	s.start()
	for range 3 {
		old := s.pid()
		s.signal(syscall.SIGHUP)
		s.signal(syscall.SIGUSR2)
		s.signal(syscall.SIGHUP)
		s.until("the upgrade is done", func() bool { return s.pid() != old && !alive(old) })
		// The reload that came during the upgrade is the new master's.
		s.until("all is at rest", func() bool {
			r, err := report(s)
			return err == nil && r.State == "serving" && len(s.processes()) == 3
		})
		s.wantBody("hello")
	}
}

func TestHungWorker(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("worker_hang_timeout 3s;", "")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	workers := children(s.pid())
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
	s.logged("has not answered for")
	s.logged("Lua: content_by_lua(nginx.conf:13):1: in main chunk")
	s.logged("stack: perilune/luart/vm.")
	s.logged("exited on signal 9")
	s.until("it is replaced", func() bool { return len(children(s.pid())) == 2 })
	if now := children(s.pid()); slices.Equal(now, workers) {
		t.Error("the workers are the same")
	}
	s.wantBody("hello")
	if r, err := report(s); err != nil || r.Restarts != 1 || len(r.Errors) < 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestHungWorkerWithoutAMaster(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("worker_hang_timeout 4s;", "")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	for _, at := range [][2]string{{"tcp", s.addr}, {"unix", s.path("sock")}} {
		c, err := net.Dial(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	workers := children(s.pid())
	s.signal(syscall.SIGKILL)
	<-s.done
	// The workers hang, and yet the ports are free.
	s.start()
	s.wantBody("hello")
	s.until("the workers have ended themselves", func() bool { return !slices.ContainsFunc(workers, alive) })
	s.logged("it stands still and has no master")
}

func TestWorkerOutOfMemory(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("user root; worker_oom_score_adj 300;", "")
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	workers := children(s.pid())
	for _, w := range workers {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", w)); strings.TrimSpace(string(b)) != "300" {
			t.Errorf("oom_score_adj is %s", b)
		}
		// What it has now and a little more.
		pages := strings.Fields(readFile(t, fmt.Sprintf("/proc/%d/statm", w)))
		var n uint64
		fmt.Sscan(pages[0], &n)
		if err := setAddressSpace(w, n*uint64(os.Getpagesize())+64<<20); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := text("tcp", s.addr, "/eat"); err == nil && strings.Contains(got, "hello") {
		t.Fatal("it did not run out of memory")
	}
	s.until("the worker is replaced", func() bool {
		now := children(s.pid())
		return len(now) == 2 && !slices.Equal(now, workers) && !slices.ContainsFunc(now, func(p int) bool { return !alive(p) })
	})
	s.wantBody("hello")
}

func setAddressSpace(pid int, n uint64) error {
	return unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: n, Max: n}, nil)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStatus(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("", "")
	if code, out := s.run("-s", "status"); code != 1 || !strings.Contains(out, `open() "`+s.path("logs/nginx.pid")+`" failed (2: No such file or directory)`) {
		t.Errorf("code %d, %q", code, out)
	}
	s.start()
	s.until("both workers serve", func() bool {
		r, err := report(s)
		return err == nil && len(r.Workers) == 2 && r.Workers[1].State == "serving"
	})
	if st, err := os.Stat(s.path("logs/nginx.pid.status")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", st, err)
	}
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	s.until("the connection is counted", func() bool { return active(s) == 1 })
	r, err := report(s)
	if err != nil {
		t.Fatal(err)
	}
	if r.PID != s.pid() || r.Version != "1.0" || r.Binary != s.bin || r.State != "serving" || r.Requests < 1 || len(r.Listeners) != 3 ||
		r.Listeners[1].Sockets != 2 || r.Listeners[2].Address != "unix:"+s.path("sock") || len(r.Generations) != 1 || r.Uptime <= 0 {
		t.Errorf("%+v", r)
	}
	out, err := exec.Command(s.bin, "-p", s.dir, "-s", "status").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("perilune/1.0, serving, process %d, up ", s.pid()), "GENERATION  STATE    WORKERS\n1           serving  2 of 2\n",
		fmt.Sprintf("\n%d ", children(s.pid())[0]), "\nunix:" + s.path("sock") + " ", "connections    1 active",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	s.signal(syscall.SIGKILL)
	<-s.done
	if code, out := s.run("-s", "status"); code != 1 || !strings.Contains(out, "connect() to unix:"+s.path("logs/nginx.pid.status")+" failed (111: Connection refused)") {
		t.Errorf("code %d, %q", code, out)
	}
	s.start()
	if _, err := report(s); err != nil {
		t.Errorf("after a killed master: %v", err)
	}
}

func TestUpgradeScript(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	s.upgradeConf("", "")
	script := func() (string, error) {
		out, err := exec.Command("scripts/upgrade", "-w", "20", s.bin, "-p", s.dir).CombinedOutput()
		return string(out), err
	}
	if out, err := script(); err == nil || !strings.Contains(out, "no master process answers") {
		t.Errorf("%q, %v", out, err)
	}
	s.mustRun()
	old := s.pid()
	s.install(build(t, "2.0"))
	if out, err := script(); err != nil || out != fmt.Sprintf("upgrade: perilune 1.0 (process %d) -> 2.0 (process %d)\n", old, s.pid()) {
		t.Errorf("%q, %v", out, err)
	}
	old = s.pid()
	s.upgradeConf("", "init_by_lua_block { error('no way') }")
	if out, err := script(); err == nil || !strings.Contains(out, fmt.Sprintf("upgrade: failed, process %d goes on:\n", old)) || !strings.Contains(out, "no way") {
		t.Errorf("%q, %v", out, err)
	}
}
