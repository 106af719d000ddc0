package http

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
	"perilune/worker/loop"
)

// startServer runs a server of this package, in this process, with the same text as startNginx would get.
func startServer(t *testing.T, dir, servers string) []string {
	t.Helper()
	n := strings.Count(servers, "LISTEN")
	servers = strings.ReplaceAll(strings.ReplaceAll(servers, "LISTEN", "listen 127.0.0.1:PORT"), "DIR", dir)
	var sockets []int
	var addrs []string
	for range n {
		fd, port := listenSocket(t)
		sockets = append(sockets, fd)
		servers = strings.Replace(servers, "PORT", port, 1)
		addrs = append(addrs, "127.0.0.1:"+port)
	}
	file := filepath.Join(dir, "perilune.conf")
	text := "error_log " + dir + "/our-error.log info;\nevents {}\nhttp { access_log off;\n" + servers + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := logging.New()
	cycle, err := conf.Load(conf.Options{Prefix: dir, ConfFile: file, Modules: append(conf.Modules(), Modules()...), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := cycle.Files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	log.Add(cycle.Files.Open(dir+"/our-error.log"), logging.Info, 0)
	for _, ls := range cycle.Listening {
		for i, a := range addrs {
			if ls.Addr == a {
				ls.FDs = []int{sockets[i]}
			}
		}
	}
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	makeZones(t, cycle)
	s, err := NewServer(l, cycle, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.Stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, fd := range sockets {
			_ = unix.Close(fd)
		}
		cycle.Files.CloseAll()
	})
	return addrs
}

// makeZones makes the shared memory that a configuration asks for.
func makeZones(t testing.TB, cycle *conf.Cycle) {
	t.Helper()
	for _, z := range cycle.Zones {
		m, err := shm.Create(z.Name, z.Size)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		z.Memory = m
	}
}

func listenSocket(t *testing.T) (fd int, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	_ = f.Close()
	_ = ln.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return fd, port
}

var (
	dateHeader = regexp.MustCompile(`\r\nDate: [^\r]*`)
	boundaries = regexp.MustCompile(`0000000000\d{10}`)
	ports      = regexp.MustCompile(`(127\.0\.0\.1|example\.com):\d+`)
	pageLength = regexp.MustCompile(`(HTTP/1.1 [345](?:[^\r]*\r\n)*?Content-Length: )\d+`)
	versions   = regexp.MustCompile(`(Server: |<center>)(nginx|perilune)(/[0-9.]+)?`)
)

// plain takes out of an answer what must differ.
func plain(s string) string {
	s = dateHeader.ReplaceAllString(s, "\r\nDate: X")
	s = pageLength.ReplaceAllString(s, "${1}N") // the names of the products differ in length
	s = boundaries.ReplaceAllString(s, "BOUNDARY")
	s = ports.ReplaceAllString(s, "$1:PORT")
	return versions.ReplaceAllString(s, "${1}product")
}

// makeSite makes the files that the tests ask for.
func makeSite(t *testing.T) string {
	t.Helper()
	dir := fixedDir(t)
	for name, text := range map[string]string{
		"a.html":           "<p>hello</p>\n",
		"b.txt":            strings.Repeat("0123456789", 1000),
		"empty.gif":        "",
		"noext":            "x",
		"UP.HTML":          "up",
		"sub/index.html":   "index",
		"two/second.html":  "second",
		"none/file":        "",
		"sp ace/x.html":    "space",
		"other/deep/f.jpg": "jpg",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1700000000, 0)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const goldenServer = `
server {
	LISTEN; server_name example.com;
	log_format full '$remote_addr|$host|$request|$status|$body_bytes_sent|$http_x|$uri|$args|$arg_b|$cookie_c|$sent_http_content_type|'
		'$sent_http_content_length|$sent_http_location|$request_method|$server_protocol|$scheme|$https|$is_args|$query_string|'
		'$document_uri|$remote_user|$content_type|$content_length|$request_length|$server_name|$request_completion|$pipe|'
		'$connection_requests|$bytes_sent|$sent_http_connection|$sent_http_last_modified|$sent_http_etag|$request_uri|$server_addr|';
	log_format json escape=json '{"x":"$http_x","none":"$http_none"}';
	log_format none escape=none '$http_x|$http_none';
	access_log LOGS/access full;
	access_log LOGS/access json;
	access_log LOGS/access none if=$arg_none;
	root SITE;
	index index.html second.html;
	location /two/ { }
	location /return/200 { return 200 "hello $arg_a ${uri}tail\n"; }
	location /return/type { default_type text/html; return 200 "<p>"; }
	location /return/empty { return 200; }
	location /return/204 { return 204; }
	location /return/204t { return 204 "text"; }
	location /return/301 { return 301 /there?$args; }
	location /return/302 { return 302 http://other/$host; }
	location /return/307 { return 307 there; }
	location /return/308 { return 308 https://x/; }
	location /return/url { return http://u/$request_uri; }
	location /return/404 { return 404; }
	location /return/404t { return 404 "not here"; }
	location /return/500 { return 500; }
	location /return/418 { return 418; }
	location /return/444 { return 444; }
	location /relative { absolute_redirect off; return 301 /there; }
	location ~ ^/re/(?<word>\w+)/(\d+) { return 200 "$1 $2 $word\n"; }
	location /vars { return 200 "$document_root $request_filename $binary_remote_addr $nginx_version.$realpath_root"; }
	location /types { types { text/special html; } default_type a/b; alias SITE/; }
	location /aliased/ { alias SITE/sub/; }
	location ~ ^/aliasre/(.*)$ { alias SITE/$1; }
	location /noetag { etag off; alias SITE; }
	location /before { if_modified_since before; alias SITE; }
	location /norange { max_ranges 0; alias SITE; }
	location /onerange { max_ranges 1; alias SITE; }
	location /varroot { root SITE/$arg_d; }
	location = /exact { return 200 exact; }
	location /nested/ { location /nested/in { return 200 in; } return 200 out; }
	location /img { return 200 img; location ~ \.png$ { return 200 png; } }
}
server { LISTEN; server_tokens off; root SITE; location /x { return 404; } }
`

// goldenRequests are what both servers are asked; lines without a version get HTTP/1.1 with Host and Connection: close.
var goldenRequests = []string{
	"GET /a.html", "HEAD /a.html", "POST /a.html", "PUT /a.html", "DELETE /a.html", "OPTIONS /a.html", "TRACE /a.html",
	"GET /b.txt", "GET /empty.gif", "GET /noext", "GET /UP.HTML", "GET /missing", "GET /missing/", "GET /a.html/", "GET /a.html/b",
	"GET /sub/", "GET /sub", "GET /sub?x=1", "HEAD /sub/", "POST /sub/", "GET /two/", "GET /none/", "GET /sp%20ace", "GET /sp%20ace/x.html",
	"GET /other/deep/f.jpg", "GET /other/deep/../deep/f.jpg", "GET /fifo", "GET /" + strings.Repeat("n", 300),
	"GET /return/200?a=1", "HEAD /return/200", "POST /return/200", "GET /return/type", "GET /return/empty", "GET /return/204",
	"GET /return/204t", "GET /return/301?q=1", "GET /return/302", "GET /return/307", "GET /return/308", "GET /return/url?z",
	"HEAD /return/301", "GET /return/404", "GET /return/404t", "HEAD /return/404", "GET /return/500", "GET /return/418", "GET /return/444",
	"GET /relative", "GET /re/abc/12", "GET /re/abc/x", "GET /types/a.html", "GET /types/b.txt",
	"GET /aliased/", "GET /aliased/index.html", "GET /aliased", "GET /aliasre/a.html", "GET /noetag/a.html", "GET /norange/a.html",
	"GET /varroot/deep/f.jpg?d=other", "GET /varroot/?d=none", "GET /exact", "GET /exact/", "GET /nested/", "GET /nested/in", "GET /img/a", "GET /img/a.png",
	"GET /a.html HTTP/1.0\r\n\r\n", "GET /a.html\r\n", "GET /missing\r\n", "GET /sub HTTP/1.0\r\n\r\n",
	"GET http://example.com/sub HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET /a.html HTTP/1.1\r\nConnection: close\r\n\r\n",
	"GET /%2e%2e/a.html", "GET /..%2fa.html", "GET /x/..%2f..%2fa.html", "GET /%00", "GET //a.html", "GET /./a.html", "GET /a.html?#x",
	"GET /missing|User-Agent: Chrome/1", "GET /missing|User-Agent: x (MSIE 6.0; y)", "GET /return/301|User-Agent: Chrome/1",
	"GET /a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "GET /a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT",
	"GET /before/a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT", "GET /a.html|If-Modified-Since: junk",
	"HEAD /a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
	"GET /a.html|If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT", "GET /a.html|If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
	`GET /a.html|If-None-Match: "6553f100-d"`, `GET /a.html|If-None-Match: "x", W/"6553f100-d"`, `GET /a.html|If-None-Match: *`,
	`GET /a.html|If-None-Match: "x"`, `GET /a.html|If-Match: "6553f100-d"`, `GET /a.html|If-Match: "x"`, `GET /a.html|If-Match: *`,
	`GET /noetag/a.html|If-Match: "x"`, `GET /return/200|If-Match: "x"`, `GET /return/200|If-None-Match: *`, `GET /return/404t|If-Match: "x"`,
	"GET /return/200|If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT", "GET /return/200|If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT",
	"GET /b.txt|Range: bytes=0-9", "GET /b.txt|Range: bytes=-5", "GET /b.txt|Range: bytes=9990-", "GET /b.txt|Range: bytes=10000-",
	"GET /b.txt|Range: bytes=0-0,9999-9999", "GET /b.txt|Range: bytes=1-2,3-4,5-6", "GET /b.txt|Range: x", "GET /b.txt|Range: bytes=x",
	"GET /onerange/b.txt|Range: bytes=0-0,2-2", "GET /norange/b.txt|Range: bytes=0-0", "HEAD /b.txt|Range: bytes=0-9",
	"HEAD /b.txt|Range: bytes=0-0,9999-9999", "GET /b.txt|Range: bytes=0-", "GET /empty.gif|Range: bytes=0-0",
	`GET /b.txt|Range: bytes=0-9|If-Range: "6553f100-2710"`, `GET /b.txt|Range: bytes=0-9|If-Range: "x"`,
	"GET /b.txt|Range: bytes=0-9|If-Range: Tue, 14 Nov 2023 22:13:20 GMT", "GET /b.txt|Range: bytes=0-9|If-Range: Tue, 14 Nov 2023 22:13:21 GMT",
	"GET /return/200?a=1&b=2&none=1|X: a\"b\\c\x01\xff\td|Cookie: d=1; C=2|Content-Type: t/t",
	"GET /return/200?B=2|Cookie: c2=1;c = 7 ;|Authorization: Basic dXNlcjpwYXNz", "GET /return/200|Authorization: Basic !!", "GET /return/200?a|X: ",
	"POST /return/200|Content-Length: 5|\nhello", "POST /a.html|Content-Length: 5|\nhello", "POST /return/404|Transfer-Encoding: chunked|\n5\r\nhello\r\n0\r\n\r\n",
}

// rawRequests are sent as they are: what may and what must not be accepted. Where nginx accepts a bare LF or CR we do not.
var rawRequests = []string{
	"FOO /a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"F-_O /return/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"get / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", "GET / HTTP\r\n\r\n",
	"GET /return/200 HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n", "POST /\r\n", "GET /return/200\r\n", "HEAD /\r\n",
	"\r\n\r\nGET /return/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET /return/200   HTTP/1.1  \r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET http://EXAMPLE.com:99/return/200 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
	"GET http://example.com?x HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
	"GET http://a..b/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET ftp://a/return/200 HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: A.B.:80\r\nConnection: close\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: a\r\na_b: 1\r\na(b: 1\r\nNoColon\r\nConnection: close\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\nx", "POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", "POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\nConnection: close\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nx\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-Match: a\r\nIf-Match: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
	"GET /" + strings.Repeat("u", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("h", 9000) + "\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("h", 7000) + "\r\nConnection: close\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("Y: "+strings.Repeat("h", 4000)+"\r\n", 12) + "\r\n",
	"GET /return/200?" + strings.Repeat("u", 3000) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET /return/200 HTTP/1.1\r\nHost: a\r\n\r\nGET /exact HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"POST /return/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /exact HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

// wire makes the bytes of a golden request.
func wire(r string) string {
	if strings.ContainsAny(r, "\r\x16") && !strings.Contains(r, "|") {
		return r
	}
	r, body, _ := strings.Cut(r, "|\n")
	parts := strings.Split(r, "|")
	return parts[0] + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n" +
		strings.Join(append(parts[1:], ""), "\r\n") + "\r\n" + body
}

// TestGolden compares whole answers and log lines with nginx's.
func TestGolden(t *testing.T) {
	config := goldenServer
	// log_format belongs to the http block.
	begin := strings.Index(config, "\tlog_format full")
	end := strings.Index(config, "\taccess_log")
	config = config[begin:end] + config[:begin] + config[end:]
	(&differential{
		site: makeSite(t), http: config, level: "info", requests: append(goldenRequests, rawRequests...), checked: true,
		shown: func(_ *testing.T, answer string) string { return plain(answer) },
		line:  plainError, logs: []string{"access"},
	}).run(t)
}

// checkLength compares the body's length with Content-Length.
func checkLength(t *testing.T, request, answer string) {
	t.Helper()
	header, body, _ := strings.Cut(answer, "\r\n\r\n")
	_, length, found := strings.Cut(header, "\r\nContent-Length: ")
	length, _, _ = strings.Cut(length, "\r\n")
	if found && !strings.Contains(request, "/hangs") && !strings.Contains(request, "/short") && !strings.HasPrefix(request, "HEAD") && !strings.HasPrefix(header, "HTTP/1.1 304") && !strings.Contains(body, "HTTP/1.1 ") && length != strconv.Itoa(len(body)) {
		t.Errorf("%q: Content-Length %s, body of %d bytes", request, length, len(body))
	}
}

func compareLogs(t *testing.T, dir, their, our string, plain func(string) string) {
	t.Helper()
	read := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		return slices.DeleteFunc(lines, func(line string) bool {
			return strings.Contains(line, "while waiting for request") // our own asking whether it is up
		})
	}
	theirs, ours := read(their), read(our)
	if len(ours) != len(theirs) {
		t.Errorf("%d lines, nginx has %d", len(ours), len(theirs))
	}
	for i := range min(len(ours), len(theirs)) {
		if a, b := plain(ours[i]), plain(theirs[i]); a != b {
			t.Errorf("%s, line %d (%d and %d bytes):\n%s\nnginx:\n%s", our, i, len(a), len(b), cutText(a), cutText(b))
		}
	}
}

// plainLine takes out of a line of the format "full" the lengths of what has the product's name in it.
func plainLine(line string) string {
	const status, bodySent, length, completion, sent = 3, 4, 11, 25, 28
	fields := strings.Split(plain(line), "|")
	if len(fields) > sent {
		fields[sent] = "N"
		if fields[status] >= "300" {
			fields[bodySent], fields[length] = "N", "N"
		}
		if fields[status] == "412" {
			fields[completion] = "" // nginx forgets it when a filter answers
		}
	}
	return strings.Join(fields, "|")
}

var errorPrefix = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+: \*\d+ `)

// plainError takes time, PID and connection out; of a line that has been cut their lengths decide where.
func plainError(line string) string {
	line = errorPrefix.ReplaceAllString(plain(line), "$1 ")
	return line[:min(len(line), 1900)]
}

func cutText(s string) string {
	if len(s) > 900 {
		return s[:900] + "…"
	}
	return s
}
