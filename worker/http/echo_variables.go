package http

import "strconv"

// appendClientHeader appends the header of the client's request as it was received, headers that nginx ignores included.
func appendClientHeader(r *Request, dst []byte, _ string) ([]byte, bool) {
	return r.AppendRawHeader(dst, true), true
}

var echoVariables = []Variable{
	{Name: "echo_request_method", Get: whole(func(r *Request) []byte { return r.Method }), Doc: "method of the request or subrequest"},
	{Name: "echo_client_request_method", Get: whole(func(r *Request) []byte { return r.Main.Method }), Doc: "method of the client's request"},
	{Name: "echo_request_uri", Get: optional(uriOf), Doc: "URI of the request or subrequest, decoded"},
	{Name: "echo_cacheable_request_uri", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		return AppendEscapedURI(dst, r.URI), true
	}, Doc: "URI of the request or subrequest, escaped"},
	{Name: "echo_client_request_headers", Get: appendClientHeader, Doc: "the header of the client's request"},
	{Name: "echo_request_body", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		body, err := r.wholeBody()
		return append(dst, body...), err == nil && body != nil
	}, Doc: "body of the request, if it has been read"},
	{Name: "echo_response_status", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if s := r.HeadersOut.Status; s != 0 {
			return strconv.AppendInt(dst, int64(s), 10), true
		}
		return dst, false
	},
		Doc: "status of the response so far"},
	{Name: "echo_timer_elapsed", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		r.Loop().UpdateTime()
		return appendMsec(dst, max(r.Loop().Now().Sub(echoCtxOf(r).timer).Milliseconds(), 0)), true
	}, Doc: "seconds since echo_reset_timer, or since the request began"},
	{Name: "echo_it", Get: optional(func(r *Request) []byte { return echoCtxOf(r).item }),
		Doc: "the part that echo_foreach_split is at"},
	{Name: "echo_incr", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		ctx := echoCtxOf(r.Main)
		ctx.incr++
		return strconv.AppendInt(dst, ctx.incr, 10), true
	}, Doc: "1, 2, … at each use in a request"},
}
