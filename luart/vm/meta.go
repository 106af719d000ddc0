package vm

import (
	"math"
	"strings"
	"unsafe"

	"perilune/luart/vm/libm"
)

// metamethod returns the metamethod of a value, nil without one.
func (m *VM) metamethod(v Value, e event) Value {
	if mt := m.Metatable(v); mt != nil {
		return mt.metaField(e)
	}
	return Nil
}

const maxMetaLoop = 100

// callMeta calls a metamethod of the running Lua function.
func (x *exec) callMeta(h Value, ret, nres int, args ...Value) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	at := fr.base + fr.fn.proto.maxStack
	if at+len(args)+stackSlack > len(t.stack) {
		t.growStack(at + len(args) + stackSlack)
	}
	t.stack[at] = h
	for i, v := range args {
		t.stack[at+1+i] = v
	}
	return x.call(at, len(args), ret, nres)
}

// index is stack[ret] = obj[key].
func (x *exec) index(obj, key Value, ret int) *thrown { return x.indexAfter(0, obj, key, ret) }

// indexAfter is index where obj was found behind so many values of __index.
func (x *exec) indexAfter(hops int, obj, key Value, ret int) *thrown {
	t := x.t
	first := true
	for range maxMetaLoop - hops {
		var h Value
		if obj.n == tagTable {
			tb := obj.tab()
			v := tb.Get(key)
			if v.p == nil && tb.meta != nil {
				h = tb.meta.metaField(evIndex)
			}
			if h.p == nil {
				t.stack[ret] = v
				return nil
			}
		} else if h = t.m.metamethod(obj, evIndex); h.p == nil {
			if v, ok := complexPart(obj, key); ok {
				t.stack[ret] = v
				return nil
			}
			t.indexError(obj, key, first)
		}
		if h.n == tagFunction {
			return x.callMeta(h, ret, 1, obj, key)
		}
		obj = h
		first = false
	}
	t.throwf("loop in gettable")
	return nil
}

// setIndex is obj[key] = v.
func (x *exec) setIndex(obj, key, v Value) *thrown {
	t := x.t
	first := true
	for range maxMetaLoop {
		var h Value
		if obj.n == tagTable {
			tb := obj.tab()
			if tb.meta != nil {
				if h = tb.meta.metaField(evNewindex); h.p != nil && tb.Get(key).p != nil {
					h = Nil
				}
			}
			if h.p == nil {
				if err := t.set(tb, key, v); err != nil {
					t.throwf("%s", err)
				}
				return nil
			}
		} else if h = t.m.metamethod(obj, evNewindex); h.p == nil {
			t.indexError(obj, key, first)
		}
		if h.n == tagFunction {
			return x.callMeta(h, 0, 0, obj, key, v)
		}
		obj = h
		first = false
	}
	t.throwf("loop in settable")
	return nil
}

// arith computes without metamethods.
func arith(e event, a, b float64) float64 {
	switch e {
	case evAdd:
		return a + b
	case evSub:
		return a - b
	case evMul:
		return a * b
	case evDiv:
		return a / b
	case evMod:
		return floorMod(a, b)
	case evPow:
		return pow(a, b)
	}
	return -a
}

// pow is C's pow, with the common exponents fast.
func pow(a, b float64) float64 {
	switch b {
	case 2:
		return a * a
	case 0.5:
		if !math.IsInf(a, -1) {
			return math.Sqrt(a + 0)
		}
	}
	return libm.Pow(a, b)
}

// arith is stack[ret] = a op b for other operands than two numbers.
func (x *exec) arith(e event, a, b Value, ret int) *thrown {
	t := x.t
	if a.n != tagTable && b.n != tagTable {
		p, ok1 := a.ToNumberCoerced()
		q, ok2 := b.ToNumberCoerced()
		if ok1 && ok2 {
			t.stack[ret] = num(arith(e, p, q))
			return nil
		}
	}
	isCData := a.n == tagCData || b.n == tagCData
	if isCData {
		if p, q, kind, ok := boxed(a, b); ok {
			t.stack[ret] = integerArith(e, p, q, kind)
			return nil
		}
	}
	h := t.m.metamethod(a, e)
	if h.p == nil {
		h = t.m.metamethod(b, e)
	}
	if h.p != nil {
		return x.callMeta(h, ret, 1, a, b)
	}
	if isCData {
		t.throwf("attempt to perform arithmetic on '%s' and '%s'", operandTypeName(a), operandTypeName(b))
	}
	if _, ok := a.ToNumberCoerced(); !ok {
		t.operandError("perform arithmetic on", a, 1)
	}
	t.operandError("perform arithmetic on", b, 2)
	return nil
}

// length is stack[ret] = #v for other values than tables and strings.
func (x *exec) length(v Value, ret int) *thrown {
	h := x.t.m.metamethod(v, evLen)
	if h.p == nil {
		x.t.operandError("get length of", v, 1)
	}
	return x.callMeta(h, ret, 1, v, v)
}

// jumpCompare takes or skips the jump of the comparison that runs.
func (t *Thread) jumpCompare(result bool) {
	fr := &t.frames[t.ci]
	i := fr.fn.proto.code[fr.fn.proto.index(fr.pc)]
	if result == ((instrOp(i)-opJEq)&1 == 0) {
		fr.pc = jump(fr.pc, i)
	}
}

// callCompare calls a metamethod whose result decides the comparison.
func (x *exec) callCompare(h, a, b Value, invert bool) *thrown {
	t := x.t
	at := t.scratch()
	if at+3+stackSlack > len(t.stack) {
		t.growStack(at + 3 + stackSlack)
	}
	fr := t.pushFrame(frCompare)
	fr.fn, fr.base, fr.tail = nil, at, invert
	t.stack[at], t.stack[at+1], t.stack[at+2] = h, a, b
	return x.call(at, 2, at, -1)
}

// compareEqual is a == b for operands that are not the same.
func (x *exec) compareEqual(a, b Value) *thrown {
	eq := false
	switch {
	case a.n == tagCData || b.n == tagCData:
		var h Value
		if eq, h = x.t.m.cdataEqual(a, b); h.p != nil {
			return x.callCompare(h, a, b, false)
		}
	case a.n == tagString && b.n == tagString:
		x.t.Charge(len(a.str().s) >> 10)
		eq = a.str().equal(b.str())
	case a.n == b.n:
		if h := x.t.m.equalHandler(a, b); h.p != nil {
			return x.callCompare(h, a, b, false)
		}
	}
	x.t.jumpCompare(eq)
	return nil
}

// equalHandler returns the __eq that a and b have in common.
func (m *VM) equalHandler(a, b Value) Value {
	m1, m2 := m.Metatable(a), m.Metatable(b)
	if m1 == nil || m2 == nil {
		return Nil
	}
	h := m1.metaField(evEq)
	if h.p == nil || m1 != m2 && !RawEqual(h, m2.metaField(evEq)) {
		return Nil
	}
	return h
}

// commonHandler returns the metamethod that a and b have in common.
func (m *VM) commonHandler(a, b Value, e event) Value {
	h := m.metamethod(a, e)
	if h.p == nil || !RawEqual(h, m.metamethod(b, e)) {
		return Nil
	}
	return h
}

// compare is a < b, or a <= b, for other operands than two numbers.
func (x *exec) compare(le bool, a, b Value) *thrown {
	t := x.t
	switch {
	case a.n == tagString && b.n == tagString:
		t.Charge(min(len(a.str().s), len(b.str().s)) >> 10)
		c := strings.Compare(a.str().s, b.str().s)
		t.jumpCompare(c < 0 || le && c == 0)
		return nil
	case a.p == numTag() && b.p == numTag():
		t.jumpCompare(a.float() < b.float() || le && a.float() == b.float())
		return nil
	}
	if a.n == tagCData || b.n == tagCData {
		less, h := t.cdataLess(le, a, b)
		if h.p != nil {
			return x.callCompare(h, a, b, false)
		}
		t.jumpCompare(less)
		return nil
	}
	h, invert := t.m.orderHandler(le, a, b)
	if h.p == nil {
		t.compareError(a, b)
	}
	if invert {
		a, b = b, a
	}
	return x.callCompare(h, a, b, invert)
}

// orderHandler returns the metamethod for < or <=; invert says that it is the
// __lt of the swapped operands, with the result to be negated.
func (m *VM) orderHandler(le bool, a, b Value) (h Value, invert bool) {
	if !le {
		return m.commonHandler(a, b, evLt), false
	}
	if h := m.commonHandler(a, b, evLe); h.p != nil {
		return h, false
	}
	h = m.commonHandler(b, a, evLt)
	return h, true
}

func (t *Thread) compareError(a, b Value) {
	n1, n2 := a.TypeName(), b.TypeName()
	if n1 == n2 {
		t.throwf("attempt to compare two %s values", n1)
	}
	t.throwf("attempt to compare %s with %s", n1, n2)
}

// maxString is the size of the longest string.
const maxString = 1 << 30

// concatStrings joins strings and numbers; ok is false if there is something
// else among them.
func (t *Thread) concatStrings(vs []Value) (v Value, ok bool) {
	if v, ok := t.concatShort(vs); ok {
		return v, true
	}
	var numBuf [64]byte
	nb := numBuf[:0]
	total := 0
	for i := range vs {
		switch {
		case vs[i].n == tagString:
			total += len(vs[i].str().s)
		case vs[i].p == numTag():
			n := len(nb)
			nb = AppendNumber(nb, vs[i].float())
			total += len(nb) - n
		default:
			return Nil, false
		}
	}
	if total == 0 {
		return emptyString.value(), true
	}
	if total > maxString {
		t.throwf("string length overflow")
	}
	t.chargeString(total)
	s, buf := newStringBuf(total)
	at := 0
	for i := range vs {
		if vs[i].n == tagString {
			at += copy(buf[at:], vs[i].str().s)
			continue
		}
		at += len(AppendNumber(buf[at:at:total], vs[i].float()))
	}
	return s.value(), true
}

// concatShort is concatStrings for results that may be recent strings: keys are
// often put together anew each time.
func (t *Thread) concatShort(vs []Value) (v Value, ok bool) {
	var buf [maxRecentPart + 32]byte // with room for a number
	b := buf[:0]
	for i := range vs {
		switch {
		case vs[i].n == tagString && len(b)+len(vs[i].str().s) <= maxRecentPart:
			b = append(b, vs[i].str().s...)
		case vs[i].p == numTag() && len(b) <= maxRecentPart:
			b = AppendNumber(b, vs[i].float())
		default:
			return Nil, false
		}
	}
	if len(b) == 0 || len(b) > maxRecentPart {
		return Nil, false
	}
	if len(b) == 1 {
		return byteStrings[b[0]].value(), true
	}
	t.chargeString(len(b))
	return t.m.copyPart(unsafe.String(&b[0], len(b))), true
}

func isStringable(v Value) bool { return v.n == tagString || v.p == numTag() }

// concat continues a concatenation whose operands end at register last.
func (x *exec) concat(last int) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	i := fr.fn.proto.code[fr.fn.proto.index(fr.pc)]
	first := instrB(i)
	for last > first {
		r := t.stack[fr.base : fr.base+last+1]
		a, b := r[last-1], r[last]
		if isStringable(a) && isStringable(b) {
			n := last - 1
			for n > first && isStringable(r[n-1]) {
				n--
			}
			r[n], _ = t.concatStrings(r[n:])
			last = n
			continue
		}
		h := t.m.metamethod(a, evConcat)
		if h.p == nil {
			h = t.m.metamethod(b, evConcat)
		}
		if h.p == nil {
			t.concatError(a, b, last)
		}
		at := t.scratch()
		if at+3+stackSlack > len(t.stack) {
			t.growStack(at + 3 + stackSlack)
		}
		cf := t.pushFrame(frConcat)
		cf.fn, cf.base, cf.nvar = nil, at, last-1
		t.stack[at], t.stack[at+1], t.stack[at+2] = h, a, b
		return x.call(at, 2, at, -1)
	}
	t.stack[fr.base+instrA(i)] = t.stack[fr.base+first]
	return nil
}

// newClosure makes a closure of p in the function of frame fr.
func (t *Thread) newClosure(fr *frame, p *proto) *Function {
	f := newLuaFunction(p, fr.fn.env)
	for i, d := range p.upDesc {
		if d.fromStack {
			f.up[i] = t.findUpvalue(fr.base + int(d.index))
		} else {
			f.up[i] = fr.fn.up[d.index]
		}
	}
	return f
}

// forPrep checks the three values of the numeric loop at R[A]. If its body does
// not run, it jumps.
func (t *Thread) forPrep(fr *frame, i instr) {
	at := fr.base + instrA(i)
	r := t.stack[at : at+4]
	for i, what := range [...]string{"initial", "limit", "step"} {
		if r[i].p != numTag() {
			f, ok := r[i].ToNumberCoerced()
			if !ok {
				if i == 0 {
					what = "initial value"
				}
				t.throwf("'for' %s must be a number", what)
			}
			r[i] = num(f)
		}
	}
	init, limit, step := r[0].float(), r[1].float(), r[2].float()
	if step > 0 && init <= limit || !(step > 0) && init >= limit {
		r[3] = r[0]
		return
	}
	fr.pc = jump(fr.pc, i)
}

// tailCall calls in place of the running function, whose frame goes away
// first: a Go function too sees the caller's caller at level 1, as in LuaJIT.
func (x *exec) tailCall(fi, nargs int) *thrown {
	t := x.t
	if fv := t.stack[fi]; fv.n != tagFunction {
		mm := t.m.metamethod(fv, evCall)
		if mm.n != tagFunction {
			t.callError(fi, fv)
		}
		if fi+nargs+2 >= len(t.stack)-stackSlack {
			t.growStack(fi + nargs + 2)
		}
		copy(t.stack[fi+1:fi+nargs+2], t.stack[fi:fi+nargs+1])
		t.stack[fi] = mm
		nargs++
	}
	fr := &t.frames[t.ci]
	if t.openUp != nil {
		t.closeUpvalues(fr.base)
	}
	to, ret, nres := fr.funcIndex(), fr.ret, fr.nres
	copy(t.stack[to:], t.stack[fi:fi+nargs+1])
	t.ci--
	return x.call(to, nargs, ret, nres)
}
