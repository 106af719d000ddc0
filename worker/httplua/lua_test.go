package httplua_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// patience is how long anything may take that is waited for. It is far above what it takes: a test that runs into it has found
// a hang.
const patience = time.Minute

// start starts a worker with these http and server directives.
func start(t testing.TB, http, srv string, files map[string]string) *server {
	t.Helper()
	s, err := tryStart(t, http, srv, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startMain is start with directives for the main block.
func startMain(t testing.TB, main, http, srv string, files map[string]string) *server {
	t.Helper()
	s, err := tryStartMain(t, main, http, srv, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryStart(t testing.TB, http, srv string, files map[string]string) (*server, error) {
	t.Helper()
	return tryStartMain(t, "", http, srv, files)
}

func tryStartMain(t testing.TB, main, http, srv string, files map[string]string) (*server, error) {
	t.Helper()
	c := &diffCase{sections: []section{{"main", main}, {"http", http}, {"server", srv}}}
	for name, text := range files {
		c.sections = append(c.sections, section{"file " + name, text})
	}
	addr := freeport.Addr(t)
	return serve(t, c.prefix(t, "", "", addr), addr)
}

// get returns the status line and the body of a response.
func (s *server) get(t testing.TB, path string) (status, body string) {
	t.Helper()
	return s.getWith(t, path, "")
}

// getWith is get with a header.
func (s *server) getWith(t testing.TB, path, header string) (status, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: h\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	status, _, _ = strings.Cut(head, "\r\n")
	return strings.TrimPrefix(status, "HTTP/1.1 "), body
}

// TestWorkerThreadDepth copies tables as deep as may be; nginx does not survive all of this.
func TestWorkerThreadDepth(t *testing.T) {
	const circular = "falsesuspicious circular references, table depth exceed max depth: 100 in the argument\n"
	s := startMain(t, "thread_pool p threads=1;", `lua_package_path "$prefix/lua/?.lua;;"; lua_worker_thread_vm_pool_size 1;`, `
		location /circle { content_by_lua_block { local t = {} t.t = t ngx.say(ngx.run_worker_thread("p", "m", "echo", t)) } }
		location /deep { content_by_lua_block { local t = {} for i = 1, 97 do t = {t} end ngx.say((ngx.run_worker_thread("p", "m", "echo", t))) t = {{t}} ngx.say(ngx.run_worker_thread("p", "m", "echo", t)) } }
		location /one { content_by_lua_block {
			local t = ngx.thread.spawn(ngx.run_worker_thread and function() return ngx.run_worker_thread("p", "m", "echo", 1) end)
			ngx.say(ngx.run_worker_thread("p", "m", "echo", 2))
			ngx.say(ngx.thread.wait(t))
		} }
		location /kill { content_by_lua_block {
			local t = ngx.thread.spawn(function() ngx.run_worker_thread("p", "m", "sleep") ngx.say("never") end)
			ngx.thread.kill(t)
			for i = 1, 1000 do
				ngx.sleep(0.005)
				local ok, v = ngx.run_worker_thread("p", "m", "echo", "free again")
				if ok then return ngx.say(v) end
				assert(v == "no available Lua vm", v)
			end
		} }
	`, map[string]string{"lua/m.lua": `return {echo = function(...) return ... end, sleep = function() os.execute("sleep 0.05") end}`})
	s.expect(t, "/circle", "200 OK", circular)
	s.expect(t, "/deep", "200 OK", "true\n"+circular)
	s.expect(t, "/one", "200 OK", "falseno available Lua vm\ntruetrue1\n")
	s.expect(t, "/kill", "200 OK", "free again\n")
}

func (s *server) expect(t testing.TB, path, status, body string) {
	t.Helper()
	gotStatus, gotBody := s.get(t, path)
	if gotStatus != status || body != "" && gotBody != body {
		t.Errorf("%s: %q %q, want %q %q", path, gotStatus, gotBody, status, body)
	}
}

// log stops the worker and returns its error log.
func (s *server) log(t testing.TB) string {
	t.Helper()
	s.stop()
	return readLog(t, s.dir, s.addr)
}

func TestCPULimit(t *testing.T) {
	s := start(t, "lua_cpu_limit 50ms;", `
		location /loop { content_by_lua_block { while true do end } }
		location /pcall { content_by_lua_block { while true do pcall(function() while true do end end) end } }
		location /co { content_by_lua_block { coroutine.wrap(function() while true do end end)() } }
		location /calls { content_by_lua_block { local function f() return f() end f() } }
		location /match { content_by_lua_block { local s = ("a"):rep(18) .. "b" while true do ngx.re.match(s, "^(a+)+$") end } }
		location /gsub { content_by_lua_block { ngx.re.gsub((("a"):rep(14) .. "b"):rep(60000), "(?:a+)+c|b", "y") } }
		location /gmatch { content_by_lua_block { for m in ngx.re.gmatch((("a"):rep(14) .. "b"):rep(60000), "(?:a+)+c|b") do end } }
		location /late { lua_http10_buffering off; content_by_lua_block { ngx.say("begun") ngx.flush(true) while true do end } }
		location /none { lua_cpu_limit 0; content_by_lua_block { local x = 0 for i = 1, 3e7 do x = x + i end ngx.say(x) } }
		location /waits { content_by_lua_block { for i = 1, 20 do ngx.sleep(0.001) for j = 1, 1e5 do end end ngx.say("done") } }
		location /ok { content_by_lua_block { ngx.say("ok") } }
	`, nil)
	for _, path := range []string{"/loop", "/pcall", "/co", "/calls", "/match", "/gsub", "/gmatch"} {
		s.expect(t, path, "503 Service Temporarily Unavailable", "")
	}
	s.expect(t, "/late", "200 OK", "begun\n")
	s.expect(t, "/none", "200 OK", "4.50000015e+14\n")
	s.expect(t, "/waits", "200 OK", "done\n")
	s.expect(t, "/ok", "200 OK", "ok\n")
	log := s.log(t)
	if n := strings.Count(log, "lua entry thread aborted: CPU time limit of 50ms exceeded"); n != 8 {
		t.Errorf("%d scripts were stopped, want 8:\n%s", n, log)
	}
	if !strings.Contains(log, "stack traceback:\ncoroutine 0:\n\tcontent_by_lua(nginx.conf:") {
		t.Errorf("no traceback:\n%s", log)
	}
}

func TestCodeCache(t *testing.T) {
	files := map[string]string{
		"lua/mod.lua":  `return {n = 0}`,
		"lua/page.lua": `local m = require "mod" m.n = m.n + 1 ngx.say(m.n, " ", started)`,
	}
	s := start(t, `lua_package_path "$prefix/lua/?.lua;;"; init_by_lua 'started = "yes"';`, `
		location /on { content_by_lua_file lua/page.lua; }
		location /off { lua_code_cache off; content_by_lua_file lua/page.lua; }
	`, files)
	s.expect(t, "/on", "200 OK", "1 yes\n")
	s.expect(t, "/on", "200 OK", "2 yes\n")
	s.expect(t, "/off", "200 OK", "1 yes\n")
	s.expect(t, "/off", "200 OK", "1 yes\n")
	if err := os.WriteFile(filepath.Join(s.dir, "lua/page.lua"), []byte(`ngx.say("changed")`), 0o644); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "/on", "200 OK", "3 yes\n")
	s.expect(t, "/off", "200 OK", "changed\n")
	if log := s.log(t); !strings.Contains(log, "[alert] lua_code_cache is off; this will hurt performance in PREFIX/conf/nginx.conf:") {
		t.Errorf("no warning:\n%s", log)
	}
}

func TestInitFails(t *testing.T) {
	for _, tc := range []struct{ directive, want string }{
		{`init_by_lua_block { error("no") }`, "init_by_lua error: init_by_lua(nginx.conf:4):1: no\nstack traceback:\n\t[C]: in function 'error'\n\tinit_by_lua(nginx.conf:4):1: in main chunk"},
		{`init_by_lua_block { x = = 1 }`, "init_by_lua error: init_by_lua(nginx.conf:4):1: unexpected symbol near '='"},
		{`init_by_lua_file lua/none.lua;`, "init_by_lua_file error: cannot open PREFIX/lua/none.lua"},
	} {
		s, err := tryStart(t, tc.directive+"\n", `location / { content_by_lua_block { ngx.say("x") } }`, nil)
		if err == nil {
			t.Errorf("%s: the worker has started", tc.directive)
		}
		if log := s.log(t); !strings.Contains(log, "[error] "+tc.want) {
			t.Errorf("%s: the log is\n%s", tc.directive, log)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct{ http, server, want string }{
		{"", "location / {\ncontent_by_lua_file a.lua;\ncontent_by_lua_file b.lua;\n}\n", `"content_by_lua_file" directive is duplicate in PREFIX/conf/nginx.conf:7`},
		{"", "location / {\ncontent_by_lua 'x';\ncontent_by_lua_block { x }\n}\n", `is duplicate in PREFIX/conf/nginx.conf:7`},
		{"", "location / {\ncontent_by_lua '';\n}\n", `invalid location config: no runnable Lua code in PREFIX/conf/nginx.conf:6`},
		{"lua_package_path a;\nlua_package_path b;\n", "", `"lua_package_path" directive is duplicate in PREFIX/conf/nginx.conf:5`},
		{"init_by_lua x;\ninit_by_lua_file b;\n", "", `"init_by_lua_file" directive is duplicate in PREFIX/conf/nginx.conf:5`},
		{"content_by_lua x;\n", "", `"content_by_lua" directive is not allowed here in PREFIX/conf/nginx.conf:4`},
		{"lua_code_cache maybe;\n", "", `invalid value "maybe" in "lua_code_cache" directive, it must be "on" or "off" in PREFIX/conf/nginx.conf:4`},
	} {
		c := &diffCase{sections: []section{{"http", tc.http}, {"server", tc.server}}}
		addr := freeport.Addr(t)
		dir := c.prefix(t, "", "lua_strict_phases on;", addr)
		_, err := serve(t, dir, addr)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "PREFIX") != tc.want {
			t.Errorf("%s%s: %v, want %s", tc.http, tc.server, err, tc.want)
		}
	}
}

func TestNativeModule(t *testing.T) {
	s := start(t, `lua_package_cpath "$prefix/lua/?.so;;";`, `
		location / { content_by_lua_block { ngx.say(select(2, pcall(require, "native"))) } }
		location /none { content_by_lua_block { local _, e = pcall(require, "none.such") ngx.say((e:find("/lua/none/such.so'", 1, true)) and "tried") } }
	`, map[string]string{"lua/native.so": "\x7fELF"})
	status, body := s.get(t, "/")
	if status != "200 OK" || !strings.HasPrefix(body, "error loading module 'native' from file '") || !strings.Contains(body, "native modules cannot be loaded") {
		t.Errorf("%s %s", status, body)
	}
	s.expect(t, "/none", "200 OK", "tried\n")
}

// TestWaiting lets many requests wait at the same time, and their coroutines call
// into Lua below pcall while they do.
func TestWaiting(t *testing.T) {
	s := start(t, "", `
		location / { content_by_lua_block {
			local n = tonumber(ngx.var.arg_n)
			ngx.ctx.n = n
			local ok, v = pcall(function() ngx.sleep(0.05) return coroutine.wrap(function() ngx.sleep(0.01) return ngx.ctx.n end)() end)
			ngx.say(ok, " ", v == n)
		} }
	`, nil)
	begin := time.Now()
	results := make(chan string)
	const requests = 50
	for i := range requests {
		go func() {
			_, body := s.get(t, "/?n="+string(rune('0'+i%10))+string(rune('0'+i/10)))
			results <- body
		}()
	}
	for range requests {
		if body := <-results; body != "true true\n" {
			t.Errorf("%q", body)
		}
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("the requests have waited one after the other: %s", d)
	}
}

// TestBackPressure sends more than the sockets hold to a client that is slow.
func TestBackPressure(t *testing.T) {
	s := start(t, "", `
		location / { content_by_lua_block {
			local piece = string.rep("x", 100000)
			for i = 1, 200 do ngx.print(piece) end
			assert(ngx.flush(true))
		} }
		location /ok { content_by_lua_block { ngx.say("ok") } }
	`, nil)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "/ok", "200 OK", "ok\n") // others go on while it is stuck
	n, err := io.Copy(io.Discard, conn)
	if err != nil || n < 200*100000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestClientAborts closes the connection while the response is being written.
func TestClientAborts(t *testing.T) {
	s := start(t, "", `
		location / { content_by_lua_block {
			local piece = string.rep("x", 100000)
			for i = 1, 2000 do
				local ok, err = ngx.print(piece)
				if not ok then ngx.log(ngx.ERR, "print: ", err) return end
			end
		} }
		location /ok { content_by_lua_block { ngx.say("ok") } }
	`, nil)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
	s.expect(t, "/ok", "200 OK", "ok\n")
	deadline := time.Now().Add(patience)
	for !strings.Contains(readLog(t, s.dir, s.addr), "print: nginx output filter error") {
		if time.Now().After(deadline) {
			t.Fatalf("the script has not noticed:\n%s", s.log(t))
		}
		s.expect(t, "/ok", "200 OK", "ok\n")
	}
}
