package luart

import (
	"fmt"
	"testing"
)

// benchLua measures a statement of Lua, run b.N times in one loop, in CPU time:
// unlike that of the clock it can be compared on a machine that has other work.
func benchLua(b *testing.B, init, code string) {
	rt, _, _, _ := newSharedRuntime(b)
	r := newFakeRequest()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	run(b, rt, r, PhaseContent, fmt.Sprintf("%s for i = 1, %d do %s end", init, b.N, code))
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

func BenchmarkSharedLua(b *testing.B) {
	const init = `local d = ngx.shared.d d:set("counter", 1) d:set("long", ("0123456789abcdef"):rep(64)) `
	for _, c := range []struct{ name, code string }{
		{"empty-loop", ``},
		{"go-call", `local x = ngx.worker.id()`},
		{"get", `local x = d:get("counter")`},
		{"get-1k", `local x = d:get("long")`},
		{"set", `d:set("set", "a value that is short", 60)`},
		{"set-number", `d:set("number", i)`},
		{"capacity", `d:capacity("counter", 1, 0)`},
		{"incr", `d:incr("counter", 1)`},
		{"incr-init", `d:incr("counter", 1, 0)`},
		{"incr-result", `local x = d:incr("counter", 1, 0)`},
	} {
		b.Run(c.name, func(b *testing.B) { benchLua(b, init, c.code) })
	}
}
