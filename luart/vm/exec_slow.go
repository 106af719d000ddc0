package vm

// The cases of instructions that the dispatch loop leaves to a function: operands
// that are not what it expects, and metamethods.

func (t *Thread) register(fr *frame, r int) Value { return t.stack[fr.base+r] }

// indexSlow is an instruction that reads a field.
func (x *exec) indexSlow(i instr) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	obj := t.register(fr, instrB(i))
	var key Value
	switch instrOp(i) {
	case opGetF, opSelf:
		key = fr.fn.proto.k[instrC(i)]
	case opGetI:
		key = Int(instrC(i))
	default:
		key = t.register(fr, instrC(i))
	}
	return x.index(obj, key, fr.base+instrA(i))
}

// setIndexSlow is an instruction that writes a field.
func (x *exec) setIndexSlow(i instr) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	k := fr.fn.proto.k
	var obj, key, v Value
	op := instrOp(i)
	if op == opSetG {
		return x.setIndex(fr.fn.env.Value(), k[instrJ(i)], t.register(fr, instrA(i)))
	}
	obj = t.register(fr, instrA(i))
	switch op {
	case opSetFK, opSetIK, opSetK:
		v = k[instrB(i)]
	default:
		v = t.register(fr, instrB(i))
	}
	switch op {
	case opSetF, opSetFK:
		key = k[instrC(i)]
	case opSetI, opSetIK:
		key = Int(instrC(i))
	default:
		key = t.register(fr, instrC(i))
	}
	return x.setIndex(obj, key, v)
}

// arithSlow is an arithmetic instruction.
func (x *exec) arithSlow(i instr) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	k := fr.fn.proto.k
	var a, b Value
	op, e := instrOp(i), evUnm
	switch {
	case op == opUnm:
		a = t.register(fr, instrB(i))
		b = a
	case op >= opAddKR:
		a, b, e = k[instrB(i)], t.register(fr, instrC(i)), evAdd+event(op-opAddKR)
	case op >= opAddRK:
		a, b, e = t.register(fr, instrB(i)), k[instrC(i)], evAdd+event(op-opAddRK)
	default:
		a, b, e = t.register(fr, instrB(i)), t.register(fr, instrC(i)), evAdd+event(op-opAdd)
	}
	return x.arith(e, a, b, fr.base+instrA(i))
}

// compareSlow is an instruction that compares by order.
func (x *exec) compareSlow(i instr) *thrown {
	t := x.t
	fr := &t.frames[t.ci]
	op := instrOp(i)
	a := t.register(fr, instrA(i))
	var b Value
	switch {
	case op >= opJGtK:
		a, b = fr.fn.proto.k[instrB(i)], a
	case op >= opJLtK:
		b = fr.fn.proto.k[instrB(i)]
	default:
		b = t.register(fr, instrB(i))
	}
	return x.compare((op-opJLt)&2 != 0, a, b)
}
