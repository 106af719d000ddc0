package regex

import "strings"

// paren parses what ( begins.
func (p *parser) paren() (n *node, repeatable bool) {
	if p.peek(1) == '*' && (p.peek(2) == ':' || isWord(p.peek(2)) && p.peek(2) > '9' && p.peek(2) != '_') {
		return p.verb(), false
	}
	if p.peek(1) != '?' {
		p.pos++
		return p.capture(""), true
	}
	p.pos += 2
	c := p.peek(0)
	if !p.more() {
		p.fail(errAfterParen, p.pos)
	}
	switch c {
	case '#':
		i := strings.IndexByte(p.src[p.pos:], ')')
		if i < 0 {
			p.fail(errComment, len(p.src))
		}
		p.pos += i + 1
		return nil, true
	case ':':
		p.pos++
		return p.body(&node{kind: kGroup}, false), true
	case '|':
		p.pos++
		return p.body(&node{kind: kGroup}, true), true
	case '>':
		p.pos++
		return p.body(&node{kind: kAtomic}, false), true
	case '=', '!':
		p.pos++
		if c == '!' && p.peek(0) == ')' {
			p.pos++
			return &node{kind: kVerb, what: vFail}, false
		}
		return p.body(&node{kind: kLook, not: c == '!'}, false), true
	case '<':
		return p.parenLess(), true
	case '\'':
		p.pos++
		return p.capture(p.groupName('\'')), true
	case 'P':
		return p.parenP()
	case '(':
		return p.conditional(), true
	case 'R', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '-':
		if c != '-' || p.peek(1) >= '0' && p.peek(1) <= '9' {
			return p.recursion(), true
		}
	case '&':
		p.pos++
		name := p.groupName(')')
		return p.callName(name, p.pos-1), true
	case 'C':
		return p.callout(), false
	}
	return p.options()
}

func (p *parser) callout() *node {
	p.pos++
	d := digits(p.src[p.pos:])
	n := 0
	for range d {
		n = min(n*10+int(p.src[p.pos]-'0'), 256)
		p.pos++
	}
	if n > 255 {
		p.fail(errCalloutBig, p.pos)
	}
	if p.peek(0) != ')' {
		p.fail(errCallout, p.pos)
	}
	p.pos++
	return nil
}

// body parses the inside of a group up to its ).
func (p *parser) body(n *node, reset bool) *node {
	p.nest++
	if p.nest > maxNest {
		p.fail(errNesting, p.pos)
	}
	n.subs = []*node{p.alternatives(reset)}
	p.nest--
	if p.peek(0) != ')' || !p.more() {
		p.fail(errMissingParen, p.pos)
	}
	p.pos++
	return n
}

func (p *parser) capture(name string) *node {
	p.ncap++
	n := &node{kind: kGroup, group: p.ncap, name: name}
	if name != "" {
		p.addName(name, p.ncap)
	}
	if p.groups[p.ncap] == nil {
		p.groups[p.ncap] = n
	}
	return p.body(n, false)
}

func (p *parser) addName(name string, group int) {
	for _, n := range p.names {
		if n.Name == name {
			if n.Group == group {
				return
			}
			if p.opts&DupNames == 0 {
				p.fail(errNameTwice, p.pos-1)
			}
		} else if n.Group == group {
			p.fail(errOtherName, p.pos-1)
		}
	}
	p.names = append(p.names, Name{name, group})
}

// groupName reads a name and the character that ends it.
func (p *parser) groupName(end byte) string {
	if c := p.peek(0); c >= '0' && c <= '9' {
		p.fail(errNameDigit, p.pos)
	}
	i := p.pos
	for p.more() && isWord(p.src[p.pos]) {
		p.pos++
	}
	name := p.src[i:p.pos]
	switch {
	case name == "":
		p.fail(errNameExpected, p.pos)
	case p.peek(0) != end || !p.more():
		p.fail(errNameEnd, p.pos)
	case len(name) > 32:
		p.fail(errNameLong, p.pos+2)
	}
	p.pos++
	return name
}

func (p *parser) parenLess() *node {
	switch c := p.peek(1); {
	case c == '=' || c == '!':
		n := &node{kind: kLook, behind: true, not: c == '!'}
		p.pos += 2
		p.body(n, false)
		n.offset = p.pos - 1
		p.looks = append(p.looks, n)
		return n
	case isWord(c):
		p.pos++
		return p.capture(p.groupName('>'))
	}
	p.fail(errAfterLess, p.pos+1)
	return nil
}

func (p *parser) parenP() (*node, bool) {
	p.pos++
	switch p.peek(0) {
	case '<':
		p.pos++
		return p.capture(p.groupName('>')), true
	case '=':
		p.pos++
		name := p.groupName(')')
		return p.namedBackref(name, p.pos-1), true
	case '>':
		p.pos++
		name := p.groupName(')')
		return p.callName(name, p.pos-1), true
	}
	p.fail(errAfterP, p.pos)
	return nil, false
}

func (p *parser) callName(name string, offset int) *node {
	n := &node{kind: kCall, name: name, offset: offset}
	p.refs = append(p.refs, n)
	return n
}

func (p *parser) call(group, offset int) *node {
	n := &node{kind: kCall, group: group, offset: offset}
	p.refs = append(p.refs, n)
	return n
}

// callByText is the call of \g<name> or \g'number'.
func (p *parser) callByText(s string) *node {
	if s == "" {
		p.fail(errNameExpected, p.pos-1)
	}
	sign := byte(0)
	num := s
	if s[0] == '+' || s[0] == '-' {
		sign, num = s[0], s[1:]
	}
	if num != "" && digits(num) == len(num) {
		return p.call(p.absolute(sign, num), p.pos-1)
	}
	return p.callName(s, p.pos-1)
}

func (p *parser) absolute(sign byte, num string) int {
	n := 0
	for _, c := range num {
		if n = n*10 + int(c-'0'); n > 1<<30 {
			p.fail(errNumberBig, p.pos)
		}
	}
	switch {
	case sign != 0 && n == 0:
		p.fail(errZero, p.pos)
	case sign == '+':
		return p.ncap + n
	case sign == '-':
		if n > p.ncap {
			p.fail(errNoGroup, p.pos)
		}
		return p.ncap + 1 - n
	}
	return n
}

func (p *parser) recursion() *node {
	if p.peek(0) == 'R' {
		p.pos++
		if p.peek(0) != ')' {
			p.fail(errRecursion, p.pos)
		}
		p.pos++
		return p.call(0, p.pos-1)
	}
	sign := byte(0)
	if c := p.peek(0); c == '+' || c == '-' {
		sign = c
		p.pos++
		if d := p.peek(0); c == '+' && (d < '0' || d > '9') {
			p.fail(errPlusDigit, p.pos)
		}
	}
	d := digits(p.src[p.pos:])
	num := p.src[p.pos : p.pos+d]
	p.pos += d
	if p.peek(0) != ')' {
		p.fail(errRecursion, p.pos)
	}
	n := p.call(p.absolute(sign, num), p.pos)
	p.pos++
	return n
}

// options parses (?flags) and (?flags:.
func (p *parser) options() (*node, bool) {
	opts, on := p.opts, true
	for {
		var o Options
		switch c := p.peek(0); c {
		case '-':
			on = false
			p.pos++
			continue
		case 'i':
			o = Caseless
		case 'm':
			o = Multiline
		case 's':
			o = DotAll
		case 'x':
			o = Extended
		case 'U':
			o = Ungreedy
		case 'J':
			o = DupNames
		case 'X':
		case ')':
			p.pos++
			p.opts = opts
			return nil, false
		case ':':
			p.pos++
			old := p.opts
			p.opts = opts
			n := p.body(&node{kind: kGroup}, false)
			p.opts = old
			return n, true
		default:
			p.fail(errAfterParen, p.pos)
		}
		p.pos++
		if on {
			opts |= o
		} else {
			opts &^= o
		}
	}
}

// conditional parses (?(condition)yes|no).
func (p *parser) conditional() *node {
	p.pos++
	n := &node{kind: kCond, what: condGroup}
	var look *node
	if p.peek(0) == '?' {
		p.pos--
		if c := p.peek(2); c != '=' && c != '!' && c != '<' {
			p.fail(errAssertion, p.pos+1)
		}
		var ok bool
		if look, ok = p.paren(); !ok && look.kind != kVerb || look.kind == kGroup {
			p.fail(errAssertion, p.pos)
		}
		n.what = condLook
	} else {
		p.condition(n)
	}
	start := p.pos
	p.body(n, false)
	branches := []*node{n.subs[0]}
	if n.subs[0].kind == kAlternate {
		branches = n.subs[0].subs
	}
	switch {
	case len(branches) > 2:
		p.fail(errBranches, p.pos-1)
	case n.what == condDefine && len(branches) > 1:
		p.fail(errDefine, p.pos-1)
	case start > len(p.src):
		p.fail(errMissingParen, len(p.src))
	}
	n.subs = branches
	if look != nil {
		n.subs = append([]*node{look}, branches...)
	}
	return n
}

func (p *parser) condition(n *node) {
	c := p.peek(0)
	n.offset = p.pos
	switch {
	case c == '<' || c == '\'':
		end := byte('>')
		if c == '\'' {
			end = c
		}
		p.pos++
		n.name = p.groupName(end)
		if p.peek(0) != ')' {
			p.fail(errCondition, p.pos)
		}
	case c == '+' || c == '-' || c >= '0' && c <= '9':
		sign := byte(0)
		if c == '+' || c == '-' {
			sign = c
			p.pos++
		}
		d := digits(p.src[p.pos:])
		num := p.src[p.pos : p.pos+d]
		p.pos += d
		if d == 0 || p.peek(0) != ')' {
			p.fail(errCondition, p.pos)
		}
		if n.group = p.absolute(sign, num); n.group == 0 {
			p.fail(errConditionZero, p.pos+1)
		}
	case c == 'R' && p.peek(1) == ')':
		n.what, n.group = condRecursion, unlimited
		p.pos++
	case c == 'R' && p.peek(1) == '&':
		p.pos += 2
		n.what, n.name = condRecursion, p.groupName(')')
		p.pos--
	case c == 'R' && digits(p.src[p.pos+1:]) > 0:
		d := digits(p.src[p.pos+1:])
		n.what, n.group = condRecursion, p.absolute(0, p.src[p.pos+1:p.pos+1+d])
		p.pos += 1 + d
		if p.peek(0) != ')' {
			p.fail(errCondition, p.pos)
		}
	case p.accept("DEFINE)"):
		n.what = condDefine
		return
	default:
		i := p.pos
		for p.more() && isWord(p.src[p.pos]) {
			p.pos++
		}
		if n.name = p.src[i:p.pos]; n.name == "" {
			p.fail(errAssertion, p.pos)
		} else if p.peek(0) != ')' {
			p.fail(errCondition, p.pos)
		}
	}
	p.pos++
	p.backrefs = true
	if n.what == condGroup || n.name != "" || n.group > 0 {
		n.offset = p.pos
		p.refs = append(p.refs, n)
	}
}

var verbs = map[string]int{"F": vFail, "FAIL": vFail, "ACCEPT": vAccept, "COMMIT": vCommit, "PRUNE": vPrune, "SKIP": vSkip}

// verb parses a backtracking verb; one that only sets a mark is nothing.
func (p *parser) verb() *node {
	p.pos += 2
	i := p.pos
	for p.more() && isWord(p.src[p.pos]) && p.src[p.pos] > '9' {
		p.pos++
	}
	name, arg := p.src[i:p.pos], ""
	if p.accept(":") {
		arg = ":"
		for p.more() && p.src[p.pos] != ')' {
			p.pos++
			arg = p.src[i:p.pos]
		}
	}
	what, ok := verbs[name]
	switch mark := name == "" || name == "MARK"; {
	case !p.more() || p.src[p.pos] != ')' || !ok && !mark || name == "SKIP" && arg != "":
		p.fail(errVerb, p.pos)
	case mark && len(arg) < 2:
		p.fail(errMark, p.pos)
	case mark:
		p.pos++
		return &node{kind: kEmpty}
	case arg != "" && what != vPrune:
		p.fail(errVerbArg, p.pos)
	}
	p.pos++
	return &node{kind: kVerb, what: what}
}

// leftRecursion refuses groups that call themselves before anything was matched.
func (p *parser) leftRecursion(root *node) {
	var walk func(n *node, seen map[int]bool) (empty bool)
	steps := 0
	walk = func(n *node, seen map[int]bool) bool {
		if steps++; steps > 10000 {
			return false
		}
		switch n.kind {
		case kLiteral, kSet, kAny, kAll, kByte, kNewline, kCluster, kVerb:
			return n.kind == kVerb
		case kConcat:
			for _, s := range n.subs {
				if !walk(s, seen) {
					return false
				}
			}
		case kAlternate:
			empty := false
			for _, s := range n.subs {
				empty = walk(s, seen) || empty
			}
			return empty
		case kRepeat:
			return walk(n.subs[0], seen) || n.min == 0
		case kGroup, kAtomic:
			if n.group > 0 {
				if seen[n.group] {
					return true
				}
				seen[n.group] = true
				defer delete(seen, n.group)
			}
			return walk(n.subs[0], seen)
		case kCall:
			if seen[n.group] {
				p.fail(errLeftRecursion, n.offset)
			}
			if n.group > 0 {
				return walk(p.groups[n.group], seen)
			}
			return true
		case kBackref, kCond:
			return true
		}
		return true
	}
	if len(p.refs) > 0 && len(p.refs) < 50 {
		walk(root, map[int]bool{0: true})
		for g, n := range p.groups {
			if g > 0 {
				walk(n, map[int]bool{})
			}
		}
	}
}
