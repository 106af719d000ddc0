package luart

import "testing"

func TestEscape(t *testing.T) {
	const all = "a b+c&d=e?f#g%h/i\"j'k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z\x00\x7f\xff_-."
	for _, tc := range []struct {
		kind int
		want string
	}{
		{escapeURI, "a%20b+c&d=e%3Ff%23g%25h/i\"j'k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z%00%7F%FF_-."},
		{escapeArgs, "a%20b%2Bc&d=e%3Ff%23g%25h/i\"j'k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z%00%7F%FF_-."},
		{escapeURIComponent, "a%20b%2Bc%26d%3De%3Ff%23g%25h%2Fi%22j'k%5Cl~m!n(o)p*q%2Cr%3Bs%3At%40u%24v%5Bw%5Dx%7By%7Dz%00%7F%FF_-."},
		{escapeHTML, "a%20b+c&d=e?f%23g%25h/i%22j%27k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z%00%7F%FF_-."},
		{escapeRefresh, "a%20b+c&d=e?f#g%h/i%22j%27k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z%00%7F%FF_-."},
		{escapeMemcached, "a%20b+c&d=e?f#g%25h/i\"j'k\\l~m!n(o)p*q,r;s:t@u$v[w]x{y}z%00\x7f\xff_-."},
	} {
		if got := escapeString(all, escapeSets[tc.kind]); got != tc.want {
			t.Errorf("type %d: got  %q\n want %q", tc.kind, got, tc.want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a+b": "a b", "%41%4a%4A": "AJJ", "%": "%", "%4": "%4", "%4g": "%4g", "%%41": "%A", "a%2": "a%2", "%25": "%",
	} {
		if got := string(appendUnescaped(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add("a%20b+%")
	f.Fuzz(func(t *testing.T, s string) {
		if got := string(appendUnescaped(nil, escapeString(s, escapeSets[escapeURIComponent]))); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	})
}

func TestBase64(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "YQ==": "a", "YQ": "a", "YWI=": "ab", "YWJj": "abc", "YWJjZA": "abcd", "YQ==junk": "a",
	} {
		if got, ok := appendBase64Decoded(nil, in); !ok || string(got) != want {
			t.Errorf("%q: got %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"Y", "YWJjZ", "Y Q=", "Y-Q="} {
		if got, ok := appendBase64Decoded(nil, in); ok {
			t.Errorf("%q: got %q, want none", in, got)
		}
	}
}

func TestParseHTTPTime(t *testing.T) {
	for in, want := range map[string]int64{
		"Thu, 18 Nov 2010 11:27:35 GMT":    1290079655,
		"Thu, 18-Nov-10 11:27:35 GMT":      1290079655,
		"Thursday, 18-Nov-10 11:27:35 GMT": 1290079655,
		"Thu Nov 18 11:27:35 2010":         1290079655,
		"Thu Nov  8 11:27:35 2010":         1289215655,
		"Thu, 01 Jan 1970 00:00:00 GMT":    0,
	} {
		if got, ok := ParseHTTPTime(in); !ok || got != want {
			t.Errorf("%q: got %d %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "x", "Thu, 18 Nov 2010", "Thu, 31 Feb 2010 11:27:35 GMT", "Thu, 18 Foo 2010 11:27:35 GMT", "Thu, 18 Nov 2010 24:27:35 GMT"} {
		if got, ok := ParseHTTPTime(in); ok {
			t.Errorf("%q: got %d, want none", in, got)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	for want, n := range map[string]float64{
		"0": 0, "-3": -3, "1e+15": 1e15, "1e+14": 1e14, "10000000000": 1e10, "0.1": 0.1, "1.2345678901235e+19": 12345678901234567890,
		"2147483648": 1 << 31, "1e-05": 1e-5, "0.0001": 1e-4, "3.1415926535898": 3.14159265358979,
	} {
		if got := string(appendNumber(nil, n)); got != want {
			t.Errorf("%v: got %s, want %s", n, got, want)
		}
	}
}

func TestExpandPath(t *testing.T) {
	for in, want := range map[string]string{
		"/a/?.lua":            "/a/?.lua",
		"/a/?.lua;;":          "/a/?.lua;DEF;",
		";;/a/?.lua":          ";DEF;/a/?.lua",
		"$prefix/lua/?.lua;;": "/p//lua/?.lua;DEF;",
		"${prefix}lua/?.lua":  "/p/lua/?.lua",
		"/a/?.lua;;/b/?.lua":  "/a/?.lua;DEF;/b/?.lua",
	} {
		if got := expandPath(in, "DEF", "/p/"); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
