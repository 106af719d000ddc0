package http

import (
	"net/netip"
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
)

// accessRule is allow or deny.
type accessRule struct {
	prefix netip.Prefix
	all    bool
	unix   bool
	deny   bool
}

// accessConf is the access module's struct of a location.
type accessConf struct {
	rules []accessRule
	any   conf.Setting[bool] // satisfy any
	delay conf.Setting[time.Duration]
}

var accessModule = &conf.Module{
	Name:      "http_access",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &accessConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, ac := prev.(*accessConf), c.(*accessConf)
		if ac.rules == nil {
			ac.rules = p.rules
		}
		ac.any.Merge(p.any, false)
		ac.delay.Merge(p.delay, 0)
		return nil
	},
}

func init() {
	accessModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Access, accessHandler)
		return nil
	}
	loc := conf.HTTP | conf.Server | conf.Location
	accessModule.Commands = []conf.Command{
		{Name: "allow", Ctx: loc | conf.LimitExcept, Args: conf.Take1, Level: conf.LocConf, Set: setAccessRule,
			Doc: "Lets clients in: an address, a network, unix: or all. The first rule that fits counts."},
		{Name: "deny", Ctx: loc | conf.LimitExcept, Args: conf.Take1, Level: conf.LocConf, Set: setAccessRule,
			Doc: "Keeps clients out, with 403."},
		{Name: "satisfy", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetEnum(func(c *accessConf) *conf.Setting[bool] { return &c.any }, map[string]bool{"all": false, "any": true}),
			Doc: "Whether all of the access checks must let a client in, or any of them; all by default."},
		{Name: "auth_delay", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetMsec(func(c *accessConf) *conf.Setting[time.Duration] { return &c.delay }),
			Doc: "How long an answer with 401 is held back, against guessing; 0 by default."},
	}
}

func setAccessRule(cf *conf.Conf, c any) error {
	ac := c.(*accessConf)
	rule := accessRule{deny: cf.Args[0] == "deny"}
	switch text := cf.Args[1]; text {
	case "all":
		rule.all = true
	case "unix:":
		rule.unix = true
	default:
		var ok bool
		if rule.prefix, ok = parseNetwork(cf, text); !ok {
			return conf.Errorf("invalid parameter \"%s\"", text)
		}
	}
	ac.rules = append(ac.rules, rule)
	return nil
}

// parseNetwork reads an address or a network, of which low bits that are set are ignored with a warning.
func parseNetwork(cf *conf.Conf, text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		a, ok := parseAddr(text)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, false
	}
	if p.Masked() != p {
		cf.Warnf("low address bits of %s are meaningless", text)
	}
	return p.Masked(), true
}

// clientAddr is the address of the client; not valid over a unix socket. One of IPv4 in IPv6 is IPv4's.
func (r *Request) clientAddr() netip.Addr {
	a, _ := netip.AddrFromSlice(r.Conn.Binary)
	return a.Unmap()
}

func accessHandler(r *Request) int {
	ac := r.LocCtx[accessModule.Index].(*accessConf)
	if ac.rules == nil {
		return Declined
	}
	a := r.clientAddr()
	isUnix := r.Conn.Listening.Network == "unix"
	for i := range ac.rules {
		rule := &ac.rules[i]
		if !rule.all && (isUnix != rule.unix || !isUnix && !rule.prefix.Contains(a)) {
			continue
		}
		if !rule.deny {
			return OK
		}
		if !ac.any.V {
			r.Log(logging.Error, "access forbidden by rule")
		}
		return 403
	}
	return Declined
}

// afterAccess acts on what an access handler has returned, other than Declined. It reports whether the engine goes on.
func (r *Request) afterAccess(step *phaseStep, rc int) bool {
	if rc == Done || rc == Again {
		return false
	}
	anyOf := r.LocCtx[accessModule.Index].(*accessConf).any.V
	switch {
	case rc == OK && anyOf:
		r.engine.access = 0
		r.HeadersOut.Del("WWW-Authenticate")
		r.engine.phase = step.next
		return true
	case anyOf && (rc == 401 || rc == 403):
		if r.engine.access != 401 {
			r.engine.access = rc
		}
	case rc == 401:
		r.unauthorized()
		return false
	case rc != OK:
		r.Finalize(rc)
		return false
	}
	r.engine.phase++
	return true
}

// unauthorized ends a request that the access phase has answered with 401, after auth_delay.
func (r *Request) unauthorized() {
	if d := r.LocCtx[accessModule.Index].(*accessConf).delay.V; d > 0 {
		r.Log(logging.Info, "delaying unauthorized request")
		if rc := r.delay(d); rc != Declined {
			r.Finalize(rc)
			return
		}
	}
	r.Finalize(401)
}
