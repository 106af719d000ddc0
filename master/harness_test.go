package master

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
)

// fakeWorker is a worker process that does what the test says.
type fakeWorker struct {
	h    *harness
	gen  *generation
	slot int
	pid  int

	msgs chan ipc.Message // to the master
	exit chan exitStatus

	mu   sync.Mutex
	got  []ipc.Message // from the master
	sigs []syscall.Signal
	full bool // Send fails
}

func (f *fakeWorker) Pid() int { return f.pid }

func (f *fakeWorker) Signal(sig syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sigs = append(f.sigs, sig)
	return nil
}

func (f *fakeWorker) Wait() exitStatus { return <-f.exit }

func (f *fakeWorker) Send(m *ipc.Message, fds ...int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return ipc.ErrFull
	}
	f.got = append(f.got, *m)
	return nil
}

func (f *fakeWorker) Recv() (ipc.Message, []int, error) {
	m, ok := <-f.msgs
	if !ok {
		return m, nil, io.EOF
	}
	return m, nil, nil
}

func (f *fakeWorker) Close() error { return nil }

// says makes the worker send a message and the master take it.
func (f *fakeWorker) says(m ipc.Message) {
	f.h.t.Helper()
	f.msgs <- m
	f.h.step()
}

func (f *fakeWorker) ready() {
	f.h.t.Helper()
	f.says(ipc.Message{Type: ipc.Init})
	f.says(ipc.Message{Type: ipc.Ready})
}

// ends makes the process end and the master notice it.
func (f *fakeWorker) ends(st exitStatus) {
	f.h.t.Helper()
	close(f.msgs)
	f.exit <- st
	f.h.step()
}

// told says whether the master has sent messages of these types, all of them and in this order.
func (f *fakeWorker) told(types ...ipc.Type) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) != len(types) {
		return false
	}
	for i, m := range f.got {
		if m.Type != types[i] {
			return false
		}
	}
	return true
}

type timer struct {
	at      time.Duration
	f       func()
	stopped bool
}

// harness is a master in a world of fakes. The test takes the part of the master's goroutine: it handles one event at a time.
type harness struct {
	t       *testing.T
	m       *master
	now     time.Duration
	timers  []*timer
	workers []*fakeWorker
	calls   []string
	logFile string

	count    int // generations made
	size     int // worker_processes of the next one
	loadErr  error
	spawnErr error
	begunErr error

	upgraded func(successor, error) // ends the upgrade that is under way
	forgone  bool
	left     []*worker // by the master before
}

func newHarness(t *testing.T, size int) *harness {
	h := &harness{t: t, size: size, logFile: filepath.Join(t.TempDir(), "error.log")}
	f, err := logging.OpenFile(h.logFile)
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	t.Cleanup(func() { f.Close() })
	log := logging.New()
	log.Add(f, logging.Info, logging.Text)
	epoch := time.Unix(0, 0)
	h.m = newMaster(env{
		now: func() time.Time { return epoch.Add(h.now) },
		after: func(d time.Duration, f func()) func() {
			tm := &timer{at: h.now + d, f: f}
			h.timers = append(h.timers, tm)
			return func() { tm.stopped = true }
		},
		load: func(*generation) (*generation, error) {
			if h.loadErr != nil {
				return nil, h.loadErr
			}
			return h.generation(log), nil
		},
		discard: func(g *generation) { h.call("discard", g) },
		release: func(g *generation) { h.call("release", g) },
		spawn:   h.spawn,
		begun: func(g *generation) error {
			h.call("begun", g)
			return h.begunErr
		},
		changed: func(_, g *generation) { h.call("changed", g) },
		reopen: func(g *generation) ([]string, []int) {
			h.call("reopen", g)
			return []string{"/log"}, []int{2}
		},
		closing: func(g *generation) { h.call("closing", g) },
		finish:  func() { h.calls = append(h.calls, "finish") },
		orphans: func(func(int) bool) {},
		notify:  nobody{},
		upgrade: func(_ *generation, done func(successor, error)) {
			h.calls = append(h.calls, "upgrade")
			h.upgraded = done
		},
		forgo:   func() { h.forgone = true },
		restore: func(g *generation) { h.call("restore", g) },
		refuse:  func(why string) { h.calls = append(h.calls, "refuse: "+why) },
		handed:  func([]*worker) { h.calls = append(h.calls, "handed") },
		alone: func() []*worker {
			h.calls = append(h.calls, "alone")
			return h.left
		},
	}, log)
	return h
}

func (h *harness) call(what string, g *generation) {
	h.calls = append(h.calls, what+" "+itoa(g.id))
}

func (h *harness) generation(log *logging.Log) *generation {
	h.count++
	g := &generation{id: h.count, core: &conf.CoreConf{UID: -1}, log: log, sockets: &socketSet{}}
	g.core.ShutdownTimeout.V = 10 * time.Second
	g.makeSlots(h.size)
	return g
}

func (h *harness) spawn(g *generation, n int) (process, channel, error) {
	if h.spawnErr != nil {
		return nil, nil, h.spawnErr
	}
	f := &fakeWorker{
		h: h, gen: g, slot: n, pid: 100 + len(h.workers),
		msgs: make(chan ipc.Message), exit: make(chan exitStatus, 1),
	}
	h.workers = append(h.workers, f)
	return f, f, nil
}

// step handles the next event, which must be on its way.
func (h *harness) step() {
	h.t.Helper()
	select {
	case e := <-h.m.events:
		h.m.handle(e)
		h.m.settle()
	case <-time.After(10 * time.Second):
		h.t.Fatal("no event came")
	}
}

func (h *harness) signal(sig syscall.Signal) {
	h.m.handle(signalEvent{sig})
	h.m.settle()
}

// pass lets time go by.
func (h *harness) pass(d time.Duration) {
	end := h.now + d
	for {
		var next *timer
		for _, tm := range h.timers {
			if !tm.stopped && tm.at <= end && (next == nil || tm.at < next.at) {
				next = tm
			}
		}
		if next == nil {
			break
		}
		h.now, next.stopped = next.at, true
		next.f()
		h.step()
	}
	h.now = end
}

// last is the worker that was started last.
func (h *harness) last() *fakeWorker { return h.workers[len(h.workers)-1] }

// serve starts the master and brings all workers of the first generation up.
func (h *harness) serve() {
	h.t.Helper()
	g := h.generation(h.m.log)
	h.m.next = g
	h.m.startWorkers(g)
	for i := 0; i < len(h.workers); i++ {
		h.workers[i].ready()
	}
	if h.m.cur != g || len(h.workers) != len(g.slots) {
		h.t.Fatalf("%d workers of %d", len(h.workers), len(g.slots))
	}
}

func (h *harness) logged(text string) bool {
	b, err := os.ReadFile(h.logFile)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Contains(string(b), text)
}

func (h *harness) wantLog(texts ...string) {
	h.t.Helper()
	for _, text := range texts {
		if !h.logged(text) {
			b, _ := os.ReadFile(h.logFile)
			h.t.Errorf("%q is not in the log:\n%s", text, b)
		}
	}
}

func (h *harness) wantCalls(calls ...string) {
	h.t.Helper()
	if got, want := strings.Join(h.calls, ", "), strings.Join(calls, ", "); got != want {
		h.t.Errorf("calls: %s; want %s", got, want)
	}
}

var killed = exitStatus{signal: 9}
