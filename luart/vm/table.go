package vm

import (
	"errors"
	"math"
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

// setList sets the elements from start+1 on: the values of a constructor.
func (t *Table) setList(start int, list []Value) {
	if len(t.arr) > start {
		for i, v := range list {
			t.SetInt(start+i+1, v)
		}
		return
	}
	if n := start + len(list); n > cap(t.arr) {
		if start > 0 { // a constructor longer than what its instruction can say
			n = max(n, 2*cap(t.arr))
		}
		a := make([]Value, len(t.arr), n)
		copy(a, t.arr)
		t.arr = a
	}
	t.arr = append(t.arr[:start], list...)
	if t.nodes != &noNodes {
		for i := start; i < len(t.arr); i++ {
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
