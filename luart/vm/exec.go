package vm

import (
	"fmt"
	"runtime/debug"
)

// exec is one entry of the machine from Go: it runs the entry's thread and the
// coroutines resumed from it.
type exec struct {
	t *Thread // running now
}

type outcome uint8

const (
	finished outcome = iota
	yielded
	failed
)

// entryKind is how the machine is entered.
type entryKind uint8

const (
	goOn        entryKind = iota // after a recovered error
	entryCall                    // call the function at a stack index, above a frStop frame
	entryResume                  // start or continue the coroutine
)

// execute runs the machine until the entry's bottom frame returns, yields to
// the host, or an error reaches it.
func (t *Thread) execute(kind entryKind, at, nargs int) (outcome, *thrown) {
	x := exec{t: t}
	var th *thrown
	if t.nGo >= maxGoCalls {
		th = &thrown{value: String(t.Where(0) + "C stack overflow")}
		kind = goOn
	}
	t.nGo++
	for {
		out, caught := x.guarded(kind, at, nargs, th)
		if caught == nil || out == failed {
			t.nGo--
			return out, caught
		}
		kind, th = goOn, caught
	}
}

// guarded runs the machine and turns a panic below into an error to handle.
func (x *exec) guarded(kind entryKind, at, nargs int, th *thrown) (out outcome, caught *thrown) {
	defer func() {
		if r := recover(); r != nil {
			out, caught = finished, asThrown(r)
		}
	}()
	switch kind {
	case entryCall:
		th = x.call(at, nargs, at, -1)
	case entryResume:
		th = x.proceed(nargs)
	}
	return x.run(th)
}

// asThrown makes a Lua error of what was recovered. Panics that are not the
// machine's own keep what the host needs to log them.
func asThrown(r any) *thrown {
	if th, ok := r.(*thrown); ok {
		return th
	}
	return &thrown{value: String(fmt.Sprint(r)), panicked: r, stack: debug.Stack()}
}

// throwf raises an error with the position of the running Lua function.
func (t *Thread) throwf(format string, args ...any) {
	panic(&thrown{value: String(t.Where(0) + fmt.Sprintf(format, args...))})
}

// pushFrame makes a new top frame. Its fields but kind are those of its last use.
func (t *Thread) pushFrame(kind frameKind) *frame {
	t.ci++
	if t.ci >= len(t.frames) {
		t.growFrames()
	}
	fr := &t.frames[t.ci]
	fr.kind = kind
	return fr
}

func (t *Thread) growFrames() {
	n := len(t.frames)
	if n >= maxFrames {
		if n >= maxFrames+1000 {
			t.ci--
			panic(&thrown{value: String("error in error handling"), handled: true})
		}
		if t.ci == maxFrames {
			t.frames = append(t.frames, make([]frame, 1000)...)
			t.ci--
			t.throwf("stack overflow")
		}
	}
	f := make([]frame, min(2*n+4, maxFrames))
	copy(f, t.frames)
	t.frames = f
}

// pushLua enters a Lua function: the function is at stack index fi, its
// arguments follow.
func (t *Thread) pushLua(f *Function, fi, nargs, ret, nres int) {
	p := f.proto
	base := fi + 1
	if need := base + 2*nargs + int(p.numParams) + p.maxStack + 2*stackSlack; need > len(t.stack) {
		t.growStack(need)
	}
	np := int(p.numParams)
	for i := nargs; i < np; i++ {
		t.stack[base+i] = Nil
	}
	nvar := 0
	if p.vararg {
		n := max(nargs, np)
		nvar = n - np
		t.m.budget -= int64(n >> 6)
		for i := range np {
			t.stack[base+n+i] = t.stack[base+i]
			t.stack[base+i] = Nil
		}
		base += n
	}
	fr := t.pushFrame(frLua)
	fr.fn, fr.base, fr.ret, fr.nres, fr.nvar, fr.tail = f, base, ret, nres, nvar, false
	fr.pc = p.start()
}

// funcIndex returns the stack index of the function of a Lua frame.
func (fr *frame) funcIndex() int {
	if fr.fn.proto.vararg {
		return fr.base - 1 - fr.nvar - int(fr.fn.proto.numParams)
	}
	return fr.base - 1
}

// deliver moves n results down to where they are wanted.
func (t *Thread) deliver(from, n, ret, nres int) {
	if nres < 0 {
		nres = n
		t.top = ret + n
		if ret == from {
			return
		}
	}
	m := min(n, nres)
	if m > 8 {
		copy(t.stack[ret:ret+m], t.stack[from:from+m])
	} else if m > 0 {
		dst, src := t.stack[ret:ret+m], t.stack[from:from+m]
		for i := range dst {
			dst[i] = src[i]
		}
	}
	for i := m; i < nres; i++ {
		t.stack[ret+i] = Value{}
	}
}

// call calls the value at stack index fi. A Lua function only gets its frame;
// Go functions run at once. The result is an error to throw.
func (x *exec) call(fi, nargs, ret, nres int) *thrown {
	t := x.t
	fv := t.stack[fi]
	if fv.n != tagFunction {
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
		fv = mm
	}
	f := fv.fn()
	if f.proto != nil {
		t.pushLua(f, fi, nargs, ret, nres)
		return nil
	}
	if f.special != spNone {
		return x.callSpecial(f, fi, nargs, ret, nres)
	}
	return x.callGo(f, fi, nargs, ret, nres)
}

func (x *exec) callGo(f *Function, fi, nargs, ret, nres int) *thrown {
	t := x.t
	fr := t.pushFrame(frGo)
	fr.fn, fr.base, fr.ret, fr.nres, fr.tail = f, fi+1, ret, nres, false
	t.base, t.nargs, t.top = fi+1, nargs, fi+1+nargs
	if t.top+2*stackSlack > len(t.stack) {
		t.growStack(t.top + 2*stackSlack)
	}
	if t.m.finalizers.pending.Load() {
		t.runFinalizers()
	}
	n := f.goFn(t)
	if n == 1 && nres == 1 {
		t.ci--
		t.stack[ret] = t.stack[t.top-1]
		return nil
	}
	if n < 0 {
		if n == abortResult {
			return &t.aborting
		}
		return x.yield(-1 - n)
	}
	t.ci--
	t.deliver(t.top-n, n, ret, nres)
	return nil
}

// finish handles the return into a top frame that is not Lua's: the results of
// the call above it are from its base to t.top. It reports whether the entry
// is over.
func (x *exec) finish() (over bool, th *thrown) {
	t := x.t
	fr := &t.frames[t.ci]
	switch fr.kind {
	case frStop:
		t.ci--
		t.stops--
		return true, nil
	case frPcall, frXpcall:
		t.ci--
		t.stack[fr.base-1] = True
		t.deliver(fr.base-1, t.top-fr.base+1, fr.ret, fr.nres)
	case frCompare:
		t.ci--
		yes := t.top > fr.base && !t.stack[fr.base].falsy()
		t.jumpCompare(yes != fr.tail)
	case frConcat:
		t.ci--
		v := Nil
		if t.top > fr.base {
			v = t.stack[fr.base]
		}
		lua := &t.frames[t.ci]
		t.stack[lua.base+fr.nvar] = v
		return false, x.concat(fr.nvar)
	case frHandler:
		v := Nil
		if t.top > fr.base {
			v = t.stack[fr.base]
		}
		t.ci--
		return false, &thrown{value: v, handled: true}
	case frBase:
		return x.coroutineDone()
	case frWait, frGo:
		panic("vm: a frame that waits was returned into")
	}
	return false, nil
}

// catcher finds the frame that will catch an error of t: a pcall's, or the stop
// of Go code that catches errors. Frames below other stops count too.
func (t *Thread) catcher() *frame {
	for ci := t.ci; ci >= 0; ci-- {
		fr := &t.frames[ci]
		switch fr.kind {
		case frPcall, frXpcall, frBase, frHandler:
			return fr
		case frStop:
			if fr.safe {
				return fr
			}
		}
	}
	return nil
}

// throw unwinds to what catches the error, or starts a message handler for it.
// It returns the error if the entry fails with it.
func (x *exec) throw(th *thrown) *thrown {
	t := x.t
	if c := t.catcher(); c != nil && !th.handled && th.abort == nil {
		if c.kind == frXpcall {
			th.handled = true
			if th = x.startHandler(t.stack[c.base-1], th); th == nil {
				return nil
			}
			return x.throw(th)
		}
		if th.traceback == "" && (c.host || c.kind == frBase && t.wrapped()) {
			th.traceback = t.hostTrace()
		}
	} else if th.traceback == "" && (th.abort != nil || c != nil && c.host) {
		th.traceback = t.hostTrace()
	}
	at := t.ci
	for {
		fr := &t.frames[t.ci]
		switch fr.kind {
		case frPcall, frXpcall:
			if th.abort != nil {
				break
			}
			t.closeUpvalues(fr.base)
			t.ci--
			t.stack[fr.base-1] = False
			t.stack[fr.base] = th.value
			t.deliver(fr.base-1, 2, fr.ret, fr.nres)
			t.trim()
			return nil
		case frHandler:
			if th.abort == nil {
				th = &thrown{value: String("error in error handling"), handled: true}
			}
		case frStop:
			t.closeUpvalues(fr.base)
			t.ci--
			t.stops--
			return th
		case frBase:
			over, next := x.coroutineFailed(th, at)
			if over || next == nil {
				return next
			}
			return x.throw(next)
		}
		t.ci--
	}
}

// trim gives back the reserves that a stack overflow opened.
func (t *Thread) trim() {
	if len(t.stack) > maxStack && t.scratch() < maxStack/2 {
		t.setStack(maxStack / 2)
	}
	if len(t.frames) > maxFrames && t.ci < maxFrames/2 {
		t.frames = append([]frame(nil), t.frames[:maxFrames/2+1]...)
	}
}

// startHandler calls the handler of an xpcall on top of the stack where the
// error was raised.
func (x *exec) startHandler(h Value, th *thrown) *thrown {
	t := x.t
	at := t.scratch()
	if at+3+stackSlack > len(t.stack) {
		t.growStack(at + 3 + stackSlack)
	}
	fr := t.pushFrame(frHandler)
	fr.base, fr.fn = at, nil
	if h.n != tagFunction {
		// As LuaJIT: a handler that cannot be called fails itself.
		return &thrown{value: th.value, handled: true}
	}
	t.stack[at], t.stack[at+1] = h, th.value
	return x.call(at, 1, at, -1)
}

// scratch returns the first stack index that the top frame does not use.
func (t *Thread) scratch() int {
	if t.ci < 0 {
		return t.top
	}
	fr := &t.frames[t.ci]
	if fr.kind == frLua {
		return max(fr.base+fr.fn.proto.maxStack, min(t.top, len(t.stack)-stackSlack))
	}
	return max(t.top, fr.base)
}
