package master

import (
	"fmt"
	"syscall"
	"time"

	"perilune/ipc"
	"perilune/logging"
)

// ackTimeout is how long a master whose successor serves waits for workers that do not say that they accept no more. They find
// out by themselves when it is gone.
const ackTimeout = 10 * time.Second

// successor is what is known of the next master when it serves.
type successor struct {
	Pid     int
	PidFile string
}

// upgradeEvent is the end of the try to start the next master.
type upgradeEvent struct {
	next successor
	err  error
}

func (upgradeEvent) event() {}

// upgrade is where the master stands between its own start by another master and the start of the next one.
type upgrade struct {
	asked     bool // for as soon as nothing else is under way
	running   bool // the next master is being started
	blocked   bool // the master before this one has not exited
	inherits  bool // this master was started by another one, which serves until this one can
	over      bool // the next master serves; this one waits for its workers to accept no more
	forwarded []syscall.Signal
}

// startUpgrade starts the next master. Nothing changes for the workers until it is ready.
func (m *master) startUpgrade() {
	m.up.asked = false
	m.log.Log(logging.Notice, 0, "changing binary")
	m.up.running = true
	m.env.upgrade(m.cur, func(next successor, err error) { m.post(upgradeEvent{next, err}) })
}

func (m *master) onUpgraded(e upgradeEvent) {
	m.up.running = false
	forwarded := m.up.forwarded
	m.up.forwarded = nil
	if e.err != nil {
		m.record.badUpgrades++
		m.failed(logging.Emerg, "upgrade failed, the old binary stays: "+e.err.Error())
		m.env.restore(m.cur)
		if m.quit {
			m.env.closing(m.cur)
		}
		return
	}
	m.log.Logf(logging.Notice, 0, "new binary process %d is ready, gracefully shutting down the old one", e.next.Pid)
	m.env.notify.mainPID(e.next.Pid)
	m.up.over = true
	m.reloadAsked = false // one that was asked for meanwhile is the next master's
	for _, sig := range forwarded {
		if e.next.Pid <= 0 {
			break
		}
		if err := syscall.Kill(e.next.Pid, sig); err != nil {
			m.log.LogErr(logging.Alert, 0, err, fmt.Sprintf("kill(%d, %d) failed", e.next.Pid, int(sig)))
		}
	}
	m.cancelRespawns()
	for w := range m.workers {
		if w.state < ready {
			m.stop(w)
			continue
		}
		m.dismiss(w)
	}
	m.after(ackTimeout, func() {
		for w := range m.workers {
			if !w.drains {
				m.log.Logf(logging.Alert, 0, "%v does not answer, leaving it to itself", w)
			}
		}
		m.over = true
	})
}

// forward remembers a signal that came during an upgrade, for the next master if there will be one.
func (m *master) forward(sig syscall.Signal) {
	if m.up.running {
		m.up.forwarded = append(m.up.forwarded, sig)
	}
}

// released says whether all workers do without this master.
func (m *master) released() bool {
	for w := range m.workers {
		if !w.drains {
			return false
		}
	}
	return true
}

// predecessorGone: the master before this one has exited, so that there may be another upgrade.
func (m *master) predecessorGone() {
	m.up.blocked = false
	for _, w := range m.env.alone() {
		m.adoptWorker(w)
	}
	m.env.notify.alone()
}

// adoptWorker looks after a worker that the master before this one has started, until it has finished its requests.
func (m *master) adoptWorker(w *worker) {
	for g := range m.old {
		if g.foreign && g.id == w.gen.id {
			w.gen = g
		}
	}
	m.old[w.gen] = true
	m.workers[w] = true
	if m.cur != nil {
		w.owner = m.cur.zones.ownerOf(w.pid)
	}
	w.started, w.lastBeat = m.env.now(), m.env.now()
	switch {
	case m.term || w.state == stopping:
		w.state = quitting
		m.stop(w)
	case !w.killAt.IsZero():
		m.limit(w)
	}
	go m.follow(w)
}

// dumpDelay is how long a worker that hangs has for the dump of its stacks.
const dumpDelay = 2 * time.Second

// beatCheck is how often the master looks after the heartbeats.
const beatCheck = time.Second

// watch looks for workers whose event loop stands still.
func (m *master) watch() {
	due := m.env.now().Add(beatCheck)
	m.after(beatCheck, func() {
		now := m.env.now()
		// What this process itself has missed is nobody's fault.
		late := max(0, now.Sub(due))
		for w := range m.workers {
			w.lastBeat = w.lastBeat.Add(min(late, now.Sub(w.lastBeat)))
			m.checkBeat(w, now)
		}
		m.watch()
	})
}

func (m *master) checkBeat(w *worker, now time.Time) {
	limit := w.gen.core.HangTimeout.V
	if limit == 0 || w.hung || w.state == stopping {
		return
	}
	if w.state < ready {
		// The start of a reload has its own limit, and the first start may take its time.
		if w.gen == m.next {
			return
		}
		limit = max(limit, readyTimeout)
	}
	silent := now.Sub(w.lastBeat)
	if silent < limit {
		return
	}
	w.hung = true
	m.failed(logging.Alert, fmt.Sprintf("%v has not answered for %v, its stacks follow", w, silent.Round(time.Second)))
	if w.ch.Send(&ipc.Message{Type: ipc.Dump}) != nil {
		m.killHung(w)
		return
	}
	m.after(dumpDelay, func() { m.killHung(w) })
}

// killHung ends a worker that hangs, unless it has come back to life over the dump.
func (m *master) killHung(w *worker) {
	if !m.workers[w] || !w.hung {
		return
	}
	m.log.Logf(logging.Alert, 0, "killing %v", w)
	m.kill(w, syscall.SIGKILL)
}
