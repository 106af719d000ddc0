package luart

import (
	"strings"
	"testing"
	"time"
)

// TestAPI runs code of all phases against a request that is not of HTTP. What
// nginx does to the byte is compared in package httplua.
func TestAPI(t *testing.T) {
	for _, tc := range []struct {
		name  string
		phase Phase
		code  string
		set   func(r *fakeRequest)
		rc    int
		body  string
		log   string
	}{
		{name: "say", code: `ngx.say("a", 1, {2, {true}}, nil, ngx.null)`, body: "a12truenilnull\n"},
		{name: "print nothing", code: `ngx.print() ngx.print("")`, body: ""},
		{name: "exit", code: `ngx.say("x") ngx.exit(ngx.OK) ngx.say("y")`, body: "x\n"},
		{name: "exit with a status", code: `ngx.exit(403)`, rc: 403},
		{name: "exit through pcall and coroutines",
			code: `coroutine.wrap(function() pcall(function() ngx.exit(404) end) ngx.say("never") end)() ngx.say("never")`, rc: 404},
		{name: "exit out of a callback of the library", code: `local s = ("abc"):gsub(".", function() ngx.exit(403) end) ngx.say("never")`, rc: 403},
		{name: "sleep stops with the worker", code: `ngx.sleep(1) ngx.say("slept")`, body: "slept\n"},
		{name: "body error", code: `ngx.req.read_body() ngx.say("never")`, set: func(r *fakeRequest) { r.bodyRC = 413 }, rc: 413},
		{name: "body", code: `ngx.req.read_body() ngx.print(ngx.req.get_body_data(2))`, set: func(r *fakeRequest) { r.body = []byte("abc") }, body: "ab"},
		{name: "body in a file", code: `ngx.req.read_body() ngx.say(ngx.req.get_body_data(), ngx.req.get_body_file())`,
			set: func(r *fakeRequest) { r.bodyFile = "/f" }, body: "nil/f\n"},
		{name: "log in a filter", phase: PhaseLog, code: `ngx.log(ngx.ERR, ngx.get_phase(), pcall(ngx.say, "x"))`,
			log: "[error] [lua] content_by_lua(nginx.conf:1):1: logfalseAPI disabled in the context of log_by_lua*"},
		{name: "runtime error", code: `local x = 1 + {}`, rc: 500,
			log: "[error] lua entry thread aborted: runtime error: content_by_lua(nginx.conf:1):1: attempt to perform arithmetic on a table value\n" +
				"stack traceback:\ncoroutine 0:\n\tcontent_by_lua(nginx.conf:1): in main chunk"},
		{name: "error in the log phase", phase: PhaseLog, code: `error("x")`, rc: Error,
			log: "[error] failed to run log_by_lua*: content_by_lua(nginx.conf:1):1: x\nstack traceback:\n\t[C]: in function 'error'\n\tcontent_by_lua(nginx.conf:1):1: in main chunk"},
		{name: "not a header's value", code: `ngx.header["X-A"] = {1, true} ngx.say(ngx.header.x_a[2])`, body: "true\n"},
		{name: "redirect", code: `ngx.redirect("/y", 301)`, rc: 301},
		{name: "exec", code: `ngx.exec("/y?a=1", {b = 2})`, rc: Done},
		{name: "phase without an answer", phase: PhaseAccess, code: `ngx.ctx.a = 1`, rc: OK},
		{name: "captures", code: `ngx.say(ngx.var[1], ngx.var[9])`, set: func(r *fakeRequest) { r.captures = []string{"all", "one"} }, body: "onenil\n"},
		{name: "set a variable", code: `ngx.var.v = 5 ngx.say(ngx.var.V)`,
			set: func(r *fakeRequest) { r.vars["v"], r.settable["v"] = "", true }, body: "5\n"},
		{name: "a field of ngx", code: `ngx.mine = 1 ngx.say(ngx.mine, ngx.nothing)`, body: "1nil\n"},
		{name: "worker", code: `ngx.say(ngx.worker.pid(), " ", ngx.worker.id(), " ", ngx.worker.count(), ngx.config.prefix(), ngx.config.nginx_version)`, body: "4711 2 4/p/1027004\n"},
		{name: "coroutines have the request", code: `local co = coroutine.create(function() return ngx.var.uri end) ngx.say(select(2, coroutine.resume(co)))`, body: "/x\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt, _, _ := newTestRuntime(t)
			r := newFakeRequest()
			if tc.set != nil {
				tc.set(r)
			}
			if tc.phase == 0 {
				tc.phase = PhaseContent
			}
			if rc := run(t, rt, r, tc.phase, tc.code); rc != tc.rc {
				t.Errorf("result %d, want %d", rc, tc.rc)
			}
			if got := r.sent.String(); got != tc.body {
				t.Errorf("body %q, want %q", got, tc.body)
			}
			if got := strings.Join(r.lines, "\n"); got != tc.log {
				t.Errorf("log %q, want %q", got, tc.log)
			}
		})
	}
}

// TestContextIsReleased uses a context again: nothing of the first request is left.
func TestContextIsReleased(t *testing.T) {
	rt, _, _ := newTestRuntime(t)
	fn, _, err := rt.Inline(rt.cfg.Log, "k", `ngx.say(ngx.ctx.a) ngx.ctx.a = 1 ngx.header.x = "y" ngx.eof()`, "=t")
	if err != nil {
		t.Fatal(err)
	}
	var c Ctx
	for range 2 {
		r := newFakeRequest()
		c.Init(rt, r, &testSettings)
		if rc := rt.Run(&c, PhaseContent, fn); rc != OK || r.sent.String() != "nil\n" || !r.finished {
			t.Errorf("%d %q %v", rc, r.sent.String(), r.finished)
		}
		c.Release()
	}
}

// TestInit runs code outside of requests.
func TestInit(t *testing.T) {
	rt, _, log := newTestRuntime(t)
	if err := rt.RunInit(PhaseInit, "init_by_lua", `x = ngx.get_phase() print("hi") print(pcall(ngx.say, 1))`, "=init"); err != nil {
		t.Fatal(err)
	}
	err := rt.RunInit(PhaseInitWorker, "init_worker_by_lua", `error({})`, "=init")
	if err == nil || err.Error() != "init_worker_by_lua error: unknown error" {
		t.Errorf("%v", err)
	}
	want := []string{
		"[notice] [lua] init:1: hi",
		"[notice] [lua] init:1: falseno request object found",
		"[error] init_worker_by_lua error: unknown error, context: init_worker_by_lua*",
	}
	if strings.Join(log.lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", log.lines)
	}
	r := newFakeRequest()
	run(t, rt, r, PhaseContent, `ngx.print(x)`)
	if r.sent.String() != "init" {
		t.Errorf("%q", r.sent.String())
	}
}

// TestCPULimitIsPerBaton lets code that sleeps use as much as it likes.
func TestCPULimitIsPerBaton(t *testing.T) {
	rt, loop, _ := newTestRuntime(t)
	rt.SetCPULimit()
	settings := testSettings
	settings.CPULimit = 20 * time.Millisecond
	for code, want := range map[string]int{
		`for i = 1, 100 do ngx.sleep(0.001) for j = 1, 1e4 do end end`: OK,
		`while true do end`: 503,
		`while true do pcall(function() while true do end end) end`: 503,
	} {
		fn, _, err := rt.Inline(rt.cfg.Log, code, code, "=t")
		if err != nil {
			t.Fatal(err)
		}
		var c Ctx
		r := newFakeRequest()
		c.Init(rt, r, &settings)
		if rc := rt.Run(&c, PhaseContent, fn); rc != want {
			t.Errorf("%s: %d, want %d", code, rc, want)
		}
		if want == 503 && !strings.Contains(strings.Join(r.lines, ""), "stack traceback:\ncoroutine 0:\n\tt:1:") {
			t.Errorf("%s: %q", code, r.lines)
		}
	}
	if len(loop.slept) != 100 {
		t.Errorf("slept %d times", len(loop.slept))
	}
}
