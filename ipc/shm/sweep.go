package shm

import (
	"sync/atomic"
)

// Operations on all entries take a stripe's lock for one slice at a time.
const (
	sliceEntries = 256
	sliceBuckets = 2048
)

type verdict uint8

const (
	keep verdict = iota
	drop
	stop // keep, and end the walk
	dropAndStop
)

// sweep shows visit every entry of the zone that is there from the beginning to the end of the call. A stripe with few
// entries is walked from the oldest to the newest, as ngx_lua does; one with many by its buckets, which can be left and taken
// up again.
func (z *Zone) sweep(visit func(s *stripe, e entry) verdict) error {
	for i := range z.stripes {
		s := &z.stripes[i]
		next, stopped, err := s.sweepByUse(visit)
		for err == nil && !stopped && next < z.lay.buckets {
			next, stopped, err = s.sweepBuckets(next, visit)
		}
		if err != nil || stopped {
			return err
		}
	}
	return nil
}

func (s *stripe) sweepByUse(visit func(*stripe, entry) verdict) (next int, stopped bool, err error) {
	s.acquire()
	defer s.done(&err)
	n := int(s.get(sEntries))
	if n > sliceEntries {
		return 0, false, nil
	}
	for ref := s.get(sOldest); ref != 0; n-- {
		if n == 0 {
			panic(corrupt("the list by use does not end"))
		}
		e := s.entry(ref)
		ref = e.u32(eNewer)
		if s.judge(e, visit(s, e)) {
			return 0, true, nil
		}
	}
	return s.z.lay.buckets, false, nil
}

func (s *stripe) sweepBuckets(from int, visit func(*stripe, entry) verdict) (next int, stopped bool, err error) {
	s.acquire()
	defer s.done(&err)
	to := min(from+sliceBuckets, s.z.lay.buckets)
	for seen := 0; from < to && seen < sliceEntries; from++ {
		limit := s.limit()
		for ref := atomic.LoadUint32(s.bucket(uint64(from))); ref != 0; seen++ {
			if limit--; limit < 0 {
				panic(corrupt("a bucket's chain does not end"))
			}
			e := s.entry(ref)
			ref = e.u32(eChain)
			if s.judge(e, visit(s, e)) {
				return from, true, nil
			}
		}
	}
	return from, false, nil
}

func (s *stripe) judge(e entry, v verdict) (stopped bool) {
	if v == drop || v == dropAndStop {
		s.remove(e, s.linkTo(e))
	}
	return v == stop || v == dropAndStop
}

// FlushAll marks everything as expired, at once for all stripes; as in ngx_lua the memory of a few entries is freed by it.
func (d *Dict) FlushAll() error {
	if uint16(d.z.epoch()+1) == 0 {
		// Entries keep half of the number: none may be left from when it was this one.
		if _, err := d.FlushExpired(0); err != nil {
			return err
		}
	}
	atomic.AddUint32(d.z.word32(hEpoch), 1)
	for i := range d.z.stripes {
		now := clock{f: d.Now}
		d.z.stripes[i].expireFlushed(&now)
	}
	return nil
}

func (s *stripe) expireFlushed(now *clock) {
	var err error // mended; what was damaged was flushed anyway
	s.acquire()
	defer s.done(&err)
	s.setQuiet(0)
	if ref := s.get(sOldest); ref != 0 && s.expired(s.entry(ref), now) {
		s.expire(true, now)
	}
}

// FlushExpired frees the memory of expired entries, of up to max when max is not 0, and returns how many went.
func (d *Dict) FlushExpired(max int) (n int, err error) {
	now := clock{f: d.Now}
	err = d.z.sweep(func(s *stripe, e entry) verdict {
		if !s.expired(e, &now) {
			return keep
		}
		if n++; n == max {
			return dropAndStop
		}
		return drop
	})
	return n, err
}

// GetKeys returns up to max keys (0: all) that are not expired. While others work in the zone a key may be missed that is
// replaced meanwhile, or come twice.
func (d *Dict) GetKeys(max int) (keys [][]byte, err error) {
	now := clock{f: d.Now}
	err = d.z.sweep(func(s *stripe, e entry) verdict {
		if s.expired(e, &now) {
			return keep
		}
		keys = append(keys, s.appendKey(nil, e))
		if len(keys) == max {
			return stop
		}
		return keep
	})
	return keys, err
}
