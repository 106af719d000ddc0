package ffi

import (
	"fmt"
	"unsafe"

	"perilune/luart/vm"
)

// object is a value of a C type in Lua's hands.
type object struct {
	vm.CData // of kind CForeign; must come first
	ct       *ctype
	// ptr is where the value lies, or for a pointer where it points.
	ptr pointer
	// what is the object's nature.
	what nature
}

type nature uint8

const (
	isValue  nature = iota
	isRef           // an aggregate within another object
	isType          // the type itself, as ffi.typeof returns it
	isSymbol        // a function of ffi.C: a symbolObject
)

// symbolObject is a function of ffi.C.
type symbolObject struct {
	object
	fn *function
}

// ownedObject is an object with its memory.
type ownedObject struct {
	object
	mem block
}

func (o *object) value() vm.Value { return o.CData.Value() }

// objectOf returns the object of a CData. CForeign is set by this package only,
// always in an object's first field.
func objectOf(c *vm.CData) *object { return (*object)(unsafe.Pointer(c)) }

func asObject(v vm.Value) *object {
	if c, ok := v.AsCData(); ok && c.Kind == vm.CForeign {
		return objectOf(c)
	}
	return nil
}

// asCData returns the type of any C value but that of a type; nil if v is none.
func asCData(v vm.Value) *ctype {
	c, ok := v.AsCData()
	if !ok {
		return nil
	}
	switch c.Kind {
	case vm.CInt64:
		return tInt64
	case vm.CUint64:
		return tUint64
	case vm.CForeign:
		if o := objectOf(c); o.what != isType {
			return o.ct
		}
	}
	return nil
}

// typeOfValue is asCData with the type that a type object stands for.
func typeOfValue(v vm.Value) *ctype {
	if o := asObject(v); o != nil {
		return o.ct
	}
	return asCData(v)
}

func newObject(ct *ctype, p pointer, what nature) *object {
	return &object{CData: vm.CData{Kind: vm.CForeign}, ct: ct, ptr: p, what: what}
}

func pointerValue(ct *ctype, p pointer) vm.Value { return newObject(ct, p, isValue).value() }

// allocate makes an object of n bytes.
func allocate(t *vm.Thread, ct *ctype, n int) *object {
	t.ChargeBytes(n)
	o := &ownedObject{object: object{CData: vm.CData{Kind: vm.CForeign}, ct: ct}}
	o.mem.b = make([]byte, n)
	o.ptr.mem = &o.mem
	return &o.object
}

// Opaque is a void pointer that stands for data of another package; following it is an
// error.
func Opaque(data any) vm.Value { return pointerValue(tVoidPtr, pointer{mem: &block{data: data}}) }

// OpaqueData is what a value of Opaque stands for, nil if v is none.
func OpaqueData(v vm.Value) any {
	o := asObject(v)
	if o == nil || o.what != isValue || o.ptr.mem == nil {
		return nil
	}
	return o.ptr.mem.data
}

type foreign struct{}

func init() { vm.RegisterForeign(foreign{}) }

func (foreign) TypeName(c *vm.CData) string {
	o := objectOf(c)
	if o.what == isType {
		return "ctype"
	}
	return o.ct.String()
}

func (foreign) Text(c *vm.CData) string {
	o := objectOf(c)
	switch {
	case o.what == isType:
		return "ctype<" + o.ct.String() + ">"
	case o.ct.kind == kPtr && o.ptr.addr() == 0:
		return "cdata<" + o.ct.String() + ">: NULL"
	case o.ct.kind == kEnum:
		u, _, _ := foreign{}.Integer(c)
		return fmt.Sprintf("cdata<%s>: %d", o.ct, int64(u))
	}
	name := o.ct.String()
	if o.what == isRef {
		name = o.ct.refName()
	}
	addr := o.ptr.addr()
	if o.what == isSymbol {
		addr = uint64(uintptr(unsafe.Pointer(o)))
	}
	return fmt.Sprintf("cdata<%s>: 0x%08x", name, addr)
}

func (foreign) Integer(c *vm.CData) (uint64, vm.CKind, bool) {
	o := objectOf(c)
	if o.what == isType || !o.ct.isNumber() {
		return 0, 0, false
	}
	b := o.ptr.at(o.ct.size)
	if o.ct.kind == kFloat {
		return floatBits(getFloat(b)), vm.CInt64, true
	}
	u := getInt(b, o.ct.unsigned)
	if o.ct.unsigned && o.ct.size == 8 {
		return u, vm.CUint64, true
	}
	return u, vm.CInt64, true
}

func (foreign) Float(c *vm.CData) (float64, bool) {
	o := objectOf(c)
	if o.what == isType || !o.ct.isNumber() {
		return 0, false
	}
	return numberAt(o.ct, o.ptr.at(o.ct.size)), true
}

// numberAt is a C number as a Lua number.
func numberAt(ct *ctype, b []byte) float64 {
	if ct.kind == kFloat {
		return getFloat(b)
	}
	u := getInt(b, ct.unsigned)
	if ct.unsigned {
		return float64(u)
	}
	return float64(int64(u))
}

// floatBits is C's conversion of a double to 64 bits.
func floatBits(f float64) uint64 {
	switch {
	case f >= -9223372036854775808 && f < 9223372036854775808:
		return uint64(int64(f))
	case f >= 0 && f < 18446744073709551616:
		return uint64(f)
	}
	return 1 << 63
}
