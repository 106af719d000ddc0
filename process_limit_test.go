package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// limitConf writes a configuration with limits that two workers share.
func (s *site) limitConf(key string) {
	s.write("conf/nginx.conf", `error_log logs/error.log info;
worker_processes 2;
events { worker_connections 64; }
http {
	limit_req_zone `+key+` zone=req:64k rate=1r/m;
	limit_conn_zone $arg_k zone=conn:64k;
	server {
		listen `+s.addr+`;
		location / { return 200 "up"; }
		location /pid { content_by_lua_block { ngx.say(ngx.worker.pid()) } }
		location /req { limit_req zone=req burst=9 nodelay; content_by_lua_block { ngx.say(ngx.worker.pid()) } }
		location /conn { limit_conn conn 4; content_by_lua_block { ngx.say(ngx.worker.pid()) ngx.flush(true) ngx.sleep(60) } }
	}
}
`)
}

// ask makes a request on a connection of its own and gives the status and the first line of the body.
func (s *site) ask(path string) (status int, line string, body io.Closer) {
	s.t.Helper()
	r, err := oneShot.Get("http://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = fmt.Fscanln(r.Body, &line)
	return r.StatusCode, line, r.Body
}

// count asks n times, and tells how often each status came and how many workers have answered.
func (s *site) count(path string, n int) (statuses map[int]int, workers int) {
	s.t.Helper()
	statuses = make(map[int]int)
	who := make(map[string]bool)
	for range n {
		status, line, body := s.ask(path)
		_ = body.Close()
		statuses[status]++
		if status == 200 {
			who[line] = true
		}
	}
	return statuses, len(who)
}

// inTurn calls f for each of two workers, while the other one stands still and takes no connections.
func (s *site) inTurn(f func()) {
	s.t.Helper()
	var w []int
	s.until("there are two workers", func() bool { w = children(s.pid()); return len(w) == 2 })
	for i, pid := range w {
		s.until("a worker answers", func() bool { _, line, body := s.ask("/pid"); _ = body.Close(); return line == fmt.Sprint(w[1-i]) })
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			s.t.Fatal(err)
		}
		s.until("a worker stands still", func() bool { return stat(pid, 3) == "T" })
		f()
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestLimitReqOverWorkers(t *testing.T) {
	s := newSite(t)
	s.limitConf("$arg_k")
	s.start()
	total := make(map[int]int)
	s.inTurn(func() {
		statuses, _ := s.count("/req?k=a", 6)
		for status, n := range statuses {
			total[status] += n
		}
	})
	if total[200] != 10 || total[503] != 2 {
		t.Error(total)
	}
	s.reload()
	statuses, _ := s.count("/req?k=a", 5)
	if statuses[503] != 5 {
		t.Errorf("%v after a reload", statuses)
	}
	s.limitConf("$arg_other")
	s.signal(syscall.SIGHUP)
	s.logged(`[emerg] `)
	s.logged(`zone "req" uses the "$arg_other" key while previously it used the "$arg_k" key`)
	if statuses, _ = s.count("/req?k=a", 5); statuses[503] != 5 {
		t.Errorf("%v after a reload that has failed", statuses)
	}
}

func TestLimitConnOverWorkers(t *testing.T) {
	s := newSite(t)
	s.limitConf("$arg_k")
	s.start()
	var open []io.Closer
	byWorker := make(map[string]int)
	s.inTurn(func() {
		for range 2 {
			status, line, body := s.ask("/conn?k=a")
			if status != 200 {
				t.Fatal(status)
			}
			byWorker[line]++
			open = append(open, body)
		}
	})
	if len(byWorker) != 2 {
		t.Errorf("only %v have answered", byWorker)
	}
	if statuses, _ := s.count("/conn?k=a", 6); statuses[503] != 6 {
		t.Errorf("%v beyond the limit", statuses)
	}
	// What a killed worker had counts no more.
	victim := children(s.pid())[0]
	lost := byWorker[fmt.Sprint(victim)]
	_ = syscall.Kill(victim, syscall.SIGKILL)
	s.until("a worker has been put in its place", func() bool {
		c := children(s.pid())
		return len(c) == 2 && c[0] != victim && c[1] != victim
	})
	got := 0
	s.until("the places of the killed worker are free", func() bool {
		status, _, body := s.ask("/conn?k=a")
		if status == 200 {
			got++
			open = append(open, body)
		} else {
			_ = body.Close()
		}
		return got == lost
	})
	if statuses, _ := s.count("/conn?k=a", 6); statuses[503] != 6 {
		t.Errorf("%v beyond the limit after a worker was killed", statuses)
	}
	for _, body := range open {
		_ = body.Close()
	}
	if !strings.Contains(s.read("logs/error.log"), `limiting connections by zone "conn"`) {
		t.Error("the limit has not been logged")
	}
}
