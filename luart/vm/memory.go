package vm

import (
	"runtime"
	"runtime/metrics"
	"unsafe"
)

// memory is the account of a VM's soft limit. Go's heap does not say which VM
// an object belongs to, so that the limit is compared with the heap of the
// process; what is counted here only decides how often.
type memory struct {
	limit   int64
	charged int64
}

// memoryStep is how many charged bytes, and memoryUnits how many units of work,
// may pass between two looks at the heap.
const (
	memoryStep  = 4 << 20
	memoryUnits = 1 << 18
)

const (
	valueSize  = int(unsafe.Sizeof(Value{}))
	tableSize  = int(unsafe.Sizeof(Table{}))
	threadSize = int(unsafe.Sizeof(Thread{}) + initialStack*unsafe.Sizeof(Value{}) + initialFrames*unsafe.Sizeof(frame{}))
)

// MemoryInUse returns the bytes of the heap's objects, dead ones that are not
// yet swept included.
func (m *VM) MemoryInUse() int64 {
	s := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s[:])
	return int64(s[0].Value.Uint64())
}

// SetMemoryLimit makes Lua fail with "not enough memory" while the heap is
// larger than soft bytes; 0 removes the limit.
func (m *VM) SetMemoryLimit(soft int64) {
	m.memory.limit = soft
	if soft > 0 && m.budgetHook == nil {
		m.budgetEvery = memoryUnits
		m.budget = min(m.budget, memoryUnits)
	}
}

// ChargeBytes counts n bytes of a Go function's memory before they are made.
func (t *Thread) ChargeBytes(n int) { t.chargeString(n) }

// chargeString counts a new string, or other memory, of n bytes before it is made,
// and the time that takes.
func (t *Thread) chargeString(n int) {
	if n >= longString {
		t.Charge(n >> 8)
	}
	mem := &t.m.memory
	if mem.limit == 0 {
		return
	}
	if mem.charged += int64(n); mem.charged < memoryStep {
		return
	}
	mem.charged = 0
	if t.overLimit(int64(n)) {
		t.throwf("not enough memory")
	}
}

// longString is how many bytes take so long that they are counted as work.
const longString = 4096

// grown returns b with room for n more bytes, which are counted before they are made.
func (t *Thread) grown(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	if need > maxString {
		t.errMemory()
	}
	size := max(need, 2*cap(b))
	t.chargeString(size)
	return append(make([]byte, 0, size), b...)
}

// set is tb[k] = v without metamethods, with the memory that it takes counted.
func (t *Thread) set(tb *Table, k, v Value) error {
	if n := len(tb.arr); n == cap(tb.arr) && k.p == numTag() && k.float() == float64(n+1) {
		t.chargeString(2 * valueSize * n)
	}
	mask := tb.mask
	err := tb.Set(k, v)
	if tb.mask > mask {
		t.chargeString(int(tb.mask) * int(nodeSize))
	}
	return err
}

// chargeTable counts a table of a constructor.
func (t *Thread) chargeTable(narr, nhash int) {
	t.chargeString(tableSize + narr*valueSize + nhash*int(nodeSize))
}

// fits reports whether the heap has room for n more bytes.
func (m *VM) fits(n int) bool {
	limit := m.memory.limit
	if limit == 0 || m.MemoryInUse()+int64(n) <= limit {
		return true
	}
	runtime.GC()
	return m.MemoryInUse()+int64(n) <= limit
}

// overLimit looks at whether the heap has no room for n more bytes, and again
// after a collection.
func (t *Thread) overLimit(n int64) bool {
	m := t.m
	if m.memory.limit == 0 || m.MemoryInUse()+n <= m.memory.limit {
		return false
	}
	t.collect()
	return m.MemoryInUse()+n > m.memory.limit
}
