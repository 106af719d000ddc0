package vm

import (
	"runtime"
	"runtime/metrics"
	"time"
	"unsafe"
)

// memory is the account of a VM's soft limit. Go's heap does not say which VM
// an object belongs to, so that the limit is compared with the heap of the
// process; what is counted here only decides how often.
type memory struct {
	limit   int64
	charged int64

	collected time.Time     // when the last collection ended that was made for room
	took      time.Duration // and how long it took
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

// While the heap stays near the limit collections take a part of the time only:
// until the next one is due the heap may exceed the limit by a half.
const collectShare = 8

// MemoryInUse returns the bytes of the heap's objects, dead ones that are not
// yet swept included.
func (m *VM) MemoryInUse() int64 {
	s := [1]metrics.Sample{{Name: objectBytes}}
	metrics.Read(s[:])
	return int64(s[0].Value.Uint64())
}

const objectBytes = "/memory/classes/heap/objects:bytes"

// TakenMemory returns what a limit is compared with: the bytes of objects, dead
// ones that are not yet swept included, and of stacks.
func TakenMemory() int64 { return withStacks(objectBytes) }

// LiveMemory returns the bytes that the last collection found in use, and those of
// stacks.
func LiveMemory() int64 { return withStacks("/gc/heap/live:bytes") }

func withStacks(metric string) int64 {
	s := [2]metrics.Sample{{Name: metric}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s[:])
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
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
	if th := t.checkMemory(int64(n)); th != nil {
		panic(th)
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
	if limit == 0 || TakenMemory()+int64(n) <= limit {
		return true
	}
	runtime.GC()
	return TakenMemory()+int64(n) <= limit
}

// checkMemory returns the error to throw when the heap has no room for n more
// bytes.
func (t *Thread) checkMemory(n int64) *thrown {
	m := t.m
	mem := &m.memory
	over := TakenMemory() + n - mem.limit
	if over > 0 && n <= mem.limit {
		if over < mem.limit/2 && time.Since(mem.collected) < collectShare*mem.took {
			return nil
		}
		over = t.makeRoom() + n - mem.limit
	}
	if over <= 0 {
		return nil
	}
	if m.OverMemory != nil {
		fail, err := m.OverMemory(t, n, over)
		switch {
		case err != nil:
			return &thrown{value: String(err.Error()), abort: err}
		case !fail:
			return nil
		}
	}
	return &thrown{value: String(t.Where(0) + "not enough memory")}
}

// makeRoom collects and returns what is in use then.
func (t *Thread) makeRoom() int64 {
	mem := &t.m.memory
	start := time.Now()
	if t.m.weak.tables != nil {
		t.collect()
	} else {
		t.dropDead()
		runtime.GC()
	}
	mem.collected = time.Now()
	mem.took = mem.collected.Sub(start)
	return TakenMemory()
}
