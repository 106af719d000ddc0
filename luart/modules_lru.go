package luart

import (
	"perilune/luart/vm"
)

// lruCache is a cache of resty.lrucache. Nodes are chained by index; node 0 is
// the head of the ring of those in use.
type lruCache struct {
	index *vm.Table // numbers of nodes by key
	nodes []lruNode
	free  []int32
	size  int
	limit float64 // as it was given
	texts bool    // keys are texts, as resty.lrucache.pureffi makes them
}

type lruNode struct {
	key, value vm.Value
	expire     float64 // in seconds, negative for never
	flags      uint32
	prev, next int32
}

func (l *lruCache) unlink(i int32) {
	n := &l.nodes[i]
	l.nodes[n.prev].next, l.nodes[n.next].prev = n.next, n.prev
}

func (l *lruCache) pushFront(i int32) {
	n := &l.nodes[i]
	n.prev, n.next = 0, l.nodes[0].next
	l.nodes[n.next].prev = i
	l.nodes[0].next = i
}

func (l *lruCache) find(key vm.Value) int32 {
	f, ok := l.index.Get(key).AsNumber()
	if !ok {
		return 0
	}
	return int32(f)
}

// take gives a node for a new key: a free one, or that of the oldest key.
func (l *lruCache) take() int32 {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		l.size++
		return i
	}
	if l.size < int(l.limit) {
		l.nodes = append(l.nodes, lruNode{})
		l.size++
		return int32(len(l.nodes) - 1)
	}
	i := l.nodes[0].prev
	l.unlink(i)
	_ = l.index.Set(l.nodes[i].key, vm.Nil)
	return i
}

func (l *lruCache) remove(i int32) {
	l.unlink(i)
	_ = l.index.Set(l.nodes[i].key, vm.Nil)
	l.nodes[i] = lruNode{}
	l.free = append(l.free, i)
	l.size--
}

func (l *lruCache) clear(m *vm.VM) {
	l.index, l.nodes, l.free, l.size = m.NewTable(0, 8), l.nodes[:1], nil, 0
	l.nodes[0] = lruNode{}
}

// lruField is where the cache is in the table that Lua code has of it.
var lruField = vm.String("_cache")

func lruOf(t *vm.Thread) *lruCache {
	if tab, ok := t.Arg(1).AsTable(); ok {
		if u, ok := tab.Get(lruField).AsUserdata(); ok {
			if l, ok := u.Data.(*lruCache); ok {
				return l
			}
		}
	}
	typeError(t, 1, "cache")
	return nil
}

func openLRUCache(rt *Runtime, texts bool) *vm.Table {
	now := func() float64 { return float64(rt.cfg.Loop.Now().UnixMilli()) / 1000 }
	var mt *vm.Table
	tab, mt := rt.class("0.13", map[string]vm.GoFunction{
		"new": func(t *vm.Thread) int {
			size, ok := t.Arg(1).AsNumber()
			switch {
			case !ok:
				return raise(t, "attempt to compare %s with number", t.Arg(1).TypeName())
			case !(size >= 1):
				t.PushNil()
				t.PushString("size too small")
				return 2
			}
			l := &lruCache{index: rt.vm.NewTable(0, 8), nodes: make([]lruNode, 1, 8), limit: size, texts: texts}
			self := rt.vm.NewTable(0, 1)
			_ = self.Set(lruField, rt.vm.NewUserdata(l, nil).Value())
			self.SetMetatable(mt)
			t.Push(self.Value())
			return 1
		},
		"count":    func(t *vm.Thread) int { t.PushInt(lruOf(t).size); return 1 },
		"capacity": func(t *vm.Thread) int { t.PushNumber(lruOf(t).limit); return 1 },
		"get":      func(t *vm.Thread) int { return lruGet(t, now()) },
		"set":      func(t *vm.Thread) int { return lruSet(t, now) },
		"delete":   lruDelete,
		"get_keys": func(t *vm.Thread) int { return lruKeys(t, rt.vm) },
		"flush_all": func(t *vm.Thread) int {
			lruOf(t).clear(rt.vm)
			return 0
		},
	})
	return tab
}

func lruGet(t *vm.Thread, now float64) int {
	l := lruOf(t)
	key := t.Arg(2)
	if l.texts {
		key = vm.String(t.ToString(key))
	}
	i := l.find(key)
	if i == 0 || l.nodes[i].value.IsNil() && !l.texts {
		t.PushNil()
		return 1
	}
	l.unlink(i)
	l.pushFront(i)
	n := &l.nodes[i]
	if n.expire >= 0 && n.expire < now {
		t.PushNil()
		t.Push(n.value)
	} else {
		t.Push(n.value)
		t.PushNil()
	}
	t.PushNumber(float64(n.flags))
	return 3
}

func lruSet(t *vm.Thread, now func() float64) int {
	l := lruOf(t)
	key := lruKey(t, l)
	i := l.find(key)
	if i == 0 {
		i = l.take()
		l.nodes[i].key = key
		_ = l.index.Set(key, vm.Int(int(i)))
	} else {
		l.unlink(i)
	}
	l.pushFront(i)
	n := &l.nodes[i]
	n.value = t.Arg(3) // nil takes a place, too
	n.expire = -1
	if ttl := t.Arg(4); ttl.Truthy() {
		seconds, ok := ttl.ToNumberCoerced()
		if !ok {
			return raise(t, "attempt to perform arithmetic on local 'ttl' (a %s value)", ttl.TypeName())
		}
		n.expire = now() + seconds
	}
	n.flags = 0
	if f, ok := t.Arg(5).AsNumber(); ok && f >= 0 {
		n.flags = uint32(int64(min(f, 1<<62)))
	}
	return 0
}

// lruKey is a key that is to be stored, or removed.
func lruKey(t *vm.Thread, l *lruCache) vm.Value {
	key := t.Arg(2)
	if l.texts {
		return vm.String(t.ToString(key))
	}
	if key.IsNil() {
		raise(t, "table index is nil")
	}
	if f, ok := key.AsNumber(); ok && f != f {
		raise(t, "table index is NaN")
	}
	return key
}

func lruDelete(t *vm.Thread) int {
	l := lruOf(t)
	i := l.find(lruKey(t, l))
	if i != 0 {
		l.remove(i)
	}
	t.PushBool(i != 0)
	return 1
}

func lruKeys(t *vm.Thread, m *vm.VM) int {
	l := lruOf(t)
	limit := t.OptInt(2, 0)
	if limit == 0 {
		limit = l.size
	}
	res, ok := t.Arg(3).AsTable()
	if !ok {
		res = m.NewTable(min(limit, l.size)+1, 0)
	}
	n := 0
	for i := l.nodes[0].next; i != 0 && n < limit; i = l.nodes[i].next {
		n++
		res.SetInt(n, l.nodes[i].key)
	}
	res.SetInt(n+1, vm.Nil)
	t.Push(res.Value())
	return 1
}
