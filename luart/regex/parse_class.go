package regex

import (
	"strings"
	"unicode/utf8"
)

// class parses a character class.
func (p *parser) class() *node {
	if s := p.src[p.pos:]; len(s) > 2 && (s[1] == ':' || s[1] == '.' || s[1] == '=') && posixEnd(s[1:]) > 0 {
		msg := errCollating
		if s[1] == ':' {
			msg = errPosixOutside
		}
		p.fail(msg, p.pos)
	}
	p.pos++
	not := p.accept("^")
	var l spans
	if p.opts&JavaScript != 0 && p.peek(0) == ']' && p.more() {
		p.pos++
		if not {
			return &node{kind: kAll}
		}
		return &node{kind: kVerb, what: vFail}
	}
	quoted := false
	first := true
	for {
		if !p.more() {
			p.fail(errClassEnd, p.pos)
		}
		if p.accept(`\E`) {
			quoted = false
			continue
		}
		if !quoted {
			if p.accept(`\Q`) {
				quoted = true
				continue
			}
			if p.src[p.pos] == ']' && !first {
				p.pos++
				break
			}
			if p.src[p.pos] == '[' && p.posix(&l) {
				first = false
				continue
			}
		}
		quoted = p.classRange(&l, quoted)
		first = false
	}
	return &node{kind: kSet, set: makeSet(l, not, p.utf)}
}

// posixEnd is the length of [:name:] without the first bracket, 0 if s does not
// begin with one.
func posixEnd(s string) int {
	for i := 1; i+1 < len(s); i++ {
		switch {
		case s[i] == ']' || s[i] == '\\':
			return 0
		case s[i] == s[0] && s[i+1] == ']':
			return i + 2
		case s[i] == '[' && i+1 < len(s) && s[i+1] == s[0]:
			return 0
		}
	}
	return 0
}

func (p *parser) posix(l *spans) bool {
	s := p.src[p.pos+1:]
	if s == "" || s[0] != ':' && s[0] != '.' && s[0] != '=' {
		return false
	}
	n := posixEnd(s)
	if n == 0 {
		return false
	}
	if s[0] != ':' {
		p.fail(errCollating, p.pos)
	}
	name := s[1 : n-2]
	not := strings.HasPrefix(name, "^")
	name = strings.TrimPrefix(name, "^")
	set, ok := posixSpans[name]
	if !ok {
		p.fail(errPosixName, p.pos+len("[:"))
	}
	if p.opts&Caseless != 0 && (name == "upper" || name == "lower") {
		set = posixSpans["alpha"]
	}
	if not {
		set = append(spans(nil), set...).merged().complement(lastChar(p.utf))
	}
	*l = append(*l, set...)
	p.pos += 1 + n
	return true
}

// classRange parses one character, a range or an escape in a class. It returns
// whether what follows is still quoted.
func (p *parser) classRange(l *spans, quoted bool) bool {
	lo, isClass := p.classChar(l, quoted)
	if isClass {
		return quoted // a hyphen after it is literal
	}
	start := p.pos
	inside := quoted
	for p.accept(`\E`) {
		inside = false
	}
	if inside || p.peek(0) != '-' || p.pos+1 >= len(p.src) || p.peek(1) == ']' {
		p.pos = start
		p.addChars(l, lo, lo)
		return quoted
	}
	p.pos++
	for p.accept(`\E`) {
	}
	if p.accept(`\Q`) {
		inside = true
	}
	switch {
	case !p.more():
		p.fail(errClassEnd, p.pos)
	case inside:
	case p.src[p.pos] == '[' && posixEnd(p.src[p.pos+1:]) > 0:
		p.fail(errRange, p.pos)
	case p.src[p.pos] == ']':
		p.addChars(l, lo, lo)
		p.addChars(l, '-', '-')
		return false
	}
	hi, isClass := p.classChar(l, inside)
	if isClass {
		p.fail(errRange, p.pos-1)
	}
	p.rangeTo(l, lo, hi)
	return inside
}

func (p *parser) rangeTo(l *spans, lo, hi rune) {
	if hi < lo {
		p.fail(errRangeOrder, p.pos-1)
	}
	p.addChars(l, lo, hi)
}

func (p *parser) addChars(l *spans, lo, hi rune) {
	l.add(lo, hi)
	if p.opts&Caseless != 0 {
		l.addFolded(lo, hi, p.utf)
	}
}

// classChar parses one character of a class; an escape for many is added to l.
func (p *parser) classChar(l *spans, quoted bool) (r rune, isClass bool) {
	if quoted || p.src[p.pos] != '\\' {
		if !p.utf {
			p.pos++
			return rune(p.src[p.pos-1]), false
		}
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		p.pos += n
		return r, false
	}
	if p.pos+1 >= len(p.src) {
		p.fail(errEndBackslash, len(p.src))
	}
	switch c := p.src[p.pos+1]; c {
	case 'b':
		p.pos += 2
		return '\b', false
	case 'd', 'D', 'w', 'W', 's', 'S', 'h', 'H', 'v', 'V':
		p.pos += 2
		*l = append(*l, p.classSpans(c)...)
		return 0, true
	case 'p', 'P':
		*l = append(*l, p.property()...)
		return 0, true
	case 'B', 'R', 'X':
		p.pos += 2
		return rune(c), false
	case 'N':
		if p.peek(2) == '{' {
			p.fail(errCaseEscape, p.pos+1)
		}
		p.fail(errClassN, p.pos+1)
	}
	return p.charEscape(true), false
}

// property parses \p or \P.
func (p *parser) property() spans {
	not := p.src[p.pos+1] == 'P'
	p.pos += 2
	if !p.more() {
		p.fail(errProperty, p.pos)
	}
	name := p.src[p.pos : p.pos+1]
	p.pos++
	if name == "{" {
		if p.accept("^") {
			not = !not
		}
		i := strings.IndexByte(p.src[p.pos:], '}')
		if i < 0 {
			p.fail(errProperty, len(p.src))
		}
		name = p.src[p.pos : p.pos+i]
		p.pos += i + 1
	}
	l, ok := propertySpans(name)
	if !ok {
		p.fail(errPropertyName, p.pos-1)
	}
	last := lastChar(p.utf)
	l = l.clip(last).merged()
	if not {
		l = l.complement(last)
	}
	return l
}
