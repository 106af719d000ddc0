package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// proxyRewrite is a proxy_redirect, proxy_cookie_domain or proxy_cookie_path.
type proxyRewrite struct {
	pattern     *Script
	regex       *BoundRegex // instead of a pattern
	domain      bool        // the pattern is a whole domain, in any case
	replacement *Script
}

// compileRewrite makes a rule of two arguments. ~ is a regular expression; in any case with ~*, or if caseless.
func compileRewrite(cf *conf.Conf, pattern, replacement string, domain bool) (*proxyRewrite, error) {
	p := &proxyRewrite{domain: domain}
	var err error
	if re, ok := strings.CutPrefix(pattern, "~"); ok {
		p.domain = false
		caseless := domain
		if !domain {
			re, caseless = strings.CutPrefix(re, "*")
		}
		if p.regex, err = BindRegex(cf, re, caseless); err != nil {
			return nil, err
		}
	} else {
		if domain {
			pattern, replacement = strings.TrimPrefix(pattern, "."), strings.TrimPrefix(replacement, ".")
		}
		if p.pattern, err = CompileScript(cf, pattern); err != nil {
			return nil, err
		}
	}
	p.replacement, err = CompileScript(cf, replacement)
	return p, err
}

// apply rewrites the value behind a prefix that stays.
func (p *proxyRewrite) apply(r *Request, value string, prefix int) (string, bool) {
	text := value[prefix:]
	length := 0
	switch {
	case p.regex != nil:
		ok, err := r.parts.captures.Exec(p.regex, r.view([]byte(text)))
		if err != nil {
			r.Log(logging.Alert, "regular expression \"%s\" on \"%s\": %v", p.regex.Pattern, text, err)
		}
		if !ok {
			return value, false
		}
		length = len(text)
	case p.domain:
		if strings.HasPrefix(text, ".") {
			prefix++
			text = text[1:]
		}
		if !strings.EqualFold(text, string(p.pattern.AppendTo(r, nil))) {
			return value, false
		}
		length = len(text)
	default:
		pattern := string(p.pattern.AppendTo(r, nil))
		if !strings.HasPrefix(text, pattern) {
			return value, false
		}
		length = len(pattern)
	}
	return value[:prefix] + string(p.replacement.AppendTo(r, nil)) + text[length:], true
}

// rewriteWith applies the first rule that fits.
func (r *Request) rewriteWith(rules []*proxyRewrite, value string, prefix int) (string, bool) {
	for _, rule := range rules {
		if v, ok := rule.apply(r, value, prefix); ok {
			return v, true
		}
	}
	return value, false
}

func setProxyRedirect(cf *conf.Conf, c any) error {
	pc := c.(*proxyConf)
	if pc.redirect.IsSet && !pc.redirect.V {
		return conf.ErrDuplicate
	}
	if len(cf.Args) == 3 {
		rule, err := compileRewrite(cf, cf.Args[1], cf.Args[2], false)
		if err != nil {
			return err
		}
		pc.redirect.Set(true)
		pc.redirects = append(pc.redirects, rule)
		return nil
	}
	switch cf.Args[1] {
	case "off":
		if pc.redirects != nil {
			return conf.ErrDuplicate
		}
		pc.redirect.Set(false)
		return nil
	case "default":
	default:
		return conf.Errorf("invalid parameter \"%s\"", cf.Args[1])
	}
	switch {
	case pc.pass != nil && pc.pass.script != nil:
		return conf.Errorf("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables")
	case pc.pass == nil:
		return conf.Errorf("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive")
	}
	pc.redirect.Set(true)
	pc.redirects = append(pc.redirects, pc.pass.defaultRedirect())
	return nil
}

// defaultRedirect makes the location's URLs of the upstream's.
func (p *proxyPass) defaultRedirect() *proxyRewrite {
	if p.target.uri != "" {
		return &proxyRewrite{pattern: literalScript(p.url), replacement: literalScript(p.location)}
	}
	return &proxyRewrite{pattern: literalScript(p.url + "/"), replacement: literalScript("/")}
}

// literalScript is a text without variables.
func literalScript(text string) *Script {
	return &Script{parts: []scriptPart{{text: text}}, text: text}
}

func (pc *proxyConf) mergeRedirects(p *proxyConf) {
	pc.redirect.Merge(p.redirect, true)
	if !pc.redirect.V {
		return
	}
	if pc.redirects == nil {
		pc.redirects = p.redirects
	}
	if pc.redirects == nil && pc.pass != nil && pc.pass.script == nil {
		pc.redirects = []*proxyRewrite{pc.pass.defaultRedirect()}
	}
}

// rulesOff handles the "off" of a directive that otherwise adds a rule, with more arguments than one: it stands alone.
func rulesOff[T any](cf *conf.Conf, s *conf.Setting[[]T]) (off bool, err error) {
	switch {
	case s.IsSet && s.V == nil:
		return false, conf.ErrDuplicate // of off
	case len(cf.Args) > 2:
		return false, nil
	case cf.Args[1] != "off":
		return false, conf.Errorf("invalid parameter \"%s\"", cf.Args[1])
	case s.IsSet:
		return false, conf.ErrDuplicate
	}
	s.Set(nil)
	return true, nil
}

func setProxyCookie(f func(*proxyConf) *conf.Setting[[]*proxyRewrite], domain bool) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		s := f(c.(*proxyConf))
		if off, err := rulesOff(cf, s); off || err != nil {
			return err
		}
		rule, err := compileRewrite(cf, cf.Args[1], cf.Args[2], domain)
		if err == nil {
			s.Set(append(s.V, rule))
		}
		return err
	}
}
