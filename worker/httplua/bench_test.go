package httplua_test

import (
	"bytes"
	"net"
	"testing"
)

// BenchmarkRequest counts what a request costs, the client in this process
// included; the client allocates nothing.
func BenchmarkRequest(b *testing.B) {
	for _, bc := range []struct{ name, server string }{
		{"hello", `content_by_lua_block { ngx.say("hello world") }`},
		{"return", `return 200 "hello world\n";`},
		{"args", `content_by_lua_block { local a = ngx.req.get_uri_args() ngx.say(a.x) }`},
		{"headers", `content_by_lua_block { local h = ngx.req.get_headers() ngx.header["X-Y"] = h.host ngx.say("x") }`},
		{"exit", `content_by_lua_block { ngx.status = 200 ngx.say("x") ngx.exit(200) }`},
		{"ctxvar", `content_by_lua_block { ngx.ctx.a = ngx.var.uri ngx.say(ngx.ctx.a) }`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := start(b, "keepalive_requests 1000000000;", "location / { "+bc.server+" }", nil)
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			req := []byte("GET /?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
			buf := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := conn.Write(req); err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					m, err := conn.Read(buf[n:])
					if err != nil {
						b.Fatal(err)
					}
					n += m
					if bytes.HasSuffix(buf[:n], []byte("0\r\n\r\n")) || bc.name == "return" && bytes.HasSuffix(buf[:n], []byte("hello world\n")) {
						break
					}
				}
			}
		})
	}
}
