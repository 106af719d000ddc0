package vm

import "runtime/metrics"

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

// chargeString counts a new string of n bytes before it is made.
func (t *Thread) chargeString(n int) {
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
