package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What stops a script.
const (
	noMemory    = "not enough memory"
	memoryLimit = "memory limit of"
	cpuLimit    = "CPU time limit"
	overflow    = "stack overflow"
)

// tortures are scripts that would take their worker with them. Each is to end by itself: with the status that stands here (0 is
// any), and with one of the texts in the log.
var tortures = []struct {
	name, code string
	status     int
	log        string
}{
	{"endless recursion", `local function f(n) return 1 + f(n + 1) end f(1)`, 500, overflow},
	{"recursion of pcall", `local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()`, 500, overflow},
	{"recursion of __index", `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. "x"] end local x = t.a`, 500, ""},
	{"recursion of __tostring", `local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return tostring(t) end ngx.say(tostring(t))`, 500, overflow},
	{"recursion of gsub", `local function f(s) return (s:gsub(".", f)) end ngx.say(f("x"))`, 500, overflow},
	{"recursion of sort", `local function f() local t = {3, 2, 1} table.sort(t, function(a, b) f() return a < b end) end f()`, 500, overflow},
	{"nested coroutines", `local function f() return coroutine.wrap(f)() end f()`, 500, overflow},
	{"huge string.rep", `local s = string.rep("x", 1e9) ngx.say(#s)`, 500, noMemory},
	{"repeated string.rep", `local t = {} for i = 1, 1e9 do t[i] = string.rep("x", 1e6) .. i end`, 500, noMemory},
	{"doubling", `local s = "x" while true do s = s .. s end`, 500, noMemory},
	{"table.concat", `local t, s = {}, string.rep("x", 1e6) for i = 1, 1000 do t[i] = s end ngx.say(#table.concat(t))`, 500, noMemory},
	{"string.format", `local s = string.rep("x", 2e7) ngx.say(#string.format("%s%s%s%s", s, s, s, s))`, 500, noMemory},
	{"growing table", `local t = {} for i = 1, 1e9 do t[i] = i end`, 500, noMemory},
	{"growing hash", `local t = {} for i = 1, 1e9 do t["k" .. i] = {} end`, 500, noMemory},
	{"tables in tables", `local t = {} while true do t = {t} end`, 500, noMemory},
	{"closures", `local f = function() end while true do local g = f f = function() return g end end`, 500, noMemory},
	{"unpack", `ngx.say(select("#", unpack({}, 1, 1e8)))`, 500, ""},
	{"empty loop", `for i = 1, 1e12 do end`, 503, cpuLimit},
	{"endless pcall", `while true do pcall(function() while true do end end) end`, 503, cpuLimit},
	{"swallowed errors", `local t = {} while true do pcall(function() while true do t[#t + 1] = string.rep("x", 1e5) .. #t end end) end`, 500, memoryLimit},
	{"errors swallowed by xpcall", `local t = {} while true do xpcall(function() while true do t[#t + 1] = {} end end, function() return t end) end`, 0, ""},
	{"errors swallowed with sleep", `local t = {} while true do pcall(function() while true do t[#t + 1] = string.rep("x", 1e5) .. #t end end) ngx.sleep(0.001) end`, 500, memoryLimit},
	{"errors swallowed in coroutines", `local t = {} while true do coroutine.resume(coroutine.create(function() while true do t[#t + 1] = string.rep("x", 1e5) .. #t end end)) end`, 500, memoryLimit},
	{"errors of one call", `local ok, e repeat ok, e = pcall(string.rep, "x", 2^30) until ok`, 500, memoryLimit},
	{"garbage", `for i = 1, 1e5 do local s = string.rep("x", 2000) .. i end ngx.say("done")`, 200, ""},
	{"deep pattern", `ngx.say(string.find(string.rep("a", 30000), string.rep("a-", 30000) .. "b"))`, 0, ""},
	{"slow pattern", `ngx.say(string.find(string.rep("a", 3000), ".-.-.-.-.-b"))`, 503, cpuLimit},
	{"gsub that grows", `local s = string.rep("x", 1e6) while true do s = s:gsub("", "yy") end`, 500, noMemory},
	{"ngx.re.match", `local m, err = ngx.re.match(string.rep("a", 40), "^(a+)+$b", "o") ngx.say(err)`, 200, ""},
	{"ngx.re.gsub", `local s, n, err = ngx.re.gsub(string.rep("ab", 5000), "(a|b|ab)*c", "x", "jo") ngx.say(err)`, 0, ""},
	{"ngx.re.gsub that grows", `local s = "x" while true do s = ngx.re.gsub(s, "x", "xxxxxxxx") end`, 500, noMemory},
	{"many patterns", `for i = 1, 1e9 do ngx.re.find("a", "a{" .. i % 1000 .. "}" .. i, "o") end`, 503, cpuLimit},
	{"coroutines", `local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) coroutine.resume(t[i]) end`, 500, noMemory},
	{"coroutines that wait", `local t = {} for i = 1, 1e9 do t[i] = coroutine.wrap(function() coroutine.yield() end) t[i]() end`, 500, noMemory},
	{"threads", `for i = 1, 1e9 do ngx.thread.spawn(function() ngx.sleep(60) end) end`, 500, noMemory},
	{"threads of threads", `local function f() ngx.thread.spawn(f) ngx.thread.spawn(f) ngx.sleep(60) end f()`, 0, "lua entry thread aborted"},
	{"timers", `local ok, err repeat ok, err = ngx.timer.at(60, function() end) until not ok ngx.say(err)`, 200, ""},
	{"timers of timers", `local n = 0 local function f(p) n = n + 1 if n < 1e4 then ngx.timer.at(0, f) ngx.timer.at(0, f) end end for i = 1, 100 do ngx.timer.at(0, f) end ngx.say("ok")`, 200, ""},
	{"echo of a shared table", `local t = {"x"} for i = 1, 60 do t = {t, t} end ngx.say(t)`, 0, "lua entry thread aborted"},
	{"echo of a huge index", `ngx.say({[2^31 - 1] = "x"})`, 0, "lua entry thread aborted"},
	{"json of a shared table", `local t = {"x"} for i = 1, 60 do t = {t, t} end ngx.say(require "cjson".encode(t))`, 0, "lua entry thread aborted"},
	{"json of holes", `local c = require "cjson".new() c.encode_sparse_array(false, 0) ngx.say(#c.encode({[2^31] = 1}))`, 0, "lua entry thread aborted"},
	{"deep json", `ngx.say(pcall(require "cjson".decode, string.rep("[", 1e6)))`, 200, ""},
	{"deep tables as json", `local t = {} for i = 1, 1e5 do t = {t} end ngx.say(pcall(require "cjson".encode, t))`, 200, ""},
	{"json of itself", `local t = {} t.t = t ngx.say(pcall(require "cjson".encode, t))`, 200, ""},
	{"huge json", `local t, s = {}, string.rep("x", 1e6) for i = 1, 1000 do t[i] = s end ngx.say(#require "cjson".encode(t))`, 500, noMemory},
	{"arguments", `local t, s = {}, string.rep("v", 10000) for i = 1, 1e5 do t["k" .. i] = s end ngx.say(#ngx.encode_args(t))`, 500, noMemory},
	{"long arguments", `local t = ngx.decode_args(string.rep("a=b&", 1e6), 0) ngx.say(#t.a)`, 0, ""},
	{"output", `local s = string.rep("x", 1e6) for i = 1, 1e9 do ngx.print(s) end`, 0, ""},
	{"output that nobody reads", `local s = string.rep("x", 1e6) for i = 1, 1e9 do if not ngx.print(s) then break end ngx.flush(true) end`, 0, ""},
	{"headers", `for i = 1, 1e9 do ngx.header["X-" .. i] = string.rep("x", 1000) end`, 0, ""},
	{"request headers", `for i = 1, 1e9 do ngx.req.set_header("X-" .. i, string.rep("x", 1000)) end`, 0, "lua entry thread aborted"},
	{"ngx.ctx", `for i = 1, 1e9 do ngx.ctx[i] = {} end`, 500, noMemory},
	{"error objects", `error(setmetatable({}, {__tostring = function() error("in __tostring") end}))`, 500, ""},
	{"endless __tostring", `error(setmetatable({}, {__tostring = function() while true do end end}))`, 500, ""},
	{"handlers that fail", `xpcall(error, function() error("again") end) ngx.say("ok")`, 200, ""},
	{"__gc that fails", `for i = 1, 100 do getmetatable(newproxy(true)).__gc = function() error("in __gc") end end collectgarbage() ngx.say("ok")`, 200, ""},
	{"endless __gc", `getmetatable(newproxy(true)).__gc = function() while true do end end collectgarbage() collectgarbage() ngx.say("ok")`, 0, ""},
	{"__gc that makes more", `local function f() getmetatable(newproxy(true)).__gc = f end f() for i = 1, 5 do collectgarbage() end ngx.say("ok")`, 0, ""},
	{"brackets", `ngx.say((loadstring("return " .. string.rep("(", 1e5) .. "1" .. string.rep(")", 1e5))))`, 200, ""},
	{"a big chunk", `ngx.say(type(loadstring("return {" .. string.rep("1,", 3e5) .. "}")))`, 0, ""},
	{"many constants", `local t = {} for i = 1, 70000 do t[i] = "x" .. i .. "=" .. i end ngx.say(type(loadstring(table.concat(t, "\n"))))`, 0, ""},
	{"math", `local x = 0 for i = 1, 1e12 do x = math.sin(x) end`, 503, cpuLimit},
	{"string.buffer", `local b = require "string.buffer".new() for i = 1, 1e9 do b:put("some text that is put again and again") end`, 500, noMemory},
	{"table.insert", `local t = {} for i = 1, 1e9 do table.insert(t, 1, i) end`, 503, cpuLimit},
	{"table.new", `local t = require "table.new"(1e9, 1e9)`, 500, ""},
	{"semaphores", `local s, t = require "ngx.semaphore", {} for i = 1, 1e9 do t[i] = s.new(1) end`, 500, noMemory},
	{"sockets", `local t = {} for i = 1, 1e9 do t[i] = ngx.socket.tcp() end`, 500, noMemory},
	{"lrucache", `local c = require "resty.lrucache".new(1e6) for i = 1, 1e9 do c:set(i, {i, {}, {}}) end`, 0, "lua entry thread aborted"},
	{"subrequests of itself", `local r = ngx.location.capture("/run") ngx.say(r.status)`, 0, ""},
	{"ffi", `local ffi = require "ffi" local t = {} for i = 1, 1e9 do t[i] = ffi.new("char[?]", 1e6) end`, 0, "lua entry thread aborted"},
	{"huge ffi", `require "ffi".new("char[?]", 0x7fffffff)`, 500, noMemory},
	{"collections", `while true do collectgarbage() end`, 503, cpuLimit},
	{"digests", `local s = string.rep("x", 1e6) while true do ngx.md5(s) end`, 503, cpuLimit},
	{"upper", `local s = string.rep("x", 1e6) while true do s:upper() end`, 503, cpuLimit},
	{"base64", `local s = string.rep("x", 1e6) while true do ngx.decode_base64(ngx.encode_base64(s)) end`, 503, cpuLimit},
}

// TestTorture: a script fails its own request, and nothing else. Requests to the same worker are answered meanwhile, and the
// worker lives.
func TestTorture(t *testing.T) {
	s := newSite(t)
	s.write("conf/nginx.conf", `error_log logs/error.log info;
events { worker_connections 256; }
http {
    lua_memory_limit 64m;
    lua_cpu_limit 200ms;
    lua_max_pending_timers 500;
    server {
        listen `+s.addr+`;
        location = /patient { lua_cpu_limit 20s; content_by_lua_block { ngx.req.read_body() assert(loadstring(ngx.req.get_body_data(), "=torture"))() } }
        location = / { content_by_lua_block { local t = {} for i = 1, 100 do t[i] = tostring(i) .. ngx.var.uri end ngx.print(ngx.worker.pid(), " ", #table.concat(t)) } }
        location = /run { content_by_lua_block { ngx.req.read_body() assert(loadstring(ngx.req.get_body_data(), "=torture"))() } }
    }
}
`)
	s.start()
	s.until("the worker is there", func() bool { return len(children(s.pid())) == 1 })
	neighbour := fmt.Sprintf("%d 292", children(s.pid())[0])
	for _, tc := range tortures {
		before := len(s.read("logs/error.log"))
		start := time.Now()
		done := make(chan result, 1)
		uri := "/run"
		if tc.status == 200 {
			uri = "/patient" // it is to come to its end on a slow machine, too
		}
		go func() { done <- s.post(uri, tc.code) }()
		asked, slowest := 0, time.Duration(0)
		var res result
		for running := true; running; {
			from := time.Now()
			if body, err := s.get(); err != nil || body != neighbour {
				t.Fatalf("%s: the neighbour got %q, %v", tc.name, body, err)
			}
			asked, slowest = asked+1, max(slowest, time.Since(from))
			select {
			case res = <-done:
				running = false
			case <-time.After(5 * time.Millisecond):
			}
		}
		log := s.read("logs/error.log")
		log = log[min(before, len(log)):]
		t.Logf("%-31s %d in %v, %d neighbours, the slowest in %v: %.100q, %v", tc.name, res.status, time.Since(start).Round(time.Millisecond),
			asked, slowest.Round(time.Millisecond), res.body, res.err)
		if (tc.log == noMemory || tc.log == memoryLimit || tc.log == overflow) && res.status == 503 && strings.Contains(log, cpuLimit) {
			tc.status, tc.log = 503, cpuLimit // it has not come as far
		}
		if tc.status != 0 && res.status != tc.status {
			t.Errorf("%s: status %d, want %d: %.200q, %v", tc.name, res.status, tc.status, res.body, res.err)
		}
		if !strings.Contains(log, tc.log) {
			t.Errorf("%s: not in the log: %s", tc.name, tc.log)
		}
		if strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
			t.Errorf("%s: a panic", tc.name)
		}
		if body, err := s.get(); err != nil || body != neighbour {
			t.Fatalf("%s: afterwards the neighbour got %q, %v", tc.name, body, err)
		}
	}
	if log := s.read("logs/error.log"); strings.Contains(log, "exited") {
		t.Error("the worker did not live")
	}
}

// TestMemoryHardLimit: a worker that holds too much is replaced at once, and finishes its requests.
func TestMemoryHardLimit(t *testing.T) {
	s := newSite(t)
	s.write("conf/nginx.conf", `error_log logs/error.log info;
events { worker_connections 256; }
http {
    lua_memory_limit 256m;
    lua_memory_hard_limit 48m;
    init_by_lua_block { kept = {} }
    server {
        listen `+s.addr+`;
        location = /patient { lua_cpu_limit 20s; content_by_lua_block { ngx.req.read_body() assert(loadstring(ngx.req.get_body_data(), "=torture"))() } }
        location = / { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
        location = /wait { content_by_lua_block { ngx.req.read_body() ngx.log(ngx.NOTICE, "waits") while not ngx.worker.exiting() do ngx.sleep(0.01) end ngx.sleep(0.3) ngx.print(ngx.worker.pid()) } }
        location = /leak { content_by_lua_block { for i = 1, 8 do kept[#kept + 1] = string.rep("x", 1e6) .. i end collectgarbage() ngx.print(#kept) } }
    }
}
`)
	s.start()
	first, err := s.get()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan result, 1)
	go func() { done <- s.post("/wait", "x") }()
	s.logged("waits")
	for range 8 {
		if res := s.post("/leak", ""); res.status != 200 {
			t.Fatal(res)
		}
	}
	s.logged("bytes of memory are in use, more than lua_memory_hard_limit allows, another worker process is to take the place of this one")
	s.logged("worker process " + first + " shuts down by itself, another one takes its place")
	s.until("another one answers", func() bool { now, err := s.get(); return err == nil && now != first })
	if res := <-done; res.status != 200 || res.body != first {
		t.Errorf("the request that was under way got %+v", res)
	}
	s.logged("worker process " + first + " exited with code 0")
	if r, err := report(s); err != nil || r.Restarts != 1 || len(r.Workers) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestMemoryConf has values refused that make no sense.
func TestMemoryConf(t *testing.T) {
	s := newSite(t)
	for directives, want := range map[string]string{
		"lua_memory_limit 1m;":                  "the limit must be at least 16m in ",
		"lua_memory_hard_limit x;":              "\"lua_memory_hard_limit\" directive invalid value in ",
		"lua_gc_percent 0;":                     "invalid value \"0\" in ",
		"lua_gc_percent off;":                   "\"lua_gc_percent off\" needs a \"lua_memory_target\"",
		"lua_gc_percent 100; lua_gc_percent 1;": "\"lua_gc_percent\" directive is duplicate in ",
		"lua_gc_percent off; lua_memory_target 64m; lua_memory_limit 16m; lua_memory_hard_limit 1g;": "directive invalid value in ", // sizes have no g, as in nginx
	} {
		s.write("conf/nginx.conf", "events {}\nhttp { "+directives+" }\n")
		if code, out := s.run("-t"); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %s", directives, code, out)
		}
	}
	s.write("conf/nginx.conf", "events {}\nhttp { lua_gc_percent off; lua_memory_target 64m; lua_memory_limit 16m; lua_memory_hard_limit 1024m; }\n")
	s.mustRun("-t")
}

type result struct {
	status int
	body   string
	err    error
}

// post asks with a body, and reads no more than the beginning of a long answer.
func (s *site) post(path, body string) result {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	r, err := oneShot.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	return result{r.StatusCode, string(text), err}
}
