package httplua_test

import (
	"strings"
	"testing"
)

const echoPeer = `location /echo { return 200 "$connection $connection_requests $remote_addr"; }`

// TestBalancerKeepalive keeps connections as the code asks for.
func TestBalancerKeepalive(t *testing.T) {
	s := start(t, `
	upstream kept { balancer_by_lua_block {
		local b = require "ngx.balancer"
		assert(b.set_current_peer("127.0.0.1", ngx.var.server_port, ngx.var.arg_host))
		assert(b.enable_keepalive(tonumber(ngx.var.arg_idle), tonumber(ngx.var.arg_most)))
	} balancer_keepalive 2; }
	upstream shared { server 127.0.0.1:1; balancer_by_lua_block {
		assert(require "ngx.balancer".set_current_peer("127.0.0.1", ngx.var.server_port))
	} keepalive 2; }
	upstream early { balancer_by_lua_block {
		ngx.log(ngx.WARN, "early: ", require "ngx.balancer".enable_keepalive())
	} }
	upstream bound { balancer_by_lua_block {
		local b = require "ngx.balancer"
		assert(b.bind_to_local_addr("127.0.0.9"))
		ngx.log(ngx.WARN, "bound: ", b.bind_to_local_addr("localhost"))
		assert(b.set_current_peer("127.0.0.1", ngx.var.server_port))
		assert(b.enable_keepalive())
	} }
	upstream exits { balancer_by_lua_block { ngx.exit(tonumber(ngx.var.arg_code)) } }
	upstream raises { balancer_by_lua_block {
		local b = require "ngx.balancer"
		ngx.log(ngx.WARN, select(2, pcall(b.enable_keepalive, "x")))
		ngx.log(ngx.WARN, select(2, pcall(b.enable_keepalive, -1)))
		ngx.log(ngx.WARN, select(2, pcall(b.enable_keepalive, 1, {})))
		ngx.log(ngx.WARN, select(2, pcall(b.set_current_peer, "x", 1, 5)))
		ngx.log(ngx.WARN, select(2, pcall(b.bind_to_local_addr, 5)))
	} }
	`, echoPeer+`
	proxy_http_version 1.1; proxy_set_header Connection "";
	location /kept { proxy_pass http://kept/echo; }
	location /shared { proxy_pass http://shared/echo; }
	location /early { proxy_pass http://early/echo; }
	location /bound { proxy_pass http://bound/echo; }
	location /exits { proxy_pass http://exits/echo; }
	location /raises { proxy_pass http://raises/echo; }
	`, nil)
	body := func(path string) string {
		t.Helper()
		status, body := s.get(t, path)
		if status != "200 OK" {
			t.Fatalf("%s: %s", path, status)
		}
		return body
	}
	conn := func(path string) string { c, _, _ := strings.Cut(body(path), " "); return c }
	for _, path := range []string{"/kept", "/shared", "/bound"} {
		first := conn(path)
		if second := conn(path); second != first {
			t.Errorf("%s: connections %s and %s", path, first, second)
		}
	}
	if b := body("/bound"); !strings.HasSuffix(b, " 127.0.0.9") {
		t.Errorf("bound: %q", b)
	}
	if a, b := conn("/kept?host=a"), conn("/kept?host=b"); a == b {
		t.Error("one connection for two hosts")
	}
	if a, b := conn("/kept?host=a"), conn("/kept?host=A"); a != b {
		t.Error("two connections for one host")
	}
	a := conn("/kept?host=c&most=2")
	if b := conn("/kept?host=c&most=2"); b != a {
		t.Error("a connection for one request only")
	}
	if b := conn("/kept?host=c&most=2"); b == a {
		t.Error("a connection for three requests")
	}
	s.expect(t, "/early", "500 Internal Server Error", "")
	for path, status := range map[string]string{"/exits?code=403": "403", "/exits?code=503": "503", "/exits?code=-5": "502", "/exits?code=-3": "502", "/exits?code=-1": "500", "/exits?code=201": "500"} {
		if got, _ := s.get(t, path); !strings.HasPrefix(got, status+" ") {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.expect(t, "/raises", "500 Internal Server Error", "")
	log := s.log(t)
	for _, want := range []string{
		"early: nilno current peer set", "lua balancer: no peer set while connecting to upstream", "bound: nilinvalid addr localhost",
		"bad argument #1 to 'enable_keepalive' (number expected, got string)", "bad argument #1 to 'enable_keepalive' (expected >= 0)",
		"bad argument #2 to 'enable_keepalive' (number expected, got table)", "bad argument #3 to 'set_current_peer' (string expected, got number)",
		"bad argument #1 to 'bind_to_local_addr' (string expected, got number)",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

// TestBalancerConfig has blocks that are not right.
func TestBalancerConfig(t *testing.T) {
	for conf, want := range map[string]string{
		`balancer_by_lua_block { } balancer_by_lua_block { }`:                   `is duplicate in `,
		`balancer_by_lua_block { } server 127.0.0.1 backup;`:                    `balancing method does not support parameter "backup"`,
		`balancer_by_lua_block { } balancer_keepalive 0;`:                       `invalid value "0" in "balancer_keepalive" directive`,
		`balancer_by_lua_block { } balancer_keepalive 1; balancer_keepalive 1;`: `is duplicate in `,
	} {
		if _, err := tryStart(t, "upstream u { "+conf+" }", "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", conf, err)
		}
	}
	if _, err := tryStart(t, "", "balancer_by_lua_block { }", nil); err == nil || !strings.Contains(err.Error(), "directive is not allowed here") {
		t.Errorf("outside: %v", err)
	}
}
