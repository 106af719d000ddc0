package shm

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"testing"
)

// model is a dictionary of one stripe as a Go map, a list by use, and a number of blocks. Its rules are ngx_lua's.
type model struct {
	m      map[string]*list.Element
	use    *list.List // front is the newest
	now    int64
	blocks int // free
}

type modelEntry struct {
	key     string
	val     Value
	list    []Value
	expires int64 // -1: flushed
	flags   uint32
}

func (m *model) expired(e *modelEntry) bool {
	return e.expires < 0 || e.expires != 0 && e.expires <= m.now
}

func (m *model) cost(e *modelEntry) int {
	if e.val.Type != List {
		return 1
	}
	return 1 + len(e.list)
}

func (m *model) remove(el *list.Element) {
	e := el.Value.(*modelEntry)
	m.blocks += m.cost(e)
	delete(m.m, e.key)
	m.use.Remove(el)
}

func (m *model) expire(force bool) (n int) {
	for i := range 3 {
		if i == 0 && !force {
			continue
		}
		el := m.use.Back()
		if el == nil || i != 0 && !m.expired(el.Value.(*modelEntry)) {
			break
		}
		m.remove(el)
		n++
	}
	return n
}

func (m *model) lookup(key string) (el *list.Element, e *modelEntry, live bool) {
	el = m.m[key]
	if el == nil {
		return nil, nil, false
	}
	e = el.Value.(*modelEntry)
	if live = !m.expired(e); live {
		m.use.MoveToFront(el)
	}
	return el, e, live
}

func (m *model) insert(e *modelEntry, safe bool) (forcible bool, err error) {
	for i := 0; m.blocks < m.cost(e); i++ {
		if safe || i == 30 || m.expire(true) == 0 {
			return forcible, ErrNoMemory
		}
		forcible = true
	}
	m.blocks -= m.cost(e)
	m.m[e.key] = m.use.PushFront(e)
	return forcible, nil
}

func (m *model) store(key string, v Value, ttl int64, flags uint32, md mode) (bool, error) {
	m.expire(false)
	el, e, live := m.lookup(key)
	if md&replace != 0 && !live {
		return false, ErrNotFound
	}
	if md&add != 0 && live {
		return false, ErrExists
	}
	ne := &modelEntry{key: key, val: v, flags: flags}
	if ttl > 0 {
		ne.expires = m.now + ttl
	}
	if el != nil && e.val.Type != List { // all values of the model take one block: overwritten in place
		*e = *ne
		m.use.MoveToFront(el)
		return false, nil
	}
	if el != nil {
		m.remove(el)
	}
	return m.insert(ne, md&safe != 0)
}

func (m *model) incr(key string, by float64, init *float64, ttl int64) (float64, bool, error) {
	m.expire(false)
	el, e, live := m.lookup(key)
	if live {
		if e.val.Type != Number {
			return 0, false, ErrNotNumber
		}
		e.val.Num += by
		return e.val.Num, false, nil
	}
	if init == nil {
		return 0, false, ErrNotFound
	}
	ne := &modelEntry{key: key, val: Num(*init + by)}
	if ttl > 0 {
		ne.expires = m.now + ttl
	}
	if el != nil && e.val.Type != List {
		*e = *ne
		m.use.MoveToFront(el)
		return ne.val.Num, false, nil
	}
	if el != nil {
		m.remove(el)
	}
	f, err := m.insert(ne, false)
	if err != nil {
		return 0, f, err
	}
	return ne.val.Num, f, nil
}

func (m *model) push(key string, v Value, left bool) (int, error) {
	m.expire(false)
	el, e, live := m.lookup(key)
	if live && e.val.Type != List {
		return 0, ErrNotList
	}
	if el != nil && !live {
		m.remove(el)
		e = nil
	}
	if m.blocks == 0 || e == nil && m.blocks < 2 {
		return 0, ErrNoMemory
	}
	if e == nil {
		m.insert(&modelEntry{key: key, val: Value{Type: List}, list: []Value{v}}, true)
		return 1, nil
	}
	m.blocks--
	if left {
		e.list = append([]Value{v}, e.list...)
	} else {
		e.list = append(e.list, v)
	}
	return len(e.list), nil
}

func (m *model) pop(key string, left bool) (v Value, err error) {
	m.expire(false)
	el, e, live := m.lookup(key)
	if !live {
		return
	}
	if e.val.Type != List {
		return v, ErrNotList
	}
	n := len(e.list)
	if left {
		v = e.list[0]
	} else {
		v = e.list[n-1]
	}
	if n == 1 {
		m.remove(el)
	} else if m.blocks++; left {
		e.list = e.list[1:]
	} else {
		e.list = e.list[:n-1]
	}
	return v, nil
}

func (m *model) get(key string, stale bool) (v Value, flags uint32, old bool, err error) {
	if !stale {
		m.expire(false)
	}
	_, e, live := m.lookup(key)
	if e == nil || !live && !stale {
		return
	}
	if e.val.Type == List {
		return Value{}, 0, false, ErrIsList
	}
	return e.val, e.flags, !live, nil
}

func (m *model) sweep(f func(e *modelEntry) verdict) {
	for el := m.use.Back(); el != nil; {
		cur := el
		el = el.Prev()
		v := f(cur.Value.(*modelEntry))
		if v == drop || v == dropAndStop {
			m.remove(cur)
		}
		if v == stop || v == dropAndStop {
			return
		}
	}
}

// pair runs operations on a dictionary and its model and compares what they say.
type pair struct {
	t   *testing.T
	d   *Dict
	m   *model
	rnd *rand.Rand
	buf [64]byte
}

func (p *pair) same(op, key string, got, want string) {
	if got != want {
		p.t.Helper()
		p.t.Fatalf("%s %q: got %s, want %s", op, key, got, want)
	}
}

func (p *pair) value() Value {
	switch p.rnd.IntN(4) {
	case 0:
		return Num(float64(p.rnd.IntN(1000)) / 4)
	case 1:
		return Bool(p.rnd.IntN(2) == 0)
	}
	return Str([]byte("value of some length"[:p.rnd.IntN(17)]))
}

func (p *pair) step() {
	key := fmt.Sprintf("k%d", p.rnd.IntN(180))
	k := []byte(key)
	v := p.value()
	ttl := int64(0)
	if p.rnd.IntN(2) == 0 {
		ttl = int64(p.rnd.IntN(300))
	}
	flags := uint32(p.rnd.IntN(3))
	p.m.now += int64(p.rnd.IntN(3))
	switch op := p.rnd.IntN(24); op {
	case 0, 1, 2, 3, 4:
		a, b, err := p.d.Get(k, p.buf[:])
		c, d, _, werr := p.m.get(key, false)
		p.same("get", key, fmt.Sprint(a, b, err), fmt.Sprint(c, d, werr))
	case 5:
		a, b, s, err := p.d.GetStale(k, nil)
		c, d, ws, werr := p.m.get(key, true)
		p.same("get_stale", key, fmt.Sprint(a, b, s, err), fmt.Sprint(c, d, ws, werr))
	case 6, 7, 8, 9, 10:
		md := []mode{0, safe, add, add | safe, replace}[op-6]
		f, err := p.d.store(k, v, ttl, flags, md)
		wf, werr := p.m.store(key, v, ttl, flags, md)
		p.same(fmt.Sprint("store ", md), key, fmt.Sprint(f, err), fmt.Sprint(wf, werr))
	case 11, 12:
		err := p.d.Delete(k)
		p.m.expire(false)
		if el := p.m.m[key]; el != nil {
			p.m.remove(el)
		}
		p.same("delete", key, fmt.Sprint(err), "<nil>")
	case 13:
		n, err := p.d.Incr(k, 2)
		w, _, werr := p.m.incr(key, 2, nil, 0)
		p.same("incr", key, fmt.Sprint(n, err), fmt.Sprint(w, werr))
	case 14:
		init := 5.5
		n, f, err := p.d.IncrInit(k, -2, init, ttl)
		w, wf, werr := p.m.incr(key, -2, &init, ttl)
		p.same("incr init", key, fmt.Sprint(n, f, err), fmt.Sprint(w, wf, werr))
	case 15, 16, 17, 18, 19, 20:
		p.list(op, key, v)
	case 21, 22:
		p.time(op, key, ttl)
	case 23:
		p.rare()
	}
}

func (p *pair) list(op int, key string, v Value) {
	k := []byte(key)
	left := p.rnd.IntN(2) == 0
	switch op {
	default:
		if v.Type == Boolean {
			_, err := p.d.RPush(k, v)
			p.same("push", key, fmt.Sprint(err), ErrBadType.Error())
			return
		}
		n, err := p.d.push(k, v, left)
		w, werr := p.m.push(key, v, left)
		p.same("push", key, fmt.Sprint(n, err), fmt.Sprint(w, werr))
	case 18, 19:
		a, err := p.d.pop(k, p.buf[:], left)
		w, werr := p.m.pop(key, left)
		p.same("pop", key, fmt.Sprint(a, err), fmt.Sprint(w, werr))
	case 20:
		n, err := p.d.LLen(k)
		p.m.expire(false)
		w, werr := 0, error(nil)
		if _, e, live := p.m.lookup(key); live {
			if w = len(e.list); e.val.Type != List {
				werr = ErrNotList
			}
		}
		p.same("llen", key, fmt.Sprint(n, err), fmt.Sprint(w, werr))
	}
}

func (p *pair) time(op int, key string, ttl int64) {
	k := []byte(key)
	switch op {
	case 21:
		n, err := p.d.TTL(k)
		w, werr := int64(0), ErrNotFound
		if el := p.m.m[key]; el != nil {
			switch e := el.Value.(*modelEntry); {
			case e.expires < 0:
				w = 1 - p.m.now
			case e.expires > 0:
				w = e.expires - p.m.now
			}
			werr = nil
		}
		p.same("ttl", key, fmt.Sprint(n, err), fmt.Sprint(w, werr))
	case 22:
		err := p.d.Expire(k, ttl)
		werr := ErrNotFound
		if el := p.m.m[key]; el != nil {
			werr = nil
			e := el.Value.(*modelEntry)
			if e.expires = 0; ttl > 0 {
				e.expires = p.m.now + ttl
			}
		}
		p.same("expire", key, fmt.Sprint(err), fmt.Sprint(werr))
	}
}

func (p *pair) rare() {
	switch p.rnd.IntN(12) {
	case 0:
		p.d.FlushAll()
		p.m.sweep(func(e *modelEntry) verdict { e.expires = -1; return keep })
		if p.m.use.Len() > 0 {
			p.m.expire(true)
		}
	case 1, 2:
		max := p.rnd.IntN(4)
		n, err := p.d.FlushExpired(max)
		w := 0
		p.m.sweep(func(e *modelEntry) verdict {
			if !p.m.expired(e) {
				return keep
			}
			if w++; w == max {
				return dropAndStop
			}
			return drop
		})
		p.same("flush_expired", "", fmt.Sprint(n, err), fmt.Sprint(w, nil))
	case 3:
		max := p.rnd.IntN(20)
		keys, err := p.d.GetKeys(max)
		var w [][]byte
		p.m.sweep(func(e *modelEntry) verdict {
			if p.m.expired(e) {
				return keep
			}
			if w = append(w, []byte(e.key)); len(w) == max {
				return stop
			}
			return keep
		})
		p.same("get_keys", "", fmt.Sprintf("%q %v", keys, err), fmt.Sprintf("%q %v", w, nil))
	case 4:
		if err := p.d.z.Check(); err != nil {
			p.t.Fatal(err)
		}
		p.same("free_space", "", fmt.Sprint(p.d.FreeSpace()), fmt.Sprint(p.m.blocks*blockSize))
	case 5:
		p.d.z.Mend() // must change nothing
	}
}

func testZone(t testing.TB, size int64) *Zone {
	t.Helper()
	z, err := Create("test", size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	return z
}

func TestModel(t *testing.T) {
	for seed := range uint64(20) {
		z := testZone(t, 8<<10)
		p := &pair{t: t, d: z.Dict(), rnd: rand.New(rand.NewPCG(seed, 1))}
		p.m = &model{m: map[string]*list.Element{}, use: list.New(), now: 1_000_000, blocks: z.lay.blocks - 1}
		p.d.Now = func() int64 { return p.m.now }
		for range 20_000 {
			p.step()
		}
		if err := z.Check(); err != nil {
			t.Fatal(err)
		}
	}
}
