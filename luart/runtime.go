package luart

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"perilune/logging"
	"perilune/luart/vm"
)

// Worker is what Lua code may ask of its worker.
type Worker interface {
	PID() int
	ID() int // -1 where there are no numbers
	Count() int
	Exiting() bool
	PIDs() []int                 // of all workers
	MasterPID() int              // its own where there is no master
	ProcessType() string         // "worker", "privileged agent" or "single"
	EnableAgent(connections int) // asks for a privileged agent
	Quit()                       // ends the worker as the signal QUIT does
}

// Config is what a runtime is made of.
type Config struct {
	Loop         Loop
	Log          Logger         // for code outside of requests
	Files        *logging.Files // the log files of the process
	Worker       Worker
	Prefix       string // with a slash at its end
	PackagePath  string // lua_package_path, "" for the default
	PackageCPath string // lua_package_cpath
	Shared       []SharedDict
	NginxVersion int    // 1027004
	Configure    string // the configure arguments of -V
	// RegexCache is how many compiled patterns ngx.re keeps, RegexMatchLimit how often
	// a match may backtrack; 0 stands for the default.
	RegexCache, RegexMatchLimit int
	// Settings are those of code outside of requests.
	Settings *Settings
	Timers   TimerLimits
	Spawn    func(*Program) (Process, error) // for ngx.pipe
	ErrorLog *ErrorLog                       // for ngx.errlog, nil when nothing is captured
	// ThreadCache is how many threads are kept for further requests.
	ThreadCache int
	// ThreadPools are for ngx.run_worker_thread, which makes at most WorkerThreadVMs
	// machines.
	ThreadPools     []ThreadPool
	WorkerThreadVMs int
	Net             Net
	// MemoryLimit is the size of the heap from which on Lua code that wants more fails;
	// 0 is none.
	MemoryLimit int64
	// Console is the machine of a program on the command line, nil for a new one.
	Console *vm.VM
	// Directive finds the function behind a directive that makes one value of another;
	// req is nil outside of requests. Why a call fails has been logged.
	Directive func(name string) func(req Request, arg string) (value []byte, ok bool)
}

// Runtime is the Lua of a worker: its virtual machine with the ngx API, the
// compiled chunks, and threads for requests.
type Runtime struct {
	cfg       Config
	vm        *vm.VM
	threads   []*vm.Thread
	chunks    map[string]chunk // by cache key
	chunkRefs int

	methods     map[uint32]vm.Value
	headerNames map[string]vm.Value // lower-case names by names as received
	knownNames  [128]knownName
	dashedNames map[string]string
	times       timeTexts
	headersMeta *vm.Table
	re          reState
	modules     moduleState
	scratch     []byte // taken by whoever fills it
	unescaped   []byte
	shared      []byte // strings out of dictionaries pass through it

	ctxTables int // tables ngx.ctx that are in use
	users     int // of a machine that is not the worker's only one, see CountUsers

	initWorkerLog Logger
	cpu           cpuLimit
	cpuLimited    bool
	memory        memoryWatch
	asked         question
	timers        timers
	pools         []*threadPool // those that were used
	sideVMs       []*sideVM     // that no task uses
	sideCount     int           // how many there are, those that a task uses included
	sockets       sockets
	loggers       loggers
}

// New makes a runtime. The Lua code of init_by_lua has not run yet.
func New(cfg Config) *Runtime {
	rt := &Runtime{
		cfg:         cfg,
		vm:          cfg.Console,
		chunks:      make(map[string]chunk),
		methods:     make(map[uint32]vm.Value, len(methodNames)),
		headerNames: make(map[string]vm.Value),
		dashedNames: make(map[string]string),
	}
	if rt.vm == nil {
		rt.vm = vm.New()
	}
	rt.initWorkerLog = contextLogger{cfg.Log, ", context: init_worker_by_lua*"}
	for id, name := range methodNames {
		rt.methods[id] = vm.String(name)
	}
	rt.vm.HostTrace, rt.vm.HostYields = rt.traceback, cfg.Console == nil
	rt.vm.HostWraps = func(t *vm.Thread) bool {
		c := context(t)
		return c != nil && c.phase&phasesYieldable != 0 && !c.console
	}
	rt.vm.Block = rt.block
	print := rt.vm.Globals().GetStr("print")
	rt.headersMeta = rt.vm.NewTable(0, 1)
	rt.headersMeta.SetStr("__index", rt.vm.NewFunction("__index", headersIndex))
	rt.setPackagePath()
	rt.refuseNative()
	rt.openAPI()
	rt.openModules()
	rt.openCoroutine()
	rt.openSemaphore()
	rt.openSockets()
	if cfg.Console != nil {
		rt.openConsole(print)
	} else {
		rt.guardGlobals()
	}
	rt.vm.SetBudget(budgetUnits, rt.spent)
	rt.limitMemory(cfg.MemoryLimit)
	return rt
}

// VM is the virtual machine, for modules that add to it.
func (rt *Runtime) VM() *vm.VM { return rt.vm }

// openCoroutine makes the thread of a request a coroutine to its own code. That of
// a program on the command line is none, as in Lua.
func (rt *Runtime) openCoroutine() {
	lib, ok := rt.vm.Globals().GetStr("coroutine").AsTable()
	if !ok {
		return
	}
	lib.SetStr("status", rt.vm.NewFunction("status", func(t *vm.Thread) int {
		co, ok := t.Arg(1).AsThread()
		if !ok {
			return argError(t, 1, "coroutine expected")
		}
		if c := context(t); c != nil {
			if u := c.find(co); u != nil {
				t.PushString(u.status())
				return 1
			}
		}
		t.PushString(co.Status())
		return 1
	}))
	if rt.cfg.Console != nil {
		return
	}
	lib.SetStr("create", rt.vm.NewFunction("create", func(t *vm.Thread) int {
		checkBody(t)
		t.Push(t.NewCoroutine(t.CheckFunction(1)).Value())
		return 1
	}))
	wrap := lib.GetStr("wrap")
	lib.SetStr("wrap", rt.vm.NewFunction("wrap", func(t *vm.Thread) int {
		checkBody(t)
		t.Push(t.CallValue(wrap, 1, t.CheckFunction(1))[0])
		return 1
	}))
	plain := lib.GetStr("running")
	lib.SetStr("running", rt.vm.NewFunction("running", func(t *vm.Thread) int {
		if c := context(t); c != nil && c.phase&phasesYieldable != 0 {
			t.Push(t.Value())
			return 1
		}
		results := t.CallValue(plain, 1)
		t.Push(results[0])
		return 1
	}))
}

// checkBody refuses a coroutine of a function that is not Lua's, where ngx_lua does;
// and any, where ngx_lua has no coroutines.
func checkBody(t *vm.Thread) {
	c := context(t)
	switch {
	case c == nil:
	case c.phase&phasesYieldable != 0:
		if fn, ok := t.Arg(1).AsFunction(); !ok || fn.IsGo() {
			argError(t, 1, "Lua function expected")
		}
	case c.strict() && c.phase&(PhaseSet|PhaseLog|PhaseInitWorker|PhaseExitWorker|PhaseBalancer) != 0:
		wrongPhase(t, c, "", false)
	}
}

// contextLogger adds a text to every message.
type contextLogger struct {
	Logger
	suffix string
}

func (l contextLogger) Log(lv Level, msg []byte) {
	l.Logger.Log(lv, append(msg[:len(msg):len(msg)], l.suffix...))
}

// keepScratch gives the scratch buffer back, unless it has grown big.
func (rt *Runtime) keepScratch(buf []byte) {
	if cap(buf) <= 64<<10 {
		rt.scratch = buf[:0]
	}
}

func (rt *Runtime) packageTable() *vm.Table {
	p, _ := rt.vm.Globals().GetStr("package").AsTable()
	return p
}

func (rt *Runtime) packageLoaded() *vm.Table {
	p := rt.packageTable()
	if p == nil {
		return nil
	}
	loaded, _ := p.GetStr("loaded").AsTable()
	return loaded
}

// setPackagePath puts the configured paths into package.path and package.cpath;
// ";;" in them stands for the default, "$prefix" and "${prefix}" for the prefix.
func (rt *Runtime) setPackagePath() {
	p := rt.packageTable()
	if p == nil {
		return
	}
	for _, s := range []struct{ field, conf string }{
		{"path", rt.cfg.PackagePath}, {"cpath", rt.cfg.PackageCPath},
	} {
		if s.conf == "" {
			continue
		}
		old, _ := p.GetStr(s.field).AsString()
		p.SetStr(s.field, vm.String(expandPath(s.conf, old, rt.cfg.Prefix)))
	}
}

func expandPath(path, def, prefix string) string {
	const mark = "\x01"
	path = strings.ReplaceAll(path, ";;", ";"+mark+";")
	path = strings.ReplaceAll(path, "$prefix", prefix)
	path = strings.ReplaceAll(path, "${prefix}", prefix)
	return strings.ReplaceAll(path, mark, def)
}

// thread takes a thread for the code of a context out of the pool.
func (rt *Runtime) thread(c *Ctx) *vm.Thread {
	t := rt.takeThread(c.poolLog())
	t.Data = c
	return t
}

func (rt *Runtime) release(t *vm.Thread) {
	rt.keepThread(t, context(t).poolLog())
}

// poolLog is told of the pool of threads, where ngx_lua has one: for code that may wait.
func (c *Ctx) poolLog() Logger {
	if c.phase&phasesYieldable == 0 {
		return nil
	}
	return c.logger(c.rt)
}

func (rt *Runtime) takeThread(l Logger) *vm.Thread {
	n := len(rt.threads)
	if n == 0 {
		return rt.vm.NewThread()
	}
	if l != nil {
		logText(l, LevelDebug, "lua reusing cached lua thread")
	}
	t := rt.threads[n-1]
	rt.threads = rt.threads[:n-1]
	return t
}

func (rt *Runtime) keepThread(t *vm.Thread, l Logger) {
	t.Data = nil
	if len(rt.threads) >= rt.cfg.ThreadCache {
		return
	}
	if l != nil {
		logText(l, LevelDebug, "lua caching unused lua thread")
	}
	t.Reset()
	rt.threads = append(rt.threads, t)
}

// LoadError is an error of loading a chunk, with the status that the request gets.
type LoadError struct {
	Status int
	Text   string
}

func (e *LoadError) Error() string { return e.Text }

// LoadStatus is the status that a request gets when its code could not be loaded.
func LoadStatus(err error) int {
	var e *LoadError
	if errors.As(err, &e) {
		return e.Status
	}
	return statusInternalError
}

// Run runs a chunk in a phase of a request and returns what the phase's handler
// is to return. It must not be called for the same context again before it has
// returned, except from within a filter.
func (rt *Runtime) Run(c *Ctx, phase Phase, fn *vm.Function) int {
	old := c.phase
	c.phase = phase
	if phase&PhasesResponse != 0 {
		c.reset()
		c.enteredContent = phase == PhaseContent
		c.watchClient()
	}
	t := rt.thread(c)
	rt.resumed(c)
	_, err := c.runEntry(t, fn.Value())
	c.unwatchClient()
	c.traceEnd(err)
	rt.release(t)
	rc := rt.finish(c, err)
	c.phase = old
	return rc
}

// traceEnd writes ngx_lua's debug messages of how the code of a phase has ended.
func (c *Ctx) traceEnd(err error) {
	if err == nil || !c.req.LogEnabled(LevelDebug) {
		return
	}
	var text []byte
	forcible := 1
	if abort, isAbort := err.(*vm.AbortError); isAbort && abort.Err == errExit {
		switch {
		case c.jumped:
			uri, _ := c.req.Variable("uri")
			text = fmt.Appendf(nil, "lua thread aborting request with URI rewrite jump: \"%s?%s\"", uri, c.req.Args())
		case c.execURI != "":
			text = fmt.Appendf(nil, "lua thread initiated internal redirect to %s", c.execURI)
		default:
			text = fmt.Appendf(nil, "lua thread aborting request with status %d", c.exitCode)
			forcible = 0
		}
		c.req.Log(LevelDebug, text)
	} else {
		forcible = 0
	}
	c.req.Log(LevelDebug, fmt.Appendf(nil, "lua request cleanup: forcible=%d", forcible))
	c.cleaned = true
}

// TraceCleanup writes ngx_lua's debug message of the end of a request, unless that of
// its code was told already.
func (c *Ctx) TraceCleanup() {
	if c.ran && !c.cleaned {
		logText(c.req, LevelDebug, "lua request cleanup: forcible=0")
	}
}

// runFilter runs code that the code of another phase may have called: the thread
// is none of the request's light threads. It returns the first result.
func (rt *Runtime) runFilter(c *Ctx, phase Phase, fn *vm.Function) (vm.Value, error) {
	old := c.phase
	c.phase = phase
	t := rt.thread(c)
	first := vm.Nil
	results, err := t.Call(fn.Value())
	if len(results) > 0 {
		first = results[0]
	}
	rt.release(t)
	c.phase = old
	return first, err
}

// finish is what comes after the Lua code of a phase.
func (rt *Runtime) finish(c *Ctx, err error) int {
	if err == nil {
		if c.enteredContent && c.phase == PhaseContent {
			return c.sendLast()
		}
		return OK
	}
	abort, isAbort := err.(*vm.AbortError)
	if isAbort && abort.Err == errExit {
		if c.jumped {
			c.releaseTable(c.req) // the location is another one, and so is ngx.ctx
			return OK
		}
		if c.execURI != "" {
			return c.req.InternalRedirect(c.execURI, c.execArgs)
		}
		return c.handleExit()
	}
	if c.phase&(PhaseLog|PhaseHeaderFilter|PhaseBodyFilter|PhaseSet) != 0 {
		logText(c.req, LevelError, "failed to run "+c.phase.Directive()+": "+describeFilter(err))
		return Error
	}
	status := statusInternalError
	if isAbort && !errors.As(abort.Err, &memoryError{}) {
		status = statusUnavailable
	}
	logText(c.logger(rt), LevelError, "lua entry thread aborted: "+describe(err))
	if c.req == nil || c.sent() || c.cutOff {
		return Error // also when subrequests were under way: as in ngx_lua nothing is sent then
	}
	return status
}

// RunInit runs a chunk outside of requests: init_by_lua and the like. name is the
// directive's, for the message.
func (rt *Runtime) RunInit(phase Phase, name, source, chunkname string) error {
	fn, err := rt.vm.Load(bytesOf(source), chunkname)
	return rt.runInit(phase, name, fn, err)
}

// RunInitFile is RunInit for a file.
func (rt *Runtime) RunInitFile(phase Phase, name, path string) error {
	fn, err := rt.vm.LoadFile(path)
	return rt.runInit(phase, name, fn, err)
}

func (rt *Runtime) runInit(phase Phase, name string, fn *vm.Function, err error) error {
	c := &Ctx{rt: rt, phase: phase, settings: rt.cfg.Settings}
	if err == nil {
		t := rt.thread(c)
		rt.resumed(c)
		_, err = c.runEntry(t, fn.Value())
		c.close()
		rt.release(t)
	}
	if err == nil {
		return nil
	}
	text := name + " error: " + describeSync(err)
	logText(c.logger(rt), LevelError, text)
	return fmt.Errorf("%s", text)
}

// CountUsers begins to count who needs a machine that is not the worker's only one:
// a request whose code is not cached, and the timers that it has started.
func (rt *Runtime) CountUsers() { rt.users = 1 }

func (rt *Runtime) use() {
	if rt.users > 0 {
		rt.users++
	}
}

// Unuse says that one user has gone. With the last one the machine has.
func (rt *Runtime) Unuse() {
	if rt.users == 0 {
		return
	}
	debug := rt.cfg.Log.LogEnabled(LevelDebug)
	if debug {
		rt.cfg.Log.Log(LevelDebug, fmt.Appendf(nil, "lua decrementing the reference count for Lua VM: %d", rt.users))
	}
	if rt.users--; rt.users > 0 {
		return
	}
	rt.CloseIdle()
	if debug {
		rt.cfg.Log.Log(LevelDebug, fmt.Appendf(nil, "lua close the global Lua VM %p", rt.vm))
	}
}

// resumed is called whenever Lua code gets the baton: its time begins anew.
func (rt *Runtime) resumed(c *Ctx) {
	rt.memory.resumed(c)
	if rt.cpuLimited && !rt.cpu.waited(c, rt.cfg.Loop.Turn()) {
		return // another thread of the same code has had the baton
	}
	rt.cpu.armed, rt.cpu.tripped = false, false
}

// SetCPULimit switches the check of CPU time on; the limit itself is in the
// settings of the location.
func (rt *Runtime) SetCPULimit() {
	rt.cpuLimited = true
}

// budgetUnits is how many calls and loop turns pass between two looks at the clock:
// some hundred microseconds.
const budgetUnits = 1 << 15

type cpuLimit struct {
	armed   bool // start is when the running code got the baton, or soon after
	tripped bool // the running code has been stopped
	start   time.Duration

	owner *Ctx   // whose code had the baton last
	turn  uint64 // of the loop, when it got it
}
