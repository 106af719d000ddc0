package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// varState says what is known of a variable that has a place of its own.
type varState uint8

const (
	varUnknown varState = iota // not asked for yet, and never set
	varValid
	varNotFound
)

// varValue is the value of such a variable: what set has put there, or what has been computed at its first use.
type varValue struct {
	data  []byte
	state varState
}

// varSetting is a use of a variable as what a directive sets. Its set is known when the whole configuration is.
type varSetting struct {
	name string
	set  func(r *Request, value []byte)
}

// place is the place of a variable in the request, made if need be. It holds until another one is asked for.
func (r *Request) place(n int) *varValue {
	for len(*r.vars) <= n {
		*r.vars = append(*r.vars, varValue{})
	}
	return &(*r.vars)[n]
}

// storedVariable makes a variable whose value is kept: computed once in a request, or set.
func (v *Variables) storedVariable(name, doc string, keep bool, compute func(r *Request) ([]byte, bool)) Variable {
	n := v.places
	v.places++
	return Variable{
		Name: name, Doc: doc,
		Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
			p := r.place(n)
			if p.state == varUnknown {
				value, found := compute(r)
				if !keep {
					return append(dst, value...), found
				}
				p = r.place(n) // computing may have made others
				p.data, p.state = value, varNotFound
				if found {
					p.state = varValid
				}
			}
			return append(dst, p.data...), p.state == varValid
		},
		Set: func(r *Request, value []byte) {
			p := r.place(n)
			if isUnset(value) {
				p.data, p.state = nil, varNotFound
				return
			}
			p.data, p.state = r.view(value), varValid
		},
	}
}

// unset is the value that UnsetVariable sets: told by its place, for an empty value is a value.
var unset = make([]byte, 0, 1)

func isUnset(value []byte) bool {
	return len(value) == 0 && cap(value) == 1 && &value[:1][0] == &unset[:1][0]
}

// UnsetVariable takes a variable's value away. It answers as SetVariable does.
func (r *Request) UnsetVariable(name string) (known, changed bool) { return r.SetVariable(name, unset) }

// AddComputed gives the configuration a variable whose value is computed at its first use in a request and kept for
// the rest of it, unless it is set; with keep off it is computed at every use. The value must stay as it is until the
// request has ended.
func AddComputed(cf *conf.Conf, name, doc string, keep bool, compute func(r *Request) ([]byte, bool)) error {
	return AddVariable(cf, variablesOf(cf).storedVariable(strings.ToLower(name), doc, keep, compute))
}

// SettableVariable declares a variable, by its name without the dollar sign, that a directive is going to set, as
// set and set_by_lua do. The function that comes back changes its value. It must not be called before the
// configuration is complete.
func SettableVariable(cf *conf.Conf, name string) (func(r *Request, value []byte), error) {
	return settableVariable(cf, strings.ToLower(name), func(r *Request) ([]byte, bool) {
		if r.LocCtx[rewriteModule.Index].(*rewriteConf).warn.V {
			r.Log(logging.Warn, "using uninitialized \"%s\" variable", name)
		}
		return nil, true
	})
}

// settableVariable is SettableVariable, by a name in lower case, with what the value is where nothing has set it and nothing else
// says it.
func settableVariable(cf *conf.Conf, name string, compute func(r *Request) ([]byte, bool)) (func(r *Request, value []byte), error) {
	v := variablesOf(cf)
	old := v.byName[name]
	if old != nil && old.Set == nil {
		return nil, conf.Errorf("the duplicate \"%s\" variable", name)
	}
	if old == nil {
		x := v.storedVariable(name, "", true, compute)
		v.put(&x)
	}
	s := &varSetting{name: name}
	v.settings = append(v.settings, s)
	return func(r *Request, value []byte) { s.set(r, value) }, nil
}
