package master

import (
	"fmt"

	"perilune/logging"
)

// reload reads the configuration again and starts the workers for it. Until all of them are ready nothing changes for those
// that serve.
func (m *master) reload() {
	m.log.Log(logging.Notice, 0, "reconfiguring")
	g, err := m.env.load(m.cur)
	if err != nil {
		m.record.badReloads++
		m.remember(logging.Emerg, "reload failed, the old configuration stays: "+err.Error())
		return
	}
	m.next = g
	m.stopReady = m.after(readyTimeout, func() {
		if m.next == g {
			m.reloadFailed(fmt.Sprintf("the worker processes were not ready after %v", readyTimeout))
		}
	})
	m.startWorkers(g)
}

// promote: every worker of the new generation is ready, the old ones may go.
func (m *master) promote(g *generation) {
	if m.stopReady != nil {
		m.stopReady()
		m.stopReady = nil
	}
	old := m.cur
	if old == nil {
		m.becomeCurrent(g)
		return
	}
	if g == old {
		return
	}
	m.cur, m.next = g, nil
	m.log = g.log
	m.record.reloads++
	m.cancelRespawns()
	m.env.changed(old, g)
	m.old[old] = true
	for w := range m.workers {
		if w.gen == old {
			m.dismiss(w)
		}
	}
	m.retire(old)
}

// retire lets go of an old generation when it has no worker left.
func (m *master) retire(g *generation) {
	for w := range m.workers {
		if w.gen == g {
			return
		}
	}
	delete(m.old, g)
	m.env.release(g)
}

// reloadFailed goes back to the configuration that serves.
func (m *master) reloadFailed(why string) {
	m.record.badReloads++
	m.failed(logging.Emerg, "reload failed, the old configuration stays: "+why)
	m.giveUpNext()
}
