package httplua_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestModulesAsOriginals compares the bundled modules with what their originals have answered. Where these differ on purpose
// (OpenResty's additions to lua-cjson, messages of ffi, the order of keys) the golden file has no line.
func TestModulesAsOriginals(t *testing.T) {
	script, err := filepath.Abs("testdata/modules/modules.lua")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/modules/modules.golden")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "lua_shared_dict locks 1m;", `location / { content_by_lua_file "`+script+`"; }`, nil)
	_, body := s.get(t, "/")
	body = regexp.MustCompile(`[^\s"]*/[a-z0-9]+\.lua:\d+: `).ReplaceAllString(body, "")
	have := strings.Split(body, "\n")
	at := 0
	for _, want := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		from := at
		for at < len(have) && have[at] != want {
			at++
		}
		if at == len(have) {
			t.Fatalf("not there, or not in its place: %s\nwhere it should be:\n%s", want, strings.Join(have[from:min(from+5, len(have))], "\n"))
		}
		at++
	}
}

// TestShell runs commands by resty.shell, and sends signals.
func TestShell(t *testing.T) {
	s := start(t, "", `
		location /run { content_by_lua_block {
			local shell = require "resty.shell"
			local function show(...) for i = 1, 5 do ngx.print(tostring((select(i, ...))):gsub("\n", "|"), i < 5 and " " or "\n") end end
			show(shell.run("echo out; echo err >&2; exit 3")) show(shell.run({"echo", "a b"})) show(shell.run("cat", "input"))
			show(shell.run("head -c 100 /dev/zero | tr '\\0' y", nil, 5000, 10)) show(shell.run("kill -TERM $$")) show(shell.run("sleep 60", nil, 20)) show(shell.run({"/none"}))
		} }
		location /signal { content_by_lua_block {
			local signal = require "resty.signal"
			ngx.say(signal.signum("HUP"), signal.signum("NONE"), signal.signum(9), signal.signum("NOPE"))
			ngx.say(signal.kill(ngx.worker.pid(), "NONE")) ngx.say(signal.kill(ngx.worker.pid(), 0)) ngx.say(signal.kill(1, "NOPE"))
			ngx.say(signal.kill(2^30, "TERM")) ngx.say(pcall(signal.kill, nil, "TERM")) ngx.say(pcall(signal.kill, 1)) ngx.say(pcall(signal.signum, "INFO"))
		} }
	`, nil)
	s.expect(t, "/run", "200 OK", "false out| err| exit 3\ntrue a b|  exit 0\ntrue input  exit 0\n"+
		"nil yyyyyyyyyyy  failed to read stdout: too much data nil\nfalse   signal 15\nnil   failed to wait for process: timeout nil\nfalse   exit 1\n")
	s.expect(t, "/signal", "200 OK", "109nilunknown signal name\ntrue\ntrue\nnilunknown signal name\nnilNo such process\nfalseassertion failed!\nfalseassertion failed!\n"+
		"falsemissing C def for signal INFO = 33\n")
}
