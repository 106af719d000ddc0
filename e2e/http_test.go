package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const luaEcho = `
	location /echo {
		content_by_lua_block {
			ngx.req.read_body()
			local data = ngx.req.get_body_data()
			if not data then
				local file = ngx.req.get_body_file and ngx.req.get_body_file()
				if file then
					local f = assert(io.open(file, "rb"))
					data = f:read("*a")
					f:close()
				end
			end
			ngx.print(data or "")
		}
	}
`

func TestKeepAliveAndPipelining(t *testing.T) {
	s := start(t, config{servers: `
		location /a { return 200 "A"; }
		location /b { content_by_lua_block { ngx.sleep(0.01) ngx.print("B") } }
		location /few { keepalive_requests 3; return 200 "F"; }
		location /none { keepalive_timeout 0; return 200 "N"; }
	` + luaEcho})
	c := s.dial()
	for range 5 {
		c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").expect(t, 200, "A")
	}
	// Several at once, with bodies between them, one of them cut in the middle.
	c.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHo")
	for _, want := range []string{"B", "A", "hello"} {
		c.read("GET").expect(t, 200, want)
	}
	c.send("st: x\r\n\r\n").read("GET").expect(t, 200, "B")

	// A body that nobody reads is taken out of the way.
	c.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nignoredGET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	c.read("POST").expect(t, 200, "A")
	c.read("GET").expect(t, 200, "A")

	r := c.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").read("GET").expect(t, 200, "A")
	if r.header.Get("Connection") != "close" {
		t.Errorf("%s", r.raw)
	}
	c.closed()

	c = s.dial()
	for i := range 3 {
		r := c.send("GET /few HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").expect(t, 200, "F")
		if got, want := r.header.Get("Connection"), []string{"keep-alive", "keep-alive", "close"}[i]; got != want {
			t.Errorf("request %d: Connection: %s", i+1, got)
		}
	}
	c.closed()
	c = s.dial()
	if r := c.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"); r.header.Get("Connection") != "close" {
		t.Errorf("%s", r.raw)
	}
	c.closed()

	// HTTP/1.0 closes unless it asks for more.
	c = s.dial()
	if r := c.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").read("GET").expect(t, 200, "A"); r.header.Get("Connection") != "keep-alive" {
		t.Errorf("%s", r.raw)
	}
	c.send("GET /a HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "A")
	c.closed()
}

func TestHead(t *testing.T) {
	s := start(t, config{servers: `
		location /r { return 200 "body"; }
		location /l { content_by_lua_block { ngx.say("body") } }
		location /length { content_by_lua_block { ngx.header.content_length = 5 ngx.say("body") } }
	`})
	c := s.dial()
	for path, length := range map[string]string{"/r": "4", "/l": "", "/length": "5", "/none": "", "/r?again": "4"} {
		r := c.send("HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n").read("HEAD")
		if path == "/none" {
			if r.status != 404 {
				t.Errorf("%s: %s", path, r.raw)
			}
			continue
		}
		if r.status != 200 || r.header.Get("Content-Length") != length {
			t.Errorf("%s: %s", path, r.raw)
		}
	}
	c.send("GET /r HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").expect(t, 200, "body")
}

func TestChunked(t *testing.T) {
	s := start(t, config{servers: `
		location /out { content_by_lua_block {
			for i = 1, 3 do ngx.print("part ", i, ";") ngx.flush(true) end
		} }
	` + luaEcho})
	c := s.dial()
	r := c.send("GET /out HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").expect(t, 200, "part 1;part 2;part 3;")
	if !r.chunked || r.header.Get("Content-Length") != "" {
		t.Errorf("%s", r.raw)
	}
	for _, body := range []string{
		"5\r\nhello\r\n0\r\n\r\n",
		"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
		"5;ext=1\r\nhello\r\n0;last\r\n\r\n",
		"00005\r\nhello\r\n000\r\n\r\n",
		"2\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: yes\r\nAnother: t\r\n\r\n",
	} {
		c.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
		c.read("POST").expect(t, 200, "hello")
	}
	// The same, a byte at a time.
	for _, b := range "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n" {
		c.send(string(b))
	}
	c.read("POST").expect(t, 200, "0123456789")
	big := strings.Repeat("x", 300_000)
	c.send(fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(big), big))
	c.read("POST").expect(t, 200, big)

	// To HTTP/1.0 nothing is chunked: the end of the connection ends the body.
	raw := s.dial().send("GET /out HTTP/1.0\r\n\r\n").all()
	if !strings.HasSuffix(raw, "\r\n\r\npart 1;part 2;part 3;") || strings.Contains(raw, "chunked") {
		t.Errorf("%q", raw)
	}
}

func TestBodies(t *testing.T) {
	s := start(t, config{
		http: "client_max_body_size 1m; client_body_buffer_size 8k;",
		servers: luaEcho + `
		location /small { client_max_body_size 10; ` + strings.TrimPrefix(strings.TrimSpace(luaEcho), "location /echo {"),
	})
	c := s.dial()
	for _, n := range []int{0, 1, 4096, 8192, 8193, 100_000, 1 << 20} {
		body := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		c.send(fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n)).send(body)
		if r := c.read("POST"); r.status != 200 || r.body != body {
			t.Errorf("%d bytes: status %d, %d bytes back", n, r.status, len(r.body))
		}
	}
	s.post("/small", "0123456789").expect(t, 200, "0123456789")
	from := s.logSize()
	s.post("/small", "0123456789a").expect(t, 413, errorPage("413 Request Entity Too Large"))
	s.waitLog(from, "client intended to send too large body: 11 bytes")
	s.dial().send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n").read("POST").expect(t, 413, errorPage("413 Request Entity Too Large"))

	r := c.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if got := r.read("POST"); got.line != "HTTP/1.1 100 Continue" {
		t.Errorf("%s", got.raw)
	}
	c.send("body").read("POST").expect(t, 200, "body")
}

// TestBadRequests is what must be refused, and the connection closed so that
// nothing of it can be taken for a second request.
func TestBadRequests(t *testing.T) {
	s := start(t, config{servers: `location / { return 200 "OK"; }` + luaEcho})
	const next = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct{ name, request string }{
		{"no host", "GET / HTTP/1.1\r\n\r\n"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
		{"bad host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		{"host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{"bad method", "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"method with bracket", "GE[T / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"no version number", "GET / HTTP/\r\nHost: a\r\n\r\n"},
		{"not http", "GET / HTPT/1.1\r\nHost: a\r\n\r\n"},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
		{"relative uri", "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"null in uri", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"encoded null in uri", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"cut escape", "GET /%a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"null in header", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"},
		{"bare CR in line", "GET / HTTP/1.1\rHost: a\r\n\r\n"},
		{"space before colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n"},
		{"space in name", "GET / HTTP/1.1\r\nHost: a\r\nX y: 5\r\n\r\n"},
		{"folded header", "GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n"},
		{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"},
		{"control in name", "GET / HTTP/1.1\r\nHost: a\r\nX\x01: x\r\n\r\n"},
		{"two lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + next},
		{"the same length twice", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + next},
		{"list of lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello" + next},
		{"negative length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n" + next},
		{"signed length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello" + next},
		{"hex length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello" + next},
		{"empty length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n" + next},
		{"overflowing length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello" + next},
		{"length and chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next},
		{"chunked and length", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + next},
		{"chunked in 1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next},
		{"two transfer encodings", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next},
		{"bad chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n" + next},
		{"negative chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n" + next},
		{"prefixed chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + next},
		{"overflowing chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n" + next},
		{"chunk without end", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n" + next},
		{"chunk longer than its size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n" + next},
	} {
		raw := s.dial().send(tt.request).all()
		status, _, _ := strings.Cut(strings.TrimPrefix(raw, "HTTP/1.1 "), "\r\n")
		if status != "400 Bad Request" {
			t.Errorf("%s: %q", tt.name, raw)
		}
		if strings.Count(raw, "HTTP/1.1 ") > 1 {
			t.Errorf("%s: more than one response: %q", tt.name, raw)
		}
	}
	raw := s.dial().send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + next).all()
	if !strings.HasPrefix(raw, "HTTP/1.1 501 Not Implemented\r\n") || strings.Count(raw, "HTTP/1.1 ") > 1 {
		t.Errorf("unknown transfer encoding: %q", raw)
	}
	s.get("/").expect(t, 200, "OK")
}

func TestGoodOddRequests(t *testing.T) {
	s := start(t, config{servers: `location / { return 200 "$uri|$args|$host|$request_uri"; }`})
	for request, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":                                                                    "/|||/",
		"GET /a%20b?x=%20 HTTP/1.1\r\nHost: A.Example:80\r\n\r\n":                                   "/a b|x=%20|a.example|/a%20b?x=%20",
		"GET http://Other.test/x/../y?z HTTP/1.1\r\nHost: a\r\n\r\n":                                "/y|z|other.test|/x/../y?z",
		"\r\nGET /crlf HTTP/1.1\r\nHost: a\r\n\r\n":                                                 "/crlf||a|/crlf",
		"GET /sp HTTP/1.1\r\nHost:   a   \r\nX-Empty:\r\n\r\n":                                      "/sp||a|/sp",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":                                                     "",
		"GET /under HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nX-Y: 2\r\n\r\n":                                "/under||a|/under",
		"GET //a//b/./c/../d?//e HTTP/1.1\r\nHost: a\r\n\r\n":                                       "/a/b/d|//e|a|//a//b/./c/../d?//e",
		"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n":                                                     "/pot||a|/pot",
		"GET /v HTTP/1.9\r\nHost: [::1]:80\r\n\r\n":                                                 "/v||[::1]|/v",
		"GET /%7Euser/%41 HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("l", 2000) + "\r\n\r\n": "/~user/A||a|/%7Euser/%41",
	} {
		if want == "" {
			continue
		}
		r := s.dial().send(request).read("GET")
		if host := strings.Split(want, "|")[2]; host == "" {
			want = strings.Replace(want, "|||", "||"+r.hostOf()+"|", 1)
		}
		if r.status != 200 || r.body != want {
			t.Errorf("%q: %d %q, want %q", request, r.status, r.body, want)
		}
	}
}

// hostOf is the host in the body of TestGoodOddRequests: without a Host field
// it is the name of the server, which may be empty.
func (r *reply) hostOf() string {
	if f := strings.Split(r.body, "|"); len(f) == 4 {
		return f[2]
	}
	return ""
}

func TestHeaderLimits(t *testing.T) {
	s := start(t, config{
		http:    "client_header_buffer_size 1k; large_client_header_buffers 2 4k;",
		servers: `location / { return 200 "OK"; }`,
	})
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, request string
		status        int
		title         string
	}{
		{"line in the small buffer", "GET /" + long(900) + " HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"line in a large buffer", "GET /" + long(3900) + " HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"line too long", "GET /" + long(5000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "414 Request-URI Too Large"},
		{"header in a large buffer", "GET / HTTP/1.1\r\nHost: a\r\nX: " + long(3900) + "\r\n\r\n", 200, ""},
		{"header too long", "GET / HTTP/1.1\r\nHost: a\r\nX: " + long(5000) + "\r\n\r\n", 400, "400 Request Header Or Cookie Too Large"},
		{"too many headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+long(100)+"\r\n", 100) + "\r\n", 400, "400 Request Header Or Cookie Too Large"},
	} {
		c := s.dial()
		r := c.send(tt.request).read("GET")
		c.Close()
		if r.status != tt.status || tt.title != "" && !strings.Contains(r.body, "<title>"+tt.title+"</title>") {
			t.Errorf("%s: %d %q", tt.name, r.status, r.body)
		}
	}
	// Inside it is 494, which error_page can name; the client and the log see 400.
	s.waitFor("the access log", func() bool {
		return strings.Count(s.readFile("logs/access.log"), `HTTP/1.1" 400 `) == 2
	})
}

func TestTimeouts(t *testing.T) {
	s := start(t, config{
		http:    "client_header_timeout 300ms; client_body_timeout 300ms; keepalive_timeout 300ms;",
		servers: `location / { return 200 "OK"; }` + luaEcho,
	})
	s.dial().closed()
	raw := s.dial().send("GET / HTTP/1.1\r\nHost:").all()
	if raw != "" {
		t.Errorf("a header that does not come is answered with %q", raw)
	}
	raw = s.dial().send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").all()
	if !strings.HasPrefix(raw, "HTTP/1.1 408 ") && raw != "" {
		t.Errorf("a body that does not come is answered with %q", raw)
	}
	s.waitFor("408 in the access log", func() bool { return strings.Contains(s.readFile("logs/access.log"), `" 408 `) })
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").read("GET").expect(t, 200, "OK")
	c.closed()
}
