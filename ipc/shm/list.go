package shm

import "sync/atomic"

// A list is an entry with the references of its first and last element before its key. What is reachable from the first by
// lNext is the list; the last, the ways back and the count are mended from it.
const (
	lFirst = eData
	lLast  = eData + 4
)

type element struct {
	ref uint32
	b   []byte
}

func (s *stripe) element(ref uint32) element {
	b := s.z.at(ref)
	if b[lMark] != markElement {
		panic(corrupt("what should be a list's element is none"))
	}
	return element{ref, b}
}

// store32 is for the words whose change adds or removes an element.
func (s *stripe) store32(ref uint32, field int, v uint32) {
	atomic.StoreUint32(s.z.word32(s.z.lay.blockOff+int(ref>>6)*blockSize+field), v)
}

// LPush inserts a number or a string before the first element and returns the new length. Memory is not made by removing
// other entries.
func (d *Dict) LPush(key []byte, v Value) (n int, err error) { return d.push(key, v, true) }

// RPush appends after the last element.
func (d *Dict) RPush(key []byte, v Value) (n int, err error) { return d.push(key, v, false) }

func (d *Dict) push(key []byte, v Value, left bool) (n int, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return 0, err
	}
	if v.Type != String && v.Type != Number {
		return 0, ErrBadType
	}
	var num [8]byte
	val, err := v.bytes(&num)
	if err != nil {
		return 0, err
	}
	s.acquire()
	defer s.done(&err)
	s.expire(false, &now)
	e, link, live := s.lookup(h, key, &now)
	switch {
	case live && e.typ() != List:
		return 0, ErrNotList
	case link != nil && !live:
		s.remove(e, link)
		link = nil
	}
	// The element first: a list is never empty.
	ref, _ := s.alloc(lData+len(val), true, &now)
	if ref == 0 {
		return 0, ErrNoMemory
	}
	x := element{ref, s.z.at(ref)}
	le.PutUint32(x.b[lPrev:], 0)
	le.PutUint32(x.b[lNext:], 0)
	le.PutUint32(x.b[lValLen:], uint32(len(val)))
	x.b[lType], x.b[lMark] = byte(v.Type), markElement
	p := s.z.span(ref, lData)
	p.write(val)
	if link != nil {
		return s.join(e, x, left), nil
	}
	ref, _ = s.alloc(eData+8+len(key), true, &now)
	if ref == 0 {
		s.freeChain(x.ref)
		return 0, ErrNoMemory
	}
	e = entry{ref, s.z.at(ref)}
	s.fill(e, h, key, &item{typ: List})
	e.put(eValLen, 1)
	e.put(lFirst, x.ref)
	e.put(lLast, x.ref)
	p = s.z.span(ref, e.keyAt())
	p.write(key)
	s.publish(e, h)
	return 1, nil
}

// join adds an element to a list that has one.
func (s *stripe) join(e entry, x element, left bool) int {
	if left {
		first := s.element(e.u32(lFirst))
		le.PutUint32(x.b[lNext:], first.ref)
		s.store32(e.ref, lFirst, x.ref)
		le.PutUint32(first.b[lPrev:], x.ref)
	} else {
		last := s.element(e.u32(lLast))
		if le.Uint32(last.b[lNext:]) != 0 {
			panic(corrupt("a list goes on behind its last element"))
		}
		le.PutUint32(x.b[lPrev:], last.ref)
		s.store32(last.ref, lNext, x.ref)
		e.put(lLast, x.ref)
	}
	n := e.u32(eValLen) + 1
	e.put(eValLen, n)
	return int(n)
}

// LPop removes and returns the first element; Type is None when the key does not exist. A string is read into buf.
func (d *Dict) LPop(key, buf []byte) (v Value, err error) { return d.pop(key, buf, true) }

// RPop removes and returns the last element.
func (d *Dict) RPop(key, buf []byte) (v Value, err error) { return d.pop(key, buf, false) }

func (d *Dict) pop(key, buf []byte, left bool) (Value, error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return Value{}, err
	}
	for {
		v, need, err := s.popOne(h, key, buf, left, &now)
		if need <= cap(buf) {
			return v, err
		}
		buf = make([]byte, need) // not under the lock
	}
}

func (s *stripe) popOne(h uint64, key, buf []byte, left bool, now *clock) (v Value, need int, err error) {
	s.acquire()
	defer s.done(&err)
	s.expire(false, now)
	e, link, live := s.lookup(h, key, now)
	switch {
	case !live:
		return
	case e.typ() != List:
		return v, 0, ErrNotList
	}
	end := lLast
	if left {
		end = lFirst
	}
	x := s.element(e.u32(end))
	v.Type = Type(x.b[lType])
	n := int(le.Uint32(x.b[lValLen:]))
	if v.Type == String {
		need = s.length(n)
	}
	if need > cap(buf) {
		return
	}
	p := s.z.span(x.ref, lData)
	p.value(&v, n, buf[:need])
	count := e.u32(eValLen)
	if count == 1 {
		s.remove(e, link)
		return
	}
	if left {
		next := s.element(le.Uint32(x.b[lNext:]))
		s.store32(e.ref, lFirst, next.ref)
		le.PutUint32(next.b[lPrev:], 0)
	} else {
		prev := s.element(le.Uint32(x.b[lPrev:]))
		if le.Uint32(prev.b[lNext:]) != x.ref {
			panic(corrupt("a list's ways back do not fit"))
		}
		s.store32(prev.ref, lNext, 0)
		e.put(lLast, prev.ref)
	}
	e.put(eValLen, count-1)
	x.b[lMark] = 0
	s.freeChain(x.ref)
	return
}

// LLen returns the number of elements, 0 for a key that does not exist.
func (d *Dict) LLen(key []byte) (n int, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return 0, err
	}
	s.acquire()
	defer s.done(&err)
	s.expire(false, &now)
	e, _, live := s.lookup(h, key, &now)
	switch {
	case !live:
		return 0, nil
	case e.typ() != List:
		return 0, ErrNotList
	}
	return e.valLen(), nil
}

// elementsAtOnce bounds what removing a list costs the operation that does it, and those after it.
const elementsAtOnce = 64

// discard frees a list's elements, when nothing leads to it any more. Those of a long list are left for later operations.
func (s *stripe) discard(first, last uint32) {
	le.PutUint32(s.element(last).b[lNext:], s.get(sGarbage))
	s.put(sGarbage, first)
	s.collect(elementsAtOnce)
}

func (s *stripe) collect(n int) {
	for ref := s.get(sGarbage); ref != 0 && n > 0; n-- {
		x := s.element(ref)
		next := le.Uint32(x.b[lNext:])
		x.b[lMark] = 0
		s.put(sGarbage, next)
		s.freeChain(ref)
		ref = next
	}
}
