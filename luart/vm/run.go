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

// run is the dispatch loop. th, if not nil, is an error to handle first. It
// returns when the entry's bottom frame is left.
//
// The state of the running function is in local variables; what calls other
// functions saves pc in the frame and continues at reload.
func (x *exec) run(th *thrown) (outcome, *thrown) {
	var (
		t       *Thread
		m       = x.t.m
		fr      *frame
		base, k unsafe.Pointer
		pc      unsafe.Pointer
		hook    opcode
	)
	if th != nil {
		goto throw
	}
reload:
	t = x.t
	fr = &t.frames[t.ci]
	if fr.kind != frLua {
		var over bool
		if fr.kind == frStop || fr.kind == frBase {
			if over, th = x.finish(); over {
				return finished, nil
			}
		} else {
			_, th = x.finish()
		}
		if th != nil {
			goto throw
		}
		goto reload
	}
	base = unsafe.Pointer(&t.stack[fr.base])
	k = unsafe.Pointer(&fr.fn.proto.k[0])
	pc = fr.pc
	hook = t.hookFlag
	goto dispatch

throw:
	if th == yieldToHost {
		return yielded, nil
	}
	if th = x.throw(th); th != nil {
		return failed, th
	}
	goto reload

dispatch:
	for {
		i := *(*instr)(pc)
		pc = unsafe.Add(pc, 8)
		op := opcode(uint8(i)) | hook
	redo:
		switch op {
		case opMove:
			*rA(base, i) = *rB(base, i)
		case opLoadK:
			*rA(base, i) = *kJ(k, i)
		case opLoadNil:
			for r, last := rA(base, i), rB(base, i); ; r = (*Value)(unsafe.Add(unsafe.Pointer(r), 16)) {
				*r = Value{}
				if r == last {
					break
				}
			}
		case opGetUp:
			*rA(base, i) = *fr.fn.up[uint8(i>>16)].v
		case opSetUp:
			*fr.fn.up[uint8(i>>16)].v = *rA(base, i)
		case opGetG:
			tb, key := fr.fn.env, (*lstring)(kJ(k, i).p)
			n := tb.node(int32(key.hash & tb.mask))
			if n.k.p == unsafe.Pointer(key) && n.v.p != nil {
				*rA(base, i) = n.v
				continue
			}
			v, ok := t.m.tableGet(tb, key)
			if ok {
				*rA(base, i) = v
				continue
			}
			fr.pc = pc
			if th = x.index(tb.Value(), *kJ(k, i), fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opSetG:
			tb, key := fr.fn.env, (*lstring)(kJ(k, i).p)
			if v := tb.findStr(key); v != nil && v.p != nil {
				*v = *rA(base, i)
				continue
			}
			fr.pc = pc
			if th = x.setIndex(tb.Value(), *kJ(k, i), *rA(base, i)); th != nil {
				goto throw
			}
			goto reload
		case opGetF:
			o, key := rB(base, i), (*lstring)(kC(k, i).p)
			if o.n == tagTable {
				tb := (*Table)(o.p)
				n := tb.node(int32(key.hash & tb.mask))
				if n.k.p == unsafe.Pointer(key) && n.v.p != nil {
					*rA(base, i) = n.v
					continue
				}
				if v, ok := t.m.tableGet(tb, key); ok {
					*rA(base, i) = v
					continue
				}
			}
			fr.pc = pc
			if th = x.index(*o, *kC(k, i), fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opGetI:
			o := rB(base, i)
			if o.n == tagTable {
				tb := (*Table)(o.p)
				if n := uint(uint16(i>>32)) - 1; n < uint(len(tb.arr)) {
					if v := &tb.arr[n]; v.p != nil || tb.meta == nil {
						*rA(base, i) = *v
						continue
					}
				}
			}
			fr.pc = pc
			if th = x.index(*o, Int(instrC(i)), fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opGet:
			o, key := rB(base, i), rC(base, i)
			if o.n == tagTable {
				tb := (*Table)(o.p)
				if key.p == numTag() {
					f := key.float()
					n := int(f)
					if uint(n-1) < uint(len(tb.arr)) && float64(n) == f {
						if v := &tb.arr[n-1]; v.p != nil || tb.meta == nil {
							*rA(base, i) = *v
							continue
						}
					}
				} else if key.n == tagString {
					if v, ok := t.m.tableGet(tb, (*lstring)(key.p)); ok {
						*rA(base, i) = v
						continue
					}
				}
				if v := tb.Get(*key); v.p != nil || tb.meta == nil {
					*rA(base, i) = v
					continue
				}
			}
			fr.pc = pc
			if th = x.index(*o, *key, fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opSetF, opSetFK:
			o, key := rA(base, i), (*lstring)(kC(k, i).p)
			s := rB(base, i)
			if opcode(uint8(i)) == opSetFK {
				s = kB(k, i)
			}
			if o.n == tagTable {
				tb := (*Table)(o.p)
				n := tb.node(int32(key.hash & tb.mask))
				v := &n.v
				if n.k.p != unsafe.Pointer(key) {
					v = tb.findStr(key)
				}
				if v != nil && v.p != nil {
					if v.p != s.p {
						v.p = s.p
					}
					v.n = s.n
					continue
				}
				if tb.meta == nil {
					tb.setStr(key, *s)
					continue
				}
			}
			fr.pc = pc
			if th = x.setIndex(*o, *kC(k, i), *s); th != nil {
				goto throw
			}
			goto reload
		case opSetI, opSetIK:
			o := rA(base, i)
			s := rB(base, i)
			if opcode(uint8(i)) == opSetIK {
				s = kB(k, i)
			}
			if o.n == tagTable {
				tb := (*Table)(o.p)
				n := instrC(i)
				if uint(n-1) < uint(len(tb.arr)) && s.p != nil {
					if v := &tb.arr[n-1]; v.p != nil || tb.meta == nil {
						*v = *s
						continue
					}
				} else if tb.meta == nil {
					tb.SetInt(n, *s)
					continue
				}
			}
			fr.pc = pc
			if th = x.setIndex(*o, Int(instrC(i)), *s); th != nil {
				goto throw
			}
			goto reload
		case opSet, opSetK:
			o, key := rA(base, i), rC(base, i)
			s := rB(base, i)
			if opcode(uint8(i)) == opSetK {
				s = kB(k, i)
			}
			if o.n == tagTable {
				tb := (*Table)(o.p)
				if key.p == numTag() {
					f := key.float()
					n := int(f)
					if float64(n) == f {
						if uint(n-1) < uint(len(tb.arr)) && s.p != nil {
							if v := &tb.arr[n-1]; v.p != nil || tb.meta == nil {
								if v.p != s.p {
									v.p = s.p
								}
								v.n = s.n
								continue
							}
						} else if tb.meta == nil {
							tb.SetInt(n, *s)
							continue
						}
					}
				} else if key.n == tagString {
					if v := tb.findStr((*lstring)(key.p)); v != nil && v.p != nil {
						*v = *s
						continue
					}
					if tb.meta == nil {
						tb.setStr((*lstring)(key.p), *s)
						continue
					}
				}
			}
			fr.pc = pc
			if th = x.setIndex(*o, *key, *s); th != nil {
				goto throw
			}
			goto reload
		case opSelf:
			o, key := rB(base, i), (*lstring)(kC(k, i).p)
			r := rA(base, i)
			obj := *o
			*(*Value)(unsafe.Add(unsafe.Pointer(r), 16)) = obj
			if obj.n == tagTable {
				if v, ok := t.m.tableGet((*Table)(obj.p), key); ok {
					*r = v
					continue
				}
			} else if obj.n == tagString {
				if v, ok := t.m.stringMethod(key); ok {
					*r = v
					continue
				}
			}
			fr.pc = pc
			if th = x.index(obj, *kC(k, i), fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opAdd:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()+c.float())
				continue
			}
			goto arithRR
		case opSub:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()-c.float())
				continue
			}
			goto arithRR
		case opMul:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()*c.float())
				continue
			}
			goto arithRR
		case opDiv:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()/c.float())
				continue
			}
			goto arithRR
		case opMod:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), floorMod(b.float(), c.float()))
				continue
			}
			goto arithRR
		case opPow:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), pow(b.float(), c.float()))
				continue
			}
			goto arithRR
		case opAddRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()+kC(k, i).float())
				continue
			}
			goto arithRK
		case opSubRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()-kC(k, i).float())
				continue
			}
			goto arithRK
		case opMulRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()*kC(k, i).float())
				continue
			}
			goto arithRK
		case opDivRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()/kC(k, i).float())
				continue
			}
			goto arithRK
		case opModRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), floorMod(b.float(), kC(k, i).float()))
				continue
			}
			goto arithRK
		case opPowRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), pow(b.float(), kC(k, i).float()))
				continue
			}
			goto arithRK
		case opAddKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()+c.float())
				continue
			}
			goto arithKR
		case opSubKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()-c.float())
				continue
			}
			goto arithKR
		case opMulKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()*c.float())
				continue
			}
			goto arithKR
		case opDivKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()/c.float())
				continue
			}
			goto arithKR
		case opModKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), floorMod(kB(k, i).float(), c.float()))
				continue
			}
			goto arithKR
		case opPowKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), pow(kB(k, i).float(), c.float()))
				continue
			}
			goto arithKR
		case opUnm:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), -b.float())
				continue
			}
			fr.pc = pc
			if th = x.arith(evUnm, *rB(base, i), *rB(base, i), fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opNot:
			*rA(base, i) = Bool(rB(base, i).falsy())
		case opLen:
			b := rB(base, i)
			if b.n == tagTable {
				setNum(rA(base, i), float64(len((*Table)(b.p).arr)))
				continue
			}
			if b.n == tagString {
				setNum(rA(base, i), float64(len(b.str().s)))
				continue
			}
			fr.pc = pc
			if th = x.length(*b, fr.base+instrA(i)); th != nil {
				goto throw
			}
			goto reload
		case opConcat:
			b, n := rB(base, i), instrC(i)-instrB(i)+1
			if v, ok := t.concatStrings(unsafe.Slice(b, n)); ok {
				*rA(base, i) = v
				continue
			}
			fr.pc = pc
			if th = x.concat(instrC(i)); th != nil {
				goto throw
			}
			goto reload
		case opJmp:
			pc = jump(pc, i)
		case opJmpClose:
			t.closeUpvalues(fr.base + instrA(i))
			pc = jump(pc, i)
		case opLoop:
			pc = jump(pc, i)
			if m.budget--; m.budget < 0 {
				goto budget
			}
		case opClose:
			t.closeUpvalues(fr.base + instrA(i))
		case opJT:
			if p := rA(base, i).p; p != nil && p != falseTag() {
				pc = jump(pc, i)
			}
		case opJF:
			if p := rA(base, i).p; p == nil || p == falseTag() {
				pc = jump(pc, i)
			}
		case opJTS:
			if b := rB(base, i); b.p != nil && b.p != falseTag() {
				*rA(base, i) = *b
				pc = jump(pc, i)
			}
		case opJFS:
			if b := rB(base, i); b.p == nil || b.p == falseTag() {
				*rA(base, i) = *b
				pc = jump(pc, i)
			}
		case opFalseSkip:
			*rA(base, i) = False
			pc = unsafe.Add(pc, 8)
		case opJEq, opJNe:
			a, b := rA(base, i), rB(base, i)
			var eq bool
			switch {
			case a.p == numTag() && b.p == numTag():
				eq = a.float() == b.float()
			case a.p == b.p:
				eq = a.n == b.n
			case a.n == tagCData || b.n == tagCData:
				eq = cdataEqual(*a, *b)
			case a.n != b.n:
			case a.n == tagString:
				eq = a.str().equal(b.str())
			case a.n == tagTable || a.n == tagUserdata:
				fr.pc = pc
				if th = x.compareEqual(*a, *b); th != nil {
					goto throw
				}
				goto reload
			}
			if eq == (opcode(uint8(i)) == opJEq) {
				pc = jump(pc, i)
			}
		case opJEqK, opJNeK:
			a, b := rA(base, i), kB(k, i)
			var eq bool
			switch {
			case a.p == b.p:
				eq = a.n == b.n || a.p == numTag() && a.float() == b.float()
			case a.n == tagString && b.n == tagString:
				eq = a.str().equal(b.str())
			case a.n == tagCData:
				eq = cdataEqual(*a, *b)
			}
			if eq == (opcode(uint8(i)) == opJEqK) {
				pc = jump(pc, i)
			}
		case opJLt:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if a.float() < b.float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRR
		case opJNLt:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if !(a.float() < b.float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRR
		case opJLe:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if a.float() <= b.float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRR
		case opJNLe:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if !(a.float() <= b.float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRR
		case opJLtK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() < kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRK
		case opJNLtK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() < kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRK
		case opJLeK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() <= kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRK
		case opJNLeK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() <= kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareRK
		case opJGtK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() > kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareKR
		case opJNGtK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() > kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareKR
		case opJGeK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() >= kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareKR
		case opJNGeK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() >= kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compareKR
		case opCall:
			if m.budget--; m.budget < 0 {
				pc = unsafe.Add(pc, -8)
				goto budget
			}
			r := rA(base, i)
			fi := fr.base + instrA(i)
			nargs := instrB(i) - 1
			if nargs < 0 {
				nargs = t.top - fi - 1
			}
			fr.pc = pc
			if r.n == tagFunction {
				f := (*Function)(r.p)
				if p := f.proto; p != nil && !p.vararg && t.ci+1 < len(t.frames) {
					b := fi + 1
					if b+nargs+p.maxStack+stackSlack < len(t.stack) {
						base = unsafe.Pointer(&t.stack[b])
						for np := int(p.numParams); nargs < np; nargs++ {
							*(*Value)(unsafe.Add(base, nargs<<4)) = Value{}
						}
						t.ci++
						nf := (*frame)(unsafe.Add(unsafe.Pointer(fr), unsafe.Sizeof(frame{})))
						nf.fn = f
						nf.base, nf.ret, nf.nres, nf.nvar = b, fi, instrC(i)-1, 0
						nf.kind, nf.tail = frLua, false
						fr = nf
						pc = p.start()
						k = unsafe.Pointer(&p.k[0])
						continue
					}
				}
			}
			if r.n == tagFunction && (*Function)(r.p).special == spNone && (*Function)(r.p).proto == nil {
				n := x.enterGo((*Function)(r.p), fi, nargs)
				if n >= 0 {
					// What was called may have moved the stack or the frames.
					t.ci--
					fr = &t.frames[t.ci]
					base = unsafe.Pointer(&t.stack[fr.base])
					hook = t.hookFlag
					if want := instrC(i) - 1; n == 1 && want == 1 {
						*rA(base, i) = t.stack[t.top-1]
					} else if want != 0 {
						t.deliver(t.top-n, n, fi, want)
					}
					continue
				}
				if th = x.leaveGo(n, fi, instrC(i)-1); th != nil {
					goto throw
				}
				goto reload
			}
			if th = x.call(fi, nargs, fi, instrC(i)-1); th != nil {
				goto throw
			}
			goto reload
		case opTailCall:
			if m.budget--; m.budget < 0 {
				pc = unsafe.Add(pc, -8)
				goto budget
			}
			fi := fr.base + instrA(i)
			nargs := instrB(i) - 1
			if nargs < 0 {
				nargs = t.top - fi - 1
			}
			fr.pc = pc
			if th = x.tailCall(fi, nargs); th != nil {
				goto throw
			}
			goto reload
		case opRet1:
			if t.openUp != nil {
				t.closeUpvalues(fr.base)
			}
			below := (*frame)(unsafe.Add(unsafe.Pointer(fr), -int(unsafe.Sizeof(frame{}))))
			if fr.nres == 1 && below.kind == frLua {
				t.stack[fr.ret] = *rA(base, i)
				t.ci--
				fr = below
				base = unsafe.Pointer(&t.stack[fr.base])
				k = unsafe.Pointer(&fr.fn.proto.k[0])
				pc = fr.pc
				continue
			}
			t.ci--
			t.deliver(fr.base+instrA(i), 1, fr.ret, fr.nres)
			goto reload
		case opRet0:
			if t.openUp != nil {
				t.closeUpvalues(fr.base)
			}
			below := (*frame)(unsafe.Add(unsafe.Pointer(fr), -int(unsafe.Sizeof(frame{}))))
			if fr.nres == 0 && below.kind == frLua {
				t.ci--
				fr = below
				base = unsafe.Pointer(&t.stack[fr.base])
				k = unsafe.Pointer(&fr.fn.proto.k[0])
				pc = fr.pc
				continue
			}
			t.ci--
			t.deliver(fr.base, 0, fr.ret, fr.nres)
			goto reload
		case opRet:
			if t.openUp != nil {
				t.closeUpvalues(fr.base)
			}
			from := fr.base + instrA(i)
			n := instrB(i) - 1
			if n < 0 {
				n = t.top - from
			}
			t.ci--
			t.deliver(from, n, fr.ret, fr.nres)
			goto reload
		case opForPrep:
			fr.pc = pc
			if t.forPrep(fr.base + instrA(i)) {
				continue
			}
			pc = jump(pc, i)
		case opForLoop:
			if m.budget--; m.budget < 0 {
				pc = unsafe.Add(pc, -8)
				goto budget
			}
			idx := (*[4]Value)(unsafe.Pointer(rA(base, i)))
			step := idx[2].float()
			v := idx[0].float() + step
			if step > 0 {
				if !(v <= idx[1].float()) {
					continue
				}
			} else if !(v >= idx[1].float()) {
				continue
			}
			idx[0].n = math.Float64bits(v)
			setNum(&idx[3], v)
			pc = jump(pc, i)
		case opTForCall:
			if m.budget--; m.budget < 0 {
				pc = unsafe.Add(pc, -8)
				goto budget
			}
			r := (*[6]Value)(unsafe.Pointer(rA(base, i)))
			if r[0].n == tagFunction && r[1].n == tagTable {
				switch (*Function)(r[0].p).special {
				case spNext:
					if r[2].p == nil || r[2].p == iterTag() {
						key, v, next := (*Table)(r[1].p).iterate(r[2].n)
						if key.p == nil {
							pc = unsafe.Add(pc, 8)
							continue
						}
						r[2] = Value{iterTag(), next}
						r[3] = key
						if nv := instrB(i); nv > 1 {
							r[4] = v
							for j := 2; j < nv; j++ {
								*(*Value)(unsafe.Add(unsafe.Pointer(&r[3]), j<<4)) = Value{}
							}
						}
						pc = jump(pc, i)
						continue
					}
				case spIpairsIter:
					if r[2].p == numTag() {
						n := int(r[2].float()) + 1
						v := (*Table)(r[1].p).GetInt(n)
						if v.p == nil {
							pc = unsafe.Add(pc, 8)
							continue
						}
						setNum(&r[2], float64(n))
						setNum(&r[3], float64(n))
						if nv := instrB(i); nv > 1 {
							r[4] = v
							for j := 2; j < nv; j++ {
								*(*Value)(unsafe.Add(unsafe.Pointer(&r[3]), j<<4)) = Value{}
							}
						}
						pc = jump(pc, i)
						continue
					}
				}
			}
			fr.pc = pc
			r[3], r[4], r[5] = r[0], r[1], r[2]
			fi := fr.base + instrA(i) + 3
			if th = x.call(fi, 2, fi, instrB(i)); th != nil {
				goto throw
			}
			goto reload
		case opTForLoop:
			r := (*[4]Value)(unsafe.Pointer(rA(base, i)))
			if r[3].p != nil {
				r[2] = r[3]
				pc = jump(pc, i)
			}
		case opNewTable:
			*rA(base, i) = newTable(instrB(i), instrC(i)).Value()
		case opSetList:
			n := instrB(i)
			if n == 0 {
				n = t.top - fr.base - instrA(i) - 1
			}
			r := rA(base, i)
			list := unsafe.Slice((*Value)(unsafe.Add(unsafe.Pointer(r), 16)), n)
			(*Table)(r.p).setList(instrJ(i), list)
		case opClosure:
			*rA(base, i) = t.newClosure(fr, fr.fn.proto.protos[instrJ(i)]).Value()
		case opVararg:
			n := instrB(i) - 1
			from := fr.base - fr.nvar
			at := fr.base + instrA(i)
			if n < 0 {
				if at+fr.nvar+stackSlack > len(t.stack) {
					t.growStack(at + fr.nvar + stackSlack)
					base = unsafe.Pointer(&t.stack[fr.base])
				}
			}
			t.deliver(from, fr.nvar, at, n)
		default:
			fr.pc = pc
			x.runHook()
			fr = &t.frames[t.ci]
			base = unsafe.Pointer(&t.stack[fr.base])
			op = opcode(uint8(i))
			goto redo
		}
		continue

	arithRR:
		fr.pc = pc
		if th = x.arith(evAdd+event(uint8(i)-uint8(opAdd)), *rB(base, i), *rC(base, i), fr.base+instrA(i)); th != nil {
			goto throw
		}
		goto reload
	arithRK:
		fr.pc = pc
		if th = x.arith(evAdd+event(uint8(i)-uint8(opAddRK)), *rB(base, i), *kC(k, i), fr.base+instrA(i)); th != nil {
			goto throw
		}
		goto reload
	arithKR:
		fr.pc = pc
		if th = x.arith(evAdd+event(uint8(i)-uint8(opAddKR)), *kB(k, i), *rC(base, i), fr.base+instrA(i)); th != nil {
			goto throw
		}
		goto reload
	compareRR:
		fr.pc = pc
		if th = x.compare((uint8(i)-uint8(opJLt))&2 != 0, *rA(base, i), *rB(base, i)); th != nil {
			goto throw
		}
		goto reload
	compareRK:
		fr.pc = pc
		if th = x.compare((uint8(i)-uint8(opJLt))&2 != 0, *rA(base, i), *kB(k, i)); th != nil {
			goto throw
		}
		goto reload
	compareKR:
		fr.pc = pc
		if th = x.compare((uint8(i)-uint8(opJLt))&2 != 0, *kB(k, i), *rA(base, i)); th != nil {
			goto throw
		}
		goto reload
	budget:
		fr.pc = pc
		if th = x.spendBudget(); th != nil {
			goto throw
		}
		goto reload
	}
}
