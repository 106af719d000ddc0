package shm

import (
	"math/bits"
	"strconv"
)

// LayoutVersion names the arrangement of bytes in a zone. Of a zone of another version nothing is ever read beyond its header,
// unless its entries are where today's are: then they can be copied.
var LayoutVersion = func() uint32 {
	n, err := strconv.ParseUint(layoutText, 10, 32)
	if err != nil {
		panic("shm: the layout's version is no number")
	}
	return uint32(n)
}()

// layoutText is set to something else by -ldflags -X in the tests of upgrades.
var layoutText = "2"

// firstReadable is the oldest version whose entries are where today's are.
const firstReadable = 1

func readable(version uint32) bool { return version >= firstReadable && version < LayoutVersion }

// Bounds of a zone's size. A reference has 26 bits for the number of a block of 64 bytes, hence the upper one.
const (
	MinSize = 8 << 10
	MaxSize = 4 << 30
)

const (
	zoneMagic = 0x314d4853_4e525250 // "PRRNSHM1" in memory

	blockSize   = 64
	regionBlock = 128 // blocks that share one hint: two cache lines of tags
	regionWords = regionBlock / 8
	maxRun      = 64 // blocks in one extent
	maxStripes  = 64
	noBlock     = 0xff // tag of a place that holds no block
)

// Header of the zone.
const (
	hMagic   = 0
	hVersion = 8
	hStripes = 12
	hSize    = 16
	hBlocks  = 24
	hBuckets = 28
	hEpoch   = 32 // counts FlushAll; an entry of an older epoch is expired
	hReady   = 36 // 1 once Create is done
	hSeed    = 40
	hNameLen = 64
	hName    = 68
	hLen     = 256
	maxName  = hLen - hName
)

// Header of a stripe: two cache lines, the second for statistics.
const (
	sLock      = 0  // owner and the bit of those who wait
	sIntent    = 8  // the entry that is being written in place
	sNewest    = 12 // ends of the list by use
	sOldest    = 16
	sBlocks    = 20 // blocks the stripe owns
	sEntries   = 24
	sCursor    = 28 // word of tags where the last search for blocks ended
	sGarbage   = 32 // elements of removed lists, to be freed a few at a time
	sTurn      = 36 // counts the times that the lock was given back
	sQuiet     = 40 // when the oldest entry expires: until then none has to be removed; 0 when that is not known
	sMoves     = 48 // counts entries that became the newest
	sContended = 64 // times a lock was waited for in the kernel
	sMended    = 72
	sLen       = 128
)

// An entry begins with its extent's link to the next extent, as every extent does.
const (
	xNext    = 0  // next extent of the same entry or element
	eChain   = 4  // next entry of the same bucket: what makes an entry exist
	eNewer   = 8  // neighbours in the list by use
	eOlder   = 12 //
	eExpires = 16 // ms since 1970 in the upper 48 bits, 0 for never; 16 bits of the hash below
	eFlags   = 24
	eKeyLen  = 28
	eType    = 30
	eMark    = 31 // markEntry
	eValLen  = 32 // bytes, or elements of a list
	eEpoch   = 36 // lower half
	eUsed    = 38 // stamp of the last move to the newest end
	eData    = 40 // [first, last element of a list] key value

	lPrev   = 4
	lNext   = 8
	lValLen = 12
	lType   = 16
	lMark   = 17 // markElement
	lData   = 20

	markEntry   = 0xe5
	markElement = 0x1e
	xData       = 4 // data of an extent that is not the first
)

// layout says where in a zone of a given size things are. It is computed, never read, so a damaged header cannot mislead.
type layout struct {
	stripes, buckets, regions, blocks                                    int
	stripeOff, hintOff, hintWords, sumWords, tagOff, bucketOff, blockOff int
}

func layoutFor(size int64) layout {
	var l layout
	places := int(size / blockSize)
	l.stripes = min(max(pow2Floor(int(size>>20)), 1), maxStripes)
	l.buckets = max(pow2Floor(places/2/l.stripes), 16)
	l.regions = (places + regionBlock - 1) / regionBlock
	l.hintWords = (l.regions + 63) / 64
	l.stripeOff = hLen
	l.hintOff = l.stripeOff + l.stripes*sLen
	l.sumWords = (l.hintWords + 63) / 64
	l.tagOff = align(l.hintOff+2*(l.sumWords+l.hintWords)*8, 64) // for each class
	l.bucketOff = l.tagOff + l.regions*regionBlock
	l.blockOff = align(l.bucketOff+l.stripes*l.buckets*4, 64)
	l.blocks = (int(size) - l.blockOff) / blockSize
	return l
}

func pow2Floor(n int) int {
	if n <= 0 {
		return 0
	}
	return 1 << (bits.Len(uint(n)) - 1)
}

func align(n, to int) int { return (n + to - 1) &^ (to - 1) }
