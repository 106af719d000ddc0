package http

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
)

// useridMode is the value of userid.
type useridMode uint8

const (
	useridOff useridMode = iota
	useridLog
	useridV1
	useridOn
)

// Values of userid_flags.
const (
	cookieOff uint = 1 << iota
	cookieSecure
	cookieHTTPOnly
	cookieStrict
	cookieLax
	cookieNone
)

var cookieFlags = []struct {
	bit  uint
	text string
}{{cookieSecure, "secure"}, {cookieHTTPOnly, "httponly"}, {cookieStrict, "samesite=strict"}, {cookieLax, "samesite=lax"}, {cookieNone, "samesite=none"}}

// useridConf is the userid module's struct of a location.
type useridConf struct {
	mode    conf.Setting[useridMode]
	name    conf.Setting[string]
	domain  conf.Setting[string]
	path    conf.Setting[string]
	p3p     conf.Setting[string]
	service conf.Setting[int]
	expires conf.Setting[time.Duration] // maxExpires: as late as can be
	flags   conf.Setting[uint]
	mark    conf.Setting[byte] // 0: off
}

const maxExpires = time.Duration(1<<63 - 1)

// useridMain is the module's struct of the http block.
type useridMain struct {
	used  bool
	reset *VarRef // $uid_reset
}

var useridModule = &conf.Module{
	Name:       "http_userid",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &useridMain{} },
	CreateLoc:  func(*conf.Conf) any { return &useridConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, uc := prev.(*useridConf), c.(*useridConf)
		uc.mode.Merge(p.mode, useridOff)
		uc.name.Merge(p.name, "uid")
		uc.domain.Merge(p.domain, "")
		uc.path.Merge(p.path, "; path=/")
		uc.p3p.Merge(p.p3p, "")
		if !uc.service.IsSet {
			uc.service = p.service
		}
		uc.expires.Merge(p.expires, 0)
		uc.flags.Merge(p.flags, cookieOff)
		uc.mark.Merge(p.mark, 0)
		return nil
	},
}

func init() {
	useridModule.Preconfiguration = func(cf *conf.Conf) error {
		err := AddComputed(cf, "uid_reset", "set to anything but 0 it has the userid module give a client another cookie; log has it logged, too", true,
			func(*Request) ([]byte, bool) { return nil, true })
		for _, v := range useridVariables {
			if err == nil {
				err = AddVariable(cf, v)
			}
		}
		cf.Ctx.Main[useridModule.Index].(*useridMain).reset = NewVarRef(cf, "uid_reset")
		return err
	}
	useridModule.Postconfiguration = func(cf *conf.Conf) error {
		if cf.Ctx.Main[useridModule.Index].(*useridMain).used {
			mainConfOf(cf).AddHeaderFilter(useridFilter)
		}
		return nil
	}
	mode := conf.SetEnum(func(c *useridConf) *conf.Setting[useridMode] { return &c.mode },
		map[string]useridMode{"off": useridOff, "log": useridLog, "v1": useridV1, "on": useridOn})
	useridModule.Commands = []conf.Command{
		loc("userid", conf.Take1, func(cf *conf.Conf, c any) error {
			cf.Ctx.Main[useridModule.Index].(*useridMain).used = true
			return mode(cf, c)
		}, "Gives clients a cookie to know them by: on, v1, log (only what comes is logged) or off, the default."),
		loc("userid_name", conf.Take1, conf.SetStr(func(c *useridConf) *conf.Setting[string] { return &c.name }), "Name of the cookie; uid by default."),
		loc("userid_domain", conf.Take1, setCookiePart(func(c *useridConf) *conf.Setting[string] { return &c.domain }, "; domain=", "none"), "Domain of the cookie; none by default."),
		loc("userid_path", conf.Take1, setCookiePart(func(c *useridConf) *conf.Setting[string] { return &c.path }, "; path=", ""), "Path of the cookie; / by default."),
		loc("userid_p3p", conf.Take1, setCookiePart(func(c *useridConf) *conf.Setting[string] { return &c.p3p }, "", "none"), "Value of a P3P header; none by default."),
		loc("userid_service", conf.Take1, conf.SetNum(func(c *useridConf) *conf.Setting[int] { return &c.service }),
			"Number of the service in the cookie; the server's address by default."),
		loc("userid_expires", conf.Take1, setUseridExpires, "How long the cookie lives: a time, max or off, the default."),
		loc("userid_flags", conf.Take123, conf.SetBits(func(c *useridConf) *conf.Setting[uint] { return &c.flags }, map[string]uint{
			"off": cookieOff, "secure": cookieSecure, "httponly": cookieHTTPOnly, "samesite=strict": cookieStrict, "samesite=lax": cookieLax, "samesite=none": cookieNone}),
			"Attributes of the cookie: secure, httponly, samesite=strict, lax or none; off by default."),
		loc("userid_mark", conf.Take1, setUseridMark, "A letter, digit or = in the cookie; clients without it get their cookie again. off by default."),
	}
}

// setCookiePart makes a handler for a text that is kept with what comes before it; one word means none.
func setCookiePart(f func(*useridConf) *conf.Setting[string], prefix, none string) func(*conf.Conf, any) error {
	set := conf.SetStr(f)
	return func(cf *conf.Conf, c any) error {
		if err := set(cf, c); err != nil {
			return err
		}
		v := &f(c.(*useridConf)).V
		if *v = prefix + *v; none != "" && cf.Args[1] == none {
			*v = ""
		}
		return nil
	}
}

func setUseridExpires(cf *conf.Conf, c any) error {
	s := &c.(*useridConf).expires
	if s.IsSet {
		return conf.ErrDuplicate
	}
	switch cf.Args[1] {
	case "max":
		s.Set(maxExpires)
	case "off":
		s.Set(0)
	default:
		d, err := conf.ParseTime(cf.Args[1], true)
		if err != nil {
			return conf.DirectiveError("invalid value")
		}
		s.Set(d)
	}
	return nil
}

func setUseridMark(cf *conf.Conf, c any) error {
	s := &c.(*useridConf).mark
	if s.IsSet {
		return conf.ErrDuplicate
	}
	text := cf.Args[1]
	switch {
	case text == "off":
		s.Set(0)
	case len(text) == 1 && (charClass[text[0]]&(chAlpha|chDigit) != 0 || text == "="):
		s.Set(text[0])
	default:
		return conf.DirectiveError("value must be \"off\" or a single letter, digit or \"=\"")
	}
	return nil
}

// userid is the number in a cookie.
type userid [16]byte

// none reports whether there is no number: its last word is 0.
func (u *userid) none() bool { return binary.NativeEndian.Uint32(u[12:]) == 0 }

func (u *userid) put(order binary.ByteOrder, words ...uint32) {
	for i, w := range words {
		order.PutUint32(u[4*i:], w)
	}
}

// appendText appends the number as logs show it.
func (u *userid) appendText(dst []byte, name string) []byte {
	dst = append(append(dst, name...), '=')
	for i := 0; i < len(u); i += 4 {
		dst = fmt.Appendf(dst, "%08X", binary.NativeEndian.Uint32(u[i:]))
	}
	return dst
}

// useridCtx is what the module keeps of a main request.
type useridCtx struct {
	cookie   string
	got, set userid
	reset    bool
}

// useridState are the counters of a worker.
type useridState struct {
	start, v1, v2 uint32
}

// next is the next number of a counter; v1 and v2 are in series of their own.
func (s *useridState) next(v1 bool) uint32 {
	const first = 0x03030302
	if s.v2 == 0 {
		s.start = uint32(time.Now().Nanosecond()/1000/20)<<16 | uint32(os.Getpid())
		s.v1, s.v2 = 1, first
	}
	if v1 {
		s.v1 += 0x100
		return s.v1 - 0x100
	}
	n := s.v2
	if s.v2 += 0x100; s.v2 < first {
		s.v2 = first
	}
	return n
}

// useridOf finds the cookie of a main request.
func useridOf(r *Request, uc *useridConf) *useridCtx {
	if ctx, ok := r.Ctx[useridModule.Index].(*useridCtx); ok {
		return ctx
	}
	ctx := &useridCtx{}
	r.Ctx[useridModule.Index] = ctx
	for i := range r.HeadersIn.List {
		h := &r.HeadersIn.List[i]
		if h.ID != HeaderCookie {
			continue
		}
		v, found := findCookie(h.Value, uc.name.V)
		if !found {
			continue
		}
		ctx.cookie = string(v)
		if len(v) < 22 {
			r.Log(logging.Error, "client sent too short userid cookie \"%s\"", h.Value)
		} else if raw, ok := stdBase64.appendDecoded(nil, v[:22]); ok {
			copy(ctx.got[:], raw)
		} else {
			r.Log(logging.Error, "client sent invalid userid cookie \"%s\"", h.Value)
		}
		break
	}
	return ctx
}

// create decides on the number that the client gets, if it is to get one.
func (ctx *useridCtx) create(r *Request, uc *useridConf) {
	if !ctx.set.none() {
		return
	}
	if !ctx.got.none() {
		reset, _ := r.Srv.Ctx.Main[useridModule.Index].(*useridMain).reset.Append(r, nil)
		if len(reset) == 0 || string(reset) == "0" {
			mark := uc.mark.V
			if mark != 0 && !(len(ctx.cookie) > 23 && ctx.cookie[22] == mark && ctx.cookie[23] == '=') {
				ctx.set = ctx.got
			}
			return
		}
		ctx.reset = true
		if string(reset) == "log" {
			r.Log(logging.Notice, "userid cookie \"%s\" was reset", ctx.got.appendText(nil, uc.name.V))
		}
	}
	state := &r.Server.userids
	v1 := uc.mode.V == useridV1
	n, now := state.next(v1), uint32(r.Loop().Now().Unix())
	service := uint32(uc.service.V)
	if v1 {
		ctx.set.put(binary.NativeEndian, service, now, state.start, n)
		return
	}
	ctx.set.put(binary.BigEndian, service, now, state.start, n)
	if !uc.service.IsSet {
		local := r.Conn.localAddr()
		ctx.set.put(binary.BigEndian, 0)
		if a := local.Addr(); a.IsValid() {
			b := a.AsSlice()
			copy(ctx.set[:4], b[len(b)-4:])
		}
	}
}

func useridFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		uc := r.LocCtx[useridModule.Index].(*useridConf)
		if r.Parent == nil && uc.mode.V >= useridV1 {
			ctx := useridOf(r, uc)
			if ctx.create(r, uc); !ctx.set.none() {
				r.HeadersOut.Add("Set-Cookie", ctx.cookieText(r, uc))
				if uc.p3p.V != "" {
					r.HeadersOut.Add("P3P", uc.p3p.V)
				}
			}
		}
		return next(r)
	}
}

// cookieText is the value of the Set-Cookie header.
func (ctx *useridCtx) cookieText(r *Request, uc *useridConf) string {
	b := []byte(uc.name.V + "=")
	if ctx.got.none() || ctx.reset {
		b = stdBase64.encoding.AppendEncode(b, ctx.set[:])
		if uc.mark.V != 0 {
			b[len(b)-2] = uc.mark.V
		}
	} else {
		b = append(append(b, ctx.cookie[:22]...), uc.mark.V, '=')
	}
	switch uc.expires.V {
	case 0:
	case maxExpires:
		b = append(b, "; expires=Thu, 31-Dec-37 23:55:55 GMT"...)
	default:
		b = appendCookieTime(append(b, "; expires="...), r.Loop().Now().Add(uc.expires.V))
	}
	b = append(append(b, uc.domain.V...), uc.path.V...)
	for _, f := range cookieFlags {
		if uc.flags.V&f.bit != 0 {
			b = append(append(b, "; "...), f.text...)
		}
	}
	return string(b)
}

// appendCookieTime appends a time as cookies have it: with two digits of the year up to 2037.
func appendCookieTime(dst []byte, t time.Time) []byte {
	format := "Mon, 02-Jan-06 15:04:05 GMT"
	if t = t.UTC(); t.Year() > 2037 {
		format = strings.Replace(format, "06", "2006", 1)
	}
	return t.AppendFormat(dst, format)
}

var useridVariables = []Variable{
	{Name: "uid_got", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		m := r.Main
		uc := m.LocCtx[useridModule.Index].(*useridConf)
		if uc.mode.V == useridOff {
			return dst, false
		}
		ctx := useridOf(m, uc)
		if ctx.got.none() {
			return dst, false
		}
		return ctx.got.appendText(dst, uc.name.V), true
	}, Doc: "name and number of the cookie that has come"},
	{Name: "uid_set", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		m := r.Main
		uc := m.LocCtx[useridModule.Index].(*useridConf)
		if uc.mode.V < useridV1 {
			return dst, false
		}
		ctx := useridOf(m, uc)
		if ctx.create(m, uc); ctx.set.none() {
			return dst, false
		}
		return ctx.set.appendText(dst, uc.name.V), true
	}, Doc: "name and number of the cookie that is sent"},
}
