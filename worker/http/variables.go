package http

import (
	"sort"
	"strings"
	"unsafe"

	"perilune/conf"
)

// Variables is the table of the variables of one configuration, and of their uses.
type Variables struct {
	byName   map[string]*Variable
	prefixes []*Variable // the longest first
	refs     map[string]*VarRef
	order    []*VarRef
	captures map[string]int // named groups of regular expressions: slots in Captures
	places   int            // variables that have a place in Request.vars
	settings []*varSetting
	scratch  []byte // holds the last value that Request.Variable returned
	recent   [64]recentName
}

// variablesModule owns the table.
var variablesModule = &conf.Module{
	Name:       "http_variables",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return newVariables() },
}

// resolveVariables looks for unknown variables when the whole http block has been parsed, and all modules have added theirs.
func resolveVariables(http *conf.Ctx) error {
	return http.Main[variablesModule.Index].(*Variables).resolve()
}

func newVariables() *Variables {
	v := &Variables{
		byName:   make(map[string]*Variable, len(coreVariables)),
		refs:     make(map[string]*VarRef),
		captures: make(map[string]int),
	}
	for i := range coreVariables {
		v.put(&coreVariables[i])
	}
	return v
}

func variablesOf(cf *conf.Conf) *Variables {
	return cf.Ctx.Main[variablesModule.Index].(*Variables)
}

// variables is the table of the request's configuration.
func (r *Request) variables() *Variables {
	return r.Srv.Ctx.Main[variablesModule.Index].(*Variables)
}

func (v *Variables) put(x *Variable) {
	if !x.Prefix {
		v.byName[x.Name] = x
		return
	}
	v.prefixes = append(v.prefixes, x)
	sort.SliceStable(v.prefixes, func(i, j int) bool { return len(v.prefixes[i].Name) > len(v.prefixes[j].Name) })
}

// AddVariable gives the configuration a variable; for a module's Preconfiguration and for directives that define one.
func AddVariable(cf *conf.Conf, x Variable) error {
	v := variablesOf(cf)
	if old := v.byName[x.Name]; old != nil && !x.Prefix && old.Set == nil {
		return conf.Errorf("the duplicate \"%s\" variable", x.Name)
	}
	v.put(&x)
	return nil
}

// Ref notes the use of a variable by the configuration; its Append can be called when the configuration is complete.
func (v *Variables) Ref(name string) *VarRef {
	name = strings.ToLower(name)
	ref := v.refs[name]
	if ref == nil {
		ref = &VarRef{Name: name}
		v.refs[name] = ref
		v.order = append(v.order, ref)
	}
	return ref
}

// NewVarRef is Variables.Ref for the directives of other modules.
func NewVarRef(cf *conf.Conf, name string) *VarRef { return variablesOf(cf).Ref(name) }

func (v *Variables) resolve() error {
	for _, ref := range v.order {
		x, rest := v.find(ref.Name)
		if x == nil {
			return conf.PlainErrorf("unknown \"%s\" variable", ref.Name)
		}
		ref.get, ref.rest = x.Get, rest
	}
	for _, s := range v.settings {
		s.set = v.byName[s.name].Set
	}
	return nil
}

func (v *Variables) find(name string) (x *Variable, rest string) {
	if x = v.byName[name]; x != nil {
		return x, ""
	}
	for _, x := range v.prefixes {
		if strings.HasPrefix(name, x.Name) && len(name) > len(x.Name) {
			return x, name[len(x.Name):]
		}
	}
	return nil, ""
}

// BindRegex compiles a regular expression of the configuration and makes variables of its named groups.
func BindRegex(cf *conf.Conf, pattern string, caseless bool) (*BoundRegex, error) {
	re, err := CompileRegex(pattern, caseless)
	if err != nil {
		return nil, conf.Errorf("regular expression failed: %v", err)
	}
	b := &BoundRegex{Regex: re}
	if !re.HasNames() {
		return b, nil
	}
	v := variablesOf(cf)
	for _, name := range re.Names {
		slot := -1
		if name != "" {
			if slot, err = v.captureSlot(name); err != nil {
				return nil, err
			}
		}
		b.slots = append(b.slots, slot)
	}
	return b, nil
}

// captureSlot makes the variable of a named group, or finds the one that an earlier pattern has made.
func (v *Variables) captureSlot(name string) (int, error) {
	if slot, found := v.captures[name]; found {
		return slot, nil
	}
	if old := v.byName[name]; old != nil && old.Set == nil {
		return 0, conf.Errorf("the duplicate \"%s\" variable", name)
	}
	slot := len(v.captures)
	v.captures[name] = slot
	v.put(&Variable{Name: name, Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		named := r.parts.captures.named
		if slot >= len(named) || named[slot] == nil {
			return dst, false
		}
		return append(dst, named[slot]...), true
	}, Set: func(r *Request, value []byte) {
		r.parts.captures.setNamed(slot, r.view(value))
	}})
	return slot, nil
}

// recentName is a name that was looked up. It is known again by where it is: names in scripts do not move.
type recentName struct {
	name string
	x    *Variable
	rest string
}

// lookup is find for names that come from scripts: in any case.
func (v *Variables) lookup(name string) (x *Variable, rest string) {
	at := uintptr(unsafe.Pointer(unsafe.StringData(name)))
	slot := &v.recent[(at>>4^at>>10)%uintptr(len(v.recent))]
	if slot.x != nil && len(slot.name) == len(name) && unsafe.StringData(slot.name) == unsafe.StringData(name) {
		return slot.x, slot.rest
	}
	if x, rest = v.find(name); x == nil {
		low := strings.ToLower(name)
		if low == name {
			return nil, ""
		}
		if x, rest = v.find(low); x == nil {
			return nil, ""
		}
	}
	if x.Config {
		return nil, ""
	}
	*slot = recentName{name, x, rest}
	return x, rest
}

// variable finds a variable by a name in any case. The value holds until the next call for any request.
func (r *Request) variable(name string) ([]byte, bool) {
	v := r.variables()
	x, rest := v.lookup(name)
	if x == nil {
		return nil, false
	}
	value, found := x.Get(r, v.scratch[:0], rest)
	if cap(value) > cap(v.scratch) {
		v.scratch = value
	}
	if !found {
		return nil, false
	}
	return value, true
}

// listedHeaders are the members of families that nginx knows by their names.
var listedHeaders = func() map[string]bool {
	known := make(map[string]bool)
	for _, name := range strings.Fields(`http_host http_user_agent http_referer http_via http_x_forwarded_for http_cookie
		sent_http_content_type sent_http_content_length sent_http_location sent_http_last_modified sent_http_connection
		sent_http_keep_alive sent_http_transfer_encoding sent_http_cache_control sent_http_link`) {
		known[name] = true
	}
	return known
}()

// settable finds a variable to change: the members of families, but for some, count as unknown.
func (r *Request) settable(name string) (x *Variable, known bool) {
	x, _ = r.variables().lookup(name)
	return x, x != nil && (!x.Prefix || x.Set != nil || listedHeaders[strings.ToLower(name)])
}

// VariableSettable reports whether there is a variable of that name, and whether SetVariable can change it.
func (r *Request) VariableSettable(name string) (known, settable bool) {
	x, known := r.settable(name)
	return known, known && x.Set != nil
}

// SetVariable changes a variable. It answers false if there is none of that name, or it cannot be changed.
func (r *Request) SetVariable(name string, value []byte) (known, changed bool) {
	x, known := r.settable(name)
	if !known || x.Set == nil {
		return known, false
	}
	x.Set(r, value)
	return true, true
}
