package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// charsetValue is a charset, or a variable that has its name.
type charsetValue struct {
	name string
	ref  *VarRef
	off  bool
}

func (v *charsetValue) of(r *Request) (name string, found bool) {
	if v.ref == nil {
		return v.name, true
	}
	value, found := v.ref.Append(r, nil)
	return string(value), found
}

// charsetMain has the names of charsets as they were spelled first.
type charsetMain struct{ names []string }

func (m *charsetMain) spelled(name string) string {
	for _, n := range m.names {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	m.names = append(m.names, name)
	return name
}

// charsetConf is the charset module's struct of a location.
type charsetConf struct {
	charset, source conf.Setting[charsetValue]
	override        conf.Setting[bool]
	types           mimeTypes
}

// charsetModule names the charset of responses in Content-Type. It does not
// convert: there is no charset_map.
var charsetModule = &conf.Module{
	Name:       "http_charset",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &charsetMain{} },
	CreateLoc:  func(*conf.Conf) any { return &charsetConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, cc := prev.(*charsetConf), c.(*charsetConf)
		cc.override.Merge(p.override, false)
		cc.charset.Merge(p.charset, charsetValue{off: true})
		cc.source.Merge(p.source, charsetValue{off: true})
		cc.types.merge(p.types, "text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml")
		to, from := cc.charset.V, cc.source.V
		if !to.off && !from.off && to.ref == nil && from.ref == nil && !strings.EqualFold(to.name, from.name) {
			return conf.PlainErrorf("no \"charset_map\" between the charsets \"%s\" and \"%s\"", from.name, to.name)
		}
		return nil
	},
}

func init() {
	charsetModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHeaderFilter(charsetFilter)
		return nil
	}
	withIf := anyLevel | conf.LocationIf
	charsetModule.Commands = []conf.Command{
		{Name: "charset", Ctx: withIf, Args: conf.Take1, Level: conf.LocConf,
			Set: setCharset(func(c *charsetConf) *conf.Setting[charsetValue] { return &c.charset }, true),
			Doc: "Charset that Content-Type names, which may be a variable; off by default."},
		{Name: "source_charset", Ctx: withIf, Args: conf.Take1, Level: conf.LocConf,
			Set: setCharset(func(c *charsetConf) *conf.Setting[charsetValue] { return &c.source }, false),
			Doc: "Charset that responses are in. It must be that of charset: there is no conversion."},
		{Name: "override_charset", Ctx: withIf, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *charsetConf) *conf.Setting[bool] { return &c.override }),
			Doc: "Whether responses that name a charset get that of charset; off by default."},
		{Name: "charset_types", Ctx: anyLevel, Args: conf.OneMore, Level: conf.LocConf,
			Set: setMimeTypes(func(c *charsetConf) *mimeTypes { return &c.types }),
			Doc: "Content types that charset is for, beside text/html; by default text/xml, text/plain, text/vnd.wap.wml, application/javascript and application/rss+xml."},
	}
}

func setCharset(f func(*charsetConf) *conf.Setting[charsetValue], mayBeOff bool) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		s := f(c.(*charsetConf))
		if s.IsSet {
			return conf.ErrDuplicate
		}
		v := charsetValue{name: cf.Ctx.Main[charsetModule.Index].(*charsetMain).spelled(cf.Args[1])}
		if name, ok := strings.CutPrefix(v.name, "$"); ok {
			v.ref = NewVarRef(cf, name)
		}
		v.off = mayBeOff && v.name == "off"
		s.Set(v)
		return nil
	}
}

func charsetFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		c := r.LocCtx[charsetModule.Index].(*charsetConf)
		h := &r.HeadersOut
		if r != r.Main || c.charset.V.off || h.ContentType == "" {
			return next(r)
		}
		// A handler of another module may have put the charset into the type.
		given := h.Charset
		kind, params, _ := strings.Cut(h.ContentType, ";")
		if i := indexFold([]byte(params), "charset="); given == "" && i >= 0 {
			given, _, _ = strings.Cut(params[i+len("charset="):], ";")
			given = strings.Trim(given, "\" ")
		}
		if given != "" && !c.override.V || given == "" && !c.types.match(r) {
			return next(r)
		}
		to, found := c.charset.V.of(r)
		if !found {
			return StatusError(Error)
		}
		from := given
		if given == "" && !c.source.V.off {
			if from, found = c.source.V.of(r); !found {
				return StatusError(Error)
			}
		}
		if from != "" && !strings.EqualFold(from, to) {
			r.Log(logging.Error, "no \"charset_map\" between the charsets \"%s\" and \"%s\"", from, to)
			return next(r)
		}
		if given != "" && h.Charset == "" {
			h.ContentType = strings.TrimRight(kind, " ")
		}
		h.Charset = to
		if h.Status == 301 || h.Status == 302 {
			h.Charset = ""
		}
		return next(r)
	}
}
