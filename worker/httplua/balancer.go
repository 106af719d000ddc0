package httplua

import (
	"perilune/conf"
	"perilune/luart"
	"perilune/worker/http"
	"perilune/worker/upstream"
)

// balancerCommands are the directives of upstream blocks.
func balancerCommands() []conf.Command {
	const doc = "chooses the server of each try by ngx.balancer"
	set := func(cf *conf.Conf, c any, source string, file bool) error {
		s := c.(*srvConf)
		if s.balancer != nil {
			return conf.ErrDuplicate
		}
		x, err := newCode(cf, "balancer_by_lua", source, file)
		if err != nil {
			return err
		}
		s.balancer = x
		mainOf(cf).used |= luart.PhaseBalancer
		s.balancerKeep.V = 32
		http.SetBalancer(cf, x.balance, func() int { return s.balancerKeep.V })
		return nil
	}
	return []conf.Command{
		{Name: "balancer_by_lua_block", Ctx: conf.Upstream, Args: conf.LuaBlock | conf.NoArgs, Level: conf.SrvConf, Doc: "Lua code in braces that " + doc,
			Set: func(cf *conf.Conf, c any) error { return set(cf, c, string(cf.Lua.Source), false) }},
		{Name: "balancer_by_lua_file", Ctx: conf.Upstream, Args: conf.Take1, Level: conf.SrvConf, Doc: "a file of Lua code that " + doc,
			Set: func(cf *conf.Conf, c any) error { return set(cf, c, cf.Args[1], true) }},
		{Name: "balancer_keepalive", Ctx: conf.Upstream, Args: conf.Take1, Level: conf.SrvConf, Set: setBalancerKeepalive,
			Doc: "how many idle connections each worker keeps for enable_keepalive of ngx.balancer; 32 by default"},
	}
}

func setBalancerKeepalive(cf *conf.Conf, c any) error {
	s := &c.(*srvConf).balancerKeep
	if s.IsSet {
		return conf.ErrDuplicate
	}
	n, err := conf.ParseNum(cf.Args[1])
	if err != nil || n == 0 {
		return conf.Errorf("invalid value \"%s\" in \"balancer_keepalive\" directive", cf.Args[1])
	}
	s.Set(n)
	return nil
}

// balance runs the code for a try.
func (x *code) balance(r *http.Request, _ *http.Balance) int {
	q := workerOf(r).contextOf(r, locOf(r))
	if q == nil {
		return http.Error
	}
	fn, _ := q.load(x)
	if fn == nil {
		return http.Error
	}
	return q.lua.Runtime().RunBalancer(&q.lua, fn)
}

// balancer is what luart sees of a try.
type balancer struct{ *http.Balance }

func (b balancer) LastFailure() (state string, status int) {
	how, status, failed := b.Balance.LastFailure()
	switch {
	case !failed:
		return "", 0
	case how == upstream.Next:
		return "next", status
	}
	return "failed", status
}

func (q *request) Balancer() (luart.Balancer, bool) {
	b := q.r.Balance()
	switch {
	case b == nil:
		return nil, false
	case !b.Running():
		return nil, true
	}
	return balancer{b}, true
}
