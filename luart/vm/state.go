package vm

// callDirect calls a metamethod or function from Go code for one result.
func (t *Thread) callDirect(fn Value, args ...Value) Value {
	return t.CallValue(fn, 1, args...)[0]
}

// Index is obj[key] with metamethods.
func (t *Thread) Index(obj, key Value) Value {
	for range maxMetaLoop {
		var h Value
		if obj.n == tagTable {
			tb := obj.tab()
			v := tb.Get(key)
			if v.p != nil || tb.meta == nil {
				return v
			}
			if h = tb.meta.metaField(evIndex); h.p == nil {
				return Nil
			}
		} else if h = t.m.metamethod(obj, evIndex); h.p == nil {
			if v, ok := complexPart(obj, key); ok {
				return v
			}
			t.indexError(obj, key, true)
		}
		if h.n == tagFunction {
			return t.callDirect(h, obj, key)
		}
		obj = h
	}
	t.throwf("loop in gettable")
	return Nil
}

// SetIndex is obj[key] = val with metamethods.
func (t *Thread) SetIndex(obj, key, val Value) {
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
				if err := t.set(tb, key, val); err != nil {
					t.throwf("%s", err)
				}
				return
			}
		} else if h = t.m.metamethod(obj, evNewindex); h.p == nil {
			t.indexError(obj, key, true)
		}
		if h.n == tagFunction {
			t.CallValue(h, 0, obj, key, val)
			return
		}
		obj = h
	}
	t.throwf("loop in settable")
}

// ToString is tostring(v).
func (t *Thread) ToString(v Value) string {
	if v.n == tagString {
		return v.str().s
	}
	if v.p == numTag() {
		return FormatNumber(v.float())
	}
	if h := t.m.metamethod(v, evTostring); h.p != nil {
		r := t.callDirect(h, v)
		if s, ok := r.ToStringCoerced(); ok {
			return s
		}
		t.Errorf("'tostring' must return a string to 'print'")
	}
	return plainString(v)
}

// Equal is a == b with metamethods.
func (t *Thread) Equal(a, b Value) bool {
	if a.n == tagCData || b.n == tagCData {
		eq, h := t.m.cdataEqual(a, b)
		return eq || h.p != nil && t.callDirect(h, a, b).Truthy()
	}
	if RawEqual(a, b) {
		return true
	}
	if a.n != b.n || a.n != tagTable && a.n != tagUserdata {
		return false
	}
	h := t.m.equalHandler(a, b)
	return h.p != nil && t.callDirect(h, a, b).Truthy()
}

// Less is a < b with metamethods.
func (t *Thread) Less(a, b Value) bool {
	switch {
	case a.p == numTag() && b.p == numTag():
		return a.float() < b.float()
	case a.n == tagString && b.n == tagString:
		return a.str().s < b.str().s
	}
	if a.n == tagCData || b.n == tagCData {
		less, h := t.cdataLess(false, a, b)
		return less || h.p != nil && t.callDirect(h, a, b).Truthy()
	}
	if h, _ := t.m.orderHandler(false, a, b); h.p != nil {
		return t.callDirect(h, a, b).Truthy()
	}
	t.compareError(a, b)
	return false
}

// Len is #v with metamethods.
func (t *Thread) Len(v Value) Value {
	switch v.n {
	case tagTable:
		return Int(v.tab().Len())
	case tagString:
		return Int(len(v.str().s))
	}
	h := t.m.metamethod(v, evLen)
	if h.p == nil {
		t.failOperand("get length of", v, -1)
	}
	return t.callDirect(h, v, v)
}

// Concat is a .. b with metamethods.
func (t *Thread) Concat(a, b Value) Value {
	if v, ok := t.concatStrings([]Value{a, b}); ok {
		return v
	}
	h := t.m.metamethod(a, evConcat)
	if h.p == nil {
		h = t.m.metamethod(b, evConcat)
	}
	if h.p == nil {
		t.concatError(a, b, 0)
	}
	return t.callDirect(h, a, b)
}

// Metafield returns a field of v's metatable, nil without one.
func (t *Thread) Metafield(v Value, name string) Value {
	if mt := t.m.Metatable(v); mt != nil {
		return mt.GetStr(name)
	}
	return Nil
}

// Charge counts n units of work of a long-running Go function.
func (t *Thread) Charge(n int) {
	if t.m.budget -= int64(n); t.m.budget < 0 {
		if th := t.spend(); th != nil {
			panic(th)
		}
	}
}

// spend runs the budget hook and starts a new period.
func (t *Thread) spend() *thrown {
	m := t.m
	m.budget = max(m.budgetEvery, 1)
	top, base, nargs := t.top, t.base, t.nargs
	if m.finalizers.pending.Load() {
		t.top = t.scratch()
		t.runFinalizers()
		t.top = top
	}
	if m.budgetHook != nil {
		err := m.budgetHook(t)
		t.top, t.base, t.nargs = top, base, nargs
		if err != nil {
			return &thrown{value: String(err.Error()), abort: err}
		}
	}
	if m.memory.limit > 0 {
		return t.checkMemory(0)
	}
	return nil
}

func (x *exec) spendBudget() *thrown { return x.t.spend() }
