package regex

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// rare runs the instructions that are not worth a place in run. It returns where
// to go on, -1 to fail.
func (m *Matcher) rare(in *inst, pc, pos int) (next, end int) {
	switch in.op {
	case opAtomic:
		base := len(m.stack)
		end, ok := m.sub(pc+1, pos, -1)
		if !ok {
			return -1, 0
		}
		if m.accept {
			return -1, end
		}
		m.commit(base)
		return int(in.x), end
	case opLook:
		if m.look(in, pc+1, pos) {
			return int(in.x), pos
		}
	case opBehind:
		if p := m.behind(int(in.x), pos); p >= 0 {
			return pc + 1, p
		}
	case opCond:
		if m.condition(in) {
			return pc + 1, pos
		}
		return int(in.x), pos
	case opCondLook:
		ok := m.look(&m.re.prog[pc+1], pc+2, pos)
		if m.failure != 0 {
			return -1, 0
		}
		if ok {
			return int(in.min), pos
		}
		return int(in.x), pos
	case opBackref:
		if n := m.backref(in, pos); n >= 0 {
			return pc + 1, pos + n
		}
	case opCall:
		if end, ok := m.call(in, pos); ok {
			return pc + 1, end
		}
	case opNewline:
		if n := m.newline(pos); n > 0 {
			return pc + 1, pos + n
		}
	case opCluster:
		if n := m.cluster(pos); n > 0 {
			return pc + 1, pos + n
		}
	case opKeep:
		m.push(rKeep, 0, m.keep, 0)
		m.keep = int32(pos)
		return pc + 1, pos
	case opAccept:
		m.accept = true
		return -1, pos
	case opCommit, opPrune, opSkip:
		m.push(rBarrier, int32(in.op), int32(pos), 0)
		return pc + 1, pos
	}
	return -1, 0
}

// look runs an assertion.
func (m *Matcher) look(in *inst, pc, pos int) bool {
	base := len(m.stack)
	_, ok := m.sub(pc, pos, -1)
	m.accept = false
	if in.not {
		if ok {
			m.unwind(base)
		}
		return !ok && m.failure == 0
	}
	if ok {
		m.commit(base)
	}
	return ok
}

// behind is the position n characters before pos, -1 if there are not so many.
func (m *Matcher) behind(n, pos int) int {
	if !m.re.utf {
		return max(pos-n, -1)
	}
	for ; n > 0; n-- {
		if pos--; pos < 0 {
			return -1
		}
		for pos > 0 && !utf8.RuneStart(m.s[pos]) {
			pos--
		}
	}
	return pos
}

func (m *Matcher) condition(in *inst) bool {
	if in.what == condRecursion {
		for _, g := range in.refs {
			if m.recurse >= 0 && (g == unlimited || int(g) == m.recurse) {
				return true
			}
		}
		return false
	}
	for _, g := range in.refs {
		if m.Caps[2*g+1] >= 0 {
			return true
		}
	}
	return false
}

// backref is the length of what a reference matches at pos, -1 if it does not.
func (m *Matcher) backref(in *inst, pos int) int {
	for _, g := range in.refs {
		lo, hi := m.Caps[2*g], m.Caps[2*g+1]
		if hi < 0 {
			continue
		}
		want, rest := m.s[lo:hi], m.s[pos:]
		if !in.fold {
			if strings.HasPrefix(rest, want) {
				return len(want)
			}
			return -1
		}
		if m.re.utf {
			return prefixFold(rest, want)
		}
		if len(rest) < len(want) {
			return -1
		}
		for i := 0; i < len(want); i++ {
			if foldByte[rest[i]] != foldByte[want[i]] {
				return -1
			}
		}
		return len(want)
	}
	if m.re.opts&JavaScript != 0 {
		return 0
	}
	return -1
}

// prefixFold is the length of the start of s that is want in another case.
func prefixFold(s, want string) int {
	n := 0
	for _, r := range want {
		if n >= len(s) {
			return -1
		}
		c, w := utf8.DecodeRuneInString(s[n:])
		if c != r {
			f := unicode.SimpleFold(r)
			for f != r && f != c {
				f = unicode.SimpleFold(f)
			}
			if f != c {
				return -1
			}
		}
		n += w
	}
	return n
}

// newline is the length of the line end at pos.
func (m *Matcher) newline(pos int) int {
	s := m.s[pos:]
	switch {
	case s == "":
		return 0
	case strings.HasPrefix(s, "\r\n"):
		return 2
	case s[0] >= '\n' && s[0] <= '\r', s[0] == 0x85 && !m.re.utf:
		return 1
	case m.re.utf:
		if r, n := utf8.DecodeRuneInString(s); r == 0x85 || r == 0x2028 || r == 0x2029 {
			return n
		}
	}
	return 0
}

// cluster is the length of the character at pos with all that combines with it.
func (m *Matcher) cluster(pos int) int {
	s := m.s[pos:]
	if s == "" {
		return 0
	}
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	if !m.re.utf {
		return 1
	}
	first, n := utf8.DecodeRuneInString(s)
	if unicode.Is(unicode.Cc, first) {
		return n
	}
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !combining(r) {
			break
		}
		n += w
	}
	return n
}

// assert tests a simple assertion.
func (m *Matcher) assert(what uint8, pos int) bool {
	s := m.s
	switch what {
	case aBegin:
		return pos == 0
	case aLineBegin:
		return pos == 0 || s[pos-1] == '\n' && pos < len(s)
	case aEnd:
		return pos == len(s)
	case aEndLine:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case aLineEnd:
		return pos == len(s) || s[pos] == '\n'
	case aStart:
		return pos == m.begin
	}
	before := pos > 0 && m.wordBefore(pos)
	after := pos < len(s) && m.wordAt(pos)
	return (before != after) == (what == aWord)
}

func (m *Matcher) wordAt(pos int) bool {
	if c := m.s[pos]; c < utf8.RuneSelf || m.re.opts&ucp == 0 {
		return isWord(c)
	}
	r, _ := utf8.DecodeRuneInString(m.s[pos:])
	return unicode.IsLetter(r) || unicode.Is(unicode.N, r)
}

func (m *Matcher) wordBefore(pos int) bool {
	if m.re.opts&ucp == 0 || !m.re.utf {
		return isWord(m.s[pos-1])
	}
	return m.wordAt(m.behind(1, pos))
}
