package shm

import (
	"math/bits"
	"sync/atomic"
)

// A reference names an extent: the number of its first block in the upper 26 bits, its blocks less one in the lower 6.
// No extent begins at block 0, so 0 is none.
func makeRef(block, n int) uint32 { return uint32(block)<<6 | uint32(n-1) }

func refBlocks(ref uint32) int { return int(ref&63) + 1 }

// corrupt is what the code under a lock panics with when the zone contradicts itself. It never leaves the package: done()
// mends the stripe and makes an ErrCorrupt of it.
type corrupt string

// at is the memory of an extent. Every reference that was read from the zone goes through here (or through valid).
func (z *Zone) at(ref uint32) []byte {
	i, n := int(ref>>6), int(ref&63)+1
	if i == 0 || i+n > z.lay.blocks {
		panic(corrupt("reference out of the zone"))
	}
	off := z.lay.blockOff + i*blockSize
	return z.mem[off : off+n*blockSize : off+n*blockSize]
}

func (z *Zone) valid(ref uint32) bool {
	i, n := int(ref>>6), int(ref&63)+1
	return i != 0 && i+n <= z.lay.blocks
}

// tagWord is the tags of blocks 8*w … 8*w+7.
func (z *Zone) tagWord(w int) *uint64 { return z.word64(z.lay.tagOff + w*8) }

// class tells two kinds of words of tags apart: long values are laid out in words that are free as a whole, short ones in what
// is left in others. So both find their like again when the zone is full, and extents stay long.
type class int

const (
	part  class = iota // words with free blocks and others
	whole              // words of eight free blocks
)

// A class has a bit for every region that may have such words, and over these bits one for every word of them.
func (z *Zone) hintWord(c class, i int) *uint64 {
	return z.word64(z.lay.hintOff + (int(c)*(z.lay.sumWords+z.lay.hintWords)+z.lay.sumWords+i)*8)
}

func (z *Zone) sumWord(c class, i int) *uint64 {
	return z.word64(z.lay.hintOff + (int(c)*(z.lay.sumWords+z.lay.hintWords)+i)*8)
}

// hint notes that a word of the region is of a class.
func (z *Zone) hint(c class, region int) {
	set(z.hintWord(c, region/64), region%64)
	set(z.sumWord(c, region/64/64), region/64%64)
}

func (z *Zone) hinted(c class, region int) bool {
	return atomic.LoadUint64(z.hintWord(c, region/64))>>(region%64)&1 != 0 &&
		atomic.LoadUint64(z.sumWord(c, region/64/64))>>(region/64%64)&1 != 0
}

func set(p *uint64, bit int) {
	if atomic.LoadUint64(p)>>bit&1 == 0 {
		atomic.OrUint64(p, 1<<bit)
	}
}

// hintAll is always right: a hint says that a region may have such words.
func (z *Zone) hintAll() {
	for r := range z.lay.regions {
		z.hint(part, r)
		z.hint(whole, r)
	}
}

const (
	ones  = 0x0101010101010101
	low7  = 0x7f7f7f7f7f7f7f7f
	highs = 0x8080808080808080
)

// bytesEqual has bit i set when byte i of word is b.
func bytesEqual(word uint64, b uint8) uint8 {
	x := word ^ uint64(b)*ones
	t := ^(((x & low7) + low7) | x | low7) // 0x80 in each byte that is zero
	return uint8(t >> 7 * 0x0102040810204080 >> 56)
}

// spread makes a byte 0xff of each bit of m.
func spread(m uint8) uint64 {
	t := uint64(m) * ones & 0x8040201008040201 // bit i stays in byte i
	t = ((t + low7) | t) & highs               // 0x80 in each byte that is not zero
	return t >> 7 * 0xff
}

// run finds the longest run of ones in m that is not longer than want (at least one bit of m is set).
func run(m uint8, want int) (pos, n int) {
	x := m
	for n = 1; n < want; n++ {
		y := x & (m >> n)
		if y == 0 {
			break
		}
		x = y
	}
	return bits.TrailingZeros8(x), n
}

// claim takes up to want free blocks that lie together and returns them as one extent, or 0 when the zone has none free.
// A block is taken by one compare-and-swap of its tag from 0 to the stripe's: there is no allocator lock to be held by a dead.
// With gaps as much as eight blocks may be taken from words that are not free as a whole.
func (s *stripe) claim(want int, gaps bool) uint32 {
	want = min(want, maxRun)
	if want >= 8 {
		ref := s.search(whole, want)
		if ref == 0 && gaps {
			ref = s.search(part, want)
		}
		return ref
	}
	// A gap that is long enough is looked for nearby only.
	cur := s.cursor()
	if ref := s.claimIn(part, cur, (cur/regionWords+1)*regionWords, want, want); ref != 0 {
		return ref
	}
	if ref := s.search(whole, want); ref != 0 {
		return ref
	}
	return s.search(part, want)
}

func (s *stripe) cursor() int {
	if cur := int(s.get(sCursor)); cur < s.z.lay.regions*regionWords {
		return cur
	}
	return 0
}

// search goes round the regions with a hint for the class, beginning at the stripe's own place.
func (s *stripe) search(c class, want int) uint32 {
	z := s.z
	cur := s.cursor()
	first := cur / regionWords
	if ref := s.claimIn(c, cur, (first+1)*regionWords, want, 1); ref != 0 {
		return ref
	}
	n := z.lay.hintWords
	for i := 0; i < n; i++ {
		k := (first/64 + i) % n
		p := z.sumWord(c, k/64)
		if rest := atomic.LoadUint64(p) >> (k % 64); rest&1 == 0 {
			if rest == 0 {
				i += min(63-k%64, n-1-k) // nothing in the rest of this word
			}
			continue
		}
		if ref := s.searchWord(c, k, want); ref != 0 {
			return ref
		}
		// Take a hint away, then look once more: who frees a block sets the hints after it.
		atomic.AndUint64(p, ^(1 << (k % 64)))
		if atomic.LoadUint64(z.hintWord(c, k)) != 0 {
			set(p, k%64)
		}
	}
	return 0
}

// searchWord tries the regions of one word of hints.
func (s *stripe) searchWord(c class, k, want int) uint32 {
	p := s.z.hintWord(c, k)
	for hints := atomic.LoadUint64(p); hints != 0; hints &= hints - 1 {
		bit := bits.TrailingZeros64(hints)
		if r := k*64 + bit; r < s.z.lay.regions {
			from, to := r*regionWords, (r+1)*regionWords
			if ref := s.claimIn(c, from, to, want, 1); ref != 0 {
				return ref
			}
			atomic.AndUint64(p, ^(1 << bit))
			if ref := s.claimIn(c, from, to, want, 1); ref != 0 {
				s.z.hint(c, r)
				return ref
			}
		}
	}
	return 0
}

// claimIn looks for at least atLeast free blocks together in one of the words of tags from … to-1 that is of the class.
func (s *stripe) claimIn(c class, from, to, want, atLeast int) uint32 {
	for w := from; w < to; w++ {
		old := atomic.LoadUint64(s.z.tagWord(w))
		free := bytesEqual(old, 0)
		if free == 0 || (old == 0) != (c == whole) {
			continue
		}
		pos, n := run(free, want)
		if n < atLeast {
			continue
		}
		if !s.take(w, old, pos, n) {
			w-- // someone else was faster: look at the same word again
			continue
		}
		block := w*8 + pos
		if c == whole && n < 8 {
			s.z.hint(part, w/regionWords)
		}
		// A long extent goes on in the words behind.
		for w++; c == whole && want-n >= 8 && w < to && atomic.LoadUint64(s.z.tagWord(w)) == 0 && s.take(w, 0, 0, 8); w++ {
			n += 8
		}
		s.put(sCursor, uint32((block+n)/8))
		s.put(sBlocks, s.get(sBlocks)+uint32(n))
		return makeRef(block, n)
	}
	return 0
}

func (s *stripe) take(w int, old uint64, pos, n int) bool {
	mask := spread(uint8((1<<n - 1) << pos))
	return atomic.CompareAndSwapUint64(s.z.tagWord(w), old, old|uint64(s.tag)*ones&mask)
}

// owns says whether all blocks of an extent have the stripe's tag.
func (s *stripe) owns(ref uint32) bool {
	if !s.z.valid(ref) {
		return false
	}
	mine := true
	eachWord(ref, func(w int, mask uint64) {
		mine = mine && (atomic.LoadUint64(s.z.tagWord(w))^uint64(s.tag)*ones)&mask == 0
	})
	return mine
}

// giveBack frees the blocks of an extent.
func (s *stripe) giveBack(ref uint32) {
	if !s.owns(ref) {
		panic(corrupt("freed blocks are not the stripe's"))
	}
	eachWord(ref, func(w int, mask uint64) {
		c := part
		if atomic.AndUint64(s.z.tagWord(w), ^mask)&^mask == 0 {
			c = whole
		}
		s.z.hint(c, w/regionWords)
	})
	s.put(sBlocks, s.get(sBlocks)-uint32(refBlocks(ref)))
	s.put(sCursor, ref>>6/8) // the next search finds them at once
}

// eachWord calls f for the words of tags that an extent touches.
func eachWord(ref uint32, f func(w int, mask uint64)) {
	block, n := int(ref>>6), refBlocks(ref)
	for n > 0 {
		pos := block % 8
		k := min(8-pos, n)
		f(block/8, spread(uint8((1<<k-1)<<pos)))
		block, n = block+k, n-k
	}
}

// chain is an allocation in the making: extents linked by their first word.
type chain struct {
	head, last uint32
	left       int // bytes still to be had
}

// grow claims blocks until the chain is long enough; false when there are none free now. It may be called again.
func (s *stripe) grow(c *chain, gaps bool) bool {
	for c.left > 0 {
		room := c.left
		if c.head != 0 {
			room += xData
		}
		ref := s.claim((room+blockSize-1)/blockSize, gaps)
		if ref == 0 {
			return false
		}
		b := s.z.at(ref)
		le.PutUint32(b[xNext:], 0)
		c.left -= len(b)
		if c.head == 0 {
			c.head = ref
		} else {
			c.left += xData
			le.PutUint32(s.z.at(c.last)[xNext:], ref)
		}
		c.last = ref
	}
	return true
}

// freeChain frees all extents of an entry or element that nothing leads to any more.
func (s *stripe) freeChain(ref uint32) {
	for ref != 0 {
		next := le.Uint32(s.z.at(ref)[xNext:])
		s.giveBack(ref) // fails when the chain comes round to blocks that are freed already
		ref = next
	}
}

// span is a place in a chain of extents, moving on as it is read or written.
type span struct {
	z    *Zone
	next uint32
	buf  []byte // what is left of the extent
}

func (z *Zone) span(ref uint32, skip int) span {
	b := z.at(ref)
	return span{z: z, next: le.Uint32(b[xNext:]), buf: b[skip:]}
}

func (p *span) more() {
	if p.next == 0 {
		panic(corrupt("a chain of extents is too short"))
	}
	b := p.z.at(p.next)
	p.next, p.buf = le.Uint32(b[xNext:]), b[xData:]
}

func (p *span) write(src []byte) {
	for {
		n := copy(p.buf, src)
		p.buf, src = p.buf[n:], src[n:]
		if len(src) == 0 {
			return
		}
		p.more()
	}
}

func (p *span) read(dst []byte) {
	for {
		n := copy(dst, p.buf)
		p.buf, dst = p.buf[n:], dst[n:]
		if len(dst) == 0 {
			return
		}
		p.more()
	}
}

// equal compares and moves on behind what was equal.
func (p *span) equal(key []byte) bool {
	for {
		n := min(len(p.buf), len(key))
		if string(p.buf[:n]) != string(key[:n]) {
			return false
		}
		p.buf, key = p.buf[n:], key[n:]
		if len(key) == 0 {
			return true
		}
		p.more()
	}
}

func (p *span) skip(n int) {
	for n > len(p.buf) {
		n -= len(p.buf)
		p.more()
	}
	p.buf = p.buf[n:]
}
