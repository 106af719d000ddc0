package shm

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
)

// What nearly every operation comes down to is an entry that exists, has not expired and lies in one extent up to the end of
// its key. The functions here do these without a deferred call and, where nothing has to be written, without the lock. They
// trust nothing that they read and never panic: where anything is out of the ordinary they give up, having changed nothing,
// and the operation is done the long way.

// lockFree says that loads are made in the order of the program, which reading beside a writer depends on.
const lockFree = runtime.GOARCH == "amd64"

// quickChain is how many entries of a bucket are looked at.
const quickChain = 8

type sight uint8

const (
	unclear sight = iota
	missing
	found
)

// peek looks for a key. rest is what the first extent has behind it: the value, or its beginning.
func (s *stripe) peek(h uint64, key []byte) (e entry, rest []byte, is sight) {
	z := s.z
	i := int(h) & (z.lay.buckets - 1) * 4
	ref := le.Uint32(s.buckets[i : i+4])
	for range quickChain {
		if ref == 0 {
			return e, nil, missing
		}
		b := z.look(ref)
		if b == nil {
			return e, nil, unclear
		}
		e = entry{ref, b}
		if e.hashTag() == hashTag(h) && e.keyLen() == len(key) {
			at := e.keyAt()
			if at+len(key) > len(b) {
				return e, nil, unclear
			}
			if string(b[at:at+len(key)]) == string(key) {
				return e, b[at+len(key):], found
			}
		}
		ref = e.u32(eChain)
	}
	return e, nil, unclear
}

// look is the memory of an entry's first extent, nil if the reference leads to none.
func (z *Zone) look(ref uint32) []byte {
	if !z.valid(ref) {
		return nil
	}
	off := z.lay.blockOff + int(ref>>6)*blockSize
	b := z.mem[off : off+refBlocks(ref)*blockSize]
	if b[eMark] != markEntry {
		return nil
	}
	return b
}

// never is the end of a quiet time that has none.
const never = math.MaxInt64

// quiet says that there is nothing to be removed before an operation.
func (s *stripe) quiet(now *clock) bool {
	if s.get(sGarbage) != 0 {
		return false
	}
	until := int64(le.Uint64(s.hdr[sQuiet:]))
	return until == never || now.ms() < until
}

func (s *stripe) setQuiet(until int64) { le.PutUint64(s.hdr[sQuiet:], uint64(until)) }

// near says that an entry may stay where it is in the list by use. In a zone of several stripes that is so for the newest
// eighth of a stripe's entries, and for all of a stripe that has far less than its share of the blocks, from which none has to
// be removed. A zone of one stripe keeps the exact order.
func (s *stripe) near(e entry) bool {
	if s.get(sNewest) == e.ref {
		return true
	}
	n := len(s.z.stripes)
	if n == 1 {
		return false
	}
	if int(s.get(sBlocks))*n < s.z.lay.blocks/4*3 {
		return true
	}
	moves := s.stamp() - le.Uint16(e.b[eUsed:])
	return uint32(moves) < s.get(sEntries)/8>>s.z.stampShift
}

// stamp is the present in the count of moves to the newest end, in the units that entries keep it in.
func (s *stripe) stamp() uint16 { return uint16(s.get(sMoves) >> s.z.stampShift) }

// stampShiftFor makes 16 bits reach for eight times the moves of all entries that a stripe has as a rule.
func stampShiftFor(l layout) int {
	return max(bits.Len(uint(l.blocks/l.stripes))-13, 0)
}

// rise makes an entry the newest, unless it is near that. False: the list by use is broken, and nothing was changed.
func (s *stripe) rise(e entry) bool {
	if s.near(e) {
		return true
	}
	z, newest := s.z, s.get(sNewest)
	newer, older := e.u32(eNewer), e.u32(eOlder)
	top, above := z.look(newest), z.look(newer)
	if top == nil || above == nil || le.Uint32(above[eOlder:]) != e.ref {
		return false
	}
	if older == 0 {
		if s.get(sOldest) != e.ref {
			return false
		}
		s.setOldest(newer)
	} else {
		below := z.look(older)
		if below == nil || le.Uint32(below[eNewer:]) != e.ref {
			return false
		}
		le.PutUint32(below[eNewer:], newer)
	}
	le.PutUint32(above[eOlder:], older)
	e.put(eNewer, 0)
	e.put(eOlder, newest)
	le.PutUint32(top[eNewer:], e.ref)
	s.setNewest(e)
	return true
}

// readFree is read without the lock: what it finds was all there at one moment, because no one has held the lock meanwhile.
func (s *stripe) readFree(v *Value, h uint64, key, buf []byte, stale bool, now *clock) (flags uint32, ok bool) {
	if !lockFree || atomic.LoadUint64(s.lock) != 0 {
		return
	}
	turn := atomic.LoadUint32(s.turn)
	if !stale && !s.quiet(now) {
		return
	}
	e, rest, is := s.peek(h, key)
	if is == found {
		if s.expired(e, now) || !s.near(e) || !s.copyOut(v, e, rest, buf) {
			return
		}
		flags = e.u32(eFlags)
	} else {
		v.Type = None
	}
	// In this order: who gives the lock back between two other looks would be missed.
	return flags, is != unclear && atomic.LoadUint64(s.lock) == 0 && atomic.LoadUint32(s.turn) == turn
}

// copyOut takes the value of an entry, a string by way of buf; not if that is too short, or the entry is a list.
func (s *stripe) copyOut(v *Value, e entry, rest, buf []byte) bool {
	v.Type = e.typ()
	n := e.valLen()
	switch {
	case v.Type == String && uint(n) <= uint(cap(buf)):
		v.Str = buf[:n]
		return s.copyChain(v.Str, rest, e.u32(xNext))
	case v.Type == Number && n == 8 && len(rest) >= 8:
		v.Num = math.Float64frombits(le.Uint64(rest))
		return true
	case v.Type == Boolean && n == 1 && len(rest) > 0:
		v.Bool = rest[0] != 0
		return true
	}
	return false
}

// copyChain fills dst from what an extent has and the extents after it.
func (s *stripe) copyChain(dst, src []byte, next uint32) bool {
	z := s.z
	for {
		dst = dst[copy(dst, src):]
		if len(dst) == 0 {
			return true
		}
		if !z.valid(next) {
			return false
		}
		off := z.lay.blockOff + int(next>>6)*blockSize
		src = z.mem[off+xData : off+refBlocks(next)*blockSize]
		next = le.Uint32(z.mem[off+xNext:])
	}
}

// quickly finds an entry that lives, in its first extent up to its value. The lock is held.
func (s *stripe) quickly(h uint64, key []byte, now *clock) (e entry, rest []byte, ok bool) {
	if !s.quiet(now) {
		return
	}
	e, rest, is := s.peek(h, key)
	return e, rest, is == found && !s.expired(e, now)
}

// quickRead is read for what quickly finds.
func (s *stripe) quickRead(v *Value, h uint64, key, buf []byte, now *clock) (flags uint32, ok bool) {
	e, rest, ok := s.quickly(h, key, now)
	if !ok || !s.copyOut(v, e, rest, buf) {
		return 0, false
	}
	return e.u32(eFlags), s.rise(e)
}

// quickIncr adds to a number by one store: it is done or it is not, whatever happens to the process.
func (s *stripe) quickIncr(h uint64, key []byte, by float64, now *clock) (n float64, ok bool) {
	e, rest, ok := s.quickly(h, key, now)
	if !ok || e.typ() != Number || e.valLen() != 8 || len(rest) < 8 || !s.rise(e) {
		return 0, false
	}
	n = math.Float64frombits(le.Uint64(rest)) + by
	le.PutUint64(rest, math.Float64bits(n))
	return n, true
}

// quickStore overwrites a value in the first extent.
func (s *stripe) quickStore(h uint64, key []byte, it *item, now *clock) bool {
	e, rest, ok := s.quickly(h, key, now)
	if !ok || e.typ() == List || len(it.val) > len(rest) || !e.takes(len(key), len(it.val)) || !s.rise(e) {
		return false
	}
	s.begin(e)
	s.describe(e, it)
	copy(rest, it.val)
	s.end()
	return true
}
