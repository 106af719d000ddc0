package luart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perilune/logging"
	"perilune/luart/vm"
)

// loggerRuntime is a runtime with log files and a prefix of its own.
func loggerRuntime(t testing.TB) (*Runtime, string) {
	t.Helper()
	rt, _, _ := newTestRuntime(t)
	files := &logging.Files{}
	t.Cleanup(files.CloseAll)
	dir := t.TempDir() + "/"
	rt.cfg.Files, rt.cfg.Prefix = files, dir
	return rt, dir
}

func TestFileLogger(t *testing.T) {
	const head = `local logger = require "resty.logger.file" local say = function(...) local a = {...} for i = 1, select("#", ...) do a[i] = tostring(a[i]) end ngx.say(table.concat(a, " ")) end `
	for _, tc := range []struct{ code, said, written string }{
		{`local l = logger:new{path="l"} say(l:write("a"), l:write("b\n"), l:write("c", 1, "d"), l:flush(), l:close())`, "true true true true true\n", "a\nb\nc1d\n"},
		{`local l = logger.new{path="l"} say(l:write(""))`, "true\n", "\n"},
		{`local l = logger:new{path="l"} say(l:json{a = "x/y"}, l:json{1, 2})`, "true true\n", "{\"a\":\"x/y\"}\n[1,2]\n"},
		{`local l = logger:new{path="l", format="json"} say(l:write("a\"b\n"), l:write{b = true})`, "true true\n",
			`{"time":"TIME","pid":4711,"message":"a\"b\n"}` + "\n{\"b\":true}\n"},
		{`local l = logger:new{path="l", format="text"} say(l:write{})`, "nil string expected, got table\n", ""},
		{`local l = logger:new{path="l"} say(l:write()) say(l:json("s")) say(l:json{f = print})`,
			"nil string expected, got nil\nnil table expected, got string\nnil Cannot serialise function: type not supported\n", ""},
		{`local l = logger:new{path="l", max_line=3, on_error=function(e) say("E " .. e) end} say(l:write("1234")) say(l:write("123"))`,
			"E line of 4 bytes is too long\nnil line of 4 bytes is too long\ntrue\n", "123\n"},
		{`local l = logger:new{path="l", buffer_size=8, flush_interval=0} l:write("abc") local f = io.open(DIR .. "l") say(#f:read("*a")) l:write("def") f:seek("set") say(#f:read("*a")) l:write("g") local n repeat f:seek("set") n = #f:read("*a") until n > 0 say(n) say(l:flush())`,
			"0\n0\n8\ntrue\n", "abc\ndef\ng\n"},
		{`local l = logger:new{path="l", buffer_size="1k", flush_interval=0} l:write("x") say(l:close())`, "true\n", "x\n"},
		{`local l = logger:new{path="l", buffer_size="1k", flush_interval=0} l:write("x") os.rename(DIR .. "l", DIR .. "m") say(l:reopen()) l:write("y") l:flush()`, "true\n", "y\n"},
		{`local l = logger:new{path="l"} l:close() say(l:write("x")) say(l:close()) say(l:flush()) say(l:reopen())`,
			"nil closed\nnil closed\nnil closed\nnil closed\n", ""},
		{`local a, b = logger:new{path="l"}, logger:new{path="./l"} a:close() say(b:write("x"))`, "true\n", "x\n"},
		{`say(logger:new{}) say(logger:new()) say(logger:new{path = 5}) say(logger:new{path = ""})`,
			"nil path expected\nnil a table of options expected\nnil path expected\nnil path expected\n", ""},
		{`say(logger:new{path="l", mode="9"}) say(logger:new{path="l", buffer_size=-1}) say(logger:new{path="l", buffer_size="x"}) say(logger:new{path="l", max_line=0/0})`,
			"nil mode must be a number or a string of octal digits\nnil buffer_size must be a size\nnil buffer_size must be a size\nnil max_line must be a size\n", ""},
		{`say(logger:new{path="l", flush_interval="x"}) say(logger:new{path="l", format="xml"}) say(logger:new{path="l", on_error=1})`,
			"nil flush_interval must be a number of seconds\nnil format must be \"text\" or \"json\"\nnil on_error must be a function\n", ""},
		{`say(logger:new{path="no/such"})`, "nil open() \"DIRno/such\" failed (2: No such file or directory)\n", ""},
		{`local l = logger:new{path="/dev/full", buffer_size=64} say(l:write("x")) say(l:flush())`, "true\nnil write() failed (28: No space left on device)\n", ""},
		{`local l = logger:new{path="/dev/full"} say(l:write("x"))`, "nil write() failed (28: No space left on device)\n", ""},
		{`say(pcall(function() return logger:new{path="l"}.write({}) end))`, "false bad argument #1 to '?' (logger expected, got table)\n", ""},
	} {
		rt, dir := loggerRuntime(t)
		r := newFakeRequest()
		if rc := run(t, rt, r, PhaseContent, "local DIR = '"+dir+"' "+head+tc.code); rc != OK {
			t.Errorf("%s: %d %q", tc.code, rc, r.lines)
			continue
		}
		if got := strings.ReplaceAll(r.sent.String(), dir, "DIR"); got != tc.said {
			t.Errorf("%s\n said %q\n want %q", tc.code, got, tc.said)
		}
		for _, f := range rt.cfg.Files.All() {
			f.Drain(time.Minute) // lines after one that took long wait in a queue
		}
		b, _ := os.ReadFile(filepath.Join(dir, "l"))
		got := string(b)
		if i := strings.Index(got, `"time":"`); i >= 0 {
			got = got[:i+8] + "TIME" + got[i+8+strings.IndexByte(got[i+8:], '"'):]
		}
		if got != tc.written {
			t.Errorf("%s\n wrote %q\n want %q", tc.code, got, tc.written)
		}
	}
}

// TestFileLoggerMode: the mode is that of new files, also of those that a reopen makes.
func TestFileLoggerMode(t *testing.T) {
	rt, dir := loggerRuntime(t)
	r := newFakeRequest()
	code := `local l = require("resty.logger.file"):new{path="l", mode="0600"} os.rename("` + dir + `l", "` + dir + `m") l:reopen()`
	if rc := run(t, rt, r, PhaseContent, code); rc != OK {
		t.Fatalf("%d %q", rc, r.lines)
	}
	for _, name := range []string{"l", "m"} {
		st, err := os.Stat(dir + name)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}

// TestFileLoggerKeepsNothing: loggers that are dropped let go of their descriptor.
func TestFileLoggerKeepsNothing(t *testing.T) {
	rt, _ := loggerRuntime(t)
	r := newFakeRequest()
	code := `local logger = require "resty.logger.file" for i = 1, 50 do local l = logger:new{path = "l" .. i, buffer_size = 100} l:write("x") if i % 2 == 0 then l:close() end end
		for i = 1, 10 do collectgarbage() end`
	if rc := run(t, rt, r, PhaseContent, code); rc != OK {
		t.Fatalf("%d %q", rc, r.lines)
	}
	if n := len(rt.cfg.Files.All()); n > 1 {
		t.Errorf("%d files are open", n)
	}
}

func TestFileLoggerAllocations(t *testing.T) {
	for opts, most := range map[string]float64{"": 2, ", buffer_size=4096": 8} { // some for each time that the buffer is written
		rt, _ := loggerRuntime(t)
		r := newFakeRequest()
		if rc := run(t, rt, r, PhaseContent, `log = require("resty.logger.file"):new{path="l"`+opts+`} line = ("x"):rep(150)`); rc != OK {
			t.Fatalf("%d %q", rc, r.lines)
		}
		write := mustLoad(t, rt, `for i = 1, 100 do log:write(line) end`)
		th := rt.vm.Main()
		got := testing.AllocsPerRun(20, func() {
			if _, err := th.Call(write.Value()); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%q: 100 lines allocate %v times", opts, got)
		}
	}
}

func mustLoad(t testing.TB, rt *Runtime, code string) *vm.Function {
	t.Helper()
	fn, err := rt.vm.Load([]byte(code), "=test")
	if err != nil {
		t.Fatal(err)
	}
	return fn
}
