package vm

import (
	"math"
	"unsafe"
)

// Type is the type of a Lua value.
type Type uint8

// The types of Lua, in the order of the reference manual; TypeCData is
// LuaJIT's boxed 64-bit integer or complex number.
const (
	TypeNil Type = iota
	TypeBoolean
	TypeLightUserdata
	TypeNumber
	TypeString
	TypeTable
	TypeFunction
	TypeUserdata
	TypeThread
	TypeCData
)

var typeNames = [...]string{
	"nil", "boolean", "userdata", "number", "string", "table", "function", "userdata", "thread", "cdata",
}

// String returns the name as the Lua function type gives it.
func (t Type) String() string { return typeNames[t] }

// Value is any Lua value; the zero Value is nil.
type Value struct {
	p unsafe.Pointer
	n uint64
}

// Cells whose addresses stand for the types that have no object. Each has a
// size of its own, so that no two share an address.
var numCell, falseCell, trueCell, lightCell, iterCell [16]byte

func numTag() unsafe.Pointer   { return unsafe.Pointer(&numCell) }
func falseTag() unsafe.Pointer { return unsafe.Pointer(&falseCell) }
func trueTag() unsafe.Pointer  { return unsafe.Pointer(&trueCell) }
func lightTag() unsafe.Pointer { return unsafe.Pointer(&lightCell) }
func iterTag() unsafe.Pointer  { return unsafe.Pointer(&iterCell) }

// Tags of objects in Value.n. As int64 they are small negative numbers, which
// makes the comparisons short; as float64 they are NaNs that never occur.
const (
	tagString uint64 = math.MaxUint64 - iota
	tagTable
	tagFunction
	tagUserdata
	tagThread
	tagCData
)

const canonicalNaN = 0x7FF8000000000000

// Nil, True and False are the values of these names.
var (
	Nil   = Value{}
	True  = Value{p: unsafe.Pointer(&trueCell)}
	False = Value{p: unsafe.Pointer(&falseCell)}
)

// Bool returns True or False.
func Bool(b bool) Value {
	if b {
		return True
	}
	return False
}

// Number returns a Lua number.
func Number(f float64) Value {
	if f != f {
		return Value{numTag(), canonicalNaN}
	}
	return Value{numTag(), math.Float64bits(f)}
}

// num is Number for results of arithmetic, which has no foreign NaNs.
func num(f float64) Value { return Value{numTag(), math.Float64bits(f)} }

// Int returns a Lua number.
func Int(i int) Value { return Value{numTag(), math.Float64bits(float64(i))} }

// LightUserdata returns a userdata that is only an identity; id must fit in
// 48 bits, as addresses do.
func LightUserdata(id uintptr) Value { return Value{lightTag(), uint64(id) & (1<<48 - 1)} }

// AsLightUserdata returns the identity of a light userdata.
func (v Value) AsLightUserdata() (uintptr, bool) { return uintptr(v.n), v.p == lightTag() }

func (v *Value) float() float64 { return math.Float64frombits(v.n) }

func (v Value) isNum() bool  { return v.p == numTag() }
func (v Value) isStr() bool  { return v.n == tagString }
func (v Value) isTab() bool  { return v.n == tagTable }
func (v Value) isFunc() bool { return v.n == tagFunction }
func (v Value) falsy() bool  { return v.p == nil || v.p == falseTag() }

func (v Value) str() *lstring    { return (*lstring)(v.p) }
func (v Value) tab() *Table      { return (*Table)(v.p) }
func (v Value) fn() *Function    { return (*Function)(v.p) }
func (v Value) udata() *Userdata { return (*Userdata)(v.p) }
func (v Value) thread() *Thread  { return (*Thread)(v.p) }
func (v Value) cdata() *CData    { return (*CData)(v.p) }

// Type returns the type of v.
func (v Value) Type() Type {
	switch v.p {
	case nil:
		return TypeNil
	case numTag():
		return TypeNumber
	case falseTag(), trueTag():
		return TypeBoolean
	case lightTag(), iterTag():
		return TypeLightUserdata
	}
	switch v.n {
	case tagString:
		return TypeString
	case tagTable:
		return TypeTable
	case tagFunction:
		return TypeFunction
	case tagUserdata:
		return TypeUserdata
	case tagThread:
		return TypeThread
	}
	return TypeCData
}

// TypeName returns the name of the type, as the Lua function type does.
func (v Value) TypeName() string { return typeNames[v.Type()] }

// IsNil reports whether v is nil.
func (v Value) IsNil() bool { return v.p == nil }

// Truthy reports whether v counts as true in a condition.
func (v Value) Truthy() bool { return !v.falsy() }

// IsNumber reports whether v is a number (strings that look like one are not).
func (v Value) IsNumber() bool { return v.isNum() }

// IsString reports whether v is a string.
func (v Value) IsString() bool { return v.isStr() }

// IsTable reports whether v is a table.
func (v Value) IsTable() bool { return v.isTab() }

// IsFunction reports whether v is a function.
func (v Value) IsFunction() bool { return v.isFunc() }

// AsNumber returns the number v is; strings are not converted.
func (v Value) AsNumber() (float64, bool) {
	if v.isNum() {
		return v.float(), true
	}
	return 0, false
}

// AsString returns the string v is; numbers are not converted.
func (v Value) AsString() (string, bool) {
	if v.isStr() {
		return v.str().s, true
	}
	return "", false
}

// AsBool returns the boolean v is.
func (v Value) AsBool() (b, ok bool) {
	return v.p == trueTag(), v.p == trueTag() || v.p == falseTag()
}

// AsTable returns the table v is.
func (v Value) AsTable() (*Table, bool) {
	if v.isTab() {
		return v.tab(), true
	}
	return nil, false
}

// AsFunction returns the function v is.
func (v Value) AsFunction() (*Function, bool) {
	if v.isFunc() {
		return v.fn(), true
	}
	return nil, false
}

// AsUserdata returns the full userdata v is.
func (v Value) AsUserdata() (*Userdata, bool) {
	if v.n == tagUserdata {
		return v.udata(), true
	}
	return nil, false
}

// AsThread returns the thread (coroutine) v is.
func (v Value) AsThread() (*Thread, bool) {
	if v.n == tagThread {
		return v.thread(), true
	}
	return nil, false
}

// AsCData returns the boxed number v is.
func (v Value) AsCData() (*CData, bool) {
	if v.n == tagCData {
		return v.cdata(), true
	}
	return nil, false
}

// Pointer returns the address that %p and tostring show for an object, 0 for
// values without identity.
func (v Value) Pointer() uintptr {
	switch v.Type() {
	case TypeNil, TypeNumber, TypeBoolean:
		return 0
	case TypeLightUserdata:
		return uintptr(v.n)
	}
	return uintptr(v.p)
}

// ToStringCoerced returns the string for a string or a number.
func (v Value) ToStringCoerced() (string, bool) {
	if v.isStr() {
		return v.str().s, true
	}
	if v.isNum() {
		return FormatNumber(v.float()), true
	}
	return "", false
}

// ToNumberCoerced returns the number for a number or a string that holds one.
func (v Value) ToNumberCoerced() (float64, bool) {
	if v.isNum() {
		return v.float(), true
	}
	if v.isStr() {
		return ParseNumber(v.str().s)
	}
	return 0, false
}

// RawEqual compares without metamethods.
func RawEqual(a, b Value) bool {
	if a.p == b.p {
		if a.p == numTag() {
			return a.float() == b.float()
		}
		return a.n == b.n
	}
	if a.n != b.n {
		return false
	}
	if a.n == tagString && b.n == tagString {
		return a.str().equal(b.str())
	}
	if a.n == tagCData && b.n == tagCData {
		return a.cdata().equal(b.cdata())
	}
	return false
}

// CData is LuaJIT's boxed number: a 64-bit integer or a complex number.
type CData struct {
	Kind CKind
	Bits uint64  // the integer, for CInt64 and CUint64
	Im   float64 // the imaginary part, for CComplex; the real part is always from Re
	Re   float64
}

// CKind is the type of a CData.
type CKind uint8

// The types that literals can have, and that of objects of another package.
const (
	CInt64 CKind = iota
	CUint64
	CComplex
	CForeign
)

// Foreign knows the objects that begin with a CData of kind CForeign. What can be
// done with them otherwise is said by the metatable of TypeCData.
type Foreign interface {
	// TypeName is the name of the object's C type.
	TypeName(c *CData) string
	// Integer is the object as a 64-bit integer if it is a C number.
	Integer(c *CData) (bits uint64, kind CKind, ok bool)
	// Float is the object as a Lua number if it is a C number.
	Float(c *CData) (f float64, ok bool)
	// Text is what tostring shows.
	Text(c *CData) string
}

var foreign Foreign

// RegisterForeign is called once, when the program starts, by the package whose
// objects are CForeign.
func RegisterForeign(f Foreign) { foreign = f }

// Integer returns a boxed integer, and the value of another package's C number.
func (c *CData) Integer() (bits uint64, kind CKind, ok bool) {
	switch c.Kind {
	case CInt64, CUint64:
		return c.Bits, c.Kind, true
	case CForeign:
		return foreign.Integer(c)
	}
	return 0, 0, false
}

// Float returns a C number as a Lua number.
func (c *CData) Float() (f float64, ok bool) {
	switch c.Kind {
	case CInt64:
		return float64(int64(c.Bits)), true
	case CUint64:
		return float64(c.Bits), true
	case CForeign:
		return foreign.Float(c)
	}
	return 0, false
}

// Int64 and Uint64 return boxed integers.
func Int64(i int64) Value   { return (&CData{Kind: CInt64, Bits: uint64(i)}).Value() }
func Uint64(u uint64) Value { return (&CData{Kind: CUint64, Bits: u}).Value() }

// Value returns c as a Lua value.
func (c *CData) Value() Value { return Value{unsafe.Pointer(c), tagCData} }

// equal is identity for table keys and rawequal: boxed numbers are compared by
// value only by the == operator.
func (c *CData) equal(d *CData) bool { return c == d }

// Userdata is a Go value in Lua's hands.
type Userdata struct {
	Data any
	meta *Table
	env  *Table

	watched bool        // the collector reports when u is unreachable
	entries []weakEntry // during a collection, and until __gc is called
}

// Value returns u as a Lua value.
func (u *Userdata) Value() Value { return Value{unsafe.Pointer(u), tagUserdata} }

// Metatable returns the metatable, nil if there is none.
func (u *Userdata) Metatable() *Table { return u.meta }
