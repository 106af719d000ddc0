package shm

import (
	"errors"
	"fmt"
	"os"
)

// Adopt maps the zone in f for a configuration that wants it under this name and size. A zone that cannot be used as it is
// gives way to a new one: of another size or an older layout, what fits is copied; of a layout that is not known or damaged, it
// begins empty. note is for the log then. On success f is owned by the zone, or closed.
func Adopt(f *os.File, name string, size int64) (z *Zone, note string, err error) {
	old, err := AttachOld(f)
	if err != nil && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrHeader) {
		return nil, "", fmt.Errorf("shared memory zone \"%s\": %w", name, err)
	}
	if err == nil && old.name == name && old.size == size && !old.Outdated() {
		return old, "", nil
	}
	fresh, cerr := Create(name, size)
	if cerr != nil {
		if old != nil {
			old.unmap()
		}
		return nil, "", cerr
	}
	if err != nil {
		f.Close()
		return fresh, fmt.Sprintf("shared memory zone \"%s\" begins empty: %v", name, err), nil
	}
	n, lost, err := old.CopyTo(fresh)
	what := fmt.Sprintf("changes its size from %d to %d", old.size, size)
	if old.Outdated() {
		what = fmt.Sprintf("is converted from layout version %d to %d", old.version, LayoutVersion)
	}
	note = fmt.Sprintf("shared memory zone \"%s\" %s: %d entries copied, %d do not fit", name, what, n, lost)
	if err != nil {
		note += ": " + err.Error()
	}
	return fresh, note, old.Close()
}

// CopyTo stores the entries that are not expired in dst, the least recently used of a stripe first, so that the most recently
// used remain where not all have room. It returns how many are in dst then and how many are not. The lock of a stripe is held
// while the order of its entries is noted, and for each entry.
func (z *Zone) CopyTo(dst *Zone) (copied, lost int, err error) {
	before, n := dst.Stats().Entries, 0
	for i := range z.stripes {
		s := &z.stripes[i]
		refs, e := s.order()
		err = errors.Join(err, e)
		var it exported
		for _, ref := range refs {
			ok, e := s.export(ref, &it)
			if ok {
				n++
				e = it.store(dst)
			}
			if e != nil && e != ErrNoMemory {
				err = errors.Join(err, e)
			}
		}
	}
	copied = dst.Stats().Entries - before
	return copied, n - copied, err
}

// exported is an entry taken out of a zone.
type exported struct {
	item
	key      []byte
	elements []Value
}

// order returns the references of the stripe's entries from the oldest to the newest.
func (s *stripe) order() (refs []uint32, err error) {
	s.acquire()
	defer s.done(&err)
	n := s.limit()
	refs = make([]uint32, 0, n)
	for ref := s.get(sOldest); ref != 0; ref = s.entry(ref).u32(eNewer) {
		if len(refs) == n {
			panic(corrupt("the list by use does not end"))
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// export reads the entry at ref if there is (still) one; another one than was there before will do.
func (s *stripe) export(ref uint32, it *exported) (ok bool, err error) {
	s.acquire()
	defer s.done(&err)
	if !s.owns(ref) || s.z.at(ref)[eMark] != markEntry {
		return false, nil
	}
	e := s.entry(ref)
	now := clock{f: s.z.Dict().Now}
	it.key = s.appendKey(it.key[:0], e)
	if found, _ := s.find(s.z.hash(it.key), it.key); found.ref != ref || s.expired(e, &now) {
		return false, nil
	}
	it.typ, it.expires, it.flags = e.typ(), e.expires(), e.u32(eFlags)
	it.elements = it.elements[:0]
	if it.typ == List {
		for x := e.u32(lFirst); x != 0; {
			el := s.element(x)
			v := Value{Type: Type(el.b[lType])}
			n := s.length(int(le.Uint32(el.b[lValLen:])))
			p := s.z.span(x, lData)
			p.value(&v, n, make([]byte, n))
			it.elements = append(it.elements, v)
			x = le.Uint32(el.b[lNext:])
		}
		return true, nil
	}
	it.val = append(it.val[:0], make([]byte, s.length(e.valLen()))...)
	p := s.z.span(ref, eData)
	p.skip(len(it.key))
	p.read(it.val)
	return true, nil
}

// store puts an exported entry into another zone with the end of its life unchanged.
func (it *exported) store(dst *Zone) error {
	d := dst.Dict()
	if it.typ != List {
		return d.put(it.key, &it.item)
	}
	if err := d.Delete(it.key); err != nil {
		return err
	}
	for _, v := range it.elements {
		if _, err := d.RPush(it.key, v); err != nil {
			if e := d.Delete(it.key); e != nil {
				return e
			}
			return err // half a list is none
		}
	}
	return d.expireAt(it.key, it.expires)
}

func (d *Dict) put(key []byte, it *item) (err error) {
	s, h, now, err := d.open(key)
	if err != nil {
		return err
	}
	s.acquire()
	defer s.done(&err)
	e, link := s.find(h, key)
	_, err = s.write(h, key, e, link, it, false, &now)
	return err
}

func (d *Dict) expireAt(key []byte, ms int64) (err error) {
	s, h, _, err := d.open(key)
	if err != nil {
		return err
	}
	s.acquire()
	defer s.done(&err)
	e, link := s.find(h, key)
	if link == nil {
		return ErrNotFound
	}
	s.setExpires(e, ms)
	return nil
}
