package http

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strconv"

	"perilune/conf"
)

// coreVariables are the variables of every configuration.
var coreVariables []Variable

func init() {
	coreVariables = slicesConcat(requestVariables, connVariables, proxyVariables, limitVariables, headerVariables, fileVariables)
}

func slicesConcat(tables ...[]Variable) (all []Variable) {
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// whole makes a VarFunc of a view of the request that is always there.
func whole(f func(r *Request) []byte) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) { return append(dst, f(r)...), true }
}

// optional is whole for a view that may be missing (nil).
func optional(f func(r *Request) []byte) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) {
		v := f(r)
		return append(dst, v...), v != nil
	}
}

func number(f func(r *Request) int64) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) { return strconv.AppendInt(dst, f(r), 10), true }
}

func text(f func(r *Request) string) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) { return append(dst, f(r)...), true }
}

// seconds makes a VarFunc of a time in milliseconds: "0.015".
func seconds(f func(r *Request) int64) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) { return appendMsec(dst, f(r)), true }
}

func appendMsec(dst []byte, ms int64) []byte {
	ms = max(ms, 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

var (
	hostname, _ = os.Hostname()
	pidText     = strconv.Itoa(os.Getpid())
)

func uriOf(r *Request) []byte  { return r.URI }
func argsOf(r *Request) []byte { return r.Args }

func schemeOf(*Request) string { return "http" }

func setArgs(r *Request, value []byte) {
	if isUnset(value) {
		r.SetArgs(nil)
		return
	}
	r.SetArgs(r.view(value))
}

func isArgs(r *Request) string {
	if len(r.Args) > 0 {
		return "?"
	}
	return ""
}

func hostVariable(r *Request, dst []byte, _ string) ([]byte, bool) {
	if len(r.HeadersIn.Host) > 0 {
		return append(dst, r.HeadersIn.Host...), true
	}
	return append(dst, r.Srv.Name...), true
}

func pipeOf(r *Request) string {
	if r.parts.pipelined {
		return "p"
	}
	return "."
}

func statusOf(r *Request) int {
	switch {
	case r.ErrStatus != 0:
		return r.ErrStatus
	case r.HeadersOut.Status != 0:
		return r.HeadersOut.Status
	case r.HTTPVersion == 9:
		return 9
	}
	return 0
}

func statusVariable(r *Request, dst []byte, _ string) ([]byte, bool) {
	s := statusOf(r)
	for limit := 100; s < limit && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(s), 10), true
}

func requestIDVariable(r *Request, dst []byte, _ string) ([]byte, bool) {
	p := &r.Main.parts
	if !p.hasID {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails, by its documentation
		hex.Encode(p.id[:], b[:])
		p.hasID = true
	}
	return append(dst, p.id[:]...), true
}

func requestBodyVariable(r *Request, dst []byte, _ string) ([]byte, bool) {
	b := r.BodyBytes()
	kept := &r.bodyOwner().body
	return append(dst, b...), len(b) > 0 || kept.whole && kept.file == 0
}

func requestBodyFileVariable(r *Request, dst []byte, _ string) ([]byte, bool) {
	name := r.BodyFile()
	return append(dst, name...), name != ""
}

var requestVariables = []Variable{
	{Name: "args", Get: optional(argsOf), Set: setArgs, Doc: "arguments of the request line"},
	{Name: "query_string", Get: optional(argsOf), Doc: "the same as $args"},
	{Name: "is_args", Get: text(isArgs), Doc: `"?" if there are arguments, else empty`},
	{Name: "uri", Get: optional(uriOf), Doc: "normalised URI of the request"},
	{Name: "document_uri", Get: optional(uriOf), Doc: "the same as $uri"},
	{Name: "request_uri", Get: optional(func(r *Request) []byte { return r.UnparsedURI }),
		Doc: "URI as the client sent it, with arguments"},
	{Name: "request", Get: optional(func(r *Request) []byte { return r.RequestLine }), Doc: "the request line"},
	{Name: "request_method", Get: optional(func(r *Request) []byte { return r.Main.Method }), Doc: "method of the request"},
	{Name: "server_protocol", Get: optional(func(r *Request) []byte { return r.Protocol }), Doc: "protocol of the request"},
	{Name: "scheme", Get: text(schemeOf), Doc: "http or https"},
	{Name: "https", Get: text(func(*Request) string { return "" }), Doc: `"on" over TLS, else empty`},
	{Name: "host", Get: hostVariable, Doc: "host of the request line, of the Host header, or the server's name"},
	{Name: "server_name", Get: text(func(r *Request) string { return r.Srv.Name }), Doc: "name of the server"},
	{Name: "request_body", Get: requestBodyVariable, Doc: "body, if it is in memory"},
	{Name: "request_body_file", Get: requestBodyFileVariable, Doc: "name of the file with the body"},
	{Name: "request_length", Get: number(func(r *Request) int64 { return r.BytesIn }),
		Doc: "bytes of request line, header and body"},
	{Name: "request_time", Get: seconds(func(r *Request) int64 { return r.Loop().NowMsec() - r.StartMsec }),
		Doc: "seconds since the first byte of the request"},
	{Name: "request_id", Get: requestIDVariable, Doc: "16 random bytes in hexadecimal"},
	{Name: "request_completion", Get: text(func(r *Request) string {
		if r.engine.ended && !r.Conn.errored {
			return "OK"
		}
		return ""
	}), Doc: `"OK" if the response has been sent whole`},
	{Name: "pipe", Get: text(pipeOf), Doc: `"p" for a pipelined request, else "."`},
	{Name: "status", Get: statusVariable, Doc: "status of the response"},
	{Name: "bytes_sent", Get: number(func(r *Request) int64 { return r.BytesOut }), Doc: "bytes sent to the client"},
	{Name: "body_bytes_sent", Get: number(func(r *Request) int64 { return max(r.BytesOut-r.HeaderLen, 0) }),
		Doc: "bytes sent to the client, header not counted"},
	{Name: "hostname", Get: text(func(*Request) string { return hostname }), Doc: "name of the machine"},
	{Name: "nginx_version", Get: text(func(*Request) string { return conf.NginxVersion }),
		Doc: "version of nginx that is imitated"},
	{Name: "pid", Get: text(func(*Request) string { return pidText }), Doc: "PID of the worker"},
	{Name: "msec", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		return appendMsec(dst, r.Loop().Now().UnixMilli()), true
	}, Doc: "time in seconds with milliseconds"},
	{Name: "time_iso8601", Get: whole(func(r *Request) []byte { return r.Loop().ISOTime() }), Doc: "local time, ISO 8601"},
	{Name: "time_local", Get: whole(func(r *Request) []byte { return r.Loop().LogTime() }),
		Doc: "local time, Common Log Format"},
}
