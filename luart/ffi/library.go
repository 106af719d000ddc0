package ffi

import (
	"runtime"

	"perilune/luart/vm"
)

// library is the ffi of one VM.
type library struct {
	vm      *vm.VM
	decls   *declarations
	types   map[string]*ctype // of declarations that mean the same each time
	errno   int
	symbols *vm.Table // what ffi.C has been asked for
	calls   call
	texts   map[int]*block // of strerror
}

// Module is the table that require "ffi" returns. A VM has one.
func Module(m *vm.VM) *vm.Table {
	l := &library{vm: m, decls: newDeclarations(), types: make(map[string]*ctype), texts: make(map[int]*block)}
	m.SetTypeMetatable(vm.TypeCData, l.metatable())
	tab := m.NewTable(0, 24)
	m.Register(tab, []vm.Reg{
		{Name: "cdef", Fn: l.cdef},
		{Name: "new", Fn: l.new},
		{Name: "cast", Fn: l.cast},
		{Name: "typeof", Fn: l.typeof},
		{Name: "sizeof", Fn: l.sizeof},
		{Name: "alignof", Fn: l.alignof},
		{Name: "offsetof", Fn: l.offsetof},
		{Name: "istype", Fn: l.istype},
		{Name: "metatype", Fn: l.metatype},
		{Name: "gc", Fn: l.gc},
		{Name: "string", Fn: l.string},
		{Name: "copy", Fn: l.copy},
		{Name: "fill", Fn: l.fill},
		{Name: "errno", Fn: l.getErrno},
		{Name: "abi", Fn: l.abi},
		{Name: "load", Fn: l.load},
	})
	tab.SetStr("C", l.namespace())
	tab.SetStr("os", vm.String("Linux"))
	tab.SetStr("arch", vm.String(arch))
	return tab
}

// Preload makes the module known to require.
func Preload(m *vm.VM) {
	pkg, ok := m.Globals().GetStr("package").AsTable()
	if !ok {
		return
	}
	if preload, ok := pkg.GetStr("preload").AsTable(); ok {
		preload.SetStr("ffi", m.NewFunction("ffi", func(t *vm.Thread) int {
			t.Push(Module(m).Value())
			return 1
		}))
	}
}

// arch is LuaJIT's name of the architecture.
var arch = map[string]string{"amd64": "x64", "386": "x86"}[runtime.GOARCH]

func init() {
	if arch == "" {
		arch = runtime.GOARCH
	}
}

// rest returns the arguments from i on.
func rest(t *vm.Thread, i int) []vm.Value {
	if t.NArgs() < i {
		return nil
	}
	vs := make([]vm.Value, 0, t.NArgs()-i+1)
	for ; i <= t.NArgs(); i++ {
		vs = append(vs, t.Arg(i))
	}
	return vs
}

// ctype is argument i as a type: a declaration, a type, or a value of one.
func (l *library) ctype(t *vm.Thread, i int) *ctype {
	v := t.Arg(i)
	if s, ok := v.AsString(); ok {
		return l.parse(t, s, nil)
	}
	ct := typeOfValue(v)
	if ct == nil {
		t.TypeError(i, "C type")
	}
	return ct
}

func (l *library) parse(t *vm.Thread, s string, params []vm.Value) *ctype {
	if ct := l.types[s]; ct != nil && len(params) == 0 {
		return ct
	}
	ct, fresh, err := l.decls.parseType(s, params)
	if err != nil {
		t.Errorf("%s", err)
	}
	if !fresh {
		if len(l.types) >= 1000 {
			clear(l.types)
		}
		l.types[s] = ct
	}
	return ct
}

func (l *library) cdef(t *vm.Thread) int {
	err := l.decls.parseDecls(t.CheckString(1), rest(t, 2))
	clear(l.types)
	if err != nil {
		t.Errorf("%s", err)
	}
	return 0
}

func (l *library) new(t *vm.Thread) int {
	ct := l.ctype(t, 1)
	return l.newObject(t, ct)
}

// newObject makes an object of the arguments from the second one on.
func (l *library) newObject(t *vm.Thread, ct *ctype) int {
	n, next := ct.sizeof(), 2
	if ct.isVariable() {
		n, next = l.variable(t, ct, 2), 3
	}
	if n < 0 {
		t.Errorf("size of C type is unknown or too large")
	}
	c := conv{t: t}
	switch {
	case ct.kind == kInt && ct.size == 8:
		if t.NArgs() > next {
			t.Errorf("too many initializers for '%s'", ct)
		}
		u := uint64(0)
		if t.NArgs() >= next {
			u = c.integer(ct, t.Arg(next))
		}
		t.Push(integerValue(ct, u))
		return 1
	case ct.kind == kPtr:
		if t.NArgs() > next {
			t.Errorf("too many initializers for '%s'", ct)
		}
		var p pointer
		if t.NArgs() >= next {
			p = c.pointer(ct, t.Arg(next))
		}
		t.Push(pointerValue(ct, p))
		return 1
	}
	o := allocate(t, ct, n)
	c.init(o, n, rest(t, next))
	if ct.kind == kStruct && ct.rec.meta != nil {
		if h := ct.rec.meta.GetStr("__gc"); !h.IsNil() {
			l.finalizer(o, h)
		}
	}
	t.Push(o.value())
	return 1
}

// variable returns the size of a variable-length type; argument i is the length.
func (l *library) variable(t *vm.Thread, ct *ctype, i int) int {
	n := int(conv{t, i}.integer(tInt32, t.CheckAny(i)))
	size, ok := ct.variableSize(n)
	if !ok {
		t.Errorf("size of C type is unknown or too large")
	}
	return size
}

func (l *library) cast(t *vm.Thread) int {
	ct := l.ctype(t, 1)
	v := t.CheckAny(2)
	c := conv{t: t}
	switch {
	case ct.kind == kPtr:
		t.Push(pointerValue(ct, c.castPointer(ct, v)))
	case ct.kind == kFloat:
		o := allocate(t, ct, ct.size)
		putFloat(o.ptr.mem.b, c.float(ct, v))
		t.Push(o.value())
	case ct.isNumber():
		u := uint64(0)
		if o := asObject(v); o != nil && o.what == isValue && (o.ct.kind == kPtr || o.ct.kind == kArray) {
			u = extend(o.ptr.addr(), ct.size, ct.unsigned)
		} else if v.IsString() {
			u = extend(c.castPointer(tVoidPtr, v).addr(), ct.size, ct.unsigned)
		} else {
			u = c.integer(ct, v)
		}
		if ct.size == 8 {
			t.Push(integerValue(ct, u))
			return 1
		}
		o := allocate(t, ct, ct.size)
		putInt(o.ptr.mem.b, u)
		t.Push(o.value())
	default:
		t.ArgError(1, "invalid C type")
	}
	return 1
}

func (l *library) typeof(t *vm.Thread) int {
	var ct *ctype
	if s, ok := t.Arg(1).AsString(); ok {
		ct = l.parse(t, s, rest(t, 2))
	} else {
		ct = l.ctype(t, 1)
	}
	t.Push(newObject(ct, pointer{}, isType).value())
	return 1
}

func (l *library) sizeof(t *vm.Thread) int {
	if o := asObject(t.Arg(1)); o != nil && o.what == isValue && o.ct.isVariable() {
		t.PushInt(len(o.ptr.rest()))
		return 1
	}
	ct := l.ctype(t, 1)
	n := ct.sizeof()
	if ct.isVariable() {
		n = l.variable(t, ct, 2)
	}
	if n < 0 {
		t.PushNil()
		return 1
	}
	t.PushInt(n)
	return 1
}

func (l *library) alignof(t *vm.Thread) int {
	t.PushInt(l.ctype(t, 1).alignof())
	return 1
}

func (l *library) offsetof(t *vm.Thread) int {
	ct, name := l.ctype(t, 1), t.CheckString(2)
	if ct.kind != kStruct {
		return 0
	}
	f := ct.rec.names[name]
	if f == nil {
		return 0
	}
	t.PushInt(f.offset)
	if f.bits > 0 {
		t.PushInt(f.shift)
		t.PushInt(f.bits)
		return 3
	}
	return 1
}

func (l *library) istype(t *vm.Thread) int {
	want := l.ctype(t, 1)
	t.CheckAny(2)
	got := asCData(t.Arg(2))
	ok := false
	switch {
	case got == nil:
	case want.kind == kPtr && got.kind == kPtr:
		ok = alike(want.elem, got.elem)
	case want.kind == kStruct && got.kind == kPtr: // a pointer to a struct counts as one
		ok = same(want, got.elem)
	default:
		ok = same(want, got)
	}
	t.PushBool(ok)
	return 1
}

func (l *library) metatype(t *vm.Thread) int {
	ct, mt := l.ctype(t, 1), t.CheckTable(2)
	if ct.kind != kStruct {
		t.ArgError(1, "invalid C type")
	}
	if ct.rec.meta != nil {
		t.Errorf("cannot change a protected metatable")
	}
	ct.rec.meta = mt
	t.Push(newObject(ct, pointer{}, isType).value())
	return 1
}

func (l *library) gc(t *vm.Thread) int {
	o := asObject(t.Arg(1))
	if o == nil || o.what == isType || o.what == isSymbol {
		t.TypeError(1, "cdata")
	}
	t.CheckAny(2)
	l.finalizer(o, t.Arg(2))
	t.Push(t.Arg(1))
	return 1
}

// finalizer has h called when o is unreachable; nil takes that back.
func (l *library) finalizer(o *object, h vm.Value) {
	m := l.vm
	set := func(target any, f any) {
		runtime.SetFinalizer(target, nil)
		if !h.IsNil() {
			runtime.SetFinalizer(target, f)
		}
	}
	due := func(o *object) {
		m.Finalize(func(t *vm.Thread) {
			// Errors are dropped, as the collector does.
			if _, err := t.PCall(h, o.value()); err != nil {
				return
			}
		})
	}
	set(o, due)
}

func (l *library) string(t *vm.Thread) int {
	v := t.Arg(1)
	if s, ok := v.AsString(); ok && t.NArgs() == 1 {
		t.PushString(s)
		return 1
	}
	c := conv{t, 1}
	if !t.Arg(2).IsNil() {
		p := c.pointer(tConstVoidPtr, v)
		n := int(conv{t, 2}.integer(tInt64, t.Arg(2)))
		t.ChargeBytes(max(n, 0))
		t.PushBytes(conv{t: t}.access(p, n))
		return 1
	}
	t.PushBytes(c.text(c.pointer(tString, v)))
	return 1
}

var tConstVoidPtr = pointerTo(tVoid.qualified(true, false))

// text returns the bytes before the first zero.
func (c conv) text(p pointer) []byte {
	if p.mem == nil {
		conv{t: c.t}.access(p, 1)
	}
	b := p.rest()
	for i, x := range b {
		if x == 0 {
			return b[:i]
		}
	}
	if b == nil || !p.mem.text {
		c.t.Errorf("unterminated string of %d bytes of C memory", len(b))
	}
	return b
}

func (l *library) copy(t *vm.Thread) int {
	dst := conv{t, 1}.pointer(tVoidPtr, t.CheckAny(1))
	src := conv{t, 2}.pointer(tConstVoidPtr, t.CheckAny(2))
	n := 0
	if s, ok := t.Arg(2).AsString(); ok && t.Arg(3).IsNil() {
		n = len(s) + 1
	} else {
		n = int(conv{t, 3}.integer(tInt64, t.CheckAny(3)))
	}
	c := conv{t: t}
	if n != 0 {
		copyMemory(c.writable(dst, n), c.access(src, n), dst, src, n)
	}
	return 0
}

func (l *library) fill(t *vm.Thread) int {
	dst := conv{t, 1}.pointer(tVoidPtr, t.CheckAny(1))
	n := int(conv{t, 2}.integer(tInt64, t.CheckAny(2)))
	x := byte(0)
	if !t.Arg(3).IsNil() {
		x = byte(conv{t, 3}.integer(tInt32, t.Arg(3)))
	}
	if n != 0 {
		fillBytes(conv{t: t}.writable(dst, n), x)
	}
	return 0
}

func fillBytes(b []byte, x byte) {
	for i := range b {
		b[i] = x
	}
}

func (l *library) getErrno(t *vm.Thread) int {
	old := l.errno
	if !t.Arg(1).IsNil() {
		l.errno = int(conv{t, 1}.integer(tInt32, t.Arg(1)))
	}
	t.PushInt(old)
	return 1
}

func (l *library) abi(t *vm.Thread) int {
	switch t.CheckString(1) {
	case "64bit", "le", "fpu", "hardfp", "gc64":
		t.PushBool(true)
	default:
		t.PushBool(false)
	}
	return 1
}

func (l *library) load(t *vm.Thread) int {
	t.Errorf("cannot load library '%s': perilune loads no C code, only the functions of ffi.C are there", t.CheckString(1))
	return 0
}
