package httplua_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkRequest counts what a request costs, the client in this process
// included; the client allocates nothing.
func BenchmarkRequest(b *testing.B) {
	for _, bc := range []struct{ name, server string }{
		{"hello", `content_by_lua_block { ngx.say("hello world") }`},
		{"return", `return 200 "hello world\n";`},
		{"args", `content_by_lua_block { local a = ngx.req.get_uri_args() ngx.say(a.x) }`},
		{"headers", `content_by_lua_block { local h = ngx.req.get_headers() ngx.header["X-Y"] = h.host ngx.say("x") }`},
		{"exit", `content_by_lua_block { ngx.status = 200 ngx.say("x") ngx.exit(200) }`},
		{"capture", `content_by_lua_block { local a, b = ngx.location.capture("/sub"), ngx.location.capture("/sub") ngx.print(a.body, b.body) }`},
		{"ctxvar", `content_by_lua_block { ngx.ctx.a = ngx.var.uri ngx.say(ngx.ctx.a) }`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := start(b, "keepalive_requests 1000000000;", "location / { "+bc.server+" } location = /sub { content_by_lua_block { ngx.say(1) } }", nil)
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			req := []byte("GET /?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
			buf := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			before := processTime(b)
			for range b.N {
				if _, err := conn.Write(req); err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					m, err := conn.Read(buf[n:])
					if err != nil {
						b.Fatal(err)
					}
					n += m
					if bytes.HasSuffix(buf[:n], []byte("0\r\n\r\n")) || bc.name == "return" && bytes.HasSuffix(buf[:n], []byte("hello world\n")) {
						break
					}
				}
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkAPI runs a statement b.N times in one request and tells the CPU time of it.
func BenchmarkAPI(b *testing.B) {
	s := start(b, `keepalive_requests 1000000;`, `
		location /sub { content_by_lua_block { ngx.say("Hello, world!") } }
		location / {
			set $value "";
			content_by_lua_block {
				local init, code = ngx.unescape_uri(ngx.var.http_x_init), ngx.unescape_uri(ngx.var.http_x_code)
				local f = assert(loadstring(init .. " return function(N) local n = 0 for i = 1, N do " .. code .. " end end"))
				f()(tonumber(ngx.var.http_x_n))
				ngx.say("done")
			}
		}`, nil)
	const short = `local short = "GET /item/4711/detail?from=2024-01-31 HTTP/1.1" `
	for _, bc := range []struct{ name, init, code string }{
		{"loop", ``, ``},
		{"get_headers", ``, `n = #ngx.req.get_headers()["user-agent"]`},
		{"get_uri_args", ``, `n = #ngx.req.get_uri_args().name`},
		{"get_method", ``, `n = ngx.req.get_method()`},
		{"header_read", `ngx.header["X-Text"] = "some text"`, `n = ngx.header["X-Text"]`},
		{"header_write", ``, `ngx.header["X-Number"] = i`},
		{"set_header", ``, `ngx.req.set_header("X-Two", "2")`},
		{"var_uri", ``, `n = ngx.var.uri`},
		{"var_http", ``, `n = ngx.var.http_user_agent`},
		{"var_arg", ``, `n = ngx.var.arg_name`},
		{"var_remote_addr", ``, `n = ngx.var.remote_addr`},
		{"var_set", ``, `ngx.var.value = "x"`},
		{"ctx", ``, `ngx.ctx.count = i`},
		{"re_match", short, `n = ngx.re.match(short, [[/item/(\d+)/(\w+)]], "jo")[1]`},
		{"re_find", short, `n = ngx.re.find(short, [[\d{4}-\d\d-\d\d]], "jo")`},
		{"re_gsub", short, `n = ngx.re.gsub(short, [[\d+]], "<$0>", "jo")`},
		{"base64", short, `n = ngx.decode_base64(ngx.encode_base64(short))`},
		{"md5", short, `n = ngx.md5(short)`},
		{"escape", short, `n = ngx.unescape_uri(ngx.escape_uri(short))`},
		{"args", ``, `n = ngx.decode_args(ngx.encode_args({ a = 1, b = "x y", c = true })).b`},
		{"now", ``, `n = ngx.now()`},
		{"time", ``, `n = ngx.time()`},
		{"today", ``, `n = ngx.today()`},
		{"http_time", ``, `n = ngx.http_time(1700000000)`},
		{"lrucache", `local cache = require "resty.lrucache".new(200)`, `cache:set(i % 20, n, 60) n = cache:get(i % 20)`},
		{"timer", `local function tick() end`, `if i % 100 == 0 then ngx.sleep(0) end assert(ngx.timer.at(0, tick, i))`},
		{"thread", `local function light(a) return a end`, `ngx.thread.wait(ngx.thread.spawn(light, i))`},
		{"coroutine", `local function body(a) coroutine.yield(a) return a end`, `local co = coroutine.create(body) coroutine.resume(co, i) coroutine.resume(co)`},
		{"semaphore", `local sema = require "ngx.semaphore".new() local function poster(s) s:post() end`, `ngx.thread.spawn(poster, sema) assert(sema:wait(1))`},
		{"sleep0", ``, `ngx.sleep(0)`},
		{"capture", ``, `n = ngx.location.capture("/sub").body`},
		{"log_off", ``, `ngx.log(ngx.DEBUG, "value ", i, " of ", n)`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			req, err := http.NewRequest("GET", "http://"+s.addr+"/?name=perilune&list=1&list=2&x=%41%42&empty=&flag&page=12&sort=desc", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("X-Init", percent(bc.init))
			req.Header.Set("X-Code", percent(bc.code))
			req.Header.Set("X-N", fmt.Sprint(b.N))
			for k, v := range map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Accept-Language": "en-US,en;q=0.5",
				"Referer": "http://www.example.com/from/here?a=b", "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark; last=42"} {
				req.Header.Set(k, v)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processTime(b)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(body) != "done\n" {
				b.Fatalf("%v, %q", err, body)
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// percent escapes every byte.
func percent(s string) string {
	var b bytes.Buffer
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func processTime(b *testing.B) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
