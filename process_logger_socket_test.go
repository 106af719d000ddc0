package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// logServer counts the lines that it gets.
type logServer struct {
	addr  string
	mu    sync.Mutex
	lines map[string]int
	open  sync.WaitGroup
}

func newLogServer(t *testing.T) *logServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &logServer{addr: l.Addr().String(), lines: make(map[string]int)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			go func() {
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
			}()
		}
	}()
	return s
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &logServer{addr: l.Addr().String()}
	l.Close()
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
	if d := time.Since(begin); d > 8*time.Second {
		t.Errorf("it took %v", d)
	}
	s.logged("messages for " + server.addr + " lost")
}
