package vm

import (
	"unsafe"
)

// Thread is a Lua stack with its calls: the main thread, a request's thread or
// a coroutine.
type Thread struct {
	m      *VM
	stack  []Value
	frames []frame
	ci     int // index of the running frame, -1 if none
	top    int // end of the values of an open list, or of a Go function's stack

	// Of the running Go function: its first argument and how many there are.
	base, nargs int

	openUp   *upvalue
	status   threadStatus
	isMain   bool
	resumer  *Thread // who waits for this coroutine
	stops    int     // frames of kind frStop, which cannot be yielded across
	nGo      int     // nested machine entries and coroutines, limited
	env      *Table
	hook     *hookState
	hookFlag opcode // not 0 while a hook is set
	ownHook  bool   // SetHook was called for this thread

	aborting thrown // of Abort

	// Data is the host's; a coroutine inherits it from its creator.
	Data any
	// Owner is the host's, too; no coroutine inherits it.
	Owner any
}

type threadStatus uint8

const (
	stSuspended threadStatus = iota // also: not started
	stRunning
	stNormal
	stDead
)

// frame is a call. A frame of kind frLua runs bytecode; the other kinds are
// what the machine has to do when the frame above returns.
type frame struct {
	fn   *Function
	pc   unsafe.Pointer // next instruction; valid while the frame does not run
	base int            // first register, or first argument of a Go function
	ret  int            // where the results go
	nres int            // how many are wanted, -1 for all
	nvar int            // arguments beyond the parameters, below base
	kind frameKind

	tail bool // came by a tail call; of frCompare: the result is inverted
	safe bool // of frStop: Go code catches errors
	host bool // of frStop and frBase: errors get a traceback

	asLua bool // of frStop: CallValueAsLua
}

type frameKind uint8

const (
	frLua     frameKind = iota
	frGo                // a Go function runs, or has yielded
	frPcall             // the called function runs above
	frXpcall            // the same; the handler is below base
	frHandler           // an error handler runs above
	frCompare           // a metamethod for a comparison runs above
	frConcat            // a metamethod for a concatenation runs above
	frWait              // a coroutine runs, on its own stack
	frBase              // the bottom of a coroutine
	frStop              // return to Go
)

const (
	initialStack  = 32
	initialFrames = 6
	stackSlack    = 8
	maxStack      = 1 << 20
	stackReserve  = 1 << 13
	maxFrames     = 200000
	maxGoCalls    = 195
)

// NewThread returns a thread for host calls.
func (m *VM) NewThread() *Thread {
	t := &Thread{m: m, ci: -1, env: m.globals}
	if n := len(m.spare) - 1; n >= 0 {
		t.stack, t.frames = m.spare[n].stack, m.spare[n].frames
		m.spare[n] = stacks{}
		m.spare = m.spare[:n]
	} else {
		t.stack, t.frames = make([]Value, initialStack), make([]frame, initialFrames)
	}
	return t
}

// stacks are what threads that have ended leave for others.
type stacks struct {
	stack  []Value
	frames []frame
}

// maxSpare is how many stacks are kept.
const maxSpare = 64

// Recycle takes the stacks of a thread that has ended well, and whose results
// nobody looks at any more.
func (t *Thread) Recycle() {
	if t.ci >= 0 || t.status != stDead || t.openUp != nil || t.stack == nil || len(t.m.spare) >= maxSpare ||
		len(t.stack) > 4*initialStack || len(t.frames) > 4*initialFrames {
		return
	}
	clear(t.stack)
	clear(t.frames)
	t.m.spare = append(t.m.spare, stacks{t.stack, t.frames})
	t.stack, t.frames, t.top = nil, nil, 0
}

// Reset makes t ready for new calls, whatever happened to the last one.
func (t *Thread) Reset() {
	t.closeUpvalues(0)
	if len(t.stack) > 16*initialStack {
		t.stack = make([]Value, initialStack)
	} else {
		clear(t.stack)
	}
	if len(t.frames) > 16*initialFrames {
		t.frames = make([]frame, initialFrames)
	} else {
		clear(t.frames)
	}
	t.ci, t.top, t.base, t.nargs = -1, 0, 0, 0
	t.status, t.resumer, t.nGo, t.hook, t.hookFlag, t.Data = stSuspended, nil, 0, nil, 0, nil
	t.Owner = nil
	t.ownHook = false
	t.stops = 0
	t.env = t.m.globals
}

// VM returns the VM of t.
func (t *Thread) VM() *VM { return t.m }

// Value returns t as a Lua value.
func (t *Thread) Value() Value { return Value{unsafe.Pointer(t), tagThread} }

// Status returns what coroutine.status would.
func (t *Thread) Status() string {
	return [...]string{"suspended", "running", "normal", "dead"}[t.status]
}

// NArgs returns the number of arguments of the running Go function.
func (t *Thread) NArgs() int { return t.nargs }

// Arg returns argument i (from 1), nil when absent.
func (t *Thread) Arg(i int) Value {
	if uint(i-1) < uint(t.nargs) {
		return t.stack[t.base+i-1]
	}
	return Nil
}

// SetArg replaces argument i, which must exist.
func (t *Thread) SetArg(i int, v Value) {
	if uint(i-1) < uint(t.nargs) {
		t.stack[t.base+i-1] = v
	}
}

func (t *Thread) goFunction() *Function { return t.frames[t.ci].fn }

// Upvalue returns upvalue i (from 1) of the running Go function.
func (t *Thread) Upvalue(i int) Value { return t.goFunction().goUp[i-1] }

// SetUpvalue sets upvalue i (from 1) of the running Go function.
func (t *Thread) SetUpvalue(i int, v Value) { t.goFunction().goUp[i-1] = v }

// Push pushes a result.
func (t *Thread) Push(v Value) {
	if t.top >= len(t.stack)-stackSlack {
		t.growStack(t.top + 1)
	}
	t.stack[t.top] = v
	t.top++
}

// PushString pushes s, which must never change.
func (t *Thread) PushString(s string) { t.Push(String(s)) }

// PushBytes pushes a copy of b.
func (t *Thread) PushBytes(b []byte) {
	if len(b) >= longString {
		t.chargeString(len(b))
	}
	t.Push(Bytes(b))
}

// PushBlank pushes a string of n bytes, which the caller writes before anything
// else is done with t.
func (t *Thread) PushBlank(n int) []byte {
	if n == 0 {
		t.Push(emptyString.value())
		return nil
	}
	if n >= longString {
		t.chargeString(n)
	}
	s, b := newStringBuf(n)
	t.Push(s.value())
	return b
}

// PushNumber pushes a number.
func (t *Thread) PushNumber(f float64) { t.Push(Number(f)) }

// PushInt pushes a number.
func (t *Thread) PushInt(i int) { t.Push(Int(i)) }

// PushBool pushes a boolean.
func (t *Thread) PushBool(b bool) { t.Push(Bool(b)) }

// PushNil pushes nil.
func (t *Thread) PushNil() { t.Push(Nil) }

// growStack makes room up to index n and slack.
func (t *Thread) growStack(n int) {
	size := max(2*len(t.stack), n+2*stackSlack)
	if n > maxStack {
		if len(t.stack) < maxStack+stackReserve {
			t.setStack(maxStack + stackReserve) // for the message handler
			t.throwf("stack overflow")
		}
		panic(&thrown{value: String("error in error handling"), handled: true})
	}
	t.setStack(size)
}

// setStack moves the stack to one of another size; open upvalues follow.
func (t *Thread) setStack(size int) {
	s := make([]Value, size)
	copy(s, t.stack)
	t.stack = s
	for u := t.openUp; u != nil; u = u.next {
		u.v = &s[u.index]
	}
}

// findUpvalue returns the open upvalue for a stack index.
func (t *Thread) findUpvalue(i int) *upvalue {
	p := &t.openUp
	for *p != nil && (*p).index > i {
		p = &(*p).next
	}
	if u := *p; u != nil && u.index == i {
		return u
	}
	u := &upvalue{v: &t.stack[i], next: *p, index: i}
	*p = u
	return u
}

// closeUpvalues closes the open upvalues at and above index i.
func (t *Thread) closeUpvalues(i int) {
	for u := t.openUp; u != nil && u.index >= i; u = t.openUp {
		t.openUp = u.next
		u.closed = *u.v
		u.v = &u.closed
		u.next = nil
	}
}
