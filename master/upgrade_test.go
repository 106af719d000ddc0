package master

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"perilune/conf"
	"perilune/ipc"
)

// endUpgrade ends the upgrade that is under way.
func (h *harness) endUpgrade(next successor, err error) {
	h.t.Helper()
	if h.upgraded == nil {
		h.t.Fatal("no upgrade is under way")
	}
	done := h.upgraded
	h.upgraded = nil
	go done(next, err)
	h.step()
}

func TestUpgrade(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	h.signal(syscall.SIGUSR2)
	if h.upgraded == nil || !h.workers[0].told() {
		t.Fatal("not started, or a worker has heard of it")
	}
	// A worker that dies meanwhile is replaced.
	h.pass(time.Minute)
	h.workers[1].ends(killed)
	h.endUpgrade(successor{Pid: 1 << 22, PidFile: "p"}, nil)
	if !h.workers[0].told(ipc.Quit) || !h.workers[2].told(ipc.Stop) {
		t.Fatal("a worker that serves was not told to quit, or one that starts not to stop")
	}
	h.workers[2].ends(exitStatus{})
	if h.m.over {
		t.Fatal("over before the worker has stopped accepting")
	}
	h.workers[0].says(ipc.Message{Type: ipc.Draining})
	if !h.m.over || h.m.code != 0 {
		t.Fatal("not over, though the worker accepts no more")
	}
	h.wantLog("signal 12 (SIGUSR2) received, changing binary", "[notice]", "new binary process 4194304 is ready, gracefully shutting down the old one")
	h.wantCalls("begun 1", "upgrade")
	if len(h.workers) != 3 {
		t.Fatalf("%d workers", len(h.workers))
	}
}

func TestUpgradeFails(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	for range 2 {
		h.signal(syscall.SIGUSR2)
		h.signal(syscall.SIGUSR2)
		h.endUpgrade(successor{}, errors.New("it is Monday"))
		h.wantLog("[emerg]", "upgrade failed, the old binary stays: it is Monday", "signal 12 (SIGUSR2) received, ignoring")
		if h.upgraded != nil || h.m.over || !h.last().told() {
			t.Fatal("a failed upgrade had an effect")
		}
	}
	h.wantCalls("begun 1", "upgrade", "restore 1", "upgrade", "restore 1")
	if r := h.m.report(); r.FailedUpgrades != 2 || len(r.Errors) != 2 || r.State != "serving" {
		t.Errorf("report %+v", r)
	}
}

func TestUpgradeAndReloadAreNeverMixed(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGHUP)
	h.signal(syscall.SIGUSR2)
	if h.upgraded != nil {
		t.Fatal("an upgrade during a reload")
	}
	h.workers[1].ready()
	if h.upgraded == nil {
		t.Fatal("the upgrade did not follow the reload")
	}
	h.signal(syscall.SIGHUP)
	if len(h.workers) != 2 {
		t.Fatal("a reload during an upgrade")
	}
	h.endUpgrade(successor{}, errors.New("no"))
	if len(h.workers) != 3 {
		t.Fatal("the reload did not follow the upgrade")
	}
}

func TestUpgradeWaitsForThePredecessor(t *testing.T) {
	h := newHarness(t, 2)
	h.m.up.inherits, h.m.up.blocked = true, true
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].ready()
	h.workers[1].says(ipc.Message{Type: ipc.Init})
	h.wantCalls()
	h.workers[1].says(ipc.Message{Type: ipc.Ready})
	h.wantCalls("begun 1")
	h.signal(syscall.SIGUSR2)
	if h.upgraded != nil {
		t.Fatal("an upgrade while the master before is there")
	}
	h.m.handle(timerEvent{h.m.predecessorGone})
	h.m.settle()
	h.wantCalls("begun 1", "alone", "upgrade")
}

func TestWorkersOfThePredecessor(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.m.up.blocked = true
	foreign := &fakeWorker{h: h, pid: 99, msgs: make(chan ipc.Message), exit: make(chan exitStatus, 1)}
	h.left = []*worker{{
		pid: 99, gen: &generation{id: 7, core: &conf.CoreConf{}, foreign: true}, slot: &slot{served: true},
		proc: foreign, ch: foreign, state: quitting, drains: true, killAt: time.Unix(20, 0),
	}}
	h.m.handle(timerEvent{h.m.predecessorGone})
	h.signal(syscall.SIGUSR1)
	if !foreign.told(ipc.Reopen) {
		t.Fatal("its logs were not opened anew")
	}
	h.pass(20 * time.Second)
	if len(foreign.sigs) != 1 || foreign.sigs[0] != syscall.SIGKILL {
		t.Fatalf("signals %v", foreign.sigs)
	}
	h.signal(syscall.SIGQUIT)
	h.last().ends(exitStatus{})
	if h.m.over {
		t.Fatal("over with a worker left")
	}
	foreign.ends(exitStatus{unknown: true})
	if !h.m.over {
		t.Fatal("not over")
	}
	h.wantLog("worker process 99, which another master has started, is gone")
}

func TestSuccessorFails(t *testing.T) {
	h := newHarness(t, 2)
	h.m.up.inherits = true
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	h.workers[0].ready()
	h.workers[1].says(ipc.Message{Type: ipc.Failed, Text: "it is Monday"})
	h.workers[1].ends(exitStatus{code: 2})
	if !h.workers[0].told(ipc.Stop) {
		t.Fatal("the other worker was not stopped")
	}
	h.workers[0].ends(exitStatus{})
	if !h.m.over || h.m.code != 1 {
		t.Fatalf("over %v, code %d", h.m.over, h.m.code)
	}
	h.wantCalls("refuse: a worker process exited with code 2: it is Monday", "discard 1")
}

func TestQuitDuringUpgrade(t *testing.T) {
	for _, taken := range []bool{false, true} {
		h := newHarness(t, 1)
		h.serve()
		h.signal(syscall.SIGUSR2)
		h.signal(syscall.SIGQUIT)
		if !h.forgone {
			t.Fatal("the upgrade goes on")
		}
		h.last().says(ipc.Message{Type: ipc.Draining})
		h.last().ends(exitStatus{})
		if h.m.over {
			t.Fatal("over without knowing who has the sockets")
		}
		h.wantCalls("begun 1", "upgrade")
		if taken {
			h.endUpgrade(successor{Pid: 1 << 22}, nil)
			h.wantCalls("begun 1", "upgrade")
		} else {
			h.endUpgrade(successor{}, errors.New("terminating"))
			h.wantCalls("begun 1", "upgrade", "restore 1", "closing 1")
		}
		if !h.m.over || h.m.up.over != taken {
			t.Fatal("not over")
		}
	}
}

func TestWorkerThatDoesNotAnswerIsLeft(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.signal(syscall.SIGUSR2)
	h.endUpgrade(successor{Pid: 1 << 22}, nil)
	h.pass(ackTimeout)
	if !h.m.over {
		t.Fatal("the old master blocks the next upgrade for ever")
	}
	h.wantLog("worker process 100 does not answer, leaving it to itself")
}

func TestHang(t *testing.T) {
	h := newHarness(t, 2)
	h.serve()
	for _, w := range h.workers {
		w.gen.core.HangTimeout.V = 5 * time.Second
	}
	h.m.watch()
	beat := func(w *fakeWorker) { w.says(ipc.Message{Type: ipc.Beat}) }
	for range 4 {
		h.pass(time.Second)
		beat(h.workers[0])
	}
	h.pass(time.Second)
	beat(h.workers[0])
	if !h.workers[0].told() || !h.workers[1].told(ipc.Dump) {
		t.Fatal("not exactly the silent worker was asked")
	}
	h.wantLog("worker process 101 has not answered for 5s, its stacks follow")
	// It comes back to life.
	beat(h.workers[1])
	h.pass(dumpDelay)
	if len(h.workers[1].sigs) != 0 {
		t.Fatal("a worker that answers was killed")
	}
	h.wantLog("worker process 101 answers again")
	for range 3 {
		h.pass(time.Second)
		beat(h.workers[0])
	}
	h.workers[1].says(ipc.Message{Type: ipc.Dumped})
	if s := h.workers[1].sigs; len(s) != 1 || s[0] != syscall.SIGKILL {
		t.Fatalf("signals %v", s)
	}
	h.workers[1].ends(killed)
	if len(h.workers) != 3 || h.last().slot != 1 {
		t.Fatal("not replaced")
	}
}

func TestHangOfTheMasterItself(t *testing.T) {
	h := newHarness(t, 1)
	h.serve()
	h.last().gen.core.HangTimeout.V = 5 * time.Second
	h.m.watch()
	// The machine stands still for a minute: the timer fires late.
	for _, tm := range h.timers {
		tm.at += time.Minute
	}
	h.pass(time.Minute + time.Second)
	if !h.last().told() {
		t.Fatal("the worker was blamed")
	}
}
