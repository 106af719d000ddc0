package http

import (
	"strings"
	"testing"
)

const authRequestServer = `
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	auth_request_set $seen $sent_http_x_user;
	location / { auth_request /check; add_header X-Seen "$seen|$uri" always; }
	location /off/ { alias SITE/; }
	location /inner/ { auth_request /check; location /inner/off { auth_request off; return 200 "$seen"; } try_files /nix =200; }
	location = /check { internal; add_header X-User "user-$arg_u-$uri-$request_uri" always; add_header WWW-Authenticate 'Basic realm="sub"' always; if ($http_x_s = 401) { return 401 "body"; } if ($http_x_s = 403) { return 403 "body"; } if ($http_x_s = 404) { return 404 "body"; } if ($http_x_s = 500) { return 500 "body"; } if ($http_x_s = 200) { return 200 "body"; } if ($http_x_s = 302) { return 302 /x; }  return 204; }
	location /s200 { auth_request /r200; try_files /a.html =404; }
	location /s404 { auth_request /r404; try_files /a.html =404; }
	location /s302 { auth_request /r302; try_files /a.html =404; }
	location /sfile { auth_request /off/b.txt; try_files /a.html =404; }
	location /snone { auth_request /off/nix; try_files /a.html =404; }
	location /s403 { auth_request /r403; error_page 403 = /a.html; try_files /a.html =404; }
	location /s401 { auth_request /r401; try_files /a.html =404; }
	location /spage { auth_request /rpage; try_files /a.html =404; }
	location /spage2 { auth_request /rpage2; try_files /a.html =404; }
	location /echo { auth_request /rbody; auth_request_set $len $content_length; return 200 "[$len]"; }
	location /precontent { auth_request /rbody; auth_request_set $len $content_length; try_files /nix @len; }
	location @len { return 200 "[$len] $seen"; }
	location /any { satisfy any; auth_request /r401; auth_basic closed; auth_basic_user_file SITE/users; try_files /a.html =404; }
	location /any2 { satisfy any; auth_request /r200; deny all; try_files /a.html =404; }
	location /all { auth_request /r200; deny all; try_files /a.html =404; }
	location /twice { auth_request /r204; auth_request_set $one $status; auth_request_set $two "$uri $args"; try_files /nix @vars; }
	location /unset { return 200 "[$one]"; }
	location @vars { return 200 "$one $two"; }
	location /r200 { return 200 ok; }
	location /r204 { return 204; }
	location /r401 { return 401; }
	location /r403 { return 403; }
	location /r404 { return 404; }
	location /r302 { return 302 /x; }
	location /rpage { error_page 404 =401 /pagebody; return 404; }
	location /rpage2 { error_page 404 = @ok; return 404; }
	location @ok { return 200 fine; }
	location /pagebody { return 200 page; }
	location /rbody { return 204; }
}
`

// TestAuthRequestAsNginx compares auth_request with nginx's.
func TestAuthRequestAsNginx(t *testing.T) {
	sameAnswers(t, authRequestServer, []string{
		"GET /a.html", "GET /a.html?u=1", "HEAD /a.html", "GET /a.html|X-S: 401", "GET /a.html|X-S: 403", "GET /a.html|X-S: 404", "GET /a.html|X-S: 500", "GET /a.html|X-S: 200", "GET /a.html|X-S: 302",
		"GET /sub/", "GET /nix", "GET /off/a.html", "GET /inner/off", "GET /inner/on", "GET /inner/on|X-S: 403", "GET /check",
		"GET /s200", "GET /s404", "GET /s302", "GET /sfile", "GET /snone", "GET /s403", "GET /s401", "GET /spage", "GET /spage2",
		"POST /echo|Content-Length: 3|\nabc", "POST /precontent|Content-Length: 3|\nabc", "POST /a.html|Content-Length: 3|X-S: 403|\nabc",
		"GET /any", "GET /any" + basic("plain:secret"), "GET /any" + basic("plain:x"), "GET /any2", "GET /all", "GET /twice?a=b", "GET /unset",
	})
}

func TestAuthRequestConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`auth_request /a; auth_request /b;`, `"auth_request" directive is duplicate`},
		{`auth_request_set a b;`, `invalid variable name "a"`},
		{`auth_request_set $uri b;`, `the duplicate "uri" variable`},
		{`set_real_ip_from 1.2.3.4/33;`, `in set_real_ip_from "1.2.3.4/33"`},
		{`real_ip_header a; real_ip_header b;`, `"real_ip_header" directive is duplicate`},
		{`real_ip_recursive x;`, `invalid value "x" in "real_ip_recursive" directive`},
	} {
		wantConfError(t, c.text, c.want)
	}
}

const realipServer = `
map $remote_addr $showport { 127.0.0.1 own; default $remote_port; }
server { LISTEN; server_name example.com; default_type text/plain;
	set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.1.0.0/16; set_real_ip_from 2001:db8::/32;
	location /one { return 200 "$remote_addr $showport $realip_remote_addr\n"; }
	location /h { real_ip_header X-Client; try_files /nix @show; }
	location /xff { real_ip_header X-Forwarded-For; try_files /nix @show; }
	location /rec { real_ip_header X-Forwarded-For; real_ip_recursive on; try_files /nix @show; }
	location /hrec { real_ip_header x-client; real_ip_recursive on; try_files /nix @show; }
	location /low { real_ip_header x-forwarded-for; try_files /nix @show; }
	location /other { set_real_ip_from 192.0.2.1; real_ip_header X-Client; try_files /nix @show; }
	location /deny { real_ip_header X-Client; deny 192.0.2.0/24; allow all; try_files /nix @show; }
	location /pp { real_ip_header proxy_protocol; try_files /nix @show; }
	location @show { return 200 "$remote_addr $showport $realip_remote_addr\n"; }
}
`

// TestRealIPAsNginx compares the realip module with nginx's.
func TestRealIPAsNginx(t *testing.T) {
	requests := []string{"GET /one|X-Real-IP: 192.0.2.7", "GET /one|X-Real-IP: 192.0.2.7:99", "GET /one|X-Real-IP: 2001:db8::7", "GET /one|X-Real-IP: [2001:db8::7]:99", "GET /one|X-Real-IP: [2001:db8::7]",
		"GET /one|X-Real-IP: unix:", "GET /one|X-Real-IP: 192.0.2.7:0", "GET /one|X-Real-IP: 192.0.2.7:x", "GET /one|X-Real-IP: ::ffff:192.0.2.1", "GET /one|X-Real-IP: ", "GET /one|X-Real-IP: a, 192.0.2.7", "GET /one|X-Real-IP: fe80::1%lo", "GET /deny|X-Real-IP: x|X-Client: 192.0.2.1"}
	for _, value := range []string{"192.0.2.7", "192.0.2.7, 10.1.2.3", "192.0.2.7,10.1.2.3, 10.1.9.9 ,", "junk, 10.1.2.3", "10.1.1.1, 10.1.2.3", "192.0.2.1 10.1.1.1", "192.0.2.8:80, 10.1.1.1:90", " , ", "192.0.2.9,2001:db8::1"} {
		for _, path := range []string{"h", "hrec", "other"} {
			requests = append(requests, "GET /"+path+"|X-Client: "+value, "GET /"+path+"|X-Client: "+value+"|X-Client: 192.0.2.99")
		}
		for _, path := range []string{"xff", "rec", "low"} {
			requests = append(requests, "GET /"+path+"|X-Forwarded-For: "+value, "GET /"+path+"|X-Forwarded-For: 192.0.2.99|X-Forwarded-For: "+value, "GET /"+path+"|X-Forwarded-For: "+value+"|X-Forwarded-For: 10.1.0.1")
		}
	}
	requests = append(requests, "GET /deny|X-Client: 192.0.2.1", "GET /deny|X-Client: 192.0.3.1", "GET /pp")
	sameAnswers(t, realipServer, requests)
}

// TestProxyProtocolAsNginx compares listen … proxy_protocol with nginx's.
func TestProxyProtocolAsNginx(t *testing.T) {
	request := "GET /show HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
	v2 := func(head string, body string) string {
		return proxySignature + head + string([]byte{byte(len(body) >> 8), byte(len(body))}) + body
	}
	four := "\xc0\x00\x02\x01\x0a\x01\x02\x03\x12\x34\x00\x50"
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02\x12\x34\x00\x50"
	var requests []string
	for _, head := range []string{
		"PROXY TCP4 192.0.2.1 10.1.2.3 1234 80\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN any thing\r\n",
		"PROXY TCP4 192.0.2.1 10.1.2.3 0 0\r\n", "PROXY TCP4 192.0.2.1 10.1.2.3 70000 80\r\n", "PROXY TCP4 192.0.2.1 10.1.2.3 80\r\n", "PROXY TCP4 192.0.2.1 10.1.2.3 80 81\n",
		"PROXY TCP5 192.0.2.1 10.1.2.3 80 81\r\n", "PROXY TCP4 192.0.2.x 10.1.2.3 80 81\r\n", "PROXY TCP4 abc 10.1.2.3 80 81\r\n", "proxy TCP4 192.0.2.1 10.1.2.3 80 81\r\n", "", "PROXY UNKNOWN", "PROXY TCP4 192.0.2.1 10.1.2.3 80 81\r",
		v2("\x21\x11", four), v2("\x21\x21", six), v2("\x21\x11", four+"\x04\x00\x01x"), v2("\x20\x11", four), v2("\x21\x12", four), v2("\x21\x31", four), v2("\x31\x11", four), v2("\x21\x11", four[:8]), v2("\x21\x21", four), v2("\x20\x00", ""),
		proxySignature + "\x21\x11\x40\x00", proxySignature,
	} {
		requests = append(requests, head+request)
	}
	sameAnswers(t, `server { LISTEN proxy_protocol; server_name example.com; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; default_type text/plain;
		location /show { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port|$remote_addr $request_length\n"; } }`, requests)
}

// TestProxyProtocolAlone has the header come alone, and two requests on one connection.
func TestProxyProtocolAlone(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000 proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
		location / { return 200 "$remote_addr $proxy_protocol_port $realip_remote_addr"; } }`)
	c := ts.dial()
	c.send("PROXY TCP4 192.0.2.1 10.1.2.3 1234 80\r\n")
	ts.waitFor(func(s Stats) bool { return s.Accepted == 1 })
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText("192.0.2.1 1234 127.0.0.1"))
	}
	_ = c.Close()
	ts.none()
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 10.1.2.3 1234 80\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(proxySignature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x01\x02\x03\x12\x34\x00\x50"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, n, complaint := parseProxyHeader(b)
		if n < 0 || n > len(b) || n > 0 && complaint != "" || n == 0 && p != nil {
			t.Errorf("%q: %v, %d, %q", b, p, n, complaint)
		}
	})
}
