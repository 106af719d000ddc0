package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/worker/testpeer"
)

// TestLuaCommandAPI: the ngx API in programs on the command line. stderr is a part of what must be there; the time and the
// process number in it are T and P.
func TestLuaCommandAPI(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lib/m.lua":      "return {f = function(n) return n * 2 end}",
		"byname.lua":     "print(require(arg[1]).encode({1}))",
		"plain.lua":      "G = 1 print(getmetatable(_G), coroutine.running(), next({}))",
		"more.conf":      "lua_shared_dict more 1m;",
		"main.conf":      "thread_pool other threads=1;",
		"late.lua":       "local co = coroutine.wrap(function() return require 'uses' end) print(co())",
		"uses.lua":       "ngx.sleep(0.001) return ngx.get_phase()",
		"lib/d/init.lua": "return 'init'",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stamp := regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+:`)
	for _, tc := range []struct {
		name           string
		args           []string
		stdin          string
		status         int
		stdout, stderr string
	}{
		{name: "phase", args: []string{"-e", "print(ngx.get_phase(), ngx.config.is_console, ngx.worker.id(), require 'ngx.process'.type())"},
			stdout: "timer\ttrue\t0\tsingle\n"},
		{name: "say", args: []string{"-e", "ngx.say('x', 1, nil, true, {1, {2, 'z'}, false}, ngx.null) ngx.print('y') io.write('z') print(ngx.flush(), ngx.eof())"},
			stdout: "x1niltrue12zfalsenull\nyztrue\ttrue\n"},
		{name: "print is Lua's", args: []string{"-e", "print('a', nil, ngx ~= nil)"}, stdout: "a\tnil\ttrue\n"},
		{name: "endless table", args: []string{"-e", "local t = {} t[1] = t print(pcall(ngx.say, t))"}, stdout: "false\ttable is nested too deeply\n"},
		{name: "threads", args: []string{"-e", `local ths = {}
			for i = 1, 3 do ths[i] = ngx.thread.spawn(function() ngx.sleep(0.02 * (4 - i)) ngx.say("done ", i) return i end) end
			for i = 1, 3 do print(ngx.thread.wait(ths[i])) end`}, stdout: "done 3\ndone 2\ndone 1\ntrue\t1\ntrue\t2\ntrue\t3\n"},
		{name: "a thread is waited for", args: []string{"-e", "ngx.thread.spawn(function() ngx.sleep(0.02) ngx.say('late') end) print('first')"},
			stdout: "first\nlate\n"},
		{name: "a failure waits for none", args: []string{"-e", "ngx.thread.spawn(function() while true do ngx.sleep(1) end end) error('x', 0)"}, status: 1,
			stderr: "lua: x\nstack traceback:\n\t[C]: in function 'error'\n\t(command line):1: in main chunk\n\t[C]: in ?\n"},
		{name: "a thread fails", args: []string{"-e", "local function f() error('oops') end print(ngx.thread.wait(ngx.thread.spawn(f)))"},
			stdout: "false\toops\t(command line):1: oops\n",
			stderr: "T [error] P: lua user thread aborted: runtime error: (command line):1: oops\nstack traceback:\ncoroutine 0:\n"},
		{name: "timers", args: []string{"-e", `ngx.timer.at(0.01, function(early, x) ngx.say(early, x) end, "A")
			ngx.timer.at(100, function(early, x) ngx.say(early, x) end, "B") ngx.sleep(0.03) print(ngx.timer.pending_count())`},
			stdout: "falseA\n1\ntrueB\n"},
		{name: "a timer that goes on", args: []string{"-e", "ngx.timer.at(0, function() ngx.sleep(0.02) print(ngx.worker.exiting()) end) ngx.sleep(0.001)"},
			stdout: "true\n"},
		{name: "semaphore", args: []string{"-e", `local s = require "ngx.semaphore".new(0)
			ngx.thread.spawn(function() ngx.sleep(0.01) s:post(1) end) print((s:wait(1)), (s:wait(0.001)))`}, stdout: "true\tfalse\n"},
		{name: "waiting anywhere", args: []string{"-e", `local t = {3, 1, 2} table.sort(t, function(a, b) ngx.sleep(0.001) return a < b end)
			local co = coroutine.wrap(function() ngx.sleep(0.001) coroutine.yield("y") return "r" end) print(t[1], co(), co())`}, stdout: "1\ty\tr\n"},
		{name: "coroutines are Lua's", args: []string{"-e", `ngx.sleep(0) print(coroutine.running(), pcall(coroutine.yield))
			print(pcall(coroutine.wrap(function() error("x", 0) end)), coroutine.status(coroutine.create(print)))`},
			stdout: "nil\tfalse\tattempt to yield across C-call boundary\nfalse\tsuspended\n"},
		{name: "a coroutine from before", args: []string{"late.lua"}, stdout: "timer\n"},
		{name: "log", args: []string{"-e", "ngx.log(ngx.WARN, 'w') ngx.log(ngx.INFO, 'i')"},
			stderr: "T [warn] P: [lua] (command line):1: w, context: ngx.timer\n"},
		{name: "log level", args: []string{"--errlog-level=error", "-e", "ngx.log(ngx.WARN, 'w')"}},
		{name: "exit", args: []string{"-e", "io.write('a') ngx.exit(3)"}, status: 3, stdout: "a"},
		{name: "exit in a thread", args: []string{"-e", "ngx.thread.spawn(function() ngx.sleep(0.001) ngx.exit(4) end) ngx.sleep(10)"}, status: 4},
		{name: "os.exit in a timer", args: []string{"-e", "ngx.timer.at(0, function() os.exit(5) end) ngx.sleep(10)"}, status: 5},
		{name: "graceful exit", args: []string{"-e", "require 'ngx.process'.signal_graceful_exit() while not ngx.worker.exiting() do ngx.sleep(0.001) end print(ngx.worker.exiting())"}, stdout: "true\n"},
		{name: "requests", args: []string{"-e", "print(pcall(ngx.req.get_headers)) print(pcall(ngx.location.capture, '/'))"},
			stdout: "false\tAPI disabled in the current context\nfalse\tAPI disabled in the context of ngx.timer\n"},
		{name: "modules by name", args: []string{"byname.lua", "cjson.safe"}, stdout: "[1]\n"},
		{name: "-l", args: []string{"-l", "cjson", "-e", "print(package.loaded.cjson.encode({}))"}, stdout: "{}\n"},
		{name: "-I", args: []string{"-I", "lib", "-Ilib/none", "-e", "print(require 'd', require 'm'.f(2))"}, stdout: "init\t4\n"},
		{name: "globals", args: []string{"plain.lua"}, stdout: "nil\tnil\tnil\n"},
		{name: "no warnings of globals", args: []string{"-e", "x = ngx.now() print(x > 0)"}, stdout: "true\n"},
		{name: "shdict", args: []string{"--shdict", "dogs 1m", "--shdict=cats 12k", "-e", "ngx.shared.dogs:set('Tom', 56) print(ngx.shared.dogs:get('Tom'), ngx.shared.cats:capacity())"},
			stdout: "56\t12288\n"},
		{name: "conf", args: []string{"--main-conf", "thread_pool p threads=1;", "--http-conf", "init_by_lua_block { G = 5 }", "-I", "lib",
			"-e", "print(G, ngx.run_worker_thread('p', 'm', 'f', 3))"}, stdout: "5\ttrue\t6\n"},
		{name: "includes", args: []string{"--main-include", "main.conf", "--http-include=more.conf", "-e", "print(ngx.shared.more:capacity())"}, stdout: "1048576\n"},
		{name: "bad conf", args: []string{"--http-conf", "foo bar;", "-e", "print(1)"}, status: 1,
			stderr: "nginx: [emerg] unknown directive \"foo\" in DIR/perilune-lua.conf:13\n"},
		{name: "bad init", args: []string{"--http-conf", "init_by_lua_block { error('x') }", "-e", "print(1)"}, status: 1,
			stderr: "T [error] P: init_by_lua error: init_by_lua(perilune-lua.conf:13):1: x\n"},
		{name: "no listening", args: []string{"--http-conf", "server { listen 127.0.0.1:1; }", "-e", "print(1)"}, status: 1,
			stderr: "\"listen\" is not possible here: nobody would accept\n"},
		{name: "bad shdict", args: []string{"--shdict", "dogs"}, status: 1, stderr: "lua: invalid --shdict option value: dogs\n  (expecting NAME SIZE)\n"},
		{name: "bad ns", args: []string{"--ns", "foo"}, status: 1, stderr: "lua: invalid --ns option value: foo\n  (expecting an IP address)\n"},
		{name: "bad -c", args: []string{"-c", "x"}, status: 1, stderr: "lua: option -c value must be a number but found 'x'\n"},
		{name: "bad level", args: []string{"--errlog-level", "loud"}, status: 1, stderr: "lua: bad --errlog-level option value: loud\n"},
		{name: "-j", args: []string{"-j", "off"}, status: 1, stderr: luaUsage},
		{name: "no value", args: []string{"--shdict"}, status: 1, stderr: luaUsage},
		{name: "dump", args: []string{"--dump-nginx-conf", "-I", `a"b`, "-c", "7", "--ns", "127.0.0.1", "--resolve-ipv6", "--http-conf", "lua_max_pending_timers 3;"},
			stdout: "daemon off;\nmaster_process off;\nworker_processes 1;\nerror_log stderr warn;\nevents {\n    worker_connections 7;\n}\nhttp {\n" +
				"    access_log off;\n    lua_socket_log_errors off;\n    lua_regex_cache_max_entries 40960;\n    resolver 127.0.0.1;\n" +
				"    lua_package_path \"a\\\"b/?.lua;a\\\"b/?/init.lua;;\";\n    lua_max_pending_timers 3;\n}\n"},
	} {
		cmd, stdout, stderr := luaCommand(dir, nil, tc.args...)
		cmd.Stdin = strings.NewReader(tc.stdin)
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(stamp.ReplaceAllString(stderr.String(), "T $1 P:"), dir, "DIR")
		if status := cmd.ProcessState.ExitCode(); status != tc.status || stdout.String() != tc.stdout ||
			!strings.Contains(got, tc.stderr) || tc.stderr == "" && got != "" {
			t.Errorf("%s: %d\n%s%s", tc.name, status, stdout, got)
		}
	}
}

// TestLuaCommandSocket: cosockets with names out of the hosts file.
func TestLuaCommandSocket(t *testing.T) {
	at := testpeer.ServeTCP(t, func(c net.Conn) { _, _ = c.Write([]byte("hello\n")) })
	cmd, stdout, stderr := luaCommand("", nil, "-e", `local s = ngx.socket.tcp()
		assert(s:connect("localhost", `+strconv.Itoa(int(at.Port()))+`)) print(s:receive()) print(s:receive()) s:close()
		print(ngx.socket.tcp():connect("127.0.0.1", 1))`)
	if err := cmd.Run(); err != nil || stdout.String() != "hello\nnil\tclosed\t\nnil\tconnection refused\n" || stderr.Len() > 0 {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
}

// TestLuaCommandAPIInterrupted: the first interrupt ends a wait, QUIT lets timers end.
func TestLuaCommandAPIInterrupted(t *testing.T) {
	for _, tc := range []struct {
		name, code     string
		signal         syscall.Signal
		status         int
		stdout, stderr string
	}{
		{name: "waiting", code: "ngx.say('on') ngx.flush() ngx.thread.spawn(function() ngx.sleep(60) end) ngx.sleep(60)", signal: syscall.SIGINT, status: 1,
			stdout: "on\n", stderr: "lua: interrupted!\n"},
		{name: "busy", code: "ngx.say('on') ngx.flush() while true do end", signal: syscall.SIGINT, status: 1, stdout: "on\n", stderr: "lua: interrupted!\n"},
		{name: "quit", code: "ngx.timer.at(60, function(p) ngx.say(p) end) ngx.say('on') ngx.flush() while not ngx.worker.exiting() do ngx.sleep(0.001) end",
			signal: syscall.SIGQUIT, stdout: "on\ntrue\n"},
	} {
		cmd, _, stderr := luaCommand("", nil, "-e", tc.code)
		cmd.Stdout = nil
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		buf := make([]byte, 100)
		n, _ := out.Read(buf)
		if err := cmd.Process.Signal(tc.signal); err != nil {
			t.Fatal(err)
		}
		stdout := string(buf[:n])
		for n > 0 {
			n, _ = out.Read(buf)
			stdout += string(buf[:n])
		}
		_ = cmd.Wait()
		timer.Stop()
		if status := cmd.ProcessState.ExitCode(); status != tc.status || stdout != tc.stdout || !strings.HasPrefix(stderr.String(), tc.stderr) {
			t.Errorf("%s: %v: %q, %q", tc.name, cmd.ProcessState, stdout, stderr)
		}
	}
}
