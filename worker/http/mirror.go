package http

import "perilune/conf"

// mirrorConf is the mirror module's struct of a location.
type mirrorConf struct {
	uris conf.Setting[[]string]
	off  bool
	body conf.Setting[bool]
}

var mirrorModule = &conf.Module{
	Name:      "http_mirror",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &mirrorConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, mc := prev.(*mirrorConf), c.(*mirrorConf)
		mc.uris.Merge(p.uris, nil)
		mc.body.Merge(p.body, true)
		return nil
	},
}

func init() {
	mirrorModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Precontent, mirrorHandler)
		return nil
	}
	mirrorModule.Commands = []conf.Command{
		loc("mirror", conf.Take1, setMirror, "Sends each request to this URI, too, and throws away what it answers; off by default. May be given more than once."),
		loc("mirror_request_body", conf.Flag, conf.SetFlag(func(c *mirrorConf) *conf.Setting[bool] { return &c.body }),
			"Whether the request's body is read first and mirrored, too; on by default."),
	}
}

func setMirror(cf *conf.Conf, c any) error {
	mc := c.(*mirrorConf)
	uri := cf.Args[1]
	if mc.off || uri == "off" && mc.uris.IsSet {
		return conf.ErrDuplicate
	}
	if uri == "off" {
		mc.off = true
		mc.uris.Set(nil)
		return nil
	}
	mc.uris.Set(append(mc.uris.V, uri))
	return nil
}

// mirrorHandler works in the precontent phase.
func mirrorHandler(r *Request) int {
	mc := r.LocCtx[mirrorModule.Index].(*mirrorConf)
	if r.Parent != nil || mc.uris.V == nil {
		return Declined
	}
	if mc.body.V {
		if err := r.ReadBody(); err != nil {
			return StatusOf(err)
		}
	}
	o := &SubrequestOptions{Discard: true, NoBody: !mc.body.V, Method: r.MethodID, MethodName: string(r.Method)}
	for _, uri := range mc.uris.V {
		if _, err := r.Subrequest([]byte(uri), r.Args, o); err != nil {
			return 500
		}
	}
	return Declined
}
