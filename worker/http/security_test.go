package http

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const securityServer = `
server {
	LISTEN; server_name example.com; root SITE/root; default_type text/plain; client_max_body_size 1k; large_client_header_buffers 2 2k; client_header_timeout 300ms; client_body_timeout 300ms; lingering_timeout 300ms;
	location /alias/ { alias SITE/root/sub/; }
	location /noslash { alias SITE/root/sub; }
	location ~ ^/re/(.+)$ { alias SITE/root/$1; }
	location /vroot/ { root SITE/root/$arg_d; }
	location /try/ { try_files $uri $uri/ /sub/$arg_f =404; }
	location /rewrite/ { rewrite ^/rewrite/(.*)$ /$1 last; }
	location /break/ { rewrite ^/break/(.*)$ /$1 break; }
	location /redirect/ { return 301 $uri; }
	location /set { add_header X-Arg $arg_h; return 302 /there?$arg_h; }
	location /links/ { disable_symlinks on; alias SITE/root/; }
	location /owner/ { disable_symlinks if_not_owner from=SITE/root; alias SITE/root/; }
	location /dir/ { autoindex on; alias SITE/root/sub/; }
	location /internal/ { internal; alias SITE/root/; }
	location /ranges/ { alias SITE/root/; }
	location /tworanges/ { max_ranges 2; alias SITE/root/; }
	location /post { client_max_body_size 1k; return 200 "$request_method $content_length\n"; }
	location = /exact { return 200 "exact\n"; }
	location /deny/ { deny all; }
	location /denied.txt { deny all; }
	location /host { return 200 "$host $http_host $server_name\n"; }
	location /uri { return 200 "$uri $request_uri $args\n"; }
}
server { LISTEN; server_name other.example; client_header_timeout 300ms; client_body_timeout 300ms; lingering_timeout 300ms; merge_slashes off; underscores_in_headers on; ignore_invalid_headers off; root SITE/root;
	location /host { return 200 "other $host $http_host $http_a_b $http_x\n"; }
	location /uri { return 200 "other $uri $request_uri\n"; }
	location /post { return 200 "other $request_method\n"; }
}
`

// evilPaths are ways out of a directory, and others into what is closed.
var evilPaths = []string{
	"..", "../secret", "../../secret", "../../../../../../../../etc/passwd", "%2e%2e/secret", "%2e%2e%2fsecret", "..%2fsecret", "..%5csecret", "..\\secret", ".%2e/secret", "%2e./secret", "%252e%252e/secret",
	"%c0%ae%c0%ae/secret", "%c0%af../secret", "..%c0%afsecret", "%e0%80%ae%e0%80%ae/secret", "%u002e%u002e/secret", "....//secret", "..././secret", "..;/secret", "..%00/secret", "..%0d%0a/secret",
	"sub/../../secret", "sub/..%2f..%2fsecret", "sub/./../../secret", "sub//../../secret", "./../secret", "/../secret", "//../secret", "sub/../file.txt", "sub/..", "sub/.", "sub/./", ".", "./", "...", "sub/...",
	"file.txt%00", "file.txt%00.html", "%00", "sub%00/in.txt", "sub/%00", "file.txt%", "file.txt%2", "file.txt%zz", "file.txt%2g", "file.txt/", "file.txt//", "file.txt/.", "file.txt/..", "file.txt/../file.txt", "file.txt%2f", "file.txt%3f", "file.txt%23", "file.txt%20", "file.txt.", "file.txt%2e", "FILE.TXT",
	"sub%2fin.txt", "sub%2Fin.txt", "sub/%2e%2e/file.txt", "sub//in.txt", "sub///in.txt", "//sub//in.txt", "/%2fsub/in.txt", "sub/in.txt;x", "sub/in.txt?..%2f..%2fsecret", "sub/in.txt#frag", "sub/in.txt%23", "outlink", "outlink/", "dirlink/in.txt", "outdir/secret", "loop", "dangling", "fifo", "denied.txt", "deni%65d.txt", "./denied.txt", "/denied.txt", "sub/../denied.txt", "denied.txt/", "denied.txt%2f", "deny/../file.txt", "deny", "DENY/x",
	"\x01", "\x7f", "\xff\xfe", "a\tb", "a\x0bb", "caf\xc3\xa9.txt", "caf%C3%A9.txt", "~root", "$uri", "${uri}", "%24uri", "*", "sub/*", "<script>", "%3Cscript%3E", "\"quoted\"", "'", "`id`", "|id", ";id", "&", "+", "a+b", "=", "@", ":", "con", "nul",
}

// smuggled are requests of which two servers in a row might make something else; behind each comes one that must not be
// answered on its own unless the first one has ended.
func smuggled() (list []string) {
	const behind = "GET /exact HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
	post := func(headers, body string) {
		list = append(list, "POST /post HTTP/1.1\r\nHost: example.com\r\n"+headers+"\r\n"+body+behind)
	}
	for _, h := range []string{
		"Content-Length: 3\r\nContent-Length: 3\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: 3, 3\r\n", "Content-Length: 3,3\r\n", "Content-Length: +3\r\n", "Content-Length: -3\r\n", "Content-Length: 0x3\r\n", "Content-Length: 3.0\r\n", "Content-Length: 3 \r\n",
		"Content-Length:  3\r\n", "Content-Length:3\r\n", "Content-Length:\t3\r\n", "Content-Length: 03\r\n", "Content-Length: 00000000000000000000003\r\n", "Content-Length: 9223372036854775807\r\n", "Content-Length: 9223372036854775808\r\n", "Content-Length: 18446744073709551619\r\n", "Content-Length: 3;x\r\n", "Content-Length: three\r\n", "Content-Length:\r\n", "Content-Length: \"3\"\r\n",
		"Content-Length : 3\r\n", " Content-Length: 3\r\n", "Content-Length\t: 3\r\n", "Content_Length: 3\r\n", "content-length: 3\r\n", "X: y\r\n Content-Length: 3\r\n", "X: y\r\n\tContent-Length: 3\r\n", "Content-Length: 3\r\n\t\r\n", "\x0bContent-Length: 3\r\n", "Content-Length\x00: 3\r\n", "Content-Length: 3\x00\r\n", "Content-Length: 1025\r\n", "Content-Length: 1024\r\nExpect: 100-continue\r\n",
	} {
		post(h, "abc")
	}
	for _, h := range []string{
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: Chunked\r\n", "Transfer-Encoding:chunked\r\n", "Transfer-Encoding: chunked \r\n", "Transfer-Encoding:\tchunked\r\n", "Transfer-Encoding: \x0bchunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunkedx\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: identity, chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: chunked;q=1\r\n", "Transfer-Encoding:\r\n", "Transfer-Encoding:\r\n chunked\r\n", "X: y\r\n Transfer-Encoding: chunked\r\n", "X: y\r\nTransfer-Encoding\r\n: chunked\r\n", "Transfer_Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "TE: chunked\r\nTransfer-Encoding: chunked\r\n",
	} {
		post(h, "3\r\nabc\r\n0\r\n\r\n")
	}
	for _, b := range []string{
		"3\r\nabc\r\n0\r\n\r\n", "03\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", " 3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n", "g\r\nabc\r\n0\r\n\r\n", "\r\nabc\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n",
		"ffffffffffffffff\r\nabc\r\n0\r\n\r\n", "7fffffffffffffff\r\nabc\r\n0\r\n\r\n", "fffffffffffffffff3\r\nabc\r\n0\r\n\r\n", "00000000000000000003\r\nabc\r\n0\r\n\r\n", "401\r\n" + strings.Repeat("x", 1025) + "\r\n0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n", "0\r\n: x\r\n\r\n", "3\r\nabc\r\n0\r\n" + strings.Repeat("T: x\r\n", 30) + "\r\n", "3;" + strings.Repeat("x", 3000) + "\r\nabc\r\n0\r\n\r\n",
	} {
		post("Transfer-Encoding: chunked\r\n", b)
	}
	for _, h := range []string{
		"", "Host: example.com\r\nHost: other.example\r\n", "Host: example.com\r\nHost: example.com\r\n", "Host:\r\n", "Host: \r\n", "Host: example.com, other.example\r\n", "Host: example.com:0\r\n", "Host: example.com:\r\n", "Host: :80\r\n", "Host: [::1]\r\n", "Host: ::1\r\n", "Host: [example.com]\r\n",
		"Host: example.com.\r\n", "Host: EXAMPLE.com\r\n", "Host: .example.com\r\n", "Host: example..com\r\n", "Host: example.com/x\r\n", "Host: example.com x\r\n", "Host: exa\tmple.com\r\n", "Host: exa\x00mple.com\r\n", "Host: ex%61mple.com\r\n", "Host: a_b\r\n", "Host: " + strings.Repeat("h", 300) + "\r\n", "Host: " + strings.Repeat("h", 1900) + "\r\n",
		" Host: example.com\r\n", "Host : example.com\r\n", "Host: example.com\r\n other.example\r\n", "X: y\r\nHost: other.example\r\n", "HOST: other.example\r\n", "Host\r\n", "H\x6fst: other.example\r\nX-Host: example.com\r\n",
	} {
		list = append(list, "GET /host HTTP/1.1\r\n"+h+"Connection: close\r\n\r\n")
	}
	return list
}

// oddLines are request lines that are not what they should be.
func oddLines() (list []string) {
	const rest = "\r\nHost: example.com\r\nConnection: close\r\n\r\n"
	for _, line := range []string{
		"GET http://example.com/uri HTTP/1.1", "GET http://other.example/uri HTTP/1.1", "GET http://other.example:81/host HTTP/1.1", "GET HTTP://example.com/uri HTTP/1.1", "GET https://example.com/uri HTTP/1.1", "GET ftp://example.com/uri HTTP/1.1", "GET http:/uri HTTP/1.1", "GET http:///uri HTTP/1.1", "GET http://user:pw@example.com/uri HTTP/1.1", "GET http://example.com HTTP/1.1", "GET http://example.com?x HTTP/1.1", "GET http://example.com#x HTTP/1.1", "GET http://example.com/../uri HTTP/1.1", "GET http://example.com/%2e%2e/uri HTTP/1.1", "GET http://[::1]/host HTTP/1.1", "GET http://[::1/host HTTP/1.1", "GET http://exa mple.com/ HTTP/1.1", "GET //other.example/uri HTTP/1.1", "GET javascript:alert HTTP/1.1", "GET example.com:443 HTTP/1.1", "GET uri HTTP/1.1", "GET ?x HTTP/1.1", "GET * HTTP/1.1", "OPTIONS * HTTP/1.1",
		"get /uri HTTP/1.1", "Get /uri HTTP/1.1", "GET\t/uri HTTP/1.1", "GET  /uri HTTP/1.1", "GET /uri  HTTP/1.1", "GET /uri HTTP/1.1 ", " GET /uri HTTP/1.1", "GET /uri", "GET", "GET ", "GET /uri HTTP", "GET /uri HTTP/", "GET /uri HTTP/1", "GET /uri HTTP/1.", "GET /uri HTTP/1.1x", "GET /uri HTTP/1.10", "GET /uri HTTP/01.1", "GET /uri HTTP/1.0", "GET /uri HTTP/0.9", "GET /uri HTTP/2.0", "GET /uri HTTP/3", "GET /uri HTTP/-1.1", "GET /uri http/1.1", "GET /uri HTTPS/1.1", "GET /uri HTTP/1,1", "GET /uri ICY/1.0", "GET /uri x HTTP/1.1", "GET /u ri HTTP/1.1", "GET /uri\x00 HTTP/1.1", "GET /uri\x01 HTTP/1.1", "GET /uri\x7f HTTP/1.1", "GET /uri\xff HTTP/1.1", "G\x00T /uri HTTP/1.1", "G{T /uri HTTP/1.1", "G-T /uri HTTP/1.1", "G_T /uri HTTP/1.1", "GET: /uri HTTP/1.1",
		"TRACE /uri HTTP/1.1", "TRACK /uri HTTP/1.1", "DEBUG /uri HTTP/1.1", "PROPFIND /uri HTTP/1.1", "PATCH /uri HTTP/1.1", "LOCK /uri HTTP/1.1", "DELETE /file.txt HTTP/1.1", "PUT /file.txt HTTP/1.1", "MKCOL /x/ HTTP/1.1", "COPY /file.txt HTTP/1.1", "MOVE /file.txt HTTP/1.1", "PURGE /file.txt HTTP/1.1", "X /file.txt HTTP/1.1", "GETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGET /uri HTTP/1.1", strings.Repeat("M", 1000) + " /uri HTTP/1.1", strings.Repeat("M", 3000) + " /uri HTTP/1.1",
		"GET /internal/file.txt HTTP/1.1", "GET /uri?" + strings.Repeat("q", 1000) + " HTTP/1.1", "GET /uri?" + strings.Repeat("q", 2100) + " HTTP/1.1", "GET /" + strings.Repeat("../", 300) + "secret HTTP/1.1", "GET /" + strings.Repeat("a/", 500) + strings.Repeat("../", 500) + "file.txt HTTP/1.1", "GET /" + strings.Repeat("%2e", 200) + " HTTP/1.1", "GET /" + strings.Repeat("/", 1000) + "file.txt HTTP/1.1", "GET /" + strings.Repeat("n", 256) + " HTTP/1.1", "GET /" + strings.Repeat("n", 1500) + " HTTP/1.1", "GET /re/" + strings.Repeat("n/", 500) + " HTTP/1.1",
		"GET /set?h=a%0d%0aX-Evil:%20y HTTP/1.1", "GET /set?h=a%0aX-Evil HTTP/1.1", "GET /redirect/%0d%0aX-Evil:%20y HTTP/1.1", "GET /redirect//evil.example/ HTTP/1.1", "GET //evil.example/.. HTTP/1.1", "GET /sub?%0d%0a HTTP/1.1", "GET /rewrite/%0d%0aX HTTP/1.1", "GET /rewrite//evil.example/%2f.. HTTP/1.1", "GET /rewrite/..%2fsecret HTTP/1.1", "GET /vroot/secret?d=.. HTTP/1.1", "GET /vroot/../secret?d=../x HTTP/1.1", "GET /vroot/secret?d=%2e%2e HTTP/1.1", "GET /try/x?f=../../secret HTTP/1.1", "GET /try/x?f=%2e%2e/%2e%2e/secret HTTP/1.1", "GET /try/x?f=in.txt HTTP/1.1",
	} {
		list = append(list, line+rest)
	}
	const get = "GET /uri HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n"
	for _, h := range []string{
		"X: a\r\n b\r\n", "X:\r\n\ta\r\n", "X: a\x00b\r\n", "X\x00: a\r\n", "X: \x01\r\n", "X: a\x7f\r\n", "X: a\x0bb\r\n", "X y: a\r\n", "X\ty: a\r\n", ": a\r\n", "X\r\n", "X:\r\n", "=: a\r\n", "(X): a\r\n", "X\xc3\xa9: a\r\n", "X: \xc3\xa9\xff\r\n", "X_Y: a\r\n", "X.Y: a\r\n", "\"X\": a\r\n", "X:: a\r\n", "X: " + strings.Repeat("h", 1000) + "\r\n", "X: " + strings.Repeat("h", 2047) + "\r\n", "X: " + strings.Repeat("h", 2100) + "\r\n", strings.Repeat("H", 1000) + ": x\r\n", strings.Repeat("H", 2100) + ": x\r\n", strings.Repeat("X: y\r\n", 200), strings.Repeat("X: "+strings.Repeat("h", 400)+"\r\n", 12), strings.Repeat("X: "+strings.Repeat("h", 1500)+"\r\n", 3),
		"Connection: keep-alive, close\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\n", "Expect: 200-ok\r\n", "Expect: 100-continue\r\n", "Keep-Alive: 999999999999999999999\r\n", "Authorization: Basic\r\n", "Authorization: Basic \xff\r\n", "Cookie: " + strings.Repeat("a=b;", 300) + "\r\n", "If-Modified-Since: Tue, 99 Foo 99999 99:99:99 GMT\r\n", "Referer: \x16\r\n", "X-Forwarded-For: <script>\r\n", "Proxy: http://evil.example\r\n", "Content-Length: 0\r\n", "Content-Length: 5\r\n",
	} {
		list = append(list, get+h+"\r\n")
	}
	return list
}

// oddRanges are Range headers.
var oddRanges = []string{
	"bytes=0-18446744073709551615", "bytes=0-9223372036854775807", "bytes=9223372036854775807-", "bytes=9223372036854775808-", "bytes=-9223372036854775807", "bytes=-9223372036854775808", "bytes=-18446744073709551616", "bytes=18446744073709551616-18446744073709551617", "bytes=99999999999999999999999999-", "bytes=-0", "bytes=-", "bytes=", "bytes", "bytes=,", "bytes=0", "bytes=0-0,", "bytes=,0-0", "bytes=0-0,,1-1",
	"bytes= 0 - 0 , 1 - 1 ", "bytes=\t0-0", "bytes=5-4", "bytes=4-4,5-4", "bytes=a-b", "bytes=0x0-0x1", "bytes=+0-1", "bytes=--1", "bytes=0--1", "bytes=0-1-2", "bytes=0.0-1", "BYTES=0-0", "Bytes=0-0", "items=0-0", "bytes =0-0", "bytes=0-0;", "bytes=0-0 x", "bytes=" + strings.Repeat("0-,", 100) + "0-", "bytes=0-1,1-2,2-3", "bytes=0-1,5-6", "bytes=0-1\x00", "bytes=1-0,2-3",
}

// TestStricter has requests refused that nginx took until lately, or takes still: bytes in Host that no name has, LF without
// CR, and ranges that make more of a file than it is.
func TestStricter(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; location /ok { return 200 ok; } }`)
	if err := os.WriteFile(ts.dir+"/big", []byte(strings.Repeat("0123456789", 500)), 0o644); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n": "405", "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n": "400",
		"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab\r\n0\r\n\r\n": "400", "GET /ok HTTP/1.1\nHost: x\n\n": "400", "GET /ok HTTP/1.1\r\nHost: x\nX: y\r\n\r\n": "400",
		"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\n": "400", "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n": "400",
		"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=" + strings.Repeat("0-0,", 200) + "1-1\r\n\r\n": "200", "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=" + strings.Repeat("-1,", 100) + "-1\r\n\r\n": "200",
	} {
		if status, _ := answerOf(t, ask(t, ts.addrs[0], request)); status != want {
			t.Errorf("%q: %s, want %s", request, status, want)
		}
	}
	for _, host := range []string{"other.example@example.com", "example.com:other.example", "example.com:80:80", "example.com:99999", "example.com:-1", "[::1", "example.com?x", "example.com#x", "\xc3\xa9xample.com", "<script>"} {
		if status, _ := answerOf(t, ask(t, ts.addrs[0], "GET /ok HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")); status != "400" {
			t.Errorf("%q: %s", host, status)
		}
	}
}

// TestSecurityAsNginx has requests that aim at what they should not get answered like nginx does, and never with what is
// outside of the site.
func TestSecurityAsNginx(t *testing.T) {
	site := fixedDir(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(site+"/root/sub", 0o755))
	must(os.MkdirAll(site+"/root/deny", 0o755))
	for name, text := range map[string]string{"secret": "SECRET", "root/file.txt": "a file\n", "root/sub/in.txt": "inside\n", "root/denied.txt": "DENIED", "root/deny/x": "DENIED", "root/big": strings.Repeat("0123456789", 500)} {
		must(os.WriteFile(site+"/"+name, []byte(text), 0o644))
	}
	for link, to := range map[string]string{"outlink": "../secret", "outdir": "..", "dirlink": "sub", "loop": "loop", "dangling": "nowhere"} {
		must(os.Symlink(to, site+"/root/"+link))
	}
	sameTimes(t, site)
	var requests []string
	for _, p := range evilPaths {
		for _, prefix := range []string{"/", "/alias/", "/noslash/", "/noslash", "/re/", "/try/", "/rewrite/", "/break/", "/links/", "/owner/", "/dir/"} {
			requests = append(requests, "GET "+prefix+p+" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		}
	}
	requests = append(requests, oddLines()...)
	requests = append(requests, smuggled()...)
	for _, r := range oddRanges {
		for _, path := range []string{"/ranges/file.txt", "/ranges/big", "/tworanges/big"} {
			requests = append(requests, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: example.com\r\nRange: %s\r\nConnection: close\r\n\r\n", path, r))
		}
	}
	outside := 0
	(&differential{
		site: site, http: securityServer, level: "info", requests: requests, line: plainError, brief: true,
		shown: func(t *testing.T, answer string) string {
			if strings.Contains(answer, "SECRET") {
				outside++
			}
			return plain(answer)
		},
	}).run(t)
	t.Logf("%d requests, %d answers by way of the symbolic links that lead out", 2*len(requests), outside)
}
