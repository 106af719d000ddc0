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

// charsetMain has the names of charsets as they were spelled first, and what converts between them.
type charsetMain struct {
	names []string
	maps  []*charsetMap
	needs [][2]string // pairs between which there must be a map
}

// known reports whether the configuration names a charset.
func (m *charsetMain) known(name string) bool {
	for _, n := range m.names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

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

// charsetModule names the charset of responses in Content-Type, and converts them between charsets.
var charsetModule = &conf.Module{
	Name:       "http_charset",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &charsetMain{} },
	CreateLoc:  func(*conf.Conf) any { return &charsetConf{} },
}

func mergeCharset(cf *conf.Conf, prev, c any) error {
	p, cc := prev.(*charsetConf), c.(*charsetConf)
	cc.override.Merge(p.override, false)
	cc.charset.Merge(p.charset, charsetValue{off: true})
	cc.source.Merge(p.source, charsetValue{off: true})
	cc.types.merge(p.types, "text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml")
	to, from := cc.charset.V, cc.source.V
	if !to.off && !from.off && to.ref == nil && from.ref == nil && !strings.EqualFold(to.name, from.name) {
		m := cf.Ctx.Main[charsetModule.Index].(*charsetMain)
		m.needs = append(m.needs, [2]string{from.name, to.name})
	}
	return nil
}

func init() {
	charsetModule.MergeLoc = mergeCharset
	charsetModule.Postconfiguration = func(cf *conf.Conf) error {
		m := cf.Ctx.Main[charsetModule.Index].(*charsetMain)
		for _, need := range m.needs {
			if m.between(need[0], need[1]) == nil {
				return conf.PlainErrorf("no \"charset_map\" between the charsets \"%s\" and \"%s\"", need[0], need[1])
			}
		}
		mainConfOf(cf).AddHeaderFilter(charsetFilter)
		mainConfOf(cf).AddBodyFilter(charsetBodyFilter)
		return nil
	}
	withIf := anyLevel | conf.LocationIf
	charsetModule.Commands = []conf.Command{
		{Name: "charset", Ctx: withIf, Args: conf.Take1, Level: conf.LocConf,
			Set: setCharset(func(c *charsetConf) *conf.Setting[charsetValue] { return &c.charset }, true),
			Doc: "Charset that Content-Type names, which may be a variable; off by default."},
		{Name: "source_charset", Ctx: withIf, Args: conf.Take1, Level: conf.LocConf,
			Set: setCharset(func(c *charsetConf) *conf.Setting[charsetValue] { return &c.source }, false),
			Doc: "Charset that responses are in: they are converted to that of charset."},
		{Name: "override_charset", Ctx: withIf, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *charsetConf) *conf.Setting[bool] { return &c.override }),
			Doc: "Whether responses that name a charset get that of charset; off by default."},
		{Name: "charset_types", Ctx: anyLevel, Args: conf.OneMore, Level: conf.LocConf,
			Set: setMimeTypes(func(c *charsetConf) *mimeTypes { return &c.types }),
			Doc: "Content types that charset is for, beside text/html; by default text/xml, text/plain, text/vnd.wap.wml, application/javascript and application/rss+xml."},
		{Name: "charset_map", Ctx: conf.HTTP, Args: conf.Block | conf.Take2, Level: conf.MainConf, Set: setCharsetMap,
			Doc: "Bytes of one charset and what they are in another, or in utf-8, all in hexadecimal. It works in both directions."},
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

// charsetFilter names the charset, and has the body converted if need be.
func charsetFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		h := &r.HeadersOut
		// A handler of another module may have put the charset into the type.
		given := h.Charset
		kind, params, _ := strings.Cut(h.ContentType, ";")
		if i := indexFold([]byte(params), "charset="); given == "" && i >= 0 {
			given, _, _ = strings.Cut(params[i+len("charset="):], ";")
			given = strings.Trim(given, "\" ")
		}
		to, wanted, err := r.destinationCharset(given)
		if err != nil || !wanted {
			if err == nil {
				err = next(r)
			}
			return err
		}
		c := r.LocCtx[charsetModule.Index].(*charsetConf)
		from := given
		if given == "" {
			if c.source.V.off {
				r.setCharset(to)
				return next(r)
			}
			var found bool
			if from, found = c.source.V.of(r); !found {
				return StatusError(Error)
			}
		}
		m := r.Srv.Ctx.Main[charsetModule.Index].(*charsetMain)
		if !strings.EqualFold(from, to) {
			if m.known(from) && m.known(to) && h.contentEncoding() != "" {
				return next(r)
			}
			recoder := m.between(from, to)
			if recoder == nil {
				r.Log(logging.Error, "no \"charset_map\" between the charsets \"%s\" and \"%s\"", from, to)
				return next(r)
			}
			r.Ctx[charsetModule.Index] = &charsetCtx{recoder: recoder}
			r.NeedInMemory()
			if recoder.changesLength && r.Parent == nil {
				r.ClearContentLength()
			}
		}
		if given != "" && h.Charset == "" {
			h.ContentType = strings.TrimRight(kind, " ")
		}
		r.setCharset(to)
		return next(r)
	}
}

// destinationCharset is the charset that a response should be in, given the one that it has.
func (r *Request) destinationCharset(given string) (to string, wanted bool, err error) {
	if r.Parent != nil {
		to = r.Main.HeadersOut.Charset
		return to, to != "", nil
	}
	if to = r.HeadersOut.overrideCharset; to != "" && r.HeadersOut.ContentType != "" {
		if wanted = r.Srv.Ctx.Main[charsetModule.Index].(*charsetMain).known(to); !wanted {
			r.Log(logging.Error, "unknown charset \"%s\" to override", to)
		}
		return to, wanted, nil
	}
	c := r.LocCtx[charsetModule.Index].(*charsetConf)
	if c.charset.V.off || r.HeadersOut.ContentType == "" || given != "" && !c.override.V || given == "" && !c.types.match(r) {
		return "", false, nil
	}
	to, found := c.charset.V.of(r)
	if !found {
		return "", false, StatusError(Error)
	}
	return to, true, nil
}

// setCharset gives a main request's response a charset.
func (r *Request) setCharset(name string) {
	switch h := &r.HeadersOut; {
	case r.Parent != nil:
	case h.Status == 301 || h.Status == 302:
		h.Charset = ""
	default:
		h.Charset = name
	}
}
