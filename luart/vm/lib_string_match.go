package vm

import (
	"math"
	"strings"
)

// matcher matches one pattern against one string; it lives on the Go stack.
type matcher struct {
	t     *Thread
	src   string
	p     *pattern
	depth int
	work  int // not yet charged to the budget
	from  [maxCaptures]int32
	to    [maxCaptures]int32
}

// matchChunk is how much work, in bytes looked at or steps, is done between two
// charges to the budget.
const matchChunk = 4096

func (m *matcher) did(n int) {
	m.work += n
	if m.work >= matchChunk {
		m.t.Charge(m.work / 16)
		m.work = 0
	}
}

func newMatcher(t *Thread, src string, p *pattern) matcher {
	if len(src) > math.MaxInt32 {
		t.ErrorValue(String("string length overflow"), 0)
	}
	return matcher{t: t, src: src, p: p}
}

// find looks for the first match at or after s; end is -1 if there is none.
func (m *matcher) find(s int) (start, end int) {
	p, src := m.p, m.src
	if p.anchored {
		return s, m.match(s, 0)
	}
	for ; s <= len(src); s++ {
		switch p.firstOp {
		case patChar:
			i := strings.IndexByte(src[s:], p.first)
			if i < 0 {
				return 0, -1
			}
			m.did(i >> 5)
			s += i
		case patSet:
			set, from := p.firstSet, s
			for s < len(src) && !set[src[s]] {
				s++
			}
			if s == len(src) {
				return 0, -1
			}
			m.did((s - from) >> 2)
		}
		m.did(1)
		if e := m.match(s, 0); e >= 0 {
			return s, e
		}
	}
	return 0, -1
}

// match matches the items from p on at s and returns the end, or -1.
func (m *matcher) match(s, p int) int {
	src := m.src
	for {
		it := &m.p.items[p]
		switch it.op {
		case patEnd:
			return s
		case patChar:
			if s >= len(src) || src[s] != it.c {
				return -1
			}
			s++
		case patSet:
			if s >= len(src) || !it.set[src[s]] {
				return -1
			}
			s++
		case patAny:
			if s >= len(src) {
				return -1
			}
			s++
		case patRun:
			n := m.span(it, s)
			if n < int(it.min) {
				return -1
			}
			s += n
		case patStar:
			return m.greedy(it, s, p+1)
		case patLazy:
			return m.lazy(it, s, p+1)
		case patOpt:
			if s < len(src) && it.one(src[s]) {
				if e := m.rest(s+1, p+1); e >= 0 {
					return e
				}
			}
		case patOpen:
			m.from[it.n] = int32(s)
		case patPosition:
			m.from[it.n], m.to[it.n] = int32(s), -1
		case patClose:
			m.to[it.n] = int32(s)
		case patBackref:
			c := src[m.from[it.n]:m.to[it.n]]
			if !strings.HasPrefix(src[s:], c) {
				return -1
			}
			m.did(len(c) >> 4)
			s += len(c)
		case patBalance:
			if s = m.balance(it, s); s < 0 {
				return -1
			}
		case patFrontier:
			var before, here byte
			if s > 0 {
				before = src[s-1]
			}
			if s < len(src) {
				here = src[s]
			}
			if it.set[before] || !it.set[here] {
				return -1
			}
		case patDollar:
			if s != len(src) {
				return -1
			}
		case patError:
			m.t.Errorf("%s", it.err)
		}
		p++
	}
}

// rest is match one level deeper.
func (m *matcher) rest(s, p int) int {
	m.depth++
	if m.depth > maxMatchDepth {
		m.t.Errorf(errPatComplex)
	}
	m.did(1)
	e := m.match(s, p)
	m.depth--
	return e
}

// span counts how many bytes at s match the single of it.
func (m *matcher) span(it *patItem, s int) int {
	src := m.src
	i := s
	switch it.kind {
	case patAny:
		return len(src) - s
	case patChar:
		for i < len(src) && src[i] == it.c {
			i++
		}
	default:
		set := it.set
		for i < len(src) && set[src[i]] {
			i++
		}
	}
	m.did((i - s) >> 2)
	return i - s
}

func (m *matcher) greedy(it *patItem, s, p int) int {
	for n := m.span(it, s); n >= int(it.min); n-- {
		if it.hint {
			i := s + n
			if i == len(m.src) || m.src[i] != it.d {
				// Back to the last place where the rest can begin.
				n = strings.LastIndexByte(m.src[s:min(i+1, len(m.src))], it.d)
				m.did((i - s - n) >> 2)
				if n < int(it.min) {
					return -1
				}
			}
		}
		if e := m.rest(s+n, p); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) lazy(it *patItem, s, p int) int {
	src := m.src
	for {
		if it.hint {
			from := s
			if it.kind == patAny {
				i := strings.IndexByte(src[s:], it.d)
				if i < 0 {
					m.did((len(src) - s) >> 5)
					return -1
				}
				s += i
				m.did(i >> 5)
			} else {
				for s < len(src) && src[s] != it.d && it.one(src[s]) {
					s++
				}
				m.did((s - from) >> 2)
				if s == len(src) || src[s] != it.d {
					return -1
				}
			}
		}
		if e := m.rest(s, p); e >= 0 {
			return e
		}
		if s >= len(src) || !it.one(src[s]) {
			return -1
		}
		s++
	}
}

// balance matches %bxy at s.
func (m *matcher) balance(it *patItem, s int) int {
	src := m.src
	if s >= len(src) || src[s] != it.c {
		return -1
	}
	depth := 1
	for i := s + 1; i < len(src); i++ {
		switch src[i] {
		case it.d:
			if depth--; depth == 0 {
				m.did((i - s) >> 2)
				return i + 1
			}
		case it.c:
			depth++
		}
	}
	m.did((len(src) - s) >> 2)
	return -1
}

// capture returns capture n of a match of s…e; number 0 without captures is the
// whole match.
func (m *matcher) capture(n, s, e int) Value {
	if n >= m.p.ncap {
		if n != 0 {
			m.t.Errorf(errPatCapIndex)
		}
		return m.sub(s, e)
	}
	if m.p.open>>n&1 != 0 {
		m.t.Errorf(errPatUnfinished)
	}
	if m.to[n] < 0 {
		return Int(int(m.from[n]) + 1)
	}
	return m.sub(int(m.from[n]), int(m.to[n]))
}

func (m *matcher) sub(s, e int) Value { return m.t.substring(m.src, s, e) }

// pushCaptures pushes all captures, or with whole the whole match if there are
// none, and returns how many it pushed.
func (m *matcher) pushCaptures(s, e int, whole bool) int {
	n := m.p.ncap
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.t.Push(m.capture(i, s, e))
	}
	return n
}

// byteStrings are the strings of one byte.
var byteStrings = func() *[256]lstring {
	a := new([256]lstring)
	for i := range a {
		a[i].s = string([]byte{byte(i)})
		a[i].hashed()
	}
	return a
}()

// substring returns s[i:j] as a value. Long parts share the bytes of s when
// they are the better part of it, so that a small part does not keep a large
// string alive.
func (t *Thread) substring(s string, i, j int) Value {
	n := j - i
	switch {
	case n == 0:
		return emptyString.value()
	case n == 1:
		return byteStrings[s[i]].value()
	case n > 104 && 2*n >= len(s):
		return String(s[i:j])
	}
	t.chargeString(n)
	return t.m.copyPart(s[i:j])
}

// patternCache keeps compiled patterns by their text. An entry is found by the
// hash of the string object, which is computed once.
type patternCache [2][64]*pattern

func (m *VM) pattern(v Value, anchor bool) *pattern {
	var src string
	slot := 0
	if v.isStr() {
		src = v.str().s
		slot = int(v.str().hashed() & 63)
	} else {
		src, _ = v.ToStringCoerced()
	}
	kind := 0
	if anchor {
		kind = 1
	}
	e := &m.patterns[kind][slot]
	if *e == nil || (*e).src != src {
		*e = compilePattern(src, anchor)
	}
	return *e
}
