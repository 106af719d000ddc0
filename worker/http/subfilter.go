package http

import (
	"strings"

	"perilune/conf"
)

// subPair is a sub_filter directive.
type subPair struct{ match, value *Script }

// subConf is the sub module's struct of a location.
type subConf struct {
	pairs        []subPair
	once         conf.Setting[bool]
	lastModified conf.Setting[bool]
	types        mimeTypes
	search       *subSearch // nil if patterns have variables
}

// subModule replaces texts in bodies.
var subModule = &conf.Module{
	Name:      "http_sub",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &subConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, sc := prev.(*subConf), c.(*subConf)
		sc.once.Merge(p.once, true)
		sc.lastModified.Merge(p.lastModified, false)
		sc.types.merge(p.types, "text/html")
		if sc.pairs == nil {
			sc.pairs, sc.search = p.pairs, p.search
		}
		if sc.pairs != nil && sc.search == nil {
			sc.search = constantSearch(sc.pairs)
		}
		return nil
	},
}

func init() {
	subModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHeaderFilter(subHeaderFilter)
		mainConfOf(cf).AddBodyFilter(subBodyFilter)
		return nil
	}
	subModule.Commands = []conf.Command{
		{Name: "sub_filter", Ctx: anyLevel, Args: conf.Take2, Level: conf.LocConf, Set: setSubFilter,
			Doc: "Text in a body, in any case, and what it is replaced by; both may have variables. May be given several times."},
		{Name: "sub_filter_once", Ctx: anyLevel, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *subConf) *conf.Setting[bool] { return &c.once }),
			Doc: "Whether each text is replaced once only; on by default."},
		{Name: "sub_filter_last_modified", Ctx: anyLevel, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *subConf) *conf.Setting[bool] { return &c.lastModified }),
			Doc: "Whether Last-Modified stays, and ETag as a weak one; off by default."},
		{Name: "sub_filter_types", Ctx: anyLevel, Args: conf.OneMore, Level: conf.LocConf,
			Set: setMimeTypes(func(c *subConf) *mimeTypes { return &c.types }),
			Doc: "Content types in which texts are replaced, beside text/html; * is all."},
	}
}

func setSubFilter(cf *conf.Conf, c any) error {
	sc := c.(*subConf)
	if cf.Args[1] == "" {
		return conf.Errorf("empty search pattern")
	}
	if len(sc.pairs) == 255 {
		return conf.Errorf("number of search patterns exceeds 255")
	}
	var p subPair
	var err error
	if p.match, err = CompileScript(cf, cf.Args[1]); err == nil {
		p.value, err = CompileScript(cf, cf.Args[2])
	}
	sc.pairs = append(sc.pairs, p)
	return err
}

// subSearch finds the first of several patterns, without regard to case.
type subSearch struct {
	patterns []string // in lower case
	pairs    []int    // of each, its pair
	shortest int
	longest  int
	// How far the place may be moved on, by the byte at the end of the shortest pattern there.
	shift [256]uint8
}

// constantSearch is the search for patterns without variables, nil if one has some.
func constantSearch(pairs []subPair) *subSearch {
	s := &subSearch{}
	for i, p := range pairs {
		text, constant := p.match.Constant()
		if !constant {
			return nil
		}
		s.add(i, text)
	}
	s.prepare()
	return s
}

func (s *subSearch) add(pair int, pattern string) {
	s.patterns = append(s.patterns, strings.ToLower(pattern))
	s.pairs = append(s.pairs, pair)
}

func (s *subSearch) prepare() {
	s.shortest = len(s.patterns[0])
	for _, p := range s.patterns {
		s.shortest, s.longest = min(s.shortest, len(p)), max(s.longest, len(p))
	}
	reach := min(s.shortest, 255)
	for i := range s.shift {
		s.shift[i] = uint8(reach)
	}
	for _, p := range s.patterns {
		for j := range reach {
			c := p[s.shortest-1-j]
			s.shift[c] = min(s.shift[c], uint8(j))
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		s.shift[c] = s.shift[c+'a'-'A']
	}
}

// find looks for a pattern that is not done with. It returns the pattern and its
// place; -1 and the place from which on one may begin, if more bytes come. Without
// flush that place is where the search has come to, as in nginx.
func (s *subSearch) find(data []byte, done []bool, flush bool) (pattern, at int) {
	i := 0
	for i+s.shortest <= len(data) {
		if skip := int(s.shift[data[i+s.shortest-1]]); skip > 0 {
			i += skip
			continue
		}
		if p, partial := s.at(data[i:], done); p >= 0 {
			return p, i
		} else if partial {
			return -1, i
		}
		i++
	}
	for i = min(i, len(data)); flush && i < len(data); i++ {
		if _, partial := s.at(data[i:], done); partial {
			break
		}
	}
	return -1, i
}

// at looks for a pattern at the beginning of data; partial says that one may be there.
func (s *subSearch) at(data []byte, done []bool) (pattern int, partial bool) {
	for p, text := range s.patterns {
		if done[p] {
			continue
		}
		n := min(len(text), len(data))
		if !equalLower(data[:n], text[:n]) {
			continue
		}
		if n < len(text) {
			return -1, true
		}
		return p, false
	}
	return -1, false
}

// substituting is what a request keeps of replacements.
type substituting struct {
	gather
	search *subSearch
	conf   *subConf
	held   []byte   // of the body: a pattern may begin in it
	texts  [][]byte // of each pattern, what replaces it, once that is known
	known  []bool
	done   []bool // patterns that are not looked for any more
	left   int    // patterns still looked for
}

func subHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		c := r.LocCtx[subModule.Index].(*subConf)
		h := &r.HeadersOut
		if c.pairs == nil || h.ContentLengthN == 0 || !c.types.match(r) {
			return next(r)
		}
		search := c.search
		if search == nil {
			search = &subSearch{}
			for i, p := range c.pairs {
				if text := p.match.AppendTo(r, nil); len(text) > 0 {
					search.add(i, string(text))
				}
			}
			if len(search.patterns) == 0 {
				return next(r)
			}
			search.prepare()
		}
		n := len(search.patterns)
		r.Ctx[subModule.Index] = &substituting{search: search, conf: c, texts: make([][]byte, n), known: make([]bool, n), done: make([]bool, n), left: n}
		r.filters.inMemory = true
		if r == r.Main {
			r.ClearContentLength()
			if c.lastModified.V {
				h.weakETag()
			} else {
				h.clearLastModified()
				h.Del("ETag")
			}
		}
		return next(r)
	}
}

func subBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		s, _ := r.Ctx[subModule.Index].(*substituting)
		if s == nil || r.HeaderOnly || s.left == 0 && len(s.held) == 0 {
			return next(r, b)
		}
		if len(b.Data) == 0 && !b.Last {
			return next(r, b) // what is held stays so, as in nginx
		}
		s.begin(r, next)
		defer s.gather.end()
		data := b.Data
		if len(s.held) > 0 {
			data = append(s.held, data...)
		}
		rest, err := s.replace(data, b.Flush)
		if err != nil {
			return err
		}
		if b.Last {
			if _, err := s.Write(rest); err != nil {
				return err
			}
			rest = nil
		}
		s.held = append(s.held[:0], rest...)
		return s.send(b.Flush, b.Last)
	}
}

// replace writes data with its replacements, and returns the end of it that a
// pattern may begin in.
func (s *substituting) replace(data []byte, flush bool) (rest []byte, err error) {
	for s.left > 0 && len(data) > 0 {
		p, at := s.search.find(data, s.done, flush)
		if _, err := s.Write(data[:at]); err != nil {
			return nil, err
		}
		data = data[at:]
		if p < 0 {
			return data, nil
		}
		data = data[len(s.search.patterns[p]):]
		if !s.known[p] {
			s.known[p] = true
			s.texts[p] = s.conf.pairs[s.search.pairs[p]].value.AppendTo(s.r, nil)
		}
		if _, err := s.Write(s.texts[p]); err != nil {
			return nil, err
		}
		if s.conf.once.V {
			s.done[p] = true
			s.left--
		}
	}
	if len(data) > 0 {
		_, err = s.Write(data)
	}
	return nil, err
}
