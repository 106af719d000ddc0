package http

import "perilune/conf"

// limitExcept is a limit_except block: settings for the methods that it does not name.
type limitExcept struct {
	methods Method
	loc     *LocConf
}

func setLimitExcept(cf *conf.Conf, c any) error {
	outer := c.(*LocConf)
	if outer.except != nil {
		return conf.ErrDuplicate
	}
	le := &limitExcept{}
	for _, name := range cf.Args[1:] {
		m := ParseMethod([]byte(name))
		if m == MethodUnknown || m == MethodConnect {
			return conf.Errorf("invalid method \"%s\"", name)
		}
		le.methods |= m
		if m == MethodGet {
			le.methods |= MethodHead
		}
	}
	ctx := cf.NewLocation()
	le.loc = ctx.Loc[CoreModule.Index].(*LocConf)
	le.loc.Ctx, le.loc.Name, le.loc.Regex, le.loc.Named, le.loc.If = ctx, outer.Name, outer.Regex, outer.Named, true
	le.loc.exception = true
	outer.except = le
	return cf.ParseBlock(conf.LimitExcept, ctx)
}

// limitMethods puts the settings of limit_except in force, where they are for the request.
func (r *Request) limitMethods() {
	if le := r.Loc.except; le != nil && r.MethodID&le.methods == 0 {
		r.useLocation(le.loc)
	}
}
