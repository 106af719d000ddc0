package vm

import (
	"math/bits"
	"unsafe"
)

// Tables of constructors with room for their parts, so that these take one
// allocation.
type (
	table1n struct {
		Table
		n [1]node
	}
	table2n struct {
		Table
		n [2]node
	}
	table4n struct {
		Table
		n [4]node
	}
	table2a struct {
		Table
		a [2]Value
	}
	table4a struct {
		Table
		a [4]Value
	}
)

func newTable(narr, nhash int) *Table {
	switch {
	case nhash == 0 && narr > 0:
		return newArrayTable(narr)
	case narr == 0 && nhash > 0:
		return newHashTable(nhash)
	}
	t := &Table{nodes: &noNodes}
	if narr > 0 {
		t.arr = make([]Value, 0, narr)
		t.makeNodes(nhash)
	}
	return t
}

func newArrayTable(n int) *Table {
	switch {
	case n <= 2:
		t := &table2a{}
		t.nodes = &noNodes
		t.arr = t.a[:0:n]
		return &t.Table
	case n <= 4:
		t := &table4a{}
		t.nodes = &noNodes
		t.arr = t.a[:0:n]
		return &t.Table
	}
	return &Table{nodes: &noNodes, arr: make([]Value, 0, n)}
}

func newHashTable(n int) *Table {
	switch {
	case n == 1:
		t := &table1n{}
		t.useNodes(t.n[:])
		return &t.Table
	case n == 2:
		t := &table2n{}
		t.useNodes(t.n[:])
		return &t.Table
	case n <= 4:
		t := &table4n{}
		t.useNodes(t.n[:])
		return &t.Table
	}
	t := &Table{}
	t.makeNodes(n)
	return t
}

// growArray makes room and appends. It reports false if the array was so
// sparse that everything was sorted in anew.
func (t *Table) growArray(v Value) bool {
	n := len(t.arr)
	if n >= 16 {
		used := 0
		for i := range t.arr {
			if t.arr[i].p != nil {
				used++
			}
		}
		if used < n/3 {
			t.rehashAndSet(Int(n+1), v)
			return false
		}
	}
	a := make([]Value, n+1, max(4, 2*n))
	copy(a, t.arr)
	a[n] = v
	t.arr = a
	return true
}

// migrate moves the keys that follow the array part from the hash part.
func (t *Table) migrate() {
	for {
		n := t.findInt(len(t.arr) + 1)
		if n == nil || n.v.p == nil {
			return
		}
		v := n.v
		n.v = Nil
		t.arr = append(t.arr, v)
	}
}

func (t *Table) makeNodes(n int) {
	size := 1
	if n > 1 {
		size = 1 << bits.Len(uint(n-1))
	}
	t.useNodes(make([]node, size))
}

// useNodes makes zeroed nodes, as many as a power of two, the hash part.
func (t *Table) useNodes(ns []node) {
	for i := range ns {
		ns[i].next = -1
	}
	t.nodes = &ns[0]
	t.mask = uint32(len(ns) - 1)
	t.free = int32(len(ns))
}

func (t *Table) nodeSlice() []node { return unsafe.Slice(t.nodes, int(t.mask)+1) }

// insert adds a key that the hash part does not have.
func (t *Table) insert(k, v Value) {
	t.flags = 0
	h := hashOf(k)
	mp := t.node(int32(h & t.mask))
	if mp.v.p != nil || t.nodes == &noNodes {
		free := t.freeNode()
		if free < 0 {
			t.rehashAndSet(k, v)
			return
		}
		fn := t.node(free)
		other := int32(mp.hash & t.mask)
		if on := t.node(other); on != mp {
			// The colliding node is not where it belongs: it moves.
			me := int32(h & t.mask)
			for on.next != me {
				on = t.node(on.next)
			}
			on.next = free
			*fn = *mp
			mp.next = -1
		} else {
			fn.next = mp.next
			mp.next = free
			mp = fn
		}
	}
	mp.k, mp.v, mp.hash = k, v, h
}

func (t *Table) freeNode() int32 {
	for t.free > 0 {
		t.free--
		if t.node(t.free).k.p == nil {
			return t.free
		}
	}
	return -1
}

const maxArrayBits = 30

// rehashAndSet sorts all keys into parts of new sizes and adds a new key.
func (t *Table) rehashAndSet(k, v Value) {
	size := t.arraySize(k)
	i := 0
	if k.p == numTag() {
		i = arrayIndex(k)
	}
	inArray := i != 0 && i <= size
	t.resize(size, !inArray)
	switch {
	case !inArray:
		t.insert(k, v)
	case i > len(t.arr):
		t.arr = t.arr[:i]
		fallthrough
	default:
		t.arr[i-1] = v
	}
	t.migrate()
}

// arraySize returns the size for the array part, of which more than a third is
// used then, if key k is added: so much takes less memory there than as nodes.
func (t *Table) arraySize(k Value) int {
	ns := t.nodeSlice()
	ints := intKey(k) != 0 || len(t.arr) > 0
	for i := 0; i < len(ns) && !ints; i++ {
		ints = intKey(ns[i].k) != 0
	}
	if !ints {
		return 0
	}
	return t.countInts(k, ns)
}

// intKey returns the integer k is if it can be in an array part, else 0.
func intKey(k Value) int {
	if k.p == numTag() {
		return arrayIndex(k)
	}
	return 0
}

func (t *Table) countInts(k Value, ns []node) int {
	var nums [maxArrayBits + 1]int // nums[b]: integer keys in (2^(b-1), 2^b]
	ints := 0
	for b, i := 0, 0; i < len(t.arr); b++ {
		n := 0
		for end := min(1<<b, len(t.arr)); i < end; i++ {
			if t.arr[i].p != nil {
				n++
			}
		}
		nums[b] = n
		ints += n
	}
	count := func(i int) {
		if i == 0 {
			return
		}
		if b := bits.Len(uint(i - 1)); b <= maxArrayBits {
			nums[b]++
			ints++
		}
	}
	inArray := ints
	for i := range ns {
		if n := &ns[i]; n.v.p != nil {
			count(intKey(n.k))
		}
	}
	i := intKey(k)
	count(i)
	if n := len(t.arr); n >= 4 && i > n && i-n <= maxGap && inArray >= n/3 {
		// It grows at its end: make room for as much again.
		return 1 << bits.Len(uint(i-1))
	}
	size := 0
	for b, sum := 0, 0; b <= maxArrayBits && (1<<b)/3 < ints; b++ {
		sum += nums[b]
		if sum > (1<<b)/3 {
			size = 1 << b
		}
	}
	return size
}

// resize moves all entries into a new array part for the keys up to size and a
// new hash part, with room for one more key there if more is true; keys with
// nil values are dropped.
func (t *Table) resize(size int, more bool) {
	old, oldArr := t.nodeSlice(), t.arr
	nhash := 0
	if more {
		nhash = 1
	}
	for i := size; i < len(oldArr); i++ {
		if oldArr[i].p != nil {
			nhash++
		}
	}
	last := min(size, len(oldArr))
	for i := range old {
		if n := &old[i]; n.v.p != nil {
			if j := nodeArrayIndex(n, size); j != 0 {
				last = max(last, j)
				continue
			}
			nhash++
		}
	}
	if last >= len(oldArr) && size <= cap(oldArr) && cap(oldArr) <= 4*size+16 {
		t.arr = oldArr[:last]
	} else {
		t.arr = make([]Value, last, size)
		copy(t.arr, oldArr)
	}
	t.nodes, t.mask, t.free = &noNodes, 0, 0
	if nhash > 0 {
		t.makeNodes(nhash)
	}
	for i := last; i < len(oldArr); i++ {
		if oldArr[i].p != nil {
			t.insert(Int(i+1), oldArr[i])
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		n := &old[i]
		if n.v.p == nil {
			continue
		}
		if j := nodeArrayIndex(n, size); j != 0 {
			t.arr[j-1] = n.v
			continue
		}
		t.insert(n.k, n.v)
	}
	t.shrink()
}

// nodeArrayIndex returns the key of n if it is an integer in 1…size, else 0.
func nodeArrayIndex(n *node, size int) int {
	if n.k.p == numTag() {
		if j := arrayIndex(n.k); j <= size {
			return j
		}
	}
	return 0
}
