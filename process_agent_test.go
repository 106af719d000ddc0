package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// agentConf is a site whose agent tells what it is, and the number of its process.
func (s *site) agentConf(main, ask string) {
	s.t.Helper()
	s.write("secret", "s")
	if err := os.Chmod(s.path("secret"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user daemon;"
	}
	s.sharedConf(main+user, `lua_shared_dict facts 1m;
    init_by_lua_block { `+ask+` }
    exit_worker_by_lua_block { ngx.log(ngx.NOTICE, "leaving ", require "ngx.process".type()) }
    init_worker_by_lua_block {
        local p, facts = require "ngx.process", ngx.shared.facts
        if p.type() ~= "privileged agent" then return end
        facts:set("what", table.concat({tostring(ngx.worker.id()), ngx.worker.count(), tostring(p.get_master_pid()),
            tostring(io.open("`+s.path("secret")+`") ~= nil), tostring(p.enable_privileged_agent()), tostring(ngx.worker.exiting())}, " "))
        ngx.timer.at(60, function() end)
        ngx.timer.every(0.01, function() facts:set("timer", ngx.worker.pid()) while facts:get("spin") == ngx.worker.pid() do end end)
        facts:set("pid", ngx.worker.pid())
    }`)
}

func (s *site) agentPID() int {
	body, err := s.lua(`return ngx.shared.facts:get("pid") or 0`)
	if err != nil {
		s.t.Fatal(err)
	}
	pid, _ := strconv.Atoi(body)
	return pid
}

func titleOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(bytes.TrimRight(text, "\x00 "))
}

// another waits until there is an agent other than the process of that number.
func (s *site) another(pid int) int {
	s.t.Helper()
	next := 0
	s.until("there is another agent", func() bool {
		next = s.agentPID()
		return next != 0 && next != pid && slices.Contains(children(s.pid()), next)
	})
	return next
}

func TestPrivilegedAgent(t *testing.T) {
	s := newSite(t)
	s.install(build(t, "1.0"))
	const ask = `assert(require "ngx.process".enable_privileged_agent(100))`
	s.agentConf("worker_processes 2; worker_hang_timeout 3s;", ask)
	s.start()
	pid := s.another(0)
	if title := titleOf(pid); title != "perilune: privileged agent process" {
		t.Errorf("title %q", title)
	}
	s.logged(fmt.Sprintf("start privileged agent process %d", pid))
	s.wantLua(`return ngx.shared.facts:get("what")`, fmt.Sprintf("nil 2 %d true nil false", s.pid()))
	s.wantLua(`local p = require "ngx.process" return p.type() .. " " .. tostring(ngx.worker.id() < 2) .. " " .. #ngx.worker.pids()`, "worker true 2")
	if fds := listening(pid); fds != 0 {
		t.Errorf("it has %d listen sockets", fds)
	}
	r, err := report(s)
	if err != nil || len(r.Workers) != 3 || r.Workers[0].Type != "privileged agent" || r.Workers[0].PID != pid || !r.Generations[0].Agent {
		t.Errorf("%+v, %v", r, err)
	}

	// It is replaced when it is killed, and when it hangs.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.logged(fmt.Sprintf("privileged agent process %d exited on signal 9", pid))
	pid = s.another(pid)
	s.wantLua(fmt.Sprintf(`return ngx.shared.facts:set("spin", %d)`, pid), "true")
	s.logged(fmt.Sprintf("privileged agent process %d has not answered for", pid))
	s.logged(fmt.Sprintf("privileged agent process %d exited on signal 9", pid))
	pid = s.another(pid)

	// QUIT alone ends it, without the timers that are pending.
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	s.logged(fmt.Sprintf("privileged agent process %d exited with code 0", pid))
	s.logged("leaving privileged agent")
	pid = s.another(pid)

	s.reload()
	pid = s.another(pid)
	s.upgrade()
	pid = s.another(pid)

	// A configuration that does not ask for one has none.
	s.agentConf("worker_processes 2;", "")
	s.reload()
	s.until("it is gone", func() bool { return !slices.Contains(children(s.pid()), pid) && len(children(s.pid())) == 2 })
	s.agentConf("worker_processes 1;", ask)
	s.reload()
	s.another(pid)
	s.signal(syscall.SIGQUIT)
	s.until("all have ended", func() bool { return len(s.processes()) == 0 })
	if log := s.read("logs/error.log"); strings.Contains(log, "[emerg]") || strings.Contains(log, "panic") {
		t.Error("see the log")
	}
}

// listening is how many listen sockets a process has.
func listening(pid int) (n int) {
	tcp := readFileString(fmt.Sprintf("/proc/%d/net/tcp", pid))
	inodes := make(map[string]bool)
	for line := range strings.Lines(tcp) {
		if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" {
			inodes["socket:["+f[9]+"]"] = true
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil && inodes[to] {
			n++
		}
	}
	return n
}

func readFileString(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}
