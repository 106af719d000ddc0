package regex

import (
	"strings"
	"unicode/utf8"
)

// DefaultLimit is how often a match may backtrack when nothing else is said;
// PCRE's own default.
const DefaultLimit = 10_000_000

// startsLimit is how many times the limit of one start all starts together have.
const startsLimit = 5

// Bounds of the memory of a match.
const (
	maxStack  = 1 << 22 // records
	maxDepth  = 10_000  // of recursion
	keepStack = 1 << 14 // records that are kept for the next match
)

// record is an entry of the backtracking stack. kind says what a, b and c are.
type record struct {
	kind recordKind
	pc   int32
	a, b int32
}

type recordKind int32

const (
	rAlternative recordKind = iota // go on at pc and position a
	rGreedy                        // the loop at pc has reached a, and goes down to b
	rLazy                          // the loop at pc has reached a, and may take b more
	rCapture                       // caps[pc] was a
	rRegister                      // regs[pc] was a
	rKeep                          // keep was a
	rBarrier                       // the kind of verb in pc was passed at position a
)

// Matcher holds the memory of matches. One serves any number of patterns, one
// after the other.
type Matcher struct {
	// Caps are the captures of the last match: pairs of positions, the whole match
	// first, -1 for groups that took no part.
	Caps  []int32
	Limit int // how often a match may backtrack, 0 for DefaultLimit
	Work  int // how often the last match did
	// Checked says that the subject is known to be valid UTF-8: it was matched before.
	Checked bool

	re      *Regexp
	s       string
	stack   []record
	regs    []int32
	begin   int // where the match was asked to start
	keep    int32
	steps   int // that may still be made from this start
	total   int // and from all starts
	depth   int
	recurse int // the group being recursed into, -1
	last    loopMark
	failure ExecError
	longest bool
	best    int
	cut     int // the verb that ended an attempt, 0
	skipTo  int
	accept  bool
}

// loopMark is where the innermost recursion started, to notice endless ones.
type loopMark struct{ group, pos int }

// Exec looks for the first match in s at or after start. The error is an
// ExecError. With longest it finds the longest match there, without captures,
// as PCRE's DFA matcher does.
func (m *Matcher) Exec(re *Regexp, s string, start int, longest bool) error {
	switch e := m.exec(re, s, start, longest); e {
	case 0:
		return nil
	case ErrNoMatch:
		return ErrNoMatch // a constant, which is not allocated
	default:
		return e
	}
}

func (m *Matcher) exec(re *Regexp, s string, start int, longest bool) ExecError {
	if start < 0 || start > len(s) {
		return ErrBadOffset
	}
	if re.utf && re.opts&NoUTFCheck == 0 {
		if !m.Checked && !utf8.ValidString(s) {
			return ErrBadUTF
		}
		if start < len(s) && !utf8.RuneStart(s[start]) {
			return ErrBadUTFPos
		}
	}
	if longest && re.dfaErr != 0 {
		return re.dfaErr
	}
	m.prepare(re, s, start, longest)
	all := m.total
	e := m.search(start)
	m.Work = all - m.total
	m.s = ""
	if cap(m.stack) > keepStack {
		m.stack = nil
	}
	return e
}

func (m *Matcher) prepare(re *Regexp, s string, start int, longest bool) {
	n := 2 * (re.ngroup + 1)
	if cap(m.Caps) < n {
		m.Caps = make([]int32, n)
	}
	m.Caps = m.Caps[:n]
	for i := range m.Caps {
		m.Caps[i] = -1
	}
	if cap(m.regs) < re.nreg {
		m.regs = make([]int32, re.nreg)
	}
	m.regs = m.regs[:re.nreg]
	m.re, m.s, m.begin, m.longest = re, s, start, longest
	m.stack = m.stack[:0]
	limit := m.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	m.steps, m.total = limit, startsLimit*limit
	m.depth, m.recurse, m.failure = 0, -1, 0
	m.last = loopMark{-1, -1}
}

// search tries one start after the other.
func (m *Matcher) search(pos int) ExecError {
	re, s := m.re, m.s
	limit, needed := m.steps, -1
	for {
		next := 0
		if re.lead != nil && !re.anchored {
			pos, next = re.lead.find(s, pos)
		} else {
			pos = m.candidate(pos)
		}
		if pos < 0 {
			return ErrNoMatch
		}
		if re.required >= 0 && needed < pos {
			i := strings.IndexByte(s[pos:], byte(re.required))
			if i < 0 {
				return ErrNoMatch
			}
			needed = pos + i
		}
		m.keep, m.best, m.cut, m.accept = -1, -1, 0, false
		m.steps = min(limit, m.total)
		m.total -= m.steps
		end, ok := m.run(0, pos, -1)
		m.total += max(m.steps, 0)
		if m.failure != 0 {
			return m.failure
		}
		if m.longest && m.best >= 0 {
			end, ok = m.best, true
		}
		if ok {
			m.Caps[0], m.Caps[1] = int32(pos), int32(end)
			if m.keep >= 0 {
				m.Caps[0] = m.keep
			}
			if m.longest {
				for i := range m.Caps[2:] {
					m.Caps[2+i] = -1
				}
			}
			return 0
		}
		if m.cut == int(opCommit) || re.anchored || pos >= len(s) {
			return ErrNoMatch
		}
		if m.cut == int(opSkip) && m.skipTo > pos {
			pos = m.skipTo
			continue
		}
		if pos = max(pos+1, next); re.utf {
			for pos < len(s) && !utf8.RuneStart(s[pos]) {
				pos++
			}
		}
	}
}

// candidate is the first place from pos on where a match may begin, -1 if there
// is none.
func (m *Matcher) candidate(pos int) int {
	re, s := m.re, m.s
	switch {
	case re.anchored:
		return pos
	case re.atStart:
		if pos > 0 {
			return -1
		}
		return 0
	case re.lineStart && pos > m.begin:
		if s[pos-1] == '\n' {
			return pos
		}
		i := strings.IndexByte(s[pos:], '\n')
		if i < 0 {
			return -1
		}
		return pos + i + 1
	case len(re.prefix) > 1:
		i := strings.Index(s[pos:], re.prefix)
		if i < 0 {
			return -1
		}
		return pos + i
	case re.oneByte >= 0:
		i := strings.IndexByte(s[pos:], byte(re.oneByte))
		if i < 0 {
			return -1
		}
		return pos + i
	case re.first != nil:
		bits := &re.first.bits
		for i := pos; i < len(s); i++ {
			if bits[s[i]] {
				return i
			}
		}
		if re.first.end {
			return len(s)
		}
		return -1
	}
	return pos
}

// may reports whether what f describes can begin at pos.
func may(f *filter, s string, pos int) bool {
	if f == nil {
		return true
	}
	if pos < len(s) {
		return f.bits[s[pos]]
	}
	return f.end
}

func (m *Matcher) push(kind recordKind, pc, a, b int32) {
	m.stack = append(m.stack, record{kind, pc, a, b})
}

func (m *Matcher) setCap(i, v int32) {
	m.stack = append(m.stack, record{rCapture, i, m.Caps[i], 0})
	m.Caps[i] = v
}

func (m *Matcher) setReg(i, v int32) {
	m.stack = append(m.stack, record{rRegister, i, m.regs[i], 0})
	m.regs[i] = v
}

// undo takes back one change of state.
func (m *Matcher) undo(r *record) {
	switch r.kind {
	case rCapture:
		m.Caps[r.pc] = r.a
	case rRegister:
		m.regs[r.pc] = r.a
	case rKeep:
		m.keep = r.a
	}
}

// unwind takes everything back that was done since the stack had that height.
func (m *Matcher) unwind(base int) {
	for i := len(m.stack) - 1; i >= base; i-- {
		m.undo(&m.stack[i])
	}
	m.stack = m.stack[:base]
}

// commit forgets the alternatives above base, but not how to take back what was
// done.
func (m *Matcher) commit(base int) {
	n := base
	for i := base; i < len(m.stack); i++ {
		if k := m.stack[i].kind; k >= rCapture && k <= rKeep {
			m.stack[n] = m.stack[i]
			n++
		}
	}
	m.stack = m.stack[:n]
}

// sub runs the body of an instruction by itself.
func (m *Matcher) sub(pc, pos, ret int) (int, bool) {
	if m.depth >= maxDepth {
		m.failure = ErrDepth
		return 0, false
	}
	m.depth++
	longest := m.longest
	m.longest = false
	end, ok := m.run(pc, pos, ret)
	m.longest = longest
	m.depth--
	if m.cut != 0 && ret < 0 && !ok {
		m.cut = 0 // verbs in an assertion or an atomic group fail only that
	}
	return end, ok
}

// call recurses into a group: an atomic group whose captures are taken back.
func (m *Matcher) call(in *inst, pos int) (int, bool) {
	m.steps--
	g := int(in.min)
	mark := loopMark{g, pos}
	if m.last == mark {
		m.failure = ErrLoop
		return 0, false
	}
	if m.steps < 0 {
		m.failure = ErrMatchLimit
		return 0, false
	}
	old, oldLast, base := m.recurse, m.last, len(m.stack)
	m.recurse, m.last = g, mark
	end, ok := m.sub(int(in.x), pos, g)
	m.recurse, m.last = old, oldLast
	m.accept = false
	m.unwind(base)
	return end, ok
}

// foldByte is the table of lower cases.
var foldByte = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 32
		}
	}
	return t
}()

func equalFold(s, lower string) bool {
	for i := 0; i < len(lower); i++ {
		if foldByte[s[i]] != lower[i] {
			return false
		}
	}
	return true
}
