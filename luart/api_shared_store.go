package luart

import (
	"math"

	"perilune/ipc/shm"
	"perilune/luart/vm"
)

// storeMode is which of the functions that store is meant.
type storeMode int

const (
	storeSet storeMode = iota
	storeSafeSet
	storeAdd
	storeSafeAdd
	storeReplace
)

func sharedSet(t *vm.Thread) int     { return sharedStore(t, storeSet) }
func sharedSafeSet(t *vm.Thread) int { return sharedStore(t, storeSafeSet) }
func sharedAdd(t *vm.Thread) int     { return sharedStore(t, storeAdd) }
func sharedSafeAdd(t *vm.Thread) int { return sharedStore(t, storeSafeAdd) }
func sharedReplace(t *vm.Thread) int { return sharedStore(t, storeReplace) }

// sharedStore checks the arguments in the order of lua-resty-core.
func sharedStore(t *vm.Thread, mode storeMode) int {
	s := checkShared(t)
	exptime := 0.0
	if v := t.Arg(4); v.Truthy() {
		n, ok := v.AsNumber()
		if !ok {
			return raise(t, "attempt to compare %s with number", v.TypeName())
		}
		if n < 0 {
			return raise(t, "bad \"exptime\" argument")
		}
		exptime = n
	}
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	v, ok := sharedValue(t.Arg(3))
	if !ok {
		return fail(t, "bad value type")
	}
	flags := sharedFlags(t, t.Arg(5))
	var forcible bool
	var err error
	if v.Type == shm.None {
		if mode != storeSet && mode != storeSafeSet {
			return stored(t, "attempt to add or replace nil values", false)
		}
		err = s.d.Delete(key)
	} else {
		forcible, err = s.store(mode, key, v, milliseconds(exptime), flags)
	}
	if err != nil {
		return stored(t, s.problem(t, err), forcible)
	}
	return stored(t, "", forcible)
}

func (s *sharedDict) store(mode storeMode, key []byte, v shm.Value, exptime int64, flags uint32) (forcible bool, err error) {
	switch mode {
	case storeSafeSet:
		return false, s.d.SafeSet(key, v, exptime, flags)
	case storeAdd:
		return s.d.Add(key, v, exptime, flags)
	case storeSafeAdd:
		return false, s.d.SafeAdd(key, v, exptime, flags)
	case storeReplace:
		return s.d.Replace(key, v, exptime, flags)
	}
	return s.d.Set(key, v, exptime, flags)
}

// stored pushes what a function that stores returns.
func stored(t *vm.Thread, problem string, forcible bool) int {
	t.PushBool(problem == "")
	if problem == "" {
		t.PushNil()
	} else {
		t.PushString(problem)
	}
	t.PushBool(forcible)
	return 3
}

func sharedValue(v vm.Value) (val shm.Value, ok bool) {
	if str, ok := v.AsString(); ok {
		return shm.Str(bytesOf(str)), true
	}
	switch v.Type() {
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		return shm.Num(n), true
	case vm.TypeBoolean:
		return shm.Bool(v.Truthy()), true
	case vm.TypeNil:
		return shm.Value{}, true
	}
	return shm.Value{}, false
}

// sharedFlags converts as C does from double to int on x86.
func sharedFlags(t *vm.Thread, v vm.Value) uint32 {
	if !v.Truthy() {
		return 0
	}
	n, ok := v.AsNumber()
	if !ok {
		t.Errorf("bad argument #10 to 'ngx_lua_ffi_shdict_store' (cannot convert '%s' to 'int')", v.TypeName())
	}
	if n > math.MinInt32-1.0 && n < math.MaxInt32+1.0 {
		return uint32(int32(n))
	}
	return 1 << 31
}

func sharedDelete(t *vm.Thread) int {
	s := checkShared(t)
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	if err := s.d.Delete(key); err != nil {
		return stored(t, s.problem(t, err), false)
	}
	return stored(t, "", false)
}

// sharedArg is a number, which an argument nearly always is, or what can be made one.
func sharedArg(v vm.Value) (n float64, ok bool) {
	if n, ok = v.AsNumber(); ok {
		return n, true
	}
	return v.ToNumberCoerced()
}

func sharedIncr(t *vm.Thread) int {
	s := checkShared(t)
	key, problem := s.key(t)
	if problem != "" {
		return fail(t, problem)
	}
	by, ok := sharedArg(t.Arg(3))
	if !ok {
		return raise(t, "cannot convert 'nil' to 'double'")
	}
	init, ttl := 0.0, 0.0
	hasInit := t.Arg(4).Truthy()
	if hasInit {
		if init, ok = sharedArg(t.Arg(4)); !ok {
			return raise(t, "bad init arg: number expected, got %s", t.Arg(4).TypeName())
		}
	}
	if v := t.Arg(5); !v.IsNil() {
		if ttl, ok = v.ToNumberCoerced(); !ok {
			return raise(t, "bad init_ttl arg: number expected, got %s", v.TypeName())
		}
		if ttl < 0 {
			return raise(t, "bad \"init_ttl\" argument")
		}
		if !hasInit {
			return raise(t, "must provide \"init\" when providing \"init_ttl\"")
		}
	}
	if !hasInit {
		n, err := s.d.Incr(key, by)
		if err != nil {
			return fail(t, s.problem(t, err))
		}
		t.PushNumber(n)
		return 1
	}
	n, forcible, err := s.d.IncrInit(key, by, init, milliseconds(ttl))
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	t.PushNumber(n)
	t.PushNil()
	t.PushBool(forcible)
	return 3
}

func sharedLPush(t *vm.Thread) int { return sharedPush(t, (*shm.Dict).LPush) }
func sharedRPush(t *vm.Thread) int { return sharedPush(t, (*shm.Dict).RPush) }

// listKey checks the arguments of the functions on lists, which convert the key as
// C functions do.
func listKey(t *vm.Thread, nargs int) (s *sharedDict, key []byte, problem string) {
	if n := t.NArgs(); n != nargs {
		t.Errorf("expecting %d arguments, but only seen %d", nargs, n)
	}
	s = checkShared(t)
	if t.Arg(2).IsNil() {
		return s, nil, "nil key"
	}
	key = bytesOf(t.CheckString(2))
	return s, key, keyProblem(key)
}

func sharedPush(t *vm.Thread, push func(d *shm.Dict, key []byte, v shm.Value) (int, error)) int {
	s, key, problem := listKey(t, 3)
	if problem != "" {
		return fail(t, problem)
	}
	v, _ := sharedValue(t.Arg(3))
	if v.Type != shm.String && v.Type != shm.Number {
		return fail(t, "bad value type")
	}
	n, err := push(s.d, key, v)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	t.PushInt(n)
	return 1
}

func sharedLPop(t *vm.Thread) int { return sharedPop(t, (*shm.Dict).LPop) }
func sharedRPop(t *vm.Thread) int { return sharedPop(t, (*shm.Dict).RPop) }

func sharedPop(t *vm.Thread, pop func(d *shm.Dict, key, buf []byte) (shm.Value, error)) int {
	s, key, problem := listKey(t, 2)
	if problem != "" {
		return fail(t, problem)
	}
	buf := s.rt.sharedBuffer()
	v, err := pop(s.d, key, buf)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	pushShared(t, &v, buf)
	return 1
}

func sharedLLen(t *vm.Thread) int {
	s, key, problem := listKey(t, 2)
	if problem != "" {
		return fail(t, problem)
	}
	n, err := s.d.LLen(key)
	if err != nil {
		return fail(t, s.problem(t, err))
	}
	t.PushInt(n)
	return 1
}
