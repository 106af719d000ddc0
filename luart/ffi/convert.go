package ffi

import (
	"fmt"

	"perilune/luart/vm"
)

// conv converts between Lua and C for a Go function that runs on t. With an
// argument's number, errors are those of that argument.
type conv struct {
	t   *vm.Thread
	arg int
}

func (c conv) fail(format string, args ...any) {
	if c.arg > 0 {
		c.t.ArgError(c.arg, fmt.Sprintf(format, args...))
	}
	c.t.Errorf(format, args...)
}

func nameOf(v vm.Value) string {
	if o := asObject(v); o != nil && o.what == isType {
		return "ctype"
	}
	if ct := asCData(v); ct != nil {
		return ct.String()
	}
	if c, ok := v.AsCData(); ok && c.Kind == vm.CComplex {
		return "complex"
	}
	return v.TypeName()
}

func (c conv) mismatch(v vm.Value, ct *ctype) {
	c.fail("cannot convert '%s' to '%s'", nameOf(v), ct)
}

// access returns the bytes at p for a value of the type.
func (c conv) access(p pointer, n int) []byte {
	b := p.at(n)
	if b != nil {
		return b
	}
	switch {
	case p.mem != nil:
		c.t.Errorf("attempt to access %d bytes at offset %d of %d bytes of C memory", n, p.off, len(p.mem.b))
	case p.off == 0:
		c.t.Errorf("attempt to access memory at NULL")
	}
	c.t.Errorf("attempt to access memory at 0x%x, which is not that of an object", uint64(p.off))
	return nil
}

func (c conv) writable(p pointer, n int) []byte {
	if p.mem != nil && p.mem.readOnly {
		c.t.Errorf("attempt to write to constant location")
	}
	return c.access(p, n)
}

// load reads a value of C as a Lua value.
func (c conv) load(ct *ctype, p pointer) vm.Value {
	switch ct.kind {
	case kArray, kStruct:
		return newObject(ct, p, isRef).value()
	case kPtr:
		return pointerValue(ct, p.pointerAt(c.access(p, 8)))
	case kFunc, kVoid:
		c.t.Errorf("invalid C type")
	}
	return c.scalar(ct, c.access(p, ct.size))
}

// scalar is a C number as a Lua value.
func (c conv) scalar(ct *ctype, b []byte) vm.Value {
	switch ct.kind {
	case kFloat:
		return vm.Number(getFloat(b))
	}
	return integerValue(ct, getInt(b, ct.unsigned))
}

// integerValue is an integer of a type as a Lua value.
func integerValue(ct *ctype, u uint64) vm.Value {
	switch {
	case ct.kind == kBool:
		return vm.Bool(u != 0)
	case ct.kind == kEnum:
		o := &ownedObject{object: object{CData: vm.CData{Kind: vm.CForeign}, ct: ct}}
		o.mem.b = make([]byte, ct.size)
		putInt(o.mem.b, u)
		o.ptr.mem = &o.mem
		return o.value()
	case ct.size < 8 && ct.unsigned:
		return vm.Number(float64(u))
	case ct.size < 8:
		return vm.Number(float64(int64(u)))
	case ct.unsigned:
		return vm.Uint64(u)
	}
	return vm.Int64(int64(u))
}

// store converts v and writes it to p.
func (c conv) store(ct *ctype, p pointer, v vm.Value) {
	switch ct.kind {
	case kBool, kInt, kEnum:
		u := c.integer(ct, v)
		putInt(c.writable(p, ct.size), u)
	case kFloat:
		f := c.float(ct, v)
		putFloat(c.writable(p, ct.size), f)
	case kPtr:
		q := c.pointer(ct, v)
		p.putPointer(c.writable(p, 8), q)
	case kArray, kStruct:
		c.aggregate(ct, p, v)
	default:
		c.mismatch(v, ct)
	}
}

// integer is v as a value of an integer type, extended to 64 bits.
func (c conv) integer(ct *ctype, v vm.Value) uint64 {
	u := uint64(0)
	if f, ok := v.AsNumber(); ok {
		if ct.kind == kBool {
			return bit(f != 0)
		}
		u = floatBits(f)
	} else if b, ok := v.AsBool(); ok {
		return bit(b)
	} else if s, ok := v.AsString(); ok {
		if ct.kind != kEnum {
			c.mismatch(v, ct)
		}
		n, ok := ct.enum.values[s]
		if !ok {
			c.mismatch(v, ct)
		}
		u = uint64(n)
	} else if cd, ok := v.AsCData(); ok {
		bits, _, ok := cd.Integer()
		if !ok {
			c.mismatch(v, ct)
		}
		if f, isFloat := floatOf(cd); isFloat && ct.kind == kBool {
			return bit(f != 0)
		}
		u = bits
	} else {
		c.mismatch(v, ct)
	}
	if ct.kind == kBool {
		return bit(u != 0)
	}
	return extend(u, ct.size, ct.unsigned)
}

// floatOf returns the number of an object of a floating type.
func floatOf(cd *vm.CData) (float64, bool) {
	if cd.Kind != vm.CForeign || objectOf(cd).ct.kind != kFloat {
		return 0, false
	}
	return cd.Float()
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (c conv) float(ct *ctype, v vm.Value) float64 {
	if f, ok := v.AsNumber(); ok {
		return f
	}
	if b, ok := v.AsBool(); ok {
		return float64(bit(b))
	}
	if cd, ok := v.AsCData(); ok {
		if f, ok := cd.Float(); ok {
			return f
		}
	}
	c.mismatch(v, ct)
	return 0
}

// address returns the pointer that v is or decays to, and what it points to.
func address(v vm.Value) (p pointer, elem *ctype, ok bool) {
	if v.IsNil() {
		return pointer{}, tVoid, true
	}
	if id, ok := v.AsLightUserdata(); ok {
		return pointer{off: int(id)}, tVoid, true
	}
	o := asObject(v)
	if o == nil || o.what == isType || o.what == isSymbol {
		return pointer{}, nil, false
	}
	switch o.ct.kind {
	case kPtr, kArray:
		return o.ptr, o.ct.elem, true
	case kStruct:
		return o.ptr, o.ct, true
	}
	return pointer{}, nil, false
}

// pointer is v as a pointer of a type.
func (c conv) pointer(ct *ctype, v vm.Value) pointer {
	if s, ok := v.AsString(); ok {
		if !pointable(ct.elem, tConstChar) {
			c.mismatch(v, ct)
		}
		return pointer{mem: textBlock(s)}
	}
	p, elem, ok := address(v)
	if !ok || !v.IsNil() && !pointable(ct.elem, elem) {
		if v.IsFunction() && ct.elem.kind == kFunc {
			c.fail("cannot convert 'function' to '%s': perilune has no callbacks", ct)
		}
		c.mismatch(v, ct)
	}
	return p
}

// castPointer is pointer for a cast: any pointer will do, and any integer.
func (c conv) castPointer(ct *ctype, v vm.Value) pointer {
	if s, ok := v.AsString(); ok {
		return pointer{mem: textBlock(s)}
	}
	if p, _, ok := address(v); ok {
		return p
	}
	if f, ok := v.AsNumber(); ok {
		return pointer{off: int(floatBits(f))}
	}
	if cd, ok := v.AsCData(); ok {
		if u, _, ok := cd.Integer(); ok {
			return pointer{off: int(u)}
		}
	}
	c.mismatch(v, ct)
	return pointer{}
}

// aggregate writes a value to a struct or an array.
func (c conv) aggregate(ct *ctype, p pointer, v vm.Value) {
	if o := asObject(v); o != nil && o.what != isType && same(o.ct, ct) {
		n := ct.sizeof()
		if n < 0 {
			c.fail("size of C type is unknown or too large")
		}
		copyMemory(c.writable(p, n), c.access(o.ptr, n), p, o.ptr, n)
		return
	}
	if tab, ok := v.AsTable(); ok {
		n := ct.sizeof()
		if n < 0 {
			n = len(p.rest())
		}
		c.fill(ct, p, n, tab)
		return
	}
	if s, ok := v.AsString(); ok && ct.kind == kArray && ct.elem.isChar() {
		n := ct.sizeof()
		if n < 0 {
			n = len(p.rest())
		}
		dst := c.writable(p, n)
		if k := copy(dst, s); k < n {
			dst[k] = 0
		}
		return
	}
	c.mismatch(v, ct)
}

func copyMemory(dst, src []byte, to, from pointer, n int) {
	copy(dst, src)
	if n > 0 && (from.mem.ptrs != nil || to.mem.ptrs != nil) {
		movePointers(to, from, n)
	}
}

// fill initializes n bytes with the values of a table.
func (c conv) fill(ct *ctype, p pointer, n int, tab *vm.Table) {
	if ct.kind == kStruct {
		c.fields(ct.rec, p, tab, positional(tab))
		return
	}
	es := ct.elem.sizeof()
	i, done := 0, 0
	if tab.GetInt(0).IsNil() {
		i = 1
	}
	for ; ; i++ {
		v := tab.GetInt(i)
		if v.IsNil() {
			break
		}
		if (done+1)*es > n {
			c.fail("too many initializers for '%s'", ct)
		}
		c.store(ct.elem, p.add(done*es), v)
		done++
	}
	if done == 1 {
		c.repeat(p, es, n)
	}
}

// repeat copies the first element to all others.
func (c conv) repeat(p pointer, es, n int) {
	if es == 0 {
		return
	}
	first := c.access(p, es)
	for off := es; off+es <= n; off += es {
		q := p.add(off)
		copyMemory(c.writable(q, es), first, q, p, es)
	}
}

// positional returns the index of the first value of a table, -1 if its values
// have names.
func positional(tab *vm.Table) int {
	for i := range 2 {
		if !tab.GetInt(i).IsNil() {
			return i
		}
	}
	return -1
}

// fields initializes a record, by position from index next on or by name. It
// returns the next position.
func (c conv) fields(r *record, p pointer, tab *vm.Table, next int) int {
	for i := range r.fields {
		f := &r.fields[i]
		if f.name == "" {
			if f.ct.kind == kStruct {
				next = c.fields(f.ct.rec, p.add(f.offset), tab, next)
			}
			continue
		}
		var v vm.Value
		if next >= 0 {
			if v = tab.GetInt(next); v.IsNil() {
				break
			}
			next++
		} else if v = tab.GetStr(f.name); v.IsNil() {
			continue
		}
		c.storeField(f, p, v)
		if r.union {
			break
		}
	}
	return next
}

func (c conv) loadField(f *field, p pointer) vm.Value {
	q := p.add(f.offset)
	if f.bits <= 0 {
		return c.load(f.ct, q)
	}
	u := getInt(c.access(q, f.ct.size), true) >> f.shift
	u <<= 64 - f.bits
	if f.ct.unsigned {
		u >>= 64 - f.bits
	} else {
		u = uint64(int64(u) >> (64 - f.bits))
	}
	return integerValue(f.ct, u)
}

func (c conv) storeField(f *field, p pointer, v vm.Value) {
	q := p.add(f.offset)
	if f.bits <= 0 {
		c.store(f.ct, q, v)
		return
	}
	u := c.integer(f.ct, v)
	b := c.writable(q, f.ct.size)
	mask := (uint64(1)<<f.bits - 1) << f.shift
	putInt(b, getInt(b, true)&^mask|u<<f.shift&mask)
}

// init initializes a new object with what follows the type in ffi.new.
func (c conv) init(o *object, n int, args []vm.Value) {
	ct := o.ct
	if len(args) == 0 {
		return
	}
	multi := len(args) > 1
	if !multi {
		_, isTable := args[0].AsTable()
		_, isString := args[0].AsString()
		other := asObject(args[0])
		if other != nil && other.what == isType {
			other = nil
		}
		switch {
		case !ct.isAggregate(), isTable, isString && ct.kind == kArray && ct.elem.isChar(), other != nil && same(other.ct, ct):
			c.store(ct, o.ptr, args[0])
			return
		}
	}
	switch ct.kind {
	case kArray:
		es := ct.elem.sizeof()
		if es*len(args) > n {
			c.fail("too many initializers for '%s'", ct)
		}
		for i, v := range args {
			c.store(ct.elem, o.ptr.add(i*es), v)
		}
		if !multi {
			c.repeat(o.ptr, es, n)
		}
	case kStruct:
		if rest := c.initFields(ct.rec, o.ptr, args); len(rest) > 0 {
			c.fail("too many initializers for '%s'", ct)
		}
	default:
		c.fail("too many initializers for '%s'", ct)
	}
}

func (c conv) initFields(r *record, p pointer, args []vm.Value) []vm.Value {
	for i := range r.fields {
		f := &r.fields[i]
		if len(args) == 0 {
			break
		}
		switch {
		case f.name != "":
			c.storeField(f, p, args[0])
			args = args[1:]
		case f.ct.kind == kStruct:
			args = c.initFields(f.ct.rec, p.add(f.offset), args)
		default:
			continue
		}
		if r.union {
			break
		}
	}
	return args
}
