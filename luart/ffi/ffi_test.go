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
