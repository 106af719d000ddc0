package shm

import (
	"hash/fnv"
	"sync/atomic"
	"time"
	"unsafe"
)

// Latch is a lock for something outside of shared memory that a process may leave half done when it is killed: the end of a log
// file. Who takes it learns from Breaks whether that has happened. It may be used by any goroutine of any process that has the zone.
type Latch struct {
	// Counts are for whoever uses the latch, who need not hold it to add to them.
	Counts *Counts

	word   *uint64 // as the lock of a stripe
	breaks *uint32
	me     uint64
}

// Counts are numbers that go with a latch. They begin at 0.
type Counts [16]atomic.Uint64

// A zone for latches holds no entries: places for latches lie where those would be.
const (
	pWord   = 0
	pBreaks = 8
	pNamed  = 12 // 1 when the name is complete
	pHash   = 16 // of the name, 0 while the place is free
	pLen    = 24
	pCounts = blockSize
	pName   = 3 * blockSize
	pSize   = 8 * blockSize
)

// NewLatch makes a latch for this process alone.
func NewLatch() *Latch {
	return &Latch{word: new(uint64), breaks: new(uint32), me: Self().word(), Counts: new(Counts)}
}

func (z *Zone) places() int { return z.lay.blocks * blockSize / pSize }

// place is where the i-th latch is. The first has no name: it counts for all that have no place of their own.
func (z *Zone) place(i int) int { return z.lay.blockOff + i*pSize }

func (z *Zone) latch(i int) *Latch {
	at := z.place(i)
	return &Latch{word: z.word64(at + pWord), breaks: z.word32(at + pBreaks), me: z.me, Counts: z.counts(i)}
}

func (z *Zone) counts(i int) *Counts {
	return (*Counts)(unsafe.Pointer(&z.mem[z.place(i)+pCounts]))
}

// Latch returns the latch of that name. With keep the name gets a place of its own for good, while there is one; without it, only
// one that it has already. Other names share latches as their hashes meet, and all of them the same counts.
func (z *Zone) Latch(name string, keep bool) *Latch {
	h := hashName(name)
	n := z.places() - 1
	first := int(h % uint64(n))
	for k := range n {
		i := 1 + (first+k)%n
		at := z.place(i)
		have := atomic.LoadUint64(z.word64(at + pHash))
		if have == 0 && keep && atomic.CompareAndSwapUint64(z.word64(at+pHash), 0, h) {
			text := name[:min(len(name), pSize-pName)]
			copy(z.mem[at+pName:], text)
			atomic.StoreUint32(z.word32(at+pLen), uint32(len(text)))
			atomic.StoreUint32(z.word32(at+pNamed), 1)
			return z.latch(i)
		}
		if have = atomic.LoadUint64(z.word64(at + pHash)); have == h {
			return z.latch(i)
		}
		if have == 0 {
			break
		}
	}
	l := z.latch(1 + first)
	l.Counts = z.counts(0)
	return l
}

// EachCounts calls f for each name that has a place, and for "" with what the others have counted.
func (z *Zone) EachCounts(f func(name string, c *Counts)) {
	f("", z.counts(0))
	for i := 1; i < z.places(); i++ {
		at := z.place(i)
		if atomic.LoadUint32(z.word32(at+pNamed)) == 1 {
			n := min(int(atomic.LoadUint32(z.word32(at+pLen))), pSize-pName)
			f(string(z.mem[at+pName:at+pName+n]), z.counts(i))
		}
	}
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return max(h.Sum64(), 1)
}

// Acquire takes the latch, and reports false if another has held it for as long as limit. From a process that is dead it is taken.
func (l *Latch) Acquire(limit time.Duration) bool {
	if atomic.CompareAndSwapUint64(l.word, 0, l.me) || spin(l.word, l.me, shortDelay) {
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
