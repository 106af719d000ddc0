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
	limit int
}

type lruNode struct {
	key, value vm.Value
	expire     float64 // in seconds, negative for never
	flags      float64
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
	if l.size < l.limit {
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

func openLRUCache(rt *Runtime) *vm.Table {
	now := func() float64 { return float64(rt.cfg.Loop.Now().UnixMilli()) / 1000 }
	var mt *vm.Table
	tab, mt := rt.class("0.13", map[string]vm.GoFunction{
		"new": func(t *vm.Thread) int {
			size := t.CheckNumber(1)
			if size < 1 {
				t.PushNil()
				t.PushString("size too small")
				return 2
			}
			l := &lruCache{index: rt.vm.NewTable(0, 8), nodes: make([]lruNode, 1, 8), limit: int(size)}
			self := rt.vm.NewTable(0, 1)
			_ = self.Set(lruField, rt.vm.NewUserdata(l, nil).Value())
			self.SetMetatable(mt)
			t.Push(self.Value())
			return 1
		},
		"count":    func(t *vm.Thread) int { t.PushInt(lruOf(t).size); return 1 },
		"capacity": func(t *vm.Thread) int { t.PushInt(lruOf(t).limit); return 1 },
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
	i := l.find(t.Arg(2))
	if i == 0 {
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
	t.PushNumber(n.flags)
	return 3
}

func lruSet(t *vm.Thread, now func() float64) int {
	l := lruOf(t)
	key := t.Arg(2)
	if f, ok := key.AsNumber(); key.IsNil() || ok && f != f {
		return raise(t, "table index is %s", map[bool]string{true: "nil", false: "NaN"}[key.IsNil()])
	}
	i := l.find(key)
	if t.Arg(3).IsNil() {
		if i != 0 {
			l.remove(i)
		}
		return 0
	}
	if i == 0 {
		i = l.take()
		l.nodes[i].key = key
		_ = l.index.Set(key, vm.Int(int(i)))
	} else {
		l.unlink(i)
	}
	l.pushFront(i)
	n := &l.nodes[i]
	n.value, n.expire, n.flags = t.Arg(3), -1, 0
	if t.Arg(4).Truthy() {
		n.expire = now() + t.CheckNumber(4)
	}
	if f, ok := t.Arg(5).AsNumber(); ok && f >= 0 {
		n.flags = f
	}
	return 0
}

func lruDelete(t *vm.Thread) int {
	l := lruOf(t)
	i := l.find(t.Arg(2))
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
