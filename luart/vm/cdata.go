package vm

import (
	"math"
	"strconv"
)

func (c *CData) typeName() string {
	if c.Kind == CForeign {
		return foreign.TypeName(c)
	}
	return [...]string{"int64_t", "uint64_t", "complex"}[c.Kind]
}

// String returns what tostring shows: 1LL, 1ULL, 0+1i.
func (c *CData) String() string {
	switch c.Kind {
	case CInt64:
		return strconv.FormatInt(int64(c.Bits), 10) + "LL"
	case CUint64:
		return strconv.FormatUint(c.Bits, 10) + "ULL"
	case CForeign:
		return foreign.Text(c)
	}
	im := FormatNumber(c.Im)
	if !math.Signbit(c.Im) {
		im = "+" + im
	}
	unit := "i"
	if math.IsInf(c.Im, 0) || c.Im != c.Im {
		unit = "I"
	}
	return FormatNumber(c.Re) + im + unit
}

// indexError is the message for an index that a value without ffi has not.
func (c *CData) indexError(key Value) string {
	if s, ok := key.AsString(); ok {
		return "'" + c.typeName() + "' has no member named '" + s + "'"
	}
	return "'" + c.typeName() + "' cannot be indexed with '" + operandTypeName(key) + "'"
}

// Part returns a part of a complex number by the key of C: re and im, or 0 and 1.
func (c *CData) Part(key Value) (part float64, ok bool) {
	if c.Kind != CComplex {
		return 0, false
	}
	name, _ := key.AsString()
	n, isNum := key.AsNumber()
	switch {
	case name == "re", isNum && n == 0:
		return c.Re, true
	case name == "im", isNum && n == 1:
		return c.Im, true
	}
	return 0, false
}

func complexPart(obj, key Value) (Value, bool) {
	if obj.n != tagCData {
		return Nil, false
	}
	f, ok := obj.cdata().Part(key)
	return Number(f), ok
}

// toInteger returns a number or boxed integer as 64 bits of kind; numbers are
// converted as C does.
func toInteger(v Value) (bits uint64, kind CKind, ok bool) {
	if v.p == numTag() {
		f := v.float()
		if f >= 9223372036854775808 && f < 18446744073709551616 {
			return uint64(f), CInt64, true
		}
		return uint64(floatToInt(f)), CInt64, true
	}
	if c, is := v.AsCData(); is {
		return c.Integer()
	}
	return 0, 0, false
}

// boxed returns both operands as 64-bit integers and the type of the result:
// unsigned if one of them is.
func boxed(a, b Value) (p, q uint64, kind CKind, ok bool) {
	p, k1, ok1 := toInteger(a)
	q, k2, ok2 := toInteger(b)
	if k1 == CUint64 || k2 == CUint64 {
		kind = CUint64
	}
	return p, q, kind, ok1 && ok2
}

// cdataEqual compares what one of is a CData. It returns a handler if that is to
// decide.
func (m *VM) cdataEqual(a, b Value) (eq bool, h Value) {
	if p, q, _, ok := boxed(a, b); ok {
		return p == q, Nil
	}
	if h := m.cdataHandler(evEq); h.p != nil {
		return false, h
	}
	return false, Nil // as LuaJIT, also for equal complex numbers
}

// cdataHandler is a metamethod of all CData; it is asked when only one of the
// operands is one, too.
func (m *VM) cdataHandler(e event) Value {
	if mt := m.typeMeta[TypeCData]; mt != nil {
		return mt.metaField(e)
	}
	return Nil
}

func operandTypeName(v Value) string {
	if c, ok := v.AsCData(); ok {
		return c.typeName()
	}
	return v.TypeName()
}

// cdataLess is cdataEqual for < and <=.
func (t *Thread) cdataLess(le bool, a, b Value) (less bool, h Value) {
	p, q, kind, ok := boxed(a, b)
	if !ok {
		e := evLt
		if le {
			e = evLe
		}
		if h := t.m.cdataHandler(e); h.p != nil {
			return false, h
		}
		t.throwf("attempt to compare '%s' with '%s'", operandTypeName(a), operandTypeName(b))
	}
	if le && p == q {
		return true, Nil
	}
	if kind == CUint64 {
		return p < q, Nil
	}
	return int64(p) < int64(q), Nil
}

// integerArith is LuaJIT's arithmetic on boxed integers.
func integerArith(e event, p, q uint64, kind CKind) Value {
	var r uint64
	switch e {
	case evAdd:
		r = p + q
	case evSub:
		r = p - q
	case evMul:
		r = p * q
	case evUnm:
		r = -p
	case evDiv, evMod:
		r = divide(p, q, kind, e == evMod)
	case evPow:
		r = power(p, q, kind)
	}
	return (&CData{Kind: kind, Bits: r}).Value()
}

// divide truncates; the results for 0 are those of LuaJIT's helpers on x64.
func divide(p, q uint64, kind CKind, mod bool) uint64 {
	if q == 0 {
		return 1 << 63
	}
	if kind == CUint64 {
		if mod {
			return p % q
		}
		return p / q
	}
	if int64(q) == -1 {
		if mod {
			return 0
		}
		return -p
	}
	if mod {
		return uint64(int64(p) % int64(q))
	}
	return uint64(int64(p) / int64(q))
}

func power(p, q uint64, kind CKind) uint64 {
	if kind == CInt64 && int64(q) < 0 {
		switch int64(p) {
		case 0:
			return math.MaxInt64
		case 1:
			return 1
		case -1:
			if q&1 != 0 {
				return p
			}
			return 1
		}
		return 0
	}
	r := uint64(1)
	for ; q != 0; q >>= 1 {
		if q&1 != 0 {
			r *= p
		}
		p *= p
	}
	return r
}
