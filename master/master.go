// Package master is the supervisor: it reads the configuration, owns the listen sockets, the log files and the pid file, starts
// the workers, replaces those that die, and leads the process through reload, reopening of logs and shutdown. It also holds
// what the command line asks for besides running: testing a configuration and signalling a running master.
//
// One goroutine owns all state and takes one event after another. The master never touches a request, never runs Lua, and
// never lets a failure of a new configuration reach the workers of the old one.
package master

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"perilune/ipc"
	"perilune/logging"
)

// Times of the supervisor.
const (
	earlyDeath   = 2 * time.Second        // a worker that lives no longer after its start died early
	backoffFirst = 500 * time.Millisecond // before the second try after early deaths
	backoffMost  = 30 * time.Second
	readyTimeout = 60 * time.Second        // for all workers of a reload together
	killDelay    = 1500 * time.Millisecond // from a request to stop at once to SIGKILL
	drainGrace   = 5 * time.Second         // beyond worker_shutdown_timeout, for the worker to end by itself
)

// exitFatal is the code of a worker that cannot start and would not the next time either.
const exitFatal = 2

// An event is something that the master's goroutine reacts to.
type event interface{ event() }

type (
	signalEvent  struct{ sig syscall.Signal }
	messageEvent struct {
		w *worker
		m ipc.Message
	}
	exitEvent struct {
		w      *worker
		status exitStatus
	}
	timerEvent struct{ f func() }
)

func (signalEvent) event()  {}
func (messageEvent) event() {}
func (exitEvent) event()    {}
func (timerEvent) event()   {}

// master is the state of the supervisor. Only the goroutine in run touches it.
type master struct {
	env    env
	log    *logging.Log
	events chan event
	done   chan struct{} // closed at the end, for those who still send events

	cur  *generation // serves; nil until the first worker is initialized
	next *generation // is being started: the first one, or that of a reload
	old  map[*generation]bool

	workers map[*worker]bool
	respawn map[*slot]func() // slots that wait for their time, with what stops the wait

	reloadAsked bool
	stopReady   func() // ends the wait for the workers of a reload
	up          upgrade
	record      record
	daemonized  bool
	quit, term  bool
	over        bool
	code        int
}

func newMaster(e env, log *logging.Log) *master {
	return &master{
		env: e, log: log, record: record{started: e.now()},
		events:  make(chan event, 64),
		done:    make(chan struct{}),
		old:     make(map[*generation]bool),
		workers: make(map[*worker]bool),
		respawn: make(map[*slot]func()),
	}
}

// run starts the first generation and returns the exit code of the process when all is over.
func (m *master) run(first *generation) int {
	m.next = first
	m.env.notify.begin(m.after)
	m.startWorkers(first)
	for !m.over {
		m.handle(<-m.events)
		m.settle()
		m.env.notify.settled(m.view())
	}
	close(m.done)
	if m.up.over {
		m.env.handed(slices.Collect(maps.Keys(m.workers)))
	} else {
		m.env.finish()
	}
	return m.code
}

// post hands an event to the master's goroutine.
func (m *master) post(e event) {
	select {
	case m.events <- e:
	case <-m.done:
	}
}

// after runs f in the master's goroutine.
func (m *master) after(d time.Duration, f func()) (stop func()) {
	return m.env.after(d, func() { m.post(timerEvent{f}) })
}

func (m *master) handle(e event) {
	switch e := e.(type) {
	case signalEvent:
		m.onSignal(e.sig)
	case messageEvent:
		m.onMessage(e.w, &e.m)
	case exitEvent:
		m.onExit(e.w, e.status)
	case timerEvent:
		e.f()
	case upgradeEvent:
		m.onUpgraded(e)
	case statusEvent:
		e.reply <- m.report()
	}
}

// settle does what has become possible by the last event.
func (m *master) settle() {
	switch {
	case m.over:
	case m.up.over:
		m.over = m.released()
	case m.up.running:
	case m.quit || m.term:
		if len(m.workers) == 0 {
			m.over = true
		}
	case m.next != nil:
	case m.reloadAsked:
		m.reloadAsked = false
		m.reload()
	case m.up.asked && !m.up.blocked:
		m.startUpgrade()
	}
}

func (m *master) onSignal(sig syscall.Signal) {
	if sig == syscall.SIGCHLD {
		m.env.orphans(m.isWorker)
		return
	}
	action := ""
	switch sig {
	case syscall.SIGQUIT:
		action = ", shutting down"
	case syscall.SIGTERM, syscall.SIGINT:
		action = ", exiting"
	case syscall.SIGHUP:
		action = ", reconfiguring"
	case syscall.SIGUSR1:
		action = ", reopening logs"
	case syscall.SIGUSR2:
		action = ", changing binary"
		if m.up.running || m.up.over || m.quit || m.term {
			action = ", ignoring"
		}
	case syscall.SIGWINCH:
		if m.daemonized {
			action = ", stop accepting connections"
		}
	}
	m.log.Log(logging.Notice, 0, "signal "+signalName(sig)+" received"+action)
	switch sig {
	case syscall.SIGQUIT:
		m.shutdown()
	case syscall.SIGTERM, syscall.SIGINT:
		m.terminate()
	case syscall.SIGHUP:
		m.reloadAsked = true
		m.forward(sig)
	case syscall.SIGUSR1:
		m.reopenLogs()
		m.forward(sig)
	case syscall.SIGUSR2:
		m.up.asked = !m.up.running && !m.up.over
	case syscall.SIGWINCH:
		if m.daemonized && !m.quit && !m.term {
			m.giveUpNext()
			m.dismissAll()
		}
	}
}

func (m *master) isWorker(pid int) bool {
	for w := range m.workers {
		if w.pid == pid {
			return true
		}
	}
	return false
}

// shutdown lets the workers finish what they do.
func (m *master) shutdown() {
	if m.term {
		return
	}
	if !m.quit {
		m.quit = true
		m.giveUpNext()
		m.env.forgo()
		// If the next master has just become ready, the sockets are its own.
		if m.cur != nil && !m.up.running && !m.up.over {
			m.env.closing(m.cur)
		}
	}
	m.dismissAll()
}

// terminate ends the workers at once.
func (m *master) terminate() {
	m.term = true
	m.env.forgo()
	m.giveUpNext()
	m.cancelRespawns()
	for w := range m.workers {
		m.stop(w)
	}
}

// dismissAll tells every worker to finish its requests and exit; none is replaced.
func (m *master) dismissAll() {
	m.cancelRespawns()
	for w := range m.workers {
		m.dismiss(w)
	}
}

// giveUpNext ends a start that is under way.
func (m *master) giveUpNext() {
	g := m.next
	if g == nil {
		return
	}
	m.next = nil
	if m.stopReady != nil {
		m.stopReady()
		m.stopReady = nil
	}
	for _, s := range g.processes() {
		m.cancelRespawn(s)
		if s.w != nil {
			m.stop(s.w)
		}
	}
	m.env.discard(g)
}

// reopenLogs opens all log files anew and hands them to the workers.
func (m *master) reopenLogs() {
	m.log.Log(logging.Notice, 0, "reopening logs")
	generations := []*generation{m.cur, m.next}
	for g := range m.old {
		generations = append(generations, g)
	}
	var foreign []*generation
	var curPaths []string
	var curFDs []int
	for _, g := range generations {
		if g == nil {
			continue
		}
		if g.foreign {
			foreign = append(foreign, g)
			continue
		}
		paths, fds := m.env.reopen(g)
		if g == m.cur {
			curPaths, curFDs = paths, fds
		}
		for w := range m.workers {
			if w.gen == g && w.state != stopping {
				m.sendFiles(w, paths, fds)
			}
		}
	}
	// Those of another master know the files by their names.
	for w := range m.workers {
		if slices.Contains(foreign, w.gen) && w.state != stopping {
			m.sendFiles(w, curPaths, curFDs)
		}
	}
}

// sendFiles hands log files to a worker, as many in one message as fit. A worker that does not read gets the signal instead
// and opens the files itself.
func (m *master) sendFiles(w *worker, paths []string, fds []int) {
	// A worker without such files still has those that it has opened itself.
	for first := true; first || len(paths) > 0; first = false {
		n, size := 0, 0
		for n < len(paths) && n < ipc.MaxFiles && (n == 0 || size+len(paths[n]) < ipc.MaxMessage/2) {
			size += len(paths[n])
			n++
		}
		if err := w.ch.Send(&ipc.Message{Type: ipc.Reopen, Paths: paths[:n]}, fds[:n]...); err != nil {
			m.kill(w, syscall.SIGUSR1)
			return
		}
		paths, fds = paths[n:], fds[n:]
	}
}
