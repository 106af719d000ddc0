package http

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// filesServer is asked for what must not be had, and for files through links.
const filesServer = `
server { LISTEN; server_name example.com; root SITE/root; default_type text/plain;
	location /links/ { alias SITE/root/; }
	location /nolinks/ { disable_symlinks on; alias SITE/root/; }
	location /from/ { disable_symlinks on from=SITE/root/dirlink; alias SITE/root/; }
	location /from2/ { disable_symlinks on from=SITE/root/dirlink/; alias SITE/root/; }
	location /fromall/ { disable_symlinks on from=SITE/root/link; alias SITE/root/; }
	location /fromvar/ { disable_symlinks if_not_owner from=$document_root; root SITE/root; }
	location /owner/ { disable_symlinks if_not_owner; alias SITE/root/; }
	location /cache/ { open_file_cache max=2 inactive=1s; open_file_cache_valid 1s; open_file_cache_errors on; alias SITE/root/; }
	location /cache2/ { open_file_cache max=100; open_file_cache_min_uses 2; disable_symlinks on; alias SITE/root/; }
	location /try/ { disable_symlinks on; alias SITE/root/; try_files $uri/ link dir/index.html =404; }
	location /noslash { alias SITE/root/dir/; }
	location /send/ { sendfile on; alias SITE/root/; }
}
`

// fileRequests, of which many are attacks, get the answers of nginx.
func fileRequests() []string {
	var requests []string
	for _, path := range []string{"/../secret", "/..", "/../", "/dir/../../secret", "/dir/..%2f..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/..%2fsecret", "/..%5csecret", "/.%2e/secret",
		"/dir/%2e%2e/%2e%2e/secret", "/dir%2f..%2f..%2fsecret", "/dir/.../secret", "/dir/..../secret", "//secret", "///..///secret", "/dir//../..//secret", "/./secret", "/dir/./index.html", "/dir/../file",
		"/file%00", "/file%00.html", "/%00", "/file%0a", "/file%20", "/file/", "/file/x", "/file%2f", "/file%252e", "/%252e%252e/secret", "/%c0%ae%c0%ae/secret", "/%uff0e", "/%", "/%2", "/%zz", "/file%",
		"/noslash../secret", "/noslash..", "/noslash/../../secret", "/noslash%2f..%2f..%2fsecret", "/noslashindex.html", "/links/../secret", "/links/..%2fsecret", "/dir;/../secret", "/dir/;..;/secret", "/file?../../x", "/file?%00",
		"/file#/../secret", "/" + strings.Repeat("a/../", 300) + "file", "/" + strings.Repeat("a/", 300) + strings.Repeat("../", 300) + "file", "/" + strings.Repeat("../", 300) + "secret",
		"/" + strings.Repeat("n", 255), "/" + strings.Repeat("n", 256), "/" + strings.Repeat("d/", 2000) + "x", "/" + strings.Repeat("%41", 300), "/" + strings.Repeat("/", 700) + "file",
		"/unreadable", "/dev", "/loop", "/dangling", "/link", "/dirlink/index.html", "/outlink", "/file\\", "/\\..\\secret", "/file\x7f", "/caf\xc3\xa9", "/caf%C3%A9"} {
		requests = append(requests, "GET "+path)
	}
	for _, prefix := range []string{"/links/", "/nolinks/", "/from/", "/from2/", "/fromall/", "/fromvar/", "/owner/", "/cache/", "/cache2/", "/try/", "/send/"} {
		for _, path := range []string{"file", "link", "dirlink/index.html", "dirlink/", "dirlink", "dirlink/in", "outlink", "dangling", "loop", "dir/", "dir", "dir//index.html", "missing", "theirlink", "theirdir/index.html", "file"} {
			requests = append(requests, "GET "+prefix+path)
		}
	}
	for _, rg := range []string{"bytes=0-99999999999999999999", "bytes=9223372036854775807-", "bytes=9223372036854775808-", "bytes=-9223372036854775807", "bytes=-9223372036854775808", "bytes=0-9223372036854775807",
		"bytes=--1", "bytes=0--1", "bytes=1-0", "bytes= 0-1", "bytes=0-1 ", "bytes=0 - 1", "bytes=0-1,", "bytes=,0-1", "bytes=0-1,,2-3", "bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", "bytes=a-b", "bytes=0x0-1", "bytes=+1-2",
		"bytes", "bytes=", "bytes=-", "BYTES=0-1", "bytes =0-1", "octets=0-1", "bytes=0-1;2-3", "bytes=00000000000000000000000000-1", "bytes=0-1,5-6,3-4", "bytes=-0", "bytes=-0,0-1",
		"bytes=" + strings.Repeat("0-0,", 150) + "0-0", "bytes=" + strings.Repeat("9", 900) + "-", "bytes=0-\t1"} {
		requests = append(requests, "GET /file|Range: "+rg, "GET /send/big|Range: "+rg)
	}
	for _, value := range []string{`"`, `""`, `W/`, `W/"`, "*", "**", ",", `"a","b`, strings.Repeat(`"x",`, 200), "Tue, 32 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 99999 22:13:20 GMT", strings.Repeat("9", 500)} {
		for _, name := range []string{"If-None-Match", "If-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"} {
			requests = append(requests, "GET /file|Range: bytes=0-1|"+name+": "+value)
		}
	}
	return requests
}

// TestFilesAsNginx compares the answers to requests for files, honest and not.
func TestFilesAsNginx(t *testing.T) {
	site := fixedDir(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(site+"/root/dir/in", 0o755))
	for name, text := range map[string]string{"secret": "SECRET", "root/file": "a file", "root/dir/index.html": "index", "root/unreadable": "no", "root/café": "é", "root/big": strings.Repeat("0123456789", 5000)} {
		must(os.WriteFile(site+"/"+name, []byte(text), 0o644))
	}
	for link, to := range map[string]string{"link": "file", "dirlink": "dir", "outlink": "../secret", "dangling": "nowhere", "loop": "loop", "theirlink": "file", "theirdir": "dir"} {
		must(os.Symlink(to, site+"/root/"+link))
	}
	if os.Getuid() == 0 {
		must(os.Lchown(site+"/root/theirlink", 12345, 12345))
		must(os.Lchown(site+"/root/theirdir", 12345, 12345))
	}
	sameTimes(t, site)
	(&differential{
		site: site, http: filesServer, level: "notice", requests: fileRequests(), line: plainError, checked: true,
		shown: func(_ *testing.T, answer string) string { return plain(answer) },
	}).run(t)
}

// TestOpenFileCache replaces, removes and changes files that are in the cache.
func TestOpenFileCache(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR;
		location / { open_file_cache max=3; }
		location /now/ { open_file_cache max=10; open_file_cache_valid 0; open_file_cache_errors on; alias DIR/; }
		location /errors/ { open_file_cache max=10; open_file_cache_errors on; alias DIR/; } }`)
	c := ts.dial()
	get := func(path, want string) {
		t.Helper()
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if answer := c.read(); !strings.HasSuffix(answer, "\r\n\r\n"+want) && !strings.HasPrefix(answer, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q, want %q", path, answer, want)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(ts.dir+"/tmp", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(ts.dir+"/tmp", ts.dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "one")
	get("/a", "one")
	get("/now/a", "one")
	write("a", "two!")
	get("/a", "one") // for a minute
	get("/now/a", "two!")
	if err := os.Remove(ts.dir + "/a"); err != nil {
		t.Fatal(err)
	}
	get("/a", "one")
	get("/now/a", "404")
	get("/errors/b", "404")
	write("b", "b")
	get("/errors/b", "404")
	get("/now/b", "b")
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		write(name, name)
		get("/"+name, name)
		get("/"+name, name)
	}
	var open int
	ts.do(func() {
		links, _ := os.ReadDir("/proc/self/fd")
		for _, l := range links {
			if to, _ := os.Readlink("/proc/self/fd/" + l.Name()); strings.HasPrefix(to, ts.dir+"/f") {
				open++
			}
		}
	})
	if open > 3 {
		t.Errorf("%d files are open, not 3", open)
	}
}
