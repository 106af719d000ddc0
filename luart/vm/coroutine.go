package vm

// NewCoroutine returns a coroutine with body fn, as coroutine.create does.
func (t *Thread) NewCoroutine(fn Value) *Thread {
	t.chargeString(threadSize)
	co := t.m.NewThread()
	co.Data, co.env = t.Data, t.env
	co.stack[0] = fn
	co.top = 1
	fr := co.pushFrame(frBase)
	fr.fn, fr.base, fr.host, fr.safe = nil, 0, false, false
	return co
}

// resume makes the machine run coroutine co with the arguments at stack index
// from; fi is where the resuming function is.
func (x *exec) resume(f *Function, co *Thread, fi, from, nargs, ret, nres int) *thrown {
	t := x.t
	problem := ""
	switch {
	case co.m != t.m:
		problem = "cannot resume coroutine of another VM"
	case co.status != stSuspended || co.ci < 0:
		problem = "cannot resume " + co.deadText() + " coroutine"
		if t.m.HostYields {
			problem = "cannot resume " + co.Status() + " coroutine"
		}
	case co.frames[0].host:
		problem = "cannot resume running coroutine" // the host's scheduler has it
	case t.nGo >= maxGoCalls:
		problem = "C stack overflow"
	}
	if problem != "" {
		if f.special == spWrap && !t.m.hostWraps(t) {
			return &thrown{value: String(t.Where(0) + problem)}
		}
		t.stack[fi], t.stack[fi+1] = False, String(problem)
		t.deliver(fi, 2, ret, nres)
		return nil
	}
	fr := t.pushFrame(frWait)
	fr.fn, fr.base, fr.ret, fr.nres, fr.tail = f, fi+1, ret, nres, false
	at := co.top
	if at+nargs+2*stackSlack > len(co.stack) {
		co.growStack(at + nargs + 2*stackSlack)
	}
	copy(co.stack[at:], t.stack[from:from+nargs])
	co.top = at + nargs
	t.status = stNormal
	co.status = stRunning
	co.resumer, co.nGo = t, t.nGo+1
	if !co.ownHook {
		co.hook, co.hookFlag = t.hook, t.hookFlag
	}
	x.t = co
	return x.proceed(nargs)
}

// proceed starts or continues the coroutine x.t, whose arguments are the last
// on its stack.
func (x *exec) proceed(nargs int) *thrown {
	co := x.t
	fr := &co.frames[co.ci]
	if fr.kind == frBase {
		at := co.top - nargs - 1
		return x.call(at, nargs, at, -1)
	}
	// The Go function that yielded returns what it was resumed with.
	co.ci--
	co.deliver(co.top-nargs, nargs, fr.ret, fr.nres)
	return nil
}

// yield suspends x.t, whose top frame is the Go function that yields; the n
// values are the last on its stack.
func (x *exec) yield(n int) *thrown {
	co := x.t
	if co.frames[0].kind != frBase && co.m.HostYields {
		fr := &co.frames[co.ci]
		co.ci--
		co.deliver(co.top, 0, fr.ret, fr.nres)
		return nil
	}
	if co.frames[0].kind != frBase || co.stops > 0 {
		co.ci--
		where := ""
		if !co.m.HostYields {
			where = co.Where(0)
		}
		return &thrown{value: String(where + "attempt to yield across C-call boundary")}
	}
	co.status = stSuspended
	if co.resumer == nil {
		co.nargs = n
		return yieldToHost
	}
	x.handBack(n, True)
	co.top -= n
	return nil
}

// handBack gives the last n values of x.t to its resumer, which runs on.
func (x *exec) handBack(n int, ok Value) {
	co := x.t
	t := co.resumer
	co.resumer = nil
	x.t = t
	t.status = stRunning
	fr := &t.frames[t.ci]
	t.ci--
	at := fr.base
	if at+n+stackSlack > len(t.stack) {
		t.growStack(at + n + stackSlack)
	}
	copy(t.stack[at:], co.stack[co.top-n:co.top])
	if fr.fn.special == spWrap {
		t.deliver(at, n, fr.ret, fr.nres)
		return
	}
	t.stack[at-1] = ok
	t.deliver(at-1, n+1, fr.ret, fr.nres)
}

// coroutineDone ends the coroutine x.t, whose results are all that is on its
// stack. It reports whether that was the host's.
func (x *exec) coroutineDone() (over bool, th *thrown) {
	co := x.t
	co.status = stDead
	co.ci--
	if co.resumer == nil {
		return true, nil
	}
	x.handBack(co.top-co.frames[0].base, True)
	co.Recycle()
	return false, nil
}

// coroutineFailed ends the coroutine x.t with an error. Its stack stays as it
// is, for tracebacks, with the calls up to the frame of index at.
func (x *exec) coroutineFailed(th *thrown, at int) (over bool, next *thrown) {
	co := x.t
	co.status = stDead
	co.closeUpvalues(0)
	co.ci = at
	if co.resumer == nil {
		return true, th
	}
	wrap := co.resumer.frames[co.resumer.ci].fn.special == spWrap
	if !wrap && th.abort == nil {
		co.top = co.scratch()
		co.stack[co.top] = th.value
		co.top++
		x.handBack(1, False)
		return false, nil
	}
	t := co.resumer
	co.resumer = nil
	x.t = t
	t.status = stRunning
	n := th
	if th.abort == nil {
		n = &thrown{value: th.value, traceback: th.traceback}
		if c := t.catcher(); t.m.HostTrace != nil && th.traceback == "" && (c == nil || c.host) {
			n.traceback = t.hostTrace() // with the wrapper's own frame
		}
	}
	t.ci--
	if s, ok := th.value.AsString(); ok && th.abort == nil && !t.m.hostWraps(t) {
		n.value = String(t.Where(0) + s)
	}
	return false, n
}

// callSpecial runs the functions that are part of the machine.
func (x *exec) callSpecial(f *Function, fi, nargs, ret, nres int) *thrown {
	t := x.t
	switch f.special {
	case spPcall:
		if nargs == 0 {
			return x.callGo(f, fi, nargs, ret, nres)
		}
		fr := t.pushFrame(frPcall)
		fr.fn, fr.base, fr.ret, fr.nres, fr.tail = f, fi+1, ret, nres, false
		return x.call(fi+1, nargs-1, fi+1, -1)
	case spXpcall:
		if nargs < 2 || t.stack[fi+2].n != tagFunction {
			return x.callGo(f, fi, nargs, ret, nres)
		}
		t.stack[fi+1], t.stack[fi+2] = t.stack[fi+2], t.stack[fi+1]
		fr := t.pushFrame(frXpcall)
		fr.fn, fr.base, fr.ret, fr.nres, fr.tail = f, fi+2, ret, nres, false
		return x.call(fi+2, nargs-2, fi+2, -1)
	case spError:
		v, level := Nil, 1
		if nargs > 0 {
			v = t.stack[fi+1]
		}
		if nargs > 1 && t.stack[fi+2].p != nil {
			l, ok := t.stack[fi+2].ToNumberCoerced()
			if !ok {
				return x.callGo(f, fi, nargs, ret, nres)
			}
			level = toInt32(l)
		}
		fr := t.pushFrame(frGo)
		fr.fn, fr.base, fr.tail = f, fi+1, false
		t.top = fi + 1 + nargs
		if text, ok := v.ToStringCoerced(); ok && level > 0 {
			// A number becomes a string also where there is no position.
			if w := t.Where(level); w != "" || v.isNum() {
				v = String(w + text)
			}
		}
		return &thrown{value: v}
	case spResume:
		if nargs == 0 || t.stack[fi+1].n != tagThread {
			return x.callGo(f, fi, nargs, ret, nres)
		}
		return x.resume(f, t.stack[fi+1].thread(), fi, fi+2, nargs-1, ret, nres)
	case spWrap:
		return x.resume(f, f.goUp[0].thread(), fi, fi+1, nargs, ret, nres)
	case spYield:
		fr := t.pushFrame(frGo)
		fr.fn, fr.base, fr.ret, fr.nres, fr.tail = f, fi+1, ret, nres, false
		t.top = fi + 1 + nargs
		return x.yield(nargs)
	}
	return x.callGo(f, fi, nargs, ret, nres)
}
