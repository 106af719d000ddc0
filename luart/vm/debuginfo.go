package vm

import (
	"fmt"
	"strings"
)

// visible reports whether a frame is a function call for tracebacks and levels.
func (fr *frame) visible() bool {
	switch fr.kind {
	case frLua, frGo, frPcall, frXpcall, frWait:
		return true
	}
	return false
}

// level returns the frame index of a level: 0 is the running function, 1 its
// caller; -1 if there is no such level.
func (t *Thread) level(n int) int {
	for ci := t.ci; ci >= 0; ci-- {
		if t.frames[ci].visible() {
			if n == 0 {
				return ci
			}
			n--
		}
	}
	return -1
}

func (fr *frame) line() int {
	p := fr.fn.proto
	return p.lineAt(p.index(fr.pc))
}

func (p *proto) lineAt(i int) int {
	if i < 0 {
		i = 0
	}
	if i < len(p.lines) {
		return int(p.lines[i])
	}
	return p.lastLine
}

// Where returns "chunk:line: " for a level of the call stack (0: the running
// function, 1: its caller), "" for Go functions.
func (t *Thread) Where(level int) string {
	ci := t.level(level)
	if ci < 0 || t.frames[ci].kind != frLua {
		return ""
	}
	fr := &t.frames[ci]
	return shortSource(fr.fn.proto.source) + ":" + itoa(fr.line()) + ": "
}

// writes reports whether an instruction writes register r, and for calls and
// the like, whether it may.
func writes(i instr, r int) bool {
	a := instrA(i)
	switch op := instrOp(i); op {
	case opLoadNil:
		return r >= a && r <= instrB(i)
	case opCall, opTailCall, opVararg:
		return r >= a
	case opTForCall:
		return r >= a+3
	case opSelf:
		return r == a || r == a+1
	case opMove, opLoadK, opGetUp, opGetG, opGetF, opGetI, opGet, opUnm, opNot, opLen, opConcat, opFalseSkip,
		opNewTable, opClosure, opJTS, opJFS:
		return r == a
	default:
		return op >= opAdd && op <= opPowKR && r == a
	}
}

// localName returns the name of the variable in register r at instruction pc.
func (p *proto) localName(r, pc int) string {
	name := ""
	for i := range p.locals {
		if l := &p.locals[i]; l.reg == r && l.start <= pc && pc < l.end {
			name = l.name
		}
	}
	return name
}

// slotName says what is in register r at instruction pc, by the code before.
func (p *proto) slotName(r, pc int) (kind, name string) {
	use := pc
	for {
		if n := p.localName(r, pc); n != "" {
			return "local", n
		}
		pc--
		for ; pc >= 0 && !writes(p.code[pc], r); pc-- {
		}
		if pc < 0 || p.maybeBool(r, pc, use) {
			return "", ""
		}
		i := p.code[pc]
		switch instrOp(i) {
		case opMove:
			r = instrB(i)
			continue
		case opGetUp:
			return "upvalue", p.upNames[instrB(i)]
		case opGetG:
			return "global", p.k[instrJ(i)].str().s
		case opGetF:
			return "field", p.k[instrC(i)].str().s
		case opSelf:
			if r == instrA(i) {
				return "method", p.k[instrC(i)].str().s
			}
			r = instrB(i)
			continue
		}
		return "", ""
	}
}

// maybeBool reports whether register r may have, at instruction use, the result of
// a comparison in place of what is written at pc, as in (a < b or c.d): a jump over
// the load of a boolean and a jump to behind pc.
func (p *proto) maybeBool(r, pc, use int) bool {
	for at := pc - 2; at > 0; at-- {
		skip, load, out := p.code[at-1], p.code[at], p.code[at+1]
		if instrOp(load) != opLoadK || instrA(load) != r || p.k[instrJ(load)].Type() != TypeBoolean ||
			instrOp(out) != opJmp || instrOp(skip) < opJT || instrOp(skip) > opJNGeK || instrJ(skip) != 2 {
			continue
		}
		if to := at + 2 + instrJ(out); to > pc && to <= use {
			return true
		}
	}
	return false
}

// current returns the instruction that the running Lua function executes.
func (fr *frame) current() (pc int, i instr) {
	pc = fr.fn.proto.index(fr.pc)
	return pc, fr.fn.proto.code[pc]
}

// failOperand raises "attempt to … kind 'name' (a type value)".
func (t *Thread) failOperand(what string, v Value, reg int) {
	if v.n == tagCData {
		t.throwf("attempt to %s '%s'", what, v.cdata().typeName())
	}
	fr := &t.frames[t.ci]
	if fr.kind == frLua && reg >= 0 {
		pc, _ := fr.current()
		if kind, name := fr.fn.proto.slotName(reg, pc); kind != "" {
			t.throwf("attempt to %s %s '%s' (a %s value)", what, kind, name, v.TypeName())
		}
	}
	t.throwf("attempt to %s a %s value", what, v.TypeName())
}

// indexError raises the error for indexing a value; direct says that it is the
// operand itself and not something found through __index.
func (t *Thread) indexError(obj, key Value, direct bool) {
	reg := -1
	fr := &t.frames[t.ci]
	if fr.kind == frLua && direct {
		switch _, i := fr.current(); instrOp(i) {
		case opGetF, opGetI, opGet, opSelf:
			reg = instrB(i)
		case opSetF, opSetFK, opSetI, opSetIK, opSet, opSetK:
			reg = instrA(i)
		}
	}
	if obj.n == tagCData {
		t.throwf("%s", obj.cdata().indexError(key))
	}
	t.failOperand("index", obj, reg)
}

// operandError raises the error for an operand of arithmetic or #: the first
// one (B) or the second one (C).
func (t *Thread) operandError(what string, v Value, which int) {
	reg := -1
	fr := &t.frames[t.ci]
	if fr.kind == frLua {
		_, i := fr.current()
		op := instrOp(i)
		switch {
		case which == 1 && !(op >= opAddKR && op <= opPowKR):
			reg = instrB(i)
		case which == 2 && !(op >= opAddRK && op <= opPowRK):
			reg = instrC(i)
		}
	}
	t.failOperand(what, v, reg)
}

// concatError raises the error for the operands in registers last-1 and last.
func (t *Thread) concatError(a, b Value, last int) {
	switch {
	case a.n == tagCData || b.n == tagCData:
		t.throwf("attempt to concatenate '%s' and '%s'", operandTypeName(a), operandTypeName(b))
	case isStringable(a):
		t.failOperand("concatenate", b, last)
	}
	t.failOperand("concatenate", a, last-1)
}

// callError raises the error for calling the value at stack index fi. If that is
// a metamethod, the message has no position, as in LuaJIT.
func (t *Thread) callError(fi int, v Value) {
	if v.n == tagCData {
		panic(&thrown{value: String("'" + v.cdata().typeName() + "' is not callable")})
	}
	fr := &t.frames[t.ci]
	reg := -1
	meta := fr.kind == frCompare || fr.kind == frConcat
	if fr.kind == frLua {
		switch _, i := fr.current(); instrOp(i) {
		case opCall, opTailCall:
			if fi == fr.base+instrA(i) {
				reg = fi - fr.base
			}
		case opTForCall:
		default:
			meta = true
		}
	}
	if meta {
		panic(&thrown{value: String("attempt to call a " + v.TypeName() + " value")})
	}
	t.failOperand("call", v, reg)
}

var metaNames = map[opcode]string{
	opGetG: "__index", opGetF: "__index", opGetI: "__index", opGet: "__index", opSelf: "__index",
	opSetG: "__newindex", opSetF: "__newindex", opSetFK: "__newindex", opSetI: "__newindex", opSetIK: "__newindex",
	opSet: "__newindex", opSetK: "__newindex",
	opAdd: "__add", opSub: "__sub", opMul: "__mul", opDiv: "__div", opMod: "__mod", opPow: "__pow",
	opAddRK: "__add", opSubRK: "__sub", opMulRK: "__mul", opDivRK: "__div", opModRK: "__mod", opPowRK: "__pow",
	opAddKR: "__add", opSubKR: "__sub", opMulKR: "__mul", opDivKR: "__div", opModKR: "__mod", opPowKR: "__pow",
	opUnm: "__unm", opLen: "__len", opConcat: "__concat", opJEq: "__eq", opJNe: "__eq", opJLt: "__lt", opJNLt: "__lt",
	opJLe: "__le", opJNLe: "__le", opJLtK: "__lt", opJNLtK: "__lt", opJLeK: "__le", opJNLeK: "__le",
	opJGtK: "__lt", opJNGtK: "__lt", opJGeK: "__le", opJNGeK: "__le",
}

// callName returns how the function of frame ci was called: its name, and
// "global", "local", "method", "field", "upvalue" or "metamethod". A function
// that was called by a tail call has the name of the call that it replaced.
func (t *Thread) callName(ci int) (name, what string) {
	if ci < 1 {
		return "", ""
	}
	ci--
	for ci > 0 && (t.frames[ci].kind == frCompare || t.frames[ci].kind == frConcat) {
		ci--
	}
	fr := &t.frames[ci]
	if fr.kind != frLua {
		return "", ""
	}
	pc, i := fr.current()
	switch op := instrOp(i); op {
	case opCall, opTailCall:
		what, name = fr.fn.proto.slotName(instrA(i), pc)
		return name, what
	case opTForCall:
		what, name = fr.fn.proto.slotName(instrA(i), pc)
		return name, what
	default:
		if n, ok := metaNames[op]; ok {
			return n, "metamethod"
		}
	}
	return "", ""
}

// Info describes a function or an active call, as lua_getinfo does.
type Info struct {
	Name, NameWhat  string
	What            string // "Lua", "C" or "main"
	Source          string
	ShortSource     string
	CurrentLine     int // -1 if not known
	LineDefined     int
	LastLineDefined int
	NumUpvalues     int
	NumParams       int
	IsVararg        bool
	Func            Value
}

// FunctionInfo describes a function.
func FunctionInfo(f *Function) *Info {
	in := &Info{Func: f.Value(), NumUpvalues: f.NumUpvalues(), CurrentLine: -1}
	p := f.proto
	if p == nil {
		in.What, in.Source, in.ShortSource = "C", "=[C]", "[C]"
		in.LineDefined, in.LastLineDefined = -1, -1
		in.IsVararg = true
		return in
	}
	in.What = "Lua"
	if p.line == 0 {
		in.What = "main"
	}
	in.Source, in.ShortSource = p.source, shortSource(p.source)
	in.LineDefined, in.LastLineDefined = p.line, p.lastLine
	in.NumParams, in.IsVararg = int(p.numParams), p.vararg
	return in
}

// LevelInfo describes an active call: level 0 is the running function, 1 its
// caller. It is nil if there is no such level.
func (t *Thread) LevelInfo(level int) *Info {
	ci := t.level(level)
	if ci < 0 {
		return nil
	}
	return t.frameInfo(ci)
}

func (t *Thread) frameInfo(ci int) *Info {
	fr := &t.frames[ci]
	in := FunctionInfo(fr.fn)
	in.Name, in.NameWhat = t.callName(ci)
	if fr.kind == frLua && (ci < t.ci || t.status != stDead) {
		// The machine's own errors leave no line in LuaJIT's dead coroutines.
		in.CurrentLine = fr.line()
	}
	return in
}

// LostLevels returns how many of the innermost levels leave no trace of an error
// that nothing in Lua catches: those of functions that a Go function calls, as
// table.sort does. So it is in LuaJIT.
func (t *Thread) LostLevels() int {
	n, lost := 0, 0
	for ci := t.ci; ci >= 0; ci-- {
		switch fr := &t.frames[ci]; {
		case fr.visible():
			n++
		case fr.kind == frStop && !fr.safe && !fr.asLua:
			lost = n
		}
	}
	return lost
}

// ActiveLines returns the lines of a Lua function that have code.
func (f *Function) ActiveLines() []int {
	if f.proto == nil {
		return nil
	}
	seen := map[int]bool{}
	var lines []int
	for _, l := range f.proto.lines {
		if !seen[int(l)] {
			seen[int(l)] = true
			lines = append(lines, int(l))
		}
	}
	return lines
}

// local returns the name and stack index of local variable n of a level.
func (t *Thread) local(level, n int) (name string, at int) {
	ci := t.level(level)
	if ci < 0 {
		return "", -1
	}
	fr := &t.frames[ci]
	if fr.kind != frLua {
		return "", -1
	}
	p := fr.fn.proto
	if n < 0 {
		if -n <= fr.nvar {
			return "(*vararg)", fr.base - fr.nvar - n - 1
		}
		return "", -1
	}
	pc, _ := fr.current()
	pc++
	if ci == t.ci {
		pc = p.index(fr.pc) + 1
	}
	k := n
	for i := range p.locals {
		if l := &p.locals[i]; l.start <= pc && pc < l.end {
			if k--; k == 0 {
				return l.name, fr.base + l.reg
			}
		}
	}
	if n > 0 && n <= p.maxStack && ci < t.ci && fr.base+n-1 < t.frames[ci+1].base-1 {
		return "(*temporary)", fr.base + n - 1
	}
	return "", -1
}

// Local returns local variable n (from 1) of a level; ok is false if there is
// none.
func (t *Thread) Local(level, n int) (name string, v Value, ok bool) {
	name, at := t.local(level, n)
	if at < 0 {
		return "", Nil, false
	}
	v = t.stack[at]
	if v.p == iterTag() {
		v = Nil
	}
	return name, v, true
}

// SetLocal sets local variable n (from 1) of a level and returns its name.
func (t *Thread) SetLocal(level, n int, v Value) (name string, ok bool) {
	name, at := t.local(level, n)
	if at < 0 {
		return "", false
	}
	t.stack[at] = v
	return name, true
}

// ParamName returns the name of parameter n of a Lua function, "" if it has none.
func (f *Function) ParamName(n int) string {
	if f.proto == nil || n < 1 || n > int(f.proto.numParams) {
		return ""
	}
	return f.proto.localName(n-1, 0)
}

// Traceback returns msg and the calls from a level on, in the shape of
// luaL_traceback.
func (t *Thread) Traceback(msg string, level int) string {
	first, last := 12, 10 // as luaL_traceback
	if t.isMain {
		last-- // the host's call below
	}
	var b strings.Builder
	if msg != "" {
		b.WriteString(msg)
		b.WriteByte('\n')
	}
	b.WriteString("stack traceback:")
	var calls []int // frame indices by level
	for ci := t.ci; ci >= 0; ci-- {
		if t.frames[ci].visible() {
			calls = append(calls, ci)
		}
	}
	total := len(calls)
	for n := level; n < total; n++ {
		if n == first && total > first+last+1 {
			b.WriteString("\n\t...")
			n = total - last
		}
		in := t.frameInfo(calls[n])
		b.WriteString("\n\t" + in.ShortSource + ":")
		if in.CurrentLine > 0 {
			fmt.Fprintf(&b, "%d:", in.CurrentLine)
		}
		switch {
		case in.NameWhat != "":
			fmt.Fprintf(&b, " in function '%s'", in.Name)
		case in.What == "main":
			b.WriteString(" in main chunk")
		case in.What == "C":
			fmt.Fprintf(&b, " at %#x", in.Func.Pointer())
		default:
			fmt.Fprintf(&b, " in function <%s:%d>", in.ShortSource, in.LineDefined)
		}
	}
	if t.isMain && total > 0 && level <= total {
		b.WriteString("\n\t[C]: in ?")
	}
	return b.String()
}
