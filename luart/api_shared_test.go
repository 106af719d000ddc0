package luart

import (
	"testing"
	"time"

	"perilune/ipc/shm"
)

func newSharedRuntime(t testing.TB) (*Runtime, *fakeLoop, *shm.Zone, *fakeLog) {
	t.Helper()
	z, err := shm.Create("d", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	loop, log := &fakeLoop{now: time.Unix(1_700_000_000, 123e6)}, &fakeLog{}
	d := z.Dict()
	d.Now = func() int64 { return loop.now.UnixMilli() }
	return New(Config{Loop: loop, Log: log, Worker: fakeWorker{}, Prefix: "/p/", Shared: []SharedDict{{"d", d}}}), loop, z, log
}

// TestSharedClock lets the loop's clock decide what has expired.
func TestSharedClock(t *testing.T) {
	rt, loop, _, _ := newSharedRuntime(t)
	r := newFakeRequest()
	run(t, rt, r, PhaseContent, `local d = ngx.shared.d d:set("a", 1, 5) d:set("b", 2) ngx.say(d:ttl("a"), d:get("a"))`)
	loop.now = loop.now.Add(4999 * time.Millisecond)
	run(t, rt, r, PhaseContent, `local d = ngx.shared.d ngx.say(d:ttl("a"), d:get("a"))`)
	loop.now = loop.now.Add(time.Millisecond)
	run(t, rt, r, PhaseContent, `local d = ngx.shared.d ngx.say(d:get("a"), d:get("b"), (select(3, d:get_stale("a"))))`)
	if got, want := r.sent.String(), "51\n0.0011\nnil2true\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSharedLongStrings are those that do not fit into the buffer of the runtime.
func TestSharedLongStrings(t *testing.T) {
	rt, _, _, _ := newSharedRuntime(t)
	r := newFakeRequest()
	run(t, rt, r, PhaseContent, `local d = ngx.shared.d
		for _, n in ipairs { 0, 1, 4095, 4096, 4097, 100000 } do
			local s = ("x"):rep(n)
			d:set("s", s) d:rpush("l", s) d:rpush("l", s)
			local got = d:get("s")
			d:set("s", ("y"):rep(n))
			ngx.print(got == s, (d:get_stale("s")) == ("y"):rep(n), d:lpop("l") == s, d:rpop("l") == s, " ")
		end`)
	if got, want := r.sent.String(), "truetruetruetrue truetruetruetrue truetruetruetrue truetruetruetrue truetruetruetrue truetruetruetrue "; got != want {
		t.Errorf("%q", got)
	}
}

// TestSharedAllocations: only what Lua gets is allocated.
func TestSharedAllocations(t *testing.T) {
	const n = 1000
	for _, tc := range []struct {
		name, code string
		most       float64 // for n turns
	}{
		{"numbers", `d:set("k", i) d:get("k") d:incr("k", 1) d:replace("k", 2, 10) d:ttl("k")`, 20},
		{"booleans", `d:set("b", true, 100, 3) d:get("b")`, 20},
		{"keys that are numbers", `d:set(i, i) d:get(i) d:delete(i)`, 20},
		{"strings", `d:set("s", "some text") d:get("s")`, n + 20},
		{"lists", `d:lpush("l", i) d:rpop("l") d:llen("l")`, 20},
	} {
		rt, _, _, _ := newSharedRuntime(t)
		fn, _, err := rt.Inline(rt.cfg.Log, "k", "local d = ngx.shared.d for i = 1, 1000 do "+tc.code+" end", "=code")
		if err != nil {
			t.Fatal(err)
		}
		var c Ctx
		c.Init(rt, newFakeRequest(), &testSettings)
		got := testing.AllocsPerRun(5, func() {
			if rc := rt.Run(&c, PhaseAccess, fn); rc != OK {
				t.Fatal(rc)
			}
		})
		if got > tc.most {
			t.Errorf("%s: %g allocations in %d turns, at most %g expected", tc.name, got, n, tc.most)
		}
	}
}

func BenchmarkShared(b *testing.B) {
	for _, bc := range []struct{ name, code string }{
		{"get", `d:get("k")`}, {"set", `d:set("k", i)`}, {"incr", `d:incr("k", 1)`}, {"get string", `d:get("s")`}, {"get long string", `d:get("long")`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			rt, _, _, _ := newSharedRuntime(b)
			fn, _, err := rt.Inline(rt.cfg.Log, "k", `local d = ngx.shared.d d:set("k", 1) d:set("s", "some text") d:set("long", ("x"):rep(1024)) for i = 1, ngx.ctx.n do `+bc.code+" end", "=code")
			if err != nil {
				b.Fatal(err)
			}
			var c Ctx
			c.Init(rt, newFakeRequest(), &testSettings)
			set, _, err := rt.Inline(rt.cfg.Log, "n", "ngx.ctx.n = "+itoa(b.N), "=code")
			if err != nil {
				b.Fatal(err)
			}
			rt.Run(&c, PhaseAccess, set)
			b.ReportAllocs()
			b.ResetTimer()
			rt.Run(&c, PhaseAccess, fn)
		})
	}
}
