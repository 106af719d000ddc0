package vm

import (
	"errors"
	"math"
	"math/bits"
	"unsafe"
)

// Table is a Lua table: an array part for the keys 1…len(arr) and a hash part
// of chained nodes with Brent's variation, as in PUC Lua.
//
// Invariants: the last element of arr is not nil; the hash part has no key
// that is in 1…len(arr)+1. So len(arr) is a border. Elements of arr beyond its
// length are nil.
type Table struct {
	arr   []Value
	nodes *node
	mask  uint32
	// free counts down to the node below which unused ones may be found.
	free  int32
	meta  *Table
	flags uint8 // bit e set: metamethod e (< numFlagEvents) is absent here
}

type node struct {
	k, v Value
	next int32 // index of the next node of the chain, -1 at its end
	hash uint32
}

const nodeSize = unsafe.Sizeof(node{})

// noNodes is the hash part of tables without one; it is never written.
var noNodes = node{next: -1}

// Errors of Set: the machine prepends the position.
var (
	errNilIndex = errors.New("table index is nil")
	errNaNIndex = errors.New("table index is NaN")
	errNextKey  = errors.New("invalid key to 'next'")
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

// Value returns t as a Lua value.
func (t *Table) Value() Value { return Value{unsafe.Pointer(t), tagTable} }

// Metatable returns the metatable, nil if there is none.
func (t *Table) Metatable() *Table { return t.meta }

// SetMetatable sets or, with nil, removes the metatable.
func (t *Table) SetMetatable(mt *Table) {
	t.meta = mt
}

// metaField returns the metamethod of t as a metatable, nil if it has none.
func (t *Table) metaField(e event) Value {
	if e < numFlagEvents && t.flags&(1<<e) != 0 {
		return Nil
	}
	if v := t.findStr(eventNames[e]); v != nil && v.p != nil {
		return *v
	}
	if e < numFlagEvents {
		t.flags |= 1 << e
	}
	return Nil
}

func (t *Table) node(i int32) *node {
	return (*node)(unsafe.Add(unsafe.Pointer(t.nodes), uintptr(uint32(i))*nodeSize))
}

// findStr returns the place of the value of a string key, nil without one.
func (t *Table) findStr(s *lstring) *Value {
	h := s.hashed()
	n := t.node(int32(h & t.mask))
	for {
		if n.k.p == unsafe.Pointer(s) {
			return &n.v
		}
		if n.hash == h && n.k.n == tagString && n.k.str().s == s.s {
			return &n.v
		}
		if n.next < 0 {
			return nil
		}
		n = t.node(n.next)
	}
}

// getStr returns the value of a string key whose hash is known.
func (t *Table) getStr(s *lstring) Value {
	if v := t.findStr(s); v != nil {
		return *v
	}
	return Nil
}

// hashNum keeps runs of 64 integers together, so that loops over neighbours
// touch neighbouring nodes; the runs and all other numbers are spread.
func hashNum(n uint64) uint32 {
	f := math.Float64frombits(n)
	if i := int64(f); float64(i) == f {
		return uint32(i) ^ uint32(uint64(i>>6)*0x9E3779B97F4A7C15>>32)
	}
	return uint32(n * 0x9E3779B97F4A7C15 >> 32)
}

func hashPtr(p unsafe.Pointer) uint32 {
	h := uint64(uintptr(p)>>4) * 0x9E3779B97F4A7C15
	return uint32(h >> 32)
}

// hashOf returns the hash of a key that is neither nil nor NaN and, if it is a
// number, normalised.
func hashOf(k Value) uint32 {
	if k.n == tagString {
		return k.str().hashed()
	}
	if k.p == numTag() || k.p == lightTag() {
		return hashNum(k.n)
	}
	return hashPtr(k.p)
}

// find returns the node of a normalised key, nil without one.
func (t *Table) find(k Value) *node {
	h := hashOf(k)
	n := t.node(int32(h & t.mask))
	for {
		if n.k.n == k.n && n.k.p == k.p || n.hash == h && k.n == tagString && n.k.n == tagString && n.k.str().s == k.str().s {
			return n
		}
		if n.next < 0 {
			return nil
		}
		n = t.node(n.next)
	}
}

// findInt is find for an integer that is not in the array part.
func (t *Table) findInt(i int) *node {
	k := math.Float64bits(float64(i))
	n := t.node(int32(hashNum(k) & t.mask))
	for n.k.n != k || n.k.p != numTag() {
		if n.next < 0 {
			return nil
		}
		n = t.node(n.next)
	}
	return n
}

// arrayIndex returns the integer a number key is, 0 if it is none that can be
// in an array part.
func arrayIndex(k Value) int {
	f := k.float()
	i := int(f)
	if float64(i) == f && i > 0 {
		return i
	}
	return 0
}

// normalise makes one key of -0 and 0.
func normalise(k Value) Value {
	if k.p == numTag() && k.n == 1<<63 {
		k.n = 0
	}
	return k
}

// Get returns the value of a key without metamethods.
func (t *Table) Get(k Value) Value {
	switch {
	case k.n == tagString:
		return t.getStr(k.str())
	case k.p == numTag():
		i := int(k.float())
		if uint(i-1) < uint(len(t.arr)) && float64(i) == k.float() {
			return t.arr[i-1]
		}
		if t.nodes == &noNodes {
			return Nil
		}
		k = normalise(k)
	case k.p == nil:
		return Nil
	}
	if n := t.find(k); n != nil {
		return n.v
	}
	return Nil
}

// GetStr is Get with a string key.
func (t *Table) GetStr(s string) Value {
	ls := lstring{s: s}
	return t.getStr(&ls)
}

// GetInt is Get with an integer key.
func (t *Table) GetInt(i int) Value {
	if uint(i-1) < uint(len(t.arr)) {
		return t.arr[i-1]
	}
	if t.nodes == &noNodes {
		return Nil
	}
	if n := t.findInt(i); n != nil {
		return n.v
	}
	return Nil
}

// Set sets the value of a key without metamethods; it fails for the keys nil
// and NaN.
func (t *Table) Set(k, v Value) error {
	switch {
	case k.n == tagString:
		t.setStr(k.str(), v)
		return nil
	case k.p == numTag():
		if i := arrayIndex(k); i != 0 {
			t.SetInt(i, v)
			return nil
		}
		if f := k.float(); f != f {
			return errNaNIndex
		}
		k = normalise(k)
	case k.p == nil:
		return errNilIndex
	}
	t.setHash(k, v)
	return nil
}

// setHash sets a normalised key that belongs into the hash part.
func (t *Table) setHash(k, v Value) {
	if n := t.find(k); n != nil {
		n.v = v
		return
	}
	if v.p != nil {
		t.insert(k, v)
	}
}

// SetStr is Set with a string key.
func (t *Table) SetStr(s string, v Value) {
	ls := lstring{s: s}
	if p := t.findStr(&ls); p != nil {
		if p.p == nil {
			t.flags = 0
		}
		*p = v
		return
	}
	if v.p != nil {
		t.insert(keyString(s), v)
	}
}

func (t *Table) setStr(s *lstring, v Value) {
	if p := t.findStr(s); p != nil {
		if p.p == nil {
			t.flags = 0
		}
		*p = v
		return
	}
	if v.p != nil {
		t.insert(s.value(), v)
	}
}

// SetInt is Set with an integer key.
func (t *Table) SetInt(i int, v Value) {
	n := len(t.arr)
	if uint(i-1) < uint(n) {
		t.arr[i-1] = v
		if i == n && v.p == nil {
			t.shrink()
		}
		return
	}
	if i == n+1 {
		if v.p != nil {
			t.push(v)
		}
		return
	}
	if i > 0 && i <= cap(t.arr) && v.p != nil && (i-n <= maxGap || n == 0 && t.nodes == &noNodes) && t.extend(i, v) {
		return
	}
	t.setHash(Int(i), v)
}

// maxGap is by how many elements one assignment may lengthen the array part.
// It bounds what shrink does, per assignment.
const maxGap = 16

// extend lengthens the array part, within its room, to end with the new
// element i. It refuses if the hash part has the key: what is traversed may be
// assigned to, and must stay where it is.
func (t *Table) extend(i int, v Value) bool {
	n := len(t.arr)
	if t.nodes != &noNodes {
		if nd := t.findInt(i); nd != nil && nd.v.p != nil {
			return false
		}
	}
	t.arr = t.arr[:i]
	t.arr[i-1] = v
	if t.nodes != &noNodes {
		for j := n + 2; j < i; j++ {
			if nd := t.findInt(j); nd != nil && nd.v.p != nil {
				t.arr[j-1], nd.v = nd.v, Nil
			}
		}
		t.migrate()
	}
	return true
}

// Append sets the element after the border.
func (t *Table) Append(v Value) { t.SetInt(len(t.arr)+1, v) }

// shrink restores the invariant after the last element became nil.
func (t *Table) shrink() {
	n := len(t.arr)
	for n > 0 && t.arr[n-1].p == nil {
		n--
	}
	t.arr = t.arr[:n]
}

// push sets element len(arr)+1 to a value that is not nil.
func (t *Table) push(v Value) {
	if len(t.arr) < cap(t.arr) {
		t.arr = append(t.arr, v)
	} else if !t.growArray(v) {
		return
	}
	if t.nodes != &noNodes {
		t.migrate()
	}
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

// setList sets the elements from start+1 on: the values of a constructor.
func (t *Table) setList(start int, list []Value) {
	if len(t.arr) > start {
		for i, v := range list {
			t.SetInt(start+i+1, v)
		}
		return
	}
	if n := start + len(list); n > cap(t.arr) {
		a := make([]Value, len(t.arr), n)
		copy(a, t.arr)
		t.arr = a
	}
	t.arr = append(t.arr[:start], list...)
	if t.nodes != &noNodes {
		for i := range t.arr {
			if n := t.findInt(i + 1); n != nil {
				n.v = Nil
			}
		}
	}
	t.shrink()
	t.migrate()
}

// Len returns a border, as the # operator does.
func (t *Table) Len() int {
	return len(t.arr)
}

// Next returns the entry after key k in traversal order, the first for nil;
// ok is false at the end.
func (t *Table) Next(k Value) (nk, nv Value, ok bool, err error) {
	pos := 0
	switch {
	case k.p == nil:
	case k.p == numTag() && arrayIndex(k) != 0 && arrayIndex(k) <= cap(t.arr):
		pos = arrayIndex(k)
		if pos > len(t.arr) {
			if n := t.find(k); n != nil {
				pos = t.nodeIndex(n) + 1
				nk, nv, _ = t.nextNode(pos)
				return nk, nv, nk.p != nil, nil
			}
		}
	default:
		if k.p == numTag() && k.float() != k.float() {
			return Nil, Nil, false, errNextKey
		}
		n := t.find(normalise(k))
		if n == nil {
			return Nil, Nil, false, errNextKey
		}
		nk, nv, _ = t.nextNode(t.nodeIndex(n) + 1)
		return nk, nv, nk.p != nil, nil
	}
	for ; pos < len(t.arr); pos++ {
		if t.arr[pos].p != nil {
			return Int(pos + 1), t.arr[pos], true, nil
		}
	}
	nk, nv, _ = t.nextNode(0)
	return nk, nv, nk.p != nil, nil
}

func (t *Table) nodeIndex(n *node) int {
	return int((uintptr(unsafe.Pointer(n)) - uintptr(unsafe.Pointer(t.nodes))) / nodeSize)
}

// nextNode returns the first entry of the hash part at or after node i, and
// its index.
func (t *Table) nextNode(i int) (k, v Value, at int) {
	for ; i <= int(t.mask); i++ {
		if n := t.node(int32(i)); n.v.p != nil {
			return n.k, n.v, i
		}
	}
	return Nil, Nil, i
}

// hashStage marks iteration positions in the hash part.
const hashStage = 1 << 40

// iterate is Next with a position instead of a key: 0 at first, then what the
// previous call returned; the key is nil at the end.
func (t *Table) iterate(pos uint64) (k, v Value, next uint64) {
	if pos < hashStage {
		for i := pos; i < uint64(len(t.arr)); i++ {
			if t.arr[i].p != nil {
				return Int(int(i) + 1), t.arr[i], i + 1
			}
		}
		pos = hashStage
	}
	k, v, i := t.nextNode(int(pos - hashStage))
	return k, v, hashStage + uint64(i) + 1
}

// Clear removes all entries and keeps the room for new ones.
func (t *Table) Clear() {
	clear(t.arr)
	t.arr = t.arr[:0]
	if t.nodes != &noNodes {
		ns := t.nodeSlice()
		for i := range ns {
			ns[i] = node{next: -1}
		}
		t.free = int32(len(ns))
	}
	t.flags = 0
}
