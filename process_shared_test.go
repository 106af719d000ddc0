package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"perilune/ipc/shm"
)

// sharedConf writes a configuration whose server runs the Lua code that it is asked to.
func (s *site) sharedConf(main, http string) {
	s.t.Helper()
	s.luaConf(main, http, `local f = assert(loadstring(ngx.unescape_uri(ngx.var.args or ""))) ngx.print(tostring(f()))`)
}

// lua runs code in some worker.
func (s *site) lua(code string) (string, error) { return s.luaOver(oneShot, code) }

var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

func (s *site) luaOver(c *http.Client, code string) (string, error) {
	r, err := c.Get("http://" + s.addr + "/?" + url.QueryEscape(code))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", code, r.Status)
	}
	return string(b), err
}

func (s *site) wantLua(code, want string) {
	s.t.Helper()
	if got, err := s.lua(code); err != nil || got != want {
		s.t.Fatalf("%s: %q, %v; want %q", code, got, err, want)
	}
}

// reload waits until the configuration before accepts no more in at least one process.
func (s *site) reload() {
	s.t.Helper()
	const drains = "gracefully shutting down"
	old := strings.Count(s.read("logs/error.log"), drains)
	s.signal(syscall.SIGHUP)
	s.until("the reload is done", func() bool { return strings.Count(s.read("logs/error.log"), drains) > old })
}

func TestSharedDictOutlivesReloads(t *testing.T) {
	for _, main := range []string{"worker_processes 1;", "master_process off;"} {
		t.Run(main, func(t *testing.T) {
			s := newSite(t)
			s.sharedConf(main, "lua_shared_dict d 1m; lua_shared_dict other 64k;")
			s.start()
			s.wantLua(`local d = ngx.shared.d d:set("s", "\0text\255", 0, 7) d:set("n", 2.5, 1000) d:rpush("l", 1) d:rpush("l", "two")
				for i = 1, 200 do d:set("k" .. i, ("v"):rep(500)) end ngx.shared.other:set("o", true) return "set"`, "set")
			const check = `local d = ngx.shared.d local v, f = d:get("s")
				return tostring(v == "\0text\255") .. " " .. f .. " " .. d:get("n") .. " " .. tostring(d:ttl("n") > 900) .. " " ..
					d:llen("l") .. d:lpop("l") .. d:rpop("l") .. d:rpush("l", 1) .. d:rpush("l", "two") .. " " .. #d:get_keys()`
			const want = "true 7 2.5 true 21two12 203"
			s.wantLua(check, want)
			for _, http := range []string{
				"lua_shared_dict d 1m; lua_shared_dict other 64k;",
				"lua_shared_dict other 64k; lua_shared_dict d 2m;", // larger
				"lua_shared_dict d 512k; lua_shared_dict new 8k;",  // smaller
			} {
				s.sharedConf(main, http)
				s.reload()
				s.wantLua(check, want)
				s.wantLua("return ngx.shared.d:capacity()", map[string]string{"1m": "1048576", "2m": "2097152", "512k": "524288"}[strings.TrimSuffix(strings.Fields(http[strings.Index(http, " d "):])[1], ";")])
			}
			s.logged(`shared memory zone "d" changes its size from 1048576 to 2097152: 203 entries copied, 0 do not fit`)
			s.logged(`shared memory zone "d" changes its size from 2097152 to 524288: 203 entries copied, 0 do not fit`)
			s.wantLua("return ngx.shared.other", "nil")
			// One that was gone for a while is a new one.
			s.sharedConf(main, "lua_shared_dict d 512k; lua_shared_dict other 64k;")
			s.reload()
			s.wantLua(`return ngx.shared.other:get("o")`, "nil")
			// Reloads that fail change nothing.
			s.sharedConf(main, `lua_shared_dict d 1m; init_by_lua_block { ngx.shared.d:flush_all() error("no way") }`)
			s.signal(syscall.SIGHUP)
			s.logged("reload failed, the old configuration stays: ")
			s.wantLua(check, want)
			s.signal(syscall.SIGQUIT)
			s.ended()
		})
	}
}

func TestSharedDictInInit(t *testing.T) {
	s := newSite(t)
	s.sharedConf("worker_processes 3;", `lua_shared_dict d 64k;
		init_by_lua_block { ngx.shared.d:incr("init", 1, 0) }
		init_worker_by_lua_block { ngx.shared.d:incr("worker", 1, 0) }`)
	s.start()
	s.until("all workers have begun", func() bool {
		got, _ := s.lua(`return ngx.shared.d:get("init") .. " " .. ngx.shared.d:get("worker")`)
		return got == "3 3"
	})
}

// TestSharedDictAddsUp counts in four workers over many connections.
func TestSharedDictAddsUp(t *testing.T) {
	s := newSite(t)
	s.sharedConf("worker_processes 4;", `lua_shared_dict d 4m; init_worker_by_lua_block { ngx.shared.d:incr("ready", 1, 0) }`)
	s.start()
	s.until("there are four workers", func() bool { n, _ := s.lua(`return ngx.shared.d:get("ready")`); return n == "4" })
	const connections, requests, each = 40, 20, 25
	var clients []*http.Client // each with a connection of its own
	ids := make(map[string]bool)
	s.until("there are connections to all four workers", func() bool {
		client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
		clients = append(clients, client)
		id, err := s.luaOver(client, `return ngx.worker.id()`)
		if err == nil {
			ids[id] = true
		}
		return len(clients) >= connections && len(ids) == 4
	})
	var wg sync.WaitGroup
	for i, client := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer client.CloseIdleConnections()
			for range requests {
				_, err := s.luaOver(client, fmt.Sprintf(`local d = ngx.shared.d
					for i = 1, %d do d:incr("hot", 1, 0) d:incr("key" .. i, 1, 0) d:rpush("list" .. %d %% 4, i) end
					d:incr("worker" .. ngx.worker.id(), 1, 0) return 1`, each, i))
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	total := len(clients) * requests
	s.wantLua(`return ngx.shared.d:get("hot")`, strconv.Itoa(total*each))
	s.wantLua(`local n = 0 for i = 1, 25 do n = n + ngx.shared.d:get("key" .. i) end return n`, strconv.Itoa(total*each))
	s.wantLua(`local n = 0 for i = 0, 3 do n = n + ngx.shared.d:llen("list" .. i) end return n`, strconv.Itoa(total*each))
	s.wantLua(`local n, w = 0, 0 for i = 0, 3 do local k = ngx.shared.d:get("worker" .. i) if k then n, w = n + k, w + 1 end end return w .. " " .. n`,
		fmt.Sprint("4 ", total))
}

// TestSharedDictWhenWorkersAreKilled kills workers while they are at work in a dictionary.
func TestSharedDictWhenWorkersAreKilled(t *testing.T) {
	s := newSite(t)
	s.sharedConf("worker_processes 4;", "lua_shared_dict d 1m;")
	s.start()
	s.until("there are four workers", func() bool { return len(children(s.pid())) == 4 })
	var sent, done atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !over.Load() {
				sent.Add(1)
				got, err := s.lua(`local d = ngx.shared.d d:incr("n", 1, 0)
					for i = 1, 300 do
						local k = "k" .. math.random(200)
						d:set(k, ("v"):rep(math.random(4000))) d:get(k) d:incr("hot", 1, 0) d:lpush("l", i) d:rpop("l")
					end
					d:get("n") return 1`)
				if err == nil && got == "1" {
					done.Add(1)
				}
			}
		}()
	}
	for i := range 8 {
		was := done.Load()
		s.until("work goes on", func() bool { return done.Load() > was+10 })
		if w := children(s.pid()); len(w) > 0 {
			_ = syscall.Kill(w[i%len(w)], syscall.SIGKILL)
		}
	}
	was := done.Load()
	s.until("work goes on", func() bool { return done.Load() > was+20 })
	over.Store(true)
	wg.Wait()
	got, err := s.lua(`local d = ngx.shared.d d:set("x", "usable") return (d:get("n") or 0) .. " " .. d:get("x")`)
	text, usable := strings.CutSuffix(got, " usable")
	n, _ := strconv.ParseInt(text, 10, 64)
	// At worst the entries that were being written are lost; a number is never half written.
	if err != nil || !usable || n > sent.Load() {
		t.Errorf("%q, %v after %d requests, %d of them done", got, err, sent.Load(), done.Load())
	}
	t.Logf("zones were mended %d times", strings.Count(s.read("logs/error.log"), "which was mended"))
	if n < done.Load() {
		t.Logf("the counter was lost with the entry: %d of %d", n, done.Load())
	}
	s.signal(syscall.SIGQUIT)
	s.ended()
}

func TestSharedDictOutlivesUpgrades(t *testing.T) {
	one, two := build(t, "1.0"), build(t, "2.0")
	s := newSite(t)
	s.install(one)
	s.sharedConf("worker_processes 2;", "lua_shared_dict d 1m; lua_shared_dict e 64k;")
	s.mustRun()
	s.wantLua(`ngx.shared.d:set("a", "kept", 0, 3) ngx.shared.e:rpush("l", 5) return 1`, "1")
	for i, binary := range []string{two, one, two} {
		s.install(binary)
		if i == 2 {
			s.sharedConf("worker_processes 2;", "lua_shared_dict d 2m; lua_shared_dict e 64k;")
		}
		s.upgrade()
		if v := s.version(); v != []string{"2.0", "1.0", "2.0"}[i] {
			t.Errorf("version %s", v)
		}
		s.wantLua(`local v, f = ngx.shared.d:get("a") return v .. f .. ngx.shared.e:llen("l")`, "kept31")
	}
	s.wantLua("return ngx.shared.d:capacity()", "2097152")
	// A reload after an upgrade.
	s.reload()
	s.wantLua(`local v, f = ngx.shared.d:get("a") return v .. f .. ngx.shared.e:llen("l")`, "kept31")
}

// TestUpgradeToAnotherLayout: a program that knows an older layout of shared memory converts it, one that does not know a layout
// empties the zone; the log says which.
func TestUpgradeToAnotherLayout(t *testing.T) {
	layout := func(version string) string {
		if version == fmt.Sprint(shm.LayoutVersion) {
			return build(t, "1.0")
		}
		return buildWith(t, "layout-"+version, "-X perilune/ipc/shm.layoutText="+version)
	}
	s := newSite(t)
	s.install(layout("1"))
	s.sharedConf("worker_processes 2;", "lua_shared_dict d 3m; lua_shared_dict e 64k;")
	s.mustRun()
	s.wantLua(`local d, e = ngx.shared.d, ngx.shared.e
		for i = 1, 1000 do d:set("key" .. i, "value" .. i, 1000, i) end
		e:rpush("l", 5) e:rpush("l", "x") e:incr("n", 41, 1) return 1`, "1")
	all := func(want string) {
		t.Helper()
		s.wantLua(`local n = 0
			for i = 1, 1000 do
				local v, f = ngx.shared.d:get("key" .. i)
				if v == "value" .. i and f == i and ngx.shared.d:ttl("key" .. i) > 900 then n = n + 1 end
			end
			return n .. " " .. ngx.shared.e:llen("l") .. " " .. tostring(ngx.shared.e:get("n"))`, want)
	}
	all("1000 2 42")
	for _, to := range []struct{ layout, log, want string }{
		{"2", `zone "d" is converted from layout version 1 to 2: 1000 entries copied, 0 do not fit`, "1000 2 42"},
		{"3", `zone "e" is converted from layout version 2 to 3: 2 entries copied, 0 do not fit`, "1000 2 42"},
		{"2", `zone "d" begins empty: the zone has another layout version: 3, not 2`, "0 0 nil"},
	} {
		s.install(layout(to.layout))
		s.upgrade()
		all(to.want)
		if log := s.read("logs/error.log"); !strings.Contains(log, to.log) {
			t.Errorf("the log does not say %s:\n%s", to.log, log)
		}
	}
	s.wantLua(`return tostring(ngx.shared.d:set("a", 1)) .. ngx.shared.d:get("a")`, "true1")
	if log := s.read("logs/error.log"); strings.Contains(log, "[emerg]") || strings.Contains(log, "[alert]") {
		t.Errorf("%s", log)
	}
}

func TestSharedDictsDoNotLeak(t *testing.T) {
	s := newSite(t)
	s.sharedConf("worker_processes 1;", "lua_shared_dict d 1m;")
	s.start()
	s.reload()
	s.until("the old worker is gone", func() bool { return len(children(s.pid())) == 1 })
	before, worker := len(fds(s.pid())), len(fds(children(s.pid())[0]))
	for i := range 6 {
		s.sharedConf("worker_processes 1;", fmt.Sprintf("lua_shared_dict d %dk; lua_shared_dict x%d 1m;", 1024+i%2*512, i%3))
		s.reload()
	}
	s.sharedConf("worker_processes 1;", "lua_shared_dict d 1m;")
	s.reload()
	// The master may have had the channel of a worker that had just ended when it was asked first.
	s.until("the descriptors are no more than before", func() bool {
		w := children(s.pid())
		return len(w) == 1 && len(fds(s.pid())) <= before && len(fds(w[0])) <= worker
	})
	s.until("two zones are mapped", func() bool { // that of the log files, too
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.pid()))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(maps), "perilune-zone") == 2
	})
}
