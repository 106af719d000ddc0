package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLuaHello(t *testing.T) {
	s := start(t, config{
		http: `lua_package_path "$prefix/lua/?.lua;;";
			init_by_lua_block { shared = require "mod" shared.init = true }
			init_worker_by_lua_block { shared.worker = ngx.worker.pid() }`,
		servers: `
			location /block { content_by_lua_block {
				ngx.say("braces } in a string and { in -- comments }")
				--[==[ long } comment { ]==]
			} }
			location /string { content_by_lua 'ngx.say("from a string")'; }
			location /file { content_by_lua_file lua/page.lua; }
			location /var { content_by_lua_block {
				ngx.say(ngx.var.request_method, " ", ngx.var.uri, " ", ngx.var.args, " ", ngx.var.http_x_test)
			} }
			location /state { content_by_lua_block {
				local m = require "mod"
				m.count = (m.count or 0) + 1
				ngx.say(tostring(m.init), " ", tostring(m.worker == ngx.worker.pid()), " ", m.count, " ", ngx.worker.id(), "/", ngx.worker.count())
			} }
			location /status { content_by_lua_block {
				ngx.status = 201
				ngx.header["X-Made"] = "by Lua"
				ngx.header.content_type = "text/x-test"
				ngx.say("made")
			} }
			location /exit { content_by_lua_block { ngx.exit(ngx.HTTP_FORBIDDEN) } }
			location /ctx { content_by_lua_block { ngx.ctx.a = (ngx.ctx.a or 0) + 1 ngx.say(ngx.ctx.a) } }
		`,
		files: map[string]string{
			"lua/mod.lua":  "return {}",
			"lua/page.lua": `ngx.say("from a file")`,
		},
	})
	s.get("/block").expect(t, 200, "braces } in a string and { in -- comments }\n")
	s.get("/string").expect(t, 200, "from a string\n")
	s.get("/file").expect(t, 200, "from a file\n")
	s.dial().send("GET /var?a=1&b HTTP/1.1\r\nHost: x\r\nX-Test: y\r\n\r\n").read("GET").expect(t, 200, "GET /var a=1&b y\n")
	s.get("/state").expect(t, 200, "true true 1 0/1\n")
	s.get("/state").expect(t, 200, "true true 2 0/1\n")
	r := s.get("/status").expect(t, 201, "made\n")
	if r.header.Get("X-Made") != "by Lua" || r.header.Get("Content-Type") != "text/x-test" {
		t.Errorf("%s", r.raw)
	}
	s.get("/exit").expect(t, 403, errorPage("403 Forbidden"))
	c := s.dial()
	for range 2 {
		c.send("GET /ctx HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").expect(t, 200, "1\n")
	}
	s.post("/block", "x").expect(t, 200, "braces } in a string and { in -- comments }\n")
}

func TestLuaErrors(t *testing.T) {
	s := start(t, config{
		servers: `
			location /runtime {
				content_by_lua_block {
					local t = nil
					ngx.say(t.x)
				}
			}
			location /error { content_by_lua_block { error("my error") } }
			location /object { content_by_lua_block { error({}) } }
			location /syntax { content_by_lua_block { this is not Lua } }
			location /late { content_by_lua_block { ngx.say("begun") ngx.flush(true) error("too late") } }
			location /require { content_by_lua_block { require "no.such.module" } }
			location /file { content_by_lua_file lua/bad.lua; }
			location /missing { content_by_lua_file lua/missing.lua; }
			location /pcall { content_by_lua_block { ngx.say(pcall(error, "caught")) } }
			location /log { content_by_lua_block { ngx.log(ngx.ERR, "logged ", 42, " ", nil, " ", true) ngx.say("ok") } }
		`,
		files: map[string]string{"lua/bad.lua": "\nlocal x = nil .. 'a'\n"},
	})
	page := errorPage("500 Internal Server Error")
	tailOf := func(path string) string {
		return `, client: 127.0.0.1, server: , request: "GET ` + path + ` HTTP/1.1", host: "localhost"`
	}
	for _, tt := range []struct{ path, log string }{
		{"/runtime", `\[error\] \d+#\d+: \*\d+ lua entry thread aborted: runtime error: content_by_lua\(nginx.conf:\d+\):3: attempt to index local 't' \(a nil value\)\nstack traceback:\ncoroutine 0:\n\tcontent_by_lua\(nginx.conf:\d+\):(3:)? in main chunk` + regexp.QuoteMeta(tailOf("/runtime"))},
		{"/error", `lua entry thread aborted: runtime error: content_by_lua\(nginx.conf:\d+\):1: my error\nstack traceback:\ncoroutine 0:\n\t\[C\]: in function 'error'`},
		{"/object", `lua entry thread aborted: runtime error: unknown reason`},
		{"/syntax", `failed to load inlined Lua code: content_by_lua\(nginx.conf:\d+\):1: `},
		{"/require", `lua entry thread aborted: runtime error: content_by_lua\(nginx.conf:\d+\):1: module 'no.such.module' not found:\n\tno field package.preload\['no.such.module'\]\n`},
		{"/file", `lua entry thread aborted: runtime error: .*/lua/bad.lua:2: attempt to concatenate a nil value\n`},
	} {
		from := s.logSize()
		s.get(tt.path).expect(t, 500, page)
		re := regexp.MustCompile(tt.log)
		if !s.waitUntil(5*time.Second, func() bool { return re.MatchString(s.readFile("logs/error.log")[from:]) }) {
			t.Errorf("%s: the error log has\n%s\nand not\n%s", tt.path, s.readFile("logs/error.log")[from:], tt.log)
		}
	}
	from := s.logSize()
	s.get("/missing").expect(t, 404, errorPage("404 Not Found"))
	s.waitLog(from, `failed to load external Lua file "`+s.dir+`/lua/missing.lua": cannot open `)
	s.get("/pcall").expect(t, 200, "falsecaught\n")
	s.get("/log").expect(t, 200, "ok\n")
	s.waitLog(0, `content_by_lua(nginx.conf:`)
	s.waitLog(0, `logged 42 nil true`+tailOf("/log"))
	raw := s.dial().send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n").all()
	if !strings.HasPrefix(raw, "HTTP/1.1 200 OK\r\n") || !strings.Contains(raw, "begun") || strings.HasSuffix(raw, "0\r\n\r\n") {
		t.Errorf("an error after the header: %q", raw)
	}
	s.get("/pcall").expect(t, 200, "falsecaught\n")
}

func TestLuaRequestAPI(t *testing.T) {
	s := start(t, config{servers: luaEcho + `
		location /args { content_by_lua_block {
			local a = ngx.req.get_uri_args()
			ngx.say(a.x, " ", type(a.y) == "table" and table.concat(a.y, ","), " ", tostring(a.z), " ", a["sp ace"])
		} }
		location /headers { content_by_lua_block {
			local h = ngx.req.get_headers()
			ngx.say(h["x-one"], " ", h.x_one, " ", table.concat(h["X-Two"], ","), " ", tostring(h.none))
		} }
		location /form { content_by_lua_block {
			ngx.req.read_body()
			local a = ngx.req.get_post_args()
			ngx.say(a.name, " ", tostring(a.flag))
		} }
		location /method { content_by_lua_block { ngx.say(ngx.req.get_method(), " ", ngx.req.http_version()) } }
		location /parts { content_by_lua_block {
			ngx.send_headers()
			ngx.print("a", 1, {"b", {2.5, "c"}}) ngx.flush(true)
			ngx.say(tostring(ngx.headers_sent))
			ngx.eof()
			ngx.log(ngx.WARN, "after eof")
		} }
	`})
	s.post("/echo", "some body").expect(t, 200, "some body")
	s.get("/args?x=1&y=2&y=3&z&sp%20ace=a+b").expect(t, 200, "1 2,3 true a b\n")
	s.dial().send("GET /headers HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-Two: 2\r\nx-two: 3\r\n\r\n").read("GET").
		expect(t, 200, "1 1 2,3 nil\n")
	s.post("/form", "name=a%26b&flag").expect(t, 200, "a&b true\n")
	s.dial().send("PUT /method HTTP/1.0\r\n\r\n").read("PUT").expect(t, 200, "PUT 1\n")
	s.get("/parts").expect(t, 200, "a1b2.5ctrue\n")
	s.waitLog(0, "after eof")
}

// TestSleepersShareAWorker: a hundred requests that sleep are all under way at
// once in the one worker.
func TestSleepersShareAWorker(t *testing.T) {
	s := start(t, config{servers: `
		location /sleep { content_by_lua_block {
			local m = package.loaded.sleepers or { now = 0, most = 0 }
			package.loaded.sleepers = m
			m.now = m.now + 1
			m.most = math.max(m.most, m.now)
			while m.most < 100 do ngx.sleep(0.01) end
			m.now = m.now - 1
			ngx.say(m.most)
		} }
		location /fast { return 200 "fast"; }
	`})
	var wg sync.WaitGroup
	for range 100 {
		c := s.dial()
		wg.Go(func() {
			if _, err := c.Write([]byte("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Error(err)
				return
			}
			r, err := readReply(c.r, "GET")
			if err != nil || r.status != 200 || r.body != "100\n" {
				t.Errorf("%v %+v", err, r)
			}
		})
	}
	s.get("/fast").expect(t, 200, "fast")
	wg.Wait()
}

func TestLuaCodeCacheOff(t *testing.T) {
	s := start(t, config{
		http: `lua_package_path "$prefix/lua/?.lua;;"; lua_code_cache off;`,
		servers: `location / { content_by_lua_block {
			local m = require "mod"
			m.n = m.n + 1
			ngx.say(m.n)
		} }
		location /file { content_by_lua_file lua/page.lua; }`,
		files: map[string]string{"lua/mod.lua": "return { n = 0 }", "lua/page.lua": "ngx.say('one')"},
	})
	s.get("/").expect(t, 200, "1\n")
	s.get("/").expect(t, 200, "1\n")
	s.get("/file").expect(t, 200, "one\n")
	s.writeFile("lua/mod.lua", "return { n = 10 }")
	s.writeFile("lua/page.lua", "ngx.say('two')")
	s.get("/").expect(t, 200, "11\n")
	s.get("/file").expect(t, 200, "two\n")
}

func TestBigResponses(t *testing.T) {
	s := start(t, config{servers: `location / { content_by_lua_block {
		local n = tonumber(ngx.var.arg_n)
		for i = 1, n do
			ngx.print(string.rep("x", 1000), "\n")
			if i % 100 == 0 then ngx.flush(true) end
		end
	} }`})
	for _, n := range []int{1, 100, 5000} {
		want := strings.Repeat(strings.Repeat("x", 1000)+"\n", n)
		if r := s.get("/?n=" + strconv.Itoa(n)); r.body != want {
			t.Errorf("%d lines: %d bytes", n, len(r.body))
		}
	}
	// A client that goes away in the middle does no harm.
	c := s.dial().send("GET /?n=5000 HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1000)
	c.Close()
	s.get("/?n=1").expect(t, 200, strings.Repeat("x", 1000)+"\n")
}

func TestWorkerVariablesAcrossWorkers(t *testing.T) {
	s := start(t, config{
		main:    "daemon off; worker_processes 3;",
		servers: `location / { content_by_lua_block { ngx.say(ngx.worker.pid(), " ", ngx.worker.id(), " ", ngx.worker.count()) } }`,
	})
	workers := s.newWorkers(3, nil)
	seen := make(map[string]bool)
	for range 200 {
		var pid, id, count int
		body := s.get("/").body
		if _, err := fmt.Sscan(body, &pid, &id, &count); err != nil || count != 3 || id < 0 || id > 2 {
			t.Fatalf("%q", body)
		}
		found := false
		for _, w := range workers {
			found = found || w == pid
		}
		if !found {
			t.Errorf("%d is not a worker of %v", pid, workers)
		}
		seen[body] = true
	}
	if len(seen) > 3 || len(seen) < 2 {
		t.Errorf("answers %v", seen)
	}
}
