package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// authRequestConf is the auth_request module's struct of a location.
type authRequestConf struct {
	uri  conf.Setting[string] // empty: off
	vars conf.Setting[[]authRequestVar]
}

// authRequestVar is an auth_request_set directive.
type authRequestVar struct {
	set   func(r *Request, value []byte)
	value *Script
}

var authRequestModule = &conf.Module{
	Name:      "http_auth_request",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &authRequestConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, ac := prev.(*authRequestConf), c.(*authRequestConf)
		ac.uri.Merge(p.uri, "")
		ac.vars.Merge(p.vars, nil)
		return nil
	},
}

func init() {
	authRequestModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Access, authRequestHandler)
		return nil
	}
	authRequestModule.Commands = []conf.Command{
		loc("auth_request", conf.Take1, conf.SetStr(func(c *authRequestConf) *conf.Setting[string] { return &c.uri }),
			"Lets in whom a subrequest to this URI answers with a status of 200 to 299, refuses with its 401 or 403; off by default."),
		loc("auth_request_set", conf.Take2, setAuthRequestVar,
			"Sets a variable when the subrequest of auth_request has ended, to a value with variables of the subrequest."),
	}
}

func setAuthRequestVar(cf *conf.Conf, c any) error {
	ac := c.(*authRequestConf)
	name, err := blockVariable(cf.Args[1])
	if err != nil {
		return err
	}
	var v authRequestVar
	if v.set, err = settableVariable(cf, strings.ToLower(name), func(*Request) ([]byte, bool) { return nil, false }); err != nil {
		return err
	}
	if v.value, err = CompileScript(cf, cf.Args[2]); err != nil {
		return err
	}
	ac.vars.Set(append(ac.vars.V, v))
	return nil
}

// authRequestHandler works in the access phase.
func authRequestHandler(r *Request) int {
	ac := r.LocCtx[authRequestModule.Index].(*authRequestConf)
	if ac.uri.V == "" || ac.uri.V == "off" {
		return Declined
	}
	sr, err := r.Subrequest([]byte(ac.uri.V), nil, &SubrequestOptions{Discard: true, NoBody: true})
	if err != nil || sr.Wait() != nil || r.Conn.errored {
		return Error
	}
	var value []byte
	for _, v := range ac.vars.V {
		value = v.value.AppendTo(sr, value[:0])
		v.set(r, value)
	}
	switch status := sr.HeadersOut.Status; {
	case status == 403:
		return 403
	case status == 401:
		if i := sr.HeadersOut.Get("WWW-Authenticate"); i >= 0 {
			r.HeadersOut.Add("WWW-Authenticate", sr.HeadersOut.List[i].Value)
		}
		return 401
	case status >= 200 && status < 300:
		return OK
	default:
		r.Log(logging.Error, "auth request unexpected status: %d", status)
		return 500
	}
}
