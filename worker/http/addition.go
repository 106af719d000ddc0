package http

import "perilune/conf"

// additionConf is the addition module's struct of a location.
type additionConf struct {
	before, after conf.Setting[string]
	types         mimeTypes
}

// additionModule puts the responses of other locations around a body.
var additionModule = &conf.Module{
	Name:      "http_addition",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &additionConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, ac := prev.(*additionConf), c.(*additionConf)
		ac.before.Merge(p.before, "")
		ac.after.Merge(p.after, "")
		ac.types.merge(p.types, "text/html")
		return nil
	},
}

func init() {
	additionModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHeaderFilter(additionHeaderFilter)
		mainConfOf(cf).AddBodyFilter(additionBodyFilter)
		return nil
	}
	additionModule.Commands = []conf.Command{
		{Name: "add_before_body", Ctx: anyLevel, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetStr(func(c *additionConf) *conf.Setting[string] { return &c.before }),
			Doc: "URI whose response is sent before the body; an empty one is none."},
		{Name: "add_after_body", Ctx: anyLevel, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetStr(func(c *additionConf) *conf.Setting[string] { return &c.after }),
			Doc: "URI whose response is sent behind the body; an empty one is none."},
		{Name: "addition_types", Ctx: anyLevel, Args: conf.OneMore, Level: conf.LocConf,
			Set: setMimeTypes(func(c *additionConf) *mimeTypes { return &c.types }),
			Doc: "Content types of bodies that get additions, beside text/html; * is all."},
	}
}

// adding is what a request keeps of additions still to be made.
type adding struct{ before, after string }

func additionHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		c := r.LocCtx[additionModule.Index].(*additionConf)
		if r.HeadersOut.Status != 200 || r != r.Main || c.before.V == "" && c.after.V == "" || !c.types.match(r) {
			return next(r)
		}
		r.Ctx[additionModule.Index] = &adding{c.before.V, c.after.V}
		r.ClearContentLength()
		r.ClearAcceptRanges()
		r.HeadersOut.weakETag()
		return next(r)
	}
}

func additionBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		a, _ := r.Ctx[additionModule.Index].(*adding)
		if a == nil || r.HeaderOnly {
			return next(r, b)
		}
		if before := a.before; before != "" {
			a.before = ""
			if err := r.include(before); err != nil {
				return err
			}
		}
		if !b.Last || a.after == "" {
			return next(r, b)
		}
		b.Last = false
		if len(b.Data) > 0 || b.FileLen > 0 {
			if err := next(r, b); err != nil {
				return err
			}
		}
		if err := r.include(a.after); err != nil {
			return err
		}
		r.Ctx[additionModule.Index] = nil
		return next(r, Buf{Last: true})
	}
}

// include has the response of a URI become part of the output, and waits for it:
// so nothing that follows need be kept.
func (r *Request) include(uri string) error {
	sr, err := r.Subrequest([]byte(uri), nil, &SubrequestOptions{})
	if err != nil {
		return err
	}
	return sr.Wait()
}
