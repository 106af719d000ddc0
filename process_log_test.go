package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// logConf writes a configuration whose access log has the arguments of the requests.
func (s *site) logConf(main, params string) {
	s.t.Helper()
	s.write("conf/nginx.conf", "error_log logs/error.log info;\n"+main+`
events { worker_connections 64; }
http {
    log_format f '$args|end';
    server {
        listen `+s.addr+`;
        access_log logs/access.log f `+params+`;
        location / { return 200 "ok"; }
    }
}
`)
}

// load asks with four clients until stop is called, which returns how many answers came.
func (s *site) load() (stop func() int) {
	var end atomic.Bool
	var answers atomic.Int64
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; !end.Load(); n++ {
				resp, err := client.Get(fmt.Sprintf("http://%s/?%d.%d", s.addr, c, n))
				if err != nil {
					s.t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				answers.Add(1)
			}
		})
	}
	return func() int {
		end.Store(true)
		wg.Wait()
		return int(answers.Load())
	}
}

// wantLines checks that each of the clients' requests has one whole line in the files.
func (s *site) wantLines(answers int, files []string) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, f := range files {
		for line := range strings.Lines(s.read(f)) {
			args, ok := strings.CutSuffix(line, "|end\n")
			if !ok || seen[args] && args != "" && args != "-" {
				s.t.Errorf("%s: torn or twice: %q", f, line)
			}
			if strings.Contains(args, ".") {
				seen[args] = true
			}
		}
	}
	if len(seen) != answers {
		s.t.Errorf("%d lines, %d answers", len(seen), answers)
	}
}

// TestRotateUnderLoad renames the log and sends USR1 while requests come, with workers of another user, plain and buffered:
// nothing is lost or torn, through a reload, an upgrade and the end.
func TestRotateUnderLoad(t *testing.T) {
	for name, params := range map[string]string{"plain": "", "buffered": "buffer=4k flush=50ms"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			main := "worker_processes 2;"
			if os.Getuid() == 0 {
				nobody, err := user.Lookup("nobody")
				if err != nil {
					t.Skip(err)
				}
				group, err := user.LookupGroupId(nobody.Gid)
				if err != nil {
					t.Skip(err)
				}
				main += " user nobody " + group.Name + ";"
			}
			s.logConf(main, params)
			s.start()
			stop := s.load()
			files := []string{}
			rotate := func() {
				old := fmt.Sprintf("logs/access.log.%d", len(files))
				if err := os.Rename(s.path("logs/access.log"), s.path(old)); err != nil {
					t.Fatal(err)
				}
				files = append(files, old)
				s.signal(syscall.SIGUSR1)
				s.until("the new log is written", func() bool { return len(s.read("logs/access.log")) > 0 })
			}
			for range 8 {
				rotate()
			}
			before := strings.Count(s.read("logs/error.log"), "start worker process ")
			s.signal(syscall.SIGHUP)
			s.until("new workers have started", func() bool {
				return strings.Count(s.read("logs/error.log"), "start worker process ") >= before+2
			})
			rotate()
			old := s.pid()
			s.signal(syscall.SIGUSR2)
			s.until("the upgrade is done", func() bool { return s.pid() != old && !alive(old) })
			rotate()
			answers := stop()
			pid := s.pid()
			s.signal(syscall.SIGQUIT)
			s.until("it has ended", func() bool { return !alive(pid) && len(s.processes()) == 0 })
			s.wantLines(answers, append(files, "logs/access.log"))
			if os.Getuid() == 0 {
				var st syscall.Stat_t
				if err := syscall.Stat(s.path("logs/access.log"), &st); err != nil || st.Uid == 0 || st.Mode&0o600 != 0o600 {
					t.Errorf("the new log belongs to %d, mode %o, %v", st.Uid, st.Mode, err)
				}
			}
			if log := s.read("logs/error.log"); strings.Contains(log, "[emerg]") || strings.Contains(log, "[alert]") {
				t.Error("there are complaints in the error log")
			}
		})
	}
}

// TestBuffersAreFlushed: a buffered line without flush= is written when the logs are reopened, and when a worker ends.
func TestBuffersAreFlushed(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newSite(t)
			s.write("conf/nginx.conf", `error_log logs/error.log info; worker_processes 1;`+rootUser()+`
events { worker_connections 64; }
http {
    log_format f '$args|end';
    init_by_lua_block {
        log = assert(require("resty.logger.file"):new{ path = "logs/lua.log", buffer_size = "64k", flush_interval = 0 })
    }
    server {
        listen `+s.addr+`;
        access_log logs/access.log f buffer=64k;
        access_log logs/access.gz f gzip;
        location / { return 200 "ok"; log_by_lua_block { assert(log:write(ngx.var.args or "-", "|end")) } }
    }
}
`)
			s.start()
			if _, err := http.Get("http://" + s.addr + "/?line"); err != nil {
				t.Fatal(err)
			}
			written := func() (n int) {
				for _, text := range []string{s.read("logs/access.log"), s.read("logs/lua.log"), s.unzip("logs/access.gz")} {
					if strings.Contains(text, "line|end\n") {
						n++
					}
				}
				return n
			}
			if n := written(); n != 0 {
				t.Errorf("%d of three are written already", n)
			}
			s.signal(sig)
			s.until("the lines are written", func() bool { return written() == 3 })
		})
	}
}

// unzip returns what a gzip file has, as far as it is whole.
func (s *site) unzip(name string) string {
	z, err := gzip.NewReader(strings.NewReader(s.read(name)))
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(z)
	return string(b)
}

// TestCopyTruncate: a log that is copied and cut to nothing goes on at its beginning, not behind a hole.
func TestCopyTruncate(t *testing.T) {
	s := newSite(t)
	s.logConf("worker_processes 2;", "")
	s.start()
	stop := s.load()
	for range 5 {
		s.until("the log is written", func() bool { return len(s.read("logs/access.log")) > 1000 })
		if err := os.Truncate(s.path("logs/access.log"), 0); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	text := s.read("logs/access.log")
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "|end\n") || strings.Contains(line, "\x00") {
			t.Fatalf("a line is %q", line)
		}
	}
}
