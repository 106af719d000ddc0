package master

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"perilune/ipc"
	"perilune/logging"
)

// startWorkers starts the first worker of a generation. The others follow when it has run init_by_lua, so that an error there
// is met, and logged, once.
func (m *master) startWorkers(g *generation) {
	m.log.Log(logging.Notice, 0, "start worker processes")
	if len(g.slots) == 0 {
		g.started = true
		if m.becomeCurrent(g) {
			m.promote(g)
		}
		return
	}
	m.start(g, g.slots[0])
}

// start starts the worker of a slot.
func (m *master) start(g *generation, s *slot) {
	proc, ch, err := m.env.spawn(g, s.n)
	if err != nil {
		m.log.LogErr(logging.Alert, 0, err, "fork() failed while spawning \""+s.process()+"\"")
		s.failures = max(2, s.failures+1)
		m.lost(g, s, "could not be started")
		return
	}
	w := &worker{pid: proc.Pid(), gen: g, slot: s, proc: proc, ch: ch, started: m.env.now()}
	w.lastBeat = w.started
	w.owner = g.zones.ownerOf(w.pid)
	s.w = w
	m.workers[w] = true
	m.log.Logf(logging.Notice, 0, "start %v", w)
	go m.follow(w)
}

// follow passes on what a worker says until it is gone. The exit comes after the last message.
func (m *master) follow(w *worker) {
	for {
		msg, _, err := w.ch.Recv()
		if err != nil {
			break
		}
		m.post(messageEvent{w, msg})
	}
	m.post(exitEvent{w, w.proc.Wait()})
}

func (m *master) onMessage(w *worker, msg *ipc.Message) {
	w.lastBeat = m.env.now()
	switch msg.Type {
	case ipc.Init:
		if w.state == starting {
			w.state = initialized
			m.initialized(w)
		}
	case ipc.Ready:
		if w.state == initialized {
			w.state, w.slot.served = ready, true
			w.started = w.lastBeat
			m.isReady(w)
		}
	case ipc.Agent:
		if g := w.gen; w.state == starting && !g.started && !g.foreign {
			g.agent = &slot{n: ipc.AgentSlot, connections: msg.Connections}
		}
	case ipc.Failed:
		w.reason = msg.Text
	case ipc.Draining:
		w.drains = true
		m.leaves(w)
	case ipc.Dumped:
		m.killHung(w)
	case ipc.Beat:
		if w.hung {
			w.hung = false
			m.log.Logf(logging.Notice, 0, "%v answers again", w)
		}
		w.stats = msg.Stats
		if w.state == ready && w.lastBeat.Sub(w.started) > earlyDeath {
			w.slot.failures = 0
		}
	}
}

// initialized: the first worker of a generation has shown that its Lua code loads, so the others may start.
func (m *master) initialized(w *worker) {
	g := w.gen
	if g != m.next || g.started {
		return
	}
	g.started = true
	// In an upgrade the master before this one serves until all workers are ready.
	if m.cur == nil && !m.up.inherits && !m.becomeCurrent(g) {
		return
	}
	for _, s := range g.processes()[1:] {
		m.start(g, s)
		if m.over || m.next != g && m.cur != g {
			return
		}
	}
}

// becomeCurrent makes the first generation the one that serves.
func (m *master) becomeCurrent(g *generation) bool {
	if m.cur != nil {
		return true
	}
	if err := m.env.begun(g); err != nil {
		if m.up.inherits {
			m.env.refuse(err.Error())
		}
		m.fail(1)
		return false
	}
	m.cur, m.next = g, nil
	m.log = g.log
	return true
}

// fail ends the process: with the workers that are there, at once.
func (m *master) fail(code int) {
	m.code = code
	m.terminate()
}

func (m *master) isReady(w *worker) {
	if s := w.slot; s.adopter != nil {
		m.tell(s.adopter, &ipc.Message{Type: ipc.Release, Slot: s.n})
		s.adopter = nil
	}
	if g := w.gen; g == m.next && g.started && g.allReady() {
		m.promote(g)
	}
}

// leaves: a worker drains. If nobody has told it to, another one takes its place at once.
func (m *master) leaves(w *worker) {
	g, s := w.gen, w.slot
	if w.state != ready || g != m.cur || m.quit || m.term || m.up.over {
		return
	}
	m.log.Logf(logging.Notice, 0, "%v shuts down by itself, another one takes its place", w)
	w.state = quitting
	if m.env.now().Sub(w.started) >= earlyDeath {
		s.failures = 0
	} else {
		s.failures++
	}
	s.w = nil
	if !s.isAgent() {
		m.adopt(g, w)
	}
	m.replace(g, s)
}

// tell sends a message that the worker may as well miss.
func (m *master) tell(w *worker, msg *ipc.Message) {
	if err := w.ch.Send(msg); err != nil && !errors.Is(err, syscall.EPIPE) {
		m.log.Logf(logging.Warn, 0, "%s message to %v failed: %v", msg.Type, w, err)
	}
}

// dismiss tells a worker to finish its requests and exit.
func (m *master) dismiss(w *worker) {
	if w.leaving() {
		return
	}
	w.state = quitting
	if w.ch.Send(&ipc.Message{Type: ipc.Quit}) != nil {
		m.kill(w, syscall.SIGQUIT)
	}
	if t := w.gen.core.ShutdownTimeout.V; t > 0 {
		w.killAt = m.env.now().Add(t + drainGrace)
		m.limit(w)
	}
}

// limit sees to it that a worker ends in time.
func (m *master) limit(w *worker) {
	m.after(w.killAt.Sub(m.env.now()), func() {
		if m.workers[w] {
			m.log.Logf(logging.Alert, 0, "%v did not end within worker_shutdown_timeout, killing it", w)
			m.kill(w, syscall.SIGKILL)
		}
	})
}

// stop tells a worker to exit at once, and sees to it that it does.
func (m *master) stop(w *worker) {
	if w.state == stopping {
		return
	}
	w.state = stopping
	if w.ch.Send(&ipc.Message{Type: ipc.Stop}) != nil {
		m.kill(w, syscall.SIGTERM)
	}
	m.after(killDelay, func() {
		if m.workers[w] {
			m.kill(w, syscall.SIGKILL)
		}
	})
}

func (m *master) kill(w *worker, sig syscall.Signal) {
	err := w.proc.Signal(sig)
	if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		m.log.LogErr(logging.Alert, 0, err, fmt.Sprintf("kill(%d, %d) failed", w.pid, int(sig)))
	}
}

func (m *master) onExit(w *worker, st exitStatus) {
	delete(m.workers, w)
	m.buried(w)
	zones := w.gen.zones
	if w.gen.foreign && m.cur != nil {
		zones = m.cur.zones
	}
	zones.release(w.owner, m.log)
	w.ch.Close()
	if w.slot.w == w {
		w.slot.w = nil
	}
	switch {
	case st.unknown:
		m.log.Logf(logging.Notice, 0, "%v, which another master has started, is gone", w)
	case st.signal != 0:
		text := fmt.Sprintf("%v exited on signal %d", w, st.signal)
		if st.core {
			text += " (core dumped)"
		}
		m.failed(logging.Alert, text)
	default:
		m.log.Logf(logging.Notice, 0, "%v exited with code %d", w, st.code)
	}
	g := w.gen
	switch {
	case m.old[g]:
		m.retire(g)
	case w.leaving() || m.quit || m.term:
	default:
		m.died(w, st)
	}
	m.env.orphans(m.isWorker)
}

// died handles the end of a worker that was not asked for.
func (m *master) died(w *worker, st exitStatus) {
	g, s := w.gen, w.slot
	if w.state == ready {
		m.log.Logf(logging.Notice, 0, "%v had accepted %d connections and served %d requests, %d connections were open",
			w, w.stats.Accepted, w.stats.Requests, w.stats.Active)
	}
	how := fmt.Sprintf("exited with code %d", st.code)
	if st.signal != 0 {
		how = fmt.Sprintf("exited on signal %d", st.signal)
	}
	if w.reason != "" {
		how += ": " + w.reason
	}
	if st.signal == 0 && st.code != 0 {
		m.remember(logging.Alert, fmt.Sprintf("%v %s", w, how))
	}
	if st.signal == 0 && st.code == exitFatal && g.id == 1 && !s.served {
		m.log.Logf(logging.Alert, 0, "%v exited with fatal code %d and cannot be respawned", w, st.code)
		s.given = true
	}
	if w.state == ready && m.env.now().Sub(w.started) >= earlyDeath {
		s.failures = 0
	} else {
		s.failures++
	}
	if g == m.cur && !s.isAgent() {
		m.adopt(g, w)
	}
	m.lost(g, s, how)
}

// lost decides what follows when a slot has no worker.
func (m *master) lost(g *generation, s *slot, how string) {
	switch {
	case m.quit || m.term:
	case g == m.next && m.cur == nil:
		// init_by_lua has failed or the process cannot run at all.
		if m.up.inherits {
			m.env.refuse("a " + s.process() + " " + how)
		}
		m.fail(1)
	case g == m.next:
		m.reloadFailed("a " + s.process() + " " + how)
	case g != m.cur:
	case s.given:
		if g.hopeless() {
			m.log.Log(logging.Emerg, 0, "no worker process could be started")
			m.fail(1)
		}
	default:
		m.replace(g, s)
	}
}

// replace starts a new worker for a slot: at once, or later when one after the other dies at its start.
func (m *master) replace(g *generation, s *slot) {
	m.record.restarts++
	if s.failures <= 1 {
		m.start(g, s)
		return
	}
	d := backoff(s.failures)
	m.log.Logf(logging.Alert, 0, "%s of slot %d died %d times soon after its start, the next one is started in %v", s.process(), s.n, s.failures, d)
	m.respawn[s] = m.after(d, func() {
		delete(m.respawn, s)
		if g == m.cur && s.w == nil && !m.quit && !m.term {
			m.start(g, s)
		}
	})
}

// backoff is the delay after so many early deaths in a row.
func backoff(failures int) time.Duration {
	d := backoffFirst
	for range failures - 2 {
		if d *= 2; d >= backoffMost {
			return backoffMost
		}
	}
	return d
}

func (m *master) cancelRespawn(s *slot) {
	if stop := m.respawn[s]; stop != nil {
		stop()
		delete(m.respawn, s)
	}
}

func (m *master) cancelRespawns() {
	for s := range m.respawn {
		m.cancelRespawn(s)
	}
}

// adopt gives the reuseport sockets of a dead worker to a neighbour until the slot has a worker again, and those that the
// dead one had adopted, too.
func (m *master) adopt(g *generation, dead *worker) {
	if g.sockets == nil || !g.sockets.spread() {
		return
	}
	for _, s := range g.slots {
		if s != dead.slot && s.adopter != dead {
			continue
		}
		s.adopter = nil
		for i := 1; i < len(g.slots); i++ {
			w := g.slots[(s.n+i)%len(g.slots)].w
			if w != nil && w.state == ready {
				s.adopter = w
				m.tell(w, &ipc.Message{Type: ipc.Adopt, Slot: s.n})
				break
			}
		}
	}
}
