package regex

import (
	"strings"
	"unicode/utf8"
)

// run runs the program from pc at pos until it matches, and returns where. ret
// is the group whose end returns from a recursion. When it fails, everything is
// as it was before; when it matches, what it has pushed stays.
func (m *Matcher) run(start, from, ret int) (int, bool) {
	prog, s := m.re.prog, m.s
	base := len(m.stack)
	pc, pos := start, from
	for {
		in := &prog[pc]
		switch in.op {
		case opByte:
			if pos < len(s) && s[pos] == in.b {
				pos++
				pc++
				continue
			}
		case opSet:
			if pos < len(s) && in.bits[s[pos]] {
				pos++
				pc++
				continue
			}
		case opString:
			if strings.HasPrefix(s[pos:], in.str) {
				pos += len(in.str)
				pc++
				continue
			}
		case opFold:
			if len(s)-pos >= len(in.str) && equalFold(s[pos:], in.str) {
				pos += len(in.str)
				pc++
				continue
			}
		case opChar:
			if n := in.char(s, pos); n > 0 {
				pos += n
				pc++
				continue
			}
		case opRep:
			if end := m.rep(in, int32(pc), pos); end >= 0 {
				pos = end
				pc++
				continue
			}
		case opRepChar:
			if end := m.repChar(in, int32(pc), pos); end >= 0 {
				pos = end
				pc++
				continue
			}
		case opSplit:
			if next := m.split(in, int32(pc)+1, pos); next >= 0 {
				pc = next
				continue
			}
		case opJump:
			pc = int(in.x)
			continue
		case opSave:
			m.setCap(in.x, int32(pos))
			pc++
			continue
		case opOpen:
			m.setReg(in.x, int32(pos))
			pc++
			continue
		case opClose:
			m.setCap(2*in.x, m.regs[in.min])
			m.setCap(2*in.x+1, int32(pos))
			pc++
			continue
		case opRepInit:
			m.setReg(in.x, 0)
			m.setReg(in.x+1, -1)
			pc++
			continue
		case opRepLoop:
			if next := m.repLoop(in, pc, pos); next >= 0 {
				pc = next
				continue
			}
		case opRepEnter:
			m.setReg(in.x, m.regs[in.x]+1)
			m.setReg(in.x+1, int32(pos))
			pc++
			continue
		case opAssert:
			if m.assert(in.what, pos) {
				pc++
				continue
			}
		case opEnd:
			return pos, true
		case opReturn:
			if ret == int(in.x) {
				return pos, true
			}
			pc++
			continue
		case opMatch:
			if !m.longest || ret == 0 {
				return pos, true
			}
			if pos > m.best {
				m.best = pos
			}
			if pos == len(s) {
				return pos, true
			}
		default:
			next, end := m.rare(in, pc, pos)
			if m.accept {
				return end, true
			}
			if next >= 0 {
				pc, pos = next, end
				continue
			}
		}
		if m.failure != 0 {
			m.unwind(base)
			return 0, false
		}
		if pc, pos = m.backtrack(base); pc < 0 {
			return 0, false
		}
	}
}

// backtrack goes back to the last alternative above base; pc is -1 without one.
func (m *Matcher) backtrack(base int) (pc, pos int) {
	s := m.s
	for len(m.stack) > base {
		if m.steps--; m.steps < 0 || len(m.stack) > maxStack {
			m.failure = ErrMatchLimit
			m.unwind(base)
			return -1, 0
		}
		r := &m.stack[len(m.stack)-1]
		switch r.kind {
		case rAlternative:
			m.stack = m.stack[:len(m.stack)-1]
			return int(r.pc), int(r.a)
		case rGreedy:
			if pos := m.giveBack(r); pos >= 0 {
				return int(r.pc) + 1, pos
			}
		case rLazy:
			if pos := m.takeMore(r, s); pos >= 0 {
				return int(r.pc) + 1, pos
			}
		case rBarrier:
			m.cut, m.skipTo = int(r.pc), int(r.a)
			m.unwind(base)
			return -1, 0
		default:
			m.undo(r)
			m.stack = m.stack[:len(m.stack)-1]
		}
	}
	return -1, 0
}

// giveBack shortens a greedy loop to the next place where what follows it may
// begin; it removes the record when there is none, or no other.
func (m *Matcher) giveBack(r *record) int {
	s := m.s
	in := &m.re.prog[r.pc]
	pos, low := int(r.a), int(r.b)
	for pos > low {
		pos--
		if in.utf || in.op == opRepChar {
			for pos > low && !utf8.RuneStart(s[pos]) {
				pos--
			}
		}
		if in.fa == nil || in.fa.bits[s[pos]] {
			if pos > low {
				r.a = int32(pos)
			} else {
				m.stack = m.stack[:len(m.stack)-1]
			}
			return pos
		}
	}
	m.stack = m.stack[:len(m.stack)-1]
	return -1
}

// takeMore lengthens a lazy loop to the next place where what follows it may
// begin.
func (m *Matcher) takeMore(r *record, s string) int {
	in := &m.re.prog[r.pc]
	pos := int(r.a)
	for r.b != 0 {
		n := 1
		if in.op == opRepChar {
			n = in.char(s, pos)
		} else if pos >= len(s) || !in.bits[s[pos]] {
			n = 0
		}
		if n == 0 {
			break
		}
		pos += n
		if r.b > 0 {
			r.b--
		}
		if may(in.fa, s, pos) {
			r.a = int32(pos)
			return pos
		}
	}
	m.stack = m.stack[:len(m.stack)-1]
	return -1
}

// rep runs a loop over a set of bytes; -1 if there are too few.
func (m *Matcher) rep(in *inst, pc int32, pos int) int {
	s, bits := m.s, in.bits
	low := pos + int(in.min)
	if in.mode == lazy {
		if low > len(s) {
			return -1
		}
		for ; pos < low; pos++ {
			if !bits[s[pos]] {
				return -1
			}
		}
		if in.max != in.min {
			m.push(rLazy, pc, int32(pos), in.max-max(in.min, 0))
			if in.max < 0 {
				m.stack[len(m.stack)-1].b = -1
			}
		}
		return pos
	}
	limit := len(s)
	if in.max >= 0 {
		limit = min(limit, pos+int(in.max))
	}
	end := pos
	switch {
	case in.kind == kAll || in.kind == kByte:
		end = limit
	case in.kind == kAny:
		if i := strings.IndexByte(s[pos:limit], '\n'); i >= 0 {
			end = pos + i
		} else {
			end = limit
		}
	default:
		for end < limit && bits[s[end]] {
			end++
		}
	}
	if end < low {
		return -1
	}
	m.steps -= (end - pos) >> 8
	if in.utf && in.min == 1 {
		for low < end && !utf8.RuneStart(s[low]) {
			low++
		}
	}
	if in.mode == possessive || end == low {
		return end
	}
	m.push(rGreedy, pc, int32(end), int32(low))
	if !may(in.fa, s, end) {
		r := &m.stack[len(m.stack)-1]
		return m.giveBack(r)
	}
	return end
}

// char matches one character in UTF mode and returns its length.
func (in *inst) char(s string, pos int) int {
	if pos >= len(s) {
		return 0
	}
	c := s[pos]
	if c < utf8.RuneSelf {
		if in.bits[c] {
			return 1
		}
		return 0
	}
	r, n := utf8.DecodeRuneInString(s[pos:])
	if in.kind == kSet && !in.set.hasHigh(r) {
		return 0
	}
	return n
}

// repChar is rep for characters in UTF mode.
func (m *Matcher) repChar(in *inst, pc int32, pos int) int {
	s := m.s
	n := int32(0)
	for ; n < in.min; n++ {
		w := in.char(s, pos)
		if w == 0 {
			return -1
		}
		pos += w
	}
	if in.max == in.min {
		return pos
	}
	if in.mode == lazy {
		more := in.max - n
		if in.max < 0 {
			more = -1
		}
		m.push(rLazy, pc, int32(pos), more)
		return pos
	}
	low := pos
	for ; in.max < 0 || n < in.max; n++ {
		w := in.char(s, pos)
		if w == 0 {
			break
		}
		pos += w
	}
	if in.mode != possessive && pos > low {
		m.push(rGreedy, pc, int32(pos), int32(low))
	}
	return pos
}

// split chooses between next and in.x.
func (m *Matcher) split(in *inst, next int32, pos int) int {
	a, b := may(in.fa, m.s, pos), may(in.fb, m.s, pos)
	first, second := next, in.x
	if in.mode == lazy {
		first, second = second, first
		a, b = b, a
	}
	switch {
	case a && b:
		m.push(rAlternative, second, int32(pos), 0)
		return int(first)
	case a:
		return int(first)
	case b:
		return int(second)
	}
	return -1
}

// repLoop decides whether a counted loop goes round again.
func (m *Matcher) repLoop(in *inst, pc, pos int) int {
	n := m.regs[in.reg]
	if m.steps--; m.steps < 0 || len(m.stack) > maxStack {
		m.failure = ErrMatchLimit
		return -1
	}
	switch {
	case n < in.min:
		return pc + 1
	case n > in.min && m.regs[in.reg+1] == int32(pos), in.max >= 0 && n >= in.max:
		return int(in.x)
	}
	return m.split(in, int32(pc)+1, pos)
}
