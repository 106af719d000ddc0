package vm

import "strings"

// hookState is what debug.sethook set on a thread. Go sets hookFlag so that the
// machine looks at every instruction.
type hookState struct {
	f        Value
	mask     string
	count    int
	left     int
	lastLine int
	lastPC   int
	lastCI   int
	running  bool
}

// hookFlag makes every opcode one that the dispatch loop does not know.
const hookFlag opcode = 0x80

// SetHook sets the hook of t, called with "line" at each new line if mask has l,
// and with "count" after each count instructions; nil removes it. A coroutine
// without one of its own has that of the thread that resumes it.
func (t *Thread) SetHook(f Value, mask string, count int) {
	t.ownHook = f.p != nil && (mask != "" || count != 0)
	if !t.ownHook {
		t.hook, t.hookFlag = nil, 0
		return
	}
	t.hook = &hookState{f: f, mask: mask, count: count, left: count, lastLine: -1, lastPC: -1, lastCI: -1}
	t.hookFlag = hookFlag
}

// Hook returns what SetHook set.
func (t *Thread) Hook() (f Value, mask string, count int) {
	if h := t.hook; h != nil {
		return h.f, h.mask, h.count
	}
	return Nil, "", 0
}

// runHook calls the hook before an instruction, if it is its turn.
func (x *exec) runHook() {
	t := x.t
	h := t.hook
	if h == nil || h.running {
		return
	}
	if h.count > 0 {
		if h.left--; h.left <= 0 {
			h.left = h.count
			t.callHook(h, "count", -1)
			if t.hook != h {
				return
			}
		}
	}
	fr := &t.frames[t.ci]
	pc := fr.fn.proto.index(fr.pc)
	newCall := t.ci > h.lastCI || pc == 0
	if newCall && pc == 0 && strings.Contains(h.mask, "c") {
		t.callHook(h, "call", -1)
	}
	line := fr.fn.proto.lineAt(pc)
	if strings.Contains(h.mask, "l") && (newCall || t.ci != h.lastCI || line != h.lastLine || pc < h.lastPC) {
		t.callHook(h, "line", line)
	}
	switch instrOp(fr.fn.proto.code[pc]) {
	case opRet, opRet0, opRet1:
		if strings.Contains(h.mask, "r") && t.hook == h {
			t.callHook(h, "return", -1)
		}
	}
	h.lastLine, h.lastPC, h.lastCI = line, pc, t.ci
}

func (t *Thread) callHook(h *hookState, what string, line int) {
	h.running = true
	defer func() { h.running = false }()
	top := t.top
	at := t.scratch()
	t.top = at
	arg := Nil
	if line >= 0 {
		arg = Int(line)
	}
	t.CallValue(h.f, 0, String(what), arg)
	t.top = top
}
