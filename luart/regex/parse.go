package regex

import (
	"strings"
	"unicode/utf8"
)

// Name is a named group.
type Name struct {
	Name  string
	Group int
}

type parser struct {
	src    string
	pos    int
	opts   Options // those in force here
	utf    bool
	ucp    bool
	ncap   int
	names  []Name
	groups map[int]*node
	nest   int
	depth  int
	quoted bool // between \Q and \E

	refs       []*node // references to check at the end
	looks      []*node // look-behind, likewise
	backrefs   bool
	topBackref int
	byteBehind bool
}

const maxNest = 250

// fail is how an error leaves the parser.
func (p *parser) fail(msg string, offset int) {
	panic(&Error{Msg: msg, Offset: min(offset, len(p.src))})
}

func (p *parser) more() bool { return p.pos < len(p.src) }

// peek is the byte i places on, 0 at the end.
func (p *parser) peek(i int) byte {
	if p.pos+i < len(p.src) {
		return p.src[p.pos+i]
	}
	return 0
}

// accept skips s when it comes next.
func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// startVerbs are those that set options at the start of a pattern.
func (p *parser) startVerbs() {
	for {
		switch {
		case p.accept("(*UTF8)"), p.accept("(*UTF)"):
			p.utf = true
		case p.accept("(*UCP)"):
			p.ucp = true
		case p.accept("(*NO_AUTO_POSSESS)"), p.accept("(*NO_START_OPT)"), p.accept("(*LF)"):
		default:
			return
		}
	}
}

func (p *parser) parse() *node {
	p.startVerbs()
	if p.utf && !utf8.ValidString(p.src) {
		p.fail(errUTF, invalidAt(p.src))
	}
	n := p.alternatives(false)
	if p.more() {
		p.fail(errUnmatched, p.pos)
	}
	p.groups[0] = n
	p.check(n)
	return n
}

func invalidAt(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// check looks at what could not be judged before the whole pattern was read.
func (p *parser) check(root *node) {
	for _, r := range p.refs {
		if r.name != "" && r.group == 0 {
			r.group = p.groupOf(r.name, r.offset)
		}
		if r.kind != kBackref && r.group > p.ncap {
			p.fail(errNoGroup, r.offset)
		}
	}
	if p.topBackref > p.ncap {
		p.fail(errNoGroup, len(p.src))
	}
	for _, l := range p.looks {
		branches := []*node{l.subs[0]}
		if l.subs[0].kind == kAlternate {
			branches = l.subs[0].subs
		}
		for _, b := range branches {
			p.byteBehind = false
			if p.width(b) < 0 || p.byteBehind {
				msg := errLookbehind
				if p.byteBehind {
					msg = errByteLookbehind
				}
				p.fail(msg, l.offset)
			}
		}
	}
	p.leftRecursion(root)
}

func (p *parser) groupOf(name string, offset int) int {
	for _, n := range p.names {
		if n.Name == name {
			return n.Group
		}
	}
	p.fail(errNoGroup, offset)
	return 0
}

// alternatives parses up to ) or the end. With reset all branches count their
// groups from the same number.
func (p *parser) alternatives(reset bool) *node {
	opts := p.opts
	first, most := p.ncap, p.ncap
	var branches []*node
	for {
		branches = append(branches, p.branch())
		most = max(most, p.ncap)
		if p.peek(0) != '|' || !p.more() {
			break
		}
		p.pos++
		if reset {
			p.ncap = first
		}
	}
	p.ncap = most
	p.opts = opts
	if len(branches) == 1 {
		return branches[0]
	}
	return &node{kind: kAlternate, subs: branches}
}

// branch parses up to |, ) or the end.
func (p *parser) branch() *node {
	var list []*node
	repeatable := false
	for p.more() {
		if p.quoted {
			if p.accept(`\E`) {
				p.quoted = false
				continue
			}
			list = p.literal(list)
			repeatable = true
			continue
		}
		if p.opts&Extended != 0 && p.skipSpace() {
			continue
		}
		switch c := p.src[p.pos]; c {
		case '|', ')':
			return p.join(list)
		case '*', '+', '?':
			p.repeat(list, repeatable)
			repeatable = false
		case '{':
			if !p.quantifierAt(p.pos) {
				list = p.literal(list)
				repeatable = true
				break
			}
			p.repeat(list, repeatable)
			repeatable = false
		default:
			n, again := p.item(c)
			if n == nil {
				if !again {
					repeatable = false
				}
				break
			}
			list = append(list, n)
			repeatable = again
		}
	}
	return p.join(list)
}

// join makes one literal of neighbours.
func (p *parser) join(list []*node) *node {
	out := list[:0]
	for _, n := range list {
		if k := len(out); k > 0 && n.kind == kLiteral && out[k-1].kind == kLiteral && n.fold == out[k-1].fold {
			out[k-1] = &node{kind: kLiteral, text: out[k-1].text + n.text, fold: n.fold}
			continue
		}
		out = append(out, n)
	}
	return cat(out)
}

func (p *parser) skipSpace() bool {
	switch c := p.src[p.pos]; {
	case c == ' ' || c >= '\t' && c <= '\r':
		p.pos++
		return true
	case c == '#':
		i := strings.IndexByte(p.src[p.pos:], '\n')
		if i < 0 {
			i = len(p.src) - p.pos - 1
		}
		p.pos += i + 1
		return true
	}
	return false
}

// literal takes the next character as it is.
func (p *parser) literal(list []*node) []*node {
	n := 1
	if p.utf {
		_, n = utf8.DecodeRuneInString(p.src[p.pos:])
	}
	list = append(list, p.char(p.src[p.pos:p.pos+n]))
	p.pos += n
	return list
}

// char is the node of one character.
func (p *parser) char(s string) *node {
	if p.opts&Caseless == 0 {
		return &node{kind: kLiteral, text: s}
	}
	r := rune(s[0])
	if p.utf {
		r, _ = utf8.DecodeRuneInString(s)
	}
	l := spans{{r, r}}
	l.addFolded(r, r, p.utf)
	if len(l) == 1 || len(l) == 2 && r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			s = string(r + 32)
		}
		return &node{kind: kLiteral, text: s, fold: true}
	}
	return &node{kind: kSet, set: makeSet(l, false, p.utf)}
}

func (p *parser) encode(r rune) string {
	if p.utf {
		return string(r)
	}
	return string([]byte{byte(r)})
}

// item parses what begins with c. Without a node, again says that a quantifier
// would belong to the item before.
func (p *parser) item(c byte) (n *node, again bool) {
	switch c {
	case '^':
		p.pos++
		if p.opts&Multiline != 0 {
			return &node{kind: kAssert, what: aLineBegin}, false
		}
		return &node{kind: kAssert, what: aBegin}, false
	case '$':
		p.pos++
		if p.opts&Multiline != 0 {
			return &node{kind: kAssert, what: aLineEnd}, false
		}
		return &node{kind: kAssert, what: aEndLine}, false
	case '.':
		p.pos++
		if p.opts&DotAll != 0 {
			return &node{kind: kAll}, true
		}
		return &node{kind: kAny}, true
	case '[':
		return p.class(), true
	case '(':
		return p.paren()
	case '\\':
		return p.escape()
	case ']':
		if p.opts&JavaScript != 0 {
			p.fail(errJSBracket, p.pos)
		}
	}
	return p.literal(nil)[0], true
}

// quantifierAt reports whether {n}, {n,} or {n,m} is at i.
func (p *parser) quantifierAt(i int) bool {
	s := p.src[i+1:]
	n := digits(s)
	if n == 0 {
		return false
	}
	s = s[n:]
	if strings.HasPrefix(s, ",") {
		s = s[1:]
		s = s[digits(s):]
	}
	return strings.HasPrefix(s, "}")
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// counts parses a quantifier up to its last character.
func (p *parser) counts() (lo, hi int) {
	switch p.src[p.pos] {
	case '*':
		return 0, unlimited
	case '+':
		return 1, unlimited
	case '?':
		return 0, 1
	}
	p.pos++
	lo = p.count()
	hi = lo
	if p.peek(0) == ',' {
		p.pos++
		hi = unlimited
		if p.peek(0) != '}' {
			if hi = p.count(); hi < lo {
				p.fail(errQuantOrder, p.pos)
			}
		}
	}
	return lo, hi
}

func (p *parser) count() int {
	n := 0
	for d := digits(p.src[p.pos:]); d > 0; d-- {
		n = n*10 + int(p.src[p.pos]-'0')
		p.pos++
		if n > 65535 {
			p.fail(errQuantBig, p.pos)
		}
	}
	return n
}

// repeat puts the last node under the quantifier that comes next.
func (p *parser) repeat(list []*node, repeatable bool) {
	lo, hi := p.counts()
	if !repeatable {
		p.fail(errNoRepeat, p.pos)
	}
	p.pos++
	mode := greedy
	if p.opts&Ungreedy != 0 {
		mode = lazy
	}
	switch p.peek(0) {
	case '+':
		p.pos++
		mode = possessive
	case '?':
		p.pos++
		mode = lazy - mode
	}
	n := list[len(list)-1]
	if n.kind == kLook {
		lo, hi = min(lo, 1), 1
	}
	if n.kind == kCond && n.what == condDefine {
		return
	}
	if lo == 1 && hi == 1 {
		if mode == possessive {
			list[len(list)-1] = &node{kind: kAtomic, subs: []*node{n}}
		}
		return
	}
	list[len(list)-1] = &node{kind: kRepeat, min: lo, max: hi, mode: mode, subs: []*node{n}}
}
