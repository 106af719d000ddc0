package httplua

import (
	"perilune/logging"
	"perilune/luart"
	"perilune/luart/vm"
	"perilune/worker/http"
)

// filterContext returns what a filter runs its code with.
func filterContext(r *http.Request, l *locConf, x *code) (*request, *vm.Function, error) {
	q := workerOf(r).contextOf(r, l)
	if q == nil {
		return nil, nil, http.StatusError(500)
	}
	fn, _ := q.load(x)
	if fn == nil {
		return nil, nil, http.StatusError(http.Error)
	}
	return q, fn, nil
}

// debugs reports whether a request's log takes debug messages. It is quick to say no:
// these are looked for several times in a request.
func (m *mainConf) debugs(r *http.Request) bool {
	return m.debug && r.ErrorLog().Enabled(logging.Debug)
}

// traceURI is a filter's debug message of the request that passes it.
func (m *mainConf) traceURI(r *http.Request, what string) {
	if m.debugs(r) {
		r.Log(logging.Debug, "lua %s, uri \"%s\"", what, r.URI)
	}
}

// traceCapturedHeader and traceCapturedBody write what ngx_lua's filters for
// captured responses say of every response. The capturing itself is the engine's.
func (m *mainConf) traceCapturedHeader(next http.HeaderFilter) http.HeaderFilter {
	return func(r *http.Request) error {
		m.traceURI(r, "capture header filter")
		return next(r)
	}
}

func (m *mainConf) traceCapturedBody(next http.BodyFilter) http.BodyFilter {
	return func(r *http.Request, b http.Buf) error {
		m.traceURI(r, "capture body filter")
		return next(r, b)
	}
}

func (m *mainConf) headerFilter(next http.HeaderFilter) http.HeaderFilter {
	return func(r *http.Request) error {
		m.traceURI(r, "header filter for user lua code")
		l := locOf(r)
		if l.bodyFilter != nil {
			r.NeedInMemory()
		}
		if l.headerFilter == nil || workerOf(r) == nil {
			return next(r)
		}
		q, fn, err := filterContext(r, l, l.headerFilter)
		if err != nil {
			return err
		}
		length := r.HeadersOut.ContentLengthN
		switch rc := q.lua.Runtime().RunHeaderFilter(&q.lua, fn); rc {
		case luart.OK:
			if r.HeadersOut.ContentLengthN < 0 && length >= 0 {
				r.ClearAcceptRanges()
			}
			return next(r)
		case luart.Error:
			return http.StatusError(http.Error)
		default:
			return r.FilterFinalize(rc)
		}
	}
}

func (m *mainConf) bodyFilter(next http.BodyFilter) http.BodyFilter {
	return func(r *http.Request, b http.Buf) error {
		m.traceURI(r, "body filter for user lua code")
		l := locOf(r)
		if l.bodyFilter == nil || r.HeaderOnly || workerOf(r) == nil {
			return next(r, b)
		}
		q, fn, err := filterContext(r, l, l.bodyFilter)
		if err != nil {
			return err
		}
		return q.filterBody(fn, next, b)
	}
}

// filterBody gives a piece of the body to the Lua code, and what that makes of it
// to the next filter.
func (q *request) filterBody(fn *vm.Function, next http.BodyFilter, b http.Buf) error {
	chunk := luart.Chunk{Data: b.Data, Flush: b.Flush, Last: b.Last}
	if q.lua.Runtime().RunBodyFilter(&q.lua, fn, &chunk) != luart.OK {
		return http.StatusError(http.Error)
	}
	if !chunk.Forward() {
		return nil
	}
	return next(q.r, http.Buf{Data: chunk.Data, Flush: chunk.Flush, Last: chunk.Last})
}
