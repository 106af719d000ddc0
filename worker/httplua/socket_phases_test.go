package httplua_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketLimit: cosockets are counted among the worker_connections, idle ones too, until they are closed.
func TestSocketLimit(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < 9000 { // both ends of 4096 connections are here
		t.Skipf("a process may have no more than %d descriptors", limit.Cur)
	}
	peer := listenPeer(t, silent)
	s := start(t, "", `location /fill { content_by_lua_block {
		local all, refused = {}, nil
		for i = 1, 10000 do
			local s = ngx.socket.tcp()
			local ok, err = s:connect("127.0.0.1", `+peer+`)
			if not ok then refused = err break end
			all[i] = s
		end
		ngx.say(refused)
		ngx.say(ngx.socket.udp():setpeername("127.0.0.1", 53))
		ngx.say(all[1]:setkeepalive(0))
		ngx.say(ngx.socket.tcp():connect("127.0.0.1", `+peer+`, {pool = "another"}))
		ngx.say(all[2]:close())
		ngx.say(ngx.socket.tcp():connect("127.0.0.1", `+peer+`, {pool = "another"}))
		ngx.say(ngx.socket.tcp():connect("127.0.0.1", `+peer+`))
	} }
	location /fail { content_by_lua_block {
		for i = 1, 5000 do
			ngx.socket.tcp():connect("127.0.0.1", 1)
			ngx.socket.tcp():connect("unix:/none")
			local u = ngx.socket.udp()
			u:setpeername("127.0.0.1", 53)
			u:close()
		end
		local s = ngx.socket.tcp()
		ngx.say(s:connect("127.0.0.1", `+peer+`))
	} }`, nil)
	const full = "nil4096 worker_connections are not enough\n"
	for range 2 { // what a request has left open is free again after it
		s.expect(t, "/fill", "200 OK", full[3:]+full+"1\n"+full+"1\n1\n1\n")
		s.expect(t, "/fail", "200 OK", "1\n")
	}
	if want := `[alert] 4096 worker_connections are not enough, client: 127.0.0.1, server: , request: "GET /fill HTTP/1.0", host: "h"`; !strings.Contains(s.log(t), want) {
		t.Errorf("%q is not in the log", want)
	}
}

// TestSocketInFilters uses cosockets where code cannot wait in nginx: in filters, in the log phase, and in all others.
func TestSocketInFilters(t *testing.T) {
	var mu sync.Mutex
	var logged []string
	sink := listenPeer(t, func(c *net.TCPConn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		mu.Lock()
		logged = append(logged, line)
		mu.Unlock()
	})
	peer := listenPeer(t, echo)
	s := start(t, `init_by_lua_block {
		function ask(text)
			local s = ngx.socket.tcp()
			assert(s:connect("127.0.0.1", `+peer+`))
			assert(s:send(text .. "\n"))
			local answer = assert(s:receive())
			assert(s:setkeepalive())
			return answer
		end
	}
	init_worker_by_lua_block { begun = ask("worker") }`, `location / {
		set_by_lua_block $set { return ask("set") }
		rewrite_by_lua_block { ngx.ctx.all = begun .. " " .. ngx.var.set .. ask(" rewrite") }
		access_by_lua_block { ngx.ctx.all = ngx.ctx.all .. ask(" access") }
		content_by_lua_block { ngx.say(ngx.ctx.all) ngx.flush(true) ngx.say("second") }
		header_filter_by_lua_block { ngx.header["X-Asked"] = ask("header") }
		body_filter_by_lua_block { if #ngx.arg[1] > 0 then ngx.arg[1] = ask("body: " .. ngx.arg[1]:sub(1, -2)) .. "\n" end }
		log_by_lua_block {
			local s = ngx.socket.tcp()
			assert(s:connect("127.0.0.1", `+sink+`))
			s:send(ask("logged " .. ngx.var.args) .. "\n")
			s:close()
		}
	}`, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r, err := http.Get(fmt.Sprintf("http://%s/?%d", s.addr, i))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != "body: worker set rewrite access\nbody: second\n" || r.Header.Get("X-Asked") != "header" {
				t.Errorf("%q %v %v", body, r.Header, err)
			}
		})
	}
	wg.Wait()
	waitUntil(t, "all is logged", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(logged) == 20
	})
	slices.Sort(logged)
	if logged[0] != "logged 0\n" || logged[19] != "logged 9\n" {
		t.Errorf("%q", logged)
	}
	if log := s.log(t); strings.Contains(log, "[error]") {
		t.Error(log)
	}
}
