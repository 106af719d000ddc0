package httplua

import (
	"crypto/md5"
	"fmt"
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/luart"
	"perilune/worker/http"
)

// hook is the code of init_by_lua and the like.
type hook struct {
	name      string // for messages: "init_by_lua", "init_by_lua_file"
	source    string
	chunkname string
	path      string // of a file
}

// mainConf is the module's struct of the http block.
type mainConf struct {
	packagePath  conf.Setting[string]
	packageCPath conf.Setting[string]
	init         *hook
	initWorker   *hook
	exitWorker   *hook
	used         luart.Phase // phases that any block has code for
	cpuLimit     bool        // some block has lua_cpu_limit
	worker       *Worker     // in a worker that runs
	debug        bool        // of a worker that runs: some log takes debug messages
	shared       []*conf.Zone

	regexCache           conf.Setting[int]
	regexMatchLimit      conf.Setting[int]
	maxPendingTimers     conf.Setting[int]
	maxRunningTimers     conf.Setting[int]
	workerThreadVMs      conf.Setting[int]
	threadCache          conf.Setting[int]
	mallocTrim           conf.Setting[int] // give memory back after so many requests
	memory               memoryConf
	captureLog           conf.Setting[int]
	saRestart            conf.Setting[bool]
	rewriteNoPostpone    conf.Setting[bool]
	accessNoPostpone     conf.Setting[bool]
	precontentNoPostpone conf.Setting[bool]
}

// srvConf is the module's struct of a server.
type srvConf struct {
	serverRewrite *code

	// Of an upstream block.
	balancer     *code
	balancerKeep conf.Setting[int]
}

// code is Lua code of a phase.
type code struct {
	key       string // in the cache
	source    string
	chunkname string
	script    *http.Script // of a file, when there are variables in its name
	path      string       // of a file
	file      bool
	fn        *cached
}

// locConf is the module's struct of a location.
type locConf struct {
	rewrite, access, precontent, content, log *code
	headerFilter, bodyFilter                  *code

	codeCache            conf.Setting[bool]
	needRequestBody      conf.Setting[bool]
	http10Buffering      conf.Setting[bool]
	useDefaultType       conf.Setting[bool]
	transformUnderscores conf.Setting[bool]
	cpuLimit             conf.Setting[time.Duration]
	strictPhases         conf.Setting[bool]
	tls                  tlsConf
	checkClientAbort     conf.Setting[bool]

	socket   socketConf
	settings luart.Settings
}

// Module is the ngx_lua module.
var Module = &conf.Module{
	Name:       "http_lua",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &mainConf{} },
	CreateSrv:  func(*conf.Conf) any { return &srvConf{} },
	CreateLoc:  func(*conf.Conf) any { return &locConf{} },
	InitMain: func(_ *conf.Conf, c any) error {
		m := c.(*mainConf)
		m.regexCache.Merge(conf.Setting[int]{}, luart.DefaultRegexCache)
		m.regexMatchLimit.Merge(conf.Setting[int]{}, 0)
		m.maxPendingTimers.Merge(conf.Setting[int]{}, 1024)
		m.maxRunningTimers.Merge(conf.Setting[int]{}, 256)
		m.workerThreadVMs.Merge(conf.Setting[int]{}, 10)
		m.threadCache.Merge(conf.Setting[int]{}, 1024)
		return m.memory.check()
	},
	MergeSrv: func(_ *conf.Conf, prev, c any) error {
		if s := c.(*srvConf); s.serverRewrite == nil {
			s.serverRewrite = prev.(*srvConf).serverRewrite
		}
		return nil
	},
	MergeLoc: func(cf *conf.Conf, prev, c any) error {
		return c.(*locConf).merge(cf, prev.(*locConf))
	},
}

func init() {
	Module.Commands = commands()
	Module.Postconfiguration = postconfiguration
}

func mainOf(cf *conf.Conf) *mainConf { return cf.Ctx.Main[Module.Index].(*mainConf) }

const (
	anyLocation = conf.HTTP | conf.Server | conf.Location | conf.LocationIf
	inLocation  = conf.Location | conf.LocationIf
)

func commands() []conf.Command {
	list := []conf.Command{
		{Name: "lua_package_path", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: setPath(func(m *mainConf) *conf.Setting[string] { return &m.packagePath }),
			Doc: "where require looks for Lua modules; `;;` is the default path, `$prefix` the prefix"},
		{Name: "lua_package_cpath", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: setPath(func(m *mainConf) *conf.Setting[string] { return &m.packageCPath }),
			Doc: "where require would look for native modules, which it refuses to load"},
		{Name: "lua_code_cache", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf, Set: setCodeCache,
			Doc: "off: every request gets a Lua machine of its own and fresh code, for development"},
		{Name: "lua_need_request_body", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.needRequestBody }),
			Doc: "reads the request's body before any Lua code runs"},
		{Name: "lua_http10_buffering", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.http10Buffering }),
			Doc: "keeps the output for HTTP/1.0 clients back to send its length"},
		{Name: "lua_use_default_type", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.useDefaultType }),
			Doc: "sends default_type as the content type unless Lua code sets one"},
		{Name: "lua_transform_underscores_in_response_headers", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.transformUnderscores }),
			Doc: "makes underscores in the names of ngx.header into dashes"},
		{Name: "lua_check_client_abort", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.checkClientAbort }),
			Doc: "ends the Lua code of a request whose client closes the connection early, or runs what ngx.on_abort has registered"},
		{Name: "lua_cpu_limit", Ctx: anyLocation, Args: conf.Take1, Level: conf.LocConf, Set: setCPULimit,
			Doc: "stops Lua code that uses more CPU time than this without ever waiting: 503; 0 is no limit (not in ngx_lua)"},
	}
	list = append(list, flagCommands()...)
	list = append(list, memoryCommands()...)
	list = append(list, socketCommands()...)
	list = append(list, tlsCommands()...)
	list = append(list, sharedCommands()...)
	list = append(list, balancerCommands()...)
	list = append(list, threeForms("init_by_lua", conf.HTTP, conf.MainConf, "runs when a worker starts, before it takes requests",
		setHook(true, func(m *mainConf) **hook { return &m.init }))...)
	list = append(list, threeForms("init_worker_by_lua", conf.HTTP, conf.MainConf, "runs when a worker starts, after init_by_lua",
		setHook(false, func(m *mainConf) **hook { return &m.initWorker }))...)
	list = append(list, twoForms("exit_worker_by_lua", conf.HTTP, conf.MainConf, "runs when a worker ends",
		setHook(false, func(m *mainConf) **hook { return &m.exitWorker }))...)
	list = append(list, setCommands()...)
	list = append(list, serverRewriteCommands()...)
	list = append(list, phaseCommands(threeForms, "content_by_lua", inLocation, luart.PhaseContent, "makes the response",
		func(l *locConf) **code { return &l.content })...)
	list = append(list, phaseCommands(threeForms, "rewrite_by_lua", anyLocation, luart.PhaseRewrite, "runs in the rewrite phase, after set and rewrite",
		func(l *locConf) **code { return &l.rewrite })...)
	list = append(list, phaseCommands(threeForms, "access_by_lua", anyLocation, luart.PhaseAccess, "runs in the access phase, after allow and deny",
		func(l *locConf) **code { return &l.access })...)
	list = append(list, phaseCommands(twoForms, "precontent_by_lua", anyLocation, luart.PhasePrecontent, "runs right before the response is made",
		func(l *locConf) **code { return &l.precontent })...)
	list = append(list, phaseCommands(threeForms, "header_filter_by_lua", anyLocation, luart.PhaseHeaderFilter, "runs before the header of the response is sent",
		func(l *locConf) **code { return &l.headerFilter })...)
	list = append(list, phaseCommands(threeForms, "body_filter_by_lua", anyLocation, luart.PhaseBodyFilter, "runs for each piece of the response's body",
		func(l *locConf) **code { return &l.bodyFilter })...)
	list = append(list, phaseCommands(threeForms, "log_by_lua", anyLocation, luart.PhaseLog, "runs when the request is logged",
		func(l *locConf) **code { return &l.log })...)
	return list
}

// twoForms makes the directives name_block and name_file.
func twoForms(name string, ctx conf.Context, level conf.Level, doc string, set func(cf *conf.Conf, c any, tag, source string, file bool) error) []conf.Command {
	return threeForms(name, ctx, level, doc, set)[1:]
}

// threeForms makes the directives name, name_block and name_file.
func threeForms(name string, ctx conf.Context, level conf.Level, doc string, set func(cf *conf.Conf, c any, tag, source string, file bool) error) []conf.Command {
	return []conf.Command{
		{Name: name, Ctx: ctx, Args: conf.Take1, Level: level, Doc: "Lua code in a string that " + doc,
			Set: func(cf *conf.Conf, c any) error { return set(cf, c, name, cf.Args[1], false) }},
		{Name: name + "_block", Ctx: ctx, Args: conf.LuaBlock | conf.NoArgs, Level: level, Doc: "Lua code in braces that " + doc,
			Set: func(cf *conf.Conf, c any) error { return set(cf, c, name, string(cf.Lua.Source), false) }},
		{Name: name + "_file", Ctx: ctx, Args: conf.Take1, Level: level, Doc: "a file of Lua code that " + doc,
			Set: func(cf *conf.Conf, c any) error { return set(cf, c, name, cf.Args[1], true) }},
	}
}

func noCode() error {
	return conf.ErrorAt(logging.Error, "invalid location config: no runnable Lua code")
}

// flagCommands are the switches of phases and the limits of timers.
func flagCommands() []conf.Command {
	return []conf.Command{
		{Name: "lua_strict_phases", Ctx: anyLocation, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.strictPhases }),
			Doc: "refuses functions that wait in the phases where ngx_lua has to refuse them (not in ngx_lua)"},
		{Name: "lua_regex_cache_max_entries", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.regexCache }),
			Doc: "how many compiled patterns of ngx.re a worker keeps"},
		{Name: "lua_regex_match_limit", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.regexMatchLimit }),
			Doc: "how often a match of ngx.re may backtrack; 0 is ten million"},
		{Name: "lua_max_pending_timers", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.maxPendingTimers }),
			Doc: "how many timers may wait for their time"},
		{Name: "lua_max_running_timers", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.maxRunningTimers }),
			Doc: "how many callbacks of timers may run at the same time"},
		{Name: "lua_worker_thread_vm_pool_size", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.workerThreadVMs }),
			Doc: "how many Lua machines ngx.run_worker_thread may make"},
		{Name: "lua_thread_cache_max_entries", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetNum(func(m *mainConf) *conf.Setting[int] { return &m.threadCache }),
			Doc: "how many Lua threads a worker keeps for further requests; 1024 by default"},
		{Name: "lua_malloc_trim", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf, Set: setMallocTrim,
			Doc: "after how many requests a worker gives the memory that it does not need back to the system at once; without it, or with 0, this goes on gradually in the background"},
		{Name: "lua_capture_error_log", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf, Set: setCaptureLog,
			Doc: "how many bytes of the latest error log lines each worker keeps for ngx.errlog"},
		{Name: "lua_sa_restart", Ctx: conf.HTTP, Args: conf.Flag, Level: conf.MainConf, Set: setSARestart,
			Doc: "on: signals restart the system calls that they interrupt; it cannot be off"},
		{Name: "lua_load_resty_core", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf, Set: setLoadRestyCore,
			Doc: "deprecated, as in ngx_lua, and without effect: what lua-resty-core provides is built in"},
		{Name: "rewrite_by_lua_no_postpone", Ctx: conf.HTTP, Args: conf.Flag, Level: conf.MainConf,
			Set: conf.SetFlag(func(m *mainConf) *conf.Setting[bool] { return &m.rewriteNoPostpone }),
			Doc: "runs rewrite_by_lua before the directives of other modules in the rewrite phase"},
		{Name: "access_by_lua_no_postpone", Ctx: conf.HTTP, Args: conf.Flag, Level: conf.MainConf,
			Set: conf.SetFlag(func(m *mainConf) *conf.Setting[bool] { return &m.accessNoPostpone }),
			Doc: "runs access_by_lua before the directives of other modules in the access phase"},
		{Name: "precontent_by_lua_no_postpone", Ctx: conf.HTTP, Args: conf.Flag, Level: conf.MainConf,
			Set: conf.SetFlag(func(m *mainConf) *conf.Setting[bool] { return &m.precontentNoPostpone }),
			Doc: "runs precontent_by_lua before the directives of other modules in its phase"},
	}
}

// serverRewriteCommands are those of server_rewrite_by_lua, whose code is the
// server's.
func serverRewriteCommands() []conf.Command {
	set := func(cf *conf.Conf, c any, tag, source string, file bool) error {
		s := c.(*srvConf)
		if s.serverRewrite != nil {
			return conf.ErrDuplicate
		}
		x, err := newCode(cf, tag, source, file)
		if err != nil {
			return err
		}
		s.serverRewrite = x
		mainOf(cf).used |= luart.PhaseServerRewrite
		return nil
	}
	return twoForms("server_rewrite_by_lua", conf.HTTP|conf.Server, conf.SrvConf,
		"runs before a location is looked for", set)
}

// setHook handles the directives of a hook, whose code needs to be there or may be empty.
func setHook(needed bool, place func(m *mainConf) **hook) func(cf *conf.Conf, c any, tag, source string, file bool) error {
	return func(cf *conf.Conf, c any, tag, source string, file bool) error {
		h := place(c.(*mainConf))
		if *h != nil {
			return conf.ErrDuplicate
		}
		if source == "" && needed {
			return noCode()
		}
		if file {
			*h = &hook{name: tag + "_file", path: cf.Cycle.FullName(source)}
			return nil
		}
		*h = &hook{name: tag, source: source, chunkname: cf.LuaChunkName(tag)}
		return nil
	}
}

// forms is threeForms or twoForms.
type forms = func(name string, ctx conf.Context, level conf.Level, doc string, set func(cf *conf.Conf, c any, tag, source string, file bool) error) []conf.Command

func phaseCommands(make forms, name string, ctx conf.Context, phase luart.Phase, doc string, place func(l *locConf) **code) []conf.Command {
	return make(name, ctx, conf.LocConf, doc, func(cf *conf.Conf, c any, tag, source string, file bool) error {
		p := place(c.(*locConf))
		if *p != nil {
			return conf.ErrDuplicate
		}
		x, err := newCode(cf, tag, source, file)
		if err != nil {
			return err
		}
		*p = x
		mainOf(cf).used |= phase
		if phase == luart.PhaseContent {
			cf.Ctx.Loc[http.CoreModule.Index].(*http.LocConf).Handler = contentHandler
		}
		return nil
	})
}

// newCode is the code of a directive, which must not be empty.
func newCode(cf *conf.Conf, tag, source string, file bool) (*code, error) {
	if source == "" {
		return nil, noCode()
	}
	return anyCode(cf, tag, source, file)
}

// anyCode is the code of a directive that may be empty.
func anyCode(cf *conf.Conf, tag, source string, file bool) (*code, error) {
	x := &code{source: source, file: file, fn: &cached{}}
	if !file {
		x.chunkname = cf.LuaChunkName(tag)
		x.key = fmt.Sprintf("%s_nhli_%x", tag, md5.Sum([]byte(source)))
		return x, nil
	}
	script, err := http.CompileScript(cf, source)
	if err != nil {
		return nil, err
	}
	if path, ok := script.Constant(); ok {
		x.path = cf.Cycle.FullName(path)
		x.key = fileKey(source)
	} else {
		x.script = script
	}
	return x, nil
}

// fileKey is the key of a file in the cache of code. As in ngx_lua inline code has
// its source in the key and not its place.
func fileKey(path string) string { return fmt.Sprintf("nhlf_%x", md5.Sum([]byte(path))) }

func setPath(f func(*mainConf) *conf.Setting[string]) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		s := f(c.(*mainConf))
		if s.V != "" {
			return conf.ErrDuplicate
		}
		s.Set(cf.Args[1])
		return nil
	}
}

func setCodeCache(cf *conf.Conf, c any) error {
	s := &c.(*locConf).codeCache
	if err := conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.codeCache })(cf, c); err != nil {
		return err
	}
	if !s.V {
		cf.Alertf("lua_code_cache is off; this will hurt performance")
	}
	return nil
}

func setMallocTrim(cf *conf.Conf, c any) error {
	n, err := conf.ParseNum(cf.Args[1])
	if err != nil {
		return conf.Errorf("\"%s\" directive invalid number in the 1st argument", cf.Args[0])
	}
	c.(*mainConf).mallocTrim.Set(n)
	return nil
}

// minCapture is the longest line of an error log.
const minCapture = 2048

func setCaptureLog(cf *conf.Conf, c any) error {
	s := &c.(*mainConf).captureLog
	if s.IsSet {
		return conf.ErrDuplicate
	}
	size, err := conf.ParseSize(cf.Args[1])
	switch {
	case cf.Args[1] == "":
		return conf.Errorf("invalid capture error log size \"\"")
	case err != nil || size < minCapture || size > 1<<31:
		return conf.Errorf("invalid capture error log size \"%s\", minimum size is %d", cf.Args[1], minCapture)
	}
	s.Set(int(size))
	return nil
}

func setSARestart(cf *conf.Conf, c any) error {
	if err := conf.SetFlag(func(m *mainConf) *conf.Setting[bool] { return &m.saRestart })(cf, c); err != nil {
		return err
	}
	if !c.(*mainConf).saRestart.V {
		return conf.Errorf("\"lua_sa_restart\" cannot be off: interrupted system calls are always restarted")
	}
	return nil
}

func setLoadRestyCore(cf *conf.Conf, _ any) error {
	cf.Warnf("lua_load_resty_core is deprecated (the lua-resty-core library is required since ngx_lua v0.10.16)")
	return nil
}

func setCPULimit(cf *conf.Conf, c any) error {
	if err := conf.SetMsec(func(l *locConf) *conf.Setting[time.Duration] { return &l.cpuLimit })(cf, c); err != nil {
		return err
	}
	mainOf(cf).cpuLimit = true
	return nil
}

func (l *locConf) merge(cf *conf.Conf, prev *locConf) error {
	if err := l.tls.merge(cf, &prev.tls); err != nil {
		return err
	}
	for _, p := range [...]struct{ to, from **code }{
		{&l.rewrite, &prev.rewrite}, {&l.access, &prev.access}, {&l.content, &prev.content},
		{&l.log, &prev.log}, {&l.precontent, &prev.precontent}, {&l.headerFilter, &prev.headerFilter}, {&l.bodyFilter, &prev.bodyFilter},
	} {
		if *p.to == nil {
			*p.to = *p.from
		}
	}
	l.codeCache.Merge(prev.codeCache, true)
	l.needRequestBody.Merge(prev.needRequestBody, false)
	l.http10Buffering.Merge(prev.http10Buffering, true)
	l.useDefaultType.Merge(prev.useDefaultType, true)
	l.transformUnderscores.Merge(prev.transformUnderscores, true)
	l.cpuLimit.Merge(prev.cpuLimit, 0)
	l.strictPhases.Merge(prev.strictPhases, false)
	l.checkClientAbort.Merge(prev.checkClientAbort, false)
	l.settings = luart.Settings{
		HTTP10Buffering:      l.http10Buffering.V,
		UseDefaultType:       l.useDefaultType.V,
		TransformUnderscores: l.transformUnderscores.V,
		CPULimit:             l.cpuLimit.V,
		StrictPhases:         l.strictPhases.V,
		CheckClientAbort:     l.checkClientAbort.V,
		Socket:               l.socket.merge(&prev.socket, cf.Ctx.Loc[http.CoreModule.Index].(*http.LocConf)),
		TLS:                  l.tls.settings,
	}
	return nil
}
