package vm

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unsafe"
)

func openTable(m *VM) {
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"concat", tabConcat, "the elements i to j as one string"},
		{"foreach", tabForeach, "calls f(k, v) for each pair until it returns a value"},
		{"foreachi", tabForeachi, "calls f(i, v) for each element until it returns a value"},
		{"getn", tabGetn, "the length"},
		{"insert", tabInsert, "puts a value at a position, or at the end"},
		{"maxn", tabMaxn, "the largest positive numerical key"},
		{"move", tabMove, "copies elements within a table or to another"},
		{"remove", tabRemove, "takes an element out"},
		{"sort", tabSort, "sorts the elements in place"},
	})
	m.openLib("table", lib)
	for _, r := range []Reg{
		{"new", tabNew, "a table with room for narr elements and nhash fields"},
		{"clear", tabClear, "removes all keys"},
		{"nkeys", tabNkeys, "the number of keys"},
		{"isarray", tabIsarray, "whether all keys are integers"},
		{"isempty", tabIsempty, "whether there are no keys"},
		{"clone", tabClone, "a shallow copy"},
	} {
		m.preload("table."+r.Name, func(t *Thread) Value {
			f := t.m.NewFunction(r.Name, r.Fn)
			if lib, ok := t.m.Globals().GetStr("table").AsTable(); ok {
				lib.SetStr(r.Name, f)
			}
			return f
		})
	}
}

func tabConcat(t *Thread) int {
	tbl := t.CheckTable(1)
	sep := t.OptString(2, "")
	i := t.optInt32(3, 1)
	var j int
	if t.Arg(4).IsNil() {
		j = tbl.Len()
	} else {
		j = t.checkInt32(4)
	}
	if i > j {
		t.PushString("")
		return 1
	}
	// Strings only: the length is known before anything is copied.
	total := (j - i) * len(sep)
	for k := i; k <= j; k++ {
		v := tbl.GetInt(k)
		if !v.isStr() {
			return t.concatMixed(tbl, sep, i, j)
		}
		t.chargeSteps(k)
		total += len(v.str().s)
	}
	if total > maxString {
		t.errMemory()
	}
	t.chargeString(total)
	out, buf := newStringBuf(total)
	at := 0
	for k := i; k <= j; k++ {
		v := tbl.GetInt(k)
		if !v.isStr() || len(v.str().s) > total-at {
			return t.concatMixed(tbl, sep, i, j) // changed while the hook ran
		}
		at += copy(buf[at:], v.str().s)
		if k < j {
			at += copy(buf[at:], sep)
		}
	}
	if at < total {
		return t.concatMixed(tbl, sep, i, j)
	}
	t.Push(out.value())
	return 1
}

// concatMixed is table.concat where not all elements are strings.
func (t *Thread) concatMixed(tbl *Table, sep string, i, j int) int {
	pooled := buffers.Get().(*[]byte)
	buf := (*pooled)[:0]
	for k := i; k <= j; k++ {
		switch v := tbl.GetInt(k); {
		case v.isStr():
			buf = append(t.grown(buf, len(v.str().s)), v.str().s...)
		case v.isNum():
			buf = AppendNumber(buf, v.float())
		default:
			t.Errorf("invalid value (%s) at index %d in table for 'concat'", v.TypeName(), k)
		}
		if k < j {
			buf = append(t.grown(buf, len(sep)), sep...)
		}
		t.chargeSteps(k)
	}
	t.PushBytes(buf)
	putBuffer(pooled, buf)
	return 1
}

// chargeSteps counts the steps of a loop when k is the last of some of them.
func (t *Thread) chargeSteps(k int) {
	if k&1023 == 0 {
		t.Charge(1024 / 16)
	}
}

// setInt is set with an integer key.
func (t *Thread) setInt(tbl *Table, i int, v Value) {
	if i == len(tbl.arr)+1 && i <= cap(tbl.arr) {
		tbl.SetInt(i, v)
		return
	}
	_ = t.set(tbl, Int(i), v) // an integer is always a key
}

func tabInsert(t *Thread) int {
	tbl := t.CheckTable(1)
	n := tbl.Len() + 1
	switch t.NArgs() {
	case 2:
		t.setInt(tbl, n, t.Arg(2))
	case 3:
		pos := t.checkInt32(2)
		v := t.Arg(3)
		if k := len(tbl.arr); pos >= 1 && pos < n && n == k+1 {
			t.Charge((n - pos) >> 6)
			t.setInt(tbl, n, tbl.arr[k-1])
			copy(tbl.arr[pos:k], tbl.arr[pos-1:k-1])
			tbl.arr[pos-1] = v
			return 0
		}
		for i := n; i > pos; i-- {
			t.Charge(1)
			t.setInt(tbl, i, tbl.GetInt(i-1))
		}
		tbl.SetInt(pos, v)
	default:
		t.Errorf("wrong number of arguments to 'insert'")
	}
	return 0
}

func tabRemove(t *Thread) int {
	tbl := t.CheckTable(1)
	n := tbl.Len()
	pos := n
	if !t.Arg(2).IsNil() {
		pos = t.checkInt32(2)
	}
	if pos < 1 || pos > n {
		return 0
	}
	v := tbl.GetInt(pos)
	if k := len(tbl.arr); n == k {
		t.Charge((n - pos) >> 6)
		copy(tbl.arr[pos-1:], tbl.arr[pos:])
	} else {
		for i := pos; i < n; i++ {
			t.Charge(1)
			tbl.SetInt(i, tbl.GetInt(i+1))
		}
	}
	tbl.SetInt(n, Nil)
	t.Push(v)
	return 1
}

func tabMaxn(t *Thread) int {
	tbl := t.CheckTable(1)
	largest := 0.0
	t.eachPair(tbl, func(k, _ Value) bool {
		if k.isNum() && k.float() > largest {
			largest = k.float()
		}
		return true
	})
	t.PushNumber(largest)
	return 1
}

// eachPair calls f for the pairs of a table until it returns false.
func (t *Thread) eachPair(tbl *Table, f func(k, v Value) bool) {
	var k Value
	for {
		nk, v, ok, err := tbl.Next(k)
		if err != nil {
			t.Errorf("%s", err)
		}
		if !ok || !f(nk, v) {
			return
		}
		t.Charge(1)
		k = nk
	}
}

func tabGetn(t *Thread) int {
	t.PushInt(t.CheckTable(1).Len())
	return 1
}

func tabForeach(t *Thread) int {
	tbl, f := t.CheckTable(1), t.CheckFunction(2)
	n := 0
	t.eachPair(tbl, func(k, v Value) bool {
		r := t.CallValue(f, 1, k, v)
		if len(r) > 0 && !r[0].IsNil() {
			t.Push(r[0])
			n = 1
		}
		return n == 0
	})
	return n
}

func tabForeachi(t *Thread) int {
	tbl, f := t.CheckTable(1), t.CheckFunction(2)
	for i := 1; i <= tbl.Len(); i++ {
		r := t.CallValue(f, 1, Int(i), tbl.GetInt(i))
		if len(r) > 0 && !r[0].IsNil() {
			t.Push(r[0])
			return 1
		}
	}
	return 0
}

func tabMove(t *Thread) int {
	from := t.CheckTable(1)
	f, e, pos := t.checkInt32(2), t.checkInt32(3), t.checkInt32(4)
	to := from
	if !t.Arg(5).IsNil() {
		to = t.CheckTable(5)
	}
	raw := from.Metatable() == nil && to.Metatable() == nil
	move := func(i int) {
		t.Charge(1)
		if raw {
			t.setInt(to, pos+i-f, from.GetInt(i))
		} else {
			t.SetIndex(to.Value(), Int(pos+i-f), t.Index(from.Value(), Int(i)))
		}
	}
	if pos > e || pos <= f || to != from {
		for i := f; i <= e; i++ {
			move(i)
		}
	} else {
		for i := e; i >= f; i-- {
			move(i)
		}
	}
	t.Push(to.Value())
	return 1
}

// sizeHint limits what table.new reserves at once; tables grow as needed.
const sizeHint = 1 << 20

func tabNew(t *Thread) int {
	narr, nhash := t.checkInt32(1), t.checkInt32(2)
	if narr > 1<<27 || nhash > 1<<26 {
		t.ErrorValue(String("table overflow"), 0)
	}
	narr, nhash = min(max(narr, 0), sizeHint), min(max(nhash, 0), sizeHint)
	t.chargeTable(narr, nhash)
	t.Push(t.m.NewTable(narr, nhash).Value())
	return 1
}

func tabClear(t *Thread) int {
	t.CheckTable(1).Clear()
	return 0
}

func tabNkeys(t *Thread) int {
	n := 0
	t.eachPair(t.CheckTable(1), func(_, _ Value) bool { n++; return true })
	t.PushInt(n)
	return 1
}

func tabIsarray(t *Thread) int {
	is := true
	t.eachPair(t.CheckTable(1), func(k, _ Value) bool {
		is = k.isNum() && k.float() == math.Trunc(k.float())
		return is
	})
	t.PushBool(is)
	return 1
}

func tabIsempty(t *Thread) int {
	_, _, ok, _ := t.CheckTable(1).Next(Nil)
	t.PushBool(!ok)
	return 1
}

func tabClone(t *Thread) int {
	tbl := t.CheckTable(1)
	t.chargeTable(len(tbl.arr), 0)
	c := t.m.NewTable(len(tbl.arr), 0)
	t.eachPair(tbl, func(k, v Value) bool {
		if err := t.set(c, k, v); err != nil {
			t.Errorf("%s", err)
		}
		return true
	})
	t.Push(c.Value())
	return 1
}

func tabSort(t *Thread) int {
	tbl := t.CheckTable(1)
	n := tbl.Len()
	order := t.Arg(2)
	if !order.IsNil() {
		order = t.CheckFunction(2)
	} else if n == len(tbl.arr) && t.sortPlain(tbl.arr) {
		return 0
	}
	s := sorter{t: t, tbl: tbl, cmp: order}
	s.sort(1, n)
	return 0
}

// sortPlain sorts numbers or strings; it reports false for other elements,
// and for NaN, whose place depends on the algorithm. It works on a copy: the hook of
// the budget may let others change the table.
func (t *Thread) sortPlain(a []Value) bool {
	if len(a) < 2 {
		return true
	}
	switch {
	case a[0].isNum():
		f := make([]float64, len(a))
		for i := range a {
			if f[i] = a[i].float(); !a[i].isNum() || f[i] != f[i] {
				return false
			}
		}
		sortChunks(t, f, cmp.Compare[float64])
		for i := range a {
			a[i] = num(f[i])
		}
	case a[0].isStr():
		for i := range a {
			if !a[i].isStr() {
				return false
			}
		}
		t.chargeString(len(a) * valueSize)
		b := slices.Clone(a)
		sortChunks(t, b, func(x, y Value) int { return strings.Compare(x.str().s, y.str().s) })
		copy(a, b)
	default:
		return false
	}
	return true
}

// sortChunk is how many elements are sorted between two looks at the budget.
const sortChunk = 1 << 14

// sortChunks sorts parts of a and merges them, so that the budget can end it.
func sortChunks[E any](t *Thread, a []E, compare func(x, y E) int) {
	for i := 0; i < len(a); i += sortChunk {
		part := a[i:min(i+sortChunk, len(a))]
		t.Charge(len(part))
		slices.SortFunc(part, compare)
	}
	if len(a) <= sortChunk {
		return
	}
	t.chargeString(len(a) * int(unsafe.Sizeof(a[0])))
	from, to := a, make([]E, len(a))
	for n := sortChunk; n < len(a); n *= 2 {
		for i := 0; i < len(a); i += 2 * n {
			mid, end := min(i+n, len(a)), min(i+2*n, len(a))
			x, y := from[i:mid], from[mid:end]
			for at := i; at < end; at++ {
				if at&(sortChunk-1) == 0 {
					t.Charge(sortChunk / 8)
				}
				if len(y) == 0 || len(x) > 0 && compare(x[0], y[0]) <= 0 {
					to[at], x = x[0], x[1:]
				} else {
					to[at], y = y[0], y[1:]
				}
			}
		}
		from, to = to, from
	}
	copy(a, from)
}

// sorter is the quicksort of Lua: the same comparisons in the same order, so
// that an inconsistent order function is found out in the same way.
type sorter struct {
	t   *Thread
	tbl *Table
	cmp Value
}

func (s *sorter) get(i int) Value {
	if a := s.tbl.arr; uint(i-1) < uint(len(a)) {
		return a[i-1]
	}
	return s.tbl.GetInt(i)
}

func (s *sorter) set(i int, v Value) {
	if a := s.tbl.arr; uint(i-1) < uint(len(a)) && !v.IsNil() {
		a[i-1] = v
		return
	}
	s.tbl.SetInt(i, v)
}

func (s *sorter) less(a, b Value) bool {
	if s.cmp.IsNil() {
		return s.t.Less(a, b)
	}
	r := s.t.CallValue(s.cmp, 1, a, b)
	return len(r) > 0 && r[0].Truthy()
}

// order swaps the elements at i < j if they are in the wrong order.
func (s *sorter) order(i, j int) {
	if a, b := s.get(i), s.get(j); s.less(b, a) {
		s.set(i, b)
		s.set(j, a)
	}
}

func (s *sorter) sort(lo, hi int) {
	for lo < hi {
		s.t.Charge(1)
		s.order(lo, hi)
		if hi-lo == 1 {
			return
		}
		mid := (lo + hi) / 2
		if m, l := s.get(mid), s.get(lo); s.less(m, l) {
			s.set(mid, l)
			s.set(lo, m)
		} else {
			s.order(mid, hi)
		}
		if hi-lo == 2 {
			return
		}
		i := s.partition(lo, hi, mid)
		// The smaller part by recursion, the larger one in this loop.
		if i-lo < hi-i {
			s.sort(lo, i-1)
			lo = i + 1
		} else {
			s.sort(i+1, hi)
			hi = i - 1
		}
	}
}

// partition moves the pivot at mid to its place, which it returns.
func (s *sorter) partition(lo, hi, mid int) int {
	s.t.Charge((hi - lo) >> 4)
	pivot := s.get(mid)
	s.set(mid, s.get(hi-1))
	s.set(hi-1, pivot)
	i, j := lo, hi-1
	for {
		i++
		a := s.get(i)
		for s.less(a, pivot) {
			if i >= hi {
				s.t.Errorf("invalid order function for sorting")
			}
			i++
			a = s.get(i)
		}
		j--
		b := s.get(j)
		for s.less(pivot, b) {
			if j <= lo {
				s.t.Errorf("invalid order function for sorting")
			}
			j--
			b = s.get(j)
		}
		if j < i {
			break
		}
		s.set(i, b)
		s.set(j, a)
	}
	a, b := s.get(hi-1), s.get(i)
	s.set(hi-1, b)
	s.set(i, a)
	return i
}
