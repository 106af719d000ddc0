package shm

import (
	"hash/fnv"
	"sync/atomic"
	"time"
)

// Latch is a lock for something outside of shared memory that a process may leave half done when it is killed: the end of a log
// file. Who takes it learns from Breaks whether that has happened. It may be used by any goroutine of any process that has the zone.
type Latch struct {
	word   *uint64 // as the lock of a stripe
	breaks *uint32
	me     uint64
}

// latchSize is what a latch takes: a cache line.
const latchSize = blockSize

// NewLatch makes a latch for this process alone.
func NewLatch() *Latch { return &Latch{word: new(uint64), breaks: new(uint32), me: Self().word()} }

// Latch returns the latch of that name. A zone for latches holds no entries: they lie where those would be. Names whose hashes
// meet share a latch.
func (z *Zone) Latch(name string) *Latch {
	h := fnv.New32a()
	h.Write([]byte(name))
	at := z.lay.blockOff + int(h.Sum32()%uint32(z.lay.blocks))*latchSize
	return &Latch{word: z.word64(at), breaks: z.word32(at + 8), me: z.me}
}

// Acquire takes the latch, and reports false if another has held it for as long as limit. From a process that is dead it is taken.
func (l *Latch) Acquire(limit time.Duration) bool {
	if atomic.CompareAndSwapUint64(l.word, 0, l.me) || spin(l.word, l.me) {
		return true
	}
	ok, dead := takeSlow(l.word, l.me, limit)
	if dead {
		l.Break()
	}
	return ok
}

// Release gives the latch back.
func (l *Latch) Release() { releaseWord(l.word) }

// Holder tells one holder from another, 0 if there is none.
func (l *Latch) Holder() uint64 { return atomic.LoadUint64(l.word) &^ waiting }

// Break counts that something has been left half done. The caller has the latch.
func (l *Latch) Break() { atomic.AddUint32(l.breaks, 1) }

// Breaks is how often that has been so, since the zone was made.
func (l *Latch) Breaks() uint32 { return atomic.LoadUint32(l.breaks) }
