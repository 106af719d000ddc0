package http

import (
	"slices"
	"strconv"
	"strings"

	"perilune/conf"
)

// moreRule is a directive of the headers-more module.
type moreRule struct {
	headers  []moreHeader
	types    []string // -t
	statuses []int    // -s
	replace  bool     // -r: only where there is such a header
}

// moreHeader is a header that a rule sets, or clears when its value is empty.
type moreHeader struct {
	name  string // of more_clear_headers it may end with '*'
	value *Script
}

// moreConf is the headers-more module's struct of a location.
type moreConf struct{ out, in []moreRule }

// moreMain tells which kinds of rules any block has.
type moreMain struct{ out, in bool }

var moreModule = &conf.Module{
	Name:       "http_headers_more",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &moreMain{} },
	CreateLoc:  func(*conf.Conf) any { return &moreConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		// Rules of the blocks around come first.
		p, mc := prev.(*moreConf), c.(*moreConf)
		mc.out = append(p.out[:len(p.out):len(p.out)], mc.out...)
		mc.in = append(p.in[:len(p.in):len(p.in)], mc.in...)
		return nil
	},
}

func init() {
	moreModule.Postconfiguration = func(cf *conf.Conf) error {
		m := cf.Ctx.Main[moreModule.Index].(*moreMain)
		if m.out {
			mainConfOf(cf).AddHeaderFilter(moreFilter)
		}
		if m.in {
			mainConfOf(cf).AddHandler(Rewrite, moreInputHandler)
		}
		return nil
	}
	command := func(name, doc string, input, clears bool) conf.Command {
		return conf.Command{Name: name, Ctx: conf.HTTP | conf.Server | conf.Location | conf.LocationIf, Args: conf.OneMore,
			Level: conf.LocConf, Doc: doc,
			Set: func(cf *conf.Conf, c any) error {
				mc, m := c.(*moreConf), cf.Ctx.Main[moreModule.Index].(*moreMain)
				rule, err := parseMore(cf, input, clears)
				if input {
					mc.in, m.in = append(mc.in, rule), true
				} else {
					mc.out, m.out = append(mc.out, rule), true
				}
				return err
			}}
	}
	moreModule.Commands = []conf.Command{
		command("more_set_headers", "Sets headers of responses, all or those with the statuses of -s and the content types of -t.", false, false),
		command("more_clear_headers", "Removes headers of responses, by their names or name*.", false, true),
		command("more_set_input_headers", "Sets headers of requests; with -r only those that there are; -t content types.", true, false),
		command("more_clear_input_headers", "Removes headers of requests.", true, true),
	}
}

// parseMore takes the arguments of a directive apart.
func parseMore(cf *conf.Conf, input, clears bool) (moreRule, error) {
	var rule moreRule
	args := cf.Args[1:]
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-t" || arg == "-s" && !input:
			if i++; i == len(args) {
				return rule, conf.Errorf("%s: option %s takes an argument.", cf.Args[0], arg)
			}
			if err := rule.option(cf, arg, args[i]); err != nil {
				return rule, err
			}
		case arg == "-r" && input && !clears:
			rule.replace = true
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			return rule, conf.Errorf("%s: invalid option name: \"%s\"", cf.Args[0], arg)
		case arg != "":
			h, err := parseMoreHeader(cf, arg, clears)
			if err != nil {
				return rule, err
			}
			rule.headers = append(rule.headers, h)
		}
	}
	return rule, nil
}

// option takes the argument of -t or -s.
func (m *moreRule) option(cf *conf.Conf, name, arg string) error {
	for _, word := range strings.Fields(arg) {
		if name == "-t" {
			m.types = append(m.types, word)
			continue
		}
		n, err := conf.ParseNum(word)
		if err != nil {
			return conf.Errorf("%s: invalid digit found in status code \"%s\"", cf.Args[0], word)
		}
		m.statuses = append(m.statuses, n)
	}
	return nil
}

func parseMoreHeader(cf *conf.Conf, arg string, clears bool) (moreHeader, error) {
	name, value, _ := strings.Cut(arg, ":")
	if clears {
		value = ""
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return moreHeader{}, conf.Errorf("%s: invalid header name in \"%s\"", cf.Args[0], arg)
	}
	s, err := CompileScript(cf, strings.TrimLeft(value, " \t"))
	return moreHeader{name, s}, err
}

// applies tells whether the rule is for a message of the status and content type.
func (m *moreRule) applies(status int, contentType string) bool {
	if m.types != nil {
		contentType, _, _ = strings.Cut(contentType, ";")
		if !containsText(m.types, strings.TrimSpace(contentType)) {
			return false
		}
	}
	if m.statuses == nil {
		return true
	}
	for _, s := range m.statuses {
		if s == status {
			return true
		}
	}
	return false
}

func containsText(list []string, text string) bool {
	for _, s := range list {
		if strings.EqualFold(s, text) {
			return true
		}
	}
	return false
}

func moreFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		rules := r.LocCtx[moreModule.Index].(*moreConf).out
		for i := range rules {
			rule := &rules[i]
			if !rule.applies(r.HeadersOut.Status, r.HeadersOut.ContentType) {
				continue
			}
			for _, h := range rule.headers {
				value := string(h.value.AppendTo(r, nil))
				if value == "" && strings.EqualFold(h.name, "Accept-Ranges") {
					r.AllowRanges = false
				}
				r.HeadersOut.Set(h.name, value)
			}
		}
		return next(r)
	}
}

// Set sets a header, or removes it if the value is empty: the name may end with '*' then. Headers that the engine makes
// by itself give way to one of the list; content type and location do not move there.
func (h *HeadersOut) Set(name, value string) {
	if prefix, ok := strings.CutSuffix(name, "*"); ok && value == "" {
		for i := range h.List {
			if n := h.List[i].Name; len(n) >= len(prefix) && strings.EqualFold(n[:len(prefix)], prefix) {
				h.List[i].Name = ""
			}
		}
		return
	}
	switch strings.ToLower(name) {
	case "content-type":
		h.ContentType, h.Charset = value, ""
		h.Del(name)
		return
	case "content-length":
		h.ContentLengthN, h.LengthListed = -1, false
		if n, err := strconv.ParseUint(value, 10, 63); err == nil {
			h.ContentLengthN, h.LengthListed = int64(n), true
		}
	case "last-modified":
		h.LastModified, h.ModifiedListed = -1, value != ""
		if value != "" {
			h.LastModified = parseHTTPDate([]byte(value))
		}
	case "location":
		h.Location = value
		h.Del(name)
		return
	case "server":
		h.Server = Suppress
	case "date":
		h.Date = Suppress
	}
	done := value == ""
	for i := range h.List {
		if !strings.EqualFold(h.List[i].Name, name) {
			continue
		}
		if done {
			h.List[i].Name = ""
		}
		h.List[i].Value = value
		done = true
	}
	if !done {
		h.Add(name, value)
	}
}

// moreInputHandler works in the rewrite phase, behind the rewrite module.
func moreInputHandler(r *Request) int {
	rules := r.LocCtx[moreModule.Index].(*moreConf).in
	for i := range rules {
		rule := &rules[i]
		if !rule.applies(0, string(r.HeadersIn.Value(HeaderContentType))) {
			continue
		}
		for _, h := range rule.headers {
			r.setHeaderIn(h.name, h.value.AppendTo(r, nil), rule.replace)
		}
	}
	return Declined
}

// setHeaderIn sets a header of the request, or removes it if the value is empty. With replace none is added.
func (r *Request) setHeaderIn(name string, value []byte, replace bool) {
	in := &r.HeadersIn
	if prefix, wild := strings.CutSuffix(name, "*"); wild && len(value) == 0 {
		in.List = slices.DeleteFunc(in.List, func(h Header) bool {
			return len(h.Name) >= len(prefix) && equalFold(h.Name[:len(prefix)], []byte(prefix))
		})
		in.Reindex()
		return
	}
	field := []byte(name)
	id := HeaderIDOf(field)
	if replace && !slices.ContainsFunc(in.List, func(h Header) bool { return h.is(id, field) }) {
		return
	}
	in.Set(id, field, value)
	r.applyHeaderIn(id, string(value))
}

// applyHeaderIn sets what the engine has made of a header.
func (r *Request) applyHeaderIn(id HeaderID, value string) {
	in := &r.HeadersIn
	low := strings.ToLower(value)
	switch id {
	case HeaderContentLength:
		in.ContentLengthN = -1
		if n, err := strconv.ParseUint(value, 10, 63); err == nil {
			in.ContentLengthN = int64(n)
		}
	case HeaderHost:
		if i := strings.LastIndexByte(low, ':'); i >= 0 && !strings.HasSuffix(low, "]") {
			low = low[:i]
		}
		in.Host = []byte(strings.TrimSuffix(low, "."))
	case HeaderConnection:
		in.Close = strings.Contains(low, "close")
		in.KeepAlive = !in.Close && strings.Contains(low, "keep-alive")
	}
}
