package ffi_test

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"perilune/luart/ffi"
	"perilune/luart/vm"
)

var update = flag.Bool("update", false, "write what luajit says")

// run runs a script and returns what it prints.
func run(t testing.TB, file string, args ...string) string {
	t.Helper()
	m := vm.New()
	ffi.Preload(m)
	var out strings.Builder
	m.Globals().SetStr("print", m.NewFunction("print", func(th *vm.Thread) int {
		for i := 1; i <= th.NArgs(); i++ {
			if i > 1 {
				out.WriteByte('\t')
			}
			out.WriteString(th.ToString(th.Arg(i)))
		}
		out.WriteByte('\n')
		return 0
	}))
	arg := m.NewTable(1, 0)
	for i, a := range args {
		arg.SetInt(i+1, vm.String(a))
	}
	m.Globals().SetStr("arg", arg.Value())
	fn, err := m.LoadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Main().Call(fn.Value()); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out.String())
	}
	return out.String()
}

// compare compares line by line with what LuaJIT printed.
func compare(t *testing.T, got, goldenFile, script string, args ...string) {
	t.Helper()
	if *update {
		out, err := exec.Command("luajit", append([]string{script}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(golden), "\n")
	if len(g) != len(w) {
		t.Errorf("%d lines, want %d", len(g), len(w))
	}
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("got  %s\nwant %s", g[i], w[i])
		}
	}
}

// TestValues compares what expressions give with what LuaJIT 2.1 gave.
func TestValues(t *testing.T) {
	got := run(t, "testdata/values.lua", "testdata/values.txt")
	compare(t, got, "testdata/values.out", "testdata/values.lua", "testdata/values.txt")
}

// TestLoggers runs programs of the kind that people write with ffi, and compares what
// they print with LuaJIT's.
func TestLoggers(t *testing.T) {
	for _, name := range []string{"append", "writev"} {
		script := "testdata/logger_" + name + ".lua"
		dir := t.TempDir()
		got := run(t, script, dir)
		compare(t, strings.ReplaceAll(got, dir, "DIR"), "testdata/logger_"+name+".out", script, t.TempDir())
	}
}

// expect runs code that prints one line.
func expect(t *testing.T, code, want string) {
	t.Helper()
	file := t.TempDir() + "/code.lua"
	if err := os.WriteFile(file, []byte("local ffi = require 'ffi' local C = ffi.C "+code), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(run(t, file), "\n"); got != want {
		t.Errorf("%s\n got %s\nwant %s", code, got, want)
	}
}

// TestMemoryIsSafe does what crashes LuaJIT, or worse.
func TestMemoryIsSafe(t *testing.T) {
	const fails = ` local ok, err = pcall(f) print(ok, (tostring(err):gsub("^[^:]*:%d+: ", ""):gsub("0x%x+", "0xX")))`
	for _, tc := range []struct{ code, want string }{
		{`local a = ffi.new("int[4]") function f() return a[4] end`, "attempt to access 4 bytes at offset 16 of 16 bytes of C memory"},
		{`local a = ffi.new("int[4]") function f() a[-1] = 1 end`, "attempt to access 4 bytes at offset -4 of 16 bytes of C memory"},
		{`local a = ffi.new("int[4]") function f() return a[2^62] end`, "attempt to access 4 bytes at offset -9223372036854775808 of 16 bytes of C memory"},
		{`local a = ffi.new("char[4]") function f() return (a + 2^40)[0] end`, "attempt to access 1 bytes at offset -9223372036854775808 of 4 bytes of C memory"},
		{`function f() return ffi.new("int *")[0] end`, "attempt to access memory at NULL"},
		{`function f() return ffi.cast("int *", 0x1234)[0] end`, "attempt to access memory at 0xX, which is not that of an object"},
		{`function f() return ffi.string(ffi.cast("char *", 0x1234)) end`, "attempt to access memory at 0xX, which is not that of an object"},
		{`function f() return ffi.string(nil) end`, "attempt to access memory at NULL"},
		{`function f() return ffi.string(ffi.new("char[2]", "ab")) end`, "unterminated string of 2 bytes of C memory"},
		{`function f() return ffi.string(ffi.new("char[2]", "ab"), 3) end`, "attempt to access 3 bytes at offset 0 of 2 bytes of C memory"},
		{`function f() return ffi.string("ab", 2^31) end`, "attempt to access 2147483648 bytes at offset 0 of 2 bytes of C memory"},
		{`function f() return ffi.string("ab", -1) end`, "attempt to access -1 bytes at offset 0 of 2 bytes of C memory"},
		{`function f() ffi.copy(ffi.new("char[2]"), "abc") end`, "attempt to access 4 bytes at offset 0 of 2 bytes of C memory"},
		{`function f() ffi.copy(ffi.cast("char *", "abc"), "x") end`, "attempt to write to constant location"},
		{`function f() ffi.cast("char *", "abc")[0] = 1 end`, "attempt to write to constant location"},
		{`function f() ffi.fill(ffi.new("char[2]"), -1) end`, "attempt to access -1 bytes at offset 0 of 2 bytes of C memory"},
		{`local p = ffi.new("char *[1]", ffi.new("char[1]")) ffi.cast("char *", p)[7] = 7 function f() return p[0][0] end`,
			"attempt to access memory at 0xX, which is not that of an object"},
		{`local p = ffi.cast("char *", ffi.cast("uintptr_t", ffi.new("char[1]"))) function f() return p[0] end`,
			"attempt to access memory at 0xX, which is not that of an object"},
		{`function f() return ffi.new("char[?]", 2^31) end`, "size of C type is unknown or too large"},
		{`function f() return ffi.new("char[?]", -1) end`, "size of C type is unknown or too large"},
		{`ffi.cdef "long read(int, void *, size_t);" function f() return C.read(0, ffi.new("char[2]"), 3) end`,
			"attempt to access 3 bytes at offset 0 of 2 bytes of C memory"},
		{`ffi.cdef "long read(int, const void *, size_t);" function f() return C.read(0, "abc", 3) end`, "attempt to write to constant location"},
		{`ffi.cdef "long write(int, const void *, size_t);" function f() return C.write(1, "abc", 5) end`,
			"attempt to access 5 bytes at offset 0 of 3 bytes of C memory"},
		{`ffi.cdef "long write(int, const void *, size_t);" function f() return C.write(1, nil, 4) end`, "attempt to access memory at NULL"},
		{`ffi.cdef "long write(int, const void *, size_t);" function f() return C.write(1, "abc", -1) end`,
			"attempt to access -1 bytes at offset 0 of 3 bytes of C memory"},
		{`ffi.cdef "int write(int);" function f() return C.write end`,
			"the declaration of 'write' does not fit the function: ssize_t write(int fd, const void *buf, size_t count)"},
		{`ffi.cdef "int printf(const char *, ...);" function f() return C.printf end`, "perilune does not provide the C function 'printf'"},
		{`ffi.cdef "extern int environ;" function f() return C.environ end`, "perilune does not provide the C variable 'environ'"},
		{`function f() return C.getpid end`, "missing declaration for symbol 'getpid'"},
		{`function f() return ffi.load("ssl") end`, "cannot load library 'ssl': perilune loads no C code, only the functions of ffi.C are there"},
		{`function f() return ffi.cast("int (*)(int)", 5)(1) end`, "'int (*)()' is not callable"},
		{`ffi.cdef "struct vec { void *p; size_t n; }; long writev(int, struct vec *, int);" function f() return C.writev(1, ffi.new("struct vec[1]", {{n = 4}}), 1) end`,
			"attempt to access memory at NULL"},
		{`ffi.cdef "struct vec { void *p; size_t n; }; long writev(int, struct vec *, int);" function f() return C.writev(1, ffi.new("struct vec[1]"), 2) end`,
			"attempt to access 32 bytes at offset 0 of 16 bytes of C memory"},
	} {
		expect(t, tc.code+fails, "false\t"+tc.want)
	}
}

// TestPointersKeepAlive: what only C memory points to is not collected.
func TestPointersKeepAlive(t *testing.T) {
	expect(t, `
		local s = ffi.new("struct { const char *text; int *n; }")
		s.text = ("x"):rep(1000) .. "end"
		s.n = ffi.new("int[1]", 42)
		for i = 1, 3 do collectgarbage() end
		print(#ffi.string(s.text), s.n[0])`, "1003\t42")
}

// TestStringAddresses: programs (resty.lrucache.pureffi) hash strings by address.
func TestStringAddresses(t *testing.T) {
	expect(t, `
		local function address(s) return ffi.cast("uintptr_t", ffi.cast("const char *", s)) end
		local a, b = ("x"):rep(50), ("x"):rep(25) .. ("x"):rep(25)
		print(address(a) == address(b), address(a) == address(a .. "y"), ffi.cast("const char *", a) == ffi.cast("const char *", b))`,
		"true\tfalse\ttrue")
}

func TestFinalizers(t *testing.T) {
	expect(t, `
		local n = 0
		for i = 1, 10 do ffi.gc(ffi.new("int[1]"), function(p) n = n + p[0] + 1 end) end
		local kept = ffi.gc(ffi.new("int[1]"), function() n = n + 100 end)
		ffi.gc(ffi.gc(ffi.new("int[1]"), function() n = n + 1000 end), nil)
		ffi.metatype("struct { int x; }", { __gc = 1 })
		for i = 1, 20 do collectgarbage() if n >= 9 then break end end
		print(n >= 9, n <= 10, kept[0])`, "true\ttrue\t0")
}

// TestWriteAllocations: a line is one system call and no garbage to speak of.
func TestWriteAllocations(t *testing.T) {
	m := vm.New()
	ffi.Preload(m)
	load := func(code string) vm.Value {
		fn, err := m.Load([]byte(code), "=t")
		if err != nil {
			t.Fatal(err)
		}
		return fn.Value()
	}
	call := func(fn vm.Value) {
		if _, err := m.Main().Call(fn); err != nil {
			t.Fatal(err)
		}
	}
	call(load(`ffi = require "ffi" C = ffi.C
		ffi.cdef "int open(const char *, int, int); ssize_t write(int, const void *, size_t);"
		fd = C.open("/dev/null", 1, 0) line = ("x"):rep(100)`))
	write := load(`for i = 1, 100 do if C.write(fd, line, #line) ~= 100 then error("short") end end`)
	// The result is a boxed integer.
	if got := testing.AllocsPerRun(20, func() { call(write) }); got > 102 {
		t.Errorf("100 lines allocate %v times", got)
	}
}

func FuzzCdef(f *testing.F) {
	values, err := os.ReadFile("testdata/values.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Split(string(values), "\n") {
		if i := strings.IndexByte(line, '"'); i >= 0 {
			f.Add(strings.SplitN(line[i+1:], `"`, 2)[0])
		}
	}
	f.Add("typedef struct a { int x:3, :0, y; struct a *n; union { char c[4]; float f; }; } __attribute__((packed)) a; int f(a *, ...) __asm__(\"g\");")
	f.Fuzz(func(t *testing.T, src string) {
		m := vm.New()
		ffi.Preload(m)
		m.Globals().SetStr("src", vm.String(src))
		fn, err := m.Load([]byte(`
			local ffi = require "ffi"
			pcall(ffi.cdef, src)
			local ok, ct = pcall(ffi.typeof, src)
			if not ok then return end
			tostring(ct)
			local size = select(2, pcall(ffi.sizeof, ct))
			if type(size) == "number" and size > 2^20 then return end
			local ok, o = pcall(ffi.new, ct)
			if not ok then return end
			tostring(o)
			pcall(function() return o[0] end)
			pcall(function() o[1] = 1 end)
			pcall(function() o[0] = o[0] end)
			pcall(ffi.new, ct, { 1, 2 })
			pcall(ffi.new, ct, "abc")
			pcall(ffi.fill, o, 8)
			pcall(function() return o + 1, o == o, o < o end)`), "=fuzz")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Main().Call(fn.Value()); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	m := vm.New()
	ffi.Preload(m)
	fn, err := m.Load([]byte(`local ffi = require "ffi"
		ffi.cdef "int open(const char *, int, int); ssize_t write(int, const void *, size_t);"
		local fd = ffi.C.open("/dev/null", 1, 0)
		local line = ("x"):rep(100)
		return function(n) for i = 1, n do ffi.C.write(fd, line, #line) end end`), "=b")
	if err != nil {
		b.Fatal(err)
	}
	res, err := m.Main().Call(fn.Value())
	if err != nil {
		b.Fatal(err)
	}
	f := res[0]
	b.ReportAllocs()
	if _, err := m.Main().Call(f, vm.Int(b.N)); err != nil {
		b.Fatal(err)
	}
}

// TestNginxFunctions compares with what ngx_lua's ffi said of nginx's own.
func TestNginxFunctions(t *testing.T) {
	golden, err := os.ReadFile("testdata/nginx.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, "testdata/nginx.lua"); got != string(golden) {
		t.Errorf("got\n%swant\n%s", got, golden)
	}
}
