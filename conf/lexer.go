package conf

import (
	"strings"
)

// maxToken is nginx's configuration buffer: no word, string or comment line may
// be as long.
const maxToken = 4096

// lexer splits one text into directives. Its line is the line of the byte
// consumed last, which is the line that messages name.
type lexer struct {
	file  string
	src   []byte
	pos   int
	line  int
	param bool // the text is the -g option, not a file
}

// ending says what ended a directive.
type ending int

const (
	semicolon  ending = iota // name args ;
	blockStart               // name args {
	blockEnd                 // }
	fileEnd
)

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

// tokenState is where in a directive the lexer stands.
type tokenState struct {
	words     []string
	start     int  // where the word begins
	startLine int  // and its line
	quote     byte // the word's quote character, 0 without
	inWord    bool
	needSpace bool // a quoted word just ended
	variable  bool // the last byte was $, or { after it
}

// next reads the words of one directive, up to and including what ends it.
func (l *lexer) next() ([]string, ending, error) {
	st := tokenState{start: l.pos, startLine: l.line}
	escaped, comment := false, false
	for {
		if l.pos >= len(l.src) {
			return l.atEnd(&st)
		}
		if !l.param && l.pos-st.start == maxToken {
			return nil, 0, l.tooLong(&st)
		}
		c := l.src[l.pos]
		l.pos++
		if c == '\n' {
			l.line++
			comment = false
		}
		if comment {
			continue
		}
		if escaped {
			escaped = false
			continue
		}
		if st.needSpace {
			switch {
			case isSpace(c):
				st.needSpace, st.inWord = false, false
				continue
			case c == ';':
				return st.words, semicolon, nil
			case c == '{':
				return st.words, blockStart, nil
			case c == ')':
				st.needSpace, st.inWord = false, false
			default:
				return nil, 0, Errorf("unexpected \"%s\"", []byte{c})
			}
		}
		if st.inWord {
			if l.inWord(&st, c, &escaped) {
				switch c {
				case ';':
					return st.words, semicolon, nil
				case '{':
					return st.words, blockStart, nil
				}
			}
			continue
		}
		st.start, st.startLine = l.pos-1, l.line
		switch c {
		case ' ', '\t', '\r', '\n':
		case ';', '{':
			if len(st.words) == 0 {
				return nil, 0, Errorf("unexpected \"%c\"", c)
			}
			if c == '{' {
				return st.words, blockStart, nil
			}
			return st.words, semicolon, nil
		case '}':
			if len(st.words) != 0 {
				return nil, 0, Errorf("unexpected \"}\"")
			}
			return nil, blockEnd, nil
		case '#':
			comment = true
		case '\\':
			escaped, st.inWord = true, true
		case '"', '\'':
			st.start++
			st.quote, st.inWord = c, true
		case '$':
			st.variable, st.inWord = true, true
		default:
			st.inWord = true
		}
	}
}

// inWord takes a byte of a word and reports whether a bare word ended with it.
func (l *lexer) inWord(st *tokenState, c byte, escaped *bool) bool {
	if c == '{' && st.variable {
		return false
	}
	st.variable = false
	switch {
	case c == '\\':
		*escaped = true
		return false
	case c == '$':
		st.variable = true
		return false
	case st.quote != 0:
		if c == st.quote {
			st.words = append(st.words, unescape(l.src[st.start:l.pos-1]))
			st.quote, st.needSpace = 0, true
		}
		return false
	case isSpace(c) || c == ';' || c == '{':
		st.words = append(st.words, unescape(l.src[st.start:l.pos-1]))
		st.inWord = false
		return true
	}
	return false
}

func (l *lexer) atEnd(st *tokenState) ([]string, ending, error) {
	switch {
	case len(st.words) == 0 && !st.inWord:
		return nil, fileEnd, nil
	case l.param:
		return nil, 0, Errorf("unexpected end of parameter, expecting \";\"")
	}
	return nil, 0, Errorf("unexpected end of file, expecting \";\" or \"}\"")
}

func (l *lexer) tooLong(st *tokenState) error {
	l.line = st.startLine
	if st.quote != 0 {
		return Errorf("too long parameter, probably missing terminating \"%c\" character", st.quote)
	}
	return Errorf("too long parameter \"%s...\" started", l.src[st.start:st.start+10])
}

// unescape takes the backslashes out of a word; those before other bytes than
// quotes, backslashes, t, r and n stay.
func unescape(b []byte) string {
	first := -1
	for i, c := range b {
		if c == '\\' {
			first = i
			break
		}
	}
	if first < 0 {
		return string(b)
	}
	var w strings.Builder
	w.Grow(len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case '"', '\'', '\\':
				i++
			case 't':
				w.WriteByte('\t')
				i++
				continue
			case 'r':
				w.WriteByte('\r')
				i++
				continue
			case 'n':
				w.WriteByte('\n')
				i++
				continue
			}
		}
		w.WriteByte(b[i])
	}
	return w.String()
}
