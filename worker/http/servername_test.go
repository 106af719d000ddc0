package http

import "testing"

func regexOf(t *testing.T, pattern string, caseless bool) *BoundRegex {
	t.Helper()
	re, err := CompileRegex(pattern, caseless)
	if err != nil {
		t.Fatal(err)
	}
	b := &BoundRegex{Regex: re}
	if re.HasNames() {
		for i, name := range re.Names {
			if name == "" {
				i = -1
			}
			b.slots = append(b.slots, i)
		}
	}
	return b
}

func TestServerNames(t *testing.T) {
	var names ServerNames[string]
	for _, n := range []string{"", "example.com", "www.example.com", "*.example.com", "*.sub.example.com", ".example.org",
		"mail.*", "mail.example.*", "*.de", "www.example.net"} {
		if got := names.Add(ServerName{Name: n}, n); got != NameAdded {
			t.Errorf("%q: %d", n, got)
		}
	}
	names.Add(ServerName{Name: `^(?<who>.+)\.user\.net$`, Regex: regexOf(t, `^(?<who>.+)\.user\.net$`, false)}, "regex 1")
	names.Add(ServerName{Name: `^a.*net$`, Regex: regexOf(t, `^a.*net$`, false)}, "regex 2")
	for n, want := range map[string]AddedName{
		"example.com": NameConflict, "*.example.com": NameConflict, ".example.com": NameConflict, "mail.*": NameConflict,
		"example.org": NameConflict, "*.example.org": NameConflict, "": NameConflict,
		"a*b": NameInvalid, "*.a.*": NameInvalid, "a..b": NameInvalid, "*": NameInvalid, "a.*.b": NameInvalid,
		"*example.com": NameInvalid, "a\x00b": NameInvalid,
	} {
		if got := names.Add(ServerName{Name: n}, "again"); got != want {
			t.Errorf("%q: %d, want %d", n, got, want)
		}
	}
	var caps Captures
	for host, want := range map[string]string{
		"":                     "",
		"example.com":          "example.com",
		"www.example.com":      "www.example.com",
		"a.example.com":        "*.example.com",
		"a.b.example.com":      "*.example.com",
		"x.sub.example.com":    "*.sub.example.com",
		"sub.example.com":      "*.example.com",
		"example.org":          ".example.org",
		"a.b.example.org":      ".example.org",
		"mail.org":             "mail.*",
		"mail.a.b.c":           "mail.*",
		"mail.example.fr":      "mail.example.*",
		"mail.example.co.uk":   "mail.example.*",
		"mail.de":              "*.de",
		"joe.user.net":         "regex 1",
		"a.net":                "regex 2",
		"mail":                 "none",
		"badexample.com":       "none",
		"example.com.evil.tld": "none",
	} {
		got, found, err := names.Find([]byte(host), &caps)
		if err != nil || !found {
			got = "none"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	_, _, _ = names.Find([]byte("joe.user.net"), &caps)
	if v, _ := caps.Group(1); string(v) != "joe" || string(caps.named[0]) != "joe" {
		t.Errorf("captured %q, %q", v, caps.named)
	}
	host := []byte("a.b.example.com")
	allocs := testing.AllocsPerRun(100, func() { _, _, _ = names.Find(host, &caps) })
	if allocs != 0 {
		t.Errorf("Find allocates %v times", allocs)
	}
}

func TestCheckServerName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "", "*.a": "", ".a": "", "a.*": "",
		"*": `server name "*" is invalid`, "*a.b": `server name "*a.b" is invalid`, ".": `server name "." is invalid`,
	} {
		if got := CheckServerName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestRegex(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		caseless bool
		text     string
		want     string // "no", or the groups
	}{
		{`^/a`, false, "/abc", "[]"},
		{`^/A`, false, "/abc", "no"},
		{`^/A`, true, "/abc", "[]"},
		{`^/(\d+)/(x)?`, false, "/12/", "[12 -]"},
		{`(?<n>a+)(b)`, false, "xaab", "[aa b]"},
		{`(?P<n>a+)`, false, "xaab", "[aa]"},
		{`^/(?!b)(.)`, false, "/a", "[a]"},
		{`^/(?!b)(.)`, false, "/b", "no"},
		{`(a)\1`, false, "aa", "[a]"},
		{`^/(?!B)(.)`, true, "/b", "no"},
		{`(?=.)(\xe4)?z`, false, "\xe4z", "[\xe4]"},
	} {
		re := regexOf(t, c.pattern, c.caseless)
		var caps Captures
		ok, err := caps.Exec(re, []byte(c.text))
		got := "no"
		if err != nil {
			got = err.Error()
		} else if ok {
			got = "["
			for i := 1; i <= re.Groups; i++ {
				if i > 1 {
					got += " "
				}
				v, found := caps.Group(i)
				if !found {
					v = []byte("-")
				}
				got += string(v)
			}
			got += "]"
		}
		if got != c.want {
			t.Errorf("%s on %q: %s, want %s", c.pattern, c.text, got, c.want)
		}
	}
	if _, err := CompileRegex("(a", false); err == nil {
		t.Error("(a is accepted")
	}
}
