package http

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomSite makes up a server of locations of all kinds, and requests for them.
type randomSite struct {
	r     *rand.Rand
	paths []string // of locations
	up    string   // address of an upstream
}

func (g *randomSite) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *randomSite) oneIn(n int) bool { return g.r.IntN(n) == 0 }

// siteFiles are those of makeSite, and some that are not there.
var siteFiles = []string{
	"/", "/a.html", "/b.txt", "/empty.gif", "/noext", "/UP.HTML", "/sub", "/sub/", "/sub/index.html", "/two/", "/two/second.html", "/none/", "/sp ace/x.html",
	"/other/deep/f.jpg", "/missing", "/missing/", "/a.html/", "/index.html",
}

const randomText = `"$uri|$args|$request_uri|$document_uri|$status|$1|$n|$arg_a|$v|$w|$is_args|$host|$http_x|$request_method|$content_length|$request_completion\n"`

// target is where a rewrite, an error page or the like leads to.
func (g *randomSite) target() string {
	t := g.pick(siteFiles[:4]...)
	if len(g.paths) > 0 && !g.oneIn(3) {
		t = g.pick(g.paths...)
	}
	if g.oneIn(4) {
		t += g.pick("x", "/y", "?a=1", "?b=$arg_a", "$1", "$uri", "?")
	}
	return strings.ReplaceAll(t, " ", "_")
}

func (g *randomSite) status() string {
	return g.pick("200", "204", "301", "302", "303", "307", "308", "400", "401", "403", "404", "404", "405", "410", "413", "418", "444", "500", "502", "503", "304", "206", "599", "499", "494")
}

func (g *randomSite) code() string {
	return g.pick("400", "401", "403", "404", "404", "405", "410", "413", "416", "500", "502", "503", "404 403", "405 410")
}

func (g *randomSite) at() string { return fmt.Sprint("@n", g.r.IntN(2)) }

func (g *randomSite) returns() string {
	switch g.r.IntN(6) {
	case 0:
		return "return " + g.status() + ";"
	case 1:
		return "return " + g.pick("301", "302", "303", "307", "308") + " " + g.pick("http://x/$uri", "/there$uri?$args", "there", "$scheme://$host/x", "https://y") + ";"
	case 2:
		return "return " + g.pick("http://x$request_uri", "https://y/") + ";"
	}
	return "return " + g.pick("200", "200", "404", "403", "418", "500", "503", "201", "410", "204") + " " + randomText + ";"
}

func (g *randomSite) rewrite() string {
	from := g.pick("^", "^/a", "^/a/(.*)$", "^(.*)$", "^(.*)\\.html$", "^/([^/]*)/(.*)$", "\\.txt$", "^/sub(/?)(.*)", "(?i)HTML", "^/(?<n>[a-z]+)")
	to := g.target()
	if g.oneIn(5) {
		to = g.pick("http://x/$1", "https://x$uri", "/$1/$2", "$1", "/b.txt", "/$n")
	}
	return "rewrite " + from + " " + to + g.pick("", "", " last", " break", " break", " redirect", " permanent") + ";"
}

func (g *randomSite) condition() string {
	return g.pick("$arg_a", "$arg_b", "$v", "$arg_a = 1", "$arg_a != 1", "$uri ~ html", "$uri ~* ^/A", "$uri !~ txt$", "$request_method = POST", "$http_x", "$request_uri ~ ^/(.*)$", "$uri ~ ^/(?<n>[^/]*)", "-f $request_filename", "!-f $request_filename", "-d $request_filename", "!-e $request_filename", "-e $document_root/a.html", "-x $request_filename", "$args ~ \"b=(.)\"", "$arg_a = $arg_b", "$arg_c = \"\"", "$http_x !~* \"y\"")
}

func (g *randomSite) condBlock(server bool) string {
	var b strings.Builder
	for range 1 + g.r.IntN(2) {
		switch n := g.r.IntN(10); {
		case n < 2:
			b.WriteString(g.returns())
		case n < 4:
			b.WriteString(g.rewrite())
		case n < 6:
			b.WriteString(g.set())
		case n == 6 || server:
			b.WriteString("break;")
		case n == 7:
			b.WriteString(g.pick("proxy_pass http://UP;", "root SITE/sub;", "root SITE/other;"))
		default:
			b.WriteString(g.pick("add_header X-If 1;", "add_header X-If $uri always;", "expires 1h;", "error_page 404 /b.txt;", "error_page 404 = @n0;", "error_page 404 =200 /a.html;", "gzip on;", "sub_filter_once off;", "charset utf-8;", "limit_rate 1m;", "sendfile on;"))
		}
	}
	return "if (" + g.condition() + ") { " + b.String() + " }"
}

func (g *randomSite) set() string {
	return "set $" + g.pick("v", "w") + " " + g.pick("x", "$v", "\"$v$arg_a\"", "\"\"", "$uri", "$1", "$n", "0", "\"a b\"", "$w$w") + ";"
}

// modifier is a directive that may stand in any server or location.
func (g *randomSite) modifier() string {
	switch g.r.IntN(32) {
	case 0, 1, 2:
		return "error_page " + g.code() + g.pick("", "", " =", " =200", " =404", " =302", " =403") + " " + g.pick(g.at(), g.at(), g.target(), g.target(), "/a.html", "http://x/$uri", "$uri", "/a.html?$args") + ";"
	case 3:
		return "add_header " + g.pick("X-A 1", "X-A $uri always", "Cache-Control public", "Vary X", "ETag x", "Last-Modified \"\"", "X-E \"\"", "X-V $v$w", "Content-Type x/y", "Link $1 always", "Allow GET always", "X-S $status always") + ";"
	case 4:
		return "expires " + g.pick("1h", "-1", "max", "epoch", "off", "modified 1d", "0", "$arg_b") + ";"
	case 5:
		return g.pick("deny all;", "allow all;", "deny 127.0.0.1;", "allow 127.0.0.0/8; deny all;", "deny 10.0.0.0/8; allow all;", "allow 192.0.2.1; deny all;")
	case 6:
		return "auth_basic " + g.pick("x", "off", "$arg_a", "\"a b\"") + "; auth_basic_user_file SITE/" + g.pick("users", "users", "users", "nix") + ";"
	case 7:
		return "satisfy " + g.pick("any", "all") + ";"
	case 8:
		return g.pick("absolute_redirect off;", "port_in_redirect off;", "server_name_in_redirect on;")
	case 9:
		return "index " + g.pick("a.html", "second.html", "nix index.html", "b.txt", "nix /a.html", "$arg_a index.html", "x/../index.html", "noext") + ";"
	case 10:
		return g.pick("types { } default_type x/y;", "types { a/b html txt; }", "default_type text/html;", "default_type \"\";", "types { text/css html; text/html txt; }")
	case 11:
		return g.pick("etag off;", "if_modified_since off;", "if_modified_since before;", "max_ranges 0;", "max_ranges 1;", "max_ranges 2;")
	case 12:
		return g.pick("autoindex on;", "autoindex on; autoindex_exact_size off;", "autoindex on; autoindex_format json;")
	case 13:
		return g.pick("log_not_found off;", "log_subrequest on;", "recursive_error_pages on;", "recursive_error_pages on;", "rewrite_log on;", "uninitialized_variable_warn off;", "msie_padding off;", "msie_refresh on;")
	case 14:
		return g.pick("client_max_body_size 2;", "client_max_body_size 0;", "client_body_in_file_only clean;", "client_body_buffer_size 1;", "client_body_in_single_buffer on;")
	case 15:
		return g.pick("chunked_transfer_encoding off;", "keepalive_timeout 0;", "keepalive_requests 2;", "postpone_output 1;", "sendfile on;", "tcp_nopush on; sendfile on;", "output_buffers 1 512;", "keepalive_disable none;", "keepalive_disable safari;", "lingering_close off;", "keepalive_timeout 5 9;")
	case 16, 17:
		return "gzip on;" + g.pick("", " gzip_min_length 0;", " gzip_vary on;", " gzip_types *;", " gzip_types text/plain;", " gzip_proxied any;", " gzip_http_version 1.0;", " gzip_disable msie6;")
	case 18:
		return g.pick("sub_filter hello bye;", "sub_filter 0123 x; sub_filter_once off; sub_filter_types *;", "sub_filter ind $uri; sub_filter_types *;", "sub_filter a ''; sub_filter_last_modified on; sub_filter_types text/plain;")
	case 19:
		return g.pick("charset utf-8;", "charset off;", "charset koi8-r; charset_types *;", "charset $arg_b;", "override_charset on;")
	case 20:
		return g.pick("add_before_body /a.html;", "add_after_body /sub/index.html;", "add_before_body /nix; addition_types *;", "addition_types text/plain;", "add_after_body "+strings.ReplaceAll(g.target(), "$", "")+"; addition_types *;")
	case 21:
		return g.pick("auth_request /r200;", "auth_request /r401;", "auth_request /r403;", "auth_request off;", "auth_request /r404;", "auth_request /r200; auth_request_set $v $uri;")
	case 22:
		return g.pick("proxy_intercept_errors on;", "proxy_redirect off;", "proxy_redirect http://UP/ /back/;", "proxy_redirect ~^(.*)$ /re$1;", "proxy_set_header X-P $uri;", "proxy_set_header Host $host;", "proxy_hide_header X-Up;", "proxy_pass_header Server;", "proxy_http_version 1.1;", "proxy_buffering off;", "proxy_pass_request_body off;", "proxy_pass_request_headers off;", "proxy_method PUT;", "proxy_set_body x$arg_a;", "proxy_cookie_path / /c/;", "proxy_cookie_domain up $host;", "proxy_ignore_headers X-Accel-Redirect;", "proxy_request_buffering off;", "proxy_force_ranges on;", "proxy_set_header Accept-Encoding '';")
	case 23:
		return g.pick("ignore_invalid_headers on;", "mirror /r200;", "limit_rate 0;", "limit_rate_after 1k;", "disable_symlinks on;", "open_file_cache max=10; open_file_cache_errors on;", "server_tokens off;", "etag on;", "read_ahead 1;")
	case 24:
		return "gzip_static on;"
	}
	return ""
}

// handler is what answers in a location.
func (g *randomSite) handler(kind string) string {
	regex := strings.HasPrefix(kind, "~")
	switch g.r.IntN(14) {
	case 0, 1:
		return g.returns()
	case 2, 3:
		switch {
		case regex:
			return "alias SITE" + g.pick("/$1", "/sub/", "/a.html", "$uri", "/$n", "/sub/$1") + ";"
		case kind == "@":
			return "root SITE/sub;"
		}
		return "alias SITE" + g.pick("/", "/sub/", "/a.html", "", "/other/deep/", "/b.txt", "/$arg_a", "/two") + ";"
	case 4, 5, 6:
		if regex || kind == "@" {
			return "proxy_pass http://UP" + g.pick("", "", "$uri", "/x$uri", "$request_uri", "/$1", "/y?$args") + ";"
		}
		return "proxy_pass http://UP" + g.pick("", "/", "/x", "/x/", "/x?y=1", "$uri", "/$arg_a", "$request_uri", "/%20y/") + ";"
	case 7, 8, 9:
		var b strings.Builder
		b.WriteString("try_files")
		for range 1 + g.r.IntN(3) {
			b.WriteString(" " + g.pick("$uri", "$uri/", "/a.html", "/$arg_a", "$uri.html", "/sub/", "$uri/index.html", "/nix", "/sub$uri", "/$1", "$document_root", "nix", "/two/"))
		}
		return b.String() + " " + g.pick("=404", "=403", "=200", "=500", g.at(), g.at(), g.target(), "/a.html", "/b.txt?$args", "$uri", "/nix") + ";"
	case 10:
		return g.pick("root SITE/sub;", "root SITE/$arg_a;", "root SITE;", "empty_gif;", "internal;", "internal; root SITE;", "root nix;")
	case 11:
		return "limit_except " + g.pick("GET", "POST", "GET POST", "PUT DELETE", "OPTIONS") + " { " + g.pick("deny all;", "allow 127.0.0.1; deny all;", "auth_basic x; auth_basic_user_file SITE/users;", "deny 10.0.0.0/8;") + " }"
	}
	return ""
}

func (g *randomSite) body(kind string, path string, depth int) string {
	var b strings.Builder
	for range g.r.IntN(4) {
		switch n := g.r.IntN(10); {
		case n < 5:
			b.WriteString(g.modifier() + " ")
		case n < 6:
			b.WriteString(g.rewrite() + " ")
		case n < 7:
			b.WriteString(g.set() + " ")
		default:
			b.WriteString(g.condBlock(false) + " ")
		}
	}
	if !g.oneIn(4) {
		b.WriteString(g.handler(kind) + " ")
	}
	if depth < 2 && kind != "@" && kind != "=" && g.oneIn(3) {
		b.WriteString("\n\t" + g.location(path, kind, depth+1))
	}
	return b.String()
}

// location makes a location, inside of outer and its kind.
func (g *randomSite) location(outer, within string, depth int) string {
	kind := g.pick("", "", "", "", "^~", "=", "~", "~", "~*")
	if strings.HasPrefix(within, "~") && !g.oneIn(30) {
		kind = "~"
	}
	path := ""
	if kind == "~" || kind == "~*" {
		path = g.pick(`\.html$`, `^/a/(.*)$`, `\.TXT$`, `^/(?<n>[^/]*)/x`, `^/s(.*)`, `/$`, `(.*)\.(jpg|gif)$`, `^/b`, `^`, `/sub/(.+)$`, `^/(a|b)/(?<n>\d*)`)
		return "location " + kind + " \"" + path + "\" { " + g.body(kind, outer, depth) + "}\n"
	}
	path = outer + g.pick("/", "/a", "/a/", "/b", "/b/", "/sub", "/sub/", "/two/", "/x", "/sp ace/", "/other", "/a.html", "/c.d", "/é", "/a/b", "/none", "/missing")
	if outer != "" {
		path = outer + g.pick("x", "/", "a", "b/", "index.html", "a/")
	}
	g.paths = append(g.paths, path)
	return "location " + kind + " \"" + path + "\" { " + g.body(kind, path, depth) + "}\n"
}

// config is an http block's text.
func (g *randomSite) config() string {
	var locations strings.Builder
	seen := make(map[string]bool)
	for range 2 + g.r.IntN(5) {
		l := g.location("", "", 0)
		name, _, _ := strings.Cut(l, " { ")
		if key := strings.Replace(name, "^~ ", "", 1); !seen[key] {
			seen[key] = true
			locations.WriteString(l)
		}
	}
	for i := range 2 {
		locations.WriteString(fmt.Sprintf("location @n%d { %s}\n", i, g.body("@", "", 2)))
	}
	var server strings.Builder
	for range g.r.IntN(4) {
		server.WriteString(g.modifier() + "\n")
	}
	if g.oneIn(4) {
		server.WriteString(g.pick("merge_slashes off;", "underscores_in_headers on;", "ignore_invalid_headers off;", "index second.html;", "server_tokens off;", "large_client_header_buffers 2 1k;", "client_header_buffer_size 100;"))
	}
	if g.oneIn(5) {
		server.WriteString(g.condBlock(true) + "\n")
	}
	if g.oneIn(6) {
		server.WriteString(g.rewrite() + "\n")
	}
	text := `log_format all '$request|$status|$uri|$args|$request_filename|$content_length|$sent_http_content_type|$sent_http_location|$upstream_status|$upstream_addr|$connection_requests|$request_length|$http_referer|$remote_user|$sent_http_connection|$pipe|$v|$w';
access_log LOGS/access all;
server { LISTEN; server_name example.com; root SITE; set $v ""; ` + server.String() + `
location = /r200 { internal; return 200; }
location = /r401 { internal; add_header WWW-Authenticate x always; return 401; }
location = /r403 { return 403; }
location /cap { location ~ ^/cap/(?<n>[^/]*)/(?<m>.*)$ { set $w "$m"; return 200 ` + randomText + `; } }
` + locations.String() + "}\n"
	return strings.ReplaceAll(text, "UP", g.up)
}

// request makes up one.
func (g *randomSite) request() string {
	path := g.pick(siteFiles...)
	switch g.r.IntN(4) {
	case 0, 1:
		path = g.pick(g.paths...)
	case 2:
		path = g.pick(g.paths...) + g.pick(siteFiles...)
	}
	path = strings.ReplaceAll(path, " ", g.pick("%20", "%20", "+"))
	if g.oneIn(4) {
		i := g.r.IntN(len(path) + 1)
		path = path[:i] + g.pick("/", "//", "/./", "/../", "%2e%2e/", "%2f", "%2F", "%", "%zz", "%00", "..", ".", "#x", "%3f", "%25", ";", "\\", "%c3%a9", "\xe9", "A", "%41", "/..", "&", "~", "'", "\"", "<", "/.../", "%5c", "%0a", "%7f", ":", "@", "?") + path[i:]
	}
	if g.oneIn(3) {
		path += "?" + g.pick("a=1", "a=sub", "b=2&a=1", "a", "", "a=%20&b=x", "?", "a=a.html", "b=utf-8", "x=accel", "x=404", "x=loc", "x=cookie", "x=chunked", "x=304", "x=500", "a=1&b=1", "a=/etc", "a=..", "A=3", "x=etag", "x=type", "x=closes", "x=empty", "x=401")
	}
	method := g.pick("GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO", "PROPFIND", "MKCOL")
	switch g.r.IntN(12) {
	case 0:
		path = g.pick("http://example.com", "http://EXAMPLE.com:80", "http://other.example.com", "HTTP://example.com", "https://example.com") + path
	case 1:
		if g.oneIn(4) {
			path = g.pick("*", "http://example.com", "http://example.com?a=1", "x", "")
		}
	}
	version := " HTTP/1.1\r\n"
	if g.oneIn(6) {
		version = g.pick(" HTTP/1.0\r\n", " HTTP/1.0\r\n", "\r\n", " HTTP/1.2\r\n", "  HTTP/1.1 \r\n")
	}
	if version == "\r\n" {
		return g.pick("GET ", "GET ", "POST ") + path + "\r\n"
	}
	var b strings.Builder
	b.WriteString(method + " " + path + version)
	if !g.oneIn(20) {
		b.WriteString("Host: " + g.pick("example.com", "example.com", "example.com", "other.example.com", "example.com:8080", "EXAMPLE.COM.") + "\r\n")
	}
	seen := ""
	for range g.r.IntN(3) {
		h := g.pick(g.pick("X: y", "X: "), "Accept-Encoding: gzip", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0", "Accept-Encoding: deflate, gzip;q=0.5", "Cookie: c=1; d=2", "Referer: http://r/", "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)", "User-Agent: Mozilla/5.0 Chrome/1", "Via: x",
			"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT", "If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT", `If-None-Match: "6553f100-d"`, "If-None-Match: *", `If-Match: "6553f100-d"`, `If-Match: "x"`, "If-Match: *", `If-None-Match: W/"6553f100-d"`,
			"Range: bytes=0-3", "Range: bytes=-3", "Range: bytes=5-", "Range: bytes=0-0,2-2", "Range: bytes=1-2,4-9,11-", "Range: bytes=99999-", "Range: x", `If-Range: "6553f100-d"`, "If-Range: Tue, 14 Nov 2023 22:13:20 GMT", "Range: bytes=0-100000",
			"Authorization: Basic cGxhaW46c2VjcmV0", "Authorization: Basic cGxhaW46eA==", "Authorization: Basic x", "X-Forwarded-For: 1.2.3.4", "a_b: c", "a(b: c", "Bad", "Expect: 100-continue", "Expect: x", "Upgrade: x", "TE: trailers", "Content-Type: text/plain", "Accept: */*", "Depth: 0", "X-Accel-Redirect: /a.html")
		if name, _, _ := strings.Cut(h, ":"); name != seen { // later versions join what comes twice
			seen = name
			b.WriteString(h + "\r\n")
		}
	}
	body := ""
	if method == "POST" || method == "PUT" || method == "PATCH" || g.oneIn(15) {
		switch g.r.IntN(5) {
		case 0:
			b.WriteString("Transfer-Encoding: chunked\r\n")
			body = g.pick("5\r\nhello\r\n0\r\n\r\n", "1\r\nh\r\n2;x=y\r\nel\r\n0\r\n\r\n", "0\r\n\r\n", "0\r\nT: x\r\n\r\n", "x\r\n", "05 \r\nhello\r\n00\r\n\r\n")
		case 1:
			b.WriteString("Content-Length: 0\r\n")
		case 2:
		default:
			b.WriteString("Content-Length: 5\r\n")
			body = "hello"
		}
	}
	if g.oneIn(12) {
		b.WriteString("Connection: " + g.pick("keep-alive", "x", "keep-alive, close", "upgrade") + "\r\n\r\n" + body)
		return b.String() + g.last()
	}
	b.WriteString("Connection: close\r\n\r\n" + body)
	return b.String()
}

// last is a request that ends a connection.
func (g *randomSite) last() string {
	return g.pick("GET /a.html", "GET /missing", "HEAD /sub", "GET /cap/x/y") + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
}
