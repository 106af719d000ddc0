package luart

import (
	"strings"
	"unsafe"

	"perilune/luart/regex"
	"perilune/luart/vm"
)

// DefaultRegexCache is how many compiled patterns are kept when nothing is said.
const DefaultRegexCache = 1024

// pattern is a compiled regular expression with its options.
type pattern struct {
	source, opts string
	re           *regex.Regexp
	names        []patternName
	dfa          bool
	dup          bool
	templates    map[string]template // compiled replacements
}

type patternName struct {
	key   vm.Value
	group int
}

// reState is what ngx.re keeps in a runtime. Compiled patterns are kept whether
// or not the option o asks for it: they do not change.
type reState struct {
	cache   map[patternKey]*pattern
	recent  [64]*pattern // by where the strings are
	matcher regex.Matcher
	pos     vm.Value // the string "pos"
}

type patternKey struct{ source, opts string }

// maxRegexError is the room for the text of an error in ngx_lua.
const maxRegexError = 127

func reAPI() []Function {
	const in = phasesAny
	return []Function{
		{Name: "ngx.re.match", Args: "(subject, regex, options?, ctx?, res?)", Phases: in, fn: reMatch, Doc: "matches a regular expression and returns the captures; options are letters of adDijJmosuUx"},
		{Name: "ngx.re.find", Args: "(subject, regex, options?, ctx?, nth?)", Phases: in, fn: reFind, Doc: "matches and returns where the match, or its nth capture, begins and ends"},
		{Name: "ngx.re.gmatch", Args: "(subject, regex, options?)", Phases: in, fn: reGmatch, Doc: "returns an iterator over all matches"},
		{Name: "ngx.re.sub", Args: "(subject, regex, replace, options?)", Phases: in, fn: func(t *vm.Thread, c *Ctx) int { return reSub(t, c, false) }, Doc: "replaces the first match by a string with $1 and the like, or by what a function makes of the captures"},
		{Name: "ngx.re.gsub", Args: "(subject, regex, replace, options?)", Phases: in, fn: func(t *vm.Thread, c *Ctx) int { return reSub(t, c, true) }, Doc: "replaces all matches"},
	}
}

// subject is the first argument; anything is a string to ngx.re.
func subject(t *vm.Thread) string {
	if s, ok := t.Arg(1).AsString(); ok {
		return s
	}
	return t.ToString(t.Arg(1))
}

// patternArgs gives the compiled pattern of argument 2 with the options of
// argument i, or the text of an error.
func (rt *Runtime) patternArgs(t *vm.Thread, i int) (*pattern, string) {
	source, ok := t.Arg(2).AsString()
	if !ok {
		raise(t, "attempt to get length of local 'regex' (a %s value)", t.Arg(2).TypeName())
	}
	opts := ""
	if v := t.Arg(i); v.Truthy() {
		if opts, ok = v.AsString(); !ok {
			raise(t, "attempt to get length of local 'opts' (a %s value)", v.TypeName())
		}
	}
	return rt.pattern(t, source, opts)
}

// sameString tells whether two strings are the same object, at least.
func sameString(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}

func (rt *Runtime) pattern(t *vm.Thread, source, opts string) (*pattern, string) {
	st := &rt.re
	at := uintptr(unsafe.Pointer(unsafe.StringData(source)))
	slot := &st.recent[(at>>4^at>>10)%uintptr(len(st.recent))]
	if p := *slot; p != nil && sameString(p.source, source) && p.opts == opts {
		return p, ""
	}
	if p := st.cache[patternKey{source, opts}]; p != nil {
		p.source = source
		*slot = p
		return p, ""
	}
	p, text := compilePattern(t, source, opts)
	if p == nil {
		return nil, text
	}
	limit := rt.cfg.RegexCache
	if limit == 0 {
		limit = DefaultRegexCache
	}
	if st.cache == nil {
		st.cache = make(map[patternKey]*pattern)
	}
	if len(st.cache) >= limit {
		for k := range st.cache { // any: the cache is full of patterns made at run time
			delete(st.cache, k)
			break
		}
		clear(st.recent[:])
	}
	if limit > 0 {
		st.cache[patternKey{source, opts}] = p
		*slot = p
	}
	return p, ""
}

// compileCharge is the work that compiling a pattern counts as.
const compileCharge = 2000

func compilePattern(t *vm.Thread, source, opts string) (*pattern, string) {
	p := &pattern{source: source, opts: opts}
	var o regex.Options
	for i := 0; i < len(opts); i++ {
		switch opts[i] {
		case 'o', 'j':
		case 'i':
			o |= regex.Caseless
		case 's':
			o |= regex.DotAll
		case 'm':
			o |= regex.Multiline
		case 'u':
			o |= regex.UTF
		case 'U':
			o |= regex.UTF | regex.NoUTFCheck
		case 'x':
			o |= regex.Extended
		case 'd':
			p.dfa = true
		case 'a':
			o |= regex.Anchored
		case 'D':
			o |= regex.DupNames
			p.dup = true
		case 'J':
			o |= regex.JavaScript
		default:
			raise(t, "unknown flag \"%s\" (flags \"%s\")", opts[i:i+1], opts)
		}
	}
	// PCRE takes the pattern as a string of C.
	compiled, _, _ := strings.Cut(source, "\x00")
	t.Charge(compileCharge)
	re, err := regex.Compile(compiled, o)
	if err != nil {
		text := "pcre_compile() failed: " + err.Error() + " in \"" + source + "\""
		if e, ok := err.(*regex.Error); ok && e.Offset != len(source) {
			text += " at \"" + source[e.Offset:] + "\""
		}
		return nil, text[:min(len(text), maxRegexError)]
	}
	p.re = re
	for _, n := range re.Names() {
		p.names = append(p.names, patternName{t.VM().Intern(n.Name), n.Group})
	}
	return p, ""
}

// groups is how many captures there are to be seen.
func (p *pattern) groups() int {
	if p.dfa {
		return 0
	}
	return p.re.Groups()
}

// exec matches from pos on. found is false without a match; text is that of an
// error. again says that s is the subject of a row of matches, and this not the first.
func (rt *Runtime) exec(t *vm.Thread, p *pattern, s string, pos int, again bool) (found bool, text string) {
	m := &rt.re.matcher
	// The work of the match before, since other code may use the matcher meanwhile.
	work := m.Work
	m.Work = 0
	t.Charge(work)
	m.Limit, m.Checked = rt.cfg.RegexMatchLimit, again
	switch err := m.Exec(p.re, s, pos, p.dfa); e := err.(type) {
	case nil:
		return true, ""
	case regex.ExecError:
		if e != regex.ErrNoMatch {
			return false, "pcre_exec() failed: " + itoa(int(e))
		}
	}
	return false, ""
}

// capture is a group of the last match.
func (rt *Runtime) capture(s string, i int) vm.Value {
	caps := rt.re.matcher.Caps
	lo, hi := caps[2*i], caps[2*i+1]
	switch {
	case lo < 0:
		return vm.False
	case lo >= hi:
		return vm.String("")
	case int(hi-lo) == len(s):
		return vm.String(s)
	}
	return rt.vm.Part(s[lo:hi])
}

// captures puts the last match into a table.
func (rt *Runtime) captures(p *pattern, s string, res *vm.Table) *vm.Table {
	n := p.groups()
	if res == nil {
		res = rt.vm.NewTable(n, 1+len(p.names))
	}
	for i := 1; i <= n; i++ {
		res.SetInt(i, rt.capture(s, i))
	}
	res.SetInt(0, rt.capture(s, 0))
	for _, name := range p.names {
		if p.dup {
			rt.duplicate(res, name)
			continue
		}
		v := vm.Nil
		if name.group <= n {
			v = res.GetInt(name.group)
		}
		_ = res.Set(name.key, v)
	}
	return res
}

// duplicate collects the captures of groups that share a name.
func (rt *Runtime) duplicate(res *vm.Table, name patternName) {
	v := res.GetInt(name.group)
	if !v.Truthy() {
		return
	}
	list, ok := res.Get(name.key).AsTable()
	if !ok {
		list = rt.vm.NewTable(1, 0)
		_ = res.Set(name.key, list.Value())
	}
	list.Append(v)
}

// position reads ctx.pos of argument 4.
func (rt *Runtime) position(t *vm.Thread) (ctx vm.Value, pos int) {
	ctx = t.Arg(4)
	if !ctx.Truthy() {
		return vm.Nil, 0
	}
	var v vm.Value
	if tab, ok := ctx.AsTable(); ok && tab.Metatable() == nil {
		v = tab.Get(rt.posKey())
	} else if !ok {
		raise(t, "attempt to index local 'ctx' (a %s value)", ctx.TypeName())
	} else {
		v = t.Index(ctx, rt.posKey())
	}
	if !v.Truthy() {
		return ctx, 0
	}
	f, ok := v.AsNumber()
	if !ok {
		raise(t, "attempt to compare %s with number", v.TypeName())
	}
	if f <= 0 {
		return ctx, 0
	}
	return ctx, int(f - 1)
}

func (rt *Runtime) posKey() vm.Value {
	if rt.re.pos.IsNil() {
		rt.re.pos = rt.vm.Intern("pos")
	}
	return rt.re.pos
}

func (rt *Runtime) setPosition(t *vm.Thread, ctx vm.Value) {
	if !ctx.IsNil() {
		t.SetIndex(ctx, rt.posKey(), vm.Int(int(rt.re.matcher.Caps[1])+1))
	}
}

func reMatch(t *vm.Thread, c *Ctx) int {
	rt := c.rt
	s := subject(t)
	p, text := rt.patternArgs(t, 3)
	if p == nil {
		t.PushNil()
		t.PushString(text)
		return 2
	}
	ctx, pos := rt.position(t)
	found, text := rt.exec(t, p, s, pos, false)
	if !found {
		t.PushNil()
		if text == "" {
			return 1
		}
		t.PushString(text)
		return 2
	}
	rt.setPosition(t, ctx)
	var res *vm.Table
	if v := t.Arg(5); v.Truthy() {
		var ok bool
		if res, ok = v.AsTable(); !ok {
			return raise(t, "attempt to index local 'res' (a %s value)", v.TypeName())
		}
	}
	t.Push(rt.captures(p, s, res).Value())
	return 1
}

func reFind(t *vm.Thread, c *Ctx) int {
	rt := c.rt
	s := subject(t)
	p, text := rt.patternArgs(t, 3)
	if p == nil {
		return findError(t, text)
	}
	ctx, pos := rt.position(t)
	found, text := rt.exec(t, p, s, pos, false)
	if !found {
		if text != "" {
			return findError(t, text)
		}
		t.PushNil()
		return 1
	}
	rt.setPosition(t, ctx)
	nth := 0
	if v := t.Arg(5); v.Truthy() {
		f, ok := v.AsNumber()
		if !ok {
			return raise(t, "attempt to compare %s with number", v.TypeName())
		}
		if f > float64(p.groups()) {
			return findError(t, "nth out of bound")
		}
		nth = max(int(f), 0)
	}
	caps := rt.re.matcher.Caps
	if lo, hi := caps[2*nth], caps[2*nth+1]; hi >= 0 {
		t.PushInt(int(lo) + 1)
		t.PushInt(int(hi))
	} else {
		t.PushNil()
		t.PushNil()
	}
	return 2
}

func findError(t *vm.Thread, text string) int {
	t.PushNil()
	t.PushNil()
	t.PushString(text)
	return 3
}

func reGmatch(t *vm.Thread, c *Ctx) int {
	rt := c.rt
	s := subject(t)
	p, text := rt.patternArgs(t, 3)
	if p == nil {
		t.PushNil()
		t.PushString(text)
		return 2
	}
	pos := 0
	t.Push(rt.vm.NewFunction("gmatch_iterator", func(t *vm.Thread) int {
		if pos < 0 {
			t.PushNil()
			return 1
		}
		found, text := rt.exec(t, p, s, pos, pos > 0)
		if !found {
			pos = -1
			t.PushNil()
			if text == "" {
				return 1
			}
			t.PushString(text)
			return 2
		}
		lo, hi := rt.re.matcher.Caps[0], rt.re.matcher.Caps[1]
		if pos = int(hi); lo == hi {
			if pos++; pos > len(s) {
				pos = -1
			}
		}
		t.Push(rt.captures(p, s, nil).Value())
		return 1
	}))
	return 1
}
