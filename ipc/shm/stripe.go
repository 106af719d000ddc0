package shm

import (
	"cmp"
	"fmt"
	"math/bits"
	"sync/atomic"
)

// hash is keyed by the zone's seed, so that who chooses the keys cannot choose the bucket.
func (z *Zone) hash(key []byte) uint64 {
	const k0, k1, k2 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93, 0xa0761d6478bd642f
	h := z.seed ^ k0
	n := uint64(len(key))
	for len(key) > 16 {
		hi, lo := bits.Mul64(le.Uint64(key)^k1^z.seed, le.Uint64(key[8:])^h)
		h = hi ^ lo
		key = key[16:]
	}
	var a, b uint64
	switch {
	case len(key) >= 8:
		a, b = le.Uint64(key), le.Uint64(key[len(key)-8:])
	case len(key) >= 4:
		a, b = uint64(le.Uint32(key)), uint64(le.Uint32(key[len(key)-4:]))
	case len(key) > 0:
		a = uint64(key[0])<<16 | uint64(key[len(key)/2])<<8 | uint64(key[len(key)-1])
	}
	hi, lo := bits.Mul64(a^k1^z.seed, b^h)
	hi, lo = bits.Mul64(hi^lo^k2, n^k0^z.seed)
	return hi ^ lo
}

// The hash's bits: the lowest choose the bucket, the highest 6 the stripe, 16 in between are kept in the entry.
func (z *Zone) stripeOf(h uint64) *stripe {
	return &z.stripes[int(h>>58)&(len(z.stripes)-1)]
}

func hashTag(h uint64) uint16 { return uint16(h >> 32) }

func (s *stripe) bucket(h uint64) *uint32 {
	i := int(h) & (s.z.lay.buckets - 1)
	return s.z.word32(s.z.lay.bucketOff + (s.id*s.z.lay.buckets+i)*4)
}

// entry is an entry's first extent and its reference.
type entry struct {
	ref uint32
	b   []byte
}

func (e entry) u32(field int) uint32    { return le.Uint32(e.b[field:]) }
func (e entry) put(field int, v uint32) { le.PutUint32(e.b[field:], v) }
func (e entry) keyLen() int             { return int(le.Uint16(e.b[eKeyLen:])) }
func (e entry) typ() Type               { return Type(e.b[eType]) }
func (e entry) valLen() int             { return int(e.u32(eValLen)) }
func (e entry) expires() int64          { return int64(le.Uint64(e.b[eExpires:]) >> 16) }
func (e entry) hashTag() uint16         { return le.Uint16(e.b[eExpires:]) }

const maxExpires = 1<<48 - 1

// setExpires gives an entry another end.
func (s *stripe) setExpires(e entry, ms int64) {
	le.PutUint64(e.b[eExpires:], uint64(min(ms, maxExpires))<<16|uint64(e.hashTag()))
	if s.get(sOldest) == e.ref {
		s.setQuiet(0)
	}
}

// live notes that an entry is of the time after the last FlushAll.
func (s *stripe) live(e entry) { le.PutUint16(e.b[eEpoch:], uint16(s.z.epoch())) }

func (s *stripe) flushed(e entry) bool { return le.Uint16(e.b[eEpoch:]) != uint16(s.z.epoch()) }

// keyAt is where the key begins in the first extent.
func (e entry) keyAt() int {
	if e.typ() == List {
		return eData + 8
	}
	return eData
}

func (s *stripe) entry(ref uint32) entry {
	b := s.z.at(ref)
	if b[eMark] != markEntry {
		panic(corrupt("what should be an entry is none"))
	}
	return entry{ref, b}
}

// limit bounds a walk over entries of the stripe, so that a circle ends it.
func (s *stripe) limit() int { return int(min(s.get(sEntries), uint32(s.z.lay.blocks))) + 1 }

// find returns the entry of a key and the word that leads to it (its bucket, or the entry before it). It moves nothing.
func (s *stripe) find(h uint64, key []byte) (e entry, link *uint32) {
	link = s.bucket(h)
	for n := s.limit(); ; n-- {
		ref := atomic.LoadUint32(link)
		if ref == 0 {
			return entry{}, nil
		}
		if n == 0 {
			panic(corrupt("a bucket's chain does not end"))
		}
		e = s.entry(ref)
		if e.hashTag() == hashTag(h) && e.keyLen() == len(key) {
			p := s.z.span(ref, e.keyAt())
			if p.equal(key) {
				return e, link
			}
		}
		link = s.chainWord(ref)
	}
}

func (s *stripe) chainWord(ref uint32) *uint32 {
	return s.z.word32(s.z.lay.blockOff + int(ref>>6)*blockSize + eChain)
}

// linkTo finds the word that leads to a known entry.
func (s *stripe) linkTo(e entry) *uint32 {
	link := s.bucket(s.z.hash(s.key(e)))
	for n := s.limit(); n > 0; n-- {
		ref := atomic.LoadUint32(link)
		if ref == e.ref {
			return link
		}
		s.entry(ref)
		link = s.chainWord(ref)
	}
	panic(corrupt("an entry is not in its bucket"))
}

// key is the entry's key: in place if it lies in one extent, so it is valid under the lock only.
func (s *stripe) key(e entry) []byte {
	n, at := e.keyLen(), e.keyAt()
	if at+n <= len(e.b) {
		return e.b[at : at+n : at+n]
	}
	return s.appendKey(nil, e)
}

// appendKey copies the entry's key.
func (s *stripe) appendKey(buf []byte, e entry) []byte {
	old := len(buf)
	buf = append(buf, make([]byte, e.keyLen())...)
	p := s.z.span(e.ref, e.keyAt())
	p.read(buf[old:])
	return buf
}

// expired says whether the entry's time is over, or all was flushed after it was written.
func (s *stripe) expired(e entry, now *clock) bool {
	if s.flushed(e) {
		return true
	}
	t := e.expires()
	return t != 0 && t <= now.ms()
}

// clock asks for the time at most once in an operation, and only when an entry can expire.
type clock struct {
	f func() int64
	t int64
}

func (c *clock) ms() int64 {
	if c.t == 0 {
		c.t = c.f()
	}
	return c.t
}

// after is a time to live from now as an end, as far away as an entry can hold.
func (c *clock) after(ttl int64) int64 { return c.ms() + min(ttl, maxExpires) }

// lookup finds a key; an entry that is not expired becomes the newest.
func (s *stripe) lookup(h uint64, key []byte, now *clock) (e entry, link *uint32, live bool) {
	e, link = s.find(h, key)
	if link == nil || s.expired(e, now) {
		return e, link, false
	}
	s.touch(e)
	return e, link, true
}

func (s *stripe) touch(e entry) {
	if !s.rise(e) {
		panic(corrupt("the list by use is broken"))
	}
}

func (s *stripe) setOldest(ref uint32) {
	s.put(sOldest, ref)
	s.setQuiet(0)
}

func (s *stripe) setNewest(e entry) {
	s.put(sNewest, e.ref)
	s.put(sMoves, s.get(sMoves)+1)
	le.PutUint16(e.b[eUsed:], s.stamp())
}

// linkUse puts an entry at the newest end of the list by use.
func (s *stripe) linkUse(e entry) {
	old := s.get(sNewest)
	e.put(eNewer, 0)
	e.put(eOlder, old)
	if old != 0 {
		s.entry(old).put(eNewer, e.ref)
	} else {
		s.setOldest(e.ref)
	}
	s.setNewest(e)
}

func (s *stripe) unlinkUse(e entry) {
	newer, older := e.u32(eNewer), e.u32(eOlder)
	// Look before writing: a damaged link must not spoil what it happens to lead to.
	switch {
	case newer == 0 && s.get(sNewest) != e.ref, newer != 0 && s.entry(newer).u32(eOlder) != e.ref,
		older == 0 && s.get(sOldest) != e.ref, older != 0 && s.entry(older).u32(eNewer) != e.ref:
		panic(corrupt("the list by use is broken"))
	}
	if newer != 0 {
		s.entry(newer).put(eOlder, older)
	} else {
		s.put(sNewest, older)
	}
	if older != 0 {
		s.entry(older).put(eNewer, newer)
	} else {
		s.setOldest(newer)
	}
}

// publish makes a finished entry exist: the store into the bucket is the moment.
func (s *stripe) publish(e entry, h uint64) {
	b := s.bucket(h)
	e.put(eChain, *b)
	s.put(sEntries, s.get(sEntries)+1)
	*b = e.ref
	s.linkUse(e)
}

// remove ends an entry's existence by the store into the word that led to it, then frees its blocks.
func (s *stripe) remove(e entry, link *uint32) {
	*link = e.u32(eChain)
	s.unlinkUse(e)
	s.put(sEntries, s.get(sEntries)-1)
	e.b[eMark] = 0
	if e.typ() == List {
		s.discard(e.u32(lFirst), e.u32(lLast))
	}
	s.freeChain(e.ref)
}

// expire removes from the oldest end: with force the oldest entry whatever it is, and then up to two more (without force
// at all: up to two) that are expired. It returns how many went.
func (s *stripe) expire(force bool, now *clock) int {
	if !force && s.quiet(now) {
		return 0
	}
	if s.get(sGarbage) != 0 {
		s.collect(elementsAtOnce)
	}
	gone := 0
	for n := range 3 {
		if n == 0 && !force {
			continue
		}
		ref := s.get(sOldest)
		if ref == 0 {
			s.setQuiet(never)
			break
		}
		e := s.entry(ref)
		if n != 0 && !s.expired(e, now) {
			s.setQuiet(cmp.Or(e.expires(), never))
			break
		}
		s.remove(e, s.linkTo(e))
		gone++
	}
	return gone
}

// evict makes room: from this stripe when it has its share of the zone or more, else from one that has more than its share,
// so that shares even out; in need from whichever has anything. Other stripes are only tried: no lock is waited for under a
// lock.
func (s *stripe) evict(now *clock) bool {
	z := s.z
	if len(z.stripes) == 1 {
		return s.expire(true, now) > 0
	}
	share := uint32(z.lay.blocks / len(z.stripes))
	if s.get(sBlocks) >= share && s.expire(true, now) > 0 {
		return true
	}
	if s.evictOther(share, now) || s.expire(true, now) > 0 {
		return true
	}
	return s.evictOther(0, now)
}

func (s *stripe) evictOther(over uint32, now *clock) bool {
	z := s.z
	from := int(z.rotor.Add(1))
	for i := range z.stripes {
		v := &z.stripes[(from+i)%len(z.stripes)]
		if v == s || v.get(sBlocks) <= over || !v.tryAcquire() {
			continue
		}
		if v.expireLocked(now) > 0 {
			return true
		}
	}
	return false
}

func (s *stripe) expireLocked(now *clock) (n int) {
	var err error // the damage is the victim's; it is mended there
	defer s.done(&err)
	return s.expire(true, now)
}

// alloc finds blocks for size bytes. Without safe up to 30 times the least recently used entries give way for it.
func (s *stripe) alloc(size int, safe bool, now *clock) (ref uint32, forcible bool) {
	c := chain{left: size}
	for !s.grow(&c, false) {
		if s.get(sGarbage) != 0 {
			s.collect(1 << 10)
			continue
		}
		return s.allocFull(&c, size, safe, now)
	}
	return c.head, false
}

// gapsAfter is how often entries give way for a long value before it is put into gaps: else gaps would be all that is left in
// a full zone, and every long value a chain of single blocks. When much of the zone is free gaps are taken at once.
const (
	gapsAfter = 8
	muchFree  = 16 // one part of so many
)

func (s *stripe) allocFull(c *chain, size int, safe bool, now *clock) (ref uint32, forcible bool) {
	z := s.z
	if c.left > 7*blockSize-xData && (safe || z.Stats().FreeBytes > z.size/muchFree) && s.grow(c, true) {
		return c.head, false
	}
	if !safe && size <= z.lay.blocks*blockSize {
		for i := range 30 {
			if !s.evict(now) {
				break
			}
			forcible = true
			if s.grow(c, i >= gapsAfter) {
				return c.head, true
			}
		}
		if s.grow(c, true) {
			return c.head, forcible
		}
	}
	s.freeChain(c.head)
	return 0, forcible
}

// done ends every operation: it lets the stripe go, after mending it when the operation found it to contradict itself.
func (s *stripe) done(err *error) {
	r := recover()
	if r == nil {
		s.release()
		return
	}
	s.mend()
	s.release()
	why, ok := r.(corrupt)
	if !ok {
		panic(r)
	}
	*err = fmt.Errorf("%w: %s", ErrCorrupt, string(why))
}
