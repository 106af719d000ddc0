package vm

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"unsafe"
)

// lstring is a Lua string object. hash is 0 until it is needed.
type lstring struct {
	s    string
	hash uint32
	// event is 1 + the metamethod event this string names, 0 for others; set
	// only on the static strings of eventNames.
	event uint8
}

var hashSeed = maphash.MakeSeed()

func (s *lstring) hashed() uint32 {
	if s.hash == 0 {
		s.hash = hashString(s.s)
	}
	return s.hash
}

// hashString is never 0.
func hashString(s string) uint32 {
	h := maphash.String(hashSeed, s)
	return uint32(h) ^ uint32(h>>32) | 1<<31
}

func (s *lstring) equal(o *lstring) bool {
	if s == o {
		return true
	}
	if s.hash != 0 && o.hash != 0 && s.hash != o.hash {
		return false
	}
	return s.s == o.s
}

// Objects with room for the bytes of short strings, so that these take one
// allocation. The sizes fill Go's size classes.
type (
	lstring8 struct {
		lstring
		b [8]byte
	}
	lstring24 struct {
		lstring
		b [24]byte
	}
	lstring40 struct {
		lstring
		b [40]byte
	}
	lstring72 struct {
		lstring
		b [72]byte
	}
	lstring104 struct {
		lstring
		b [104]byte
	}
)

// newStringBuf returns a string object of n bytes and its bytes, which the
// caller fills before anyone else sees the string.
func newStringBuf(n int) (*lstring, []byte) {
	var s *lstring
	var b []byte
	switch {
	case n <= 8:
		o := &lstring8{}
		s, b = &o.lstring, o.b[:n]
	case n <= 24:
		o := &lstring24{}
		s, b = &o.lstring, o.b[:n]
	case n <= 40:
		o := &lstring40{}
		s, b = &o.lstring, o.b[:n]
	case n <= 72:
		o := &lstring72{}
		s, b = &o.lstring, o.b[:n]
	case n <= 104:
		o := &lstring104{}
		s, b = &o.lstring, o.b[:n]
	default:
		s, b = &lstring{}, make([]byte, n)
	}
	s.s = unsafe.String(unsafe.SliceData(b), n)
	return s, b
}

func (s *lstring) value() Value { return Value{unsafe.Pointer(s), tagString} }

// emptyString is the one string of no bytes that the package makes itself.
var emptyString = func() *lstring { s := &lstring{}; s.hashed(); return s }()

// String returns a Lua string that keeps s: never pass a view of a buffer that
// is reused.
func String(s string) Value {
	if s == "" {
		return emptyString.value()
	}
	return (&lstring{s: s}).value()
}

// Bytes returns a Lua string with a copy of b.
func Bytes(b []byte) Value {
	if len(b) == 0 {
		return emptyString.value()
	}
	s, buf := newStringBuf(len(b))
	copy(buf, b)
	return s.value()
}

// copyString is Bytes for a view of another string: it does not keep s alive.
func copyString(s string) Value {
	return Bytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// CopiedString returns a Lua string with a copy of s, for short parts of long
// strings.
func CopiedString(s string) Value { return copyString(s) }

// intern table of a VM: names and constants of loaded chunks, so that equal
// keys are mostly the same object. It only speeds things up and is dropped when
// it grows large.
const maxInterned = 1 << 16

func (m *VM) intern(s string) *lstring {
	if len(s) == 1 {
		return &byteStrings[s[0]]
	}
	if o, ok := m.interned[s]; ok {
		return o
	}
	if len(m.interned) >= maxInterned {
		clear(m.interned)
		m.internEvents()
	}
	o := findName(s)
	if o == nil {
		o = &lstring{s: s}
		o.hashed()
	}
	m.interned[s] = o
	return o
}

// recentStrings are strings that were made not long ago, each in the place of
// its hash. One that is made again and again, such as a word of a text that
// serves as a key, is the same object each time: no allocation, its hash is
// known, and a table finds it by its address.
type recentStrings struct {
	short [4096]*lstring
	long  [1024]*lstring
}

// The longest strings that are looked for among the recent ones. Longer parts of
// strings than maxRecentPart seldom come again.
const (
	maxRecentPart = 40
	maxRecent     = 2048
)

// copyPart returns a copy of s, a part of a longer string.
func (m *VM) copyPart(s string) Value {
	if len(s) > maxRecentPart {
		return copyString(s)
	}
	return m.recentCopy(s)
}

// recentCopy returns a copy of s, which is not empty, or the recent string that is equal.
func (m *VM) recentCopy(s string) Value {
	if m.recent == nil {
		m.recent = new(recentStrings)
	}
	if len(s) > maxRecentPart {
		return m.recentLong(s)
	}
	h := hashString(s)
	place := &m.recent.short[h%uint32(len(m.recent.short))]
	if o := *place; o != nil && o.hash == h && o.s == s {
		return o.value()
	}
	o := m.interned[s]
	if o == nil {
		var b []byte
		o, b = newStringBuf(len(s))
		copy(b, s)
		o.hash = h
	}
	*place = o
	return o.value()
}

// recentLong is recentCopy for long strings, whose place a few of their bytes
// decide: what is wanted is one comparison, not a hash of it all besides.
func (m *VM) recentLong(s string) Value {
	const k = 0x9E3779B97F4A7C15
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	h := uint64(len(s))
	for i := range 5 {
		h = (h ^ binary.LittleEndian.Uint64(b[i*(len(b)-8)/4:])) * k
		h ^= h >> 32
	}
	place := &m.recent.long[h%uint64(len(m.recent.long))]
	if o := *place; o != nil && o.s == s {
		return o.value()
	}
	v := copyString(s)
	*place = v.str()
	return v
}

// Recent is Bytes for strings that are likely to be made again soon, such as the
// values of a store or names that serve as keys.
func (m *VM) Recent(b []byte) Value {
	if len(b) == 0 || len(b) > maxRecent {
		return Bytes(b)
	}
	return m.recentCopy(unsafe.String(unsafe.SliceData(b), len(b)))
}

// PushRecent is PushBytes with a string of Recent.
func (t *Thread) PushRecent(b []byte) { t.Push(t.m.Recent(b)) }

// Part returns a string with a copy of s, a part of a longer string.
func (m *VM) Part(s string) Value {
	if s == "" {
		return emptyString.value()
	}
	return m.copyPart(s)
}

// names are the keys that Go code sets by name: those of the libraries, which the
// constants of chunks then are the same objects as, so that the machine finds
// them by their addresses. All VMs share them; what comes when they are many is
// copied each time.
var names = struct {
	sync.RWMutex
	m map[string]*lstring
}{m: make(map[string]*lstring)}

const (
	maxNames = 1 << 12
	maxName  = 40
)

func init() {
	for _, e := range &eventNames {
		names.m[e.s] = e
	}
	for i := range byteStrings {
		names.m[byteStrings[i].s] = &byteStrings[i]
	}
}

func findName(s string) *lstring {
	names.RLock()
	defer names.RUnlock()
	return names.m[s]
}

// keyString returns s for use as a key, in an object of its own or as the name
// that it is. Names of metamethods are always the same object, which the machine
// counts on to find them fast.
func keyString(s string) Value {
	if len(s) > maxName {
		return copyString(s)
	}
	if o := findName(s); o != nil {
		return o.value()
	}
	v := copyString(s)
	v.str().hashed()
	names.Lock()
	defer names.Unlock()
	if o := names.m[s]; o != nil {
		return o.value()
	}
	if len(names.m) < maxNames {
		names.m[v.str().s] = v.str()
	}
	return v
}

func (m *VM) internEvents() {
	for _, e := range &eventNames {
		m.interned[e.s] = e
	}
}

// Intern returns the string as a value whose lookup as a table key is fast:
// for names that Go code uses again and again.
func (m *VM) Intern(s string) Value { return m.intern(s).value() }

// event is a metamethod. The first eight have absence flags in tables.
type event uint8

const (
	evIndex event = iota
	evNewindex
	evEq
	evLen
	evCall
	evMode
	evGC
	evMetatable
	evAdd
	evSub
	evMul
	evDiv
	evMod
	evPow
	evUnm
	evConcat
	evLt
	evLe
	evTostring
	numEvents
)

const numFlagEvents = 8

var eventNames = func() (a [numEvents]*lstring) {
	for i, s := range [numEvents]string{"__index", "__newindex", "__eq", "__len", "__call", "__mode", "__gc",
		"__metatable", "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__concat", "__lt", "__le",
		"__tostring"} {
		a[i] = &lstring{s: s, event: uint8(i) + 1}
		a[i].hashed()
	}
	return a
}()
