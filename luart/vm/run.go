package vm

import (
	"math"
	"unsafe"
)

// run is the dispatch loop. th, if not nil, is an error to handle first. It
// returns when the entry's bottom frame is left.
//
// It is one function because only so the state of the running Lua function
// stays in registers. What is live after a call inside the loop would be
// spilled before every instruction; so no case goes on after a call: whatever
// calls saves pc in the frame before, and continues at reload. (Panics and
// write barriers do not count as calls.)
func (x *exec) run(th *thrown) (outcome, *thrown) {
	var (
		t           *Thread
		m           = x.t.m
		fr          *frame
		base, k, pc unsafe.Pointer
		tb          *Table // tb, key and hops are for getStr
		key         *lstring
		hops        int
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
		op := opcode(uint8(i)) | t.hookFlag
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
			tb, key = fr.fn.env, (*lstring)(kJ(k, i).p)
			if n := tb.node(int32(key.hash & tb.mask)); n.k.p == unsafe.Pointer(key) && n.v.p != nil {
				*rA(base, i) = n.v
				continue
			}
			goto getStr
		case opSetG:
			tb, key := fr.fn.env, (*lstring)(kJ(k, i).p)
			if n := tb.chained(key); n.k.p == unsafe.Pointer(key) && n.v.p != nil {
				n.v = *rA(base, i)
				continue
			}
			goto setIndex
		case opGetF:
			o := rB(base, i)
			if o.n == tagTable {
				tb, key = (*Table)(o.p), (*lstring)(kC(k, i).p)
				if n := tb.node(int32(key.hash & tb.mask)); n.k.p == unsafe.Pointer(key) && n.v.p != nil {
					*rA(base, i) = n.v
					continue
				}
				goto getStr
			}
			goto index
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
			goto index
		case opGet:
			o, c := rB(base, i), rC(base, i)
			if o.n == tagTable {
				if c.p == numTag() {
					arr := (*Table)(o.p).arr
					f := c.float()
					n := int(f)
					if uint(n-1) < uint(len(arr)) && float64(n) == f {
						if v := &arr[n-1]; v.p != nil || (*Table)(o.p).meta == nil {
							*rA(base, i) = *v
							continue
						}
					}
				} else if c.n == tagString && (*lstring)(c.p).hash != 0 {
					tb, key = (*Table)(o.p), (*lstring)(c.p)
					goto getStr
				}
			}
			goto index
		case opSetF, opSetFK:
			o, key := rA(base, i), (*lstring)(kC(k, i).p)
			s := rB(base, i)
			if opcode(uint8(i)) == opSetFK {
				s = kB(k, i)
			}
			if o.n == tagTable {
				tb := (*Table)(o.p)
				n := tb.chained(key)
				if v := &n.v; n.k.p == unsafe.Pointer(key) && v.p != nil {
					if v.p != s.p {
						v.p = s.p
					}
					v.n = s.n
					continue
				}
			}
			goto setIndex
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
				}
			}
			goto setIndex
		case opSet, opSetK:
			o, c := rA(base, i), rC(base, i)
			s := rB(base, i)
			if opcode(uint8(i)) == opSetK {
				s = kB(k, i)
			}
			if o.n == tagTable {
				tb := (*Table)(o.p)
				if c.p == numTag() && s.p != nil {
					f := c.float()
					n := int(f)
					if float64(n) == f {
						if uint(n-1) < uint(len(tb.arr)) {
							if v := &tb.arr[n-1]; v.p != nil || tb.meta == nil {
								if v.p != s.p {
									v.p = s.p
								}
								v.n = s.n
								continue
							}
						} else if n == len(tb.arr)+1 && n <= cap(tb.arr) && tb.meta == nil && tb.nodes == &noNodes {
							tb.arr = tb.arr[:n]
							tb.arr[n-1] = *s
							continue
						}
					}
				} else if c.n == tagString && (*lstring)(c.p).hash != 0 {
					n := tb.chained((*lstring)(c.p))
					if n.k.p == c.p && n.v.p != nil {
						n.v = *s
						continue
					}
				}
			}
			goto setIndex
		case opSelf:
			obj := *rB(base, i)
			*(*Value)(unsafe.Add(unsafe.Pointer(rA(base, i)), 16)) = obj
			if obj.n == tagTable {
				tb, key = (*Table)(obj.p), (*lstring)(kC(k, i).p)
				goto getStr
			}
			if mt := m.typeMeta[TypeString]; obj.n == tagString && mt != nil {
				name := eventNames[evIndex]
				if n := mt.chained(name); n.k.p == unsafe.Pointer(name) && n.v.n == tagTable {
					tb, key = (*Table)(n.v.p), (*lstring)(kC(k, i).p)
					goto getStr
				}
			}
			goto index
		case opAdd:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()+c.float())
				continue
			}
			goto arith
		case opSub:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()-c.float())
				continue
			}
			goto arith
		case opMul:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()*c.float())
				continue
			}
			goto arith
		case opDiv:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				setNum(rA(base, i), b.float()/c.float())
				continue
			}
			goto arith
		case opMod:
			if b, c := rB(base, i), rC(base, i); b.p == numTag() && c.p == numTag() {
				if f, ok := quickMod(b.float(), c.float()); ok {
					setNum(rA(base, i), f)
					continue
				}
			}
			goto arith
		case opPow:
			goto arith
		case opAddRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()+kC(k, i).float())
				continue
			}
			goto arith
		case opSubRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()-kC(k, i).float())
				continue
			}
			goto arith
		case opMulRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()*kC(k, i).float())
				continue
			}
			goto arith
		case opDivRK:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), b.float()/kC(k, i).float())
				continue
			}
			goto arith
		case opModRK:
			if b := rB(base, i); b.p == numTag() {
				if f, ok := quickMod(b.float(), kC(k, i).float()); ok {
					setNum(rA(base, i), f)
					continue
				}
			}
			goto arith
		case opPowRK:
			if b := rB(base, i); b.p == numTag() && kC(k, i).float() == 2 {
				setNum(rA(base, i), b.float()*b.float())
				continue
			}
			goto arith
		case opAddKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()+c.float())
				continue
			}
			goto arith
		case opSubKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()-c.float())
				continue
			}
			goto arith
		case opMulKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()*c.float())
				continue
			}
			goto arith
		case opDivKR:
			if c := rC(base, i); c.p == numTag() {
				setNum(rA(base, i), kB(k, i).float()/c.float())
				continue
			}
			goto arith
		case opModKR:
			if c := rC(base, i); c.p == numTag() {
				if f, ok := quickMod(kB(k, i).float(), c.float()); ok {
					setNum(rA(base, i), f)
					continue
				}
			}
			goto arith
		case opPowKR:
			goto arith
		case opUnm:
			if b := rB(base, i); b.p == numTag() {
				setNum(rA(base, i), -b.float())
				continue
			}
			goto arith
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
			fr.pc = pc
			if th = x.concatAll(i); th != nil {
				goto throw
			}
			goto reload
		case opJmp:
			pc = jump(pc, i)
		case opJmpClose:
			fr.pc = jump(pc, i)
			t.closeUpvalues(fr.base + instrA(i))
			goto reload
		case opLoop:
			pc = jump(pc, i)
			if m.budget--; m.budget < 0 {
				goto budget
			}
		case opClose:
			fr.pc = pc
			t.closeUpvalues(fr.base + instrA(i))
			goto reload
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
			case a.n == tagCData || b.n == tagCData || a.n == b.n && !differs(a, b):
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
			case a.n == tagCData || a.n == tagString && b.n == tagString && !differs(a, b):
				fr.pc = pc
				if th = x.compareEqual(*a, *b); th != nil {
					goto throw
				}
				goto reload
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
			goto compare
		case opJNLt:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if !(a.float() < b.float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJLe:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if a.float() <= b.float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJNLe:
			if a, b := rA(base, i), rB(base, i); a.p == numTag() && b.p == numTag() {
				if !(a.float() <= b.float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJLtK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() < kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJNLtK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() < kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJLeK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() <= kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJNLeK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() <= kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJGtK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() > kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJNGtK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() > kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJGeK:
			if a := rA(base, i); a.p == numTag() {
				if a.float() >= kB(k, i).float() {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
		case opJNGeK:
			if a := rA(base, i); a.p == numTag() {
				if !(a.float() >= kB(k, i).float()) {
					pc = jump(pc, i)
				}
				continue
			}
			goto compare
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
				if th = x.callGo((*Function)(r.p), fi, nargs, fi, instrC(i)-1); th != nil {
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
			r := rA(base, i)
			fi := fr.base + instrA(i)
			nargs := instrB(i) - 1
			if nargs < 0 {
				nargs = t.top - fi - 1
			}
			if r.n == tagFunction && !fr.fn.proto.vararg && (t.openUp == nil || t.openUp.index < fr.base) {
				f := (*Function)(r.p)
				if p := f.proto; p != nil && !p.vararg && fi+nargs+p.maxStack+stackSlack < len(t.stack) {
					to := (*Value)(unsafe.Add(base, -16))
					for n := nargs; n >= 0; n-- {
						*to = *r
						to = (*Value)(unsafe.Add(unsafe.Pointer(to), 16))
						r = (*Value)(unsafe.Add(unsafe.Pointer(r), 16))
					}
					for np := int(p.numParams); nargs < np; nargs++ {
						*(*Value)(unsafe.Add(base, nargs<<4)) = Value{}
					}
					fr.fn, fr.tail = f, true
					pc = p.start()
					k = unsafe.Pointer(&p.k[0])
					continue
				}
			}
			fr.pc = pc
			if th = x.tailCall(fi, nargs); th != nil {
				goto throw
			}
			goto reload
		case opRet1:
			below := (*frame)(unsafe.Add(unsafe.Pointer(fr), -int(unsafe.Sizeof(frame{}))))
			if fr.nres == 1 && below.kind == frLua && (t.openUp == nil || t.openUp.index < fr.base) {
				t.stack[fr.ret] = *rA(base, i)
				t.ci--
				fr = below
				base = unsafe.Pointer(&t.stack[fr.base])
				k = unsafe.Pointer(&fr.fn.proto.k[0])
				pc = fr.pc
				continue
			}
			t.returnFrom(fr, fr.base+instrA(i), 1)
			goto reload
		case opRet0:
			below := (*frame)(unsafe.Add(unsafe.Pointer(fr), -int(unsafe.Sizeof(frame{}))))
			if fr.nres == 0 && below.kind == frLua && (t.openUp == nil || t.openUp.index < fr.base) {
				t.ci--
				fr = below
				base = unsafe.Pointer(&t.stack[fr.base])
				k = unsafe.Pointer(&fr.fn.proto.k[0])
				pc = fr.pc
				continue
			}
			t.returnFrom(fr, fr.base, 0)
			goto reload
		case opRet:
			from := fr.base + instrA(i)
			n := instrB(i) - 1
			if n < 0 {
				n = t.top - from
			}
			t.returnFrom(fr, from, n)
			goto reload
		case opForPrep:
			fr.pc = pc
			t.forPrep(fr, i)
			goto reload
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
					if r[2].p != nil && r[2].p != iterTag() {
						break
					}
					tb := (*Table)(r[1].p)
					nv, pos := instrB(i), r[2].n
					for pos < uint64(len(tb.arr)) && tb.arr[pos].p == nil {
						pos++
					}
					if pos < uint64(len(tb.arr)) {
						r[2] = Value{iterTag(), pos + 1}
						if nv > 1 {
							r[4] = tb.arr[pos]
						}
						setNum(&r[3], float64(pos+1))
					} else {
						if pos < hashStage {
							pos = hashStage
						}
						at := uint32(pos - hashStage)
						from := at
						for at <= tb.mask && tb.node(int32(at)).v.p == nil {
							at++
						}
						m.budget -= int64((at - from) >> 8) // a large and empty table
						if at > tb.mask {
							pc = unsafe.Add(pc, 8)
							continue
						}
						n := tb.node(int32(at))
						r[2] = Value{iterTag(), hashStage + uint64(at) + 1}
						r[3] = n.k
						if nv > 1 {
							r[4] = n.v
						}
					}
					for j := 2; j < nv; j++ {
						*(*Value)(unsafe.Add(unsafe.Pointer(&r[3]), j<<4)) = Value{}
					}
					pc = jump(pc, i)
					continue
				case spIpairsIter:
					if r[2].p != numTag() {
						break
					}
					tb := (*Table)(r[1].p)
					n := int(r[2].float()) + 1
					if uint(n-1) >= uint(len(tb.arr)) {
						if tb.nodes != &noNodes {
							break
						}
						pc = unsafe.Add(pc, 8)
						continue
					}
					v := &tb.arr[n-1]
					if v.p == nil {
						pc = unsafe.Add(pc, 8)
						continue
					}
					nv := instrB(i)
					setNum(&r[2], float64(n))
					if nv > 1 {
						r[4] = *v
					}
					setNum(&r[3], float64(n))
					for j := 2; j < nv; j++ {
						*(*Value)(unsafe.Add(unsafe.Pointer(&r[3]), j<<4)) = Value{}
					}
					pc = jump(pc, i)
					continue
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
			fr.pc = pc
			x.newTable(i)
			goto reload
		case opSetList:
			fr.pc = pc
			x.setList(i)
			goto reload
		case opClosure:
			fr.pc = pc
			x.closure(i)
			goto reload
		case opVararg:
			n := instrB(i) - 1
			at := fr.base + instrA(i)
			if n < 0 {
				n = fr.nvar
				if at+n+stackSlack > len(t.stack) {
					fr.pc = pc
					x.vararg(i)
					goto reload
				}
				t.top = at + n
			}
			from, to := unsafe.Add(base, -fr.nvar<<4), unsafe.Pointer(rA(base, i))
			for j := 0; j < n; j++ {
				v := Value{}
				if j < fr.nvar {
					v = *(*Value)(unsafe.Add(from, j<<4))
				}
				*(*Value)(unsafe.Add(to, j<<4)) = v
			}
		default:
			fr.pc = pc
			x.runHook()
			t = x.t
			fr = &t.frames[t.ci]
			base = unsafe.Pointer(&t.stack[fr.base])
			k = unsafe.Pointer(&fr.fn.proto.k[0])
			pc = fr.pc
			i = *(*instr)(unsafe.Add(pc, -8))
			op = opcode(uint8(i))
			goto redo
		}
		continue

	getStr:
		// R[A] = tb[key], where key has its hash, also through tables that
		// __index names. What is equal but not the same is left to index.
		for hops = 0; hops < 16; hops++ {
			n := tb.chained(key)
			if n.k.p == unsafe.Pointer(key) {
				if n.v.p != nil {
					*rA(base, i) = n.v
					continue dispatch
				}
			} else if n.hash == key.hash {
				break
			}
			mt := tb.meta
			if mt == nil || mt.flags&(1<<evIndex) != 0 {
				*rA(base, i) = Value{}
				continue dispatch
			}
			name := eventNames[evIndex]
			if n = mt.chained(name); n.k.p != unsafe.Pointer(name) || n.v.n != tagTable {
				break
			}
			tb = (*Table)(n.v.p)
		}
		fr.pc = pc
		if th = x.indexAfter(hops, tb.Value(), key.value(), fr.base+instrA(i)); th != nil {
			goto throw
		}
		goto reload
	index:
		fr.pc = pc
		if th = x.indexSlow(i); th != nil {
			goto throw
		}
		goto reload
	setIndex:
		fr.pc = pc
		if th = x.setIndexSlow(i); th != nil {
			goto throw
		}
		goto reload
	arith:
		fr.pc = pc
		if th = x.arithSlow(i); th != nil {
			goto throw
		}
		goto reload
	compare:
		fr.pc = pc
		if th = x.compareSlow(i); th != nil {
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
