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

// traceFilter writes the debug message of a filter.
func traceFilter(r *http.Request, what string) {
	if r.ErrorLog().Enabled(logging.Debug) {
		r.Log(logging.Debug, "lua %s filter for user lua code, uri \"%s\"", what, r.URI)
	}
}

// traceCapturedHeader and traceCapturedBody write what ngx_lua's filters for
// captured responses say of every response. The capturing itself is the engine's.
func traceCapturedHeader(next http.HeaderFilter) http.HeaderFilter {
	return func(r *http.Request) error {
		if r.ErrorLog().Enabled(logging.Debug) {
			r.Log(logging.Debug, "lua capture header filter, uri \"%s\"", r.URI)
		}
		return next(r)
	}
}

func traceCapturedBody(next http.BodyFilter) http.BodyFilter {
	return func(r *http.Request, b http.Buf) error {
		if r.ErrorLog().Enabled(logging.Debug) {
			r.Log(logging.Debug, "lua capture body filter, uri \"%s\"", r.URI)
		}
		return next(r, b)
	}
}

func headerFilter(next http.HeaderFilter) http.HeaderFilter {
	return func(r *http.Request) error {
		traceFilter(r, "header")
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

func bodyFilter(next http.BodyFilter) http.BodyFilter {
	return func(r *http.Request, b http.Buf) error {
		traceFilter(r, "body")
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
