package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/master"
)

// What becomes of lines when the file of a log fails, is slow, or is none.

// rootUser has the workers run as who runs the test.
func rootUser() string {
	if os.Geteuid() == 0 {
		return " user root;"
	}
	return ""
}

// failConf writes a configuration with one worker whose log, of the arguments, is at that path.
func (s *site) failConf(main, log string) {
	s.t.Helper()
	s.write("conf/nginx.conf", "error_log logs/error.log info; worker_processes 1;"+rootUser()+main+`
events { worker_connections 64; }
http {
    log_format f '$args|end';
    large_client_header_buffers 4 32k;
    server {
        listen `+s.addr+`;
        access_log `+log+`;
        location / { return 200 "ok"; }
        location /quiet { access_log off; content_by_lua_block { ngx.print("ok") } }
    }
}
`)
}

// ok asks for a URI, which must be answered soon.
func (s *site) ok(uri string) {
	s.t.Helper()
	r, err := oneShot.Get("http://" + s.addr + uri)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil || r.StatusCode != 200 {
		s.t.Fatalf("%s: %s %q, %v", uri, r.Status, b, err)
	}
}

// counted returns what the status says of a log file.
func (s *site) counted(path string) master.ReportLog {
	s.t.Helper()
	if !filepath.IsAbs(path) && path != "" {
		path = s.path(path)
	}
	r, err := report(s)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range r.Logs {
		if l.Path == path {
			return l
		}
	}
	return master.ReportLog{}
}

func (s *site) statusText() string {
	s.t.Helper()
	out, err := exec.Command(s.bin, "-p", s.dir, "-s", "status").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}

func (s *site) worker() int {
	s.t.Helper()
	var list []int
	s.until("there is one worker", func() bool { list = children(s.pid()); return len(list) == 1 })
	return list[0]
}

// TestLogToFIFO: a reader that stands still holds nobody up and loses nothing that fits into the queue; lines longer
// than PIPE_BUF of two workers are whole; a reader that has gone costs lines, which are counted, until there is one again.
func TestLogToFIFO(t *testing.T) {
	s := newSite(t)
	path := s.path("logs/fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.failConf("", path+" f")
	s.write("conf/nginx.conf", strings.Replace(s.read("conf/nginx.conf"), "worker_processes 1", "worker_processes 2", 1))
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	want := map[string]bool{}
	filler := strings.Repeat("x", 6000)
	for i := range 100 { // 600 kB, of which a pipe takes 64 KiB
		uri := fmt.Sprintf("%d.%s", i, filler)
		want[uri] = true
		s.ok("/?" + uri)
	}
	in := bufio.NewReader(r)
	take := func() string {
		if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%v, after %.20q", err, line)
			}
			if args := strings.TrimSuffix(line, "|end\n"); args != "-" { // not those of start
				return args
			}
		}
	}
	for range 100 {
		if args := take(); !want[args] {
			t.Fatalf("torn or twice: %.30q … %d bytes", args, len(args))
		} else {
			delete(want, args)
		}
	}
	if c := s.counted(path); c.Queued == 0 || c.Lost != 0 || c.Lines < 100 {
		t.Errorf("%+v", c)
	}
	_ = r.Close()
	s.until("a line is lost", func() bool { s.ok("/?lost"); return s.counted(path).Errors.Pipe > 0 })
	s.logged(`write() to "` + path + `" failed (32: Broken pipe)`)
	if r, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in.Reset(r)
	for i := range 10 {
		s.ok(fmt.Sprintf("/?back%d", i))
	}
	for got := 0; got < 10; {
		if strings.HasPrefix(take(), "back") {
			got++
		}
	}
	if text := s.statusText(); !strings.Contains(text, "no reader") {
		t.Error(text)
	}
	if n := strings.Count(s.read("logs/error.log"), "Broken pipe"); n > 2 {
		t.Errorf("%d complaints", n) // one of each worker and minute
	}
}

// TestLogToFIFOWithoutReader: the server starts, and nothing waits.
func TestLogToFIFOWithoutReader(t *testing.T) {
	s := newSite(t)
	if err := unix.Mkfifo(s.path("logs/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.failConf("", "logs/fifo f")
	s.start()
	line := strings.Repeat("y", 20000)
	for range 10 {
		s.ok("/?" + line)
	}
	f, err := os.Open(s.path("logs/fifo"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for got := 0; got < 10; {
		if !in.Scan() {
			t.Fatal(in.Err())
		}
		if text := in.Text(); text == line+"|end" {
			got++
		} else if text != "-|end" {
			t.Fatalf("torn: %.30q, %d bytes", text, len(text))
		}
	}
}

// TestLogToStandardFiles: /dev/stdout and /dev/stderr as they are in a terminal's pipe, in a file and under systemd, also
// after the logs were reopened.
func TestLogToStandardFiles(t *testing.T) {
	for _, kind := range []string{"pipe", "file", "socket"} {
		for _, name := range []string{"stdout", "stderr"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				s := newSite(t)
				s.failConf("", "/dev/"+name+" f")
				// Of standard error the error log would take the place.
				s.write("conf/nginx.conf", strings.Replace(s.read("conf/nginx.conf"), "logs/error.log info", "stderr", 1))
				var ours, theirs *os.File
				var err error
				switch kind {
				case "pipe":
					ours, theirs, err = os.Pipe()
				case "file":
					if theirs, err = os.OpenFile(s.path("out"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err == nil {
						ours, err = os.Open(s.path("out"))
					}
				case "socket":
					var fds [2]int
					if fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
						ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				defer ours.Close()
				s.cmd = exec.Command(s.bin, "-p", s.dir, "-g", "daemon off;")
				if name == "stdout" {
					s.cmd.Stdout = theirs
				} else {
					s.cmd.Stderr = theirs
				}
				s.done = make(chan struct{})
				if err := s.cmd.Start(); err != nil {
					t.Fatal(err)
				}
				_ = theirs.Close()
				go func() { _ = s.cmd.Wait(); close(s.done) }()
				s.until("it serves", func() bool { _, err := s.get(); return err == nil && s.pid() > 0 })
				in := bufio.NewReader(ours)
				wantLine := func(want string) {
					t.Helper()
					text := ""
					s.until("the line is written", func() bool {
						for {
							line, err := in.ReadString('\n')
							if text += line; text == want+"|end\n" {
								return true
							}
							if errors.Is(err, io.EOF) {
								return false
							}
							if text = ""; err != nil {
								t.Fatal(err)
							}
						}
					})
				}
				s.ok("/?one")
				wantLine("one")
				s.signal(syscall.SIGUSR1)
				s.signal(syscall.SIGHUP)
				s.ok("/?two")
				wantLine("two")
			})
		}
	}
}

// inject makes system calls of a process fail, or slow, until the function that is returned is called.
func inject(t *testing.T, pid int, args ...string) (stop func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace to make system calls fail")
	}
	cmd := exec.Command(strace, append([]string{"-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(pid)}, args...)...)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	}
	for deadline := time.Now().Add(patience); !traced(pid); time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			t.Skipf("strace cannot attach: %s", &out)
		default:
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("strace does not attach: %s", &out)
		}
	}
	return stop
}

// traced reports whether all threads of a process are being traced.
func traced(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		if status(task, "TracerPid") == "0" {
			return false
		}
	}
	return len(tasks) > 0
}

// TestLogErrors: a quota that is used up and a disk that is broken cost lines, not requests.
func TestLogErrors(t *testing.T) {
	for _, tc := range []struct {
		errno, text, status string
		kind                func(e *logging.Errors) uint64
	}{
		{"EDQUOT", "(122: Disk quota exceeded)", "quota", func(e *logging.Errors) uint64 { return e.Quota }},
		{"EIO", "(5: Input/output error)", "I/O", func(e *logging.Errors) uint64 { return e.IO }},
	} {
		for name, params := range map[string]string{"plain": "f", "buffered": "f buffer=4k flush=10ms", "gzip": "f gzip flush=10ms"} {
			t.Run(tc.errno+" "+name, func(t *testing.T) {
				s := newSite(t)
				s.failConf("", "logs/access.log "+params)
				s.start()
				path := s.path("logs/access.log")
				s.ok("/?before")
				s.until("the lines before are written", func() bool { return s.counted(path).Lines >= 2 })
				lines := s.counted(path).Lines
				stop := inject(t, s.worker(), "-P", path, "-e", "trace=write", "-e", "inject=write:error="+tc.errno)
				for range 3 {
					s.ok("/?lost")
				}
				s.until("all lines are lost", func() bool { return s.counted(path).Lost == 3 })
				s.logged(`[alert] `)
				stop()
				s.ok("/?after")
				s.until("lines are written again", func() bool { return s.counted(path).Lines > lines })
				s.logged(`"` + path + `" is written again, 3 lines have been lost since the start`)
				c := s.counted(path)
				if n := tc.kind(&c.Errors); n == 0 || n > 3 || c.LastError != tc.text || c.Lost != 3 {
					t.Errorf("%+v", c)
				}
				if text := s.statusText(); !strings.Contains(text, tc.status) {
					t.Error(text)
				}
				if log := s.read("logs/error.log"); strings.Count(log, `write() to "`+path+`" failed `+tc.text) != 1 {
					t.Error("it is not said once")
				}
				if name != "gzip" && (!strings.Contains(s.read("logs/access.log"), "before|end\nafter|end\n")) {
					t.Errorf("%q", s.read("logs/access.log"))
				}
			})
		}
	}
}

// TestLogThatCannotBeOpened: a directory, a file system that is read-only, a directory that is gone.
func TestLogThatCannotBeOpened(t *testing.T) {
	s := newSite(t)
	if err := os.Mkdir(s.path("logs/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.failConf("", "logs/dir f")
	for _, args := range [][]string{{"-t"}, {}} {
		if code, out := s.run(args...); code != 1 || !strings.Contains(out, `[emerg] open() "`+s.path("logs/dir")+`" failed (21: Is a directory)`) {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	readOnly := s.path("logs/dir")
	if err := unix.Mount("tmpfs", readOnly, "tmpfs", unix.MS_RDONLY, "size=64k"); err == nil {
		defer unix.Unmount(readOnly, unix.MNT_DETACH)
		s.failConf("", "logs/dir/access.log f")
		if code, out := s.run(); code != 1 || !strings.Contains(out, `failed (30: Read-only file system)`) {
			t.Errorf("%d %s", code, out)
		}
	}
	s.failConf("", "logs/sub/access.log f")
	if err := os.Mkdir(s.path("logs/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.ok("/?one")
	// The directory is gone when the logs are reopened: lines go to the file that is open.
	if err := os.Rename(s.path("logs/sub"), s.path("logs/gone")); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	s.logged(`[emerg] `)
	s.logged(`open() "` + s.path("logs/sub/access.log") + `" failed (2: No such file or directory)`)
	s.ok("/?two")
	s.until("the line is in the old file", func() bool { return strings.Contains(s.read("logs/gone/access.log"), "two|end\n") })
	// A reload with it fails, and the old configuration stays.
	complaint := `open() "` + s.path("logs/sub/access.log") + `" failed (2: No such file or directory)`
	s.signal(syscall.SIGHUP)
	s.until("the reload has failed", func() bool { return strings.Count(s.read("logs/error.log"), complaint) == 2 })
	s.ok("/?three")
	s.until("its line is in the old file, too", func() bool { return strings.Contains(s.read("logs/gone/access.log"), "three|end\n") })
	if err := os.Mkdir(s.path("logs/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	s.until("there is a new file", func() bool { s.ok("/?four"); return strings.Contains(s.read("logs/sub/access.log"), "four|end\n") })
	if text := s.read("logs/gone/access.log"); !strings.HasSuffix(text[:strings.Index(text, "three|end\n")+10], "one|end\ntwo|end\nthree|end\n") {
		t.Errorf("%q", text)
	}
	if c := s.counted("logs/sub/access.log"); c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// TestLogsOnAFullDisk: of buffered and of compressed lines that have no room none is torn, and what is lost is counted.
func TestLogsOnAFullDisk(t *testing.T) {
	for name, params := range map[string]string{"plain": "f", "buffered": "f buffer=8k", "gzip": "f buffer=8k gzip"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			disk := s.path("disk")
			if err := os.Mkdir(disk, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
				t.Skipf("cannot mount a tmpfs: %v", err)
			}
			defer unix.Unmount(disk, unix.MNT_DETACH)
			s.failConf("", "disk/access.log "+params)
			s.start()
			if err := os.WriteFile(s.path("disk/ballast"), make([]byte, 40<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			random := make([]byte, 1000)
			asked := 0
			ask := func() {
				f, err := os.Open("/dev/urandom") // which gzip cannot make shorter than by half
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := io.ReadFull(f, random); err != nil {
					t.Fatal(err)
				}
				s.ok(fmt.Sprintf("/?%d.%x", asked, random))
				asked++
			}
			for s.counted("disk/access.log").Lost == 0 {
				for range 5 {
					ask()
				}
			}
			s.logged("failed (28: No space left on device)")
			if err := os.Remove(s.path("disk/ballast")); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				ask()
			}
			s.signal(syscall.SIGUSR1) // flushes
			s.until("all is written or lost", func() bool {
				c := s.counted("disk/access.log")
				return int(c.Lines+c.Lost) >= asked
			})
			text := s.read("disk/access.log")
			if name == "gzip" {
				z, err := gzip.NewReader(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(z)
				if err != nil {
					t.Fatalf("the file is no series of members: %v", err)
				}
				text = string(b)
			}
			whole, half := 0, 0
			for line := range strings.Lines(text) {
				args, ok := strings.CutSuffix(line, "|end\n")
				switch {
				case ok && args == "-":
				case ok && strings.Count(args, ".") == 1 && len(args) > 2000:
					whole++
				case strings.Contains(line, "|end") || strings.Count(line, ".") > 1:
					t.Errorf("glued: %.60q", line)
				default:
					half++
				}
			}
			c := s.counted("disk/access.log")
			if whole+int(c.Lost) != asked || c.Lost == 0 || half > int(c.Short) || name == "gzip" && half > 0 {
				t.Errorf("%d asked, %d whole, %d half, %+v", asked, whole, half, c)
			}
			t.Logf("%d asked, %d whole, %d half, %d lost, %d short writes", asked, whole, half, c.Lost, c.Short)
		})
	}
}

// TestErrorLogInMemory: the latest lines can be read from outside.
func TestErrorLogInMemory(t *testing.T) {
	s := newSite(t)
	s.failConf("error_log memory:8k debug;", "off")
	s.start()
	s.ok("/quiet/first")
	memory := func() string {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.worker()))
		for _, fd := range fds {
			if link, _ := os.Readlink(fd); strings.Contains(link, "perilune-log") {
				b, _ := os.ReadFile(fd)
				return string(b)
			}
		}
		return ""
	}
	s.until("it is in memory", func() bool { return strings.Contains(memory(), `"/quiet/first"`) })
	if strings.Contains(s.read("logs/error.log"), "[debug]") {
		t.Error("debug messages are in the file, too")
	}
	for i := range 200 {
		s.ok(fmt.Sprintf("/quiet/n%d", i))
	}
	s.until("the last one is in memory", func() bool { return strings.Contains(memory(), "/quiet/n199") })
	if text := memory(); len(text) != 8<<10 || strings.Contains(text, "/quiet/first") || !strings.Contains(text, "[debug] ") {
		t.Errorf("%d bytes, %.200q", len(text), text)
	}
}

// TestDebugConnection: only the connections from that address are debugged.
func TestDebugConnection(t *testing.T) {
	s := newSite(t)
	s.failConf("", "off")
	s.write("conf/nginx.conf", strings.Replace(s.read("conf/nginx.conf"), "worker_connections 64;", "worker_connections 64; debug_connection 127.0.0.2;", 1))
	s.start()
	from := func(addr, uri string) {
		t.Helper()
		curl := exec.Command("curl", "-q", "--noproxy", "*", "-s", "--interface", addr, "http://"+s.addr+uri)
		if out, err := curl.CombinedOutput(); err != nil || string(out) != "ok" {
			t.Fatalf("%q, %v", out, err)
		}
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	from("127.0.0.1", "/quiet/one")
	from("127.0.0.2", "/quiet/two")
	s.logged("[debug] ")
	s.logged("/quiet/two")
	from("127.0.0.3", "/quiet/three")
	from("127.0.0.2", "/quiet/four")
	s.logged("/quiet/four")
	if log := s.read("logs/error.log"); strings.Contains(log, "/quiet/one") || strings.Contains(log, "/quiet/three") {
		t.Error("others are debugged as well")
	}
}

// TestLuaLogTellsOfLostLines: on_error hears of lines that are lost when their time has come.
func TestLuaLogTellsOfLostLines(t *testing.T) {
	s := newSite(t)
	s.luaConf(rootUser(), `access_log off; init_by_lua_block {
		log = assert(require("resty.logger.file"):new{ path = "/dev/full", buffer_size = "4k", flush_interval = 0.01,
			on_error = function(err) ngx.sleep(0) ngx.log(ngx.ERR, "lost: ", err, " in ", ngx.get_phase()) end })
	}`, `ngx.print(tostring(log:write(ngx.var.args)))`)
	s.start()
	if r, err := oneShot.Get("http://" + s.addr + "/?line"); err != nil {
		t.Fatal(err)
	} else if b, _ := io.ReadAll(r.Body); string(b) != "true" {
		t.Errorf("%q", b)
	}
	s.logged("lost: write() failed (28: No space left on device) in timer")
	if c := s.counted("/dev/full"); c.Lost == 0 || c.Errors.NoSpace == 0 || c.Lines != 0 {
		t.Errorf("%+v", c)
	}
}

// TestCountersOutliveWorkers: the sum over workers that were killed, reloaded and upgraded is that of all lines.
func TestCountersOutliveWorkers(t *testing.T) {
	s := newSite(t)
	s.failConf("", "logs/access.log f")
	s.start()
	s.ok("/?first")
	base := 0
	s.until("the lines until then are counted", func() bool {
		text := s.read("logs/access.log")
		base = strings.Count(text, "\n")
		return strings.Contains(text, "first|end\n") && int(s.counted("logs/access.log").Lines) == base
	})
	asked := 0
	ask := func() {
		for range 5 {
			s.ok("/?x")
			asked++
		}
		s.until("all lines are counted", func() bool { return int(s.counted("logs/access.log").Lines) == base+asked })
	}
	ask()
	old := s.worker()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("there is another worker", func() bool { return s.worker() != old })
	s.until("it serves", func() bool {
		r, err := oneShot.Get("http://" + s.addr + "/quiet")
		if err == nil {
			_ = r.Body.Close()
		}
		return err == nil
	})
	ask()
	s.reload()
	ask()
	pid := s.pid()
	s.signal(syscall.SIGUSR2)
	s.until("the upgrade is done", func() bool { return s.pid() != pid && !alive(pid) })
	ask()
	if c := s.counted("logs/access.log"); c.Bytes == 0 || c.Lost != 0 || c.Short != 0 {
		t.Errorf("%+v", c)
	}
	if text := s.statusText(); !strings.Contains(text, fmt.Sprintf("%s  %d ", s.path("logs/access.log"), base+asked)) {
		t.Error(text)
	}
}

// slowDisk mounts a file system of its own at a directory, and returns functions that make all writes to it wait, and
// go on.
func slowDisk(t *testing.T, dir string) (freeze, thaw func()) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Skipf("no disk that can be frozen: %s: %v: %s", name, err, out)
		}
	}
	run("truncate", "-s", "32M", image)
	run("mkfs.ext4", "-q", image)
	run("mount", "-o", "loop", image, dir)
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the server still runs, but not for long
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const fiFreeze, fiThaw = 0xc0045877, 0xc0045878
	call := func(op uintptr) error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), op, 0); errno != 0 {
			return errno
		}
		return nil
	}
	frozen := false
	freeze = func() {
		t.Helper()
		if err := call(fiFreeze); err != nil {
			t.Skipf("cannot freeze: %v", err)
		}
		frozen = true
	}
	thaw = func() {
		if frozen {
			frozen = false
			_ = call(fiThaw)
		}
	}
	t.Cleanup(thaw)
	return freeze, thaw
}

// TestLogOnASlowDisk freezes the disk of the logs: every write to it waits. Requests are answered all the same, soon,
// and no line is lost.
func TestLogOnASlowDisk(t *testing.T) {
	for name, log := range map[string]string{
		"plain": "disk/access.log f", "buffered": "disk/access.log f buffer=1k flush=5ms", "gzip": "disk/access.log f buffer=1k gzip flush=5ms",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if err := os.Mkdir(s.path("disk"), 0o755); err != nil {
				t.Fatal(err)
			}
			freeze, thaw := slowDisk(t, s.path("disk"))
			s.failConf("", log)
			s.start()
			asked := 0
			var slowest time.Duration
			load := func(n int) {
				t.Helper()
				for range n {
					begin := time.Now()
					s.ok(fmt.Sprintf("/?%d", asked)) // on a connection of its own: that of the line which the disk has waits with it
					slowest = max(slowest, time.Since(begin))
					asked++
				}
			}
			load(50)
			usual := slowest
			slowest = 0
			freeze()
			begin := time.Now()
			load(500) // all of them are answered while the disk stands still
			frozen := time.Since(begin)
			thaw()
			load(50)
			s.signal(syscall.SIGUSR1)
			s.until("all lines are written", func() bool { return int(s.counted("disk/access.log").Lines) >= asked })
			t.Logf("500 requests in %v on a frozen disk, the slowest took %v (%v before); %+v", frozen, slowest, usual, s.counted("disk/access.log"))
			text := s.read("disk/access.log")
			if name == "gzip" {
				text = s.unzip("disk/access.log")
			}
			seen := map[string]bool{}
			for line := range strings.Lines(text) {
				args, ok := strings.CutSuffix(line, "|end\n")
				if !ok || args != "-" && seen[args] {
					t.Errorf("torn or twice: %q", line)
				}
				seen[args] = args != "-"
			}
			for i := range asked {
				if !seen[strconv.Itoa(i)] {
					t.Errorf("line %d is missing", i)
				}
			}
			if c := s.counted("disk/access.log"); c.Lost != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestSyncOfASlowDisk: a request that waits in fsync holds no other one up.
func TestSyncOfASlowDisk(t *testing.T) {
	s := newSite(t)
	s.luaConf("worker_processes 1;"+rootUser(), `access_log off;`, `
		if ngx.var.args == "sync" then
			local ffi = require "ffi"
			pcall(ffi.cdef, "int open(const char *, int, int); int close(int); int fsync(int); int fdatasync(int);")
			local fd = ffi.C.open(ngx.config.prefix() .. "logs/synced", 1 + 64 + 1024, 420)
			ngx.print(ffi.C.fsync(fd), ffi.C.fdatasync(fd), ffi.C.close(fd), ngx.get_phase())
		else
			ngx.print("hello")
		end`)
	s.start()
	stop := inject(t, s.worker(), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=1000000")
	defer stop()
	done := make(chan string)
	go func() {
		r, err := oneShot.Get("http://" + s.addr + "/?sync")
		if err != nil {
			done <- err.Error()
			return
		}
		b, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		done <- string(b)
	}()
	hellos := 0
	for {
		select {
		case got := <-done:
			if got != "000content" {
				t.Errorf("%q", got)
			}
			// One may have been answered before the call, and one after it.
			if hellos < 3 {
				t.Errorf("%d requests were answered during 2 s of fsync", hellos)
			}
			return
		default:
			s.wantBody("hello")
			hellos++
		}
	}
}
