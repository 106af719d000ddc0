package ffi

import (
	"math"

	"perilune/luart/vm"
)

type kind uint8

const (
	kVoid kind = iota
	kBool
	kInt
	kFloat
	kEnum
	kPtr
	kArray
	kStruct // and union
	kFunc
)

// maxSize is the size of the largest type, as in LuaJIT.
const maxSize = math.MaxInt32

// unknown is the size of what is incomplete, and the length of an array without one.
const unknown = -1

// ctype is a C type.
type ctype struct {
	kind     kind
	unsigned bool // kInt
	constant bool
	volatile bool
	variable bool // the array's length is given when it is made: [?]
	size     int  // of kBool, kInt, kFloat, kEnum, kPtr
	length   int  // of an array
	elem     *ctype
	rec      *record
	enum     *enumeration
	params   []*ctype
	variadic bool
}

// record is a struct or union. All types that differ in qualifiers share it.
type record struct {
	union    bool
	tag      string
	id       int
	complete bool
	size     int
	align    int
	variable bool // ends in an array whose length is given when it is made
	fields   []field
	names    map[string]*field // with those of anonymous members
	meta     *vm.Table         // of ffi.metatype
}

// field is a member; one without a name is a struct or union whose members count
// as those of the record around.
type field struct {
	name   string
	ct     *ctype
	offset int
	bits   int // width of a bit field
	shift  int
}

type enumeration struct {
	tag    string
	id     int
	base   *ctype
	values map[string]int64
}

var (
	tVoid   = &ctype{kind: kVoid}
	tBool   = &ctype{kind: kBool, size: 1, unsigned: true}
	tInt8   = &ctype{kind: kInt, size: 1}
	tUint8  = &ctype{kind: kInt, size: 1, unsigned: true}
	tInt16  = &ctype{kind: kInt, size: 2}
	tUint16 = &ctype{kind: kInt, size: 2, unsigned: true}
	tInt32  = &ctype{kind: kInt, size: 4}
	tUint32 = &ctype{kind: kInt, size: 4, unsigned: true}
	tInt64  = &ctype{kind: kInt, size: 8}
	tUint64 = &ctype{kind: kInt, size: 8, unsigned: true}
	tFloat  = &ctype{kind: kFloat, size: 4}
	tDouble = &ctype{kind: kFloat, size: 8}

	tConstChar = tInt8.qualified(true, false)
	tString    = pointerTo(tConstChar)
	tVoidPtr   = pointerTo(tVoid)
)

// predefined are the typedefs that are there without a declaration.
var predefined = map[string]*ctype{
	"int8_t": tInt8, "uint8_t": tUint8, "int16_t": tInt16, "uint16_t": tUint16,
	"int32_t": tInt32, "uint32_t": tUint32, "int64_t": tInt64, "uint64_t": tUint64,
	"intptr_t": tInt64, "uintptr_t": tUint64, "size_t": tUint64, "ssize_t": tInt64,
	"ptrdiff_t": tInt64, "wchar_t": tInt32, "va_list": tVoidPtr,
	"__builtin_va_list": tVoidPtr, "__gnuc_va_list": tVoidPtr,
}

func pointerTo(t *ctype) *ctype { return &ctype{kind: kPtr, size: 8, elem: t} }

func arrayOf(t *ctype, n int) *ctype { return &ctype{kind: kArray, elem: t, length: n} }

// qualified returns t with qualifiers added; those of an array are its elements'.
func (t *ctype) qualified(constant, volatile bool) *ctype {
	if (!constant || t.constant) && (!volatile || t.volatile) {
		return t
	}
	q := *t
	if t.kind == kArray {
		q.elem = t.elem.qualified(constant, volatile)
		return &q
	}
	q.constant = q.constant || constant
	q.volatile = q.volatile || volatile
	return &q
}

// sizeof returns the size, unknown for incomplete types.
func (t *ctype) sizeof() int {
	switch t.kind {
	case kVoid, kFunc:
		return unknown
	case kArray:
		n := t.elem.sizeof()
		if t.length < 0 || n < 0 {
			return unknown
		}
		return n * t.length
	case kStruct:
		if !t.rec.complete {
			return unknown
		}
		return t.rec.size
	}
	return t.size
}

func (t *ctype) alignof() int {
	switch t.kind {
	case kVoid, kFunc:
		return 1
	case kArray:
		return t.elem.alignof()
	case kStruct:
		return max(t.rec.align, 1)
	}
	return t.size
}

func (t *ctype) isVariable() bool {
	return t.kind == kArray && t.variable || t.kind == kStruct && t.rec.variable
}

// variableSize is the size of a variable-length type with n elements; ok is false
// if that is too much.
func (t *ctype) variableSize(n int) (size int, ok bool) {
	base, elem := 0, t.elem
	if t.kind == kStruct {
		base, elem = t.rec.size, t.rec.fields[len(t.rec.fields)-1].ct.elem
	}
	es := elem.sizeof()
	if n < 0 || es < 0 || es > 0 && n > (maxSize-base)/es {
		return 0, false
	}
	return base + n*es, true
}

// isNumber reports whether values of the type are numbers in arithmetic.
func (t *ctype) isNumber() bool { return t.kind >= kBool && t.kind <= kEnum }

func (t *ctype) isAggregate() bool { return t.kind == kArray || t.kind == kStruct }

// isChar is what strings can be copied into.
func (t *ctype) isChar() bool { return t.kind == kInt && t.size == 1 }

// same reports whether two types are the same but for their own qualifiers.
func same(a, b *ctype) bool {
	if a == b {
		return true
	}
	if a.kind != b.kind || a.size != b.size || a.unsigned != b.unsigned {
		return false
	}
	switch a.kind {
	case kEnum:
		return a.enum == b.enum
	case kStruct:
		return a.rec == b.rec
	case kArray:
		return a.length == b.length && a.variable == b.variable && identical(a.elem, b.elem)
	case kPtr:
		return identical(a.elem, b.elem)
	case kFunc:
		if len(a.params) != len(b.params) || a.variadic != b.variadic || !identical(a.elem, b.elem) {
			return false
		}
		for i := range a.params {
			if !same(a.params[i], b.params[i]) {
				return false
			}
		}
	}
	return true
}

func identical(a, b *ctype) bool {
	return same(a, b) && a.constant == b.constant && a.volatile == b.volatile
}

// alike is same without a look at what pointers say of their targets' qualifiers.
func alike(a, b *ctype) bool {
	if a.kind == kPtr && b.kind == kPtr {
		return alike(a.elem, b.elem)
	}
	return same(a, b)
}

// pointable reports whether a pointer to from may become one to `to` without a cast.
func pointable(to, from *ctype) bool {
	if from.constant && !to.constant || from.volatile && !to.volatile {
		return false
	}
	if to.kind == kPtr && from.kind == kPtr {
		return pointable(to.elem, from.elem)
	}
	return compatible(to, from)
}

// compatible is pointable without a look at qualifiers.
func compatible(to, from *ctype) bool {
	switch {
	case to.kind == kVoid || from.kind == kVoid || same(to, from):
		return true
	case to.kind == kInt && from.kind == kInt:
		return to.size == from.size
	case to.kind == kPtr && from.kind == kPtr:
		return compatible(to.elem, from.elem)
	case from.kind == kArray && to.kind == kArray:
		return to.length < 0 && identical(to.elem, from.elem)
	}
	return false
}

// finish lays the members out. A member of a struct lies at the next multiple of
// its alignment, a bit field in the storage unit of its type if it fits there.
func (r *record) finish(packed bool, align int) bool {
	r.align = max(align, 1)
	bit, size := 0, 0
	for i := range r.fields {
		f := &r.fields[i]
		n, a := f.ct.sizeof(), f.ct.alignof()
		if f.ct.kind == kArray && f.ct.length < 0 {
			r.variable = r.variable || f.ct.variable
			n = 0
		}
		if n < 0 || n > maxSize-size {
			return false
		}
		if packed {
			a = 1
		}
		if r.union {
			bit = 0
		}
		switch {
		case f.bits < 0: // of width 0: the next one begins a new unit
			bit = alignUp(bit, n*8)
			r.align = max(r.align, a)
			continue
		case f.bits > 0:
			unit := n * 8
			if bit/unit != (bit+f.bits-1)/unit {
				bit = alignUp(bit, unit)
			}
			f.offset, f.shift = bit/unit*n, bit%unit
			bit += f.bits
		default:
			f.offset = alignUp((bit+7)/8, a)
			bit = (f.offset + n) * 8
		}
		r.align = max(r.align, a)
		if (bit+7)/8 > size {
			size = (bit + 7) / 8
		}
	}
	r.size = alignUp(size, r.align)
	r.complete = true
	r.names = make(map[string]*field, len(r.fields))
	r.addNames(r, 0)
	return r.size <= maxSize
}

func (r *record) addNames(from *record, offset int) {
	for i := range from.fields {
		f := from.fields[i]
		f.offset += offset
		if f.name != "" {
			r.names[f.name] = &f
		} else if f.ct.kind == kStruct {
			r.addNames(f.ct.rec, f.offset)
		}
	}
}

func alignUp(n, to int) int { return (n + to - 1) / to * to }
