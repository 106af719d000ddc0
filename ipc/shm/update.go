package shm

// What the function given to Modify may return instead of a time to live.
const (
	Keep   = -1 // the entry lives as long as it did; a new one for ever
	Remove = -2 // the entry is not there any more
)

// Modify lets f change the bytes of a value under the lock: what counters and states of other modules need. The value is a
// string of size bytes. found tells f whether it was there; if not (or if it had another length), it is made of zeros first,
// for which with safe no entry that is not expired has to go: ErrNoMemory then. f returns the milliseconds that the value
// lives from now, 0 for ever, Keep or Remove. It is brief and uses no dictionary. When the process dies in f, the entry is
// lost.
func (d *Dict) Modify(key []byte, size int, safe bool, f func(val []byte, found bool) int64) (forcible bool, err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return false, err
	}
	s.acquire()
	defer s.done(&err)
	s.expire(false, &now)
	e, link, live := s.lookup(h, key, &now)
	found := live && e.typ() == String && e.valLen() == size
	if !found {
		forcible, err = s.write(h, key, e, link, &item{typ: String, val: zeros(size)}, safe, &now)
		if err != nil {
			return forcible, err
		}
		e, link = s.find(h, key)
	}
	s.begin(e)
	p := s.z.span(e.ref, eData)
	p.skip(len(key))
	var ttl int64
	if len(p.buf) >= size {
		ttl = f(p.buf[:size:size], found)
	} else {
		q, val := p, make([]byte, size)
		p.read(val)
		ttl = f(val, found)
		q.write(val)
	}
	switch {
	case ttl > 0:
		s.setExpires(e, now.after(ttl))
	case ttl == 0:
		s.setExpires(e, 0)
	}
	s.end()
	if ttl == Remove {
		s.remove(e, link)
	}
	return forcible, nil
}

// Update is Modify for values that live for ttl from now, or with a ttl of 0 as long as they did, and for which others may
// have to go.
func (d *Dict) Update(key []byte, size int, ttl int64, f func(val []byte, found bool)) (forcible bool, err error) {
	return d.Modify(key, size, false, func(val []byte, found bool) int64 {
		f(val, found)
		if ttl > 0 {
			return ttl
		}
		return Keep
	})
}

var zeroed [256]byte

func zeros(n int) []byte {
	if n <= len(zeroed) {
		return zeroed[:n]
	}
	return make([]byte, n)
}
