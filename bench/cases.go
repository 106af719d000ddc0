package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// benchCase is one thing to measure.
type benchCase struct {
	name        string
	path        string
	connections int
	workers     int    // 1 if 0; more of them run on all cores, beside wrk
	script      string // of wrk, in its Lua
	anyStatus   bool   // responses other than 2xx and 3xx are what is wanted
	redis       bool   // it is about lua-resty-redis
}

const post4k = `
wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 256)
`

const acceptGzip = `wrk.headers["Accept-Encoding"] = "gzip"`

// files are what is beneath html.
func files() map[string][]byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{1: byte(n >> 10)}).Read(b) // the same bytes in each run
		return b
	}
	page := []byte("<!DOCTYPE html><html><body>\n")
	for r := rand.New(rand.NewPCG(1, 2)); len(page) < 32<<10; {
		page = fmt.Appendf(page, "<div class=\"item\" id=\"i%d\"><a href=\"/item/%d?x=%d\">item</a><p>", r.IntN(1e6), r.IntN(1e5), r.IntN(1e3))
		for range 12 {
			page = fmt.Appendf(page, "%s ", words[r.IntN(len(words))])
		}
		page = append(page, "</p></div>\n"...)
	}
	return map[string][]byte{"file-1k": random(1 << 10), "file-64k": random(64 << 10), "file-10m": random(10 << 20), "page-32k": page[:32<<10]}
}

var words = strings.Fields(`the quick brown fox jumps over a lazy dog while seven wizards of the northern hills boil their
	morning tea and discuss whether compression of text should be measured on real pages or on pages that a program has made up`)

var cases = slices.Concat(coreCases, apiBenchCases())

var coreCases = []benchCase{
	{name: "return 200, 1 connection", path: "/return", connections: 1},
	{name: "return 200", path: "/return", connections: 50},
	{name: "return 200, 400 connections", path: "/return", connections: 400},
	{name: "return 200, 4000 connections", path: "/return", connections: 4000},
	{name: "Lua hello, 1 connection", path: "/hello", connections: 1},
	{name: "Lua hello", path: "/hello", connections: 50},
	{name: "Lua hello, 400 connections", path: "/hello", connections: 400},
	{name: "Lua hello, 4000 connections", path: "/hello", connections: 4000},
	{name: "Lua args, tables, strings", path: "/work?name=perilune&list=1,2,3,4,5,6,7,8,9&x=%41%42", connections: 50},
	{name: "Lua CPU, fib(22)", path: "/fib", connections: 50},
	{name: "shared dict, 100 get", path: "/shared-get", connections: 50},
	{name: "shared dict, 100 get of 1 KiB", path: "/shared-get-long", connections: 50},
	{name: "shared dict, 100 set", path: "/shared-set", connections: 50},
	{name: "shared dict, 100 incr", path: "/shared-incr", connections: 50},
	{name: "shared dict, 2 workers, 1000 incr of one key", path: "/shared-hot", connections: 50, workers: 2},
	{name: "shared dict, 2 workers, 1000 incr of 100 keys", path: "/shared-spread", connections: 50, workers: 2},
	{name: "shared dict, 2 workers, 1000 get of one key", path: "/shared-hot-get", connections: 50, workers: 2},
	{name: "limit_req", path: "/limited", connections: 50},
	{name: "404", path: "/none", connections: 50, anyStatus: true},
	{name: "static file of 1 KiB", path: "/file-1k", connections: 50},
	{name: "static file of 64 KiB", path: "/file-64k", connections: 50},
	{name: "static file of 10 MiB", path: "/file-10m", connections: 10},
	{name: "gzip of a 32 KiB page", path: "/gzip/page-32k", connections: 50, script: acceptGzip},
	{name: "sub_filter on a 32 KiB page", path: "/sub/page-32k", connections: 50},
	{name: "try_files", path: "/try/none", connections: 50},
	{name: "rewrite chain", path: "/rewrite/one", connections: 50},
	{name: "POST 4 KiB echoed by Lua", path: "/echo", connections: 50, script: post4k},
	{name: "cosocket: Redis GET by lua-resty-redis, keep-alive", path: "/redis", connections: 50, redis: true},
	{name: "cosocket: Redis GET, 1 connection", path: "/redis", connections: 1, redis: true},
	{name: "cosocket: HTTP round trip, keep-alive", path: "/roundtrip", connections: 50},
	{name: "cosocket: HTTP round trip, 1 connection", path: "/roundtrip", connections: 1},
	{name: "cosocket: connect, HTTP/1.0, close", path: "/connect", connections: 50},
	{name: "proxy of 1 KiB, keep-alive", path: "/proxied/1k", connections: 50},
	{name: "proxy of 1 KiB, 1 connection", path: "/proxied/1k", connections: 1},
	{name: "proxy of 1 MiB, keep-alive", path: "/proxied/1m", connections: 10},
	{name: "return 200 with access log", path: "/logged", connections: 50},
	{name: "return 200 with access log, buffer=32k", path: "/buffered", connections: 50},
	{name: "Lua hello with access log", path: "/logged-hello", connections: 50},
	{name: "Lua hello with access log, buffer=32k", path: "/buffered-hello", connections: 50},
	{name: "a line by Lua, ffi and write(2)", path: "/log-ffi", connections: 50},
	{name: "a line by Lua, resty.logger.file (nginx: ffi)", path: "/log-file", connections: 50},
	{name: "a line by Lua, resty.logger.file, buffer_size=32k (nginx: ffi)", path: "/log-held", connections: 50},
}

// configuration is the inside of nginx.conf, the same for both programs.
var configuration = strings.NewReplacer("API_GLOBALS", apiGlobals(), "API_LOCATIONS", apiLocations()).Replace(`
worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_buffer_size 16k;
	default_type text/plain;
	lua_shared_dict bench 16m;
	lua_package_path "$prefix/lualib/?.lua;;";
	lua_socket_pool_size 100;
	limit_req_zone $binary_remote_addr zone=limited:1m rate=1000000r/s;
	init_by_lua_block {
		local d = ngx.shared.bench
		keys = {}
		for i = 1, 100 do
			keys[i] = "some key, number " .. i
			d:set(keys[i], i)
			d:set("long" .. keys[i], ("0123456789abcdef"):rep(64))
		end
		local ffi = require "ffi"
		ffi.cdef "int open(const char *path, int flags, int mode); long write(int fd, const void *buf, size_t count);"
		local fd = ffi.C.open(ngx.config.prefix() .. "logs/ffi.log", 1 + 64 + 1024, 420)
		function log_ffi(line) return ffi.C.write(fd, line, #line) end
		log_file, log_held = log_ffi, log_ffi
		local ok, logger = pcall(require, "resty.logger.file")
		if ok then
			local log = assert(logger:new{ path = "logs/file.log" })
			function log_file(line) return log:write(line) end
			local held = assert(logger:new{ path = "logs/held.log", buffer_size = "32k" })
			function log_held(line) return held:write(line) end
		end
		API_GLOBALS
		function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
	}
	include upstreams.conf;
	server {
		listen 127.0.0.1:PORT backlog=4096;
		root html;
		location = /return { return 200 "Hello, world!\n"; }
		location = /limited {
			limit_req zone=limited burst=1000000 nodelay;
			content_by_lua_block { ngx.say("Hello, world!") }
		}
		location = /hello { content_by_lua_block { ngx.say("Hello, world!") } }
		location = /work {
			content_by_lua_block {
				local args = ngx.req.get_uri_args()
				local sum, parts = 0, {}
				for item in args.list:gmatch("[^,]+") do
					sum = sum + tonumber(item)
					parts[#parts + 1] = item .. "=" .. sum
				end
				table.sort(parts, function(a, b) return a > b end)
				local name = args.name:gsub("^%l", string.upper)
				ngx.header["X-Sum"] = sum
				ngx.say(string.format("%s %s %d: %s", name, args.x:rep(3), #parts, table.concat(parts, "; ")))
			}
		}
		location = /fib { content_by_lua_block { ngx.say(fib(22)) } }
		location = /shared-get {
			content_by_lua_block {
				local d, sum = ngx.shared.bench, 0
				for i = 1, 100 do sum = sum + d:get(keys[i]) end
				ngx.say(sum)
			}
		}
		location = /shared-get-long {
			content_by_lua_block {
				local d, sum = ngx.shared.bench, 0
				for i = 1, 100 do sum = sum + #d:get("long" .. keys[i]) end
				ngx.say(sum)
			}
		}
		location = /shared-set {
			content_by_lua_block {
				local d = ngx.shared.bench
				for i = 1, 100 do d:set("set" .. keys[i], "a value that is short", 60) end
				ngx.say("set")
			}
		}
		location = /shared-incr {
			content_by_lua_block {
				local d = ngx.shared.bench
				for i = 1, 100 do d:incr("counter", 1, 0) end
				ngx.say("counted")
			}
		}
		location = /shared-hot {
			content_by_lua_block {
				local d = ngx.shared.bench
				for i = 1, 1000 do d:incr("counter", 1, 0) end
				ngx.say("counted")
			}
		}
		location = /shared-spread {
			content_by_lua_block {
				local d = ngx.shared.bench
				for i = 1, 1000 do d:incr(keys[i % 100 + 1], 1, 0) end
				ngx.say("counted")
			}
		}
		location = /shared-hot-get {
			content_by_lua_block {
				local d, n = ngx.shared.bench, 0
				for i = 1, 1000 do n = d:get("counter") or 0 end
				ngx.say(n)
			}
		}
		location = /echo {
			content_by_lua_block {
				ngx.req.read_body()
				ngx.print(ngx.req.get_body_data())
			}
		}
		location = /logged { access_log logs/access.log; return 200 "Hello, world!\n"; }
		location = /buffered { access_log logs/buffered.log combined buffer=32k; return 200 "Hello, world!\n"; }
		location = /buffered-hello {
			access_log logs/buffered.log combined buffer=32k;
			content_by_lua_block { ngx.say("Hello, world!") }
		}
		location = /logged-hello { access_log logs/access.log; content_by_lua_block { ngx.say("Hello, world!") } }
		location = /log-ffi {
			content_by_lua_block { log_ffi(ngx.now() .. " " .. ngx.var.remote_addr .. " " .. ngx.var.request_uri .. " hello\n") ngx.say("Hello, world!") }
		}
		location = /log-held {
			content_by_lua_block { log_held(ngx.now() .. " " .. ngx.var.remote_addr .. " " .. ngx.var.request_uri .. " hello\n") ngx.say("Hello, world!") }
		}
		location = /log-file {
			content_by_lua_block { log_file(ngx.now() .. " " .. ngx.var.remote_addr .. " " .. ngx.var.request_uri .. " hello\n") ngx.say("Hello, world!") }
		}
		API_LOCATIONS
		sendfile on;
		location /gzip/ { gzip on; types { } default_type text/html; alias html/; }
		location /sub/ { sub_filter "</div>" "</DIV>"; sub_filter_once off; types { } default_type text/html; alias html/; }
		location /try/ { try_files $uri $uri/ $uri.html /return; }
		location /rewrite/ {
			rewrite ^/rewrite/none$ /none last;
			set $x $uri;
			if ($x = "/never") { return 403; }
			rewrite ^/rewrite/o(.*)$ /rewrite/two/o$1;
			rewrite ^/rewrite/two/(.*)$ /rewritten/$1?x=$x last;
		}
		location /rewritten/ { return 200 "$uri $args\n"; }
		include sockets.conf;
		location / { log_not_found off; }
	}
}
`)
