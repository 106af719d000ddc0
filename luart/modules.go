package luart

import (
	"sort"

	"perilune/luart/ffi"
	"perilune/luart/vm"
)

// Module is a bundled Lua module, made when it is first required.
type Module struct {
	Name string
	Doc  string // one line, for the manual
	open func(rt *Runtime) *vm.Table
}

// moduleState is what the bundled modules keep in a runtime.
type moduleState struct {
	opened map[string]*vm.Table
	json   *jsonState
	logs   map[string]*fileLog // of resty.logger.file, by path
}

// Modules returns the bundled modules, sorted by name.
func Modules() []Module {
	all := []Module{
		{"cjson", "JSON, as lua-cjson: encode, decode and their settings", func(rt *Runtime) *vm.Table { return rt.newCJSON(newJSONConfig(), false) }},
		{"cjson.safe", "cjson whose functions return nil and the error", func(rt *Runtime) *vm.Table { return rt.newCJSON(newJSONConfig(), true) }},
		{"resty.logger.file", "a log file that all requests share and that is opened anew at USR1: see docs/logging.md", openFileLogger},
		{"resty.lrucache", "a cache of the most recently used values of this worker", func(rt *Runtime) *vm.Table { return openLRUCache(rt, false) }},
		{"resty.lrucache.pureffi", "the same, whose keys are made texts", func(rt *Runtime) *vm.Table { return openLRUCache(rt, true) }},
		{"resty.string", "to_hex and atoi", openRestyString},
		{"resty.random", "random bytes", openRestyRandom},
		{"resty.aes", "AES in the modes cbc, ecb, ctr and gcm", openAES},
		{"ngx.base64", "Base64 in its URL variant", openBase64URL},
		{"ffi", "LuaJIT's ffi: C types and memory, and the functions of the system that ffi.C has", func(rt *Runtime) *vm.Table { return ffi.Module(rt.vm) }},
		{"tablepool", "tables to be used again", openTablePool},
		{"resty.logger.socket", "sends log messages to a server over TCP, TLS, UDP or a unix socket, and loses none that it can keep", openLogger},
		{"ngx.balancer", "what balancer_by_lua chooses servers by: set_current_peer, set_more_tries, get_last_failure, set_timeouts, recreate_request, enable_keepalive, bind_to_local_addr", openBalancer},
		{"ngx.ssl", "certificates and keys out of PEM and DER, for setclientcert", openSSL},
		{"ngx.re", "split and opt", openNgxRe},
		{"ngx.req", "add_header: a header of the request beside those of its name", openReq},
		{"ngx.resp", "add_header: a header of the response beside those of its name; set_status: the status with a text; bypass_if_checks: no answer to If-* headers", openResp},
		{"ngx.errlog", "the lines of the error log that lua_capture_error_log keeps, and raw_log", openErrlog},
		{"ngx.pipe", "programs with their input and output: spawn", openPipe},
		{"ngx.process", "which process this is: type, get_master_pid; enable_privileged_agent, signal_graceful_exit", openProcess},
		{"resty.signal", "signals for processes: kill, signum", openSignal},
		{"resty.shell", "runs a shell command, with an input, and returns its output: run", openLua("resty.shell", "shell.lua")},
		{"resty.lock", "locks between all workers, in a dictionary of lua_shared_dict", openLua("resty.lock", "lock.lua")},
	}
	for _, h := range hashKinds {
		all = append(all, Module{"resty." + h.name, "the digest " + h.name + ": new, update, final, reset", func(rt *Runtime) *vm.Table { return openHash(rt, h) }})
	}
	for _, name := range coreModules {
		all = append(all, Module{name, "nothing to do: the API is built in", openCore})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// coreModules are the parts of lua-resty-core that programs require by name.
var coreModules = []string{
	"resty.core", "resty.core.base", "resty.core.base64", "resty.core.coroutine", "resty.core.ctx", "resty.core.exit",
	"resty.core.hash", "resty.core.misc", "resty.core.ndk", "resty.core.param", "resty.core.phase", "resty.core.regex",
	"resty.core.request", "resty.core.response", "resty.core.shdict", "resty.core.socket", "resty.core.time",
	"resty.core.uri", "resty.core.utils", "resty.core.var", "resty.core.worker",
}

// openModules makes the bundled modules known to require.
func (rt *Runtime) openModules() {
	p := rt.packageTable()
	if p == nil {
		return
	}
	preload, ok := p.GetStr("preload").AsTable()
	if !ok {
		return
	}
	// To programs that look it is loaded, as in ngx_lua, from the beginning.
	if loaded := rt.packageLoaded(); loaded != nil {
		loaded.SetStr("resty.core", openCore(rt).Value())
		loaded.SetStr("resty.core.base", openCore(rt).Value())
	}
	for _, name := range [...]string{"table.new", "table.clear"} {
		_, _ = rt.vm.Main().Call(rt.vm.Globals().GetStr("require"), vm.String(name)) // they are built in
	}
	for _, mod := range Modules() {
		preload.SetStr(mod.Name, rt.vm.NewFunction(mod.Name, func(t *vm.Thread) int {
			t.Push(rt.module(mod).Value())
			return 1
		}))
	}
}

func (rt *Runtime) module(mod Module) *vm.Table {
	st := &rt.modules
	tab := st.opened[mod.Name]
	if tab == nil {
		tab = mod.open(rt)
		if st.opened == nil {
			st.opened = make(map[string]*vm.Table)
		}
		st.opened[mod.Name] = tab
	}
	return tab
}

// fill puts functions into a table.
func (rt *Runtime) fill(tab *vm.Table, funcs map[string]vm.GoFunction) *vm.Table {
	names := make([]string, 0, len(funcs))
	for name := range funcs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		tab.SetStr(name, rt.vm.NewFunction(name, funcs[name]))
	}
	return tab
}

// class makes a module whose objects find their methods in it.
func (rt *Runtime) class(version string, funcs map[string]vm.GoFunction) (tab, mt *vm.Table) {
	tab = rt.fill(rt.vm.NewTable(0, len(funcs)+1), funcs)
	tab.SetStr("_VERSION", vm.String(version))
	mt = rt.vm.NewTable(0, 1)
	mt.SetStr("__index", tab.Value())
	return tab, mt
}

func openCore(rt *Runtime) *vm.Table {
	tab := rt.vm.NewTable(0, 1)
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}
