package luart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"perilune/luart/vm"
)

// ThreadPool is a pool that ngx.run_worker_thread finds by its name: so many tasks
// run at the same time, so many others wait.
type ThreadPool struct {
	Name              string
	Threads, MaxQueue int
}

// threadPool is the state of a pool. Like everything but the task that runs in a
// goroutine of its own it belongs to the holder of the baton.
type threadPool struct {
	ThreadPool
	running int
	queue   []*task
}

// task is a call of ngx.run_worker_thread.
type task struct {
	side    *sideVM
	module  string
	fn      string
	args    []vm.Value
	bad     string     // what is wrong with the arguments
	results []vm.Value // in the machine of the task
	problem string     // when there are no results
	caller  Waiter
	done    bool
}

// sideVM is a machine for tasks, with the few functions of the API that know
// nothing of requests and of the loop.
type sideVM struct {
	ctx     Ctx
	t       *vm.Thread
	require vm.Value
}

// sideFunctions are the functions of the API that tasks may call.
var sideFunctions = []string{
	"ngx.encode_base64", "ngx.decode_base64", "ngx.decode_base64mime", "ngx.hmac_sha1", "ngx.encode_args", "ngx.decode_args",
	"ngx.quote_sql_str", "ngx.crc32_short", "ngx.crc32_long", "ngx.md5_bin", "ngx.md5", "ngx.sha1_bin",
	"ngx.config.prefix", "ngx.config.nginx_configure",
	"ngx.now", "ngx.time", "ngx.update_time", "ngx.today", "ngx.localtime", "ngx.utctime", "ngx.http_time", "ngx.cookie_time", "ngx.parse_http_time",
	"ngx.re.match", "ngx.re.find", "ngx.re.gmatch", "ngx.re.sub", "ngx.re.gsub",
}

func workerThreadAPI() []Function {
	return []Function{
		{Name: "ngx.run_worker_thread", Args: "(pool, module, func, ...)", Phases: phasesYieldable, fn: runWorkerThread, noRequest: errNoRequest,
			Doc: "runs a function of a Lua module in a machine of its own, on another processor, while the request waits; plain values alone are passed and returned"},
	}
}

// clock is a loop that has the time and nothing else, for the machines of tasks.
type clock struct{ Loop }

func (clock) Now() time.Time { return time.Now() }

func (clock) UpdateTime() {}

// Post has nobody who could run f.
func (clock) Post(func()) {}

// newSideVM makes a machine whose modules are found where this one finds its own.
func (rt *Runtime) newSideVM() *sideVM {
	cfg := Config{
		Loop: clock{}, Worker: rt.cfg.Worker, Prefix: rt.cfg.Prefix, Files: rt.cfg.Files,
		NginxVersion: rt.cfg.NginxVersion, Configure: rt.cfg.Configure,
		RegexCache: rt.cfg.RegexCache, RegexMatchLimit: rt.cfg.RegexMatchLimit,
	}
	for _, s := range rt.cfg.Shared {
		d := *s.Dict
		d.Now = func() int64 { return time.Now().UnixMilli() }
		cfg.Shared = append(cfg.Shared, SharedDict{Name: s.Name, Dict: &d})
	}
	side := &Runtime{cfg: cfg, vm: vm.New()}
	m := side.vm
	m.SetMemoryLimit(rt.cfg.MemoryLimit)
	side.refuseNative()
	side.openModules()
	ngx := m.NewTable(0, 32)
	subtables := map[string]*vm.Table{"ngx": ngx}
	for _, f := range slices.Concat(stringAPI(), workerAPI(), timeAPI(), reAPI()) {
		if slices.Contains(sideFunctions, f.Name) {
			side.addFunction(subtables, &f)
		}
	}
	side.openConfig(side.subtable(subtables, "ngx.config"))
	side.openShared(ngx)
	m.Globals().SetStr("ngx", ngx.Value())
	from, to := rt.packageTable(), side.packageTable()
	for _, field := range [...]string{"path", "cpath"} {
		if s, ok := from.GetStr(field).ToStringCoerced(); ok {
			to.SetStr(field, vm.String(s))
		}
	}
	return &sideVM{ctx: Ctx{rt: side, phase: phaseSide}, t: m.NewThread(), require: m.Globals().GetStr("require")}
}

// takeSideVM takes a machine out of the pool, nil when there may be no more.
func (rt *Runtime) takeSideVM() *sideVM {
	if n := len(rt.sideVMs); n > 0 {
		side := rt.sideVMs[n-1]
		rt.sideVMs = rt.sideVMs[:n-1]
		return side
	}
	if rt.sideCount >= rt.cfg.WorkerThreadVMs {
		return nil
	}
	rt.sideCount++
	return rt.newSideVM()
}

func (rt *Runtime) pool(name string) *threadPool {
	for _, p := range rt.pools {
		if p.Name == name {
			return p
		}
	}
	for _, p := range rt.cfg.ThreadPools {
		if p.Name == name {
			rt.pools = append(rt.pools, &threadPool{ThreadPool: p})
			return rt.pools[len(rt.pools)-1]
		}
	}
	return nil
}

// refuse pushes what the function returns when a task does not run.
func refuse(t *vm.Thread, text string) int {
	t.PushBool(false)
	t.PushString(text)
	return 2
}

func runWorkerThread(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n < 3 {
		return refuse(t, "expecting at least 3 arguments")
	}
	var names [3]string
	rt := c.rt
	var p *threadPool
	for i, what := range [...]string{"threadpool", "module name", "function name"} {
		var ok bool
		if names[i], ok = t.Arg(i + 1).ToStringCoerced(); !ok {
			return refuse(t, what+" should be a string")
		}
		if i == 0 {
			if p = rt.pool(names[0]); p == nil {
				return refuse(t, "thread pool "+names[0]+" not found")
			}
		}
	}
	side := rt.takeSideVM()
	if side == nil {
		return refuse(t, "no available Lua vm")
	}
	x := &task{side: side, module: names[1], fn: names[2]}
	for i := 4; i <= n; i++ {
		v, problem := copyValue(side.ctx.rt.vm, t.Arg(i), true, 1)
		if problem != "" {
			x.bad = problem + " in the argument" // what is wrong with the module comes first
			break
		}
		x.args = append(x.args, v)
	}
	u := c.waitingThread(t)
	x.caller = u.wait
	switch {
	case p.running < p.Threads:
		p.running++
		rt.cfg.Loop.Outside(1)
		go x.run(rt, p)
	case len(p.queue) < p.MaxQueue:
		p.queue = append(p.queue, x)
	default:
		rt.sideVMs = append(rt.sideVMs, side)
		logText(rt.cfg.Log, LevelError, fmt.Sprintf("thread pool \"%s\" queue overflow: %d tasks waiting", p.Name, len(p.queue)))
		return refuse(t, "ngx_thread_task_post failed")
	}
	err := c.parkThread(u, 0)
	x.caller = nil
	if err != nil || !x.done {
		// The task goes on; its machine is free when it ends.
		return t.Abort(errKilled)
	}
	return x.push(t, rt)
}

// push pushes the results of a task that has ended, and frees its machine.
func (x *task) push(t *vm.Thread, rt *Runtime) int {
	defer x.free(rt)
	if x.problem != "" {
		return refuse(t, x.problem)
	}
	values := make([]vm.Value, len(x.results))
	for i, v := range x.results {
		var problem string
		if values[i], problem = copyValue(rt.vm, v, true, 1); problem != "" {
			return refuse(t, problem+" in the return value")
		}
	}
	t.PushBool(true)
	for _, v := range values {
		t.Push(v)
	}
	return len(values) + 1
}

func (x *task) free(rt *Runtime) {
	x.side.t.Reset()
	rt.sideVMs = append(rt.sideVMs, x.side)
	x.side, x.args, x.results = nil, nil, nil
}

// run is the goroutine of a task, without the baton.
func (x *task) run(rt *Runtime, p *threadPool) {
	x.call()
	rt.cfg.Loop.Post(func() { x.ended(rt, p) })
}

// call runs the function in the task's machine.
func (x *task) call() {
	t := x.side.t
	t.Data = &x.side.ctx
	results, err := t.Call(x.side.require, vm.String(x.module))
	if err != nil {
		x.problem = errorText(err)
		return
	}
	mod, ok := first(results).AsTable()
	if !ok {
		x.problem = "invalid lua module"
		return
	}
	fn := mod.GetStr(x.fn)
	if !fn.IsFunction() {
		x.problem = "invalid function"
		return
	}
	if x.bad != "" {
		x.problem = x.bad
		return
	}
	results, err = t.Call(fn, x.args...)
	if err != nil {
		x.problem = errorText(err)
		return
	}
	x.results = slices.Clone(results)
}

// ended has the baton: the caller goes on, and the next task of the pool begins.
func (x *task) ended(rt *Runtime, p *threadPool) {
	x.done = true
	if x.caller == nil || !x.caller.Wake(nil) {
		x.free(rt)
	}
	if len(p.queue) == 0 {
		p.running--
		rt.cfg.Loop.Outside(-1)
		return
	}
	next := p.queue[0]
	p.queue = slices.Delete(p.queue, 0, 1)
	go next.run(rt, p)
}

func first(values []vm.Value) vm.Value {
	if len(values) == 0 {
		return vm.Nil
	}
	return values[0]
}

// errorText is the message of an error of Lua code.
func errorText(err error) string {
	s, _ := errorValue(err).ToStringCoerced()
	return s
}

// maxCopyDepth is how deep tables may be nested that go from one machine to another.
const maxCopyDepth = 100

// copyValue makes a value of one machine one of another.
func copyValue(m *vm.VM, v vm.Value, allowNil bool, depth int) (copied vm.Value, problem string) {
	switch v.Type() {
	case vm.TypeBoolean, vm.TypeNumber, vm.TypeLightUserdata:
		return v, ""
	case vm.TypeString:
		s, _ := v.AsString()
		return vm.String(s), ""
	case vm.TypeNil:
		if allowNil {
			return v, ""
		}
	case vm.TypeTable:
		if depth >= maxCopyDepth {
			return vm.Nil, fmt.Sprintf("suspicious circular references, table depth exceed max depth: %d", maxCopyDepth)
		}
		tab, _ := v.AsTable()
		to := m.NewTable(tab.Len(), 0)
		each(tab, func(k, v vm.Value) {
			if problem != "" {
				return
			}
			if k, problem = copyValue(m, k, false, depth+1); problem != "" {
				return
			}
			if v, problem = copyValue(m, v, false, depth+1); problem == "" {
				_ = to.Set(k, v)
			}
		})
		return to.Value(), problem
	}
	if v.Type() == vm.TypeCData {
		return vm.Nil, "unsupported Lua type"
	}
	return vm.Nil, "unsupported Lua type: LUA_T" + strings.ToUpper(v.TypeName())
}
