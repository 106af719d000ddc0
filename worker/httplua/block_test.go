package httplua_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// fifo makes a FIFO. What waits for it waits until the test opens the other end.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBlockingCalls: while a request waits in a system call the worker serves others, and the request goes on in its
// own phase when the call has returned.
func TestBlockingCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		code, want string
		writes     bool // what waits is a writer
	}{
		"os.execute": {`say(os.execute("read x <FIFO; test $x = word"))`, "0", false},
		"io.popen":   {`local p = io.popen("cat FIFO") say(p:read("*a"), p:close())`, "word\ntrue", false},
		"lines":      {`for l in io.popen("cat FIFO"):lines() do say(l) end`, "word", false},
		"number":     {`say(io.popen("echo 12; cat FIFO >/dev/null"):read("*n", "*l", 5))`, "12nil", false},
		"close":      {`local p = io.popen("cat FIFO >/dev/null", "w") say(p:close())`, "true", false},
		"open":       {`local f = io.open("FIFO") say(f:read("*l"), f:close())`, "wordtrue", false},
		"write":      {`local f = io.open("FIFO", "w") say(f:write("word"), f:close())`, "truetrue", true},
		"pipe":       {`local p = io.popen("cat >FIFO", "w") for i = 1, 300 do p:write(("x"):rep(1000)) end say(p:close())`, "true", true},
		"coroutine":  {`say(coroutine.wrap(function() local ok, v = pcall(function() return io.popen("cat FIFO"):read("*l") end) coroutine.yield(v) end)())`, "word", false},
	} {
		t.Run(name, func(t *testing.T) {
			// One for each phase: a program of the first may still have its own open.
			paths := map[string]string{"access": fifo(t), "content": fifo(t)}
			s := start(t, `init_by_lua_block { function say(...) ngx.say(...) ngx.say(ngx.get_phase()) end }`, `
				location /access { access_by_lua_block { `+strings.ReplaceAll(tc.code, "FIFO", paths["access"])+` } }
				location /content { content_by_lua_block { `+strings.ReplaceAll(tc.code, "FIFO", paths["content"])+` } }
				location /hello { content_by_lua_block { ngx.say("hello") } }
			`, nil)
			for _, phase := range []string{"access", "content"} {
				done := make(chan string)
				go func() {
					_, body := s.get(t, "/"+phase)
					done <- body
				}()
				s.expect(t, "/hello", "200 OK", "hello\n")
				mode := os.O_WRONLY
				if tc.writes {
					mode = os.O_RDONLY
				}
				f, err := os.OpenFile(paths[phase], mode, 0) // waits for the other side, which is in its call then
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					s.expect(t, "/hello", "200 OK", "hello\n")
				}
				if tc.writes {
					go func() { _, _ = f.WriteTo(discard{}); _ = f.Close() }()
				} else {
					_, _ = f.WriteString("word\n")
					_ = f.Close()
				}
				if got, want := <-done, tc.want+"\n"+phase+"\n"; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestBlockingCallOfAnEndedThread: a thread that is ended while it is in a system call runs no Lua code any more, and
// its request ends after it.
func TestBlockingCallOfAnEndedThread(t *testing.T) {
	for name, code := range map[string]string{
		"killed":  `local u = ngx.thread.spawn(wait) ngx.say(ngx.thread.kill(u) == 1)`,
		"exit":    `ngx.say(true) local u = ngx.thread.spawn(wait) ngx.exit(200)`,
		"aborted": `ngx.say(true) ngx.thread.spawn(function() ngx.sleep(0) ngx.exit(200) end) wait()`,
	} {
		for call, wait := range map[string]string{
			"execute": `os.execute("cat FIFO >/dev/null")`, "read": `io.popen("cat FIFO"):read("*a")`, "lines": `for l in io.lines("FIFO") do end`,
		} {
			t.Run(name+" "+call, func(t *testing.T) {
				path := fifo(t)
				s := start(t, `init_by_lua_block { function wait() pcall(function() `+strings.ReplaceAll(wait, "FIFO", path)+` end) ngx.log(ngx.ERR, "it runs on") end }`, `
					location / { content_by_lua_block { `+code+` } }
					location /hello { return 200 "hello\n"; }
				`, nil)
				done := make(chan string)
				go func() {
					_, body := s.get(t, "/")
					done <- body
				}()
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				for range 20 { // the thread is ended meanwhile
					s.expect(t, "/hello", "200 OK", "hello\n")
				}
				_ = f.Close()
				if got := <-done; got != "true\n" {
					t.Errorf("%q", got)
				}
				if log := s.log(t); strings.Contains(log, "it runs on") {
					t.Error(log)
				}
			})
		}
	}
}

// TestBlockingCallsKeepTheirOrder: where ngx_lua allows no code to wait, nobody comes between; nor while a module is
// loaded, which others would find half done.
func TestBlockingCallsKeepTheirOrder(t *testing.T) {
	path := fifo(t)
	s := start(t, `lua_package_path "$prefix/lua/?.lua;;";
		init_by_lua_block {
			inside, most = {}, {}
			function call(name)
				inside[name] = (inside[name] or 0) + 1
				most[name] = math.max(most[name] or 0, inside[name])
				os.execute("sleep 0.01")
				inside[name] = inside[name] - 1
			end
			call("init")
		}`, `
		location /all {
			set_by_lua_block $x { call("set") return 1 }
			content_by_lua_block { call("content") ngx.print("x") }
			header_filter_by_lua_block { call("header_filter") }
			body_filter_by_lua_block { if ngx.arg[2] then call("body_filter") end }
			log_by_lua_block { call("log") }
		}
		location /most { content_by_lua_block { for _, n in ipairs{"init", "set", "header_filter", "body_filter", "log"} do ngx.print(n, most[n], " ") end ngx.say("content ", most.content > 1) } }
		location /module { content_by_lua_block { ngx.say(require("slow").line) } }
		location /collect { content_by_lua_block {
			local done = false
			local p = newproxy(true)
			getmetatable(p).__gc = function() os.execute("true") done = true end
			p = nil
			collectgarbage() collectgarbage()
			ngx.say(done)
		} }
	`, map[string]string{"lua/slow.lua": `return {line = io.popen("cat ` + path + `"):read("*l")}`})
	several := func(path, want string) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { s.expect(t, path, "200 OK", want) })
		}
		wg.Wait()
	}
	several("/all", "x")
	s.expect(t, "/most", "200 OK", "init1 set1 header_filter1 body_filter1 log1 content true\n")
	go func() { _ = os.WriteFile(path, []byte("loaded\n"), 0) }()
	several("/module", "loaded\n")
	s.expect(t, "/collect", "200 OK", "true\n")
}

// TestBlockingCallsStress mixes calls that give the worker away with threads that are killed, filters that wait, and
// files that several requests share. It is for the race detector above all.
func TestBlockingCallsStress(t *testing.T) {
	s := start(t, `init_by_lua_block { shared = assert(io.open(ngx.config.prefix() .. "shared", "w")) }`, `
		location / {
			content_by_lua_block {
				local n = tonumber(ngx.var.arg_n)
				local ffi = require "ffi"
				pcall(ffi.cdef, "int fsync(int fd); int open(const char *, int, int); int close(int);")
				ngx.ctx.n = n
				local function work(i)
					if (n + i) % 4 == 0 then os.execute("true") end
					if (n + i) % 4 == 1 then assert(io.popen("echo " .. n):read("*n") == n) end
					if (n + i) % 4 == 2 then
						local fd = ffi.C.open(ngx.config.prefix() .. "synced", 1 + 64 + 1024, 420)
						assert(fd >= 0 and ffi.C.fsync(fd) == 0 and ffi.C.close(fd) == 0)
						assert(ffi.C.fsync(-1) == -1 and ffi.errno() == 9)
					end
					if (n + i) % 4 == 3 then
						assert(shared:write(n, "\n")) assert(shared:flush())
						assert(select(2, io.open(ngx.config.prefix() .. "none")):find("No such file", 1, true))
					end
					assert(ngx.get_phase() == "content" and ngx.ctx.n == n)
					return i
				end
				local threads = {}
				for i = 1, 4 do threads[i] = ngx.thread.spawn(work, i) end
				ngx.say("x")
				if n % 3 == 0 then ngx.thread.kill(threads[4]) threads[4] = nil end
				for i, u in pairs(threads) do
					local ok, v = ngx.thread.wait(u)
					if not ok or v ~= i then ngx.say(v) end
				end
			}
			body_filter_by_lua_block { ngx.sleep(0.001) assert(ngx.get_phase() == "body_filter") }
		}
	`, nil)
	clients, requests := 8, 25
	if testing.Short() {
		requests = 8
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range requests {
				s.expect(t, fmt.Sprintf("/?n=%d", c*requests+i), "200 OK", "x\n")
			}
		})
	}
	wg.Wait()
	if log := s.log(t); strings.Contains(log, "[error]") || strings.Contains(log, "[alert]") {
		t.Error(log)
	}
}
