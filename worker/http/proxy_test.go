package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is an upstream that answers by the path of the request: with what the script says, or with the request itself.
type scripted struct {
	t      testing.TB
	addr   string
	script map[string]string

	mu    sync.Mutex
	conns int // accepted
	open  map[net.Conn]bool
}

// startScripted starts one. In a script CLOSE ends the connection, RESET with a RST, WAIT holds it for as long as the peer does,
// PAUSE is a pause.
func startScripted(t testing.TB, script map[string]string) *scripted {
	t.Helper()
	s := &scripted{t: t, script: script}
	s.listen(s.serve)
	return s
}

// listen starts it: each connection is served by a goroutine, until the test ends.
func (s *scripted) listen(serve func(c *net.TCPConn)) {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr, s.open = ln.Addr().String(), make(map[net.Conn]bool)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.note(c, true)
			all.Go(func() {
				defer s.note(c, false)
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	s.t.Cleanup(func() {
		_ = ln.Close()
		s.mu.Lock()
		for c := range s.open {
			_ = c.Close() // servers keep some
		}
		s.mu.Unlock()
		all.Wait()
	})
}

// note counts a connection that has been opened, or closed.
func (s *scripted) note(c net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !open {
		delete(s.open, c)
		return
	}
	s.conns++
	s.open[c] = true
}

// counts returns how many connections have been accepted, and are open.
func (s *scripted) counts() (conns, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, len(s.open)
}

func (s *scripted) serve(c *net.TCPConn) {
	_ = c.SetDeadline(time.Now().Add(patience))
	rd := bufio.NewReader(c)
	for {
		request, uri := readRequest(rd)
		if uri == "" {
			return
		}
		path, _, _ := strings.Cut(uri, "?")
		answer, found := s.script[path]
		if !found {
			answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(request), request)
		}
		if !play(c, rd, answer) {
			return
		}
	}
}

// play sends an answer, and does what is to be done in it. It reports whether the connection goes on.
func play(c *net.TCPConn, rd *bufio.Reader, answer string) bool {
	for answer != "" {
		i := strings.IndexAny(answer, "\x01\x02\x03\x04")
		if i < 0 {
			i = len(answer)
		}
		if _, err := io.WriteString(c, answer[:i]); err != nil {
			return false
		}
		if i == len(answer) {
			break
		}
		switch answer[i] {
		case CLOSE[0]:
			return false
		case RESET[0]:
			_ = c.SetLinger(0)
			return false
		case WAIT[0]:
			_, _ = rd.ReadByte()
			return false
		case PAUSE[0]:
			time.Sleep(20 * time.Millisecond) // to have the answer come in pieces
		}
		answer = answer[i+1:]
	}
	return true
}

// What a script can do besides answering.
const (
	CLOSE = "\x01"
	RESET = "\x02"
	WAIT  = "\x03"
	PAUSE = "\x04"
)

// readRequest reads a request and its body.
func readRequest(rd *bufio.Reader) (text, uri string) {
	length := 0
	for {
		line, err := rd.ReadString('\n')
		if err != nil {
			return "", ""
		}
		text += line
		if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(rd, body); err != nil {
		return "", ""
	}
	if parts := strings.Split(text, " "); len(parts) > 1 {
		uri = parts[1]
	}
	return text + string(body), uri
}

var proxyScript = map[string]string{
	"/hello":       "HTTP/1.1 200 OK\r\nServer: up\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nX-Pad: p\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello\n",
	"/until-close": "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\nuntil close\n" + CLOSE,
	"/http10":      "HTTP/1.0 200 Fine\r\nX: y\r\n\r\nold\n" + CLOSE,
	"/no-header":   "just text\n" + CLOSE,
	"/chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
	"/pieces":      "HTT" + PAUSE + "P/1.1 20" + PAUSE + "0 OK\r" + PAUSE + "\nContent-Le" + PAUSE + "ngth: 4\r\n\r" + PAUSE + "\nab" + PAUSE + "cd",
	"/204":         "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
	"/304":         "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 77\r\n\r\n",
	"/404":         "HTTP/1.1 404 Nowhere\r\nContent-Length: 9\r\n\r\nnot here\n",
	"/401":         "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
	"/418":         "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n",
	"/500":         "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\noops\n",
	"/503":         "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nbusy\n",
	"/noreason":    "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
	"/lf":          "HTTP/1.1 200 OK\nContent-Length: 2\nX:1\n\nok",
	"/modified":    "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"e\"\r\nExpires: Thu, 01 Jan 2026 00:00:00 GMT\r\nCache-Control: a\r\nCache-Control: b\r\nAccept-Ranges: bytes\r\nContent-Length: 2\r\n\r\nok",
	"/type":        "HTTP/1.1 200 OK\r\nContent-Type: text/html;charset=\"x\"\r\nContent-Length: 2\r\n\r\nok",
	"/type2":       "HTTP/1.1 200 OK\r\nContent-Type: text/html ; q=1; charset=y\r\nContent-Length: 2\r\n\r\nok",
	"/more":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay",
	"/short":       "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nokay" + CLOSE,
	"/short10":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel" + CLOSE,
	"/badchunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + CLOSE,
	"/closes":      CLOSE,
	"/closes2":     "HTTP/1.1 200 OK\r\nX: y" + CLOSE,
	"/resets":      RESET,
	"/hangs":       WAIT,
	"/hangs2":      "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nokay" + WAIT,
	"/badheader":   "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n" + CLOSE,
	"/badheader2":  "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n" + CLOSE,
	"/badstatus":   "HTTP/1.1 2x0 OK\r\nX: y\r\n\r\n" + CLOSE,
	"/badlength":   "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + CLOSE,
	"/twolength":   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx" + CLOSE,
	"/both":        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + CLOSE,
	"/gzipped":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx" + CLOSE,
	"/bigheader":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 0\r\n\r\n",
	"/second":      "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"/location":    "HTTP/1.1 302 Found\r\nA: 1\r\nLocation: http://UPSTREAM/there?q\r\nB: 2\r\nContent-Length: 0\r\n\r\n",
	"/location2":   "HTTP/1.1 302 Found\r\nA: 1\r\nLocation: /there?q\r\nB: 2\r\nContent-Length: 0\r\n\r\n",
	"/location3":   "HTTP/1.1 302 Found\r\nLocation: http://other/there\r\nRefresh: 5; url=http://UPSTREAM/x\r\nContent-Length: 0\r\n\r\n",
	"/cookies":     "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=.example.com; path=/one/two; Secure\r\nSet-Cookie: b=2; domain = Example.com ;Path= /two\r\nSet-Cookie: c=3\r\nContent-Length: 0\r\n\r\n",
	"/accel":       "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/b.txt?x=y\r\nContent-Type: a/b\r\nSet-Cookie: c=1\r\nX-Other: x\r\nContent-Length: 3\r\n\r\nabc",
	"/accel2":      "HTTP/1.1 200 OK\r\nX-Accel-Redirect: @named\r\nContent-Length: 3\r\n\r\nabc",
	"/accel3":      "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/../b.txt\r\nContent-Length: 3\r\n\r\nabc",
	"/accel4":      "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/a%2ehtml\r\nContent-Length: 3\r\n\r\nabc",
	"/unbuffered":  "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nContent-Length: 3\r\n\r\na" + PAUSE + "bc",
	"/big":         "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("0123456789", 30000),
	"/bigchunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("2710\r\n"+strings.Repeat("0123456789", 1000)+"\r\n", 30) + "0\r\n\r\n",
	"/hangs3":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + WAIT,
	"/hangs4":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nworld" + WAIT,
	"/hangs5":      "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("0123456789", 990) + WAIT,
	"/hangs6":      "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("0123456789", 990) + WAIT,
	"/hangs7":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n26ac\r\n" + strings.Repeat("0123456789", 990) + "\r" + WAIT,
	"/trailers":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-One: 1\r\nX-Two: 2\r\nX-Accel-Expires: 5\r\n\r\n",
	"/cookies2":    "HTTP/1.1 200 OK\r\nSet-Cookie: one=1; Secure; SameSite=lax; x\r\nSet-Cookie: two=2; httponly; secure; samesite=Strict\r\nSet-Cookie: three\r\nSet-Cookie: Four=4; path=/\r\nContent-Length: 0\r\n\r\n",
	"/charset":     "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nX-Accel-Charset: koi8-r\r\nX-Accel-Limit-Rate: 50000\r\nContent-Length: 2\r\n\r\nok",
	"/charset2":    "HTTP/1.1 200 OK\r\nContent-Type: text/x; charset=utf-8\r\nX-Accel-Charset: utf-8\r\nX-Accel-Limit-Rate: x\r\nContent-Length: 2\r\n\r\nok",
	"/charset3":    "HTTP/1.1 200 OK\r\nContent-Type: text/x; charset=utf-8\r\nX-Accel-Charset: utf-16\r\nContent-Length: 2\r\n\r\nok",
	"/ranges":      "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz",
	"/ranges2":     "HTTP/1.1 200 OK\r\nAccept-Ranges: none\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz",
	"/bigclose":    "HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("0123456789", 30000) + CLOSE,
}

func scriptedFor(t testing.TB) *scripted {
	script := make(map[string]string)
	s := startScripted(t, script)
	for path, text := range proxyScript {
		script[path] = strings.ReplaceAll(text, "UPSTREAM", s.addr)
	}
	return s
}

const proxyServer = `
upstream keep { server UPSTREAM; keepalive 4; }
upstream two { server 127.0.0.1:1; server UPSTREAM; }
upstream dead { server 127.0.0.1:1 max_fails=0; server 127.0.0.1:2 max_fails=0; }
upstream downs { server 127.0.0.1:1 down; server 127.0.0.1:2 down; }
upstream spare { server 127.0.0.1:1 max_fails=0; server UPSTREAM backup; }
server { LISTEN; server_name example.com; root SITE; proxy_read_timeout 300ms;
	log_format up '$upstream_addr|$upstream_status|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent|'
		'$upstream_http_content_length|$upstream_cookie_b|$status|$upstream_http_content_type|$connect_shape|$header_shape|$response_shape';
	access_log ACCESS up;
	location / { proxy_pass http://UPSTREAM; }
	location /hangs { proxy_read_timeout 150ms; proxy_pass http://UPSTREAM; }
	location /uri/ { proxy_pass http://UPSTREAM/base/; }
	location /uri2 { proxy_pass http://UPSTREAM/; }
	location /uri3/ { proxy_pass http://UPSTREAM?x=y; }
	location /enc { proxy_pass http://UPSTREAM/enc; }
	location ~ ^/re/(.*)$ { proxy_pass http://UPSTREAM; }
	location ~ ^/var/(.*)$ { proxy_pass http://UPSTREAM/$1$is_args$args; }
	location /var2 { set $up UPSTREAM; proxy_pass http://$up; }
	location /var3 { set $up keep; proxy_pass http://$up/three; }
	location /var4 { set $up nowhere.invalid; proxy_pass http://$up; }
	location /var5 { set $up ftp://x; proxy_pass $up; }
	location /break { rewrite ^/break/(.*)$ /other/$1?z=1 break; proxy_pass http://UPSTREAM; }
	location /break2 { rewrite ^/break2/(.*)$ /other/$1 break; proxy_pass http://UPSTREAM/uri; }
	location /last { rewrite ^/last/(.*)$ /hello? last; }
	location /if { if ($arg_p) { proxy_pass http://UPSTREAM; } return 200 "no"; }
	location /if2 { if ($arg_h) { add_header X-If yes; } proxy_pass http://UPSTREAM/if2; }
	location /except { limit_except GET { proxy_pass http://UPSTREAM; } return 200 "get"; }
	location /set { proxy_set_header Host $host; proxy_set_header X-Real $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		proxy_set_header Accept ""; proxy_set_header X-Empty $arg_none; proxy_set_header Connection ""; proxy_http_version 1.1; proxy_pass http://UPSTREAM/set; }
	location /method { proxy_method PUT; proxy_set_body "body $arg_b"; proxy_pass http://UPSTREAM; }
	location /get { proxy_method GET; proxy_pass http://UPSTREAM/hello; }
	location /nobody { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://UPSTREAM; }
	location /noheaders { proxy_pass_request_headers off; proxy_pass http://UPSTREAM; }
	location /keep/ { proxy_pass http://keep/; proxy_http_version 1.1; proxy_set_header Connection ""; }
	location /two/ { proxy_pass http://two/; }
	location /dead/ { proxy_pass http://dead/; }
	location /downs/ { proxy_pass http://downs/; }
	location /spare/ { proxy_pass http://spare/; }
	location /refused/ { proxy_pass http://127.0.0.1:1/; }
	location /nounix { proxy_pass http://unix:/nowhere/none:/x; }
	location /hide/ { proxy_hide_header X-A; proxy_pass_header Server; proxy_pass_header X-Pad; proxy_pass http://UPSTREAM/; }
	location /date/ { proxy_pass_header Date; proxy_pass_header Server; proxy_pass http://UPSTREAM/; }
	location /redirect/ { proxy_pass http://UPSTREAM/; }
	location /redirect2/ { proxy_redirect off; proxy_pass http://UPSTREAM/; }
	location /redirect3/ { proxy_redirect http://UPSTREAM/ http://front/; proxy_redirect ~^/(th)ere /$1ird/; proxy_redirect http://other /o$arg_x; proxy_pass http://UPSTREAM/; }
	location /redirect4/ { proxy_pass http://UPSTREAM; rewrite ^/redirect4(.*)$ $1 break; }
	location /redirect5/ { absolute_redirect off; proxy_pass http://UPSTREAM/; }
	location /cookie/ { proxy_cookie_domain example.com front.org; proxy_cookie_path /one/ /; proxy_cookie_path ~*^/TWO$ /2$arg_x; proxy_pass http://UPSTREAM/; }
	location /flags/ { proxy_cookie_flags one nosecure httponly samesite=strict; proxy_cookie_flags ~^tw(.)$ nohttponly samesite=$1 nosamesite; proxy_cookie_flags $arg_c secure httponly samesite=none;
		proxy_cookie_path / /x; proxy_pass http://UPSTREAM/; }
	location /known/ { source_charset koi8-r; proxy_pass http://UPSTREAM/; }
	location /known2/ { charset utf-8; proxy_pass http://UPSTREAM/; }
	location /force/ { proxy_force_ranges on; proxy_pass http://UPSTREAM/; }
	location /bind/ { proxy_bind 127.0.0.7; proxy_pass http://UPSTREAM/; }
	location /bind2/ { proxy_bind $arg_a; proxy_pass http://UPSTREAM/; }
	location /stream/ { proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://UPSTREAM/; }
	location /stream10/ { proxy_request_buffering off; proxy_pass http://UPSTREAM/; }
	location /streambody/ { proxy_request_buffering off; proxy_http_version 1.1; proxy_set_body x$request_length; proxy_pass http://UPSTREAM/; }
	location /pages/ { error_page 404 /a.html; error_page 500 502 504 = /b.txt; error_page 503 @named; error_page 401 =403 /a.html; proxy_intercept_errors on; proxy_pass http://UPSTREAM/; }
	location /nopages/ { error_page 404 /a.html; proxy_pass http://UPSTREAM/; }
	location /errors/ { error_page 502 504 = @named; proxy_pass http://UPSTREAM/; }
	location /ignore/ { proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering X-Accel-Charset X-Accel-Limit-Rate; proxy_pass http://UPSTREAM/; }
	location /unbuf/ { proxy_buffering off; proxy_pass http://UPSTREAM/; }
	location /small/ { proxy_buffers 4 4k; proxy_buffer_size 1k; proxy_pass http://UPSTREAM/; }
	location /next/ { proxy_next_upstream http_404 http_503; proxy_pass http://two/; }
	location = /slash/ { proxy_pass http://UPSTREAM; }
	location /auto/ { proxy_pass http://UPSTREAM; }
	location /added/ { add_header X-Up $upstream_status/$upstream_http_content_length always; expires 1h; proxy_pass http://UPSTREAM/; }
	location = /a.html { }
	location = /b.txt { }
	location /internal/ { internal; alias SITE/; }
	location @named { return 200 "named $upstream_status\n"; }
}
`

var proxyRequests = []string{
	"GET /hello", "HEAD /hello", "GET /hello?a=b|X: y|Accept: z", "GET /some/%7Euri%20x?q=%20|Cookie: a=b|TE: x|Keep-Alive: 5|Upgrade: h2c|Expect: 100-continue",
	"GET //a///b", "GET /a/../b/./c", "POST /post|Content-Length: 5|\nhello", "POST /post|Transfer-Encoding: chunked|\n5\r\nhello\r\n0\r\n\r\n",
	"PUT /put|Content-Length: 0", "DELETE /delete", "OPTIONS /options", "GET /until-close", "GET /http10", "HEAD /http10", "GET /no-header", "GET /chunked", "GET /pieces",
	"GET /204", "GET /304", "GET /404", "HEAD /404", "GET /401", "GET /418", "GET /500", "GET /503", "GET /noreason", "GET /lf", "GET /modified",
	"GET /modified|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", `GET /modified|If-None-Match: "e"`, "GET /type", "GET /type2",
	"GET /more", "GET /short", "GET /short10", "GET /badchunk", "GET /closes", "GET /closes2", "GET /resets", "GET /hangs", "GET /hangs2", "GET /hangs3", "GET /hangs4", "GET /hangs5", "GET /hangs6", "GET /hangs7", "GET /unbuf/hangs2", "GET /unbuf/hangs4", "GET /trailers",
	"GET /badheader", "GET /badheader2", "GET /badstatus", "GET /bigheader", "GET /second",
	"GET /uri/x/y?z", "GET /uri", "GET /uri2", "GET /uri2x%20y", "GET /uri3/abc?d", "GET /enc%20x/%2e%2e/y%3f?z", "GET /encx%25%20%3b", "GET /re/x%20y?z", "GET /var/x%20y?z", "GET /var/", "GET /var2/x%20y?z", "GET /var3/x?y",
	"GET /var4", "GET /var5", "GET /break/x%20y?a", "GET /break2/x%20y", "GET /last/x", "GET /if?p=1", "GET /if", "GET /if2?h=1", "GET /except", "POST /except|Content-Length: 2|\nhi",
	"GET /set?x|Accept: a|X-Forwarded-For: 1.2.3.4|X-Forwarded-For: 5.6.7.8", "POST /method?b=c|Content-Length: 3|\nabc", "HEAD /get", "POST /nobody|Content-Length: 3|\nabc", "GET /noheaders|X: y",
	"GET /keep/hello", "GET /keep/chunked", "GET /keep/x", "GET /keep/more", "GET /keep/hello", "GET /keep/closes", "GET /keep/hello", "HEAD /keep/hello", "GET /keep/304", "GET /keep/hello", "GET /keep/until-close",
	"POST /keep/x|Content-Length: 3|\nabc",
	"GET /two/hello", "GET /two/hello", "GET /two/closes", "GET /two/hello", "GET /dead/x", "POST /dead/x|Content-Length: 1|\nx", "GET /downs/x", "GET /spare/hello", "GET /refused/x", "GET /nounix", "GET /hide/hello", "GET /date/hello", "GET /date/chunked",
	"GET /redirect/location", "GET /redirect/location2", "GET /redirect/location3", "GET /redirect2/location", "GET /redirect2/location2", "GET /redirect2/location3",
	"GET /redirect3/location", "GET /redirect3/location2", "GET /redirect3/location3?x=1", "GET /redirect4/location", "GET /redirect5/location", "GET /cookie/cookies?x=1", "GET /cookies",
	"GET /pages/404", "GET /pages/500", "GET /pages/503", "GET /pages/401", "GET /pages/closes", "GET /pages/418", "GET /nopages/404", "GET /errors/closes", "GET /errors/hangs",
	"GET /accel", "HEAD /accel", "GET /accel2", "GET /accel3", "GET /accel4", "GET /ignore/accel", "GET /ignore/unbuffered", "GET /unbuffered", "GET /unbuf/pieces", "GET /unbuf/chunked", "GET /unbuf/big", "HEAD /unbuf/hello",
	"GET /flags/cookies2", "GET /flags/cookies2?c=FOUR", "GET /flags/cookies", "GET /charset", "GET /charset2", "GET /charset3", "GET /ignore/charset", "GET /known/charset", "GET /known/charset2", "GET /known2/charset3", "GET /known/hello",
	"GET /ranges|Range: bytes=2-4", "GET /force/ranges|Range: bytes=2-4", "GET /force/ranges2|Range: bytes=2-4", "GET /force/ranges|Range: bytes=0-1,3-4", "GET /force/ranges",
	"GET /bind/hello", "GET /bind2/hello?a=127.0.0.8", "GET /bind2/hello", "GET /bind2/hello?a=x", "GET /bind2/hello?a=9.9.9.9",
	"POST /stream/a|Content-Length: 5|\nhello", "POST /stream/a|Transfer-Encoding: chunked|\n5\r\nhello\r\n0\r\n\r\n", "PUT /stream/a", "POST /stream/a|Content-Length: 0",
	"POST /stream10/a|Content-Length: 5|\nhello", "POST /stream10/a|Transfer-Encoding: chunked|\n5\r\nhello\r\n0\r\n\r\n", "POST /streambody/a|Content-Length: 5|\nhello",
	"POST /stream/a|Content-Length: 5|Expect: 100-continue|\nhello", "POST /stream/closes|Content-Length: 5|\nhello", "POST /stream/a|Transfer-Encoding: chunked|\nx\r\n",
	"GET /big", "GET /small/big", "GET /small/bigheader",
	"GET /next/404", "GET /next/404", "GET /slash", "GET /slash/", "GET /auto", "GET /added/hello", "GET /added/404",
	"GET /hello HTTP/1.0\r\n\r\n", "GET /chunked HTTP/1.0\r\n\r\n", "GET /until-close HTTP/1.0\r\n\r\n", "GET /hello\r\n",
}

// joinChunks makes one chunk of the first ones of a body: how a stream is cut depends on time.
func joinChunks(s string) string {
	header, body, ok := strings.Cut(s, "\r\n\r\n")
	if !ok || !strings.Contains(header, "\r\nTransfer-Encoding: chunked") {
		return s
	}
	all := ""
	for {
		size, rest, ok := strings.Cut(body, "\r\n")
		n, err := strconv.ParseInt(size, 16, 32)
		if !ok || err != nil || n == 0 || int(n)+2 > len(rest) {
			return header + "\r\n\r\n" + all + "|" + body
		}
		all += rest[:n]
		body = rest[n+2:]
	}
}

// sameStreams is sameAnswers for bodies that may come in other pieces.
func sameStreams(t *testing.T, http string, requests []string, logs ...string) {
	t.Helper()
	(&differential{
		site: makeSite(t), http: http, level: "notice", requests: requests, checked: true, logs: logs,
		shown: func(_ *testing.T, answer string) string { return joinChunks(plainChunks(answer)) },
		line: func(line string) string {
			return strings.ReplaceAll(plainError(line), "epoll_wait() reported that ", "")
		},
	}).run(t)
}

// TestProxyAsNginx compares answers, access log and error log with nginx's.
func TestProxyAsNginx(t *testing.T) {
	up := scriptedFor(t)
	config := strings.ReplaceAll(proxyServer, "UPSTREAM", up.addr)
	begin, end := strings.Index(config, "\tlog_format up"), strings.Index(config, "\taccess_log")
	shapes := ""
	for _, name := range []string{"connect", "header", "response"} {
		shapes += "map $upstream_" + name + "_time $" + name + `_shape { "" none; "~^[0-9.]+$" N; "~^-$" -; "~^[0-9.]+, [0-9.]+$" "N, N"; "~^-, [0-9.]+$" "-, N"; "~^[0-9.]+, -$" "N, -"; ` +
			`"~^-, -$" "-, -"; "~^[0-9.]+, [0-9.]+, [0-9.]+$" "N, N, N"; "~^[0-9.]+ : [0-9.]+$" "N : N"; default $upstream_` + name + "_time; }\n"
	}
	config = shapes + config[begin:end] + config[:begin] + strings.Replace(config[end:], "ACCESS", "LOGS/up", 1)
	sameStreams(t, config, proxyRequests, "up")
}
