package httplua_test

import (
	"io"
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// serveDNS is a name server for the names of the tests, over UDP and TCP.
func serveDNS(t *testing.T) string {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tcp.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close(); _ = udp.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if a := answerDNS(b[:n], true); a != nil {
				_, _ = udp.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				b := make([]byte, 2+512)
				for {
					if _, err := io.ReadFull(c, b[:2]); err != nil {
						return
					}
					n := min(int(b[0])<<8|int(b[1]), 512)
					if _, err := io.ReadFull(c, b[2:2+n]); err != nil {
						return
					}
					a := answerDNS(b[2:2+n], false)
					_, _ = c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
				}
			}()
		}
	}()
	return port(tcp.Addr())
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
	s := startLib(t, http, `location / { content_by_lua_block {
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
