package conf

import (
	"bytes"
	"strconv"
	"strings"
)

// LuaSource is the raw text of a *_by_lua_block { … }, without the braces.
type LuaSource struct {
	Source []byte
	File   string
	Line   int // of the opening brace
}

// luaToken is what matters of Lua for finding the end of a block.
type luaToken int

const (
	luaOther luaToken = iota // a string, a short comment, a stray ]==]
	luaOpen
	luaClose
	luaLongString
	luaLongComment
)

// luaBlock reads the Lua text after an opening brace up to the brace that closes
// it. The tokens are those of ngx_lua's lexer: braces in strings, comments and
// long brackets do not count, and a quote without its pair on the line is
// nothing special.
func (l *lexer) luaBlock() (*LuaSource, error) {
	block := &LuaSource{File: l.file, Line: l.line}
	begin := l.pos
	opened := l.line // line of the last opening brace, for the message
	for depth := 1; depth > 0; {
		token, start, end := nextLuaToken(l.src, l.pos)
		if start < 0 {
			l.line = opened
			return nil, Errorf("unexpected end of file, expecting terminating characters for lua code block")
		}
		if token == luaLongString || token == luaLongComment {
			l.line += bytes.Count(l.src[l.pos:start], []byte{'\n'})
			l.pos = start
			closing := closingBracket(l.src[start:end])
			n := bytes.Index(l.src[end:], closing)
			if n < 0 {
				return nil, Errorf("Lua code block missing the closing long bracket \"%s\", "+
					"the inlined Lua code may be too long", closing)
			}
			end += n + len(closing)
		}
		l.line += bytes.Count(l.src[l.pos:end], []byte{'\n'})
		l.pos = end
		switch token {
		case luaOpen:
			opened = l.line
			depth++
		case luaClose:
			depth--
		}
	}
	block.Source = l.src[begin : l.pos-1]
	return block, nil
}

// closingBracket is ]==] for [==[ or --[==[.
func closingBracket(opening []byte) []byte {
	level := len(bytes.TrimPrefix(opening, []byte("--"))) - 2
	return []byte("]" + strings.Repeat("=", level) + "]")
}

// nextLuaToken finds the first token from pos on; start is -1 if there is none.
// Of long strings and comments the token is the opening bracket only.
func nextLuaToken(src []byte, pos int) (token luaToken, start, end int) {
	for i := pos; i < len(src); i++ {
		switch c := src[i]; c {
		case '{':
			return luaOpen, i, i + 1
		case '}':
			return luaClose, i, i + 1
		case '[', ']':
			if end := longBracket(src, i, c); end > 0 {
				if c == ']' {
					return luaOther, i, end
				}
				return luaLongString, i, end
			}
		case '-':
			if i+1 >= len(src) || src[i+1] != '-' {
				continue
			}
			if end := longBracket(src, i+2, '['); end > 0 {
				return luaLongComment, i, end
			}
			if n := bytes.IndexByte(src[i:], '\n'); n >= 0 {
				return luaOther, i, i + n
			}
			return luaOther, i, len(src)
		case '"', '\'':
			if end := shortString(src, i); end > 0 {
				return luaOther, i, end
			}
		}
	}
	return luaOther, -1, -1
}

// longBracket is the end of [==[ (or of ]==]) at pos, 0 if there is none.
func longBracket(src []byte, pos int, bracket byte) int {
	if pos >= len(src) || src[pos] != bracket {
		return 0
	}
	for i := pos + 1; i < len(src); i++ {
		switch src[i] {
		case '=':
		case bracket:
			return i + 1
		default:
			return 0
		}
	}
	return 0
}

// shortString is the end of the quoted string at pos, 0 if it does not end on
// its line. A backslash at a line's end does not continue it.
func shortString(src []byte, pos int) int {
	for i := pos + 1; i < len(src); i++ {
		switch src[i] {
		case src[pos]:
			return i + 1
		case '\n':
			return 0
		case '\\':
			i++
			if i >= len(src) || src[i] == '\n' {
				return 0
			}
		}
	}
	return 0
}

// luaNameLen is what the Lua machine shows of a chunk's name, less the "=(:)"
// around its parts.
const luaNameLen = 56

// LuaChunkName is ngx_lua's name for the code of the directive in hand, such as
// "=content_by_lua(nginx.conf:12)". The tag is the directive's name without
// _block.
func (cf *Conf) LuaChunkName(tag string) string {
	file, line := cf.Pos()
	if cf.Lua != nil {
		line = cf.Lua.Line
	}
	number := strconv.Itoa(line)
	return "=" + tag + "(" + cf.luaFileName(file, len(tag)+len(number)) + ":" + number + ")"
}

// luaFileName is what a chunk's name says of a file. A file nginx.conf of any
// directory is just that; others lose the configuration's directory, and their
// beginning if there is not enough room beside the reserved bytes.
func (cf *Conf) luaFileName(file string, reserved int) string {
	if strings.HasSuffix(file, "/nginx.conf") {
		return "nginx.conf"
	}
	if prefix := cf.Cycle.ConfPrefix; len(prefix) < len(file) {
		file = strings.TrimPrefix(file, prefix)
	}
	room := luaNameLen - reserved
	if len(file) <= room {
		return file
	}
	return "..." + file[len(file)-max(room-3, 0):]
}
