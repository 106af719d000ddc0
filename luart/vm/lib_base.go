package vm

import (
	"math"
	"math/bits"
	"runtime"
	"strconv"
	"strings"
)

// openLibs opens the standard library.
func (m *VM) openLibs() {
	m.openBase()
	m.openPackage()
	m.openCoroutine()
	m.openStandard()
}

func (m *VM) openBase() {
	g := m.globals
	g.SetStr("_G", g.Value())
	g.SetStr("_VERSION", String("Lua 5.1"))
	m.Register(g, []Reg{
		{"assert", baseAssert, "raise an error unless the first argument is true"},
		{"collectgarbage", baseCollectGarbage, "control the garbage collector"},
		{"dofile", baseDofile, "run a file"},
		{"error", baseError, "raise an error"},
		{"gcinfo", baseGcinfo, "memory in use, in KiB"},
		{"getfenv", baseGetfenv, "the environment of a function or level"},
		{"getmetatable", baseGetmetatable, "the metatable of a value"},
		{"ipairs", baseIpairs, "iterate over 1, 2, … until nil"},
		{"load", baseLoad, "compile a string or what a function returns"},
		{"loadfile", baseLoadfile, "compile a file"},
		{"loadstring", baseLoad, "compile a string"},
		{"newproxy", baseNewproxy, "a userdata, with a metatable of its own for true"},
		{"next", baseNext, "the entry after a key"},
		{"pairs", basePairs, "iterate over all entries"},
		{"pcall", basePcall, "call and catch errors"},
		{"print", basePrint, "write values to the standard output"},
		{"rawequal", baseRawequal, "compare without metamethods"},
		{"rawget", baseRawget, "index without metamethods"},
		{"rawset", baseRawset, "assign without metamethods"},
		{"select", baseSelect, "the arguments from a number on, or their number"},
		{"setfenv", baseSetfenv, "set the environment of a function or level"},
		{"setmetatable", baseSetmetatable, "set the metatable of a table"},
		{"tonumber", baseTonumber, "convert to a number"},
		{"tostring", baseTostring, "convert to a string"},
		{"type", baseType, "the name of a type"},
		{"unpack", baseUnpack, "the elements of a table"},
		{"xpcall", baseXpcall, "call with a message handler"},
	})
	special := func(name string, s special) *Function {
		f, _ := g.GetStr(name).AsFunction()
		f.special = s
		return f
	}
	special("pcall", spPcall)
	special("xpcall", spXpcall)
	special("error", spError)
	m.fnNext = special("next", spNext)
	m.fnIpairsIter, _ = m.NewFunction("ipairs_aux", ipairsIter).AsFunction()
	m.fnIpairsIter.special = spIpairsIter
}

func baseAssert(t *Thread) int {
	if t.CheckAny(1).falsy() {
		v := t.Arg(2)
		if t.nargs < 2 {
			v = String("assertion failed!")
		} else if s, ok := v.ToStringCoerced(); ok {
			v = String(s)
		}
		t.ErrorValue(v, 1)
	}
	return t.nargs
}

var gcOptions = []string{"collect", "stop", "restart", "count", "step", "setpause", "setstepmul", "isrunning"}

// collectCharge is the work that a collection counts as.
const collectCharge = 1 << 14

func baseCollectGarbage(t *Thread) int {
	w := &t.m.weak
	switch gcOptions[t.CheckOption(1, "collect", gcOptions...)] {
	case "collect":
		t.Charge(collectCharge)
		t.collect()
		t.PushInt(0)
	case "stop", "restart":
		w.stopped = t.Arg(1).str().s == "stop"
		t.PushInt(0)
	case "count":
		t.PushNumber(float64(t.m.MemoryInUse()) / 1024)
	case "step": // there is only one step: a full cycle
		t.Charge(collectCharge)
		t.collect()
		t.PushBool(true)
	case "setpause":
		t.PushInt(w.pause.swap(t.optInt32(2, 0)))
	case "setstepmul":
		t.PushInt(w.stepMul.swap(t.optInt32(2, 0)))
	case "isrunning":
		t.PushBool(!w.stopped)
	}
	return 1
}

// dropDead clears what the dead part of the stack still refers to.
func (t *Thread) dropDead() {
	clear(t.stack[t.scratch():])
	for i := t.ci + 1; i < len(t.frames); i++ {
		t.frames[i] = frame{}
	}
}

// collect runs a full collection.
func (t *Thread) collect() {
	t.dropDead()
	t.collectWeak()
	// Finalizers run on a goroutine of their own; one of an object that died
	// in the same cycle says when those before it are queued.
	done := make(chan struct{})
	runtime.SetFinalizer(&lstring104{}, func(*lstring104) { close(done) })
	runtime.GC()
	<-done
	t.runFinalizers()
}

func baseGcinfo(t *Thread) int {
	t.PushInt(int(t.m.MemoryInUse() / 1024))
	return 1
}

// resultsPushed returns how many values are above the arguments.
func (t *Thread) resultsPushed() int { return t.top - t.base - t.nargs }

// currentEnv is the environment for new functions: that of the thread.
func (t *Thread) currentEnv() *Table { return t.env }

func baseError(t *Thread) int {
	t.ErrorValue(t.Arg(1), t.optInt32(2, 1))
	return 0
}

func basePcall(t *Thread) int {
	t.CheckAny(1)
	return 0
}

func baseXpcall(t *Thread) int {
	t.CheckAny(1)
	t.CheckFunction(2)
	return 0
}

// envTarget finds the function that getfenv and setfenv mean; nil is the
// thread itself.
func (t *Thread) envTarget(setting bool) *Function {
	if f, ok := t.Arg(1).AsFunction(); ok {
		return f
	}
	level := 1
	if setting {
		level = t.checkInt32(1)
	} else {
		level = t.optInt32(1, 1)
	}
	if level < 0 {
		t.ArgError(1, "invalid level")
	}
	if level == 0 {
		return nil
	}
	ci := t.level(level)
	if ci < 0 {
		t.ArgError(1, "invalid level")
	}
	return t.frames[ci].fn
}

func baseGetfenv(t *Thread) int {
	env := t.env
	if f := t.envTarget(false); f != nil {
		env = f.env
		if f.IsGo() {
			env = t.env
		}
	}
	t.Push(env.Value())
	return 1
}

func baseSetfenv(t *Thread) int {
	env := t.CheckTable(2)
	f := t.envTarget(true)
	if f == nil {
		t.env = env
		return 0
	}
	if f.IsGo() {
		t.Errorf("'setfenv' cannot change environment of given object")
	}
	f.env = env
	t.Push(f.Value())
	return 1
}

func baseGetmetatable(t *Thread) int {
	mt := t.m.Metatable(t.CheckAny(1))
	switch {
	case mt == nil:
		t.PushNil()
	case mt.metaField(evMetatable).p != nil:
		t.Push(mt.metaField(evMetatable))
	default:
		t.Push(mt.Value())
	}
	return 1
}

func baseSetmetatable(t *Thread) int {
	tb := t.CheckTable(1)
	mt, ok := t.Arg(2).AsTable()
	if !ok && (t.nargs < 2 || t.Arg(2).p != nil) {
		t.TypeError2(2, "nil or table")
	}
	if tb.meta != nil && tb.meta.metaField(evMetatable).p != nil {
		t.Errorf("cannot change a protected metatable")
	}
	t.m.setTableMeta(tb, mt)
	t.Push(t.Arg(1))
	return 1
}

// TypeError2 raises "bad argument #i to 'f' (want expected)".
func (t *Thread) TypeError2(i int, want string) { t.ArgError(i, want+" expected") }

func baseIpairs(t *Thread) int {
	t.CheckAny(1)
	t.CheckTable(1)
	t.Push(t.m.fnIpairsIter.Value())
	t.Push(t.Arg(1))
	t.PushInt(0)
	return 3
}

func ipairsIter(t *Thread) int {
	tb := t.CheckTable(1)
	i := t.checkInt32(2) + 1
	v := tb.GetInt(i)
	if v.p == nil {
		return 0
	}
	t.PushInt(i)
	t.Push(v)
	return 2
}

func basePairs(t *Thread) int {
	t.CheckAny(1)
	t.CheckTable(1)
	t.Push(t.m.fnNext.Value())
	t.Push(t.Arg(1))
	t.PushNil()
	return 3
}

func baseNext(t *Thread) int {
	tbl := t.CheckTable(1)
	k, v, ok, err := tbl.Next(t.Arg(2))
	t.chargeScan(tbl, t.Arg(2), k)
	if err != nil {
		t.ErrorValue(String(err.Error()), 0)
	}
	if !ok {
		t.PushNil()
		return 1
	}
	t.Push(k)
	t.Push(v)
	return 2
}

// chargeScan counts what next has gone over from the first key on: a table may be
// large and empty.
func (t *Thread) chargeScan(tbl *Table, from, to Value) {
	if from.p == nil && !(to.p == numTag() && to.float() == 1) {
		t.Charge((len(tbl.arr) + int(tbl.mask)) >> 8)
	}
}

// userdata made by newproxy with a metatable is recognised by that table.
type proxy struct{}

func baseNewproxy(t *Thread) int {
	var mt *Table
	switch v := t.Arg(1); {
	case v.p == nil || v.p == falseTag():
	case v.p == trueTag():
		mt = newTable(0, 0)
	default:
		u, ok := v.AsUserdata()
		if ok {
			_, ok = u.Data.(proxy)
		}
		if !ok || u.meta == nil {
			t.TypeError2(1, "boolean or proxy")
		}
		mt = u.meta
	}
	u := t.m.NewUserdata(proxy{}, mt)
	if mt != nil {
		t.m.watch(u)
	}
	t.Push(u.Value())
	return 1
}

func basePrint(t *Thread) int {
	var buf []byte
	n := t.nargs
	tostring := t.m.globals.GetStr("tostring")
	f, ok := tostring.AsFunction()
	plain := ok && f.Name() == "tostring"
	for i := 1; i <= n; i++ {
		if i > 1 {
			buf = append(buf, '\t')
		}
		v := t.Arg(i)
		if plain || v.isStr() {
			buf = append(buf, t.ToString(v)...)
			continue
		}
		s, ok := t.CallValue(tostring, 1, v)[0].ToStringCoerced()
		if !ok {
			t.Errorf("'tostring' must return a string to 'print'")
		}
		buf = append(buf, s...)
	}
	buf = append(buf, '\n')
	// As C's print, which does not look whether it was written.
	_ = t.m.WriteStdout(string(buf))
	return 0
}

func baseRawequal(t *Thread) int {
	t.CheckAny(1)
	t.CheckAny(2)
	t.PushBool(RawEqual(t.Arg(1), t.Arg(2)))
	return 1
}

func baseRawget(t *Thread) int {
	tb := t.CheckTable(1)
	t.Push(tb.Get(t.CheckAny(2)))
	return 1
}

func baseRawset(t *Thread) int {
	tb := t.CheckTable(1)
	k, v := t.CheckAny(2), t.CheckAny(3)
	if err := tb.Set(k, v); err != nil {
		t.ErrorValue(String(err.Error()), 0)
	}
	t.Push(t.Arg(1))
	return 1
}

func baseSelect(t *Thread) int {
	n := t.nargs
	if s, ok := t.Arg(1).AsString(); ok && strings.HasPrefix(s, "#") {
		t.PushInt(n - 1)
		return 1
	}
	i := t.checkInt32(1)
	if i < 0 {
		i += n
	}
	if i < 1 {
		t.ArgError(1, "index out of range")
	}
	if i >= n {
		return 0
	}
	return n - i
}

func baseTonumber(t *Thread) int {
	base := t.optInt32(2, 10)
	v := t.Arg(1)
	if base == 10 {
		t.CheckAny(1)
		if f, ok := v.ToNumberCoerced(); ok {
			t.PushNumber(f)
			return 1
		}
		if c, ok := v.AsCData(); ok {
			if f, ok := c.Float(); ok {
				t.PushNumber(f)
				return 1
			}
		}
		t.PushNil()
		return 1
	}
	s, _, _ := strings.Cut(t.CheckString(1), "\x00") // strtoul ends there
	s = strings.TrimFunc(s, func(r rune) bool { return r < 128 && isSpace(byte(r)) })
	if base < 2 || base > 36 {
		t.ArgError(2, "base out of range")
	}
	f, ok := parseBase(s, base)
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushNumber(f)
	return 1
}

// parseBase converts digits of a base as strtoul does.
func parseBase(s string, base int) (float64, bool) {
	neg, overflow := false, false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	n := uint64(0)
	for i := range len(s) {
		d := int(s[i]) - '0'
		if c := s[i] | 0x20; c >= 'a' && c <= 'z' {
			d = int(c) - 'a' + 10
		}
		if d < 0 || d >= base {
			return 0, false
		}
		if hi, lo := bits.Mul64(n, uint64(base)); hi == 0 && lo <= math.MaxUint64-uint64(d) {
			n = lo + uint64(d)
		} else {
			n, overflow = math.MaxUint64, true
		}
	}
	if overflow {
		n = math.MaxUint64
	}
	if neg {
		return -float64(n), s != ""
	}
	return float64(n), s != ""
}

func baseTostring(t *Thread) int {
	v := t.CheckAny(1)
	if h := t.m.metamethod(v, evTostring); h.p != nil && v.n != tagString {
		t.Push(t.callDirect(h, v))
		return 1
	}
	if v.n == tagString {
		t.Push(v)
		return 1
	}
	t.PushString(plainString(v))
	return 1
}

// plainString is tostring without metamethods.
func plainString(v Value) string {
	switch v.Type() {
	case TypeNil:
		return "nil"
	case TypeBoolean:
		if v.p == trueTag() {
			return "true"
		}
		return "false"
	case TypeNumber:
		return FormatNumber(v.float())
	case TypeString:
		return v.str().s
	case TypeCData:
		return v.cdata().String()
	case TypeLightUserdata:
		if v.n == 0 {
			return "userdata: NULL"
		}
	case TypeFunction:
		if v.fn().IsGo() {
			return "function: builtin: 0x" + pointerText(v)
		}
	}
	return v.TypeName() + ": 0x" + pointerText(v)
}

// pointerText writes an address with at least the 8 digits that programs
// expect to match.
func pointerText(v Value) string {
	s := strconv.FormatUint(uint64(v.Pointer()), 16)
	for len(s) < 8 {
		s = "0" + s
	}
	return s
}

func baseType(t *Thread) int {
	t.Push(t.m.typeName(t.CheckAny(1).Type()))
	return 1
}

func (m *VM) typeName(t Type) Value { return typeNameStrings[t].value() }

var typeNameStrings = func() (a [TypeCData + 1]*lstring) {
	for i, n := range typeNames {
		a[i] = &lstring{s: n}
		a[i].hashed()
	}
	return a
}()

func baseUnpack(t *Thread) int {
	v := t.Arg(1)
	tb, ok := v.AsTable()
	if !ok {
		t.CheckTable(1)
	}
	i := t.optInt32(2, 1)
	e := tb.Len()
	if t.Arg(3).p != nil {
		e = t.checkInt32(3)
	}
	if i > e {
		return 0
	}
	n := e - i + 1
	if n <= 0 || n >= maxStack/2 {
		t.Errorf("too many results to unpack")
	}
	t.Charge(n >> 4)
	if t.top+n+stackSlack > len(t.stack) {
		t.growStack(t.top + n + stackSlack)
	}
	for ; i <= e; i++ {
		t.Push(tb.GetInt(i))
	}
	return n
}
