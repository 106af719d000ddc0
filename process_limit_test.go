package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// limitConf writes a configuration with limits that two workers share, among which the kernel spreads connections like coins.
func (s *site) limitConf(key string) {
	s.write("conf/nginx.conf", `error_log logs/error.log info;
worker_processes 2;
events { worker_connections 64; }
http {
	limit_req_zone `+key+` zone=req:64k rate=1r/m;
	limit_conn_zone $arg_k zone=conn:64k;
	server {
		listen `+s.addr+` reuseport;
		location / { return 200 "up"; }
		location /pid { content_by_lua_block { ngx.say(ngx.worker.pid()) } }
		location /req { limit_req zone=req burst=9 nodelay; content_by_lua_block { ngx.say(ngx.worker.pid()) } }
		location /conn { limit_conn conn 24; content_by_lua_block { ngx.say(ngx.worker.pid()) ngx.flush(true) ngx.sleep(60) } }
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

// bothAnswer waits until both workers take connections.
func (s *site) bothAnswer() {
	s.t.Helper()
	who := make(map[string]bool)
	s.until("both workers answer", func() bool {
		_, line, body := s.ask("/pid")
		_ = body.Close()
		who[line] = true
		return len(who) == 2
	})
}

func TestLimitReqOverWorkers(t *testing.T) {
	s := newSite(t)
	s.limitConf("$arg_k")
	s.start()
	s.bothAnswer()
	statuses, workers := s.count("/req?k=a", 30)
	if statuses[200] != 10 || statuses[503] != 20 || workers != 2 {
		t.Errorf("%v, by %d workers", statuses, workers)
	}
	s.reload()
	if statuses, _ = s.count("/req?k=a", 5); statuses[503] != 5 {
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
	s.bothAnswer()
	var open []io.Closer
	byWorker := make(map[string]int)
	for range 24 {
		status, line, body := s.ask("/conn?k=a")
		if status != 200 {
			t.Fatal(status)
		}
		byWorker[line]++
		open = append(open, body)
	}
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
