package e2e

import (
	"strings"
	"testing"
)

func product() string {
	if againstReal {
		return "nginx/1.22.1"
	}
	return "perilune/0.1.0"
}

func errorPage(title string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n<hr><center>" + product() + "</center>\r\n</body>\r\n</html>\r\n"
}

func TestReturn(t *testing.T) {
	s := start(t, config{servers: `
		location = /200 { return 200 "hello\n"; }
		location = /204 { return 204; }
		location = /301 { return 301 /there; }
		location = /302 { return 302 http://example.com/x?$args; }
		location = /403 { return 403; }
		location = /418 { return 418 "a $request_method of $uri"; }
		location = /typed { default_type text/html; return 200 "<p>"; }
	`})
	r := s.get("/200").expect(t, 200, "hello\n")
	if got, want := strings.Join(r.names, " "), "Server Date Content-Type Content-Length Connection"; got != want {
		t.Errorf("header fields %s, want %s", got, want)
	}
	if r.line != "HTTP/1.1 200 OK" || r.header.Get("Server") != product() ||
		r.header.Get("Content-Type") != "text/plain" || r.header.Get("Content-Length") != "6" {
		t.Errorf("%s", r.raw)
	}
	s.get("/204").expect(t, 204, "")
	r = s.get("/301").expect(t, 301, errorPage("301 Moved Permanently"))
	if got, want := r.header.Get("Location"), "http://localhost:"+s.expand("PORT")+"/there"; got != want {
		t.Errorf("Location: %s, want %s", got, want)
	}
	if r := s.get("/302?a=1"); r.status != 302 || r.header.Get("Location") != "http://example.com/x?a=1" {
		t.Errorf("%s", r.raw)
	}
	s.get("/403").expect(t, 403, errorPage("403 Forbidden"))
	s.get("/418").expect(t, 418, "a GET of /418")
	if r := s.get("/typed"); r.header.Get("Content-Type") != "text/html" {
		t.Errorf("%s", r.raw)
	}
}

func TestStaticFiles(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	s := start(t, config{
		http: "types { text/html html; text/plain txt; }\ndefault_type application/octet-stream;",
		servers: `
			location / { root html; }
			location /other/ { root PREFIX/more; }
		`,
		files: map[string]string{
			"html/a.txt":        "text\n",
			"html/b.html":       "<p>",
			"html/c.bin":        "bin",
			"html/big.txt":      big,
			"html/empty.txt":    "",
			"html/dir/d.txt":    "d",
			"html/sp ace.txt":   "space",
			"more/other/x.html": "x",
			"secret.txt":        "secret",
		},
	})
	for _, tt := range []struct {
		path, body, ctype string
		status            int
	}{
		{"/a.txt", "text\n", "text/plain", 200},
		{"/b.html", "<p>", "text/html", 200},
		{"/c.bin", "bin", "application/octet-stream", 200},
		{"/big.txt", big, "text/plain", 200},
		{"/empty.txt", "", "text/plain", 200},
		{"/dir/d.txt", "d", "text/plain", 200},
		{"/sp%20ace.txt", "space", "text/plain", 200},
		{"/other/x.html", "x", "text/html", 200},
		{"/dir/../a.txt", "text\n", "text/plain", 200},
		{"//dir//./d.txt", "d", "text/plain", 200},
		{"/a.txt?query#frag", "text\n", "text/plain", 200},
		{"/none.txt", errorPage("404 Not Found"), "text/html", 404},
		{"/dir", errorPage("301 Moved Permanently"), "text/html", 301},
		{"/../secret.txt", errorPage("400 Bad Request"), "text/html", 400},
		{"/dir/../../secret.txt", errorPage("400 Bad Request"), "text/html", 400},
		{"/%2e%2e/secret.txt", errorPage("400 Bad Request"), "text/html", 400},
		{"/dir/%2e%2e%2f%2e%2e/secret.txt", errorPage("400 Bad Request"), "text/html", 400},
		{"/a.txt%00.html", errorPage("400 Bad Request"), "text/html", 400},
	} {
		r := s.get(tt.path)
		if r.status != tt.status || r.body != tt.body || r.header.Get("Content-Type") != tt.ctype {
			t.Errorf("%s: %d %s %.80q, want %d %s %.80q", tt.path, r.status, r.header.Get("Content-Type"),
				r.body, tt.status, tt.ctype, tt.body)
		}
	}
	r := s.get("/a.txt")
	want := "Server Date Content-Type Content-Length Last-Modified Connection ETag Accept-Ranges"
	if got := strings.Join(r.names, " "); got != want {
		t.Errorf("header fields %s, want %s", got, want)
	}
	c := s.dial()
	c.send("HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if r := c.read("HEAD"); r.status != 200 || r.header.Get("Content-Length") != "5" {
		t.Errorf("HEAD: %s", r.raw)
	}
	c.send("POST /a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	c.read("POST").expect(t, 405, errorPage("405 Not Allowed"))
	s.waitLog(0, `open() "`+s.dir+`/html/none.txt" failed (2: No such file or directory), client: 127.0.0.1, server: , `+
		`request: "GET /none.txt HTTP/1.1", host: "localhost"`)
	if got := curl(t, "http://"+s.addr+"/a.txt"); got != "text\n" {
		t.Errorf("curl: %q", got)
	}
}

func TestConditionalGet(t *testing.T) {
	s := start(t, config{servers: "root html;", files: map[string]string{"html/a.txt": "text\n"}})
	r := s.get("/a.txt")
	modified := r.header.Get("Last-Modified")
	if modified == "" {
		t.Fatalf("no Last-Modified: %s", r.raw)
	}
	r = s.dial().send("GET /a.txt HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: " + modified + "\r\n\r\n").read("GET")
	if r.status != 304 {
		t.Errorf("%s", r.raw)
	}
}

func TestLocations(t *testing.T) {
	s := start(t, config{servers: `
		location = / { return 200 "exact /"; }
		location / { return 200 "prefix /"; }
		location /images/ { return 200 "prefix /images/"; }
		location ^~ /static/ { return 200 "no regex /static/"; }
		location ~ \.(gif|jpg)$ { return 200 "regex $1"; }
		location ~* \.png$ { return 200 "regex png"; }
		location /outer/ {
			return 200 "outer";
			location /outer/inner/ { return 200 "inner"; }
			location ~ \.txt$ { return 200 "outer txt"; }
		}
		location "/with space" { return 200 "space"; }
		location @named { return 200 "named"; }
	`})
	for path, want := range map[string]string{
		"/":                   "exact /",
		"/index.html":         "prefix /",
		"/images/x":           "prefix /images/",
		"/images/x.gif":       "regex gif",
		"/x.JPG":              "prefix /",
		"/x.PNG":              "regex png",
		"/static/x.gif":       "no regex /static/",
		"/outer/x":            "outer",
		"/outer/inner/x":      "inner",
		"/outer/x.txt":        "outer txt",
		"/outer/inner/x.jpg":  "regex jpg",
		"/with%20space":       "space",
		"/images/../static/y": "no regex /static/",
		"/@named":             "prefix /",
		"/images":             "prefix /",
	} {
		if r := s.get(path); r.status != 200 || r.body != want {
			t.Errorf("%s: %d %q, want %q", path, r.status, r.body, want)
		}
	}
}

func TestServerNames(t *testing.T) {
	s := start(t, config{http: `
		server { listen 127.0.0.1:PORT; server_name example.com www.example.com; return 200 "exact $server_name"; }
		server { listen 127.0.0.1:PORT; server_name *.example.com; return 200 "before"; }
		server { listen 127.0.0.1:PORT; server_name mail.*; return 200 "after"; }
		server { listen 127.0.0.1:PORT; server_name .example.org; return 200 "dot"; }
		server { listen 127.0.0.1:PORT; server_name ~^(?<who>.+)\.example\.net$; return 200 "regex $who"; }
		server { listen 127.0.0.1:PORT default_server; server_name _; return 200 "default"; }
		server { listen 127.0.0.1:PORT2; return 200 "other port"; }
	`})
	for host, want := range map[string]string{
		"example.com":          "exact example.com",
		"EXAMPLE.com":          "exact example.com",
		"example.com.":         "exact example.com",
		"www.example.com:8080": "exact example.com",
		"a.b.example.com":      "before",
		"mail.anything":        "after",
		"mail.example.com":     "before",
		"example.org":          "dot",
		"x.example.org":        "dot",
		"joe.example.net":      "regex joe",
		"nobody.test":          "default",
		"127.0.0.1":            "default",
	} {
		r := s.dial().send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").read("GET")
		if r.body != want {
			t.Errorf("%s: %d %q, want %q", host, r.status, r.body, want)
		}
	}
	r := s.dial().send("GET http://joe.example.net/ HTTP/1.1\r\nHost: example.com\r\n\r\n").read("GET")
	r.expect(t, 200, "regex joe")
	dialTo(t, "tcp", s.expand("127.0.0.1:PORT2")).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "other port")
}
