package regex

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape parses what a backslash begins.
func (p *parser) escape() (n *node, repeatable bool) {
	if p.pos+1 >= len(p.src) {
		p.fail(errEndBackslash, len(p.src))
	}
	c := p.src[p.pos+1]
	simple := func(k kind, what int) *node {
		p.pos += 2
		return &node{kind: k, what: what}
	}
	switch c {
	case 'Q':
		p.pos += 2
		p.quoted = true
		return nil, true
	case 'E':
		p.pos += 2
		return nil, true
	case 'A':
		return simple(kAssert, aBegin), false
	case 'Z':
		return simple(kAssert, aEndLine), false
	case 'z':
		return simple(kAssert, aEnd), false
	case 'b':
		return simple(kAssert, aWord), false
	case 'B':
		return simple(kAssert, aNotWord), false
	case 'G':
		return simple(kAssert, aStart), false
	case 'K':
		return simple(kKeep, 0), false
	case 'R':
		return simple(kNewline, 0), true
	case 'X':
		return simple(kCluster, 0), true
	case 'C':
		return simple(kByte, 0), true
	case 'N':
		if p.peek(2) == '{' && !p.quantifierAt(p.pos+2) {
			p.fail(errCaseEscape, p.pos+1)
		}
		return simple(kAny, 0), true
	case 'd', 'D', 'w', 'W', 's', 'S', 'h', 'H', 'v', 'V':
		p.pos += 2
		return &node{kind: kSet, set: makeSet(p.classSpans(c), false, p.utf)}, true
	case 'p', 'P':
		return &node{kind: kSet, set: makeSet(p.property(), false, p.utf)}, true
	case 'g':
		return p.escapeG(), true
	case 'k':
		return p.escapeK(), true
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if n := p.numberedBackref(); n != nil {
			return n, true
		}
	}
	r := p.charEscape(false)
	return p.char(p.encode(r)), true
}

// numberedBackref parses \n, unless that is a character.
func (p *parser) numberedBackref() *node {
	d := digits(p.src[p.pos+1:])
	num := 0
	for _, c := range p.src[p.pos+1 : p.pos+1+d] {
		if num = num*10 + int(c-'0'); num > 1<<30 {
			p.fail(errNumberBig, p.pos+d)
		}
	}
	if num >= 8 && num > p.ncap {
		return nil
	}
	p.pos += 1 + d
	return p.backref(num)
}

func (p *parser) backref(num int) *node {
	p.backrefs = true
	p.topBackref = max(p.topBackref, num)
	n := &node{kind: kBackref, group: num, fold: p.opts&Caseless != 0, offset: p.pos}
	p.refs = append(p.refs, n)
	return n
}

func (p *parser) namedBackref(name string, offset int) *node {
	p.backrefs = true
	n := &node{kind: kBackref, name: name, fold: p.opts&Caseless != 0, offset: offset}
	p.refs = append(p.refs, n)
	return n
}

func (p *parser) escapeG() *node {
	start := p.pos
	p.pos += 2
	if !p.more() {
		p.fail(errZero, p.pos-1)
	}
	switch c := p.peek(0); {
	case c == '<' || c == '\'':
		end := byte('>')
		if c == '\'' {
			end = c
		}
		if p.pos++; !p.more() {
			p.fail(errNameExpected, p.pos)
		}
		return p.callByText(p.until(end, errNameEnd))
	case c == '{':
		i := strings.IndexByte(p.src[p.pos:], '}')
		if i < 0 {
			p.fail(errG, len(p.src))
		}
		text := p.src[p.pos+1 : p.pos+i]
		if text == "" {
			p.fail(errZero, p.pos+1)
		}
		if num, ok := p.relative(text, p.pos+i); ok {
			p.pos += i + 1
			return p.backref(num)
		}
		p.pos++
		name := p.groupName('}')
		return p.namedBackref(name, p.pos-1)
	case c == '-' || c >= '0' && c <= '9':
		d := 0
		if c == '-' {
			d = 1
		}
		d += digits(p.src[p.pos+d:])
		if num, ok := p.relative(p.src[p.pos:p.pos+d], p.pos+d-1); ok {
			p.pos += d
			return p.backref(num)
		}
	}
	p.fail(errG, start+2)
	return nil
}

// relative reads a number, which counts back from here after a minus; end is
// where it ends.
func (p *parser) relative(s string, end int) (int, bool) {
	minus := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "" || digits(s) != len(s) {
		return 0, false
	}
	n := 0
	for _, c := range s {
		if n = n*10 + int(c-'0'); n > 1<<30 {
			p.fail(errNumberBig, p.pos+len(s))
		}
	}
	if n == 0 {
		p.fail(errZero, end)
	}
	if minus {
		if n > p.ncap {
			p.fail(errNoGroup, end)
		}
		n = p.ncap + 1 - n
	}
	return n, true
}

func (p *parser) until(end byte, msg string) string {
	i := strings.IndexByte(p.src[p.pos:], end)
	if i < 0 {
		p.fail(msg, len(p.src))
	}
	s := p.src[p.pos : p.pos+i]
	p.pos += i + 1
	return s
}

func (p *parser) escapeK() *node {
	p.pos += 2
	var end byte
	switch p.peek(0) {
	case '<':
		end = '>'
	case '\'':
		end = '\''
	case '{':
		end = '}'
	default:
		p.fail(errK, p.pos-1)
	}
	p.pos++
	name := p.groupName(end)
	return p.namedBackref(name, p.pos-1)
}

// charEscape parses an escape that stands for one character.
func (p *parser) charEscape(inClass bool) rune {
	c := p.src[p.pos+1]
	at := p.pos + 1
	p.pos += 2
	switch c {
	case 'a':
		return 7
	case 'e':
		return 27
	case 'f':
		return 12
	case 'n':
		return 10
	case 'r':
		return 13
	case 't':
		return 9
	case 'c':
		if !p.more() {
			p.fail(errEndControl, p.pos)
		}
		x := p.src[p.pos]
		if x >= 128 {
			p.fail(errControl, p.pos)
		}
		p.pos++
		if x >= 'a' && x <= 'z' {
			x -= 32
		}
		return rune(x ^ 64)
	case 'x':
		return p.hex()
	case 'o':
		return p.braceOctal()
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return p.octal(at)
	case '8', '9':
		return rune(c)
	case 'L', 'l', 'N', 'U', 'u':
		if c == 'u' && p.opts&JavaScript != 0 {
			return p.javaScriptHex(4, 'u')
		}
		if c == 'U' && p.opts&JavaScript != 0 {
			return 'U'
		}
		p.fail(errCaseEscape, at)
	}
	if c >= utf8.RuneSelf && p.utf {
		r, n := utf8.DecodeRuneInString(p.src[at:])
		p.pos = at + n
		return r
	}
	return rune(c)
}

func hexValue(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

func (p *parser) javaScriptHex(n int, other rune) rune {
	r := rune(0)
	for i := range n {
		v := hexValue(p.peek(i))
		if v < 0 {
			return other
		}
		r = r<<4 | v
	}
	p.pos += n
	p.checkChar(r, p.pos-1)
	return r
}

// checkChar refuses characters that do not exist.
func (p *parser) checkChar(r rune, offset int) {
	if r > lastChar(p.utf) {
		p.fail(errCharBig, offset)
	}
	if p.utf && r >= 0xd800 && r <= 0xdfff {
		p.fail(errSurrogate, offset)
	}
}

func (p *parser) hex() rune {
	if p.opts&JavaScript != 0 {
		return p.javaScriptHex(2, 'x')
	}
	if p.peek(0) != '{' {
		r := rune(0)
		for range 2 {
			v := hexValue(p.peek(0))
			if v < 0 {
				break
			}
			r = r<<4 | v
			p.pos++
		}
		return r
	}
	return p.braced(4, errHex)
}

// braced reads {digits} of so many bits each.
func (p *parser) braced(bits uint, msg string) rune {
	i := 1
	r := rune(0)
	for ; ; i++ {
		v := hexValue(p.peek(i))
		if v < 0 || v >= 1<<bits {
			break
		}
		if r = r<<bits | v; r > lastChar(p.utf) {
			for v >= 0 && v < 1<<bits {
				i++
				v = hexValue(p.peek(i))
			}
			p.fail(errCharBig, p.pos+i)
		}
	}
	if p.peek(i) == '}' && i == 1 {
		p.fail(errDigits, p.pos+i)
	}
	if p.peek(i) != '}' {
		p.fail(msg, p.pos+i)
	}
	p.pos += i + 1
	p.checkChar(r, p.pos-1)
	return r
}

func (p *parser) braceOctal() rune {
	if p.peek(0) != '{' {
		p.fail(errOctalBrace, p.pos-1)
	}
	return p.braced(3, errOctal)
}

func (p *parser) octal(at int) rune {
	p.pos = at
	r := rune(0)
	for range 3 {
		c := p.peek(0)
		if c < '0' || c > '7' {
			break
		}
		r = r<<3 | rune(c-'0')
		p.pos++
	}
	if !p.utf && r > 0xff {
		p.fail(errOctalBig, p.pos-1)
	}
	return r
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// combining reports whether r extends the character before it.
func combining(r rune) bool {
	return r >= 0x300 && (unicode.Is(unicode.M, r) || r == 0x200c || r == 0x200d)
}
