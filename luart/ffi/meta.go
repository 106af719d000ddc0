package ffi

import (
	"math"

	"perilune/luart/vm"
)

// metatable is that of all C values.
func (l *library) metatable() *vm.Table {
	m := l.vm
	mt := m.NewTable(0, 20)
	m.Register(mt, []vm.Reg{
		{Name: "__index", Fn: l.index},
		{Name: "__newindex", Fn: l.newindex},
		{Name: "__call", Fn: l.callValue},
		{Name: "__tostring", Fn: l.tostring},
		{Name: "__len", Fn: l.length},
		{Name: "__concat", Fn: l.concat},
		{Name: "__eq", Fn: l.equal},
		{Name: "__lt", Fn: l.order("__lt", func(a, b uint64) bool { return a < b })},
		{Name: "__le", Fn: l.order("__le", func(a, b uint64) bool { return a <= b })},
	})
	for _, op := range []string{"__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm"} {
		mt.SetStr(op, m.NewFunction(op, func(t *vm.Thread) int { return l.arith(t, op) }))
	}
	mt.SetStr("__metatable", vm.String("ffi"))
	return mt
}

// recordOf is the record that an object, or what it points to, is of.
func recordOf(v vm.Value) *record {
	o := asObject(v)
	if o == nil {
		return nil
	}
	ct := o.ct
	if ct.kind == kPtr {
		ct = ct.elem
	}
	if ct.kind == kStruct {
		return ct.rec
	}
	return nil
}

// handler is a metamethod of ffi.metatype for a value, nil without one.
func handler(v vm.Value, name string) vm.Value {
	if r := recordOf(v); r != nil && r.meta != nil {
		return r.meta.GetStr(name)
	}
	return vm.Nil
}

// handle calls a metamethod with the arguments of t.
func handle(t *vm.Thread, h vm.Value) int {
	args := make([]vm.Value, t.NArgs())
	for i := range args {
		args[i] = t.Arg(i + 1)
	}
	results := t.CallValue(h, -1, args...)
	n := len(results)
	for i := range n {
		t.Push(results[i])
	}
	return n
}

// indexOf is a key that is a number.
func indexOf(key vm.Value) (int, bool) {
	if f, ok := key.AsNumber(); ok {
		return int(floatBits(f)), true
	}
	if cd, ok := key.AsCData(); ok {
		u, _, ok := cd.Integer()
		return int(u), ok
	}
	return 0, false
}

// element is where the i-th element from p on lies. What cannot be there at all is
// put where nothing is.
func element(p pointer, i, size int) pointer {
	if i > maxSize || i < -maxSize {
		return pointer{p.mem, math.MinInt}
	}
	return p.add(i * size)
}

// place finds what obj[key] is: an element, or a field.
func (l *library) place(t *vm.Thread) (p pointer, ct *ctype, f *field, ok bool) {
	o, key := asObject(t.Arg(1)), t.Arg(2)
	if o == nil || o.what == isType || o.what == isSymbol {
		return pointer{}, nil, nil, false
	}
	if i, isNumber := indexOf(key); isNumber {
		if o.ct.kind == kPtr || o.ct.kind == kArray {
			es := o.ct.elem.sizeof()
			if es < 0 {
				t.Errorf("size of C type is unknown or too large")
			}
			return element(o.ptr, i, es), o.ct.elem, nil, true
		}
		return pointer{}, nil, nil, false
	}
	name, isString := key.AsString()
	ct = o.ct
	if ct.kind == kPtr {
		ct = ct.elem
	}
	if !isString || ct.kind != kStruct {
		return pointer{}, nil, nil, false
	}
	f = ct.rec.names[name]
	return o.ptr, ct, f, f != nil
}

func (l *library) indexError(t *vm.Thread) int {
	v, key := t.Arg(1), t.Arg(2)
	name := nameOf(v)
	if o := asObject(v); o != nil {
		name = o.ct.String()
	}
	if s, ok := key.AsString(); ok {
		t.Errorf("'%s' has no member named '%s'", name, s)
	}
	t.Errorf("'%s' cannot be indexed with '%s'", name, nameOf(key))
	return 0
}

func (l *library) index(t *vm.Thread) int {
	if c, ok := t.Arg(1).AsCData(); ok {
		if part, ok := c.Part(t.Arg(2)); ok {
			t.PushNumber(part)
			return 1
		}
	}
	p, ct, f, ok := l.place(t)
	c := conv{t: t}
	switch {
	case ok && f == nil:
		t.Push(c.load(ct, p))
		return 1
	case ok:
		if ct.constant && f.ct.isAggregate() {
			t.Push(c.load(f.ct.qualified(true, false), p.add(f.offset)))
			return 1
		}
		t.Push(c.loadField(f, p))
		return 1
	}
	h := handler(t.Arg(1), "__index")
	switch {
	case h.IsFunction():
		t.Push(t.CallValue(h, 1, t.Arg(1), t.Arg(2))[0])
		return 1
	case !h.IsNil():
		if v := t.Index(h, t.Arg(2)); !v.IsNil() {
			t.Push(v)
			return 1
		}
	}
	return l.indexError(t)
}

func (l *library) newindex(t *vm.Thread) int {
	p, ct, f, ok := l.place(t)
	if ok {
		if ct.constant || f != nil && f.ct.constant || f == nil && ct.kind == kArray && ct.elem.constant {
			t.Errorf("attempt to write to constant location")
		}
		if f != nil {
			conv{t: t}.storeField(f, p, t.Arg(3))
		} else {
			conv{t: t}.store(ct, p, t.Arg(3))
		}
		return 0
	}
	h := handler(t.Arg(1), "__newindex")
	switch {
	case h.IsFunction():
		t.CallValue(h, 0, t.Arg(1), t.Arg(2), t.Arg(3))
	case !h.IsNil():
		t.SetIndex(h, t.Arg(2), t.Arg(3))
	default:
		return l.indexError(t)
	}
	return 0
}

func (l *library) callValue(t *vm.Thread) int {
	v := t.Arg(1)
	if o := asObject(v); o != nil {
		switch o.what {
		case isType:
			if h := handler(v, "__new"); !h.IsNil() {
				return handle(t, h)
			}
			return l.newObject(t, o.ct)
		case isSymbol:
			return l.call(t, o)
		}
	}
	if h := handler(v, "__call"); !h.IsNil() {
		return handle(t, h)
	}
	t.Errorf("'%s' is not callable", nameOf(v))
	return 0
}

func (l *library) tostring(t *vm.Thread) int {
	v := t.Arg(1)
	if o := asObject(v); o != nil && o.what != isType {
		if h := handler(v, "__tostring"); !h.IsNil() {
			return handle(t, h)
		}
	}
	c, ok := v.AsCData()
	if !ok {
		t.TypeError(1, "cdata")
	}
	t.PushString(c.String())
	return 1
}

func (l *library) length(t *vm.Thread) int {
	if h := handler(t.Arg(1), "__len"); !h.IsNil() {
		t.Push(t.CallValue(h, 1, t.Arg(1))[0])
		return 1
	}
	t.Errorf("attempt to get length of '%s'", nameOf(t.Arg(1)))
	return 0
}

// either is the metamethod of one of the two operands.
func either(t *vm.Thread, name string) vm.Value {
	if h := handler(t.Arg(1), name); !h.IsNil() {
		return h
	}
	return handler(t.Arg(2), name)
}

func (l *library) concat(t *vm.Thread) int {
	if h := either(t, "__concat"); !h.IsNil() {
		return handle(t, h)
	}
	t.Errorf("attempt to concatenate '%s' and '%s'", nameOf(t.Arg(1)), nameOf(t.Arg(2)))
	return 0
}

// arith is what the machine leaves over of arithmetic: pointers and ffi.metatype.
func (l *library) arith(t *vm.Thread, op string) int {
	if op == "__add" || op == "__sub" {
		if l.pointerArith(t, op == "__sub") {
			return 1
		}
	}
	if h := either(t, op); !h.IsNil() {
		return handle(t, h)
	}
	t.Errorf("attempt to perform arithmetic on '%s' and '%s'", nameOf(t.Arg(1)), nameOf(t.Arg(2)))
	return 0
}

// pointed returns an operand of pointer arithmetic.
func pointed(v vm.Value) (pointer, *ctype, bool) {
	if o := asObject(v); o != nil && o.what != isType && (o.ct.kind == kPtr || o.ct.kind == kArray) {
		return o.ptr, o.ct.elem, true
	}
	return pointer{}, nil, false
}

func (l *library) pointerArith(t *vm.Thread, sub bool) bool {
	a, b := t.Arg(1), t.Arg(2)
	p, elem, ok := pointed(a)
	if !ok {
		if sub {
			return false
		}
		if p, elem, ok = pointed(b); !ok {
			return false
		}
		b = a
	}
	es := elem.sizeof()
	if q, other, ok := pointed(b); ok {
		if !sub || es <= 0 || !compatible(elem, other) {
			return false
		}
		t.PushNumber(float64(int64(p.addr()-q.addr()) / int64(es)))
		return true
	}
	i, ok := indexOf(b)
	if !ok || es < 0 {
		return false
	}
	if sub {
		i = -i
	}
	t.Push(pointerValue(pointerTo(elem), element(p, i, es)))
	return true
}

func (l *library) equal(t *vm.Thread) int {
	a, b := t.Arg(1), t.Arg(2)
	if h := either(t, "__eq"); !h.IsNil() {
		t.PushBool(t.CallValue(h, 1, a, b)[0].Truthy())
		return 1
	}
	t.PushBool(equalValues(a, b))
	return 1
}

func equalValues(a, b vm.Value) bool {
	x, y := asObject(a), asObject(b)
	if x != nil && y != nil && x.what != isValue && y.what == x.what {
		switch x.what {
		case isType:
			return identical(x.ct, y.ct)
		case isSymbol:
			return x == y
		}
	}
	if n, ok := enumEqual(x, b); ok {
		return n
	}
	if n, ok := enumEqual(y, a); ok {
		return n
	}
	p, _, ok1 := address(a)
	q, _, ok2 := address(b)
	return ok1 && ok2 && p.addr() == q.addr()
}

// enumEqual compares an enumeration's value with the name of one.
func enumEqual(o *object, v vm.Value) (eq, ok bool) {
	s, isString := v.AsString()
	if o == nil || o.what == isType || o.ct.kind != kEnum || !isString {
		return false, false
	}
	n, ok := o.ct.enum.values[s]
	u, _, _ := o.Integer()
	return ok && uint64(n) == u, ok
}

func (l *library) order(name string, less func(a, b uint64) bool) vm.GoFunction {
	return func(t *vm.Thread) int {
		a, b := t.Arg(1), t.Arg(2)
		if h := either(t, name); !h.IsNil() {
			t.PushBool(t.CallValue(h, 1, a, b)[0].Truthy())
			return 1
		}
		p, x, ok1 := pointed(a)
		q, y, ok2 := pointed(b)
		if !ok1 || !ok2 || !compatible(x, y) {
			t.Errorf("attempt to compare '%s' with '%s'", nameOf(a), nameOf(b))
		}
		t.PushBool(less(p.addr(), q.addr()))
		return 1
	}
}
