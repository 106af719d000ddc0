package http

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
)

// makeDirectory fills SITE/index with files whose names are of all sorts.
func makeDirectory(t *testing.T, site string) {
	t.Helper()
	dir := site + "/index"
	when := time.Unix(1700000000, 0)
	for name, size := range map[string]int64{
		"a.html": 3, "b&<c>\".txt": 10000, "c d;e'f%.bin": 1 << 20, "big": 5<<30 + 1<<29, "half": 1<<20 + 1<<19, "k": 9999, "k2": 10240 + 512, ".hidden": 1,
		"ä ö.txt": 1, strings.Repeat("x", 50): 1, strings.Repeat("y", 51): 1, strings.Repeat("ü", 50): 2, strings.Repeat("ü", 51): 2, strings.Repeat("<", 60): 1, "bad\xff\xfe": 1, "ctl\x01\n\\": 1,
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(dir+"/"+name, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sub", "zdir", "two words", strings.Repeat("d", 49), strings.Repeat("d", 50), strings.Repeat("d", 55), "empty"} {
		if err := os.Mkdir(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": "a.html", "dirlink": "sub", "broken": "nowhere", "loop": "loop"} {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/sub/only.html", []byte("the only one"), 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Type()&os.ModeSymlink == 0 {
			if err := os.Chtimes(dir+"/"+f.Name(), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const directoryServer = `
server { LISTEN; server_name example.com; root SITE; autoindex on; index nix;
	location /json/ { alias SITE/index/; autoindex_format json; }
	location /jsonp/ { alias SITE/index/; autoindex_format jsonp; }
	location /xml/ { alias SITE/index/; autoindex_format xml; }
	location /round/ { alias SITE/index/; autoindex_exact_size off; autoindex_localtime on; }
	location /utf8/ { alias SITE/index/; charset utf-8; }
	location /off/ { alias SITE/index/; autoindex off; }
	location /random/ { alias SITE/index/sub/; random_index on; autoindex off; }
	location /randomnone/ { alias SITE/index/empty/; random_index on; }
	location /randomnix/ { alias SITE/nix/; random_index on; }
	location /first/ { alias SITE/sub/; random_index on; index a; }
}
`

// TestAutoindexAsNginx compares autoindex and random_index with nginx's.
func TestAutoindexAsNginx(t *testing.T) {
	site := makeSite(t)
	makeDirectory(t, site)
	paths := []string{"/index/", "/json/", "/jsonp/?callback=a.b_9", "/jsonp/", "/jsonp/?callback=", "/jsonp/?callback=a-b", "/jsonp/?callback=" + strings.Repeat("c", 129), "/xml/", "/round/", "/utf8/", "/off/",
		"/index/sub/", "/index/empty/", "/json/empty/", "/xml/empty/", "/index/a.html/", "/nix/", "/" + strings.Repeat("n", 300) + "/", "/random/", "/random/?a=b", "/randomnone/", "/randomnix/", "/first/"}
	var requests []string
	for _, p := range paths {
		requests = append(requests, "GET "+p, "HEAD "+p)
	}
	sameAnswersOf(t, site, directoryServer, append(requests, "POST /index/", "POST /random/", "PUT /json/", "POST /jsonp/|Content-Length: 2|\nab", "GET /index/ HTTP/1.0\r\n\r\n"))
}

const refererServer = `
server { LISTEN; server_name example.com *.example.org ~^re\d+\.example\.net$ ""; default_type text/plain;
	location /none { return 200 "[$invalid_referer]"; }
	location /one { valid_referers good.example *.wild.example www.tail.* .dot.example; return 200 "[$invalid_referer]"; }
	location /blocked { valid_referers none blocked good.example; return 200 "[$invalid_referer]"; }
	location /names { valid_referers server_names; return 200 "[$invalid_referer]"; }
	location /path { valid_referers good.example/dir/ other.example; return 200 "[$invalid_referer]"; }
	location /regex { valid_referers ~\.re\. ~^GOOD.*/x; return 200 "[$invalid_referer]"; }
	location /outer { valid_referers good.example; location /outer/in { return 200 "[$invalid_referer]"; } return 200 "[$invalid_referer]"; }
	location /if { valid_referers none good.example; if ($invalid_referer) { return 403; } return 200 ok; }
}
`

// TestReferersAsNginx compares valid_referers with nginx's.
func TestReferersAsNginx(t *testing.T) {
	var requests []string
	for _, path := range []string{"none", "one", "blocked", "names", "path", "regex", "outer/in", "if"} {
		requests = append(requests, "GET /"+path)
		for _, ref := range []string{"", "x", "http://good.example", "https://GOOD.example/dir/file", "http://good.example:81/dir", "HTTP://good.example/di", "ftp://good.example/", "http://a.wild.example/", "http://wild.example/",
			"http://www.tail.com/", "http://tail.com/", "http://dot.example/", "http://b.dot.example", "http://example.com/", "http://x.example.org/", "http://re12.example.net/", "http://rex.example.net/", "http://a.re.b/", "http://goodie/x", "https://bad.example/",
			"http://i.ru", "http://i.r", "http:///x-x-x-x", "good.example", "http://" + strings.Repeat("h", 257) + "/"} {
			requests = append(requests, "GET /"+path+"|Referer: "+ref)
		}
	}
	sameAnswers(t, refererServer, requests)
}

const secureLinkServer = `
server { LISTEN; server_name example.com; default_type text/plain;
	location /s { secure_link $arg_m,$arg_e; secure_link_md5 "$arg_e$uri secret"; return 200 "[$secure_link] [$secure_link_expires]"; }
	location /n { secure_link $arg_m; secure_link_md5 "$uri secret"; return 200 "[$secure_link] [$secure_link_expires]"; location /n/in { return 200 "$secure_link"; } }
	location /p/ { secure_link_secret word; if ($secure_link = "") { return 403; } return 200 "$secure_link"; }
	location /none { return 200 "[$secure_link] [$secure_link_expires]"; }
	location /half { secure_link_md5 x; return 200 "[$secure_link]"; }
}
`

// TestSecureLinkAsNginx compares secure_link with nginx's.
func TestSecureLinkAsNginx(t *testing.T) {
	sum := func(text string) string {
		s := md5.Sum([]byte(text))
		return base64.RawURLEncoding.EncodeToString(s[:])
	}
	hexSum := func(text string) string {
		s := md5.Sum([]byte(text))
		return hex.EncodeToString(s[:])
	}
	requests := []string{"GET /none", "GET /half", "GET /s", "GET /n"}
	for _, e := range []string{"2147483647", "1", "0", "-1", "x", "", "12x", "%2b5", "99999999999999999999"} {
		requests = append(requests, "GET /s?e="+e+"&m="+sum(e+"/s secret"), "GET /s?e="+e+"&m="+sum("wrong"), "GET /s?e="+e+"&m="+sum(e+"/s secret")+"==", "GET /s?e="+e+"&m="+sum(e+"/s secret")+"===")
	}
	for _, m := range []string{sum("/n secret"), sum("/n secret") + "x", "", "a", "!!!!", sum("/n secret")[:20]} {
		requests = append(requests, "GET /n?m="+m)
	}
	requests = append(requests, "GET /n/in?m="+sum("/n/in secret"))
	for _, uri := range []string{"/p/" + hexSum("link/a?b=cword") + "/link/a?b=c", "/p/" + hexSum("linkword") + "/link", "/p/" + strings.ToUpper(hexSum("linkword")) + "/link", "/p/" + hexSum("linkword") + "/", "/p/" + hexSum("word") + "/", "/p/x/link", "/p/" + hexSum("linkword"), "/p/" + strings.Repeat("g", 32) + "/link"} {
		requests = append(requests, "GET "+uri)
	}
	sameAnswers(t, secureLinkServer, requests)
}

func TestFileModulesConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`autoindex_format yaml;`, `invalid value "yaml"`},
		{`random_index on;`, `"random_index" directive is not allowed here`},
		{`server { valid_referers ""; }`, `invalid referer ""`},
		{`server { valid_referers none; }`, `the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer`},
		{`server { valid_referers a*b; }`, `invalid hostname or wildcard "a*b"`},
		{`server { valid_referers a.b a.b/c; }`, `conflicting parameter "a.b"`},
		{`server { valid_referers ~; }`, `empty regex in "~"`},
		{`server { valid_referers ~(; }`, `regular expression failed`},
		{`server { location / { secure_link_secret a; secure_link b; } }`, `"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"`},
		{`secure_link a; secure_link b;`, `"secure_link" directive is duplicate`},
	} {
		wantConfError(t, c.text, c.want)
	}
}

// TestPasswords checks entries that crypt(3) has made.
func TestPasswords(t *testing.T) {
	const long = "a password of more than sixty-four bytes, so that the blocks of a digest are more than one"
	for _, c := range []struct{ entry, password string }{
		{"$1$saltsalt$9xy1btjgzLYfb7hivXtC//", "secret"},
		{"$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0", "secret"},
		{"$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA", "secret"},
		{"$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1", "secret"},
		{"$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "secret"},
		{"$5$rounds=1500$a-long-salt-of-m$mbvRUXN6nGtLMeb/9y5PxpLckdfdPSZxhXLEBAXuaQ1", "secret"},
		{"$5$ab$qRq/oZkUn9lJUSIcgVT3NbpSDsjn.r137TBSoCt2kCA", ""},
		{"$6$ab$MoxUF0oMdac/tmCeG50VbfjCUxa2aBquSHoIpoWsi.24Rhrky4.CVG6tneNHXq7vT7YcnF6kfMSxTxsCmJNpf0", long},
		{"$5$ab$K6r4X47iVUzMqV3dlh68rsA5v/3rknuw0iOOcymxBMC", long},
		{"abNANd1rDfiNc", "secret"},
		{"$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9", "secret"},
		{"{PLAIN}secret", "secret"},
		{"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"},
		{"{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret"},
	} {
		k := kindOf(c.entry)
		if k == nil || !k.matches(c.entry, c.password) || k.matches(c.entry, c.password+"x") || k.matches(c.entry[:len(c.entry)-1], c.password) {
			t.Errorf("%s", c.entry)
		}
	}
	for _, entry := range []string{"$5$rounds=10$x$abc", "$5$rounds=x$x$abc", "$5$", "$6$$", "$1$", "$2y$", "$2y$99$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "{SSHA}!", "{SSHA}", "{SHA}", "", "a", "plain", "$y$x", "$y$", "$zz$secret", "{X}secret"} {
		if kindOf(entry).matches(entry, "") || kindOf(entry).matches(entry, "secret") {
			t.Errorf("%s matches", entry)
		}
	}
	for _, entry := range []string{"$3$$x", "$7$x", "$gy$x", "$sha1$1$x", "$md5$x", "_J9..x"} {
		if kindOf(entry) != nil {
			t.Errorf("%q is known", entry)
		}
	}
}
