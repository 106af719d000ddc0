package http

import (
	"slices"
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// proxyCookieFlags is a proxy_cookie_flags directive.
type proxyCookieFlags struct {
	name  *Script
	regex *BoundRegex // instead of a name
	flags []*Script
}

// What flags can do to a cookie.
const (
	flagSecure uint = 1 << iota
	flagNoSecure
	flagHTTPOnly
	flagNoHTTPOnly
	flagStrict
	flagLax
	flagNone
	flagNoSameSite
)

var cookieFlagNames = map[string]uint{
	"secure": flagSecure, "nosecure": flagNoSecure, "httponly": flagHTTPOnly, "nohttponly": flagNoHTTPOnly,
	"samesite=strict": flagStrict, "samesite=lax": flagLax, "samesite=none": flagNone, "nosamesite": flagNoSameSite,
}

func setCookieFlags(cf *conf.Conf, c any) error {
	s := &c.(*proxyConf).cookieFlags
	if off, err := rulesOff(cf, s); off || err != nil {
		return err
	}
	f := &proxyCookieFlags{}
	var err error
	if re, ok := strings.CutPrefix(cf.Args[1], "~"); ok {
		f.regex, err = BindRegex(cf, re, true)
	} else {
		f.name, err = CompileScript(cf, cf.Args[1])
	}
	for _, arg := range cf.Args[2:] {
		if err != nil {
			return err
		}
		var flag *Script
		flag, err = CompileScript(cf, arg)
		f.flags = append(f.flags, flag)
	}
	s.Set(append(s.V, f))
	return err
}

// match reports whether the directive is for a cookie.
func (f *proxyCookieFlags) match(r *Request, name string) bool {
	if f.regex == nil {
		return strings.EqualFold(name, string(f.name.AppendTo(r, nil)))
	}
	ok, err := r.parts.captures.Exec(f.regex, r.view([]byte(name)))
	if err != nil {
		r.Log(logging.Alert, "regular expression \"%s\" on \"%s\": %v", f.regex.Pattern, name, err)
	}
	return ok
}

// cookieAttr is a part of a Set-Cookie, the first one the cookie itself.
type cookieAttr struct {
	name, value string
	hasValue    bool
}

func (a *cookieAttr) is(name string) bool { return strings.EqualFold(a.name, name) }

func parseCookie(cookie string) []cookieAttr {
	var attrs []cookieAttr
	for attr := range strings.SplitSeq(cookie, ";") {
		name, value, hasValue := strings.Cut(strings.TrimLeft(attr, " "), "=")
		attrs = append(attrs, cookieAttr{strings.TrimRight(name, " "), strings.Trim(value, " "), hasValue})
	}
	return attrs
}

// rewriteCookie applies the rules for domains, paths and flags to a Set-Cookie.
func (u *upstreamRequest) rewriteCookie(cookie string) string {
	domains, paths, flags := u.conf.cookieDomains.V, u.conf.cookiePaths.V, u.conf.cookieFlags.V
	if domains == nil && paths == nil && flags == nil {
		return cookie
	}
	attrs := parseCookie(cookie)
	if !attrs[0].hasValue {
		return cookie
	}
	changed := false
	for i := 1; i < len(attrs); i++ {
		a := &attrs[i]
		var rules []*proxyRewrite
		switch {
		case !a.hasValue:
		case a.is("domain"):
			rules = domains
		case a.is("path"):
			rules = paths
		}
		var ok bool
		a.value, ok = u.r.rewriteWith(rules, a.value, 0)
		changed = changed || ok
	}
	if i := slices.IndexFunc(flags, func(f *proxyCookieFlags) bool { return f.match(u.r, attrs[0].name) }); i >= 0 {
		if set := flags[i].evaluate(u.r); set != 0 {
			attrs = applyCookieFlags(attrs, set)
			changed = true
		}
	}
	if !changed {
		return cookie
	}
	var b strings.Builder
	for i := range attrs {
		a := &attrs[i]
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(a.name)
		if a.hasValue {
			b.WriteByte('=')
			b.WriteString(a.value)
		}
	}
	return b.String()
}

// evaluate is the set of flags; one that is empty or unknown counts for nothing.
func (f *proxyCookieFlags) evaluate(r *Request) (set uint) {
	for _, flag := range f.flags {
		set |= cookieFlagNames[strings.ToLower(string(flag.AppendTo(r, nil)))]
	}
	return set
}

var sameSites = []struct {
	flag  uint
	value string
}{{flagStrict, "Strict"}, {flagLax, "Lax"}, {flagNone, "None"}}

// applyCookieFlags changes the attributes that are there, and adds those that are missing.
func applyCookieFlags(attrs []cookieAttr, set uint) []cookieAttr {
	// on notes that an attribute without a value is there, or has it taken away.
	on := func(with, without uint) (drop bool) {
		drop = set&with == 0 && set&without != 0
		set &^= with
		return drop
	}
	rest := slices.DeleteFunc(attrs[1:], func(a cookieAttr) bool {
		switch {
		case a.is("secure"):
			return on(flagSecure, flagNoSecure)
		case a.is("httponly"):
			return on(flagHTTPOnly, flagNoHTTPOnly)
		}
		return a.is("samesite") && set&(flagStrict|flagLax|flagNone) == 0 && set&flagNoSameSite != 0
	})
	attrs = attrs[:1+len(rest)]
	for i := 1; i < len(attrs); i++ {
		if !attrs[i].is("samesite") {
			continue
		}
		for _, s := range sameSites {
			if set&s.flag != 0 {
				set &^= s.flag
				if !strings.EqualFold(attrs[i].value, s.value) {
					attrs[i] = cookieAttr{"SameSite", s.value, true}
				}
				break
			}
		}
	}
	if set&flagSecure != 0 {
		attrs = append(attrs, cookieAttr{name: "Secure"})
	}
	if set&flagHTTPOnly != 0 {
		attrs = append(attrs, cookieAttr{name: "HttpOnly"})
	}
	for _, s := range sameSites {
		if set&s.flag != 0 {
			return append(attrs, cookieAttr{"SameSite", s.value, true})
		}
	}
	return attrs
}
