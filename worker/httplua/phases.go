package httplua

import (
	"perilune/conf"
	"perilune/logging"
	"perilune/luart"
	"perilune/luart/vm"
	"perilune/worker/http"
)

// postconfiguration puts the module's handlers into the phases that any block has
// code for.
func postconfiguration(cf *conf.Conf) error {
	// For code that runs in no server, and its timers.
	if err := cf.Ctx.Loc[Module.Index].(*locConf).merge(cf, &locConf{}); err != nil {
		return err
	}
	m := mainOf(cf)
	core := cf.Ctx.Main[http.CoreModule.Index].(*http.MainConf)
	if m.used == 0 && m.mallocTrim.V == 0 {
		return nil
	}
	add := func(phase luart.Phase, at http.Phase, h http.Handler, first bool) {
		switch {
		case m.used&phase == 0:
		case first:
			core.AddFirstHandler(at, h)
		default:
			core.AddHandler(at, h)
		}
	}
	add(luart.PhaseServerRewrite, http.ServerRewrite, serverRewriteHandler, true) // it is never postponed
	add(luart.PhaseRewrite, http.Rewrite, rewriteHandler, m.rewriteNoPostpone.V)
	add(luart.PhaseAccess, http.Access, accessHandler, m.accessNoPostpone.V)
	add(luart.PhasePrecontent, http.Precontent, precontentHandler, m.precontentNoPostpone.V)
	if m.used&luart.PhasesResponse != 0 {
		core.AddHeaderFilter(m.traceCapturedHeader)
		core.AddBodyFilter(m.traceCapturedBody)
	}
	if m.used&(luart.PhaseHeaderFilter|luart.PhaseBodyFilter) != 0 {
		core.AddHeaderFilter(m.headerFilter)
	}
	if m.used&luart.PhaseBodyFilter != 0 {
		core.AddBodyFilter(m.bodyFilter)
	}
	core.AddHandler(http.Log, logHandler)
	core.AddSubrequestEnd(func(sr *http.Request) {
		if w := workerOf(sr); w != nil {
			w.release(sr)
		}
	})
	return nil
}

func locOf(r *http.Request) *locConf { return r.LocCtx[Module.Index].(*locConf) }

func workerOf(r *http.Request) *Worker {
	return mainConfOf(r.Server).worker
}

// needBody reads the body where lua_need_request_body asks for it.
func (q *request) needBody(l *locConf) int {
	if !l.needRequestBody.V || q.r.BodyRead() {
		return luart.OK
	}
	return q.ReadBody()
}

// load returns the function of a directive's code, and the status that the
// request gets when there is none.
func (q *request) load(x *code) (*vm.Function, int) {
	rt := q.lua.Runtime()
	shared := rt == q.w.rt // what is kept is of the worker's machine
	if shared && x.fn.fn != nil {
		if q.LogEnabled(luart.LevelDebug) {
			luart.TraceHit(q, x.key, x.fn.ref)
		}
		return x.fn.fn, luart.OK
	}
	var fn *vm.Function
	var ref int
	var err error
	switch {
	case !x.file:
		fn, ref, err = rt.Inline(q, x.key, x.source, x.chunkname)
	case x.script != nil:
		path := q.r.Server.Cycle().FullName(string(x.script.AppendTo(q.r, nil)))
		fn, ref, err = rt.File(q, fileKey(path), path, true)
	default:
		fn, ref, err = rt.File(q, x.key, x.path, false)
	}
	if err != nil {
		q.r.Log(logging.Error, "%s", err.Error())
		return nil, luart.LoadStatus(err)
	}
	if shared && x.script == nil {
		*x.fn = cached{fn, ref}
	}
	return fn, luart.OK
}

func (q *request) run(phase luart.Phase, x *code) int {
	fn, rc := q.load(x)
	if fn == nil {
		return rc
	}
	return q.lua.Runtime().Run(&q.lua, phase, fn)
}

// trace writes the debug message of a phase.
func trace(r *http.Request, phase string) {
	if mainConfOf(r.Server).debugs(r) {
		r.Log(logging.Debug, "lua %s handler, uri:\"%s\" c:%d", phase, r.URI, r.References())
	}
}

func contentHandler(r *http.Request) int {
	trace(r, "content")
	l := locOf(r)
	if l.content == nil {
		return http.Declined
	}
	q := workerOf(r).contextOf(r, l)
	if q == nil {
		return 500
	}
	if rc := q.needBody(l); rc != luart.OK {
		return rc
	}
	r.Main.Unheeding = true
	rc := q.run(luart.PhaseContent, l.content)
	r.Main.Unheeding = false
	if rc < luart.OK && rc != luart.Error && rc != luart.Done {
		return luart.OK // ngx.exit(ngx.DECLINED): as in ngx_lua nobody answers
	}
	return rc
}

// earlyPhase runs the code of a phase before content.
func earlyPhase(r *http.Request, l *locConf, phase luart.Phase, x *code) int {
	q := workerOf(r).contextOf(r, l)
	if q == nil {
		return 500
	}
	if rc := q.needBody(l); rc != luart.OK {
		return rc
	}
	rc := q.run(phase, x)
	if rc == luart.Done {
		r.Finalize(http.Done) // an internal redirect has served the request
		return rc
	}
	if (rc == luart.OK || rc == luart.Declined) && q.lua.Responded() {
		return q.lua.End() // later phases may not answer a second time
	}
	return rc
}

func rewriteHandler(r *http.Request) int {
	trace(r, "rewrite")
	l := locOf(r)
	if l.rewrite == nil || r.URIChanged() {
		return http.Declined
	}
	rc := earlyPhase(r, l, luart.PhaseRewrite, l.rewrite)
	if rc == http.OK {
		return http.Declined
	}
	return rc
}

func serverRewriteHandler(r *http.Request) int {
	trace(r, "server rewrite")
	x := r.SrvCtx[Module.Index].(*srvConf).serverRewrite
	if x == nil || r.URIChanged() {
		return http.Declined
	}
	rc := earlyPhase(r, locOf(r), luart.PhaseServerRewrite, x)
	if rc == http.OK {
		return http.Declined
	}
	return rc
}

func precontentHandler(r *http.Request) int {
	trace(r, "precontent")
	l := locOf(r)
	if l.precontent == nil {
		return http.Declined
	}
	rc := earlyPhase(r, l, luart.PhasePrecontent, l.precontent)
	if rc == http.OK {
		return http.Declined
	}
	return rc
}

func accessHandler(r *http.Request) int {
	trace(r, "access")
	l := locOf(r)
	if l.access == nil {
		return http.Declined
	}
	return earlyPhase(r, l, luart.PhaseAccess, l.access)
}

func logHandler(r *http.Request) int {
	w := workerOf(r)
	if w == nil {
		return http.OK
	}
	if every := w.main.mallocTrim.V; every > 0 {
		w.trim(r, every)
		trace(r, "log")
	} else if w.main.used&luart.PhaseLog != 0 {
		if w.main.debugs(r) {
			r.Log(logging.Debug, "malloc_trim() disabled")
		}
		trace(r, "log")
	}
	if l := locOf(r); l.log != nil {
		if q := w.contextOf(r, l); q != nil {
			q.run(luart.PhaseLog, l.log)
		}
	}
	if r == r.Main {
		w.release(r)
	}
	return http.OK
}
