package http

import (
	"bytes"
	"strings"
	"testing"
)

// uriCases are request targets with the path that they mean, or "400".
var uriCases = []struct{ in, merged, unmerged, args string }{
	{"/", "/", "/", ""},
	{"/a/b", "/a/b", "/a/b", ""},
	{"//", "/", "//", ""},
	{"/a//b///c", "/a/b/c", "/a//b///c", ""},
	{"/.", "/", "/", ""},
	{"/./", "/", "/", ""},
	{"/a/.", "/a/", "/a/", ""},
	{"/a/./b", "/a/b", "/a/b", ""},
	{"/a/..", "/", "/", ""},
	{"/a/../", "/", "/", ""},
	{"/a/../b", "/b", "/b", ""},
	{"/a/b/../../c", "/c", "/c", ""},
	{"/..", "400", "400", ""},
	{"/../", "400", "400", ""},
	{"/a/../..", "400", "400", ""},
	{"/a/../../b", "400", "400", ""},
	{"//..", "400", "/", ""},
	{"/a//../b", "/b", "/a/b", ""},
	{"/...", "/...", "/...", ""},
	{"/..a", "/..a", "/..a", ""},
	{"/.a/b", "/.a/b", "/.a/b", ""},
	{"/a./b", "/a./b", "/a./b", ""},
	{"/a../b", "/a../b", "/a../b", ""},
	{"/%41", "/A", "/A", ""},
	{"/%2e", "/", "/", ""},
	{"/%2e%2E/", "400", "400", ""},
	{"/a/%2e./b", "/b", "/b", ""},
	{"/a/.%2e/b", "/b", "/b", ""},
	{"/a%2fb", "/a/b", "/a/b", ""},
	{"/a/..%2fb", "/b", "/b", ""},
	{"/a%2f..%2f..", "400", "400", ""},
	{"/a%2f%2fb", "/a/b", "/a//b", ""},
	{"/%25", "/%", "/%", ""},
	{"/%2541", "/%41", "/%41", ""},
	{"/%252e%252e", "/%2e%2e", "/%2e%2e", ""},
	{"/%3f", "/?", "/?", ""},
	{"/%23", "/#", "/#", ""},
	{"/%3fa=b?c=d", "/?a=b", "/?a=b", "c=d"},
	{"/a/..%3f/b", "/a/..?/b", "/a/..?/b", ""},
	{"/a/..%25/b", "/a/..%/b", "/a/..%/b", ""},
	{"/a/.%23/b", "/a/.#/b", "/a/.#/b", ""},
	{"/%00", "400", "400", ""},
	{"/a%00b", "400", "400", ""},
	{"/%0a", "/\n", "/\n", ""},
	{"/%", "400", "400", ""},
	{"/%4", "400", "400", ""},
	{"/%zz", "400", "400", ""},
	{"/%4g", "400", "400", ""},
	{"/%?", "400", "400", ""},
	{"/a?b=c&d=%zz", "/a", "/a", "b=c&d=%zz"},
	{"/a?b?c", "/a", "/a", "b?c"},
	{"/a?../..", "/a", "/a", "../.."},
	{"/a/..?x", "/", "/", "x"},
	{"/a/.?x", "/a/", "/a/", "x"},
	{"/a/..#x", "/", "/", ""},
	{"/..?x", "400", "400", ""},
	{"/a#b", "/a", "/a", ""},
	{"/a#b?c", "/a", "/a", ""},
	{"/a?b#c", "/a", "/a", "b"},
	{"/a?#", "/a", "/a", ""},
	{"/a+b", "/a+b", "/a+b", ""},
	{"/%2b", "/+", "/+", ""},
	{"/a\\..\\b", "/a\\..\\b", "/a\\..\\b", ""},
	{"/\xff\xfe", "/\xff\xfe", "/\xff\xfe", ""},
	{"/%ff", "/\xff", "/\xff", ""},
	{"/a.b/c.html", "/a.b/c.html", "/a.b/c.html", ""},
}

func TestNormalizeURI(t *testing.T) {
	for _, c := range uriCases {
		for _, merge := range []bool{true, false} {
			want := c.merged
			if !merge {
				want = c.unmerged
			}
			u, ok := NormalizeURI([]byte("kept"), []byte(c.in), false, merge)
			got, args := string(u.Path), ""
			if !ok {
				got = "400"
			} else if u.Args >= 0 {
				args = c.in[u.Args:u.ArgsEnd]
			}
			if got != want || args != c.args {
				t.Errorf("%q (merge %v): %q ? %q, want %q ? %q", c.in, merge, got, args, want, c.args)
			}
		}
	}
}

func TestNormalizeURIExten(t *testing.T) {
	for in, want := range map[string]string{
		"/a.html": "html", "/a.b/c": "", "/a.tar.gz?x.y": "gz", "/.ht": "", "/a%2Epng": "png", "/a.b%2fc": "", "/x./..": "", "/a.": "",
	} {
		u, ok := NormalizeURI(nil, []byte(in), false, true)
		got := ""
		if u.Exten >= 0 {
			got = string(u.Path[u.Exten:])
		}
		if !ok || got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if u, ok := NormalizeURI(nil, []byte("?a"), true, true); !ok || string(u.Path) != "/" || u.Args != 1 {
		t.Errorf("empty path: %+v", u)
	}
}

// FuzzURI checks that no target leads out of the root: whatever is accepted is an absolute path without dot segments.
func FuzzURI(f *testing.F) {
	for _, c := range uriCases {
		f.Add([]byte(c.in[1:]))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		raw := append([]byte("/"), in...)
		for _, merge := range []bool{true, false} {
			u, ok := NormalizeURI(nil, raw, false, merge)
			if !ok {
				continue
			}
			if len(u.Path) == 0 || u.Path[0] != '/' || len(u.Path) > len(raw) {
				t.Fatalf("%q: %q", raw, u.Path)
			}
			for seg := range bytes.SplitSeq(u.Path, []byte{'/'}) {
				if string(seg) == "." || string(seg) == ".." {
					t.Fatalf("%q: %q has a dot segment", raw, u.Path)
				}
			}
			if merge && strings.Contains(string(u.Path), "//") {
				t.Fatalf("%q: %q has an empty segment", raw, u.Path)
			}
			if u.Exten > len(u.Path) || u.ArgsEnd > len(raw) || u.Args > u.ArgsEnd {
				t.Fatalf("%q: %+v", raw, u)
			}
		}
	})
}
