// Package worker is a worker process: it takes the manifest that the master has left for it, parses the configuration from
// there, starts the event loop, the HTTP engine and Lua, says when it is ready, sends heartbeats, and drains when it is told to
// or when the master is gone. It is also the one process of a configuration with master_process off.
//
// What a worker does for a request is in the packages below this one. This package never opens a listen socket and never reads
// a configuration file.
package worker

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
	"perilune/worker/http"
	"perilune/worker/loop"
)

// Hooks tie further modules, Lua above all, to the life of a worker. All of them run with the loop's baton; each may be nil.
type Hooks struct {
	// Init runs init_by_lua, as the user that the master runs as. Its error, which it has logged, ends the process.
	Init func(srv *http.Server, info *Info) error
	// InitWorker runs init_worker_by_lua, as the user of the worker.
	InitWorker func(srv *http.Server, info *Info) error
	// Memory is what the Lua state holds.
	Memory func(srv *http.Server) uint64
	// Outgrown says why the process is to be replaced by another one, "" if it is not.
	Outgrown func(srv *http.Server) string
	// Traceback asks the Lua code that runs where it is. It is called from any goroutine, without the baton.
	Traceback func(srv *http.Server) <-chan string
	// Exit runs exit_worker_by_lua. It may wait for a short time.
	Exit func(srv *http.Server)
}

// Info is what a worker knows of itself; Lua code asks for it.
type Info struct {
	id, count int // the privileged agent's id is ipc.AgentSlot
	agent     int // worker_connections of the privileged agent that is asked for
	wanted    bool
	exiting   bool
	master    int    // its process number, 0 where there is none
	quit      func() // ends the worker gracefully, with the baton
}

// PID is the process' number.
func (i *Info) PID() int { return os.Getpid() }

// ID is the worker's number in its generation, from 0; -1 is the privileged agent.
func (i *Info) ID() int { return i.id }

// Count is the number of workers.
func (i *Info) Count() int { return i.count }

// Exiting says whether the worker has been told to quit.
func (i *Info) Exiting() bool { return i.exiting }

// MasterPID is the master's process number, the process' own where there is no master.
func (i *Info) MasterPID() int {
	if i.master == 0 {
		return os.Getpid()
	}
	return i.master
}

// ProcessType is what ngx.process calls the process.
func (i *Info) ProcessType() string {
	switch {
	case i.master == 0:
		return "single"
	case i.id == ipc.AgentSlot:
		return "privileged agent"
	}
	return "worker"
}

// EnableAgent asks for a privileged agent with so many connections, while init_by_lua runs.
func (i *Info) EnableAgent(connections int) { i.agent, i.wanted = connections, true }

// Quit ends the worker as the signal QUIT does.
func (i *Info) Quit() { i.quit() }

// PIDs are the process numbers of the workers, those excluded that are leaving.
func (i *Info) PIDs() []int {
	if i.master == 0 {
		return []int{os.Getpid()}
	}
	return siblings(i.master)
}

// engine is what runs one configuration in one process. Its methods are for the holder of the baton, if nothing else is said.
type engine struct {
	loop  *loop.Loop
	srv   *http.Server
	cycle *conf.Cycle
	log   *logging.Log
	hooks *Hooks
	info  Info

	own     []int // further reuseport slots to accept from
	expired loop.Timer
	over    func() // the last connection is gone, or the time is up
	ended   bool
}

// gcPercent is how much the heap of a worker may grow between two collections.
// What requests allocate dies with them, and the heap that lives is small: Go's
// default would collect at each 4 MiB, this does at 16 MiB.
const gcPercent = 400

func newEngine(cycle *conf.Cycle, log *logging.Log, hooks *Hooks, slot, workers int) (*engine, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	l, err := loop.New()
	if err != nil {
		return nil, err
	}
	srv, err := http.NewServer(l, cycle, log)
	if err != nil {
		return nil, err
	}
	srv.SetSlot(slot, workers)
	e := &engine{loop: l, srv: srv, cycle: cycle, log: log, hooks: hooks, info: Info{id: slot, count: workers}}
	e.expired.Init(e.end)
	return e, nil
}

// init runs init_by_lua.
func (e *engine) init() error {
	if e.hooks.Init == nil {
		return nil
	}
	return e.hooks.Init(e.srv, &e.info)
}

// start runs init_worker_by_lua and begins to accept.
func (e *engine) start() error {
	if e.hooks.InitWorker != nil {
		if err := e.hooks.InitWorker(e.srv, &e.info); err != nil {
			return err
		}
	}
	if e.info.exiting {
		return nil // told to quit while Lua code was waiting
	}
	if err := e.srv.Start(); err != nil {
		e.log.Log(logging.Emerg, 0, err.Error())
		return err
	}
	for _, slot := range e.own {
		if err := e.srv.Adopt(slot); err != nil {
			e.log.Log(logging.Emerg, 0, err.Error())
			return err
		}
	}
	return nil
}

// quit stops accepting and lets the requests end; then over is called.
func (e *engine) quit() {
	e.log.Log(logging.Notice, 0, "gracefully shutting down")
	if e.info.exiting {
		return
	}
	e.info.exiting = true
	e.cycle.Files.Flush()
	e.srv.StopAccepting()
	if t := e.cycle.CoreConf().ShutdownTimeout.V; t > 0 {
		e.loop.SetTimer(&e.expired, t)
	}
	e.srv.CloseIdle()
	e.srv.OnDrained(e.end)
}

func (e *engine) end() {
	if e.ended {
		return
	}
	e.ended = true
	e.log.Log(logging.Notice, 0, "exiting")
	e.loop.Go(func() {
		// The hook may wait, so it comes before the loop's end.
		if e.hooks.Exit != nil {
			e.hooks.Exit(e.srv)
		}
		e.over()
	})
}

// flushSoon writes what the request that the loop is just at leaves in the buffers: its client may have its answer already, and
// look for its line in the log once that is reopened.
func (e *engine) flushSoon() { e.loop.Post(e.cycle.Files.Flush) }

// leave is the last thing that an engine does, after the loop's end.
func (e *engine) leave() { e.cycle.Files.Drain(logging.DrainTime) }

func (e *engine) stats() ipc.Stats {
	s, l := e.srv.Stats(), e.loop.Stats()
	st := ipc.Stats{
		Accepted: s.Accepted, Requests: s.Requests, Active: uint64(s.Active), Waiting: uint64(s.Waiting),
		Turns: l.Turns, Handovers: l.Handovers, Parked: uint64(l.Parked),
		Goroutines: uint64(runtime.NumGoroutine()),
	}
	if e.hooks.Memory != nil {
		st.LuaMemory = e.hooks.Memory(e.srv)
	}
	return st
}

// attach gives the listen sockets of a configuration the descriptors that the master has left.
func attach(cycle *conf.Cycle, sockets []ipc.SocketFDs) (own []int, err error) {
	for _, ls := range cycle.Listening {
		found := false
		for _, s := range sockets {
			if s.Network != ls.Network || s.Addr != ls.Addr {
				continue
			}
			found = true
			ls.FDs = s.FDs
			// An address that had reuseport before a reload still has its many sockets.
			ls.Reuseport = len(s.FDs) > 1
			if ls.Reuseport {
				own = append(own, s.Own...)
			}
		}
		if !found {
			return nil, fmt.Errorf("no listen socket for %s", ls.Addr)
		}
	}
	return own, nil
}

// limits sets what the configuration says about resources, as long as the process has the right to.
func limits(c *conf.CoreConf, log *logging.Log) {
	if c.RlimitNofile.IsSet {
		n := uint64(c.RlimitNofile.V)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			log.LogErr(logging.Alert, 0, err, fmt.Sprintf("setrlimit(RLIMIT_NOFILE, %d) failed", n))
		}
	}
	if c.RlimitCore.IsSet {
		n := uint64(c.RlimitCore.V)
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			log.LogErr(logging.Alert, 0, err, fmt.Sprintf("setrlimit(RLIMIT_CORE, %d) failed", n))
		}
		if n > 0 {
			// A crash of the Go runtime leaves a core file only if it is told to.
			debug.SetTraceback("crash")
		}
	}
}

const beatInterval = time.Second
