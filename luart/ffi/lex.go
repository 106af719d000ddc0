package ffi

import (
	"fmt"
	"strings"

	"perilune/luart/vm"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokName
	tokNumber
	tokString
	tokPunct
	tokParam // a $ that stands for an argument
)

type token struct {
	kind     tokenKind
	text     string
	num      int64
	unsigned bool
	line     int
}

// declError is an error in a declaration; it travels as a panic to parser.run.
type declError struct{ msg string }

func failDecl(line int, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if line > 1 {
		msg += fmt.Sprintf(" at line %d", line)
	}
	panic(declError{msg})
}

var punctuators = []string{"...", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||"}

// lexer splits a declaration into tokens.
type lexer struct {
	src  string
	pos  int
	line int
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) space() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch c := rest[0]; {
		case c == '\n':
			l.line++
			l.pos++
		case c == ' ' || c >= '\t' && c <= '\r':
			l.pos++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.pos += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				n = len(rest) - 4
			}
			l.line += strings.Count(rest[:n+2], "\n")
			l.pos += n + 4
		default:
			return
		}
	}
	l.pos = len(l.src)
}

func (l *lexer) next() token {
	l.space()
	t := token{line: l.line}
	if l.pos >= len(l.src) {
		return t
	}
	rest := l.src[l.pos:]
	n := 1
	switch c := rest[0]; {
	case isDigit(c):
		for n < len(rest) && (isNameByte(rest[n]) || rest[n] == '.') {
			n++
		}
		t.kind = tokNumber
		t.num, t.unsigned = l.number(rest[:n])
	case isNameByte(c):
		for n < len(rest) && isNameByte(rest[n]) {
			n++
		}
		t.kind = tokName
	case c == '"' || c == '\'':
		for n < len(rest) && rest[n] != c && rest[n] != '\n' {
			if rest[n] == '\\' {
				n++
			}
			n++
		}
		if n >= len(rest) || rest[n] != c {
			failDecl(l.line, "unfinished string near '%s'", rest[:min(n, len(rest))])
		}
		n++
		t.kind = tokString
		if c == '\'' {
			t.kind = tokNumber
			t.num = l.char(rest[1 : n-1])
		}
	case c == '$':
		t.kind = tokParam
	default:
		t.kind = tokPunct
		for _, p := range punctuators {
			if strings.HasPrefix(rest, p) {
				n = len(p)
				break
			}
		}
	}
	t.text = rest[:n]
	l.pos += n
	return t
}

// number is an integer of C, with its suffix.
func (l *lexer) number(s string) (int64, bool) {
	digits := strings.TrimRight(s, "uUlL")
	suffix := strings.ToLower(s[len(digits):])
	base := uint64(10)
	switch {
	case len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x':
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base, digits = 8, digits[1:]
	}
	var u uint64
	for i := range len(digits) {
		d := uint64(99)
		switch c := digits[i]; {
		case isDigit(c):
			d = uint64(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = uint64(c|0x20-'a') + 10
		}
		if d >= base {
			failDecl(l.line, "malformed number near '%s'", s)
		}
		u = u*base + d
	}
	return int64(u), strings.Contains(suffix, "u") || base != 10 && u > 1<<31-1
}

// char is the value of a character constant.
func (l *lexer) char(s string) int64 {
	if len(s) == 1 {
		return int64(int8(s[0]))
	}
	if len(s) == 2 && s[0] == '\\' {
		if i := strings.IndexByte("abfnrtve\\'\"0", s[1]); i >= 0 {
			return int64("\a\b\f\n\r\t\v\x1b\\'\"\x00"[i])
		}
	}
	failDecl(l.line, "invalid character constant near '%s'", s)
	return 0
}

// lexAll returns all tokens; the last one is the end.
func lexAll(src string) []token {
	l := lexer{src: src, line: 1}
	toks := make([]token, 0, 8+len(src)/4)
	for {
		t := l.next()
		toks = append(toks, t)
		if t.kind == tokEOF {
			return toks
		}
	}
}

// fillParams puts the arguments of a declaration in the place of its $ signs: a
// string is a name, a number an integer.
func fillParams(toks []token, params []vm.Value) {
	for i := range toks {
		if toks[i].kind != tokParam || len(params) == 0 {
			continue
		}
		if s, ok := params[0].AsString(); ok {
			toks[i].kind, toks[i].text = tokName, s
		} else if f, ok := params[0].AsNumber(); ok {
			toks[i].kind, toks[i].num = tokNumber, int64(f)
		} else {
			continue
		}
		params = params[1:]
	}
}
