package ffi

import (
	"strings"
	"unsafe"

	"perilune/luart/vm"
)

// namespace makes ffi.C: a userdata that finds what was asked for before in a
// table, and the rest among the declarations.
func (l *library) namespace() vm.Value {
	m := l.vm
	l.symbols = m.NewTable(0, 16)
	behind := m.NewTable(0, 1)
	behind.SetStr("__index", m.NewFunction("__index", l.resolve))
	l.symbols.SetMetatable(behind)
	mt := m.NewTable(0, 3)
	mt.SetStr("__index", l.symbols.Value())
	mt.SetStr("__newindex", m.NewFunction("__newindex", l.assign))
	return m.NewUserdata(l, mt).Value()
}

// resolve makes the value of a symbol.
func (l *library) resolve(t *vm.Thread) int {
	name := t.CheckString(2)
	var v vm.Value
	if k, ok := l.decls.constants[name]; ok {
		v = vm.Number(float64(k.value))
		if k.unsigned {
			v = vm.Number(float64(uint64(k.value)))
		}
	} else {
		v = l.function(t, name)
	}
	l.symbols.SetStr(strings.Clone(name), v)
	t.Push(v)
	return 1
}

func (l *library) function(t *vm.Thread, name string) vm.Value {
	s, ok := l.decls.symbols[name]
	if !ok {
		t.Errorf("missing declaration for symbol '%s'", name)
	}
	if s.ct.kind != kFunc {
		t.Errorf("perilune does not provide the C variable '%s'", s.name)
	}
	fn := functions[s.name]
	if fn == nil {
		fn = nginxFunctions[s.name]
	}
	if fn == nil {
		t.Errorf("perilune does not provide the C function '%s'", s.name)
	}
	if !fn.fits(s.ct) {
		t.Errorf("the declaration of '%s' does not fit the function: %s", s.name, fn.doc)
	}
	o := &symbolObject{object: object{CData: vm.CData{Kind: vm.CForeign}, ct: s.ct, what: isSymbol}, fn: fn}
	return o.value()
}

func (l *library) assign(t *vm.Thread) int {
	name := t.CheckString(2)
	_, isConstant := l.decls.constants[name]
	s, isSymbol := l.decls.symbols[name]
	switch {
	case isConstant, isSymbol && s.ct.kind == kFunc:
		t.Errorf("attempt to write to constant location")
	case isSymbol:
		t.Errorf("perilune does not provide the C variable '%s'", s.name)
	}
	t.Errorf("missing declaration for symbol '%s'", name)
	return 0
}

// function is a function of the system.
type function struct {
	// params has a letter for each parameter: an integer, a pointer, or a dot for
	// any further ones.
	params string
	result byte // i, p, or d for a double
	doc    string
	run    func(c *call)
}

// maxParams is how many arguments a call may have.
const maxParams = 8

// fits reports whether the function can be called by a declaration.
func (f *function) fits(ct *ctype) bool {
	fixed := strings.TrimSuffix(f.params, ".")
	n := len(ct.params)
	if n < len(fixed) || n > maxParams || (n > len(fixed) || ct.variadic) && fixed == f.params {
		return false
	}
	for i, p := range ct.params {
		class := letterOf(p)
		if class == 0 || i < len(fixed) && class != fixed[i] {
			return false
		}
	}
	return ct.elem.kind == kVoid || letterOf(ct.elem) == f.result
}

func letterOf(ct *ctype) byte {
	switch ct.kind {
	case kBool, kInt, kEnum:
		return 'i'
	case kPtr:
		return 'p'
	case kFloat:
		return 'd'
	}
	return 0
}

// call is a call of a function of ffi.C. There is one per library: a function that
// gives the baton away saves it.
type call struct {
	l      *library
	t      *vm.Thread
	args   [maxParams]argument
	n      int
	stop   error   // the thread was ended during the call
	number int64   // the result
	ptr    pointer // if it is a pointer
}

// argument is an integer, or a pointer. Strings have no block made for them.
type argument struct {
	n        int64
	p        pointer
	s        string
	isString bool
}

func (l *library) call(t *vm.Thread, o *object) int {
	ct := o.ct
	n := t.NArgs() - 1
	c := &l.calls
	c.l, c.t, c.n = l, t, n
	for i := range n {
		if i == maxParams || i == len(ct.params) && !ct.variadic {
			t.Errorf("wrong number of arguments for function call")
		}
		v, cv := t.Arg(i+2), conv{t, i + 1}
		if i < len(ct.params) {
			c.args[i].set(cv, ct.params[i], v)
		} else {
			c.args[i].setVariadic(cv, v)
		}
	}
	if n < len(ct.params) {
		t.Errorf("wrong number of arguments for function call")
	}
	fn := (*symbolObject)(unsafe.Pointer(o)).fn
	c.number, c.ptr, c.stop = 0, pointer{}, nil
	fn.run(c)
	// What the arguments kept alive may go.
	for i := range c.args[:n] {
		c.args[i].p, c.args[i].s = pointer{}, ""
	}
	number, p := c.number, c.ptr
	c.ptr, c.t = pointer{}, nil
	if c.stop != nil {
		return t.Abort(c.stop)
	}
	switch res := ct.elem; res.kind {
	case kVoid:
		return 0
	case kPtr:
		t.Push(pointerValue(res, p))
	case kFloat:
		t.PushNumber(float64(number))
	case kBool:
		t.PushBool(number != 0)
	default:
		t.Push(integerValue(res, extend(uint64(number), res.size, res.unsigned)))
	}
	return 1
}

func (a *argument) set(c conv, ct *ctype, v vm.Value) {
	a.isString = false
	if ct.kind != kPtr {
		a.n = int64(c.integer(ct, v))
		return
	}
	if s, ok := v.AsString(); ok && pointable(ct.elem, tConstChar) {
		a.s, a.isString = s, true
		return
	}
	a.p = c.pointer(ct, v)
}

// setVariadic takes an argument that has no declared type.
func (a *argument) setVariadic(c conv, v vm.Value) {
	a.isString = false
	if s, ok := v.AsString(); ok {
		a.s, a.isString = s, true
	} else if p, _, ok := address(v); ok {
		a.p, a.n = p, int64(p.addr())
	} else {
		a.n = int64(c.integer(tInt64, v))
	}
}

// fail sets errno and the result -1.
func (c *call) fail(errno int) {
	c.l.errno = errno
	c.number = -1
}

func (c *call) int(i int) int { return int(c.args[i].n) }

// read returns the n bytes that argument i points to.
func (c *call) read(i, n int) []byte {
	a := &c.args[i]
	if !a.isString {
		if n == 0 {
			return nil
		}
		return conv{t: c.t}.access(a.p, n)
	}
	if n < 0 || n > len(a.s) {
		return conv{t: c.t}.access(pointer{mem: textBlock(a.s)}, n)
	}
	return unsafe.Slice(unsafe.StringData(a.s), n)
}

// write returns the n bytes that argument i points to, for writing.
func (c *call) write(i, n int) []byte {
	a := &c.args[i]
	if a.isString {
		c.t.Errorf("attempt to write to constant location")
	}
	if n == 0 {
		return nil
	}
	return conv{t: c.t}.writable(a.p, n)
}

// isNull reports whether argument i is NULL.
func (c *call) isNull(i int) bool {
	a := &c.args[i]
	return !a.isString && a.p.addr() == 0
}

// text returns the string of C that argument i points to.
func (c *call) text(i int) string {
	a := &c.args[i]
	if a.isString {
		if n := strings.IndexByte(a.s, 0); n >= 0 {
			return a.s[:n]
		}
		return a.s
	}
	return string(conv{t: c.t}.text(a.p))
}
