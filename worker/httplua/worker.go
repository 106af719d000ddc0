package httplua

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/luart"
	"perilune/luart/vm"
	"perilune/worker/http"
)

// Worker is the module's state in a worker process.
type Worker struct {
	main *mainConf
	cfg  luart.Config
	rt   *luart.Runtime
	free []*request // contexts of requests, used again

	untrimmed int // requests since memory was given back
}

// cached is the compiled function of a directive's code in the runtime that all
// requests share.
type cached struct {
	fn  *vm.Function
	ref int // its number
}

// Init makes the Lua machine of a worker and runs init_by_lua. It must be called
// with the loop's baton, after http.NewServer. Its error has been logged; the
// worker must not start. Configurations without Lua need nothing and get nothing.
// configure is what ngx.config.nginx_configure returns.
func Init(srv *http.Server, info luart.Worker, configure string) error {
	cycle := srv.Cycle()
	if cycle.HTTP == nil {
		return nil
	}
	m := mainConfOf(srv)
	if m.used == 0 && m.mallocTrim.V == 0 && m.init == nil && m.initWorker == nil && m.exitWorker == nil {
		return nil
	}
	return start(srv, info, configure, nil)
}

// InitConsole is Init for a program on the command line, whose machine is given. It
// returns the runtime.
func InitConsole(srv *http.Server, info luart.Worker, configure string, m *vm.VM) (*luart.Runtime, error) {
	if err := start(srv, info, configure, m); err != nil {
		return nil, err
	}
	return mainConfOf(srv).worker.rt, nil
}

func start(srv *http.Server, info luart.Worker, configure string, console *vm.VM) error {
	cycle, m := srv.Cycle(), mainConfOf(srv)
	m.debug = cycle.Debug
	m.memory.apply()
	w := &Worker{main: m}
	w.cfg = luart.Config{
		Console: console,
		Directive: func(name string) func(luart.Request, string) ([]byte, bool) {
			call, found := http.SetFunction(name)
			if !found {
				return nil
			}
			return func(req luart.Request, arg string) ([]byte, bool) {
				r := srv.NoRequest()
				if q, ok := req.(*request); ok {
					r = q.r
				}
				return call(r, nil, []byte(arg))
			}
		},
		Loop:         eventLoop{srv.Loop()},
		Log:          processLog{srv.ErrorLog()},
		Files:        cycle.Files,
		Worker:       info,
		Prefix:       cycle.Prefix,
		PackagePath:  m.packagePath.V,
		PackageCPath: m.packageCPath.V,
		RegexCache:   m.regexCache.V, RegexMatchLimit: m.regexMatchLimit.V,
		Configure:       configure,
		NginxVersion:    nginxVersionNumber(conf.NginxVersion),
		Settings:        &cycle.HTTP.Loc[Module.Index].(*locConf).settings,
		ThreadCache:     m.threadCache.V,
		Spawn:           func(o *luart.Program) (luart.Process, error) { return spawn(srv.Loop(), o) },
		WorkerThreadVMs: m.workerThreadVMs.V,
		Timers: luart.TimerLimits{Pending: m.maxPendingTimers.V, Running: m.maxRunningTimers.V,
			Hold: srv.Hold, Release: srv.Unhold},
		Net:         newNetwork(srv),
		MemoryLimit: m.memory.soft.V,
	}
	if n := m.captureLog.V; n > 0 {
		captured := luart.NewErrorLog(n)
		w.cfg.ErrorLog = captured
		srv.ErrorLog().SetCapture(func(lv logging.Level, at time.Time, line []byte) { captured.Add(luart.Level(lv), at, line) })
	}
	for _, p := range cycle.CoreConf().ThreadPools {
		w.cfg.ThreadPools = append(w.cfg.ThreadPools, luart.ThreadPool(p))
	}
	var err error
	if w.cfg.Shared, err = m.sharedDicts(srv.Loop()); err != nil {
		srv.ErrorLog().Log(logging.Emerg, 0, err.Error())
		return err
	}
	rt, err := w.newRuntime()
	if err != nil {
		return err
	}
	w.rt = rt
	m.worker = w
	srv.OnDraining(rt.ExpireTimers)
	srv.OnDraining(rt.CloseIdle)
	srv.OnDraining(rt.DrainLoggers)
	return nil
}

// InitWorker runs init_worker_by_lua. As in nginx its failure is only logged.
func InitWorker(srv *http.Server, _ luart.Worker) error {
	if srv.Cycle().HTTP == nil {
		return nil
	}
	if m := mainConfOf(srv); m.initWorker != nil {
		_ = runHook(m.worker.rt, luart.PhaseInitWorker, m.initWorker)
	}
	return nil
}

// lastFlush is how long the end of a worker waits for log servers.
const lastFlush = time.Second

// ExitWorker runs exit_worker_by_lua, in a worker that is about to end, and has log
// servers get what was logged last.
func ExitWorker(srv *http.Server) {
	if srv.Cycle().HTTP == nil {
		return
	}
	m := mainConfOf(srv)
	if m.worker == nil {
		return
	}
	if m.exitWorker != nil {
		_ = runHook(m.worker.rt, luart.PhaseExitWorker, m.exitWorker)
	}
	m.worker.rt.FlushLoggers(lastFlush)
	m.worker.rt.CountUsers()
	m.worker.rt.Unuse()
}

// Memory is what the values of the Lua machine take at most, in bytes: they live
// in the heap of the process, beside little else.
func Memory(srv *http.Server) uint64 {
	if srv.Cycle().HTTP == nil || mainConfOf(srv).worker == nil {
		return 0
	}
	return uint64(max(mainConfOf(srv).worker.rt.VM().MemoryInUse(), 0))
}

func mainConfOf(srv *http.Server) *mainConf {
	return srv.Cycle().HTTP.Main[Module.Index].(*mainConf)
}

// trim gives memory back as lua_malloc_trim says, with ngx_lua's message of it.
func (w *Worker) trim(r *http.Request, every int) {
	if w.untrimmed++; w.untrimmed < every {
		return
	}
	w.untrimmed = 0
	if !w.main.debugs(r) {
		debug.FreeOSMemory()
		return
	}
	before := releasedMemory()
	debug.FreeOSMemory()
	released := 0
	if releasedMemory() > before {
		released = 1
	}
	r.Log(logging.Debug, "malloc_trim(1) returned %d", released)
}

// releasedMemory is how much of the heap's memory the system has back.
func releasedMemory() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// newRuntime makes a machine in which init_by_lua has run.
func (w *Worker) newRuntime() (*luart.Runtime, error) {
	rt := luart.New(w.cfg)
	if w.main.init != nil {
		if err := runHook(rt, luart.PhaseInit, w.main.init); err != nil {
			return nil, err
		}
	}
	if w.main.cpuLimit {
		rt.SetCPULimit()
	}
	return rt, nil
}

func runHook(rt *luart.Runtime, phase luart.Phase, h *hook) error {
	if h.path != "" {
		return rt.RunInitFile(phase, h.name, h.path)
	}
	return rt.RunInit(phase, h.name, h.source, h.chunkname)
}

// nginxVersionNumber is 1027004 for "1.27.4".
func nginxVersionNumber(version string) int {
	var a, b, c int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &a, &b, &c); err != nil {
		return 0
	}
	return a*1000000 + b*1000 + c
}

// processLog is the error log of code that runs outside of requests.
type processLog struct{ log *logging.Log }

func (l processLog) LogEnabled(lv luart.Level) bool { return l.log.Enabled(logging.Level(lv)) }

func (l processLog) Log(lv luart.Level, msg []byte) { l.log.Log(logging.Level(lv), 0, string(msg)) }
