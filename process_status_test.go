package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// stubStatus reads what stub_status says.
func (s *site) stubStatus() (active, accepted, handled, requests, reading, writing, waiting int) {
	s.t.Helper()
	r, err := oneShot.Get("http://" + s.addr + "/status")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = fmt.Sscanf(strings.ReplaceAll(string(text), "\n", " "),
		"Active connections: %d  server accepts handled requests  %d %d %d  Reading: %d Writing: %d Waiting: %d",
		&active, &accepted, &handled, &requests, &reading, &writing, &waiting)
	if err != nil {
		s.t.Fatalf("%q: %v", text, err)
	}
	return
}

// TestStubStatusOverWorkers has all workers counted, those that are gone too.
func TestStubStatusOverWorkers(t *testing.T) {
	s := newSite(t)
	s.write("conf/nginx.conf", `error_log logs/error.log info;
worker_processes 3;
events { worker_connections 64; }
http { server { listen `+s.addr+`; location / { return 200 "up"; } location /status { stub_status; } } }
`)
	s.start()
	s.until("there are three workers", func() bool { return len(children(s.pid())) == 3 })
	_, before, _, _, _, _, _ := s.stubStatus()
	for range 20 {
		if status, _, body := s.ask("/"); status != 200 {
			t.Fatal(status)
		} else {
			_ = body.Close()
		}
	}
	asked := before + 20
	settled := func() bool {
		active, accepted, handled, requests, reading, writing, waiting := s.stubStatus()
		asked++
		if accepted != asked {
			t.Fatalf("%d accepted, want %d", accepted, asked)
		}
		return handled == accepted && requests >= 20 && active == 1 && reading == 0 && writing == 1 && waiting == 0
	}
	s.until("all is counted", settled)
	s.reload()
	s.until("all is counted after a reload", settled)
	s.until("the old workers are gone", func() bool { return len(children(s.pid())) == 3 })
	if err := syscall.Kill(children(s.pid())[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.logged("exited on signal 9")
	s.until("all is counted without a worker", settled)
}
