package shm

import "sync/atomic"

// Update lets f change the bytes of a value under the lock: what counters and states of other modules need. The value is a
// string of size bytes. found tells f whether it was there; if not (or if it had another length), it is made of zeros first.
// With a ttl above 0 the value lives that long from now. f is brief and uses no dictionary. When the process dies in f, the
// entry is lost.
func (d *Dict) Update(key []byte, size int, ttl int64, f func(val []byte, found bool)) (forcible bool, err error) {
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
		forcible, err = s.write(h, key, e, link, &item{typ: String, val: zeros(size)}, false, &now)
		if err != nil {
			return forcible, err
		}
		e, _ = s.find(h, key)
	}
	atomic.StoreUint32(s.intent, e.ref)
	if ttl > 0 {
		e.setExpires(now.after(ttl))
	}
	p := s.z.span(e.ref, eData)
	p.skip(len(key))
	if len(p.buf) >= size {
		f(p.buf[:size:size], found)
	} else {
		q, val := p, make([]byte, size)
		p.read(val)
		f(val, found)
		q.write(val)
	}
	atomic.StoreUint32(s.intent, 0)
	return forcible, nil
}

var zeroed [256]byte

func zeros(n int) []byte {
	if n <= len(zeroed) {
		return zeroed[:n]
	}
	return make([]byte, n)
}
