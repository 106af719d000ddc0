package luart

import (
	"sort"
	"strings"

	"perilune/luart/vm"
)

// Function is a function of the ngx API.
type Function struct {
	Name   string // "ngx.say", "ngx.req.get_headers"
	Args   string // "(...)", for the manual
	Doc    string // one line, for the manual
	Phases Phase  // where it may be called
	extra  Phase  // where it may be called besides, unless lua_strict_phases is on
	late   bool   // it looks at the phase itself when there is a request, after other checks
	fn     func(t *vm.Thread, c *Ctx) int
	// noRequest is the error's text in init_by_lua; fake says that other phases without
	// a request are told nothing but that they are wrong.
	noRequest string
	fake      bool
}

// Texts of errors that depend on where a function is called.
const (
	errNoRequestObject = "no request object found"
	errNoRequest       = "no request found"
	errNotFound        = "request object not found"
	errCurrentContext  = "API disabled in the current context"
	errContextOf       = "API disabled in the context of "
)

// Functions returns the table of the API, sorted by name.
func Functions() []Function {
	var all []Function
	for _, t := range apiTables {
		all = append(all, t()...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// apiTables are the parts of the API; each lives in a file of its own.
var apiTables = []func() []Function{
	outputAPI, controlAPI, logAPI, headerAPI, requestAPI, argsAPI, bodyAPI,
	timeAPI, stringAPI, reAPI, workerAPI, threadAPI, timerAPI, uriAPI, captureAPI, workerThreadAPI, socketAPI,
}

// context returns the context of the code that runs on t.
func context(t *vm.Thread) *Ctx {
	c, _ := t.Data.(*Ctx)
	return c
}

func (c *Ctx) strict() bool { return c.settings != nil && c.settings.StrictPhases }

// wrap makes the function that the VM calls of a function of the API.
func (f *Function) wrap() vm.GoFunction {
	fn, phases := f.fn, f.Phases
	if phases == phasesAny {
		return func(t *vm.Thread) int { return fn(t, context(t)) }
	}
	noRequest, fake, extra := f.noRequest, f.fake, f.extra
	if f.late {
		phases |= phasesRequest
	}
	return func(t *vm.Thread) int {
		c := context(t)
		if c != nil && (c.phase&phases != 0 || c.phase&extra != 0 && !c.strict()) {
			return fn(t, c)
		}
		return wrongPhase(t, c, noRequest, fake)
	}
}

// checkPhase raises an error when the phase is none of these.
func (c *Ctx) checkPhase(t *vm.Thread, phases Phase) {
	if c.phase&phases == 0 {
		wrongPhase(t, c, "", false)
	}
}

// wrongPhase raises the error of a call in a phase that does not allow it.
func wrongPhase(t *vm.Thread, c *Ctx, noRequest string, fake bool) int {
	if c == nil || c.phase == PhaseInit {
		if noRequest == "" {
			noRequest = errNoRequestObject
		}
		return raise(t, "%s", noRequest)
	}
	if fake && c.req == nil {
		return raise(t, "%s", errCurrentContext)
	}
	return raise(t, "%s%s", errContextOf, c.phase.Directive())
}

// openAPI makes the ngx table and everything in it.
func (rt *Runtime) openAPI() {
	m := rt.vm
	ngx := m.NewTable(0, 160)
	subtables := map[string]*vm.Table{"ngx": ngx}
	for _, t := range apiTables {
		for _, f := range t() {
			rt.addFunction(subtables, &f)
		}
	}
	for _, c := range Constants {
		ngx.SetStr(c.Name, vm.Int(c.Value))
	}
	ngx.SetStr("null", Null)
	rt.openConfig(rt.subtable(subtables, "ngx.config"))
	rt.openMagic(ngx)
	rt.openHeader(ngx)
	rt.openVar(ngx)
	rt.openArg(ngx)
	rt.openShared(ngx)
	rt.openNDK()

	g := m.Globals()
	g.SetStr("ngx", ngx.Value())
	g.SetStr("print", m.NewFunction("print", ngxPrintLog))
	if loaded := rt.packageLoaded(); loaded != nil {
		loaded.SetStr("ngx", ngx.Value())
	}
}

// addFunction puts a function into the table that its name says.
func (rt *Runtime) addFunction(tables map[string]*vm.Table, f *Function) {
	dot := strings.LastIndexByte(f.Name, '.')
	name := f.Name[dot+1:]
	rt.subtable(tables, f.Name[:dot]).SetStr(name, rt.vm.NewFunction(name, f.wrap()))
}

// subtable returns the table of that dotted name, and makes it when it is new.
func (rt *Runtime) subtable(tables map[string]*vm.Table, name string) *vm.Table {
	if t := tables[name]; t != nil {
		return t
	}
	t := rt.vm.NewTable(0, 32)
	tables[name] = t
	dot := strings.LastIndexByte(name, '.')
	rt.subtable(tables, name[:dot]).SetStr(name[dot+1:], t.Value())
	return t
}

// openMagic gives the ngx table its metatable: ngx.status and the like are not
// fields but are asked for at each access.
func (rt *Runtime) openMagic(ngx *vm.Table) {
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", rt.vm.NewFunction("__index", ngxIndex))
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", ngxNewIndex))
	ngx.SetMetatable(mt)
}

func ngxIndex(t *vm.Thread) int {
	key, ok := t.Arg(2).AsString()
	if !ok {
		t.PushNil()
		return 1
	}
	switch key {
	case "ctx":
		t.Push(ngxCtx(t).Value())
	case "status":
		c := realRequest(t)
		st := c.req.Status()
		if st == 0 && c.req.HTTPVersion() == 9 {
			st = 9
		}
		t.PushInt(st)
	case "headers_sent":
		t.PushBool(realRequest(t).req.HeaderSent())
	case "is_subrequest":
		t.PushBool(realRequest(t).req.Subrequest())
	default:
		t.PushNil()
	}
	return 1
}

func ngxNewIndex(t *vm.Thread) int {
	tbl, _ := t.Arg(1).AsTable()
	key, _ := t.Arg(2).AsString()
	switch key {
	case "ctx":
		v := t.Arg(3)
		tab, ok := v.AsTable()
		if !ok {
			return raise(t, "ctx should be a table while getting a %s", v.TypeName())
		}
		c := context(t)
		if c == nil || c.phase == PhaseInit {
			return raise(t, "%s", errNoRequest)
		}
		c.UseTable(tab)
	case "status":
		return setStatus(t)
	default:
		if err := tbl.Set(t.Arg(2), t.Arg(3)); err != nil {
			return raise(t, "%s", err.Error())
		}
	}
	return 0
}

// realRequest returns the context when there is a request, and raises an error otherwise.
func realRequest(t *vm.Thread) *Ctx {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		t.Errorf("%s", errNoRequest)
	}
	if c.req == nil {
		t.Errorf("%s", errCurrentContext)
	}
	return c
}

// ngxCtx returns the table ngx.ctx, made at its first use.
func ngxCtx(t *vm.Thread) *vm.Table {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		t.Errorf("%s", errNoRequest)
	}
	if c.table == nil {
		c.UseTable(c.rt.vm.NewTable(0, 4))
	}
	return c.table
}

func setStatus(t *vm.Thread) int {
	c := realRequest(t)
	n, ok := t.Arg(3).ToNumberCoerced()
	if !ok {
		return ffiError(t, 2, "ngx_http_lua_ffi_set_resp_status", vm.Nil)
	}
	c.setStatus(int(n), "")
	return 0
}

// setStatus sets the status; an empty reason is the usual one.
func (c *Ctx) setStatus(status int, reason string) {
	switch {
	case c.req.HeaderSent():
		logText(c.req, LevelError, "attempt to set ngx.status after sending out response headers")
	case status < 100 || status > 999:
		logText(c.req, LevelError, "invalid HTTP status code "+itoa(status))
	default:
		c.req.SetStatus(status, reason)
	}
}
