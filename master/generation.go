package master

import (
	"time"

	"perilune/conf"
	"perilune/ipc"
	"perilune/ipc/shm"
	"perilune/logging"
)

// generation is one configuration with its sockets, its log files and the workers that run it.
type generation struct {
	id      int
	cycle   *conf.Cycle
	core    *conf.CoreConf
	log     *logging.Log
	sockets *socketSet
	zones   *zoneSet
	slots   []*slot
	agent   *slot // of the privileged agent; nil without one
	foreign bool  // of a master before this one: only its workers are left
	started bool  // all workers have been started, not only the first
}

// slot is the place of one worker in its generation.
type slot struct {
	n        int
	w        *worker // nil while the slot is empty
	failures int     // deaths in a row, each soon after the start
	served   bool    // a worker of this slot has been ready
	given    bool    // the worker died in a way that makes another try useless
	adopter  *worker // accepts from this slot's reuseport sockets

	connections int // of the privileged agent
}

// isAgent says whether the slot is that of the privileged agent, which serves nobody.
func (s *slot) isAgent() bool { return s.n == ipc.AgentSlot }

// process is what nginx calls the process of a slot.
func (s *slot) process() string {
	if s.isAgent() {
		return "privileged agent process"
	}
	return "worker process"
}

// state is how far a worker is.
type state int

const (
	starting    state = iota
	initialized       // init_by_lua has run
	ready             // init_worker_by_lua has run
	quitting          // told to finish its requests and exit
	stopping          // told to exit at once
)

// worker is one worker process.
type worker struct {
	pid   int
	gen   *generation
	slot  *slot
	proc  process
	ch    channel
	owner shm.Owner // of locks in shared memory
	state state

	started  time.Time
	lastBeat time.Time // of the last heartbeat
	stats    ipc.Stats // that came with it
	drains   bool      // accepts no more, as it was told
	killAt   time.Time // when it must have ended, zero if it may take its time
	hung     bool      // the heartbeat is missing, and the worker is about to be killed
	reason   string    // what it said about its failure to start
}

// String is the worker's name in the log.
func (w *worker) String() string { return w.slot.process() + " " + itoa(w.pid) }

// leaving says that the worker is meant to exit.
func (w *worker) leaving() bool { return w.state >= quitting }

func newGeneration(id int, cycle *conf.Cycle, log *logging.Log, sockets *socketSet) *generation {
	g := &generation{id: id, cycle: cycle, core: cycle.CoreConf(), log: log, sockets: sockets}
	g.makeSlots(g.core.WorkerProcesses.V)
	return g
}

func (g *generation) makeSlots(n int) {
	for i := range n {
		g.slots = append(g.slots, &slot{n: i})
	}
}

// processes are the slots of the workers and of the privileged agent.
func (g *generation) processes() []*slot {
	if g.agent == nil {
		return g.slots
	}
	return append(g.slots[:len(g.slots):len(g.slots)], g.agent)
}

// allReady says whether every slot has a worker that is ready.
func (g *generation) allReady() bool {
	for _, s := range g.processes() {
		if s.w == nil || s.w.state != ready {
			return false
		}
	}
	return true
}

// hopeless says whether no slot has a worker or will get one.
func (g *generation) hopeless() bool {
	for _, s := range g.slots {
		if s.w != nil || !s.given {
			return false
		}
	}
	return len(g.slots) > 0
}
