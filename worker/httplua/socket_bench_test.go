package httplua_test

import (
	"fmt"
	"net"
	"testing"
)

// BenchmarkSocket is a round trip of a cosocket, with a connection out of the pool.
func BenchmarkSocket(b *testing.B) {
	peer := listenPeer(b, func(c *net.TCPConn) {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	s := start(b, "", `
		location /all { content_by_lua_block {
			for i = 1, tonumber(ngx.var.args) do
				local s = ngx.socket.tcp()
				s:settimeouts(1000, 1000, 1000)
				assert(s:connect("127.0.0.1", `+peer+`))
				assert(s:send{"*2\r\n$3\r\nGET\r\n$", 5, "\r\nbench\r\n"})
				for i = 1, 5 do assert(s:receive()) end
				assert(s:setkeepalive(60000, 100))
			end
			ngx.say("done")
		} }
		location /send { content_by_lua_block {
			local s = ngx.socket.tcp()
			assert(s:connect("127.0.0.1", `+peer+`))
			for i = 1, tonumber(ngx.var.args) do
				s:send("hello\n")
				s:receive(6)
			end
			ngx.say("done")
		} }
	`, nil)
	for _, path := range []string{"all", "send"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			s.expect(b, fmt.Sprintf("/%s?%d", path, b.N), "200 OK", "done\n")
		})
	}
}
