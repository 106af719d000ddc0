package conf

import (
	"errors"
	"path/filepath"
	"testing"
)

// FuzzLoad gives any text to the parser: it must not panic, and an error must
// say where, but for what concerns no place.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		for _, s := range readCase(f, path) {
			if s.name == "nginx.conf" && len(s.text) < 4096 {
				f.Add(s.text, "a b;")
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, included string) {
		_, err := Load(Options{Prefix: "/p", Modules: testModules(), Worker: true, Source: mapSource{
			"/p/conf/nginx.conf": text, "/p/conf/a": included, "/p/conf/a.conf": included,
		}})
		if err == nil {
			return
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("an error of type %T: %v", err, err)
		}
		if e.File == "" || e.Line < 1 {
			switch e.Text {
			case `no "events" section in configuration`, "0 worker_connections are not enough for 0 listening sockets":
			default:
				t.Fatalf("an error without a place: %v", err)
			}
		}
		if len(e.Text) > maxErrorText {
			t.Fatalf("a message of %d bytes", len(e.Text))
		}
	})
}

// FuzzGlob gives any mask to the matcher. What a mask matches, it matches behind
// a star too; and a name whose bytes are all escaped matches itself.
func FuzzGlob(f *testing.F) {
	f.Add("*.conf", "a.conf")
	f.Add("[!a-z]?*\\*[", "a*[")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if fnmatch(pattern, name) && !fnmatch("*"+pattern, name) {
			t.Errorf("%q is matched by %q but not with a star before it", name, pattern)
		}
		escaped := ""
		for i := range len(name) {
			escaped += "\\" + name[i:i+1]
		}
		if !fnmatch(escaped, name) {
			t.Errorf("%q does not match %q", escaped, name)
		}
	})
}
