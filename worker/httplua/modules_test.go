package httplua_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPipe runs programs by ngx.pipe.
func TestPipe(t *testing.T) {
	s := start(t, `init_by_lua_block { spawn = require("ngx.pipe").spawn }`, `
		location /all { content_by_lua_block {
			local p = assert(spawn({"cat"}))
			ngx.say(p:write("hello "), p:write({"wor", "ld", 1}), p:shutdown("stdin"))
			ngx.say(p:stdout_read_all()) ngx.say(p:stdout_read_all()) ngx.say(p:wait()) ngx.say(p:wait()) ngx.say(p:stdout_read_any(1)) ngx.say(p:write("x")) ngx.say(p:kill(9))
		} }
		location /lines { content_by_lua_block {
			local p = spawn("printf 'one\\r\\ntwo\\nthree'; printf err >&2; exit 3")
			ngx.say(p:stdout_read_line()) ngx.say(p:stdout_read_bytes(2)) ngx.say(p:stdout_read_bytes(0)) ngx.say(p:stdout_read_line())
			ngx.say(p:stdout_read_line()) ngx.say(p:stdout_read_any(5)) ngx.say(p:stderr_read_any(2), p:stderr_read_all()) ngx.say(p:wait())
		} }
		location /merge { content_by_lua_block {
			local p = spawn("echo out; echo err >&2", {merge_stderr = true, buffer_size = 1})
			ngx.say(p:stdout_read_all()) ngx.say(p:stderr_read_any(1)) ngx.say(p:shutdown("stderr"))
		} }
		location /environ { content_by_lua_block { local p = spawn({"/usr/bin/env"}, {environ = {"A=1", "B="}}) ngx.print(p:stdout_read_all()) } }
		location /timeout { content_by_lua_block {
			local p = spawn({"sleep", 10}, {stdout_read_timeout = 5, wait_timeout = 5})
			ngx.say(p:stdout_read_any(1)) ngx.say(p:wait()) p:set_timeouts(nil, 1, nil, nil) ngx.say(p:stdout_read_line())
			ngx.say(p:kill(15)) p:set_timeouts(nil, nil, nil, 10000) ngx.say(p:wait())
		} }
		location /busy { content_by_lua_block {
			local p = spawn({"cat"})
			local r = ngx.thread.spawn(p.stdout_read_any, p, 10) or nil
		} }
		location /threads { content_by_lua_block {
			local p = spawn({"cat"})
			local r = ngx.thread.spawn(function() return p:stdout_read_line() end)
			local w = ngx.thread.spawn(function() return p:wait() end)
			ngx.say(p:stdout_read_any(1)) ngx.say(p:wait())
			p:write("to the thread\n") ngx.say(ngx.thread.wait(r))
			p:shutdown("stdin") ngx.say(ngx.thread.wait(w))
		} }
		location /aborted { content_by_lua_block {
			local p = spawn({"cat"})
			local r = ngx.thread.spawn(function() return p:stdout_read_line() end)
			p:shutdown("stdout") ngx.say(ngx.thread.wait(r)) ngx.say(p:stdout_read_line())
		} }
		location /killthread { content_by_lua_block {
			local p = spawn({"cat"})
			local r = ngx.thread.spawn(function() p:stdout_read_line() ngx.say("never") end)
			ngx.say(ngx.thread.kill(r)) p:write("x\n") ngx.say(p:stdout_read_line())
		} }
		location /big { content_by_lua_block {
			local p = spawn({"cat"})
			local data = ("0123456789"):rep(100000)
			local w = ngx.thread.spawn(function() local n = p:write(data) p:shutdown("stdin") return n end)
			local all = p:stdout_read_all()
			ngx.say(#all, all == data, select(2, ngx.thread.wait(w)))
		} }
		location /epipe { content_by_lua_block { local p = spawn("exec <&-; echo; sleep 10") p:stdout_read_line() ngx.say(p:write("x")) } }
		location /sigpipe { content_by_lua_block { local p = spawn("trap") local q = spawn("yes | head -1") ngx.print(q:stdout_read_all()) ngx.print("err:", q:stderr_read_all()) } }
		location /none { content_by_lua_block { ngx.say(spawn({"no-such-program"}):wait()) ngx.say(spawn({"/no/such"}, {environ = {"A=b"}}):wait()) local p = spawn({"/etc/passwd"}) ngx.say(p:stdout_read_all()) } }
		location /bad { content_by_lua_block {
			local p = spawn({"sleep", "100"})
			for _, f in ipairs{
				function() spawn() end, function() spawn({}) end, function() spawn("x", {buffer_size = 0}) end, function() spawn("x", {environ = 1}) end,
				function() spawn("x", {environ = {"x"}}) end, function() spawn("x", {environ = {1}}) end, function() spawn("x", {wait_timeout = -1}) end,
				function() p.wait(1) end, function() p:write() end, function() p:shutdown("x") end, function() p:stdout_read_any(0) end,
				function() p:stdout_read_bytes(-1) end, function() p:kill("x") end, function() p:set_timeouts(-1) end,
			} do
				ngx.say((select(2, pcall(f)):gsub("^[^ ]* ", "")))
			end
			ngx.say(p:kill(1000))
		} }
		location /log { return 200; log_by_lua_block { local p = spawn({"true"}) ngx.log(ngx.WARN, select(2, pcall(p.wait, p))) } }
		location /left { content_by_lua_block { ngx.say(spawn({"sleep", "100"}):pid()) } }
		location /timer { content_by_lua_block {
			local sem = require("ngx.semaphore").new()
			local out
			ngx.timer.at(0, function() out = spawn("echo timer"):stdout_read_line() sem:post() end)
			sem:wait(10) ngx.say(out)
		} }
		location /rest { content_by_lua_block {
			local text = ("x"):rep(60000)
			for i = 1, 50 do
				local p = spawn({"echo", text})
				local r = ngx.thread.spawn(function()
					local n = 0
					while true do
						local data, err, partial = p:stdout_read_any(7000)
						n = n + #(data or partial)
						if err then return n, err end
					end
				end)
				assert(p:wait())
				local _, n, err = ngx.thread.wait(r)
				if n ~= 60001 or err ~= "closed" then return ngx.say(i, ": ", n, " ", err) end
			end
			ngx.say("all")
		} }
		location /held { content_by_lua_block {
			local p = spawn("sleep 0.1 & echo first")
			local r = ngx.thread.spawn(function() return p:stdout_read_all() end)
			ngx.say(p:wait()) ngx.say(ngx.thread.wait(r)) ngx.say(p:stdout_read_all())
		} }
		location /script { content_by_lua_block { ngx.print(spawn({ngx.config.prefix() .. "script", "a b"}):stdout_read_all()) } }
		location /dropped { content_by_lua_block {
			local pids = {}
			for i = 1, 20 do pids[i] = spawn("sleep 1000"):pid() end
			for i = 1, 1000 do
				collectgarbage()
				local left = 0
				for _, pid in ipairs(pids) do if io.open("/proc/" .. pid .. "/cmdline") then left = left + 1 end end
				if left == 0 then return ngx.say("gone") end
				ngx.sleep(0.01)
			end
			ngx.say("they stay")
		} }
	`, map[string]string{"script": "echo script $1\n"})
	if err := os.Chmod(s.dir+"/script", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, want string }{
		{"/rest", "all\n"},
		{"/held", "trueexit0\ntruenilclosedfirst\n\nnilclosed\n"},
		{"/script", "script a b\n"},
		{"/dropped", "gone\n"},
		{"/all", "66true\nhello world1\n\ntrueexit0\nnilexited\nnilclosed\nnilclosed\nnilexited\n"},
		{"/lines", "one\ntw\n\no\nnilclosedthree\nnilclosed\nerr\nfalseexit3\n"},
		{"/merge", "out\nerr\n\nnilmerged to stdout\nnilmerged to stdout\n"},
		{"/environ", "A=1\nB=\n"},
		{"/timeout", "niltimeout\nniltimeout\nniltimeout\ntrue\nfalsesignal15\n"},
		{"/threads", "nilpipe busy reading\nnilpipe busy waiting\ntrueto the thread\ntruetrueexit0\n"},
		{"/aborted", "truenilaborted\nnilclosed\n"},
		{"/killthread", "1\nx\n"},
		{"/big", "1000000true1000000\n"},
		{"/epipe", "nilclosed\n"},
		{"/sigpipe", "y\nerr:"},
		{"/none", "falseexit1\nfalseexit1\n\n"},
		{"/bad", `bad args arg: table expected, got nil
bad args arg: non-empty table expected
bad buffer_size option
bad environ option: table expected, got number
bad value at index 1 of environ option: 'name=[value]' format expected, got 'x'
bad value at index 1 of environ option: string expected, got number
bad wait_timeout option
not a process instance
bad data arg: string, number, or table expected, got nil
bad shutdown arg: x
bad max argument
bad len argument
bad signal arg: number expected, got x
bad write_timeout option
nilinvalid signal
`},
		{"/timer", "timer\n"},
	} {
		s.expect(t, tc.path, "200 OK", tc.want)
	}
	s.expect(t, "/log", "200 OK", "")
	_, body := s.get(t, "/left")
	pid, err := strconv.Atoi(strings.TrimSpace(body))
	if err != nil {
		t.Fatal(err)
	}
	running := func() bool {
		title, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return strings.HasPrefix(string(title), "sleep")
	}
	for end := time.Now().Add(patience); running(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a program outlives the request that has started it")
		}
	}
	s.stop()
	if log := readLog(t, s.dir, s.addr); !strings.Contains(log, "API disabled in the context of log_by_lua*") {
		t.Errorf("log: %s", log)
	}
}

// TestErrlog reads the captured error log.
func TestErrlog(t *testing.T) {
	const server = `
		location /get { content_by_lua_block {
			local e = require "ngx.errlog"
			ngx.log(ngx.WARN, "a warning") ngx.log(ngx.INFO, "information") ngx.log(ngx.DEBUG, "not logged")
			local logs = e.get_logs(100)
			ngx.say(#logs % 3)
			for i = 1, #logs, 3 do
				ngx.say(logs[i], " ", math.abs(logs[i + 1] - ngx.now()) < 60, " ", (logs[i + 2]:gsub("^%d+/%d+/%d+ %d+:%d+:%d+ (%[%w+%]) %d+#%d+: %*%d+ ", "%1 "):gsub("client.*", "")))
			end
			ngx.say(#e.get_logs())
		} }
		location /filter { content_by_lua_block {
			local e = require "ngx.errlog"
			e.get_logs(1000)
			ngx.say(e.set_filter_level(ngx.WARN)) ngx.log(ngx.WARN, "w1") ngx.log(ngx.NOTICE, "n") ngx.log(ngx.ERR, "e") e.raw_log(ngx.WARN, "raw")
			local t = {1, 2, 3, 4, 5, 6, 7}
			local logs = e.get_logs(2, t)
			ngx.say(logs == t, #logs, logs[1], logs[4], " ", logs[6]:match("lua%] .* e")) ngx.say(e.get_logs()[3]:match(": (%*%d+ raw,)") ~= nil)
			ngx.say(e.set_filter_level(ngx.DEBUG)) ngx.say(e.set_filter_level(9)) ngx.say(e.set_filter_level())
			ngx.say(e.get_sys_filter_level()) ngx.say(pcall(e.raw_log, "x", "y")) ngx.say(pcall(e.raw_log, 1, 2)) ngx.say(pcall(e.raw_log, 10, "y"))
		} }
		location /full { content_by_lua_block {
			local e = require "ngx.errlog"
			e.get_logs(1000)
			for i = 1, 50 do e.raw_log(ngx.ERR, i .. ("x"):rep(500)) end
			local logs = e.get_logs(1000)
			ngx.say(#logs > 3 and #logs < 30, " ", logs[#logs]:match("50x") , " ", logs[3]:match("1x"))
		} }
	`
	s := start(t, `lua_capture_error_log 4k;`, server, nil)
	s.expect(t, "/get", "200 OK", "0\n5 true [warn] [lua] content_by_lua(nginx.conf:6):3: a warning, \n7 true [info] [lua] content_by_lua(nginx.conf:6):3: information, \n0\n")
	s.expect(t, "/filter", "200 OK", "true\ntrue654 lua] content_by_lua(nginx.conf:16):4: e\ntrue\ntrue\nnilbad log level: 9\nnilmissing \"level\" argument\n7\n"+
		"falsebad argument #1 to 'raw_log' (must be a number)\nfalsebad argument #2 to 'raw_log' (must be a string)\nfalsebad log level\n")
	s.expect(t, "/full", "200 OK", "true 50x nil\n")
	s = start(t, "", `location / { content_by_lua_block { local e = require "ngx.errlog" ngx.say(e.get_logs()) ngx.say(e.set_filter_level(1)) } }`, nil)
	s.expect(t, "/", "200 OK", strings.Repeat("nildirective \"lua_capture_error_log\" is not set\n", 2))
	for conf, want := range map[string]string{
		"lua_capture_error_log 1k;":                           `invalid capture error log size "1k", minimum size is 2048 in`,
		"lua_capture_error_log x;":                            `invalid capture error log size "x", minimum size is 2048 in`,
		"lua_capture_error_log 4k; lua_capture_error_log 4k;": `"lua_capture_error_log" directive is duplicate in`,
		"lua_sa_restart off;":                                 `"lua_sa_restart" cannot be off`,
		"lua_malloc_trim x;":                                  `"lua_malloc_trim" directive invalid number in the 1st argument`,
	} {
		if _, err := tryStart(t, conf, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", conf, err, want)
		}
	}
}

// TestLock takes locks of resty.lock.
func TestLock(t *testing.T) {
	s := start(t, "lua_shared_dict locks 100k; lua_malloc_trim 2; lua_sa_restart on; lua_thread_cache_max_entries 1;", `
		location /one { content_by_lua_block {
			local l = require("resty.lock"):new("locks")
			ngx.say(l:lock("k")) ngx.say(l:lock("k")) ngx.say(ngx.shared.locks:get("k")) ngx.say(l:expire(10)) ngx.say(l:unlock()) ngx.say(l:unlock()) ngx.say(l:expire()) ngx.say(ngx.shared.locks:get("k")) ngx.say(l:lock())
			ngx.say(require("resty.lock"):new("none"))
		} }
		location /two { content_by_lua_block {
			local lock = require "resty.lock"
			local a, b = lock:new("locks"), lock:new("locks", {timeout = 0.01, step = 0.001, ratio = 2, max_step = 0.003})
			a:lock("x") ngx.say(b:lock("x")) ngx.say(lock:new("locks", {timeout = 0}):lock("x"))
			local t = ngx.thread.spawn(function() local waited = lock:new("locks"):lock("x") return waited > 0 end)
			a:unlock() ngx.say(ngx.thread.wait(t)) ngx.shared.locks:delete("x")
		} }
		location /order { content_by_lua_block {
			local inside, most, t = 0, 0, {}
			for i = 1, 5 do t[i] = ngx.thread.spawn(function()
				local l = require("resty.lock"):new("locks") assert(l:lock("o")) inside = inside + 1 most = math.max(most, inside) ngx.sleep(0.002) inside = inside - 1 l:unlock()
			end) end
			for i = 1, 5 do ngx.thread.wait(t[i]) end
			ngx.say(most, inside)
		} }
		location /options { content_by_lua_block {
			local lock = require "resty.lock"
			for _, o in ipairs{{exptime = -1}, {exptime = 2}, {timeout = "1"}, {timeout = 9, exptime = 3}, {timeout = 1, step = 4}, {step = 4}} do
				local l = lock:new("locks", o)
				ngx.say(l.timeout, " ", l.exptime, " ", l.step, " ", l.ratio, " ", l.max_step)
			end
			local a, b = lock:new("locks"), lock:new("locks", {step = 0.01, timeout = 0.05})
			ngx.say(lock:new(ngx.shared.locks)) ngx.say(a:lock(5)) ngx.say(ngx.shared.locks:get(5)) ngx.say(b:lock("5")) a:unlock()
		} }
	`, nil)
	s.expect(t, "/options", "200 OK", `5 -1 0.001 2 0.5
5 2 0.001 2 0.5
1 30 0.001 2 0.5
3 3 0.001 2 0.5
1 30 1 2 0.5
5 30 4 2 0.5
nildictionary not found
0
true
niltimeout
`)
	s.expect(t, "/one", "200 OK", "0\nnillocked\ntrue\ntrue\n1\nnilunlocked\nnilunlocked\nnil\nnilnil key\nnildictionary not found\n")
	s.expect(t, "/two", "200 OK", "niltimeout\nniltimeout\ntruetrue\n")
	s.expect(t, "/order", "200 OK", "10\n")
}

// TestProcess asks what process the code runs in.
func TestProcess(t *testing.T) {
	s := start(t, `init_by_lua_block { local p = require "ngx.process" in_init = p.type()
		local function try(...) local ok, err = p.enable_privileged_agent(...) in_init = in_init .. " " .. tostring(ok or err) end
		try() try(false) try(10) try("x") try(-1) }`, `
		location / { content_by_lua_block { local p = require "ngx.process" ngx.say(in_init) ngx.say(p.type()) ngx.say(p.get_master_pid()) ngx.say(table.concat(ngx.worker.pids(), " ")) ngx.say(p.enable_privileged_agent()) } }
	`, nil)
	s.expect(t, "/", "200 OK", "master true true true"+strings.Repeat(" bad 'connections' argument: number expected and greater than 0", 2)+"\nworker\n"+strconv.Itoa(os.Getppid())+"\n"+strconv.Itoa(os.Getpid())+"\nnilAPI disabled in the current context\n")
}

// TestSetStatus is about ngx.resp.set_status, which older releases of lua-resty-core do not have.
func TestSetStatus(t *testing.T) {
	s := start(t, "", `
		location /status { lua_http10_buffering off; content_by_lua_block {
			local resp = require "ngx.resp"
			resp.set_status(ngx.var.arg_s, ngx.var.arg_r or "")
			ngx.say(ngx.status) resp.set_status(404, "late")
		} }
		location /unset { content_by_lua_block { require("ngx.resp").set_status(299, "Own") ngx.status = 200 } }`, nil)
	for path, want := range map[string]string{
		"/status?s=201&r=Made": "201 Made", "/status?s=404": "404 Not Found", "/status?s=404&r=Away": "404 Away",
		"/status?s=1000&r=x": "200 OK", "/unset": "200 OK",
	} {
		if got, _ := s.get(t, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	log := s.log(t)
	for _, line := range []string{"attempt to set ngx.status after sending out response headers", "invalid HTTP status code 1000"} {
		if !strings.Contains(log, line) {
			t.Errorf("no %q in the error log:\n%s", line, log)
		}
	}
}

// TestBypassConditions is about ngx.resp.bypass_if_checks, which older releases of lua-resty-core do not have.
func TestBypassConditions(t *testing.T) {
	s := start(t, "", `
		location /bypass { content_by_lua_block {
			require "ngx.resp".bypass_if_checks()
			ngx.header["Last-Modified"] = "Tue, 15 Nov 1994 12:45:26 GMT"
			ngx.say("body")
		} }
		location /checked { content_by_lua_block { ngx.header["Last-Modified"] = "Tue, 15 Nov 1994 12:45:26 GMT" ngx.say("body") } }
		location /timer { content_by_lua_block {
			ngx.timer.at(0, function() ngx.shared.err = select(2, pcall(require "ngx.resp".bypass_if_checks)) end)
			ngx.sleep(0.01)
			ngx.say(ngx.shared.err)
		} }
	`, nil)
	for _, tc := range []struct{ path, header, want string }{
		{"/bypass", "If-Match: 1", "200 OK"},
		{"/bypass", "If-Modified-Since: Tue, 15 Nov 1994 12:45:26 GMT", "200 OK"},
		{"/checked", "If-Match: 1", "412 Precondition Failed"},
		{"/checked", "If-Modified-Since: Tue, 15 Nov 1994 12:45:26 GMT", "304 Not Modified"},
	} {
		if status, _ := s.getWith(t, tc.path, tc.header+"\r\n"); status != tc.want {
			t.Errorf("%s with %s: %s, want %s", tc.path, tc.header, status, tc.want)
		}
	}
	s.expect(t, "/timer", "200 OK", "API disabled in the current context\n")
}
