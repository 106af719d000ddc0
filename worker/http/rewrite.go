package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// rewriteConf is the rewrite module's struct of a location. The directives of its blocks are compiled into one list of
// steps; those of an if block stand in the list of the block around it.
type rewriteConf struct {
	log   conf.Setting[bool]
	warn  conf.Setting[bool]
	steps []rewriteStep
	outer *rewriteConf // of an if block: where its steps are put
}

// target is the struct that steps are added to.
func (c *rewriteConf) target() *rewriteConf {
	for c.outer != nil {
		c = c.outer
	}
	return c
}

// rewriteStep is one step of the rewrite phases. It returns the number of the next one, or rewriteEnd.
type rewriteStep interface {
	run(r *Request, e *rewriteState, at int) int
}

const rewriteEnd = -1

// rewriteState is what the steps of a request share.
type rewriteState struct {
	status int
	log    bool // rewrite_log of the location that the steps are of
	quote  bool // captured groups are escaped

	left, right []byte // memory for values
}

// rewriteModule has the directives of the rewrite phases.
var rewriteModule = &conf.Module{
	Name:      "http_rewrite",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &rewriteConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, rc := prev.(*rewriteConf), c.(*rewriteConf)
		rc.log.Merge(p.log, false)
		rc.warn.Merge(p.warn, true)
		return nil
	},
}

func init() {
	rewriteModule.Postconfiguration = func(cf *conf.Conf) error {
		main := mainConfOf(cf)
		main.AddHandler(ServerRewrite, rewriteHandler)
		main.AddHandler(Rewrite, locationRewriteHandler)
		return nil
	}
	inServer := conf.Server | conf.ServerIf | conf.Location | conf.LocationIf
	rewriteModule.Commands = []conf.Command{
		{Name: "rewrite", Ctx: inServer, Args: conf.Take23, Level: conf.LocConf, Set: setRewrite,
			Doc: "Changes a URI that matches a regular expression; flags last, break, redirect, permanent."},
		{Name: "return", Ctx: inServer, Args: conf.Take12, Level: conf.LocConf, Set: setReturn,
			Doc: "Answers with a status, a text or a redirect."},
		{Name: "break", Ctx: inServer, Args: conf.NoArgs, Level: conf.LocConf, Set: setBreak,
			Doc: "Ends the steps of the rewrite module for the request."},
		{Name: "if", Ctx: conf.Server | conf.Location, Args: conf.Block | conf.OneMore, Level: conf.LocConf, Set: setIf,
			Doc: "A block with settings for requests that meet a condition: a variable, = != ~ ~* !~ !~*, -f -d -e -x and with !."},
		{Name: "set", Ctx: inServer, Args: conf.Take2, Level: conf.LocConf, Set: setSet,
			Doc: "Sets a variable to a value."},
		{Name: "rewrite_log", Ctx: conf.HTTP | inServer, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *rewriteConf) *conf.Setting[bool] { return &c.log }),
			Doc: "Whether what the rewrite module does is logged, at the level notice; off by default."},
		{Name: "uninitialized_variable_warn", Ctx: conf.HTTP | inServer, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *rewriteConf) *conf.Setting[bool] { return &c.warn }),
			Doc: "Whether the use of a variable that has not been set is logged; on by default."},
	}
}

// locationRewriteHandler leaves out the server's own steps, which have run before.
func locationRewriteHandler(r *Request) int {
	if r.Loc == r.Srv.Loc {
		return Declined
	}
	return rewriteHandler(r)
}

func rewriteHandler(r *Request) int {
	rc := r.LocCtx[rewriteModule.Index].(*rewriteConf)
	if rc.steps == nil {
		return Declined
	}
	e := &r.parts.rewrite
	e.status, e.log, e.quote = Declined, rc.log.V, true
	for at := 0; at >= 0 && at < len(rc.steps); {
		at = rc.steps[at].run(r, e, at)
	}
	return e.status
}

// AddRewriteStep adds a step of another module to those of the block in hand, in the order of the configuration, as
// set_by_lua needs it. A status other than OK ends the request with it.
func AddRewriteStep(cf *conf.Conf, f func(r *Request) int) {
	c := cf.Ctx.Loc[rewriteModule.Index].(*rewriteConf).target()
	c.steps = append(c.steps, &callStep{f})
}

// callStep is a step of another module.
type callStep struct{ call func(r *Request) int }

func (s *callStep) run(r *Request, e *rewriteState, at int) int {
	if rc := s.call(r); rc != OK {
		e.status = rc
		return rewriteEnd
	}
	return at + 1
}

// breakStep is a break directive.
type breakStep struct{}

func (breakStep) run(r *Request, _ *rewriteState, _ int) int {
	r.engine.displaced = r.engine.displaced || r.engine.changed
	r.engine.changed = false
	return rewriteEnd
}

func setBreak(_ *conf.Conf, c any) error {
	t := c.(*rewriteConf).target()
	t.steps = append(t.steps, breakStep{})
	return nil
}

// setStep is a set directive.
type setStep struct {
	value *Script
	set   func(r *Request, value []byte)
}

func (s *setStep) run(r *Request, e *rewriteState, at int) int {
	e.left = s.value.appendQuoted(r, e.left[:0], e.quote)
	s.set(r, e.left)
	return at + 1
}

func setSet(cf *conf.Conf, c any) error {
	name, ok := strings.CutPrefix(cf.Args[1], "$")
	if !ok {
		return conf.Errorf("invalid variable name \"%s\"", cf.Args[1])
	}
	if name == "" {
		return conf.Errorf("invalid variable name \"%s\"", cf.Args[1])
	}
	set, err := SettableVariable(cf, name)
	if err != nil {
		return err
	}
	value, err := CompileScript(cf, cf.Args[2])
	if err != nil {
		return err
	}
	t := c.(*rewriteConf).target()
	t.steps = append(t.steps, &setStep{value, set})
	return nil
}

// rewriteRule is a rewrite directive.
type rewriteRule struct {
	re       *BoundRegex
	path     *Script // what replaces the URI
	args     *Script // of the replacement; nil: none
	keepArgs bool    // the request's arguments come behind
	question bool    // there is a '?' in the replacement
	redirect int     // status
	end      bool    // last, break
	final    bool    // break: the location stays
}

func setRewrite(cf *conf.Conf, c any) error {
	to := cf.Args[2]
	if to == "" {
		return conf.Errorf("empty replacement")
	}
	rule := &rewriteRule{keepArgs: true}
	var err error
	if rule.re, err = BindRegex(cf, cf.Args[1], false); err != nil {
		return err
	}
	if s, ok := strings.CutSuffix(to, "?"); ok {
		to, rule.keepArgs = s, false
	}
	if isRedirectTarget(to) {
		rule.redirect = 302
	}
	if len(cf.Args) == 4 {
		switch cf.Args[3] {
		case "last":
			rule.end = true
		case "break":
			rule.end, rule.final = true, true
		case "redirect":
			rule.redirect = 302
		case "permanent":
			rule.redirect = 301
		default:
			return conf.Errorf("invalid parameter \"%s\"", cf.Args[3])
		}
	}
	path, args, question := strings.Cut(to, "?")
	rule.question = question
	if rule.redirect != 0 {
		path = to
	}
	if rule.path, err = CompileScript(cf, path); err != nil {
		return err
	}
	if question && rule.redirect == 0 {
		if rule.args, err = CompileScript(cf, args); err != nil {
			return err
		}
	}
	t := c.(*rewriteConf).target()
	t.steps = append(t.steps, rule)
	return nil
}

// match runs a regular expression of the rewrite module.
func (e *rewriteState) match(r *Request, re *BoundRegex, text []byte) (ok, failed bool) {
	ok, err := r.parts.captures.Exec(re, text)
	if err != nil {
		r.Log(logging.Alert, "regular expression \"%s\" on \"%s\": %v", re.Pattern, text, err)
		e.status = 500
		return false, true
	}
	if !ok {
		r.parts.captures.Index = r.parts.captures.Index[:0]
	}
	if e.log {
		verb := "does not match"
		if ok {
			verb = "matches"
		}
		r.Log(logging.Notice, "\"%s\" %s \"%s\"", re.Pattern, verb, text)
	}
	return ok, false
}

func (s *rewriteRule) run(r *Request, e *rewriteState, at int) int {
	ok, failed := e.match(r, s.re, r.URI)
	if failed {
		return rewriteEnd
	}
	if !ok {
		return at + 1
	}
	r.Internal = true
	r.engine.changed, r.engine.rewritten = !s.final, true
	r.engine.displaced = r.engine.displaced || s.final
	if s.redirect != 0 {
		s.runRedirect(r, e)
		return rewriteEnd
	}
	uri := s.path.appendQuoted(r, e.left[:0], false)
	e.left = uri
	uri = r.view(uri)
	switch {
	case s.args != nil:
		args := s.args.appendQuoted(r, e.left[:0], true)
		if s.keepArgs && len(r.Args) > 0 {
			args = append(append(args, '&'), r.Args...)
		}
		e.left = args
		r.Args = r.view(args)
	case !s.keepArgs:
		r.Args = nil
	}
	r.HasArgs = len(r.Args) > 0
	e.quote = false
	if e.log {
		r.Log(logging.Notice, "rewritten data: \"%s\", args: \"%s\"", uri, r.Args)
	}
	r.URI = uri
	if len(uri) == 0 {
		r.Log(logging.Error, "the rewritten URI has a zero length")
		e.status = 500
		return rewriteEnd
	}
	r.SetExten()
	if s.end {
		return rewriteEnd
	}
	return at + 1
}

func (s *rewriteRule) runRedirect(r *Request, e *rewriteState) {
	e.left = s.path.appendQuoted(r, e.left[:0], true)
	to := unescapeRedirect(e.left)
	if s.keepArgs && len(r.Args) > 0 {
		separator := byte('?')
		if s.question {
			separator = '&'
		}
		to = append(append(to, separator), r.Args...)
	}
	if e.log {
		r.Log(logging.Notice, "rewritten redirect: \"%s\"", to)
	}
	r.HeadersOut.Redirect(string(to))
	e.status = s.redirect
}

// unescapeRedirect decodes, in place, what is encoded of the path of a redirect but need not be. As in nginx what is no
// encoding loses what it has seen of one.
func unescapeRedirect(b []byte) []byte {
	to := b[:0]
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '?':
			return append(to, b[i:]...)
		case b[i] != '%':
			to = append(to, b[i])
			continue
		case i+1 == len(b):
			return to
		}
		i++
		high := hexDigit[b[i]]
		if high < 0 {
			to = append(to, b[i])
			continue
		}
		if i++; i == len(b) {
			return to
		}
		low := hexDigit[b[i]]
		if low < 0 {
			continue
		}
		switch c := byte(high)<<4 | byte(low); {
		case c == '?':
			to = append(to, c)
			return append(to, b[i+1:]...)
		case c > '%' && c < 0x7f:
			to = append(to, c)
		default:
			to = append(to, b[i-2:i+1]...)
		}
	}
	return to
}
