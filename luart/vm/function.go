package vm

import "unsafe"

// GoFunction is a function in Go that Lua can call: it reads its arguments
// from t, pushes results and returns how many it pushed.
type GoFunction func(t *Thread) int

// Function is a Lua closure or a Go function with its upvalues.
type Function struct {
	proto   *proto // nil for Go functions
	up      []*upvalue
	env     *Table
	special special
	*goPart // nil for Lua functions, which so stay small
}

type goPart struct {
	goFn GoFunction
	goUp []Value
	name string
}

// Lua closures with room for their upvalues, so that these take one allocation.
type (
	function1 struct {
		Function
		a [1]*upvalue
	}
	function2 struct {
		Function
		a [2]*upvalue
	}
	function4 struct {
		Function
		a [4]*upvalue
	}
)

// newLuaFunction returns a closure of p with room for its upvalues.
func newLuaFunction(p *proto, env *Table) *Function {
	n := len(p.upDesc)
	var f *Function
	switch {
	case n == 0:
		f = &Function{}
	case n == 1:
		o := &function1{}
		f, o.up = &o.Function, o.a[:]
	case n == 2:
		o := &function2{}
		f, o.up = &o.Function, o.a[:]
	case n <= 4:
		o := &function4{}
		f, o.up = &o.Function, o.a[:n]
	default:
		f = &Function{up: make([]*upvalue, n)}
	}
	f.proto, f.env = p, env
	return f
}

// newGoFunction returns a Go function with copies of the upvalues, all in one
// allocation if these are few.
func newGoFunction(env *Table, name string, fn GoFunction, up []Value) *Function {
	var f *Function
	switch len(up) {
	case 0:
		o := &struct {
			Function
			g goPart
		}{}
		f, o.goPart = &o.Function, &o.g
	case 1, 2, 3:
		o := &struct {
			Function
			g goPart
			a [3]Value
		}{}
		f, o.goPart = &o.Function, &o.g
		o.g.goUp = o.a[:len(up)]
		copy(o.g.goUp, up)
	default:
		f = &Function{goPart: &goPart{goUp: append([]Value(nil), up...)}}
	}
	f.env, f.goFn, f.name = env, fn, name
	return f
}

// special marks functions that the machine runs itself.
type special uint8

const (
	spNone special = iota
	spPcall
	spXpcall
	spError
	spNext
	spIpairsIter
	spResume
	spWrap // a function made by coroutine.wrap; goUp[0] is the thread
	spYield
)

// upvalue is a variable of an enclosing function. While it is open, v points
// into the stack of the thread where the variable lives.
type upvalue struct {
	v      *Value
	closed Value
	// While open: the list of the thread, ordered by falling index.
	next  *upvalue
	index int
}

// Value returns f as a Lua value.
func (f *Function) Value() Value { return Value{unsafe.Pointer(f), tagFunction} }

// IsGo reports whether f is written in Go.
func (f *Function) IsGo() bool { return f.proto == nil }

// Env returns the environment table.
func (f *Function) Env() *Table { return f.env }

// SetEnv sets the environment table.
func (f *Function) SetEnv(env *Table) { f.env = env }

// Name returns the name a Go function was made with, "" for Lua functions.
func (f *Function) Name() string {
	if f.goPart == nil {
		return ""
	}
	return f.name
}

// NumUpvalues returns the number of upvalues.
func (f *Function) NumUpvalues() int {
	if f.proto != nil {
		return len(f.up)
	}
	return len(f.goUp)
}

// Upvalue returns name and value of upvalue i (from 1); the name is "" for Go
// functions. ok is false if there is none.
func (f *Function) Upvalue(i int) (name string, v Value, ok bool) {
	if i < 1 || i > f.NumUpvalues() {
		return "", Nil, false
	}
	if f.proto == nil {
		return "", f.goUp[i-1], true
	}
	return f.proto.upNames[i-1], *f.up[i-1].v, true
}

// SetUpvalue sets upvalue i (from 1) and returns its name.
func (f *Function) SetUpvalue(i int, v Value) (name string, ok bool) {
	if i < 1 || i > f.NumUpvalues() {
		return "", false
	}
	if f.proto == nil {
		f.goUp[i-1] = v
		return "", true
	}
	*f.up[i-1].v = v
	return f.proto.upNames[i-1], true
}

// UpvalueID identifies the variable behind upvalue i of a Lua function, nil if
// there is none.
func (f *Function) UpvalueID(i int) unsafe.Pointer {
	if f.proto == nil {
		if i < 1 || i > len(f.goUp) {
			return nil
		}
		return unsafe.Pointer(&f.goUp[i-1])
	}
	if i < 1 || i > len(f.up) {
		return nil
	}
	return unsafe.Pointer(f.up[i-1])
}

// JoinUpvalue makes upvalue i of f refer to upvalue j of g (both Lua functions).
func (f *Function) JoinUpvalue(i int, g *Function, j int) bool {
	if f.proto == nil || g.proto == nil || i < 1 || i > len(f.up) || j < 1 || j > len(g.up) {
		return false
	}
	f.up[i-1] = g.up[j-1]
	return true
}

// proto is the compiled code of a Lua function.
type proto struct {
	code      []instr // followed by a guard instruction
	k         []Value // never empty
	protos    []*proto
	numParams uint8
	vararg    bool
	maxStack  int // registers, including room for the call of a metamethod
	upDesc    []upDesc
	upNames   []string
	lines     []int32
	locals    []localInfo
	source    string // chunk name as given to Load
	line      int
	lastLine  int
}

// start returns the address of the first instruction.
func (p *proto) start() unsafe.Pointer { return unsafe.Pointer(&p.code[0]) }

// index returns the index of the instruction before the one at pc.
func (p *proto) index(pc unsafe.Pointer) int {
	return int(uintptr(pc)-uintptr(p.start()))/8 - 1
}

// upDesc says where a new closure finds an upvalue: in a register of the
// function that makes it, or among that function's upvalues.
type upDesc struct {
	fromStack bool
	index     uint8
}

// localInfo is a local variable for messages and debug.getlocal.
type localInfo struct {
	name       string
	reg        int
	start, end int // instructions where it is alive: start <= pc < end
}

type instr = uint64
