package vm

import (
	"math"
	"unsafe"
)

// Operands of an instruction as pointers into the registers and constants.

func rA(b unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(b, i>>4&0xFF0)) }
func rB(b unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(b, i>>12&0xFF0)) }
func rC(b unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(b, i>>28&0xFF0)) }
func kB(k unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(k, i>>12&0xFFFF0)) }
func kC(k unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(k, i>>28&0xFFFF0)) }
func kJ(k unsafe.Pointer, i instr) *Value { return (*Value)(unsafe.Add(k, i>>32<<4)) }

func jump(pc unsafe.Pointer, i instr) unsafe.Pointer {
	return unsafe.Add(pc, int64(i)>>32<<3)
}

// setNum overwrites a register; if it held a number, no pointer is written and
// no write barrier runs.
func setNum(r *Value, f float64) {
	if r.p != numTag() {
		r.p = numTag()
	}
	r.n = math.Float64bits(f)
}

func floorMod(a, b float64) float64 { return a - math.Floor(a/b)*b }

// quickMod is floorMod without a call, for quotients that are not huge. The
// quotient's zero has no sign here, which the sum with 0 makes good.
func quickMod(a, b float64) (f float64, ok bool) {
	q := a / b
	if !(q > -1<<51 && q < 1<<51) {
		return 0, false
	}
	n := float64(int64(q))
	if n > q {
		n--
	}
	return a - n*b + 0, true
}

// chained returns the node of a key that is the same object or, failing that,
// the first one of its chain with the same hash, or else the last one.
func (t *Table) chained(key *lstring) *node {
	n := t.node(int32(key.hash & t.mask))
	for n.k.p != unsafe.Pointer(key) && n.hash != key.hash && n.next >= 0 {
		n = t.node(n.next)
	}
	return n
}

// differs reports whether two objects of one type are different for certain,
// without looking at the bytes of strings or for metamethods.
func differs(a, b *Value) bool {
	switch a.n {
	case tagString:
		s, o := (*lstring)(a.p), (*lstring)(b.p)
		return len(s.s) != len(o.s) || s.hash != 0 && o.hash != 0 && s.hash != o.hash
	case tagTable:
		return (*Table)(a.p).meta == nil || (*Table)(b.p).meta == nil
	case tagUserdata:
		return false
	}
	return true
}

// concatAll is R[A] = R[B] .. … .. R[C].
func (x *exec) concatAll(i instr) *thrown {
	t := x.t
	base := t.frames[t.ci].base
	if v, ok := t.concatStrings(t.stack[base+instrB(i) : base+instrC(i)+1]); ok {
		t.stack[base+instrA(i)] = v
		return nil
	}
	return x.concat(instrC(i))
}

// returnFrom leaves the running function with n results at stack index from.
func (t *Thread) returnFrom(fr *frame, from, n int) {
	if t.openUp != nil {
		t.closeUpvalues(fr.base)
	}
	t.ci--
	t.deliver(from, n, fr.ret, fr.nres)
}

func (x *exec) newTable(i instr) {
	t := x.t
	t.chargeTable(instrB(i), instrC(i))
	v := newTable(instrB(i), instrC(i)).Value()
	t.stack[t.frames[t.ci].base+instrA(i)] = v
}

func (x *exec) setList(i instr) {
	t := x.t
	r := t.frames[t.ci].base + instrA(i)
	n := instrB(i)
	if n == 0 {
		n = t.top - r - 1
	}
	if n > 50 {
		t.chargeString(n * valueSize) // of ... or a call; others are counted with the table
	}
	t.stack[r].tab().setList(instrJ(i), t.stack[r+1:r+1+n])
}

func (x *exec) closure(i instr) {
	t := x.t
	fr := &t.frames[t.ci]
	t.stack[fr.base+instrA(i)] = t.newClosure(fr, fr.fn.proto.protos[instrJ(i)]).Value()
}

// vararg is opVararg for all values, when the stack has to grow first.
func (x *exec) vararg(i instr) {
	t := x.t
	fr := &t.frames[t.ci]
	at := fr.base + instrA(i)
	t.growStack(at + fr.nvar + stackSlack)
	t.deliver(fr.base-fr.nvar, fr.nvar, at, -1)
}
