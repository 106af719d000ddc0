package http

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"golang.org/x/sys/unix"
)

// unpacked is an answer without its transfer coding and content coding.
func unpacked(t *testing.T, answer string) string {
	t.Helper()
	header, body, _ := strings.Cut(answer, "\r\n\r\n")
	var r io.Reader = strings.NewReader(body)
	if strings.Contains(header, "\r\nTransfer-Encoding: chunked") {
		r = httputil.NewChunkedReader(r)
	}
	switch {
	case body == "":
	case strings.Contains(header, "\r\nContent-Encoding: gzip"):
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Errorf("body is not gzip: %v in %q", err, cutText(answer))
			return answer
		}
		r = z
	case strings.Contains(header, "\r\nContent-Encoding: br"):
		r = brotli.NewReader(r)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading the body: %v of %q", err, cutText(answer))
	}
	return plain(header + "\r\n\r\n" + string(text))
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sameUnpacked compares answers with nginx's after unpacking them.
func sameUnpacked(t *testing.T, http string, requests []string, modules ...string) {
	t.Helper()
	site := makeSite(t)
	page := strings.Repeat("<p>Hello, World and hello again, $name.</p>\n", 3000)
	for name, text := range map[string][]byte{
		"page.html": []byte(page), "page.css": []byte(page), "small.html": []byte("<p>small</p>"),
		"pre.html": []byte("<p>not packed</p>"), "pre.html.gz": gzipped(t, "<p>packed before</p>"), "only.html.gz": gzipped(t, page),
		"bad.html.gz": []byte("this is not gzip at all"), "cut.html.gz": gzipped(t, page)[:60],
		"twice.html.gz": append(gzipped(t, "first "), gzipped(t, "second")...), "dir.html.gz/x": nil,
	} {
		file := filepath.Join(site, name)
		_ = os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		when := unix.NsecToTimespec(1700000000e9)
		if err := unix.UtimesNano(file, []unix.Timespec{when, when}); err != nil {
			t.Fatal(err)
		}
	}
	(&differential{site: site, http: http, level: "notice", modules: modules, requests: requests, shown: unpacked, line: plainError, checked: true}).run(t)
}

const gzipServer = `
server { LISTEN; server_name example.com; root SITE; gzip on; default_type text/plain;
	add_header X-Ratio "[$gzip_ratio]";
	location /vary/ { gzip_vary on; alias SITE/; }
	location /all/ { gzip_types *; alias SITE/; }
	location /css/ { gzip_types text/css text/PLAIN; types { text/css css; } alias SITE/; }
	location /min/ { gzip_min_length 100; alias SITE/; }
	location /old/ { gzip_http_version 1.0; alias SITE/; }
	location /level9/ { gzip_comp_level 9; gzip_buffers 4 8k; alias SITE/; }
	location /off/ { gzip off; gzip_vary on; alias SITE/; }
	location /disable/ { gzip_disable "BadAgent" msie6; alias SITE/; }
	location /any/ { gzip_proxied any; alias SITE/; }
	location /exp/ { gzip_proxied expired; expires epoch; alias SITE/; }
	location /exp2/ { gzip_proxied expired; expires 1h; alias SITE/; }
	location /nocache/ { gzip_proxied no-cache no-store private; add_header Cache-Control "max-age=1, no-store"; alias SITE/; }
	location /nolm/ { gzip_proxied no_last_modified no_etag; alias SITE/; }
	location /nolm2/ { gzip_proxied no_last_modified no_etag; return 200 "a text that is long enough to be compressed by all means"; default_type text/html; }
	location /auth/ { gzip_proxied auth; alias SITE/; }
	location /ret { default_type text/html; return 200 "a text that is long enough to be compressed by all means"; }
	location /ret404 { default_type text/html; return 404 "a text that is long enough to be compressed by all means"; }
	location /ret500 { default_type text/html; return 500 "a text that is long enough to be compressed by all means"; }
	location /error404 { return 404; }
	location /charset/ { charset utf-8; alias SITE/; }
	location /static/ { max_ranges 0; gzip_static on; gzip_vary on; alias SITE/; }
	location /novary/ { max_ranges 0; gzip_static on; alias SITE/; }
	location /always/ { max_ranges 0; gzip_static always; alias SITE/; }
	location /gunzip/ { max_ranges 0; gzip_static always; gunzip on; gunzip_buffers 4 1k; gzip_vary on; alias SITE/; }
	location /gunbig/ { max_ranges 0; gzip_static always; gunzip on; gunzip_buffers 2 64; alias SITE/; }
	location /gunsub/ { gzip_static always; gunzip on; sub_filter hello bye; sub_filter_once off; alias SITE/; }
	location /sub/ { sub_filter hello "good bye"; alias SITE/; }
	location /addition/ { add_before_body /ret; add_after_body /small.html; alias SITE/; }
	location /trailer/ { add_trailer X-T "$gzip_ratio"; add_trailer X-U u; alias SITE/; }
}
`

func TestGzipAsNginx(t *testing.T) {
	var requests []string
	for _, path := range []string{"/page.html", "/small.html", "/b.txt", "/vary/page.html", "/vary/b.txt", "/all/b.txt", "/css/page.css", "/css/b.txt", "/css/page.html",
		"/min/small.html", "/min/page.html", "/old/page.html", "/level9/page.html", "/off/page.html", "/ret", "/ret404", "/ret500", "/error404", "/missing.html",
		"/charset/page.html", "/static/pre.html", "/static/only.html", "/static/page.html", "/static/dir.html", "/novary/pre.html", "/always/only.html", "/always/pre.html",
		"/gunzip/only.html", "/gunzip/pre.html", "/gunzip/twice.html", "/gunbig/only.html", "/gunsub/only.html", "/sub/page.html", "/addition/page.html", "/trailer/page.html"} {
		requests = append(requests, "GET "+path, "GET "+path+"|Accept-Encoding: gzip", "HEAD "+path+"|Accept-Encoding: gzip")
	}
	for _, accept := range []string{"gzip, deflate, br", "deflate, gzip", "gzip;q=0", "gzip;q=0.5", "gzip; q=0.001", "gzip;q=1.0", "gzip;q=2", "gzip;q=", "gzip;q", "gzip;x=1", "x-gzip", "GZIP",
		"deflate,gzip;q=0, x", "gzi", "gzipx, gzip", "*", "gzip;q=1.001", "identity, gzip ;q=1", "gzip;q=0.0000", "gzip;q=0.1234", "", "gzip;q=1,", " gzip"} {
		requests = append(requests, "GET /small.html|Accept-Encoding: "+accept)
	}
	const gz = "|Accept-Encoding: gzip"
	for _, more := range []string{"/page.html|Via: 1.0 x", "/any/page.html|Via: x", "/exp/page.html|Via: x", "/exp2/page.html|Via: x", "/nocache/page.html|Via: x", "/nolm/page.html|Via: x",
		"/nolm2/x|Via: x", "/auth/page.html|Via: x", "/auth/page.html|Via: x|Authorization: Basic eDp5", "/disable/page.html|User-Agent: badagent/1", "/disable/page.html|User-Agent: good",
		"/disable/page.html|User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows)", "/page.html|Range: bytes=0-9", "/static/pre.html|Range: bytes=0-2", "/page.html|If-None-Match: W/\"6553f100-203a0\"",
		"/page.html|If-None-Match: \"6553f100-203a0\"", "/page.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"} {
		requests = append(requests, "GET "+more+gz)
	}
	// To clients that take gzip these go as they are.
	requests = append(requests, "GET /gunzip/bad.html", "HEAD /gunzip/bad.html", "GET /gunzip/cut.html", "HEAD /gunzip/cut.html")
	requests = append(requests, "GET /page.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n", "GET /old/page.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
		"POST /ret|Accept-Encoding: gzip|Content-Length: 2|\nab")
	sameUnpacked(t, gzipServer, requests)
}

const brotliServer = `
server { LISTEN; server_name example.com; root SITE; gzip on; gzip_vary on; brotli on; default_type text/plain;
	location /types/ { brotli_types text/plain; brotli_min_length 11000; brotli_comp_level 4; brotli_window 64k; alias SITE/; }
	location /off/ { brotli off; alias SITE/; }
}
`

func TestBrotliAsNginx(t *testing.T) {
	var requests []string
	for _, path := range []string{"/page.html", "/small.html", "/b.txt", "/types/page.html", "/types/b.txt", "/off/page.html", "/missing"} {
		for _, accept := range []string{"br", "gzip, br", "gzip", "br;q=0, gzip", "gzip;q=0, br;q=0.5", "identity"} {
			requests = append(requests, "GET "+path+"|Accept-Encoding: "+accept)
		}
		requests = append(requests, "HEAD "+path+"|Accept-Encoding: br")
	}
	sameUnpacked(t, brotliServer, requests, "ngx_http_brotli_filter_module")
}

const textServer = `
sub_filter_types text/plain;
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	location /sub/one { sub_filter bar BAR; return 200 "foo Bar baz bar foo"; }
	location /sub/all { sub_filter bar "[$arg_x]"; sub_filter_once off; return 200 "foo Bar baz bar foobarbar"; }
	location /sub/several { sub_filter foo 1; sub_filter foobar 2; sub_filter bar 3; sub_filter o ""; sub_filter_once off; return 200 "foobar Foo barfoo oo bafoo fo"; }
	location /sub/several1 { sub_filter foo 1; sub_filter foobar 2; sub_filter bar 3; return 200 "foobar Foobar barfoo foobar foobar"; }
	location /sub/var { sub_filter "$arg_p" "<$arg_p>"; sub_filter b B; sub_filter_once off; return 200 "abcabc"; }
	location /sub/end { sub_filter aa0 1; sub_filter a 2; sub_filter_once off; return 200 "xaxAa0xA"; }
	location /sub/end2 { sub_filter foobar 1; sub_filter foo 2; sub_filter bar 3; sub_filter_once off; return 200 "foobaz foobar foo foob"; }
	location /sub/empty { sub_filter x y; return 200 ""; }
	location /sub/file/ { sub_filter 90 "-"; sub_filter_once off; alias SITE/; }
	location /sub/long/ { sub_filter 012345678901234567890123456789 "LONG"; sub_filter_once off; alias SITE/; output_buffers 1 64; }
	location /sub/lm/ { sub_filter 90 "-"; sub_filter_last_modified on; alias SITE/; }
	location /sub/echo { sub_filter "ab" "X"; sub_filter_once off; echo -n "xa"; echo_flush; echo -n "b"; echo_flush; echo -n "ya"; }
	location /sub/echo2 { sub_filter "aab" "X"; sub_filter_once off; echo -n "xa"; echo -n "aa"; echo_flush; echo -n "b"; echo -n "ya"; }
	location /sub/in { sub_filter hello bye; sub_filter_once off; echo "hello"; echo_location /sub/inner; echo "hello"; }
	location /sub/inner { sub_filter hello INNER; sub_filter_once off; return 200 "hello inner hello\n"; }
	location /add/both { default_type text/html; add_before_body /sub/inner; add_after_body /sub/one; return 200 "body "; }
	location /add/after { default_type text/html; add_before_body ""; add_after_body /a.html; alias SITE/a.html; }
	location /add/type { add_before_body /sub/inner; return 200 "body "; }
	location /add/any { addition_types *; add_before_body /a.html; add_after_body /none; alias SITE/b.txt; }
	location /add/404 { addition_types *; add_before_body /a.html; return 404; }
	location /charset/on/ { charset UTF-8; alias SITE/; }
	location /charset/off/ { charset utf-8; location /charset/off/x/ { charset off; alias SITE/; } }
	location /charset/var { charset $arg_c; return 200 x; }
	location /charset/given { charset utf-8; default_type "text/plain; charset=koi8-r"; return 200 x; }
	location /charset/over { charset utf-8; override_charset on; default_type "text/html"; return 200 x; }
	location /charset/types/ { charset utf-8; charset_types image/gif; alias SITE/; }
	location /charset/same { charset utf-8; source_charset UTF-8; return 200 x; }
	location /charset/redirect { charset utf-8; return 301 /x; }
	location /charset/404 { charset utf-8; return 404; }
	location /trailer/ok { add_trailer X-A "a $uri"; add_trailer X-Empty ""; return 200 "text"; }
	location /trailer/404 { add_trailer X-A a; add_trailer X-B b always; return 404; }
	location /trailer/404b { add_trailer X-A a; return 404; }
	location /trailer/file/ { add_trailer X-A a; alias SITE/; }
	location /trailer/off { add_trailer X-A a; chunked_transfer_encoding off; return 200 "text"; }
	location /rate/ { limit_rate 1m; limit_rate_after 1k; alias SITE/; }
	location /ratevar { set $limit_rate 5k; return 200 "$limit_rate"; }
	location /ratebad { set $limit_rate x5k; return 200 "$limit_rate"; }
	location /rate2 { limit_rate $arg_r; return 200 "$limit_rate"; }
	location /send/ { sendfile on; tcp_nopush on; sendfile_max_chunk 512; output_buffers 1 100; read_ahead 64k; alias SITE/; }
	location /sendsub/ { sendfile on; sub_filter 12345 x; alias SITE/; }
	location /order/ { sendfile on; charset utf-8; expires 1h; add_header X-A a; alias SITE/; more_set_headers "X-M: m"; }
	location /subfile { sendfile on; echo_location_async /b.txt; echo_location_async /sub/inner; echo_location_async /a.html; echo end; }
	location / { sendfile on; }
}
`

func TestTextFiltersAsNginx(t *testing.T) {
	var requests []string
	for _, path := range []string{"/sub/one", "/sub/all?x=1", "/sub/several", "/sub/several1", "/sub/var?p=ca", "/sub/var", "/sub/var?p=ABC", "/sub/end", "/sub/end2", "/sub/empty", "/sub/file/b.txt", "/sub/file/a.html", "/sub/file/empty.gif",
		"/sub/long/b.txt", "/sub/lm/b.txt", "/sub/echo", "/sub/echo2", "/sub/in", "/sub/inner", "/add/both", "/add/after", "/add/type", "/add/any", "/add/404",
		"/charset/on/a.html", "/charset/on/b.txt", "/charset/on/empty.gif", "/charset/on/nix", "/charset/off/a.html", "/charset/off/x/a.html", "/charset/var?c=latin1", "/charset/given", "/charset/over",
		"/charset/types/empty.gif", "/charset/types/b.txt", "/charset/same", "/charset/redirect", "/charset/404", "/trailer/ok", "/trailer/404", "/trailer/404b", "/trailer/file/b.txt", "/trailer/file/empty.gif", "/trailer/off",
		"/rate/b.txt", "/ratevar", "/ratebad", "/rate2?r=10k", "/rate2?r=x", "/rate2", "/send/b.txt", "/send/a.html", "/sendsub/b.txt", "/subfile"} {
		requests = append(requests, "GET "+path, "HEAD "+path)
		if !strings.HasPrefix(path, "/trailer") {
			requests = append(requests, "GET "+path+" HTTP/1.0\r\n\r\n")
		}
	}
	for _, path := range []string{"/b.txt", "/send/b.txt", "/sub/file/b.txt", "/order/b.txt", "/add/any", "/charset/on/b.txt", "/trailer/file/b.txt"} {
		for _, rg := range []string{"0-9", "-5", "20000-", "0-0,9999-9999", "1-2,3-4,5-6", "0-", "5-1", "0-9,"} {
			requests = append(requests, "GET "+path+"|Range: bytes="+rg, "HEAD "+path+"|Range: bytes="+rg)
		}
	}
	sameUnpacked(t, textServer, requests, "ngx_http_echo_module", "ngx_http_headers_more_filter_module")
}
