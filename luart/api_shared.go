package luart

import (
	"errors"
	"math"
	"unsafe"

	"perilune/ipc/shm"
	"perilune/luart/vm"
)

// SharedDict is a dictionary of ngx.shared. Its clock must be that of the loop.
type SharedDict struct {
	Name string
	Dict *shm.Dict
}

// sharedDict is what the userdata of a dictionary's table leads to.
type sharedDict struct {
	rt   *Runtime
	name string
	d    *shm.Dict
}

// sharedMethod is a method of the dictionaries.
type sharedMethod struct {
	name, args, doc string
	fn              vm.GoFunction
}

// sharedMethods are the methods in the order of the manual.
func sharedMethods() []sharedMethod {
	return []sharedMethod{
		{"get", "(key)", "the value and, unless they are 0, the flags; nil when there is no such key or it has expired", sharedGet},
		{"get_stale", "(key)", "as get, but finds expired entries, too, and returns as the third value whether it is one", sharedGetStale},
		{"set", "(key, value, exptime?, flags?)", "stores a string, number or boolean, for exptime seconds or for ever; nil deletes; returns true, nil and whether others had to go for it, or false and the error", sharedSet},
		{"safe_set", "(key, value, exptime?, flags?)", "set that fails with `no memory` rather than removing entries that have not expired", sharedSafeSet},
		{"add", "(key, value, exptime?, flags?)", "set for a key that does not exist, else false and `exists`", sharedAdd},
		{"safe_add", "(key, value, exptime?, flags?)", "add that removes no entries", sharedSafeAdd},
		{"replace", "(key, value, exptime?, flags?)", "set for a key that exists, else false and `not found`", sharedReplace},
		{"delete", "(key)", "removes a key", sharedDelete},
		{"incr", "(key, value, init?, init_ttl?)", "adds to a number and returns the sum; a key that does not exist starts from init, and lives for init_ttl seconds", sharedIncr},
		{"lpush", "(key, value)", "inserts a string or number before the first element of a list and returns the new length", sharedLPush},
		{"rpush", "(key, value)", "appends an element to a list and returns the new length", sharedRPush},
		{"lpop", "(key)", "removes and returns the first element of a list", sharedLPop},
		{"rpop", "(key)", "removes and returns the last element of a list", sharedRPop},
		{"llen", "(key)", "the number of elements of a list, 0 when there is none", sharedLLen},
		{"ttl", "(key)", "the seconds that a key has left, 0 for ever", sharedTTL},
		{"expire", "(key, exptime)", "gives a key another time to live, 0 for ever", sharedExpire},
		{"flush_all", "()", "lets all entries expire", sharedFlushAll},
		{"flush_expired", "(max?)", "frees the memory of expired entries, of all or of max, and returns how many went", sharedFlushExpired},
		{"get_keys", "(max?)", "an array of the keys: 1024 or max of them, 0 for all", sharedGetKeys},
		{"capacity", "()", "the size of the zone in bytes", sharedCapacity},
		{"free_space", "()", "the bytes that no entry takes", sharedFreeSpace},
	}
}

// openShared makes ngx.shared: a table for each dictionary, with the zone as its
// first element and the methods in a metatable that all share.
func (rt *Runtime) openShared(ngx *vm.Table) {
	m := rt.vm
	shared := m.NewTable(0, len(rt.cfg.Shared))
	ngx.SetStr("shared", shared.Value())
	if len(rt.cfg.Shared) == 0 {
		return
	}
	methods := m.NewTable(0, 32)
	for _, f := range sharedMethods() {
		methods.SetStr(f.name, m.NewFunction(f.name, f.fn))
	}
	methods.SetStr("__index", methods.Value())
	for _, s := range rt.cfg.Shared {
		tab := m.NewTable(1, 0)
		tab.SetInt(1, m.NewUserdata(&sharedDict{rt: rt, name: s.Name, d: s.Dict}, nil).Value())
		tab.SetMetatable(methods)
		shared.SetStr(s.Name, tab.Value())
	}
}

// sharedOf is the dictionary that a method was called for, nil if it is none.
func sharedOf(t *vm.Thread) *sharedDict {
	if tab, ok := t.Arg(1).AsTable(); ok {
		if u, ok := tab.GetInt(1).AsUserdata(); ok {
			if s, ok := u.Data.(*sharedDict); ok {
				return s
			}
		}
	}
	return nil
}

func checkShared(t *vm.Thread) *sharedDict {
	s := sharedOf(t)
	if s == nil {
		t.Errorf("bad \"zone\" argument")
	}
	return s
}

const maxSharedKey = 65535

// key returns the bytes of the key in the second argument, or what is wrong with
// it. They are a view of the Lua string, or in the scratch buffer.
func (s *sharedDict) key(t *vm.Thread) (key []byte, problem string) {
	v := t.Arg(2)
	if str, ok := v.AsString(); ok {
		key = bytesOf(str)
		return key, keyProblem(key)
	}
	switch v.Type() {
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		key = appendNumber(s.rt.scratch[:0], n)
		s.rt.keepScratch(key)
	case vm.TypeNil:
		return nil, "nil key"
	default:
		key = bytesOf(t.ToString(v))
	}
	return key, keyProblem(key)
}

func keyProblem(key []byte) string {
	switch {
	case len(key) == 0:
		return "empty key"
	case len(key) > maxSharedKey:
		return "key too long"
	}
	return ""
}

// problem is the text of an error for Lua. What the memory had to be mended for is
// worth a line in the log.
func (s *sharedDict) problem(t *vm.Thread, err error) string {
	if errors.Is(err, shm.ErrCorrupt) {
		l := context(t).logger(s.rt)
		logText(l, LevelAlert, "lua_shared_dict \""+s.name+"\": "+err.Error())
	}
	return err.Error()
}

// number is an argument that calculations are made with: strings are converted.
func sharedNumber(t *vm.Thread, v vm.Value) float64 {
	n, ok := v.ToNumberCoerced()
	if !ok {
		if v.IsString() {
			t.Errorf("attempt to perform arithmetic on local 'exptime' (a string value)")
		}
		t.Errorf("attempt to perform arithmetic on a %s value", v.TypeName())
	}
	return n
}

// milliseconds is a time in seconds as a C long.
func milliseconds(sec float64) int64 {
	ms := sec * 1000
	if ms >= -math.MaxInt64 && ms < math.MaxInt64 {
		return int64(ms)
	}
	return math.MinInt64
}

// pushShared pushes a value out of a dictionary. A string that did not fit into
// buf has been made for it and is not copied again.
func pushShared(t *vm.Thread, v *shm.Value, buf []byte) {
	switch v.Type {
	case shm.String:
		if len(v.Str) > cap(buf) {
			t.PushString(unsafe.String(&v.Str[0], len(v.Str)))
		} else {
			t.PushRecent(v.Str)
		}
	case shm.Number:
		t.PushNumber(v.Num)
	case shm.Boolean:
		t.PushBool(v.Bool)
	default:
		t.PushNil()
	}
}

// sharedBuf is how long strings can be that are read at the first attempt.
const sharedBuf = 4 << 10

func (rt *Runtime) sharedBuffer() []byte {
	if rt.shared == nil {
		rt.shared = make([]byte, sharedBuf)
	}
	return rt.shared
}

func sharedGet(t *vm.Thread) int {
	s := checkShared(t)
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	buf := s.rt.sharedBuffer()
	var v shm.Value
	flags, err := s.d.Read(&v, key, buf)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	pushShared(t, &v, buf)
	if flags == 0 {
		return 1
	}
	t.PushInt(int(int32(flags)))
	return 2
}

func sharedGetStale(t *vm.Thread) int {
	s := checkShared(t)
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	buf := s.rt.sharedBuffer()
	v, flags, stale, err := s.d.GetStale(key, buf)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	pushShared(t, &v, buf)
	if v.Type == shm.None {
		return 1
	}
	if flags == 0 {
		t.PushNil()
	} else {
		t.PushInt(int(int32(flags)))
	}
	t.PushBool(stale)
	return 3
}

func sharedTTL(t *vm.Thread) int {
	s := checkShared(t)
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	ms, err := s.d.TTL(key)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	t.PushNumber(float64(ms) / 1000)
	return 1
}

func sharedExpire(t *vm.Thread) int {
	s := checkShared(t)
	if !t.Arg(3).Truthy() {
		return raise(t, "bad \"exptime\" argument")
	}
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	if err := s.d.Expire(key, milliseconds(sharedNumber(t, t.Arg(3)))); err != nil {
		return fail(t, s.problem(t, err))
	}
	t.PushBool(true)
	return 1
}

func sharedFlushAll(t *vm.Thread) int {
	s := checkShared(t)
	if err := s.d.FlushAll(); err != nil {
		s.problem(t, err)
	}
	return 0
}

func sharedCapacity(t *vm.Thread) int {
	t.PushNumber(float64(checkShared(t).d.Capacity()))
	return 1
}

func sharedFreeSpace(t *vm.Thread) int {
	t.PushNumber(float64(checkShared(t).d.FreeSpace()))
	return 1
}

// sharedMax is the number of entries that a function on all of them is to stop at.
func sharedMax(t *vm.Thread, def int) (s *sharedDict, max int) {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 argument(s), but saw %d", n)
	}
	t.CheckTable(1)
	if s = sharedOf(t); s == nil {
		t.Errorf("bad user data for the ngx_shm_zone_t pointer")
	}
	if n == 2 {
		def = int(int32(t.CheckInt(2)))
	}
	if def < 0 {
		def = 0 // ngx_lua counts up to it and never meets it
	}
	return s, def
}

func sharedFlushExpired(t *vm.Thread) int {
	s, max := sharedMax(t, 0)
	n, err := s.d.FlushExpired(max)
	if err != nil {
		s.problem(t, err)
	}
	t.PushInt(n)
	return 1
}

// maxSharedKeys is how many keys get_keys returns unless it is told otherwise.
const maxSharedKeys = 1024

func sharedGetKeys(t *vm.Thread) int {
	s, max := sharedMax(t, maxSharedKeys)
	keys, err := s.d.GetKeys(max)
	if err != nil {
		s.problem(t, err)
	}
	tab := t.VM().NewTable(len(keys), 0)
	for i, k := range keys {
		tab.SetInt(i+1, vm.String(unsafe.String(&k[0], len(k))))
	}
	t.Push(tab.Value())
	return 1
}
