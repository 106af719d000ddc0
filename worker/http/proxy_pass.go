package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/peer"
	"perilune/worker/upstream"
)

// proxyPass is what a proxy_pass directive says.
type proxyPass struct {
	script   *Script // of a URL with variables; nil: it is fixed
	url      string
	location string // the part of the URI that the target's URI replaces
	upstream *upstreamConf
	target   proxyTarget
}

// proxyTarget is where a request goes.
type proxyTarget struct {
	scheme string // "http://"
	host   string // $proxy_host
	port   string // $proxy_port
	uri    string
}

const proxyScheme = "http://"

// setProxyPass handles proxy_pass.
func setProxyPass(cf *conf.Conf, c any) error {
	pc := c.(*proxyConf)
	if pc.pass != nil {
		return conf.ErrDuplicate
	}
	lc := locConfOf(cf)
	pass := &proxyPass{url: cf.Args[1]}
	if HasVariables(pass.url) {
		var err error
		if pass.script, err = CompileScript(cf, pass.url); err != nil {
			return err
		}
	} else if err := pass.setFixed(cf, lc); err != nil {
		return err
	}
	pc.pass = pass
	lc.Handler = proxyHandler
	lc.AutoRedirect = strings.HasSuffix(lc.Name, "/")
	return nil
}

// setFixed takes a URL without variables apart.
func (p *proxyPass) setFixed(cf *conf.Conf, lc *LocConf) error {
	if len(p.url) >= 8 && strings.EqualFold(p.url[:8], "https://") {
		return conf.Errorf("https protocol requires SSL support")
	}
	if len(p.url) < len(proxyScheme) || !strings.EqualFold(p.url[:len(proxyScheme)], proxyScheme) {
		return conf.Errorf("invalid URL prefix")
	}
	rest := p.url[len(proxyScheme):]
	url, complaint := parseUpstreamURL(rest, 80, true)
	if complaint != "" {
		return conf.Errorf("%s in upstream \"%s\"", complaint, rest)
	}
	var err error
	if p.upstream, err = upstreamMainOf(cf).add(cf, url, false); err != nil {
		return err
	}
	p.target = newProxyTarget(p.url[:len(proxyScheme)], &url)
	p.location = lc.Name
	if lc.Named || lc.Regex != nil || lc.If {
		if url.uri != "" {
			return conf.Errorf("\"proxy_pass\" cannot have URI part in location given by regular expression, " +
				"or inside named location, or inside \"if\" statement, or inside \"limit_except\" block")
		}
		p.location = ""
	}
	return nil
}

func newProxyTarget(scheme string, url *upstreamURL) proxyTarget {
	t := proxyTarget{scheme: scheme, uri: url.uri}
	t.host, t.port = url.hostHeader(80)
	return t
}

// evaluate finds the target of a URL with variables; url is what the name of the group is looked up by. 0 is fine.
func (u *upstreamRequest) evaluate(p *proxyPass) (url upstreamURL, rc int) {
	text := string(p.script.AppendTo(u.r, nil))
	if len(text) <= len(proxyScheme) || !strings.EqualFold(text[:len(proxyScheme)], proxyScheme) {
		u.r.Log(logging.Error, "invalid URL prefix in \"%s\"", text)
		return url, 500
	}
	rest := text[len(proxyScheme):]
	url, complaint := parseUpstreamURL(rest, 80, true)
	if complaint != "" {
		u.r.Log(logging.Error, "%s in upstream \"%s\"", complaint, rest)
		return url, 500
	}
	if strings.HasPrefix(url.uri, "?") {
		url.uri = "/" + url.uri
	}
	u.target = newProxyTarget(text[:len(proxyScheme)], &url)
	return url, 0
}

// findGroup finds the group of a URL with variables, asking the resolver if need be.
func (u *upstreamRequest) findGroup(url *upstreamURL) int {
	r := u.r
	main := r.Srv.Ctx.Main[upstreamModule.Index].(*upstreamMain)
	if uc := main.find(url); uc != nil {
		u.use(uc)
		return 0
	}
	if a, ok := url.peerAddr(); ok {
		s := defaultServer()
		s.Addrs = []peer.Addr{a}
		u.group = upstream.NewGroup(url.host, []upstream.Server{s})
		return 0
	}
	resolver := r.Loc.Resolver.V
	if resolver == nil {
		r.Log(logging.Error, "no resolver defined to resolve %s", url.host)
		return 502
	}
	u.resolving = true
	ips, err := resolver.LookupWith(&u.query, r.Loop(), url.host, r.Loc.ResolverTimeout.V)
	u.resolving = false
	switch {
	case u.aborted:
		return StatusClientClosedRequest
	case err != nil:
		r.Log(logging.Error, "%s", resolveComplaint(url.host, err))
		return 502
	}
	u.group = ephemeral(url.host, ips, url.port)
	return 0
}
