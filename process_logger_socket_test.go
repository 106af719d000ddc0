package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// logServer counts the lines that it gets.
type logServer struct {
	addr  string
	mu    sync.Mutex
	lines map[string]int
	l     net.Listener
	conns []net.Conn
	open  sync.WaitGroup
}

func newLogServer(t *testing.T) *logServer {
	t.Helper()
	s := &logServer{addr: freeport.Addr(t), lines: make(map[string]int)}
	s.listen(t)
	t.Cleanup(func() { s.l.Close() })
	return s
}

// listen begins to serve, at the same address as before.
func (s *logServer) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.l, s.addr = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			go s.serve(c)
		}
	}()
}

func (s *logServer) serve(c net.Conn) {
	defer s.open.Done()
	defer c.Close()
	for b := bufio.NewReader(c); ; {
		line, err := b.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		s.lines[line[:len(line)-1]]++
		s.mu.Unlock()
	}
}

// close ends the serving, and the connections.
func (s *logServer) close() {
	s.l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *logServer) count(line string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[line]
}

// loggerConf logs the query string of every request, and the end of the worker. The limit is never reached: only the ends of
// workers send something.
func (s *site) loggerConf(main string, server *logServer) {
	_, port, _ := net.SplitHostPort(server.addr)
	s.write("conf/nginx.conf", "error_log logs/error.log info;\n"+main+`
events { worker_connections 64; }
http {
    init_worker_by_lua_block {
        logger = require "resty.logger.socket"
        assert(logger.init{host = "127.0.0.1", port = `+port+`, flush_limit = 1000000, drop_limit = 2000000})
    }
    exit_worker_by_lua_block { logger.log("exit " .. ngx.worker.pid() .. "\n") }
    server {
        listen `+s.addr+`;
        location / {
            content_by_lua_block { ngx.print("one") }
            log_by_lua_block { if ngx.var.args then logger.log(ngx.var.args .. "\n") end }
        }
    }
}
`)
}

// TestLoggerLosesNothing has workers end in all ways while requests are logged.
func TestLoggerLosesNothing(t *testing.T) {
	for _, main := range []string{"worker_processes 2;", "master_process off;"} {
		server := newLogServer(t)
		s := newSite(t)
		s.loggerConf(main, server)
		s.start()
		single := len(children(s.pid())) == 0
		s.until("all workers are there", func() bool { return single || len(children(s.pid())) == 2 })
		var stop atomic.Bool
		var wg sync.WaitGroup
		var mu sync.Mutex
		var served []string
		for i := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for n := 0; !stop.Load(); n++ {
					id := fmt.Sprintf("%d-%d", i, n)
					r, err := client.Get("http://" + s.addr + "/?" + id)
					if err != nil {
						t.Error(err)
						return
					}
					r.Body.Close()
					mu.Lock()
					served = append(served, id)
					mu.Unlock()
				}
			}()
		}
		var exits []string
		for range 3 {
			old := children(s.pid())
			seen := server.exits()
			s.signal(syscall.SIGHUP)
			if single {
				s.until("the old configuration is gone", func() bool { return server.exits() > seen })
				break // one process has one number: a second reload would log the same line
			}
			s.until("the old workers are gone", func() bool {
				for _, pid := range old {
					if alive(pid) {
						return false
					}
				}
				return true
			})
			for _, pid := range old {
				exits = append(exits, fmt.Sprintf("exit %d", pid))
			}
		}
		stop.Store(true)
		wg.Wait()
		for _, pid := range children(s.pid()) {
			exits = append(exits, fmt.Sprintf("exit %d", pid))
		}
		s.signal(syscall.SIGQUIT)
		s.ended()
		// The last connections may not have been accepted yet.
		s.until("the last worker has told its end", func() bool { return single || server.exits() == len(exits) })
		if single {
			s.until("all is there", func() bool { return server.count(served[len(served)-1]) > 0 })
		}
		server.open.Wait()
		for _, line := range append(served, exits...) {
			if n := server.count(line); n != 1 {
				t.Errorf("%s %s came %d times", main, line, n)
			}
		}
		if len(served) == 0 {
			t.Error("no requests")
		}
	}
}

// exits is how many workers have told their end.
func (s *logServer) exits() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range s.lines {
		if strings.HasPrefix(line, "exit ") {
			n++
		}
	}
	return n
}

// TestLoggerAtStop: what waits is sent even when the process is told to stop at once.
func TestLoggerAtStop(t *testing.T) {
	for _, main := range []string{"worker_processes 1;", "master_process off;"} {
		server := newLogServer(t)
		s := newSite(t)
		s.loggerConf(main, server)
		s.start()
		if r, err := http.Get("http://" + s.addr + "/?last"); err != nil {
			t.Fatal(err)
		} else {
			r.Body.Close()
		}
		s.signal(syscall.SIGTERM)
		s.ended()
		s.until("the line is there", func() bool { return server.count("last") > 0 })
		server.open.Wait()
		if n := server.count("last"); n != 1 {
			t.Errorf("%s it came %d times", main, n)
		}
	}
}

// TestLoggerWithoutServer: a worker does not wait for a server that is gone for longer than it says, and tells of the loss.
func TestLoggerWithoutServer(t *testing.T) {
	server := &logServer{addr: freeport.Addr(t)}
	s := newSite(t)
	s.loggerConf("worker_shutdown_timeout 300ms;", server)
	s.start()
	if r, err := http.Get("http://" + s.addr + "/?last"); err != nil {
		t.Fatal(err)
	} else {
		r.Body.Close()
	}
	begin := time.Now()
	s.signal(syscall.SIGQUIT)
	s.ended()
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	s.logged("messages for " + server.addr + " lost")
}

// logLine asks for a line to be logged.
func (s *site) logLine(line string) {
	s.t.Helper()
	r, err := http.Get("http://" + s.addr + "/?" + line)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Body.Close()
}

// TestLoggerOverUpgrade: what waits in the workers of a master that another one replaces is sent before they are gone.
func TestLoggerOverUpgrade(t *testing.T) {
	server := newLogServer(t)
	s := newSite(t)
	s.loggerConf("worker_processes 2;", server)
	s.install(binary)
	s.mustRun()
	s.until("there are two workers", func() bool { return len(children(s.pid())) == 2 })
	var want []string
	for round := range 3 {
		for i := range 20 {
			line := fmt.Sprintf("%d-%d", round, i)
			s.logLine(line)
			want = append(want, line)
		}
		old := children(s.pid())
		s.upgrade()
		for _, pid := range old {
			want = append(want, fmt.Sprintf("exit %d", pid))
		}
		// Nothing but the end of a worker sends anything.
		s.until("all that was logged is there", func() bool {
			for _, line := range want {
				if server.count(line) == 0 {
					return false
				}
			}
			return true
		})
	}
	for _, line := range want {
		if n := server.count(line); n != 1 {
			t.Errorf("%s came %d times", line, n)
		}
	}
}

// TestLoggerServerAwayAndBack: lines wait for a server that comes back, those that do not fit are lost and counted.
func TestLoggerServerAwayAndBack(t *testing.T) {
	server := newLogServer(t)
	s := newSite(t)
	_, port, _ := net.SplitHostPort(server.addr)
	s.write("conf/nginx.conf", `error_log logs/error.log info;
events { worker_connections 64; }
http {
    init_worker_by_lua_block {
        logger = require "resty.logger.socket"
        assert(logger.init{host = "127.0.0.1", port = `+port+`, flush_limit = 1, drop_limit = 1000, max_retry_times = 2, retry_interval = 10})
    }
    server {
        listen `+s.addr+`;
        location / { log_by_lua_block { if ngx.var.args then logger.log(ngx.var.args .. "\n") end } return 200 "one"; }
        location /stats { content_by_lua_block { local t = logger.stats() ngx.print(t.sent, " ", t.lost, " ", t.lost_bytes, " ", t.buffered) } }
    }
}
`)
	s.start()
	stats := func() (text string) {
		r, err := http.Get("http://" + s.addr + "/stats")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s.logLine("first")
	s.until("the first line is there", func() bool { return server.count("first") == 1 })
	server.close()
	line := func(i int) string { return fmt.Sprintf("line-%04d", i) } // of 10 bytes
	for i := range 150 {
		s.logLine(line(i))
	}
	s.logged("cannot send to " + server.addr)
	s.until("the lines wait", func() bool { return stats() == "1 50 500 100" })
	server.listen(t)
	s.until("the lines come", func() bool { return server.count(line(99)) == 1 })
	s.logged("sends to " + server.addr + " again")
	lost := regexp.MustCompile(`resty.logger.socket: (\d+) messages for ` + server.addr + ` lost, (\d+) bytes`)
	s.until("the losses are told", func() bool {
		messages, bytes := 0, 0
		for _, m := range lost.FindAllStringSubmatch(s.read("logs/error.log"), -1) {
			n, _ := strconv.Atoi(m[1])
			size, _ := strconv.Atoi(m[2])
			messages, bytes = messages+n, bytes+size
		}
		return messages == 50 && bytes == 500
	})
	s.logLine("last")
	s.until("the last line comes", func() bool { return server.count("last") == 1 })
	for i := range 150 {
		want := 1
		if i >= 100 {
			want = 0
		}
		if n := server.count(line(i)); n != want {
			t.Errorf("line %d came %d times, want %d", i, n, want)
		}
	}
	s.until("sent, lost, bytes lost and waiting add up", func() bool { return stats() == "102 50 500 0" })
}
