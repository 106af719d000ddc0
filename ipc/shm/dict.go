package shm

import (
	"errors"
	"math"
	"time"
)

// Type is the type of a value, numbered as in Lua.
type Type uint8

// The types a value can have. None is the type of what is not there.
const (
	None    Type = 0
	Boolean Type = 1
	Number  Type = 3
	String  Type = 4
	List    Type = 5
)

// Value is what a key holds. Bool, Num or Str counts, as Type says.
type Value struct {
	Type Type
	Bool bool
	Num  float64
	Str  []byte
}

// Bool, Num and Str make values.
func Bool(b bool) Value   { return Value{Type: Boolean, Bool: b} }
func Num(n float64) Value { return Value{Type: Number, Num: n} }
func Str(s []byte) Value  { return Value{Type: String, Str: s} }

// The texts are ngx_lua's, where it has the error.
var (
	ErrNoMemory  = errors.New("no memory")
	ErrExists    = errors.New("exists")
	ErrNotFound  = errors.New("not found")
	ErrNotNumber = errors.New("not a number")
	ErrIsList    = errors.New("value is a list")
	ErrNotList   = errors.New("value not a list")
	ErrEmptyKey  = errors.New("empty key")
	ErrLongKey   = errors.New("key too long")
	ErrBadType   = errors.New("bad value type")
	ErrCorrupt   = errors.New("the shared memory was damaged and has been mended")
)

const maxKey = 65535

// Dict is the dictionary of a zone. Keys and values are any bytes; times are in milliseconds.
type Dict struct {
	z *Zone
	// Now is the wall clock in milliseconds, the same for all processes that share the zone. It may be a cached time.
	Now func() int64
}

// Dict returns the zone's dictionary.
func (z *Zone) Dict() *Dict {
	return &Dict{z: z, Now: func() int64 { return time.Now().UnixMilli() }}
}

func (d *Dict) open(key []byte) (s *stripe, h uint64, now clock, err error) {
	switch {
	case len(key) == 0:
		return nil, 0, now, ErrEmptyKey
	case len(key) > maxKey:
		return nil, 0, now, ErrLongKey
	}
	h = d.z.hash(key)
	return d.z.stripeOf(h), h, clock{f: d.Now}, nil
}

// Get returns the value and the user flags of a key; Type is None when the key does not exist or is expired. A string is
// read into buf (from its beginning) and allocated only when buf is too short.
func (d *Dict) Get(key, buf []byte) (v Value, flags uint32, err error) {
	flags, _, err = d.get(&v, key, buf, false)
	return v, flags, err
}

// Read is Get into *v, for who has a place for values.
func (d *Dict) Read(v *Value, key, buf []byte) (flags uint32, err error) {
	flags, _, err = d.get(v, key, buf, false)
	return flags, err
}

// GetStale returns expired values, too, as long as their memory was not needed.
func (d *Dict) GetStale(key, buf []byte) (v Value, flags uint32, stale bool, err error) {
	flags, stale, err = d.get(&v, key, buf, true)
	return v, flags, stale, err
}

func (d *Dict) get(v *Value, key, buf []byte, stale bool) (flags uint32, old bool, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		*v = Value{}
		return 0, false, err
	}
	if flags, ok := s.readFree(v, h, key, buf, stale, &now); ok {
		return flags, false, nil
	}
	for {
		flags, old, n, err := s.read(v, h, key, buf, stale, &now)
		if n <= cap(buf) {
			return flags, old, err
		}
		buf = make([]byte, n) // not under the lock
	}
}

// read is one attempt of get: when it returns a need above cap(buf), nothing was read.
func (s *stripe) read(v *Value, h uint64, key, buf []byte, stale bool, now *clock) (flags uint32, old bool, need int, err error) {
	s.acquire()
	if !stale {
		if flags, ok := s.quickRead(v, h, key, buf, now); ok {
			s.release()
			return flags, false, 0, nil
		}
	}
	*v = Value{}
	defer s.done(&err)
	if !stale {
		s.expire(false, now)
	}
	e, link, live := s.lookup(h, key, now)
	if link == nil || !live && !stale {
		return
	}
	if e.typ() == List {
		return 0, false, 0, ErrIsList
	}
	v.Type, flags, old = e.typ(), e.u32(eFlags), !live
	p := s.z.span(e.ref, eData)
	p.skip(len(key))
	if v.Type == String {
		need = s.length(e.valLen())
	}
	if need <= cap(buf) {
		p.value(v, e.valLen(), buf[:need])
	}
	return
}

// length checks the length of a value before memory is made for it.
func (s *stripe) length(n int) int {
	if n < 0 || n > s.z.lay.blocks*blockSize {
		panic(corrupt("a value is longer than the zone"))
	}
	return n
}

// value reads a value of v.Type and n bytes; buf has the length of a string.
func (p *span) value(v *Value, n int, buf []byte) {
	var b [8]byte
	switch {
	case v.Type == String:
		p.read(buf)
		v.Str = buf
	case v.Type == Number && n == 8:
		p.read(b[:])
		v.Num = math.Float64frombits(le.Uint64(b[:]))
	case v.Type == Boolean && n == 1:
		p.read(b[:1])
		v.Bool = b[0] != 0
	default:
		panic(corrupt("a value has an unknown type or a wrong length"))
	}
}

// bytes is the value as it is kept; b is for those that are no strings.
func (v *Value) bytes(b *[8]byte) ([]byte, error) {
	switch v.Type {
	case String:
		return v.Str, nil
	case Number:
		le.PutUint64(b[:], math.Float64bits(v.Num))
		return b[:], nil
	case Boolean:
		b[0] = 0
		if v.Bool {
			b[0] = 1
		}
		return b[:1], nil
	}
	return nil, ErrBadType
}

type mode uint8

const (
	add mode = 1 << iota
	replace
	safe
)

// Set stores a value whatever was there. exptime 0 is for ever. forcible says that other entries had to go for it.
func (d *Dict) Set(key []byte, v Value, exptime int64, flags uint32) (forcible bool, err error) {
	return d.store(key, v, exptime, flags, 0)
}

// SafeSet is Set that fails with ErrNoMemory rather than removing entries that are not expired.
func (d *Dict) SafeSet(key []byte, v Value, exptime int64, flags uint32) error {
	_, err := d.store(key, v, exptime, flags, safe)
	return err
}

// Add is Set for a key that does not exist, else ErrExists.
func (d *Dict) Add(key []byte, v Value, exptime int64, flags uint32) (forcible bool, err error) {
	return d.store(key, v, exptime, flags, add)
}

// SafeAdd is to Add as SafeSet is to Set.
func (d *Dict) SafeAdd(key []byte, v Value, exptime int64, flags uint32) error {
	_, err := d.store(key, v, exptime, flags, add|safe)
	return err
}

// Replace is Set for a key that exists, else ErrNotFound.
func (d *Dict) Replace(key []byte, v Value, exptime int64, flags uint32) (forcible bool, err error) {
	return d.store(key, v, exptime, flags, replace)
}

// item is what an entry is made of.
type item struct {
	typ     Type
	val     []byte
	expires int64
	flags   uint32
}

func (d *Dict) store(key []byte, v Value, exptime int64, flags uint32, m mode) (forcible bool, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return false, err
	}
	var num [8]byte
	it := item{typ: v.Type, flags: flags}
	if it.val, err = v.bytes(&num); err != nil {
		return false, err
	}
	if exptime > 0 {
		it.expires = now.after(exptime)
	}
	s.acquire()
	if m&add == 0 && s.quickStore(h, key, &it, &now) {
		s.release()
		return false, nil
	}
	defer s.done(&err)
	s.expire(false, &now)
	e, link, live := s.lookup(h, key, &now)
	switch {
	case m&replace != 0 && !live:
		return false, ErrNotFound
	case m&add != 0 && live:
		return false, ErrExists
	}
	return s.write(h, key, e, link, &it, m&safe != 0, &now)
}

// write stores an item over the entry that link leads to, or as a new one when link is nil.
func (s *stripe) write(h uint64, key []byte, e entry, link *uint32, it *item, safe bool, now *clock) (forcible bool, err error) {
	size := eData + len(key) + len(it.val)
	if link != nil {
		if e.typ() != List && e.takes(len(key), len(it.val)) {
			s.overwrite(e, len(key), it)
			return false, nil
		}
		s.remove(e, link)
	}
	ref, forcible := s.alloc(size, safe, now)
	if ref == 0 {
		return forcible, ErrNoMemory
	}
	e = entry{ref, s.z.at(ref)}
	s.fill(e, h, key, it)
	p := s.z.span(ref, eData)
	p.write(key)
	p.write(it.val)
	s.publish(e, h)
	return forcible, nil
}

// takes says whether a value of n bytes can be written over the one that an entry has.
func (e entry) takes(keyLen, n int) bool {
	return e.valLen() == n || e.u32(xNext) == 0 && blocksFor(eData+keyLen+n) == refBlocks(e.ref)
}

func blocksFor(size int) int { return (size + blockSize - 1) / blockSize }

// fill writes a new entry's header, which nothing leads to yet.
func (s *stripe) fill(e entry, h uint64, key []byte, it *item) {
	le.PutUint64(e.b[eExpires:], uint64(min(it.expires, maxExpires))<<16|uint64(hashTag(h)))
	e.put(eFlags, it.flags)
	le.PutUint16(e.b[eKeyLen:], uint16(len(key)))
	e.b[eType] = byte(it.typ)
	e.b[eMark] = markEntry
	e.put(eValLen, uint32(len(it.val)))
	s.live(e)
}

// overwrite writes in place.
func (s *stripe) overwrite(e entry, keyLen int, it *item) {
	s.touch(e)
	s.begin(e)
	s.describe(e, it)
	p := s.z.span(e.ref, eData)
	p.skip(keyLen)
	p.write(it.val)
	s.end()
}

// begin and end are around what is written in place: the intent tells who mends the stripe that this entry may be half
// written. A process that is killed has made its stores in the order of the program, so plain ones will do.
func (s *stripe) begin(e entry) { *s.intent = e.ref }
func (s *stripe) end()          { *s.intent = 0 }

// describe makes the header of an entry that of another value.
func (s *stripe) describe(e entry, it *item) {
	s.setExpires(e, it.expires)
	e.put(eFlags, it.flags)
	e.b[eType] = byte(it.typ)
	e.put(eValLen, uint32(len(it.val)))
	s.live(e)
}

// Delete removes a key; it is no error when there is none.
func (d *Dict) Delete(key []byte) (err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return err
	}
	s.acquire()
	defer s.done(&err)
	s.expire(false, &now)
	if e, link := s.find(h, key); link != nil {
		s.remove(e, link)
	}
	return nil
}

// Incr adds to a number and returns the sum. ErrNotFound when the key does not exist, ErrNotNumber when it is none.
func (d *Dict) Incr(key []byte, by float64) (n float64, err error) {
	n, _, err = d.incr(key, by, nil, 0)
	return n, err
}

// IncrInit is Incr that makes init+by of a key that does not exist, to live for ttl (0: for ever).
func (d *Dict) IncrInit(key []byte, by, init float64, ttl int64) (n float64, forcible bool, err error) {
	return d.incr(key, by, &init, ttl)
}

func (d *Dict) incr(key []byte, by float64, init *float64, ttl int64) (n float64, forcible bool, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return 0, false, err
	}
	s.acquire()
	if n, ok := s.quickIncr(h, key, by, &now); ok {
		s.release()
		return n, false, nil
	}
	defer s.done(&err)
	s.expire(false, &now)
	e, link, live := s.lookup(h, key, &now)
	if !live {
		if init == nil {
			return 0, false, ErrNotFound
		}
		var b [8]byte
		n = *init + by
		le.PutUint64(b[:], math.Float64bits(n))
		it := item{typ: Number, val: b[:]}
		if ttl > 0 {
			it.expires = now.after(ttl)
		}
		if forcible, err = s.write(h, key, e, link, &it, false, &now); err != nil {
			return 0, forcible, err
		}
		return n, forcible, nil
	}
	if e.typ() != Number || e.valLen() != 8 {
		return 0, false, ErrNotNumber
	}
	p := s.z.span(e.ref, eData)
	p.skip(len(key))
	q := p
	var v Value
	v.Type = Number
	p.value(&v, 8, nil)
	n = v.Num + by
	if len(q.buf) >= 8 {
		// One store: it is done or it is not, whatever happens to the process.
		le.PutUint64(q.buf, math.Float64bits(n))
		return n, false, nil
	}
	var b [8]byte
	le.PutUint64(b[:], math.Float64bits(n))
	s.begin(e)
	q.write(b[:])
	s.end()
	return n, false, nil
}

// TTL returns the time a key has left, 0 for ever. As in ngx_lua an expired entry that is still there has a negative one.
func (d *Dict) TTL(key []byte) (ms int64, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return 0, err
	}
	s.acquire()
	defer s.done(&err)
	e, link := s.find(h, key)
	switch {
	case link == nil:
		return 0, ErrNotFound
	case s.flushed(e):
		return 1 - now.ms(), nil // FlushAll's mark, in ngx_lua's terms: expired in the first millisecond
	case e.expires() == 0:
		return 0, nil
	}
	return e.expires() - now.ms(), nil
}

// Expire gives a key another time to live (0: for ever), an expired one that is still there, too.
func (d *Dict) Expire(key []byte, exptime int64) (err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return err
	}
	at := int64(0)
	if exptime > 0 {
		at = now.after(exptime)
	}
	s.acquire()
	defer s.done(&err)
	e, link := s.find(h, key)
	if link == nil {
		return ErrNotFound
	}
	s.setExpires(e, at)
	s.live(e)
	return nil
}

// Capacity is the size of the zone.
func (d *Dict) Capacity() int64 { return d.z.size }

// FreeSpace is the memory that is in no entry. All of it can be had by any entry, for there is one size of block.
func (d *Dict) FreeSpace() int64 { return d.z.Stats().FreeBytes }
