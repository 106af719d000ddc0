package master

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/ipc"
)

func TestStart(t *testing.T) {
	h := newHarness(t, 3)
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	if len(h.workers) != 1 {
		t.Fatalf("%d workers were started before the first one was initialized", len(h.workers))
	}
	h.workers[0].says(ipc.Message{Type: ipc.Init})
	if len(h.workers) != 3 || h.m.cur != g {
		t.Fatalf("%d workers", len(h.workers))
	}
	h.wantCalls("begun 1")
	h.wantLog("[notice]", "start worker processes", "start worker process 100", "start worker process 102")
}

func TestStartFails(t *testing.T) {
	h := newHarness(t, 3)
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].says(ipc.Message{Type: ipc.Failed, Text: "init_by_lua error: x"})
	h.workers[0].ends(exitStatus{code: 2})
	if !h.m.over || h.m.code != 1 || len(h.workers) != 1 {
		t.Fatalf("over %v, code %d, %d workers", h.m.over, h.m.code, len(h.workers))
	}
	h.wantLog("worker process 100 exited with fatal code 2 and cannot be respawned")
}

func TestStartFailsLate(t *testing.T) {
	h := newHarness(t, 2)
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].says(ipc.Message{Type: ipc.Init})
	h.workers[1].says(ipc.Message{Type: ipc.Init})
	h.workers[0].ends(exitStatus{code: 2})
	if h.m.over {
		t.Fatal("ended with a worker left")
	}
	h.workers[1].ends(exitStatus{code: 2})
	if !h.m.over || h.m.code != 1 {
		t.Fatalf("over %v, code %d", h.m.over, h.m.code)
	}
}

func TestPidFileFails(t *testing.T) {
	h := newHarness(t, 2)
	h.begunErr = errors.New("no")
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].says(ipc.Message{Type: ipc.Init})
	if !h.workers[0].told(ipc.Stop) {
		t.Fatal("the worker was not stopped")
	}
	h.workers[0].ends(exitStatus{})
	if !h.m.over || h.m.code != 1 || len(h.workers) != 1 {
		t.Fatalf("over %v, code %d, %d workers", h.m.over, h.m.code, len(h.workers))
	}
}

func TestWorkerIsReplaced(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.pass(time.Minute)
	h.workers[0].says(ipc.Message{Type: ipc.Beat, Stats: ipc.Stats{Accepted: 7, Requests: 9, Active: 3}})
	h.workers[0].ends(killed)
	if len(h.workers) != 3 || h.last().slot != 0 {
		t.Fatalf("%d workers", len(h.workers))
	}
	h.wantLog("[alert]", "worker process 100 exited on signal 9",
		"had accepted 7 connections and served 9 requests, 3 connections were open", "start worker process 102")
}

func TestCleanExitIsReplaced(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.pass(time.Minute)
	h.last().ends(exitStatus{})
	if len(h.workers) != 2 {
		t.Fatal("no new worker")
	}
	h.wantLog("worker process 100 exited with code 0")
}

func TestFatalCodeOfAServedSlotIsNoEnd(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.last().ends(exitStatus{code: 2})
	if len(h.workers) != 2 || h.logged("fatal") {
		t.Fatal("a Go panic, which exits with 2, took the slot away")
	}
}

func TestBackoff(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.workers[0].ends(killed)
	for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
		n := len(h.workers)
		h.last().ends(killed)
		if len(h.workers) != n {
			t.Fatalf("death %d: started at once", i)
		}
		h.pass(want - time.Millisecond)
		if len(h.workers) != n {
			t.Fatalf("death %d: started before %v", i, want)
		}
		h.pass(time.Millisecond)
		if len(h.workers) != n+1 {
			t.Fatalf("death %d: not started after %v", i, want)
		}
	}
	h.wantLog("worker process of slot 0 died 3 times soon after its start, the next one is started in 1s")
	// A worker that lives is forgiven.
	h.last().ready()
	h.pass(time.Minute)
	n := len(h.workers)
	h.last().ends(killed)
	if len(h.workers) != n+1 {
		t.Fatal("not replaced at once after a long life")
	}
}

func TestBackoffHasACap(t *testing.T) {
	for failures, want := range map[int]time.Duration{2: backoffFirst, 3: time.Second, 9: backoffMost, 1000: backoffMost} {
		if got := backoff(failures); got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
}

func TestSpawnFails(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.spawnErr = syscall.EAGAIN
	h.last().ends(killed)
	h.wantLog(`fork() failed while spawning "worker process" (11: Resource temporarily unavailable)`)
	h.spawnErr = nil
	h.pass(backoffMost)
	if len(h.workers) != 2 {
		t.Fatal("it was not tried again")
	}
}

func TestReload(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.size = 3
	h.signal(syscall.SIGHUP)
	if len(h.workers) != 3 {
		t.Fatalf("%d workers", len(h.workers))
	}
	h.workers[2].ready()
	h.workers[3].ready()
	if !h.workers[0].told() || !h.workers[1].told() {
		t.Fatal("an old worker was told something before all new ones were ready")
	}
	h.workers[4].ready()
	if !h.workers[0].told(ipc.Quit) || !h.workers[1].told(ipc.Quit) || !h.workers[4].told() {
		t.Fatal("not exactly the old workers were told to quit")
	}
	h.workers[0].ends(exitStatus{})
	h.wantCalls("begun 1", "changed 2")
	h.workers[1].ends(exitStatus{})
	h.wantCalls("begun 1", "changed 2", "release 1")
	if len(h.workers) != 5 || h.m.cur.id != 2 || len(h.m.old) != 0 {
		t.Fatalf("%d workers, generation %d", len(h.workers), h.m.cur.id)
	}
	h.wantLog("signal 1 (SIGHUP) received, reconfiguring", "[notice]", "reconfiguring")
}

func TestReloadWithABadConfiguration(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.loadErr = errors.New("bad")
	h.signal(syscall.SIGHUP)
	h.loadErr = nil
	if len(h.workers) != 1 || h.m.next != nil || !h.workers[0].told() {
		t.Fatal("a bad configuration had an effect")
	}
	h.signal(syscall.SIGHUP)
	h.last().ready()
	if h.m.cur.id != 2 {
		t.Fatal("the reload after a failed one does not work")
	}
}

func TestReloadWhenANewWorkerFails(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.workers[2].ready()
	h.workers[3].says(ipc.Message{Type: ipc.Failed, Text: "it is Monday"})
	h.workers[3].ends(exitStatus{code: 2})
	h.wantLog("[emerg]", "reload failed, the old configuration stays: a worker process exited with code 2: it is Monday")
	h.wantCalls("begun 1", "discard 2")
	if !h.workers[2].told(ipc.Stop) || !h.workers[0].told() || h.m.next != nil {
		t.Fatal("the new worker was not stopped, or an old one was")
	}
	h.workers[2].ends(exitStatus{})
	if h.m.cur.id != 1 || len(h.workers) != 4 {
		t.Fatal("the old generation does not serve alone")
	}
	h.signal(syscall.SIGHUP)
	h.workers[4].ready()
	h.workers[5].ready()
	if h.m.cur.id != 3 {
		t.Fatal("the reload after a failed one does not work")
	}
}

func TestReloadTimesOut(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.last().says(ipc.Message{Type: ipc.Init})
	h.pass(readyTimeout)
	h.wantLog("reload failed, the old configuration stays: the worker processes were not ready after 1m0s")
	if !h.last().told(ipc.Stop) {
		t.Fatal("the new worker was not stopped")
	}
	h.pass(killDelay)
	if len(h.last().sigs) != 1 || h.last().sigs[0] != syscall.SIGKILL {
		t.Fatalf("signals %v, want SIGKILL", h.last().sigs)
	}
}

func TestReloadsAreQueuedAsOne(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	for range 5 {
		h.signal(syscall.SIGHUP)
	}
	if len(h.workers) != 2 {
		t.Fatalf("%d workers: reloads run side by side", len(h.workers))
	}
	h.workers[1].ready()
	if len(h.workers) != 3 || h.m.cur.id != 2 {
		t.Fatal("the queued reload did not follow")
	}
	h.workers[2].ready()
	if len(h.workers) != 3 || h.m.next != nil || h.m.cur.id != 3 {
		t.Fatal("more than one reload was queued")
	}
}

func TestReloadDuringTheStartWaits(t *testing.T) {
	h := newHarness(t, 1)
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.signal(syscall.SIGHUP)
	if len(h.workers) != 1 {
		t.Fatal("reloaded before the start was done")
	}
	h.last().says(ipc.Message{Type: ipc.Init})
	if len(h.workers) != 2 {
		t.Fatal("the queued reload did not follow")
	}
}

func TestOldWorkerDiesDuringReload(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.pass(time.Minute)
	h.signal(syscall.SIGHUP)
	h.workers[0].ends(killed)
	if w := h.last(); w.gen.id != 1 || w.slot != 0 {
		t.Fatal("the old worker was not replaced while the new ones start")
	}
	replaced := h.last()
	h.workers[2].ready() // of generation 2
	for _, w := range h.workers {
		if w.gen.id == 2 && w.slot == 1 {
			w.ready()
		}
	}
	if h.m.cur.id != 2 || !replaced.told(ipc.Quit) {
		t.Fatal("the replacement was not told to quit")
	}
	replaced.ends(exitStatus{})
	if n := len(h.m.workers); n != 3 {
		t.Fatalf("%d workers, want two new ones and one old", n)
	}
}

func TestShutdownTimeoutIsEnforced(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.workers[1].ready()
	h.pass(10*time.Second + drainGrace)
	if s := h.workers[0].sigs; len(s) != 1 || s[0] != syscall.SIGKILL {
		t.Fatalf("signals %v, want SIGKILL", s)
	}
}

func TestQuit(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.signal(syscall.SIGQUIT)
	h.signal(syscall.SIGQUIT)
	if !h.workers[0].told(ipc.Quit) || !h.workers[1].told(ipc.Quit) {
		t.Fatal("the workers were not told once to quit")
	}
	h.workers[0].ends(exitStatus{})
	if h.m.over {
		t.Fatal("over with a worker left")
	}
	h.workers[1].ends(exitStatus{})
	if !h.m.over || h.m.code != 0 || len(h.workers) != 2 {
		t.Fatal("not over")
	}
	h.wantCalls("begun 1", "closing 1")
	h.wantLog("signal 3 (SIGQUIT) received, shutting down")
}

func TestTerminate(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.signal(syscall.SIGQUIT)
	h.signal(syscall.SIGTERM)
	if !h.workers[0].told(ipc.Quit, ipc.Stop) {
		t.Fatal("a quitting worker was not stopped")
	}
	h.pass(killDelay)
	for _, w := range h.workers {
		if len(w.sigs) != 1 || w.sigs[0] != syscall.SIGKILL {
			t.Fatalf("signals %v, want SIGKILL", w.sigs)
		}
		w.ends(killed)
	}
	if !h.m.over || h.m.code != 0 {
		t.Fatal("not over")
	}
}

func TestTerminateDuringReload(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.signal(syscall.SIGTERM)
	for _, w := range h.workers {
		if !w.told(ipc.Stop) {
			t.Fatalf("worker %d was not stopped", w.pid)
		}
		w.ends(exitStatus{})
	}
	if !h.m.over {
		t.Fatal("not over")
	}
	h.wantCalls("begun 1", "discard 2")
}

func TestWinch(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGWINCH)
	if !h.last().told() {
		t.Fatal("SIGWINCH had an effect on a process in the foreground")
	}
	h.m.daemonized = true
	h.signal(syscall.SIGWINCH)
	if !h.last().told(ipc.Quit) {
		t.Fatal("the worker was not told to quit")
	}
	h.last().ends(exitStatus{})
	if h.m.over || len(h.workers) != 1 {
		t.Fatal("the worker was replaced, or the master ended")
	}
	h.signal(syscall.SIGHUP)
	h.last().ready()
	h.wantCalls("begun 1", "changed 2", "release 1")
}

func TestReopen(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.workers[1].ready()
	h.workers[0].full = true
	h.signal(syscall.SIGUSR1)
	if !h.workers[1].told(ipc.Reopen) {
		t.Error("the new worker got no files")
	}
	if s := h.workers[0].sigs; len(s) != 1 || s[0] != syscall.SIGUSR1 {
		t.Errorf("a worker that does not read got %v, want SIGUSR1", s)
	}
	h.wantLog("signal 10 (SIGUSR1) received, reopening logs", "reopening logs")
}

func TestReopenSplitsManyFiles(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	var paths []string
	var fds []int
	for range 150 {
		paths, fds = append(paths, strings.Repeat("x", 1000)), append(fds, 2)
	}
	for w := range h.m.workers {
		h.m.sendFiles(w, paths, fds)
	}
	n := 0
	for _, m := range h.last().got {
		n += len(m.Paths)
		if len(m.Append(nil)) > ipc.MaxMessage || len(m.Paths) > ipc.MaxFiles {
			t.Errorf("a message has %d files", len(m.Paths))
		}
	}
	if n != 150 {
		t.Errorf("%d files were sent", n)
	}
}

func TestSlotIsAdopted(t *testing.T) {
	h := newHarness(t, 3)
	h.serve()
	h.m.cur.sockets = &socketSet{list: []*socket{{fds: []int{-1, -1, -1}}}}
	h.workers[1].ends(killed)
	if !h.workers[2].told(ipc.Adopt) || h.workers[2].got[0].Slot != 1 || !h.workers[0].told() {
		t.Fatal("the next worker did not adopt the slot, or another one did")
	}
	// The one that adopted dies as well: both slots go on to the one that is left.
	h.workers[2].ends(killed)
	if !h.workers[0].told(ipc.Adopt, ipc.Adopt) {
		t.Fatalf("the last worker was told %v", h.workers[0].got)
	}
	h.workers[3].ready()
	if !h.workers[0].told(ipc.Adopt, ipc.Adopt, ipc.Release) || h.workers[0].got[2].Slot != 1 {
		t.Fatalf("the last worker was told %v", h.workers[0].got)
	}
}

func TestNoWorkers(t *testing.T) {
	h := newHarness(t, 0)
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.wantCalls("begun 1")
	h.size = 1
	h.signal(syscall.SIGHUP)
	h.last().ready()
	h.wantCalls("begun 1", "changed 2", "release 1")
}

// agent starts a master of two workers whose Lua code wants a privileged agent.
func (h *harness) agent() *fakeWorker {
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].says(ipc.Message{Type: ipc.Agent, Connections: 10})
	for i := 0; i < len(h.workers); i++ {
		h.workers[i].ready()
	}
	return h.workers[len(h.workers)-1]
}

func TestAgent(t *testing.T) {
	h := newHarness(t, 2)
	a := h.agent()
	if len(h.workers) != 3 || a.slot != ipc.AgentSlot || h.m.cur.agent.connections != 10 {
		t.Fatalf("%d processes, the last in slot %d", len(h.workers), a.slot)
	}
	h.wantLog("start privileged agent process 102")
	if r := h.m.report(); len(r.Workers) != 3 || r.Workers[0].Type != "privileged agent" || r.Generations[0].Workers != 2 || !r.Generations[0].Agent ||
		!strings.Contains(r.String(), "2 of 2 and the privileged agent") {
		t.Errorf("%s", r)
	}
	// A worker that starts later has nothing to say about it.
	h.pass(time.Minute)
	h.workers[0].ends(killed)
	h.workers[3].says(ipc.Message{Type: ipc.Agent, Connections: 20})
	h.workers[3].ready()
	h.m.cur.agent.w.lastBeat = h.m.env.now()
	if h.m.cur.agent.connections != 10 || len(h.workers) != 4 {
		t.Errorf("%d connections, %d processes", h.m.cur.agent.connections, len(h.workers))
	}
	a.ends(killed)
	h.wantLog("privileged agent process 102 exited on signal 9", "start privileged agent process 104")
	h.workers[4].ready()

	// The next generation has one only if its code asks for it, and waits for it.
	h.signal(syscall.SIGHUP)
	h.workers[5].says(ipc.Message{Type: ipc.Agent, Connections: 30})
	h.workers[5].ready()
	h.workers[6].ready()
	if h.m.next == nil || h.workers[4].told(ipc.Quit) {
		t.Fatal("the reload did not wait for the agent")
	}
	h.workers[7].ready()
	if h.m.next != nil || !h.workers[4].told(ipc.Quit) || h.m.cur.agent.connections != 30 {
		t.Fatal("the reload is not done")
	}
	h.signal(syscall.SIGHUP)
	h.workers[8].ready()
	h.workers[9].ready()
	if len(h.workers) != 10 || h.m.cur.agent != nil || !h.workers[7].told(ipc.Quit) {
		t.Errorf("%d processes", len(h.workers))
	}
}

func TestReloadWhereAgentFails(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.workers[1].says(ipc.Message{Type: ipc.Agent})
	h.workers[1].ready()
	h.workers[2].ends(exitStatus{code: 2})
	h.wantLog("reload failed, the old configuration stays: a privileged agent process exited with code 2")
	if h.workers[0].told(ipc.Quit) || !h.workers[1].told(ipc.Stop) {
		t.Error("the wrong workers were told to go")
	}
}
