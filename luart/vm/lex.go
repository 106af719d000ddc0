package vm

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Tokens: single characters are their own code, the others follow.
const (
	tkEOF = 256 + iota
	tkAnd
	tkBreak
	tkDo
	tkElse
	tkElseif
	tkEnd
	tkFalse
	tkFor
	tkFunction
	tkGoto
	tkIf
	tkIn
	tkLocal
	tkNil
	tkNot
	tkOr
	tkRepeat
	tkReturn
	tkThen
	tkTrue
	tkUntil
	tkWhile
	tkConcat
	tkDots
	tkEq
	tkGe
	tkLe
	tkNe
	tkLabel
	tkNumber
	tkName
	tkString
)

var tokenNames = [...]string{"<eof>", "and", "break", "do", "else", "elseif", "end", "false", "for", "function",
	"goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
	"..", "...", "==", ">=", "<=", "~=", "::", "<number>", "<name>", "<string>"}

var keywords = func() map[string]int {
	m := make(map[string]int)
	for t := tkAnd; t <= tkWhile; t++ {
		m[tokenNames[t-tkEOF]] = t
	}
	return m
}()

// lexer splits source text into tokens.
type lexer struct {
	src   string
	pos   int
	line  int
	chunk string // for messages

	tok      int
	str      string // the name or string
	num      Value
	text     string // what messages show for the token
	lastLine int    // of the token before

	ahead  bool
	next   token
	levels int
}

type token struct {
	tok  int
	str  string
	num  Value
	text string
	line int
}

func newLexer(src, chunkname string) *lexer {
	return &lexer{src: src, line: 1, lastLine: 1, chunk: shortSource(chunkname)}
}

// shortSource returns how messages show a chunk name.
func shortSource(name string) string {
	const idSize = 60
	if i := strings.IndexByte(name, 0); i >= 0 { // chunk names are C strings
		name = name[:i]
	}
	switch {
	case strings.HasPrefix(name, "="):
		return name[1:min(len(name), idSize)]
	case strings.HasPrefix(name, "@"):
		name = name[1:]
		if len(name) >= idSize {
			return "..." + name[len(name)-(idSize-4):]
		}
		return name
	}
	n := 0
	for n < len(name) && n < idSize-12 && name[n] >= ' ' {
		n++
	}
	if n < len(name) {
		return `[string "` + name[:min(n, idSize-15)] + `..."]`
	}
	return `[string "` + name + `"]`
}

// fail raises a syntax error that names no token.
func (l *lexer) fail(msg string) {
	panic(&SyntaxError{l.chunk + ":" + strconv.Itoa(l.line) + ": " + msg})
}

func (l *lexer) failNear(msg, near string) {
	if i := strings.IndexByte(near, 0); i >= 0 {
		near = near[:i]
	}
	l.fail(msg + " near '" + near + "'")
}

// failTok raises a syntax error at the current token.
func (l *lexer) failTok(msg string) {
	if l.tok == 0 { // a NUL, which LuaJIT takes for no token
		l.fail(msg)
	}
	l.failNear(msg, l.tokenText())
}

func (l *lexer) tokenText() string {
	switch l.tok {
	case tkName, tkString, tkNumber:
		return l.text
	}
	return tokenName(l.tok)
}

func tokenName(t int) string {
	if t >= tkEOF {
		return tokenNames[t-tkEOF]
	}
	if t < ' ' || t == 127 {
		return "char(" + strconv.Itoa(t) + ")"
	}
	return string([]byte{byte(t)})
}

// advance reads the next token.
func (l *lexer) advance() {
	l.lastLine = l.line
	if l.ahead {
		l.ahead = false
		n := &l.next
		l.tok, l.str, l.num, l.text = n.tok, n.str, n.num, n.text
		l.line = n.line
		return
	}
	l.tok = l.scan()
}

// peek returns the token after the current one.
func (l *lexer) peek() int {
	if !l.ahead {
		tok, str, num, text, line := l.tok, l.str, l.num, l.text, l.line
		t := l.scan()
		l.next = token{t, l.str, l.num, l.text, l.line}
		l.tok, l.str, l.num, l.text, l.line = tok, str, num, text, line
		l.ahead = true
	}
	return l.next.tok
}

func (l *lexer) cur() int {
	if l.pos < len(l.src) {
		return int(l.src[l.pos])
	}
	return -1
}

func (l *lexer) at(i int) int {
	if l.pos+i < len(l.src) {
		return int(l.src[l.pos+i])
	}
	return -1
}

// newline skips one line end of any of the four forms.
func (l *lexer) newline() {
	c := l.src[l.pos]
	l.pos++
	if l.pos < len(l.src) {
		if d := l.src[l.pos]; (d == '\n' || d == '\r') && d != c {
			l.pos++
		}
	}
	l.line++
	if l.line >= math.MaxInt32-512 {
		l.fail("chunk has too many lines")
	}
}

func isIdent(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || isDigit(c) || c >= 0x80
}

func (l *lexer) scan() int {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		if isIdent(c) {
			if isDigit(c) {
				return l.number()
			}
			return l.name()
		}
		switch c {
		case '\n', '\r':
			l.newline()
		case ' ', '\t', '\v', '\f':
			l.pos++
		case '-':
			if l.at(1) != '-' {
				l.pos++
				return '-'
			}
			l.comment()
		case '[':
			level, ok := l.longLevel()
			if ok {
				l.longString(level, tkString)
				return tkString
			}
			if level > 0 {
				l.failNear("invalid long string delimiter", l.src[l.pos:l.pos+level+1])
			}
			l.pos++
			return '['
		case '=', '<', '>', '~', ':':
			if t := l.double(c); t != 0 {
				return t
			}
			return int(c)
		case '"', '\'':
			l.shortString(c)
			return tkString
		case '.':
			if l.at(1) == '.' {
				if l.at(2) == '.' {
					l.pos += 3
					return tkDots
				}
				l.pos += 2
				return tkConcat
			}
			if d := l.at(1); d >= 0 && isDigit(byte(d)) {
				return l.number()
			}
			l.pos++
			return '.'
		default:
			l.pos++
			return int(c)
		}
	}
	return tkEOF
}

func (l *lexer) name() int {
	start := l.pos
	for l.pos < len(l.src) && isIdent(l.src[l.pos]) {
		l.pos++
	}
	l.str = l.src[start:l.pos]
	l.text = l.str
	if t, ok := keywords[l.str]; ok {
		return t
	}
	return tkName
}

// double reads an operator that may have a second character.
func (l *lexer) double(c byte) int {
	l.pos++
	second, tok := byte('='), 0
	switch c {
	case '=':
		tok = tkEq
	case '<':
		tok = tkLe
	case '>':
		tok = tkGe
	case '~':
		tok = tkNe
	case ':':
		second, tok = ':', tkLabel
	}
	if l.cur() != int(second) {
		return 0
	}
	l.pos++
	return tok
}

func (l *lexer) comment() {
	l.pos += 2
	if l.cur() == '[' {
		if level, ok := l.longLevel(); ok {
			l.longString(level, tkEOF)
			return
		}
	}
	for l.pos < len(l.src) && l.src[l.pos] != '\n' && l.src[l.pos] != '\r' {
		l.pos++
	}
}

// longLevel counts the = of a long bracket at pos; ok if it is one.
func (l *lexer) longLevel() (level int, ok bool) {
	for l.at(1+level) == '=' {
		level++
	}
	return level, l.at(1+level) == '['
}

// longString reads a long string, or a comment if tok is not tkString.
func (l *lexer) longString(level, tok int) {
	open := l.src[l.pos : l.pos+level+2]
	l.pos += level + 2
	if c := l.cur(); c == '\n' || c == '\r' {
		l.newline()
	}
	var b []byte
	start := l.pos
	flush := func() {
		if tok == tkString {
			b = append(b, l.src[start:l.pos]...)
		}
	}
	for {
		switch l.cur() {
		case -1:
			what := "comment"
			if tok == tkString {
				what = "string"
			}
			l.failNear("unfinished long "+what, "<eof>")
		case ']':
			n := 0
			for l.at(1+n) == '=' {
				n++
			}
			if n == level && l.at(1+n) == ']' {
				flush()
				l.pos += level + 2
				l.str = string(b)
				l.text = open + l.str + strings.ReplaceAll(open, "[", "]")
				return
			}
			l.pos++
		case '\n', '\r':
			flush()
			l.newline()
			if tok == tkString {
				b = append(b, '\n')
			}
			start = l.pos
		default:
			l.pos++
		}
	}
}

func (l *lexer) shortString(quote byte) {
	l.pos++
	b := []byte{quote}
	for {
		c := l.cur()
		switch {
		case c == -1:
			l.failNear("unfinished string", "<eof>")
		case c == '\n' || c == '\r':
			l.failNear("unfinished string", string(b))
		case c == int(quote):
			l.pos++
			l.str = string(b[1:])
			l.text = string(append(b, quote))
			return
		case c == '\\':
			b = l.escape(b)
		default:
			b = append(b, byte(c))
			l.pos++
		}
	}
}

// escape reads an escape sequence and appends what it stands for.
func (l *lexer) escape(b []byte) []byte {
	bad := func() { l.failNear("invalid escape sequence", string(b)) }
	l.pos++
	c := l.cur()
	if c == -1 {
		return b // the caller finds the end
	}
	l.pos++
	switch c {
	case 'a':
		return append(b, '\a')
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'v':
		return append(b, '\v')
	case '\\', '"', '\'':
		return append(b, byte(c))
	case '\n', '\r':
		l.pos--
		l.newline()
		return append(b, '\n')
	case 'z':
		for l.pos < len(l.src) && isSpace(l.src[l.pos]) {
			if d := l.src[l.pos]; d == '\n' || d == '\r' {
				l.newline()
			} else {
				l.pos++
			}
		}
		return b
	case 'x':
		n := 0
		for range 2 {
			d := -1
			if c := l.cur(); c >= 0 {
				d = hexDigit(byte(c))
			}
			if d < 0 {
				bad()
			}
			n = n*16 + d
			l.pos++
		}
		return append(b, byte(n))
	case 'u':
		return l.unicodeEscape(b, bad)
	}
	if !isDigit(byte(c)) {
		bad()
	}
	n := c - '0'
	for range 2 {
		d := l.cur()
		if d < 0 || !isDigit(byte(d)) {
			break
		}
		n = n*10 + d - '0'
		l.pos++
	}
	if n > 255 {
		bad()
	}
	return append(b, byte(n))
}

// unicodeEscape reads the rest of \u{XXX}.
func (l *lexer) unicodeEscape(b []byte, bad func()) []byte {
	if l.cur() != '{' {
		bad()
	}
	l.pos++
	n, digits := 0, 0
	for l.cur() != '}' {
		d := -1
		if c := l.cur(); c >= 0 {
			d = hexDigit(byte(c))
		}
		n = n<<4 | d
		if d < 0 || n >= 0x110000 {
			bad()
		}
		digits++
		l.pos++
	}
	if digits == 0 {
		bad()
	}
	l.pos++
	if n >= 0xD800 && n < 0xE000 {
		// LuaJIT refuses surrogates.
		bad()
	}
	return utf8.AppendRune(b, rune(n))
}

// number reads a number with everything that sticks to it.
func (l *lexer) number() int {
	start := l.pos
	exp := byte('e')
	if l.src[l.pos] == '0' && l.at(1)|0x20 == 'x' {
		exp = 'p'
	}
	last := byte(0)
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		if !isIdent(c) && c != '.' && !((c == '-' || c == '+') && last|0x20 == exp) {
			break
		}
		last = c
		l.pos++
	}
	l.text = l.src[start:l.pos]
	v, ok := parseLiteral(l.text)
	if !ok {
		l.failNear("malformed number", l.text)
	}
	l.num = v
	return tkNumber
}

// parseLiteral converts a number of source text, suffixes included.
func parseLiteral(s string) (Value, bool) {
	low := lower(s)
	switch {
	case strings.HasSuffix(low, "ull"), strings.HasSuffix(low, "llu"):
		return parseInt64(low[:len(low)-3], CUint64)
	case strings.HasSuffix(low, "ll"):
		return parseInt64(low[:len(low)-2], CInt64)
	case strings.HasSuffix(low, "i"):
		f, ok := parseUnsigned(low[:len(low)-1])
		return (&CData{Kind: CComplex, Im: f}).Value(), ok
	}
	f, ok := parseUnsigned(s)
	return Number(f), ok
}

func parseInt64(s string, kind CKind) (Value, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		base, s = 16, s[2:]
	case strings.HasPrefix(s, "0b"):
		base, s = 2, s[2:]
	}
	n, err := strconv.ParseUint(s, base, 64)
	return (&CData{Kind: kind, Bits: n}).Value(), err == nil
}
