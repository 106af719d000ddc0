package http

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// treeOf lists the files of a directory with their access and content.
func treeOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", strings.TrimPrefix(path, dir), fi.Mode())
		if fi.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %.20q %d", text, len(text))
			if fi.ModTime().Year() < 2026 {
				line += fi.ModTime().String()
			}
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var tempNumber = regexp.MustCompile(`"[^"]*/0\d{9}"`)

const davServer = `
server { LISTEN; server_name example.com; root SITE; dav_methods PUT DELETE MKCOL COPY MOVE; client_max_body_size 1m; min_delete_depth 1;
	location /off/ { dav_methods off; }
	location /putonly/ { dav_methods PUT; }
	location /full/ { create_full_put_path on; dav_access user:rw group:rw all:r; }
	location /deep/ { min_delete_depth 3; }
	location /alias/ { alias SITE/other/; }
	location /small/ { client_max_body_size 2; create_full_put_path on; }
	location ~ ^/re/(.*)$ { alias SITE/$1; }
}
`

// davRequests have a list of URIs and headers that must not lead out of the site, and others.
func davRequests() []string {
	put := func(uri, body string, headers ...string) string {
		return "PUT " + uri + "|" + strings.Join(append(headers, fmt.Sprintf("Content-Length: %d", len(body))), "|") + "|\n" + body
	}
	list := []string{
		put("/new.txt", "new"), put("/new.txt", "newer"), put("/sub", "x"), put("/sub/", "x"), put("/nodir/x", "x"), put("/full/a/b/c.txt", "deep"), put("/full/a/b/c.txt", "again"), put("/a.html/x", "x"),
		put("/dated.txt", "x", "Date: Tue, 14 Nov 2023 22:13:20 GMT"), put("/dated2.txt", "x", "Date: junk"), put("/ranged.txt", "x", "Content-Range: bytes 0-0/2"), put("/empty.txt", ""), "PUT /nolength",
		put("/large.bin", strings.Repeat("0123456789", 5000)), put("/off/x", "x"), put("/putonly/x", "x"), put("/alias/a.txt", "aliased"), put("/re/re.txt", "regex"), put("/sp%20ace/n%C3%A4w%20?a=b", "escaped"), put("/small/x", "too large"),
		"PUT /chunked.txt|Transfer-Encoding: chunked|\n3\r\nabc\r\n0\r\n\r\n", put("/x\"y", "quote"), "PUT /expected.txt|Content-Length: 0|Expect: 100-continue",
		"MKCOL /made/", "MKCOL /made/", "MKCOL /made", "MKCOL /no/made/", "MKCOL /body/|Content-Length: 1|\nx", "MKCOL /a.html/x/", "MKCOL /full/made/", "MKCOL /off/m/", "MKCOL /s%20p/",
		"COPY /a.html|Destination: /copied.html", "COPY /a.html|Destination: http://example.com/copied2.html", "COPY /a.html|Destination: http://example.com:8080/copied3.html", "COPY /a.html|Destination: http://other/x", "COPY /a.html|Destination: https://example.com/x",
		"COPY /a.html", "COPY /a.html|Destination: ", "COPY /a.html|Destination: x", "COPY /a.html|Destination: http://example.com", "COPY /a.html|Destination: /b.txt|Overwrite: F", "COPY /a.html|Destination: /b.txt|Overwrite: T", "COPY /a.html|Destination: /b.txt|Overwrite: x",
		"COPY /a.html|Destination: /sub", "COPY /a.html|Destination: /sub/", "COPY /sub/|Destination: /x", "COPY /nix|Destination: /x", "COPY /a.html|Destination: /nodir/x", "COPY /sub|Destination: /x", "COPY /a.html|Destination: /q.html?x=y",
		"COPY /other/|Destination: /othercopy/", "COPY /other/|Destination: /othercopy/", "COPY /other/|Destination: /othercopy/|Overwrite: f", "COPY /other/|Destination: /d0/|Depth: 0", "COPY /other/|Destination: /d1/|Depth: 1", "COPY /other/|Destination: /d2/|Depth: x", "COPY /a.html|Destination: /b|Content-Length: 1|\nx",
		"MOVE /copied.html|Destination: /moved.html", "MOVE /copied.html|Destination: /moved.html", "MOVE /copied2.html|Destination: /new/dir/moved.html", "MOVE /othercopy/|Destination: /othermoved/", "MOVE /othermoved/|Destination: /two/", "MOVE /noext|Destination: /d|Depth: 0", "MOVE /noext|Destination: /d|Depth: infinity", "MOVE /sub/|Destination: /a.html",
		"COPY /alias/deep/f.jpg|Destination: /alias/deep/g.jpg", "COPY /off/x|Destination: /y",
		"DELETE /b.txt", "DELETE /b.txt", "DELETE /two", "DELETE /two/", "DELETE /none/|Depth: 0", "DELETE /none/|Depth: 1", "DELETE /none/|Depth: infinity", "DELETE /noext/|x: y", "DELETE /UP.HTML/x", "DELETE /UP.HTML|Depth: 1", "DELETE /UP.HTML|Depth: 0", "DELETE /empty.gif|Content-Length: 1|\nx", "DELETE /empty.gif|Transfer-Encoding: chunked|\n0\r\n\r\n",
		"DELETE /deep/x", "DELETE /deep/x/y", "DELETE /deep/x/y/", "DELETE /deep/", "DELETE /putonly/x", "DELETE /other/link", "GET /moved.html", "OPTIONS /", "PUT /off/x", "POST /new.txt",
	}
	for _, evil := range []string{"/../x", "/..", "..", "/a/../../x", "/%2e%2e/x", "/.%2e/x", "/%2E%2E%2Fx", "/sub%2f..%2f..%2fx", "/x%00", "/x%00.html", "/a/..", "?x", "/..%00", "//../x", "/sub/%2e%2e", "http://example.com/../x", "http://example.com/%2e%2e/x"} {
		list = append(list, "COPY /a.html|Destination: "+evil, "MOVE /nix|Destination: "+evil, "MOVE /other/|Destination: "+evil+"/")
		if strings.HasPrefix(evil, "/") {
			list = append(list, put(evil, "evil"), "MKCOL "+evil+"/", "DELETE "+evil)
		}
	}
	return list
}

// TestDavAsNginx compares answers, logs and what becomes of the files with nginx's.
func TestDavAsNginx(t *testing.T) {
	var sites [2]string
	for i := range sites {
		sites[i] = makeSite(t)
		for _, dir := range []string{"full", "off", "putonly", "deep/x"} {
			if err := os.MkdirAll(sites[i]+"/"+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, to := range map[string]string{"other/link": "../a.html"} {
			if err := os.Symlink(to, sites[i]+"/"+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	logs := t.TempDir()
	named := func(i int, who string) string {
		return "error_log " + logs + "/" + who + " notice;\n" + strings.ReplaceAll(davServer, "SITE", sites[i])
	}
	theirs := startNginxWith(t, "", named(0, "theirs"))
	ours := startServer(t, t.TempDir(), named(1, "ours"))
	for _, r := range davRequests() {
		want := plainChunks(ask(t, theirs[0], wire(r)))
		if got := plainChunks(ask(t, ours[0], wire(r))); got != want {
			t.Errorf("%q:\n%q\nnginx:\n%q", cutText(r), cutText(got), cutText(want))
		}
	}
	compareLogs(t, logs, "theirs", "ours", func(line string) string {
		for _, site := range sites {
			line = strings.ReplaceAll(line, site, "SITE")
		}
		return tempNumber.ReplaceAllString(plainError(line), "TEMP")
	})
	want, got := treeOf(t, sites[0]), treeOf(t, sites[1])
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("files:\n%s\nnginx:\n%s", a, b)
	}
	for _, site := range sites {
		if files, _ := filepath.Glob(filepath.Dir(site) + "/x*"); len(files) > 0 {
			t.Errorf("outside of the site: %v", files)
		}
	}
}

// TestDavSelf has files copied and moved to themselves or into themselves, and to an alias's outside: nginx loses them.
func TestDavSelf(t *testing.T) {
	site := makeSite(t)
	ts := serve(t, strings.ReplaceAll(`server { listen 127.0.0.1:8000; root SITE; dav_methods COPY MOVE; location /alias/ { alias SITE/other/; } location ~ ^/re/(.*)$ { alias SITE/$1; } }`, "SITE", site))
	if err := os.Link(site+"/a.html", site+"/hard.html"); err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, site)
	for _, r := range []struct {
		request string
		status  string
	}{
		{"COPY /a.html|Destination: /a.html", "403"}, {"COPY /a.html|Destination: /./a.html", "403"}, {"COPY /a.html|Destination: //a.html", "403"}, {"COPY /a.html|Destination: /hard.html", "403"}, {"MOVE /a.html|Destination: /a.html", "403"},
		{"COPY /other/|Destination: /other/", "403"}, {"COPY /other/|Destination: /other/deep/new/", "403"}, {"MOVE /other/|Destination: /other/deep/", "403"}, {"COPY /other/deep/|Destination: /other/", "403"}, {"MOVE /other/|Destination: /", "403"},
		{"COPY /alias/deep/f.jpg|Destination: /a", "400"}, {"COPY /re/a.html|Destination: /re/new.html", "400"}, {"COPY /alias/deep/f.jpg|Destination: /somewhere", "400"},
	} {
		if status, _ := answerOf(t, ask(t, ts.addrs[0], wire(r.request))); status != r.status {
			t.Errorf("%s: %s", r.request, status)
		}
	}
	if after := treeOf(t, site); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// TestDavLinks has trees with symbolic links copied and deleted: what they lead to stays.
func TestDavLinks(t *testing.T) {
	site := makeSite(t)
	for name, to := range map[string]string{"other/file": "../a.html", "other/dir": "../sub", "other/up": "..", "other/broken": "nowhere", "other/loop": "loop"} {
		if err := os.Symlink(to, site+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	ts := serve(t, "server { listen 127.0.0.1:8000; root "+site+"; dav_methods COPY MOVE DELETE; }")
	for _, r := range []string{"COPY /other/|Destination: /copy/", "DELETE /other/", "MOVE /copy/|Destination: /moved/"} {
		if status, body := answerOf(t, ask(t, ts.addrs[0], wire(r))); status[0] != '2' {
			t.Errorf("%s: %s %s", r, status, body)
		}
	}
	got := strings.Join(treeOf(t, site), "\n")
	for _, want := range []string{"/a.html -rw", "/sub/index.html ", "/moved/file -rw-r--r-- \"<p>hello", "/moved/deep/f.jpg "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for _, never := range []string{"/moved/dir", "/moved/up", "/moved/broken", "/other", "/copy"} {
		if strings.Contains(got, "\n"+never) {
			t.Errorf("%s in\n%s", never, got)
		}
	}
}

func TestDavConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`dav_methods get;`, `invalid value "get"`}, {`dav_access user:x;`, `invalid value "user:x"`}, {`dav_access me:rw;`, `invalid value "me:rw"`}, {`dav_access user;`, `invalid value "user"`},
		{`min_delete_depth x;`, `invalid number`}, {`dav_access user:r; dav_access user:r;`, `is duplicate`}, {`mirror off; mirror /x;`, `"mirror" directive is duplicate`}, {`mirror /x; mirror off;`, `"mirror" directive is duplicate`},
		{`userid_mark ab;`, `value must be "off" or a single letter, digit or "="`}, {`userid maybe;`, `invalid value "maybe"`}, {`userid_expires x;`, `invalid value`}, {`userid_flags x;`, `invalid value "x"`}, {`set_real_ip_from;`, `invalid number of arguments`},
	} {
		wantConfError(t, c.text, c.want)
	}
}

const mirrorServer = `
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	location / { mirror /m1; mirror /m2; }
	location /nobody { mirror /m3; mirror_request_body off; try_files /a.html =404; }
	location /off { mirror off; try_files /a.html =404; }
	location /inner/ { mirror /m1; location /inner/x { mirror /nix; try_files /a.html =404; } }
	location /m1 { internal; deny all; return 403; }
	location /m2 { internal; if ($request_method = POST) { return 500; } alias SITE/nix2; }
	location /m3 { internal; alias SITE/nix3; }
	location /nix { internal; alias SITE/nix4; }
}
`

// TestMirrorAsNginx compares the mirror module: what is mirrored shows in the error log.
func TestMirrorAsNginx(t *testing.T) {
	sameAnswers(t, mirrorServer, []string{"GET /a.html?x=1", "HEAD /a.html", "POST /a.html|Content-Length: 3|\nabc", "GET /sub/", "GET /missing", "GET /nobody", "POST /nobody|Content-Length: 3|\nabc", "GET /off", "GET /inner/x", "GET /m1"})
}

// TestMirrorBody has mirrored requests read the body, one more slowly than its client waits.
func TestMirrorBody(t *testing.T) {
	ts := serve(t, `log_format m "$uri $request_method $request_body $args"; 
		server { listen 127.0.0.1:8000; location / { mirror /m; test_handler body; } location /m { test_handler mirrored; } }`, testModule)
	c := ts.dial()
	c.send("POST /x?q HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	if got := c.read(); !strings.Contains(got, "200 OK") {
		t.Errorf("%q", got)
	}
	select {
	case got := <-mirrored:
		if got != "POST /m q abc" {
			t.Errorf("%q", got)
		}
	case <-time.After(patience):
		t.Error("nothing was mirrored")
	}
	_ = c.Close()
	ts.none()
}

var mirrored = make(chan string, 10)

func init() {
	testHandlers["mirrored"] = func(r *Request) int {
		if err := r.ReadBody(); err != nil {
			return StatusOf(err)
		}
		mirrored <- fmt.Sprintf("%s %s %s %s", r.Method, r.URI, r.Args, r.BodyBytes())
		return r.SendResponse(200, "text/plain", []byte("dropped"))
	}
}

const useridServer = `
server { LISTEN; server_name example.com; default_type text/plain; add_header X-Got "$uid_got"; userid_service 7;
	location /on { userid on; userid_flags secure httponly samesite=lax; userid_domain example.com; userid_path /p; userid_expires max; userid_p3p 'CP="x"'; try_files /nix =404; }
	location /v1 { userid v1; userid_name id; userid_p3p none; userid_domain none; try_files /nix =404; }
	location /mark { userid on; userid_mark a; userid_flags samesite=strict; return 200 ok; }
	location /eq { userid on; userid_mark =; userid_flags samesite=none; return 200 ok; }
	location /log { userid log; return 200 "$uid_got $uid_set"; }
	location /off { return 200 "$uid_got $uid_set"; }
	location /reset { userid on; set $uid_reset log; return 200 "$uid_got"; }
	location /noreset { userid on; set $uid_reset 0; return 200 "$uid_got"; }
}
`

// TestUseridAsNginx compares the userid module where clients have a cookie, and its form where they get one.
func TestUseridAsNginx(t *testing.T) {
	const good = "AAAAB2Vl0QABAgMEAgMDAw=="
	var requests []string
	for _, path := range []string{"on", "mark", "eq", "log", "off", "noreset"} {
		requests = append(requests, "GET /"+path+"|Cookie: uid="+good, "GET /"+path+"|Cookie: a=b; UID = "+good+"; c=d", "GET /"+path+"|Cookie: uid="+good[:22]+"a=", "GET /"+path+"|Cookie: uid="+good[:22]+"==", "GET /"+path+"|Cookie: uid="+good[:22])
	}
	requests = append(requests, "GET /log|Cookie: uid=short", "GET /log|Cookie: uid=!!!!!!!!!!!!!!!!!!!!!!!!", "GET /log", "GET /off", "GET /log|Cookie: uid=AAAAAAAAAAAAAAAAAAAAAA==", "GET /v1|Cookie: id="+good)
	sameAnswers(t, useridServer, requests)

	cookie := regexp.MustCompile(`Set-Cookie: (\w+)=([A-Za-z0-9+/=]+)([^\r]*)`)
	theirs := startNginxWith(t, "", useridServer)[0]
	ours := startServer(t, t.TempDir(), useridServer)[0]
	for _, r := range []string{"/on", "/v1", "/mark", "/eq", "/reset|Cookie: uid=" + good} {
		var shapes [2]string
		var stamps [2]uint32
		for i, addr := range []string{theirs, ours} {
			m := cookie.FindStringSubmatch(ask(t, addr, wire("GET "+r)))
			if m == nil {
				t.Fatalf("%s: no cookie from %d", r, i)
			}
			raw, err := base64.RawStdEncoding.DecodeString(m[2][:22])
			if err != nil || len(m[2]) != 24 {
				t.Fatalf("%s: %q: %v", r, m[2], err)
			}
			order := binary.ByteOrder(binary.BigEndian)
			if r == "/v1" {
				order = binary.LittleEndian
			}
			stamps[i] = order.Uint32(raw[4:])
			shapes[i] = fmt.Sprintf("%s %d %s %x %s", m[1], order.Uint32(raw), m[3], order.Uint32(raw[12:])&0xff, m[2][22:])
		}
		if shapes[0] != shapes[1] || stamps[1]-stamps[0] > 100 {
			t.Errorf("%s: %q %d, nginx %q %d", r, shapes[1], stamps[1], shapes[0], stamps[0])
		}
	}
}
