package http

import (
	"strings"
	"testing"
)

// tree makes a tree of "KIND NAME" lines; two spaces of indentation are one level of nesting.
func tree(t *testing.T, text string) *LocationTree[string] {
	t.Helper()
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	root, rest := subtree(t, lines, 0)
	if len(rest) > 0 {
		t.Fatalf("lines left: %q", rest)
	}
	return root
}

func subtree(t *testing.T, lines []string, depth int) (*LocationTree[string], []string) {
	var locs []Location[string]
	for len(lines) > 0 {
		line := lines[0]
		trimmed := strings.TrimLeft(line, " ")
		level := (len(line) - len(trimmed)) / 2
		if level < depth {
			break
		}
		if level > depth {
			locs[len(locs)-1].Nested, lines = subtree(t, lines, level)
			continue
		}
		lines = lines[1:]
		kind, name, _ := strings.Cut(trimmed, " ")
		l := Location[string]{Name: name, Conf: trimmed, File: "f", Line: 1}
		switch kind {
		case "=":
			l.Kind = LocationExact
		case "^~":
			l.Kind = LocationPrefixFinal
		case "~", "~*":
			l.Kind = LocationRegex
			l.Regex = regexOf(t, name, kind == "~*")
		case "@":
			l.Kind = LocationNamed
		case "->":
			l.AutoRedirect = true
		}
		locs = append(locs, l)
	}
	root, err := NewLocationTree(locs)
	if err != nil {
		t.Fatal(err)
	}
	return root, lines
}

func TestLocationTree(t *testing.T) {
	root := tree(t, `
- /
- /a
= /a
- /a/b/
- /a/b/c
- /ab
^~ /img/
= /img/x.png
-> /user/
-> /both/
= /both
- /n/
  - /n/m/
    = /n/m/e
    ~ \.nested$
  ~ \.deep$
^~ /f/
  - /f/g
  ~ \.in$
~ \.png$
~* \.GIF$
~ ^/re/(.)
  - /re/x/
  -> /re/y/
@ @name
`)
	var caps Captures
	for uri, want := range map[string]string{
		"/":              "- /",
		"/zzz":           "- /",
		"/a":             "= /a",
		"/a/":            "- /a",
		"/a/b":           "- /a",
		"/a/b/":          "- /a/b/",
		"/a/b/c":         "- /a/b/c",
		"/a/b/d":         "- /a/b/",
		"/abc":           "- /ab",
		"/a.png":         `~ \.png$`,
		"/a.gif":         `~* \.GIF$`,
		"/a.PNG":         "- /a",
		"/img/y.png":     "^~ /img/",
		"/img/x.png":     "= /img/x.png",
		"/user/":         "-> /user/",
		"/user":          "-> /user/ redirect",
		"/userx":         "- /",
		"/both":          "= /both",
		"/both/x":        "-> /both/",
		"/n/":            "- /n/",
		"/n/m/":          "- /n/m/",
		"/n/m/e":         "= /n/m/e",
		"/n/m/e.png":     `~ \.png$`,
		"/n/m/x.nested":  `~ \.nested$`,
		"/n/x.nested":    "- /n/",
		"/n/m/x.deep":    `~ \.deep$`,
		"/f/x.png":       "^~ /f/",
		"/f/g.png":       "- /f/g",
		"/f/x.in":        `~ \.in$`,
		"/re/q":          "~ ^/re/(.)",
		"/re/x/y":        "- /re/x/",
		"/re/y":          "-> /re/y/",
		"/re/":           "- /",
		"/a/b/c/d/e/f/g": "- /a/b/c",
	} {
		l, redirect, err := root.Find([]byte(uri), &caps)
		got := "none"
		if err != nil {
			got = err.Error()
		} else if l != nil {
			got = l.Conf
		}
		if redirect {
			got += " redirect"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
	if l := root.Named([]byte("@name")); l == nil || l.Conf != "@ @name" {
		t.Errorf("@name: %v", l)
	}
	if l := root.Named([]byte("@other")); l != nil {
		t.Errorf("@other: %v", l)
	}
	uri := []byte("/a/b/d")
	if n := testing.AllocsPerRun(100, func() { _, _, _ = root.Find(uri, &caps) }); n != 0 && !raceDetector {
		t.Errorf("Find allocates %v times", n)
	}
	var empty *LocationTree[string]
	if l, _, _ := empty.Find(uri, &caps); l != nil || empty.Named(uri) != nil {
		t.Error("an empty tree finds something")
	}
}

func TestLocationTreeDuplicates(t *testing.T) {
	for _, kinds := range [][2]LocationKind{
		{LocationPrefix, LocationPrefix}, {LocationPrefix, LocationPrefixFinal}, {LocationExact, LocationExact},
	} {
		_, err := NewLocationTree([]Location[int]{
			{Kind: kinds[0], Name: "/x", File: "a.conf", Line: 3},
			{Kind: kinds[1], Name: "/x", File: "a.conf", Line: 7},
		})
		if want := `duplicate location "/x" in a.conf:7`; err == nil || err.Error() != want {
			t.Errorf("%v: %v", kinds, err)
		}
	}
}

// TestLocationAsNginx compares the choice of locations with nginx's.
func TestLocationAsNginx(t *testing.T) {
	const text = `
- /
- /a
= /a
- /a/b/
- /ab
^~ /img/
- /n/
  - /n/m/
    = /n/m/e
    ~ \.nested$
  ~ \.deep$
^~ /f/
  - /f/g
  ~ \.in$
~ \.png$
~* \.GIF$
~ ^/re/(.)
  ~ \.z$
`
	var config strings.Builder
	depth := 0
	for _, line := range strings.Split(strings.Trim(text, "\n"), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		level := (len(line) - len(trimmed)) / 2
		for ; depth > level; depth-- {
			config.WriteString("}\n")
		}
		kind, name, _ := strings.Cut(trimmed, " ")
		config.WriteString("location " + strings.Trim(kind, "-") + " '" + name + "' { add_header L '" +
			strings.ReplaceAll(trimmed, "$", "%") + "' always; root DIR;\n")
		depth = level + 1
	}
	config.WriteString(strings.Repeat("}\n", depth))
	addr := startNginx(t, "server { LISTEN;\n"+config.String()+"}")[0]
	root := tree(t, text)
	var caps Captures
	for _, uri := range []string{"/", "/x", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/img", "/img/", "/img/a.png", "/a.png",
		"/A.gif", "/n", "/n/", "/n/m", "/n/m/", "/n/m/e", "/n/m/e.nested", "/n/m/e.png", "/n/e.nested", "/n/e.deep", "/n/m/e.deep",
		"/f/a.png", "/f/g.png", "/f/g.in", "/f/a.in", "/re/1", "/re/1.z", "/re/1.png", "/re/"} {
		l, _, err := root.Find([]byte(uri), &caps)
		if err != nil {
			t.Fatal(err)
		}
		answer := ask(t, addr, "GET "+uri+" HTTP/1.0\r\n\r\n")
		_, got, _ := strings.Cut(answer, "\r\nL: ")
		got, _, _ = strings.Cut(got, "\r\n")
		if want := strings.ReplaceAll(l.Conf, "$", "%"); got != want {
			t.Errorf("%s: nginx has %q, we %q", uri, got, want)
		}
	}
}
