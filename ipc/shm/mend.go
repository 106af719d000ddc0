package shm

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// census walks a stripe without trusting anything in it and marks the blocks that are rightly in use.
type census struct {
	s    *stripe
	seen []uint8 // bit b of seen[w] is block 8*w+b
	undo []uint32
}

func newCensus(s *stripe) *census {
	return &census{s: s, seen: make([]uint8, s.z.lay.regions*regionWords)}
}

// mark takes an extent into the census: it must be in the zone, the stripe's own, and in nothing else.
func (c *census) mark(ref uint32) bool {
	if !c.s.owns(ref) {
		return false
	}
	for b, end := int(ref>>6), int(ref>>6)+refBlocks(ref); b < end; b++ {
		if c.seen[b/8]&(1<<(b%8)) != 0 {
			return false
		}
	}
	c.flip(ref)
	c.undo = append(c.undo, ref)
	return true
}

func (c *census) flip(ref uint32) {
	for b, end := int(ref>>6), int(ref>>6)+refBlocks(ref); b < end; b++ {
		c.seen[b/8] ^= 1 << (b % 8)
	}
}

// forget undoes the marks after the first n of the current entry.
func (c *census) forget(n int) {
	for _, ref := range c.undo[n:] {
		c.flip(ref)
	}
	c.undo = c.undo[:n]
}

// chain marks the extents that hold need bytes; the last of them must be the end.
func (c *census) chain(ref uint32, need int) bool {
	for {
		if !c.mark(ref) {
			return false
		}
		b := c.s.z.at(ref)
		need -= len(b)
		ref = le.Uint32(b[xNext:])
		if need <= 0 {
			return ref == 0
		}
		need += xData
	}
}

// entry marks the blocks of an entry (without a list's elements) and returns the hash of its key; why is empty if all is well.
func (c *census) entry(ref uint32) (e entry, h uint64, why string) {
	z := c.s.z
	if !z.valid(ref) {
		return e, 0, "reference out of the zone"
	}
	e = entry{ref, z.at(ref)}
	n := e.valLen()
	if e.b[eMark] != markEntry || e.keyLen() == 0 || n > z.lay.blocks*blockSize || !fits(e.typ(), n) && e.typ() != List {
		return e, 0, "no entry's header"
	}
	need := e.keyAt() + e.keyLen()
	if e.typ() != List {
		need += n
	}
	c.undo = c.undo[:0]
	if !c.chain(ref, need) {
		c.forget(0)
		return e, 0, "its blocks are not all its own"
	}
	h = z.hash(c.s.key(e))
	if hashTag(h) != e.hashTag() || z.stripeOf(h) != c.s {
		c.forget(0)
		return e, 0, "the hash is not that of its key"
	}
	return e, h, ""
}

// fits says whether a value of a type can have n bytes.
func fits(t Type, n int) bool {
	return t == String || t == Number && n == 8 || t == Boolean && n == 1
}

// element marks the blocks of a list's element.
func (c *census) element(ref uint32) bool {
	z := c.s.z
	if !z.valid(ref) {
		return false
	}
	b := z.at(ref)
	n := int(le.Uint32(b[lValLen:]))
	t := Type(b[lType])
	if b[lMark] != markElement || n > z.lay.blocks*blockSize || !fits(t, n) || t == Boolean {
		return false
	}
	before := len(c.undo)
	if !c.chain(ref, lData+n) {
		c.forget(before)
		return false
	}
	return true
}

// mend makes a stripe consistent again; its lock is held. What the buckets lead to is kept, except the entry that was being
// written in place and what contradicts itself; everything else (the list by use, ways back, counts, tags) is made from it.
// It can itself be killed at any instruction and begun anew.
func (s *stripe) mend() {
	s.put(sMended, s.get(sMended)+1)
	c := newCensus(s)
	kept := make(map[uint32]bool, min(s.limit(), 1<<16)) // true while not yet in order
	intent := atomic.LoadUint32(s.intent)
	for i := range s.z.lay.buckets {
		link := s.bucket(uint64(i))
		for ref := atomic.LoadUint32(link); ref != 0; ref = atomic.LoadUint32(link) {
			e, h, why := c.entry(ref)
			if why != "" || s.bucket(h) != s.bucket(uint64(i)) {
				if why == "" {
					c.forget(0)
				}
				atomic.StoreUint32(link, 0) // what comes behind it is lost, too
				break
			}
			if ref == intent || e.typ() == List && !s.mendList(c, e) {
				c.forget(0)
				atomic.StoreUint32(link, e.u32(eChain))
				continue
			}
			kept[ref] = true
			link = s.chainWord(ref)
		}
	}
	s.mendUse(kept)
	s.put(sEntries, uint32(len(kept)))
	s.put(sGarbage, 0)
	s.mendTags(c)
	s.end()
}

// mendList ends a list before its first bad element and makes the rest from the way forward. False: nothing is left of it.
func (s *stripe) mendList(c *census, e entry) bool {
	n, prev := uint32(0), uint32(0)
	for ref := e.u32(lFirst); ref != 0; {
		if !c.element(ref) {
			if prev == 0 {
				return false
			}
			s.store32(prev, lNext, 0)
			break
		}
		b := s.z.at(ref)
		le.PutUint32(b[lPrev:], prev)
		prev, ref = ref, le.Uint32(b[lNext:])
		n++
	}
	e.put(lLast, prev)
	e.put(eValLen, n)
	return n > 0
}

// mendUse makes the list by use: what can be followed from both ends keeps its order; others count as new.
func (s *stripe) mendUse(kept map[uint32]bool) {
	follow := func(ref uint32, field int) (refs []uint32) {
		for kept[ref] {
			kept[ref] = false
			refs = append(refs, ref)
			ref = le.Uint32(s.z.at(ref)[field:])
		}
		return refs
	}
	newer := follow(s.get(sNewest), eOlder)
	older := follow(s.get(sOldest), eNewer)
	s.put(sNewest, 0)
	s.setOldest(0)
	link := func(ref uint32) { s.linkUse(entry{ref, s.z.at(ref)}) }
	for _, ref := range older {
		link(ref)
	}
	for i := len(newer) - 1; i >= 0; i-- {
		link(newer[i])
	}
	for ref, left := range kept {
		if left {
			link(ref)
		}
	}
}

// mendTags frees the blocks that are the stripe's but in nothing, and counts the others.
func (s *stripe) mendTags(c *census) {
	n := 0
	for w := range c.seen {
		mine := bytesEqual(atomic.LoadUint64(s.z.tagWord(w)), s.tag)
		if lost := mine &^ c.seen[w]; lost != 0 {
			atomic.AndUint64(s.z.tagWord(w), ^spread(lost))
		}
		n += bits.OnesCount8(c.seen[w])
	}
	s.put(sBlocks, uint32(n))
	s.z.hintAll()
}

// Mend mends every stripe, and frees the blocks whose tags name no stripe.
func (z *Zone) Mend() {
	for i := range z.stripes {
		s := &z.stripes[i]
		s.acquire()
		s.mend()
		s.release()
	}
	for w := range z.lay.regions * regionWords {
		word := atomic.LoadUint64(z.tagWord(w))
		for b := range 8 {
			block, tag := w*8+b, uint8(word>>(b*8))
			mask := uint64(0xff) << (b * 8)
			switch inside := block > 0 && block < z.lay.blocks; {
			case !inside:
				atomic.OrUint64(z.tagWord(w), mask)
			case int(tag) > len(z.stripes):
				atomic.AndUint64(z.tagWord(w), ^mask)
			}
		}
	}
}

// Check stops the zone (it holds all locks), walks all of it and says what contradicts itself.
func (z *Zone) Check() error {
	for i := range z.stripes {
		z.stripes[i].acquire()
		defer z.stripes[i].release()
	}
	used := make([]uint8, z.lay.regions*regionWords)
	for i := range z.stripes {
		s := &z.stripes[i]
		c := newCensus(s)
		if err := s.check(c); err != nil {
			return fmt.Errorf("shared memory zone \"%s\", stripe %d: %w", z.name, i, err)
		}
		for w := range used {
			used[w] |= c.seen[w] // a block cannot be in two stripes: its tag is checked
		}
	}
	for w := range used {
		word := atomic.LoadUint64(z.tagWord(w))
		for b := range 8 {
			block, tag := w*8+b, uint8(word>>(b*8))
			inside := block > 0 && block < z.lay.blocks
			if inside && (tag != 0) != (used[w]&(1<<b) != 0) || !inside && tag != noBlock {
				return fmt.Errorf("shared memory zone \"%s\": block %d has tag %d, in use %v", z.name, block, tag, used[w]&(1<<b) != 0)
			}
		}
		if bytesEqual(word, 0) == 0 {
			continue
		}
		c, r := part, w/regionWords
		if word == 0 {
			c = whole
		}
		if !z.hinted(c, r) {
			return fmt.Errorf("shared memory zone \"%s\": region %d has free blocks and no hint", z.name, r)
		}
	}
	return nil
}

func (s *stripe) check(c *census) error {
	if ref := atomic.LoadUint32(s.intent); ref != 0 {
		return fmt.Errorf("entry %#x is marked as being written", ref)
	}
	kept := make(map[uint32]bool)
	for i := range s.z.lay.buckets {
		for ref := atomic.LoadUint32(s.bucket(uint64(i))); ref != 0; {
			e, h, why := c.entry(ref)
			if why == "" && s.bucket(h) != s.bucket(uint64(i)) {
				why = "it is in another's bucket"
			}
			if why == "" && e.typ() == List {
				why = s.checkList(c, e)
			}
			if why != "" {
				return fmt.Errorf("bucket %d, entry %#x: %s", i, ref, why)
			}
			kept[ref] = true
			ref = e.u32(eChain)
		}
	}
	n, newer := 0, uint32(0)
	for ref := s.get(sNewest); ref != 0; n++ {
		if !kept[ref] {
			return fmt.Errorf("the list by use leads to %#x, which is no entry or was passed", ref)
		}
		kept[ref] = false
		b := s.z.at(ref)
		if le.Uint32(b[eNewer:]) != newer {
			return fmt.Errorf("the list by use is broken at %#x", ref)
		}
		newer, ref = ref, le.Uint32(b[eOlder:])
	}
	if n != len(kept) || newer != s.get(sOldest) || n != int(s.get(sEntries)) {
		return fmt.Errorf("%d entries, counted %d, of which %d by use; oldest %#x, noted %#x",
			len(kept), s.get(sEntries), n, newer, s.get(sOldest))
	}
	for ref := s.get(sGarbage); ref != 0; ref = le.Uint32(s.z.at(ref)[lNext:]) {
		if !c.element(ref) {
			return fmt.Errorf("garbage at %#x is no element", ref)
		}
	}
	blocks := 0
	for _, m := range c.seen {
		blocks += bits.OnesCount8(m)
	}
	if blocks != int(s.get(sBlocks)) {
		return fmt.Errorf("%d blocks in use, counted %d", blocks, s.get(sBlocks))
	}
	return nil
}

func (s *stripe) checkList(c *census, e entry) string {
	n, prev := 0, uint32(0)
	for ref := e.u32(lFirst); ref != 0; n++ {
		if !c.element(ref) {
			return fmt.Sprintf("element %d at %#x is none", n, ref)
		}
		b := s.z.at(ref)
		if le.Uint32(b[lPrev:]) != prev {
			return fmt.Sprintf("the way back from element %d is broken", n)
		}
		prev, ref = ref, le.Uint32(b[lNext:])
	}
	if n == 0 || n != e.valLen() || prev != e.u32(lLast) {
		return fmt.Sprintf("a list of %d elements says %d; last %#x, noted %#x", n, e.valLen(), prev, e.u32(lLast))
	}
	return ""
}
