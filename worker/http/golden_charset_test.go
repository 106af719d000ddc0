package http

import (
	"os"
	"strings"
	"testing"
)

const charsetServer = `
charset_map koi8-r windows-1251 { C1 E0; C2 E1; D7 E2; C7 E3; FF DA; }
charset_map windows-1251 utf-8 { E0 D0B0; E1 D0B1; E2 D0B2; E3 D0B3; 88 E282AC; 80 D082; }
charset_map iso-8859-1 x-other { E4 7B; F6 7C; }
server { LISTEN; server_name example.com; root SITE; default_type text/plain; charset_types *;
	location /koi/ { source_charset koi8-r; charset windows-1251; alias SITE/; }
	location /win/ { source_charset windows-1251; charset koi8-r; alias SITE/; }
	location /utf/ { source_charset windows-1251; charset utf-8; alias SITE/; }
	location /back/ { source_charset utf-8; charset windows-1251; alias SITE/; }
	location /var/ { source_charset $arg_s; charset $arg_c; alias SITE/; }
	location /main { source_charset windows-1251; charset utf-8; default_type text/plain; add_before_body /koi2; add_after_body /back/utf.txt; addition_types *; return 200 "abc"; }
	location /koi2 { source_charset koi8-r; alias SITE/koi.txt; }
	location /redirect { source_charset windows-1251; charset utf-8; return 302 /x; }
	location /gz/ { source_charset windows-1251; charset utf-8; gzip_static always; max_ranges 0; alias SITE/; }
	location /same/ { source_charset UTF-8; charset utf-8; alias SITE/; }
}
`

// TestCharsetMapAsNginx compares bodies that are converted with nginx's.
func TestCharsetMapAsNginx(t *testing.T) {
	site := makeSite(t)
	for name, text := range map[string]string{
		"koi.txt": "a\xc1\xc2\xd7\xc7\xff\xfe z", "win.txt": "a\xe0\xe1\xe2\xe3\xda\x88\x80\xff z", "long.txt": strings.Repeat("0123456789\xe0", 9000),
		"utf.txt": "a\xd0\xb0\xd0\xb1\xe2\x82\xac\xd0\x82 \xc3\xa4 \xf0\x9f\x98\x80 \xc0 \xe2\x82 \xd0z \xf5\x80\x80\x80\xc2", "longutf.txt": strings.Repeat("0123456\xd0\xb0\xe2\x82\xac", 9000),
		"pre.txt.gz": string(gzipped(t, "\xe0")),
	} {
		if err := os.WriteFile(site+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var requests []string
	for _, path := range []string{"/koi/koi.txt", "/win/win.txt", "/utf/win.txt", "/utf/long.txt", "/back/utf.txt", "/back/longutf.txt", "/var/win.txt?s=windows-1251&c=utf-8", "/var/win.txt?s=windows-1251&c=nix", "/var/win.txt?s=x&c=X",
		"/var/win.txt?s=x", "/var/win.txt", "/var/win.txt?s=koi8-r&c=utf-8", "/var/win.txt?s=WINDOWS-1251&c=KOI8-R", "/main", "/redirect", "/gz/pre.txt", "/same/utf.txt", "/koi/nix"} {
		requests = append(requests, "GET "+path, "HEAD "+path)
	}
	requests = append(requests, "GET /utf/long.txt|Range: bytes=5-9", "GET /koi/koi.txt|Range: bytes=1-3", "GET /utf/long.txt|If-None-Match: *")
	sameAnswersOf(t, site, charsetServer, requests)
}

// TestCharsetMapPieces has a body converted whose characters come in pieces: nginx itself gets stuck there.
func TestCharsetMapPieces(t *testing.T) {
	text := "a\xd0\xb0\xd0\xb1\xe2\x82\xac\xd0\x82 \xc3\xa4 \xf0\x9f\x98\x80"
	ts := serve(t, `charset_map windows-1251 utf-8 { E0 D0B0; E1 D0B1; 88 E282AC; 80 D082; }
		server { listen 127.0.0.1:8000; root DIR; default_type text/plain; source_charset utf-8; charset windows-1251; charset_types *; chunked_transfer_encoding off;
			location /1/ { output_buffers 1 1; alias DIR/; } location /2/ { output_buffers 1 2; alias DIR/; } location /3/ { output_buffers 1 3; alias DIR/; } }`)
	if err := os.WriteFile(ts.dir+"/utf.txt", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/", "/1/", "/2/", "/3/"} {
		if _, body := answerOf(t, ask(t, ts.addrs[0], "GET "+dir+"utf.txt HTTP/1.0\r\n\r\n")); body != "a\xe0\xe1\x88\x80 &#228; &#128512;" {
			t.Errorf("%s: %q", dir, body)
		}
	}
}
