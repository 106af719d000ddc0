package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// luaConf writes a configuration with Lua code for the http block.
func (s *site) luaConf(main, http, body string) {
	s.t.Helper()
	s.write("conf/nginx.conf", "error_log logs/error.log info;\n"+main+`
events { worker_connections 64; }
http {
    `+http+`
    server {
        listen `+s.addr+`;
        location / { content_by_lua_block { `+body+` } }
    }
}
`)
}

func TestInitByLuaFails(t *testing.T) {
	s := newSite(t)
	for _, main := range []string{"worker_processes 3;", "worker_processes 3; daemon off;", "master_process off;"} {
		s.luaConf(main, `init_by_lua_block { error("no way") }`, `ngx.print("one")`)
		code, out := s.run()
		if code != 1 || strings.Count(out, "no way") != 1 || !strings.Contains(out, "nginx: [error] init_by_lua error: init_by_lua(nginx.conf:5):1: no way") {
			t.Errorf("%s: %d, %q", main, code, out)
		}
		if s.pid() != 0 {
			t.Errorf("%s: a pid file is left", main)
		}
	}
}

func TestReloadWhereInitByLuaFails(t *testing.T) {
	for _, main := range []string{"worker_processes 2;", "master_process off;"} {
		s := newSite(t)
		s.luaConf(main, "", `ngx.print("one")`)
		s.start()
		s.luaConf(main, `init_by_lua_block { error("no way") }`, `ngx.print("two")`)
		s.signal(syscall.SIGHUP)
		s.logged("reload failed, the old configuration stays: ")
		s.wantBody("one")
		s.luaConf(main, "", `ngx.print("three")`)
		s.signal(syscall.SIGHUP)
		s.until("the next reload is done", func() bool { b, _ := s.get(); return b == "three" })
		s.signal(syscall.SIGQUIT)
		s.ended()
	}
}

func TestStopDuringInit(t *testing.T) {
	s := newSite(t)
	s.luaConf("", `init_by_lua_block { while true do end }`, `ngx.print("one")`)
	s.spawn()
	s.logged("start worker process")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended()
}

func TestUsersOfLuaCode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change the user")
	}
	s := newSite(t)
	secret := s.path("secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := fmt.Sprintf("io.open(%q)", secret)
	s.luaConf("user daemon;", "init_by_lua_block { in_init = "+open+" ~= nil }\ninit_worker_by_lua_block { in_worker = "+open+" ~= nil }",
		`ngx.print(tostring(in_init), " ", tostring(in_worker), " ", ngx.worker.pid(), " ", ngx.worker.id(), " ", ngx.worker.count())`)
	s.start()
	s.wantBody(fmt.Sprintf("true false %d 0 1", children(s.pid())[0]))
}

// TestSingleProcessQuitsDuringReload: the signal comes while init_by_lua of the new configuration reads a FIFO.
func TestSingleProcessQuitsDuringReload(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newSite(t)
			s.conf("master_process off;", "one")
			s.start()
			if err := syscall.Mkfifo(s.path("fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.luaConf("master_process off;", `init_by_lua_block { io.open("`+s.path("fifo")+`"):read("*a") }`, `ngx.say("two")`)
			s.signal(syscall.SIGHUP)
			fifo, err := os.OpenFile(s.path("fifo"), os.O_WRONLY, 0) // init_by_lua has come to it
			if err != nil {
				t.Fatal(err)
			}
			s.signal(sig)
			s.logged(", " + map[syscall.Signal]string{syscall.SIGQUIT: "shutting down", syscall.SIGTERM: "exiting"}[sig])
			fifo.Close()
			if code := s.ended(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
