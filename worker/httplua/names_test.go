package httplua_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"perilune/worker/testpeer"
)

// serveDNS is a name server for the names of the tests, over UDP and TCP.
func serveDNS(t *testing.T) string {
	t.Helper()
	return portOf(testpeer.ServeDNS(t, answerDNS))
}

// answerDNS answers a question; long.test has more addresses than fit into a datagram.
func answerDNS(question []byte, datagram bool) []byte {
	var q dnsmessage.Message
	if q.Unpack(question) != nil || len(q.Questions) != 1 {
		return nil
	}
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	name, kind := q.Questions[0].Name, q.Questions[0].Type
	add := func(body dnsmessage.ResourceBody, t dnsmessage.Type) {
		a.Answers = append(a.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: 60}, Body: body})
	}
	host := dnsmessage.MustNewName("host.test.")
	switch {
	case name.String() == "silent.test.":
		return nil
	case name.String() == "host.test." && kind == dnsmessage.TypeA:
		add(&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}, kind)
	case name.String() == "host.test." && kind == dnsmessage.TypeAAAA:
		add(&dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}}, kind)
	case name.String() == "host.test." && kind == dnsmessage.TypeMX:
		add(&dnsmessage.MXResource{Pref: 10, MX: host}, kind)
	case name.String() == "host.test." && kind == dnsmessage.TypeTXT:
		add(&dnsmessage.TXTResource{TXT: []string{"some ", "text"}}, kind)
	case name.String() == "host.test." && kind == dnsmessage.TypeSRV:
		add(&dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 3, Target: host}, kind)
	case name.String() == "1.0.0.127.in-addr.arpa." && kind == dnsmessage.TypePTR:
		add(&dnsmessage.PTRResource{PTR: host}, kind)
	case name.String() == "alias.test.":
		add(&dnsmessage.CNAMEResource{CNAME: host}, dnsmessage.TypeCNAME)
	case name.String() == "long.test." && datagram:
		a.Truncated = true
	case name.String() == "long.test.":
		for i := range 100 {
			add(&dnsmessage.AResource{A: [4]byte{10, 0, 0, byte(i)}}, dnsmessage.TypeA)
		}
	default:
		a.RCode = dnsmessage.RCodeNameError
	}
	b, err := a.Pack()
	if err != nil {
		return nil
	}
	return b
}

func TestLibDNS(t *testing.T) {
	http := libs(t, "lua-resty-dns")
	dns := serveDNS(t)
	s := startEither(t, http, `location / { content_by_lua_block {
		local resolver = require "resty.dns.resolver"
		local r = assert(resolver:new{nameservers = {{"127.0.0.1", `+dns+`}}, retrans = 2, timeout = 300})
		local function ask(name, options)
			local answers, err, tries = r:query(name, options, {})
			if not answers then return ngx.say(err) end
			if answers.errcode then return ngx.say(answers.errcode, " ", answers.errstr) end
			local all = {}
			for i, a in ipairs(answers) do all[i] = (a.address or a.cname or a.ptrdname or (a.txt and cjson(a.txt)) or (a.target and a.target .. ":" .. a.port) or a.exchange) .. "/" .. a.type .. "/" .. a.ttl end
			ngx.say(#all > 5 and #all or table.concat(all, " "))
		end
		ask("host.test")
		for _, kind in ipairs{"AAAA", "MX", "TXT", "SRV"} do ask("host.test", {qtype = r["TYPE_" .. kind]}) end
		ask("alias.test")
		ask(resolver.arpa_str("127.0.0.1"), {qtype = r.TYPE_PTR})
		ask("none.test")
		ask("long.test")
		ask("silent.test")
		ngx.say((r:tcp_query("host.test")[1].address))
	} }`)
	s.expect(t, "/", "200 OK", "127.0.0.1/1/60\n2001:db8:0:0:0:0:0:1/28/60\nhost.test/15/60\n[\"some \",\"text\"]/16/60\nhost.test:3/33/60\nhost.test/5/60\nhost.test/12/60\n3 name error\n100\n"+
		"failed to receive reply from UDP server 127.0.0.1:"+dns+": timeout\n127.0.0.1\n")
}

// TestNames has cosockets and proxy_pass find hosts by a name server.
func TestNames(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "to ", r.URL.Path, "\n") }))
	defer up.Close()
	port := port(up.Listener.Addr())
	s := startEither(t, "resolver 127.0.0.1:"+serveDNS(t)+" ipv6=off; resolver_timeout 1s; lua_socket_log_errors off;", `
		location /lua { content_by_lua_block {
			local s = ngx.socket.tcp()
			s:settimeouts(1000, 1000, 1000)
			local ok, err = s:connect(ngx.var.arg_h, `+port+`)
			if not ok then return ngx.say(err) end
			s:send("GET /lua HTTP/1.0\r\nHost: x\r\n\r\n")
			ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
		} }
		location /udp { content_by_lua_block { ngx.say(ngx.socket.udp():setpeername(ngx.var.arg_h, 53)) } }
		location /proxy { proxy_pass http://$arg_h:`+port+`; }
		location /none/lua { resolver_timeout 5s; content_by_lua_block { ngx.say(ngx.socket.connect("nowhere.test", 1)) } }
		location /timeout { resolver_timeout 50ms; proxy_pass http://$arg_h:`+port+`; }
	`)
	for _, tt := range []struct{ path, status, body string }{
		{"/lua?h=host.test", "200 OK", "to /lua\n"},
		{"/lua?h=ALIAS.test", "200 OK", "to /lua\n"},
		{"/lua?h=host.test", "200 OK", "to /lua\n"},
		{"/lua?h=127.0.0.1", "200 OK", "to /lua\n"},
		{"/lua?h=none.test", "200 OK", "none.test could not be resolved (3: Host not found)\n"},
		{"/lua?h=silent.test", "200 OK", "silent.test could not be resolved (110: Operation timed out)\n"},
		{"/udp?h=host.test", "200 OK", "1\n"},
		{"/udp?h=none.test", "200 OK", "nilnone.test could not be resolved (3: Host not found)\n"},
		{"/proxy?h=host.test", "200 OK", "to /proxy\n"},
		{"/proxy?h=alias.test", "200 OK", "to /proxy\n"},
		{"/proxy?h=none.test", "502 Bad Gateway", ""},
		{"/timeout?h=silent.test", "502 Bad Gateway", ""},
		{"/none/lua", "200 OK", "nilnowhere.test could not be resolved (3: Host not found)\n"},
	} {
		s.expect(t, tt.path, tt.status, tt.body)
	}
	log := s.log(t)
	for _, want := range []string{
		`[error] none.test could not be resolved (3: Host not found), client: 127.0.0.1, server: , request: "GET /proxy?h=none.test HTTP/1.0", host: "h"`,
		`[error] silent.test could not be resolved (110: Operation timed out), client: 127.0.0.1, server: , request: "GET /timeout?h=silent.test HTTP/1.0", host: "h"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}
