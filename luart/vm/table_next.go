package vm

import "unsafe"

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

// hashStage marks positions in the hash part, of loops over pairs: these keep a
// position in the place of the key, as long as nobody looks.
const hashStage = 1 << 40
