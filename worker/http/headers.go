package http

import (
	"strconv"
	"strings"
	"time"

	"perilune/conf"
)

// expiresMode is the kind of the value of expires.
type expiresMode uint8

const (
	expiresOff expiresMode = iota
	expiresEpoch
	expiresMax
	expiresAccess
	expiresModified
	expiresDaily
)

// expiresValue is a value of expires.
type expiresValue struct {
	mode   expiresMode
	time   time.Duration
	script *Script // a value with variables
}

// addedHeader is an add_header directive.
type addedHeader struct {
	name   string
	value  *Script
	always bool
}

// headersConf is the headers module's struct of a location.
type headersConf struct {
	expires conf.Setting[expiresValue]
	added   []addedHeader

	trailers []addedHeader
}

// headersMain tells whether any block has one of the directives.
type headersMain struct{ used bool }

var headersModule = &conf.Module{
	Name:       "http_headers",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &headersMain{} },
	CreateLoc:  func(*conf.Conf) any { return &headersConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, hc := prev.(*headersConf), c.(*headersConf)
		hc.expires.Merge(p.expires, expiresValue{})
		if hc.added == nil {
			hc.added = p.added
		}
		if hc.trailers == nil {
			hc.trailers = p.trailers
		}
		return nil
	},
}

func init() {
	headersModule.Postconfiguration = func(cf *conf.Conf) error {
		if cf.Ctx.Main[headersModule.Index].(*headersMain).used {
			mainConfOf(cf).AddHeaderFilter(headersFilter)
			mainConfOf(cf).AddBodyFilter(trailersFilter)
		}
		return nil
	}
	loc := conf.HTTP | conf.Server | conf.Location | conf.LocationIf
	headersModule.Commands = []conf.Command{
		{Name: "add_header", Ctx: loc, Args: conf.Take23, Level: conf.LocConf, Set: setAddHeader,
			Doc: "Adds a header to responses with the statuses 200, 201, 204, 206, 301 to 304, 307 and 308, or to all with always."},
		{Name: "add_trailer", Ctx: loc, Args: conf.Take23, Level: conf.LocConf, Set: setAddHeader,
			Doc: "Adds a header behind the body of chunked responses with those statuses, or of all with always."},
		{Name: "expires", Ctx: loc, Args: conf.Take12, Level: conf.LocConf, Set: setExpires,
			Doc: "Adds Expires and Cache-Control: a time, `modified` and a time, @time of the day, epoch, max or off."},
	}
}

func setAddHeader(cf *conf.Conf, c any) error {
	hc := c.(*headersConf)
	cf.Ctx.Main[headersModule.Index].(*headersMain).used = true
	h := addedHeader{name: cf.Args[1]}
	var err error
	if h.value, err = CompileScript(cf, cf.Args[2]); err != nil {
		return err
	}
	if len(cf.Args) == 4 {
		if cf.Args[3] != "always" {
			return conf.Errorf("invalid parameter \"%s\"", cf.Args[3])
		}
		h.always = true
	}
	if cf.Args[0] == "add_trailer" {
		hc.trailers = append(hc.trailers, h)
	} else {
		hc.added = append(hc.added, h)
	}
	return nil
}

// trailersFilter makes the trailers at the end of a body.
func trailersFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		if b.Last && r.filters.expectTrailers && !r.HeaderOnly {
			hc := r.LocCtx[headersModule.Index].(*headersConf)
			safe := plainStatus(r.HeadersOut.Status)
			for i := range hc.trailers {
				t := &hc.trailers[i]
				if !safe && !t.always {
					continue
				}
				if value := string(t.value.AppendTo(r, nil)); value != "" {
					r.filters.trailers = append(r.filters.trailers, OutHeader{t.name, value})
				}
			}
		}
		return next(r, b)
	}
}

func setExpires(cf *conf.Conf, c any) error {
	hc := c.(*headersConf)
	if hc.expires.IsSet {
		return conf.ErrDuplicate
	}
	cf.Ctx.Main[headersModule.Index].(*headersMain).used = true
	text := cf.Args[len(cf.Args)-1]
	modified := len(cf.Args) == 3
	if modified && cf.Args[1] != "modified" {
		return conf.DirectiveError("invalid value")
	}
	if HasVariables(text) {
		s, err := CompileScript(cf, text)
		if err != nil {
			return err
		}
		v := expiresValue{mode: expiresAccess, script: s}
		if modified {
			v.mode = expiresModified
		}
		hc.expires.Set(v)
		return nil
	}
	v, problem := parseExpires(text, modified)
	if problem != "" {
		return conf.DirectiveError(problem)
	}
	hc.expires.Set(v)
	return nil
}

// parseExpires reads a value of expires; it may have nginx's complaint of it.
func parseExpires(text string, modified bool) (v expiresValue, problem string) {
	if !modified {
		switch text {
		case "epoch":
			return expiresValue{mode: expiresEpoch}, ""
		case "max":
			return expiresValue{mode: expiresMax}, ""
		case "off":
			return expiresValue{}, ""
		}
	}
	v.mode = expiresAccess
	if modified {
		v.mode = expiresModified
	}
	if s, ok := strings.CutPrefix(text, "@"); ok {
		if modified {
			return v, "daily time cannot be used with \"modified\" parameter"
		}
		v.mode = expiresDaily
		text = s
	}
	sign := time.Duration(1)
	if v.mode != expiresDaily {
		if s, ok := strings.CutPrefix(text, "+"); ok {
			text = s
		} else if s, ok := strings.CutPrefix(text, "-"); ok {
			text, sign = s, -1
		}
	}
	d, err := conf.ParseTime(text, true)
	if err != nil {
		return v, "invalid value"
	}
	if v.mode == expiresDaily && d > 24*time.Hour {
		return v, "daily time value must be less than 24 hours"
	}
	v.time = sign * d
	return v, ""
}

// plainStatus tells whether headers are added to responses with the status.
func plainStatus(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

func headersFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		hc := r.LocCtx[headersModule.Index].(*headersConf)
		if r.Parent != nil || hc.expires.V.mode == expiresOff && hc.added == nil && hc.trailers == nil {
			return next(r)
		}
		h := &r.HeadersOut
		safe := plainStatus(h.Status)
		if safe {
			r.setExpires(hc.expires.V)
		}
		for i := range hc.added {
			a := &hc.added[i]
			if !safe && !a.always {
				continue
			}
			r.addHeader(a.name, string(a.value.AppendTo(r, nil)))
		}
		for i := range hc.trailers {
			r.filters.expectTrailers = r.filters.expectTrailers || safe || hc.trailers[i].always
		}
		return next(r)
	}
}

// addHeader is add_header: of a header that can be there only once it changes the value, or takes it away if that is empty.
func (r *Request) addHeader(name, value string) {
	h := &r.HeadersOut
	switch {
	case strings.EqualFold(name, "Last-Modified"):
		h.Del(name)
		h.LastModified, h.ModifiedListed = -1, value != ""
		if t := parseHTTPDate([]byte(value)); t >= 0 {
			h.LastModified = t
		}
	case strings.EqualFold(name, "ETag"):
		h.Del(name)
	}
	if value != "" {
		h.Add(name, value)
	}
}

func (r *Request) setExpires(v expiresValue) {
	if v.script != nil {
		value := string(v.script.AppendTo(r, nil))
		var problem string
		if v, problem = parseExpires(value, v.mode == expiresModified); problem != "" {
			return
		}
	}
	h := &r.HeadersOut
	if v.mode == expiresOff {
		return
	}
	now := r.Loop().Now().Unix()
	expires, control := "", ""
	date := func(t int64) string { return string(appendHTTPDate(nil, t)) }
	sec := int64(v.time / time.Second)
	switch v.mode {
	case expiresEpoch:
		expires, control = "Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"
	case expiresMax:
		expires, control = "Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"
	case expiresDaily:
		t := r.Loop().Now()
		begin := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()).Unix() + sec
		if begin <= now {
			begin += 86400
		}
		expires, control = date(begin), maxAge(begin-now)
	case expiresModified:
		if h.LastModified >= 0 {
			expires, control = date(h.LastModified+sec), maxAge(h.LastModified+sec-now)
			if sec < 0 {
				control = "no-cache"
			}
			break
		}
		fallthrough
	default:
		expires, control = date(now+sec), maxAge(sec)
	}
	h.replace("Expires", expires)
	h.replace("Cache-Control", control)
}

// replace gives a header its value where it is in the list, and takes further ones of the name away.
func (h *HeadersOut) replace(name, value string) {
	i := h.Get(name)
	if i < 0 {
		h.Add(name, value)
		return
	}
	kept := h.List[i].Name
	h.Del(name)
	h.List[i] = OutHeader{kept, value}
}

func maxAge(sec int64) string {
	if sec < 0 {
		return "no-cache"
	}
	return "max-age=" + strconv.FormatInt(sec, 10)
}
