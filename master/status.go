package master

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// Report is what -s status shows. Times are in seconds.
type Report struct {
	Version    string  `json:"version"`
	PID        int     `json:"pid"`
	Binary     string  `json:"binary,omitempty"`
	ConfFile   string  `json:"configuration"`
	PidFile    string  `json:"pid_file"`
	State      string  `json:"state"` // serving, reloading, upgrading, handing over, shutting down
	Started    string  `json:"started"`
	Uptime     float64 `json:"uptime"`
	Generation int     `json:"generation"` // the one that serves

	Reloads        int `json:"reloads"`
	FailedReloads  int `json:"failed_reloads"`
	Upgrades       int `json:"upgrades"` // before this process
	FailedUpgrades int `json:"failed_upgrades"`
	Restarts       int `json:"restarts"` // workers replaced

	Connections ReportConnections  `json:"connections"`
	Requests    uint64             `json:"requests"`
	Generations []ReportGeneration `json:"generations"`
	Workers     []ReportWorker     `json:"workers"`
	Listeners   []ReportListener   `json:"listeners"`
	Zones       []ReportZone       `json:"zones"`
	Logs        []ReportLog        `json:"logs"`
	Errors      []ReportError      `json:"last_errors"`
}

// ReportConnections counts client connections, with those of workers that are gone among the accepted ones.
type ReportConnections struct {
	Accepted uint64 `json:"accepted"`
	Active   uint64 `json:"active"`
	Waiting  uint64 `json:"waiting"`
}

// ReportGeneration is a configuration with the workers that run it.
type ReportGeneration struct {
	ID      int    `json:"id"`
	State   string `json:"state"` // serving, starting, draining
	Workers int    `json:"workers"`
	Slots   int    `json:"worker_processes"`
	Agent   bool   `json:"privileged_agent"` // one is there
}

// ReportWorker is a worker with what its last heartbeat said.
type ReportWorker struct {
	PID         int               `json:"pid"`
	Generation  int               `json:"generation"`
	Slot        int               `json:"slot"` // -1 of the privileged agent
	Type        string            `json:"type"` // worker, privileged agent
	State       string            `json:"state"`
	Uptime      float64           `json:"uptime"`
	LastBeat    float64           `json:"last_heartbeat"` // so long ago
	Connections ReportConnections `json:"connections"`
	Requests    uint64            `json:"requests"`
	LuaMemory   uint64            `json:"lua_memory"`
	Goroutines  uint64            `json:"goroutines"`
}

// ReportListener is a listen address.
type ReportListener struct {
	Address   string `json:"address"`
	Sockets   int    `json:"sockets"`
	Backlog   int    `json:"backlog"`
	Reuseport bool   `json:"reuseport"`
}

// ReportZone is a shared-memory zone. Sizes are in bytes.
type ReportZone struct {
	Name      string `json:"name"`
	Module    string `json:"module"`
	Size      int64  `json:"size"`
	Used      int64  `json:"used"`
	Free      int64  `json:"free"`
	Entries   int    `json:"entries"`
	Contended uint64 `json:"contended"` // times a lock was waited for in the kernel
	Mended    uint64 `json:"mended"`    // times what a dead worker left unfinished was mended
}

// ReportLog is what all processes have done with a log file since the first master was started.
type ReportLog struct {
	Path      string         `json:"path"` // "stderr"; "" for all that have no place of their own, with variables in the path above all
	Lines     uint64         `json:"lines"`
	Bytes     uint64         `json:"bytes"`
	Lost      uint64         `json:"lost"` // lines
	LostBytes uint64         `json:"lost_bytes"`
	Short     uint64         `json:"short_writes"`
	Queued    uint64         `json:"queued"`     // lines that have waited because the file was slow
	Ended     uint64         `json:"half_lines"` // that a kill or a full disk has left, and that were ended
	Errors    logging.Errors `json:"errors"`     // failed writes
	LastError string         `json:"last_error,omitempty"`
}

// ReportError is something that went wrong.
type ReportError struct {
	Time  string `json:"time"`
	Level string `json:"level"`
	Text  string `json:"text"`
}

// mostErrors is how many errors a report has.
const mostErrors = 16

// record is what the master remembers for reports.
type record struct {
	started               time.Time
	reloads, badReloads   int
	upgrades, badUpgrades int
	restarts              int
	accepted, requests    uint64 // of workers that are gone
	errors                []ReportError
	binary                string
}

// statusEvent asks for a report.
type statusEvent struct{ reply chan<- *Report }

func (statusEvent) event() {}

// failed logs something that reports show, too.
func (m *master) failed(lv logging.Level, text string) {
	m.log.Log(lv, 0, text)
	m.remember(lv, text)
}

// remember keeps something for reports that is in the log already.
func (m *master) remember(lv logging.Level, text string) {
	e := &m.record.errors
	if len(*e) == mostErrors {
		*e = slices.Delete(*e, 0, 1)
	}
	*e = append(*e, ReportError{Time: m.env.now().Format(time.RFC3339), Level: lv.String(), Text: text})
}

// buried keeps the figures of a worker that is gone.
func (m *master) buried(w *worker) {
	m.record.accepted += w.stats.Accepted
	m.record.requests += w.stats.Requests
}

func (m *master) report() *Report {
	now := m.env.now()
	r := &Report{
		Version: conf.Version, PID: os.Getpid(), Binary: m.record.binary, State: m.stateName(),
		Started: m.record.started.Format(time.RFC3339), Uptime: now.Sub(m.record.started).Seconds(),
		Reloads: m.record.reloads, FailedReloads: m.record.badReloads,
		Upgrades: m.record.upgrades, FailedUpgrades: m.record.badUpgrades, Restarts: m.record.restarts,
		Connections: ReportConnections{Accepted: m.record.accepted}, Requests: m.record.requests,
		Errors: slices.Clone(m.record.errors),
	}
	for g := range m.old {
		r.Generations = append(r.Generations, m.reportGeneration(g, "draining"))
	}
	if g := m.cur; g != nil {
		r.Generation = g.id
		if g.cycle != nil {
			r.ConfFile, r.PidFile = g.cycle.ConfFile, g.core.Pid.V
		}
		r.Generations = append(r.Generations, m.reportGeneration(g, "serving"))
		r.Listeners, r.Zones, r.Logs = reportListeners(g.sockets), reportZones(g.zones), reportLogs(g)
	}
	if g := m.next; g != nil {
		r.Generations = append(r.Generations, m.reportGeneration(g, "starting"))
	}
	slices.SortFunc(r.Generations, func(a, b ReportGeneration) int { return a.ID - b.ID })
	for w := range m.workers {
		rw := reportWorker(w, now)
		r.Workers = append(r.Workers, rw)
		r.Connections.Accepted += rw.Connections.Accepted
		r.Connections.Active += rw.Connections.Active
		r.Connections.Waiting += rw.Connections.Waiting
		r.Requests += rw.Requests
	}
	slices.SortFunc(r.Workers, func(a, b ReportWorker) int {
		return cmp.Or(a.Generation-b.Generation, a.Slot-b.Slot, a.PID-b.PID)
	})
	return r
}

func (m *master) stateName() string {
	switch {
	case m.quit || m.term:
		return "shutting down"
	case m.up.over:
		return "handing over"
	case m.up.running:
		return "upgrading"
	case m.cur != nil && m.next != nil:
		return "reloading"
	case m.cur == nil:
		return "starting"
	}
	return "serving"
}

func (m *master) reportGeneration(g *generation, state string) ReportGeneration {
	r := ReportGeneration{ID: g.id, State: state, Slots: len(g.slots)}
	for w := range m.workers {
		switch {
		case w.gen != g:
		case w.slot.isAgent():
			r.Agent = true
		default:
			r.Workers++
		}
	}
	return r
}

var stateNames = map[state]string{
	starting: "starting", initialized: "starting", ready: "serving", quitting: "draining", stopping: "stopping",
}

func reportWorker(w *worker, now time.Time) ReportWorker {
	r := ReportWorker{
		PID: w.pid, Generation: w.gen.id, Slot: w.slot.n, State: stateNames[w.state],
		Type:   strings.TrimSuffix(w.slot.process(), " process"),
		Uptime: now.Sub(w.started).Seconds(), LastBeat: max(0, now.Sub(w.lastBeat).Seconds()),
		Connections: ReportConnections{Accepted: w.stats.Accepted, Active: w.stats.Active, Waiting: w.stats.Waiting},
		Requests:    w.stats.Requests, LuaMemory: w.stats.LuaMemory, Goroutines: w.stats.Goroutines,
	}
	if w.hung {
		r.State = "hung"
	}
	return r
}

func reportListeners(set *socketSet) []ReportListener {
	var list []ReportListener
	for _, k := range set.list {
		list = append(list, ReportListener{Address: k.addr, Sockets: len(k.fds), Backlog: k.backlog, Reuseport: k.reuseport})
	}
	return list
}

func reportZones(set *zoneSet) []ReportZone {
	if set == nil {
		return nil
	}
	var list []ReportZone
	for _, z := range set.list {
		st := z.Stats()
		list = append(list, ReportZone{Name: z.Name(), Module: z.use, Size: z.Size(), Used: st.UsedBytes, Free: st.FreeBytes,
			Entries: st.Entries, Contended: st.Contended, Mended: st.Mended})
	}
	return list
}

// reportLogs tells of the files of the configuration, and of any other one that something was written to.
func reportLogs(g *generation) []ReportLog {
	z := g.zones.find(conf.LogZone)
	if z == nil || g.cycle == nil {
		return nil
	}
	named := map[string]bool{}
	for _, f := range g.cycle.Files.All() {
		named[f.Path()] = true
	}
	var list []ReportLog
	z.EachCounts(func(name string, counts *shm.Counts) {
		c := logging.CountersOf(counts)
		if c.Lines == 0 && c.Lost == 0 && !named[name] {
			return
		}
		r := ReportLog{Path: name, Lines: c.Lines, Bytes: c.Bytes, Lost: c.Lost, LostBytes: c.LostBytes, Short: c.Short,
			Queued: c.Queued, Ended: c.Ended, Errors: c.Errors}
		if c.LastError != 0 {
			r.LastError = logging.ErrnoText(c.LastError)
		}
		list = append(list, r)
	})
	slices.SortFunc(list, func(a, b ReportLog) int { return cmp.Compare(a.Path, b.Path) })
	return list
}
