package luart

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"perilune/luart/vm"
)

// jsonReader decodes one text.
type jsonReader struct {
	rt  *Runtime
	cfg *jsonConfig
	st  *jsonState
	s   string
	pos int
	buf []byte
	err string
}

// maxJSONKeys bounds the keys of decoded objects that are kept as Lua strings.
const maxJSONKeys = 4096

func (rt *Runtime) jsonDecode(t *vm.Thread, cfg *jsonConfig, safe bool) int {
	if t.NArgs() != 1 {
		return argError(t, 1, "expected 1 argument")
	}
	if v := t.Arg(1); safe && !v.IsString() && !v.IsNumber() {
		return jsonFail(t, safe, "bad argument #1 to '?' (string expected, got "+v.TypeName()+")")
	}
	r := jsonReader{rt: rt, cfg: cfg, st: rt.jsonShared(), s: t.CheckString(1), buf: rt.scratch[:0]}
	if len(r.s) >= 2 && (r.s[0] == 0 || r.s[1] == 0) {
		return jsonFail(t, safe, "JSON parser does not support UTF-16 or UTF-32")
	}
	v := r.value(0)
	if r.err == "" {
		r.space()
		if r.pos < len(r.s) && r.s[r.pos] != 0 {
			r.unexpected("the end")
		}
	}
	rt.keepScratch(r.buf)
	if r.err != "" {
		return jsonFail(t, safe, r.err)
	}
	t.Push(v)
	return 1
}

func (r *jsonReader) space() {
	for r.pos < len(r.s) {
		switch r.s[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		case '/':
			n := 0
			if r.cfg.decodeComment {
				n = commentLen(r.s[r.pos:])
			}
			if n <= 0 {
				return
			}
			r.pos += n
		default:
			return
		}
	}
}

// commentLen is the length of the comment that s begins with: 0 for none, -1 for one
// without an end.
func commentLen(s string) int {
	switch {
	case strings.HasPrefix(s, "//"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i + 1
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		i := strings.Index(s[2:], "*/")
		if i < 0 {
			return -1
		}
		return i + 4
	}
	return 0
}

// fail keeps the first error.
func (r *jsonReader) fail(want, got string, at int) {
	if r.err == "" {
		r.err = "Expected " + want + " but found " + got + " at character " + itoa(at+1)
	}
}

// unexpected is the error of a token that does not belong where it is.
func (r *jsonReader) unexpected(want string) {
	at := r.pos
	if at < len(r.s) && r.cfg.decodeComment && commentLen(r.s[at:]) < 0 {
		r.fail(want, "unclosed multi-line comment", len(r.s))
		return
	}
	r.fail(want, r.token(want), at)
}

// token names the token at the position, where what is wanted is another one.
func (r *jsonReader) token(want string) string {
	if r.pos >= len(r.s) {
		return "T_END"
	}
	switch c := r.s[r.pos]; c {
	case 0: // ends the text, as a string of C
		return "T_END"
	case '{':
		return "T_OBJ_BEGIN"
	case '}':
		return "T_OBJ_END"
	case '[':
		return "T_ARR_BEGIN"
	case ']':
		return "T_ARR_END"
	case ',':
		return "T_COMMA"
	case ':':
		return "T_COLON"
	case '"':
		at := r.pos
		r.string(want)
		if r.err != "" {
			return ""
		}
		r.pos = at
		return "T_STRING"
	case 't':
		if strings.HasPrefix(r.s[r.pos:], "true") {
			return "T_BOOLEAN"
		}
	case 'f':
		if strings.HasPrefix(r.s[r.pos:], "false") {
			return "T_BOOLEAN"
		}
	case 'n':
		if strings.HasPrefix(r.s[r.pos:], "null") {
			return "T_NULL"
		}
		fallthrough
	default:
		if _, n := r.numberAt(); n > 0 {
			return "T_NUMBER"
		}
	}
	if strings.IndexByte("+-0123456789iInN", r.s[r.pos]) >= 0 {
		if c := r.s[r.pos]; c == '-' || c >= '0' && c <= '9' || c == '+' && r.cfg.decodeInvalid {
			return "invalid number"
		}
	}
	return "invalid token"
}

func (r *jsonReader) value(depth int) vm.Value {
	r.space()
	if r.pos < len(r.s) {
		switch c := r.s[r.pos]; c {
		case '"':
			return r.string("value")
		case '{':
			return r.object(depth + 1)
		case '[':
			return r.array(depth + 1)
		case 't':
			if strings.HasPrefix(r.s[r.pos:], "true") {
				r.pos += 4
				return vm.True
			}
		case 'f':
			if strings.HasPrefix(r.s[r.pos:], "false") {
				r.pos += 5
				return vm.False
			}
		case 'n':
			if strings.HasPrefix(r.s[r.pos:], "null") {
				r.pos += 4
				return Null
			}
			fallthrough
		default:
			if f, n := r.numberAt(); n > 0 {
				r.pos += n
				return vm.Number(f)
			}
		}
	}
	r.unexpected("value")
	return vm.Nil
}

func (r *jsonReader) tooDeep(depth int) bool {
	if depth <= r.cfg.decodeDepth {
		return false
	}
	if r.err == "" {
		r.err = "Found too many nested data structures (" + itoa(depth) + ") at character " + itoa(r.pos+1)
	}
	return true
}

func (r *jsonReader) array(depth int) vm.Value {
	if r.tooDeep(depth) {
		return vm.Nil
	}
	r.pos++
	tab := r.rt.vm.NewTable(0, 0)
	if r.cfg.decodeArrayMT {
		tab.SetMetatable(r.st.arrayMT)
	}
	r.space()
	if r.pos < len(r.s) && r.s[r.pos] == ']' {
		r.pos++
		return tab.Value()
	}
	for {
		v := r.value(depth)
		if r.err != "" {
			return vm.Nil
		}
		tab.Append(v)
		r.space()
		switch {
		case r.pos < len(r.s) && r.s[r.pos] == ',':
			r.pos++
		case r.pos < len(r.s) && r.s[r.pos] == ']':
			r.pos++
			return tab.Value()
		default:
			r.unexpected("comma or array end")
			return vm.Nil
		}
	}
}

func (r *jsonReader) object(depth int) vm.Value {
	if r.tooDeep(depth) {
		return vm.Nil
	}
	r.pos++
	tab := r.rt.vm.NewTable(0, 4)
	r.space()
	if r.pos < len(r.s) && r.s[r.pos] == '}' {
		r.pos++
		return tab.Value()
	}
	for {
		r.space()
		if r.pos >= len(r.s) || r.s[r.pos] != '"' {
			r.unexpected("object key string")
			return vm.Nil
		}
		key := r.key()
		if r.err != "" {
			return vm.Nil
		}
		r.space()
		if r.pos >= len(r.s) || r.s[r.pos] != ':' {
			r.unexpected("colon")
			return vm.Nil
		}
		r.pos++
		v := r.value(depth)
		if r.err != "" {
			return vm.Nil
		}
		_ = tab.Set(key, v)
		r.space()
		switch {
		case r.pos < len(r.s) && r.s[r.pos] == ',':
			r.pos++
		case r.pos < len(r.s) && r.s[r.pos] == '}':
			r.pos++
			return tab.Value()
		default:
			r.unexpected("comma or object end")
			return vm.Nil
		}
	}
}

// key reads the key of an object; those seen before are the same Lua string.
func (r *jsonReader) key() vm.Value {
	s := r.s[r.pos+1:]
	for i := 0; i < len(s) && i < 64; i++ {
		c := s[i]
		if c == '"' {
			r.pos += i + 2
			if v, ok := r.st.keys[s[:i]]; ok {
				return v
			}
			v := vm.CopiedString(s[:i])
			if len(r.st.keys) >= maxJSONKeys {
				clear(r.st.keys)
			}
			k, _ := v.AsString()
			r.st.keys[k] = v
			return v
		}
		if c == '\\' || c < 32 {
			break
		}
	}
	return r.string("object key string")
}

// string reads a string; want names it in errors.
func (r *jsonReader) string(want string) vm.Value {
	r.pos++
	s := r.s
	i := r.pos
	for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] != 0 {
		i++
	}
	if i < len(s) && s[i] == '"' {
		v := vm.CopiedString(s[r.pos:i])
		r.pos = i + 1
		return v
	}
	r.buf = append(r.buf[:0], s[r.pos:i]...)
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			r.pos = i + 1
			return vm.Bytes(r.buf)
		case '\\':
			n := r.escape(s[i:])
			if n == 0 {
				r.fail(want, "invalid escape code", i)
				return vm.Nil
			}
			if n < 0 {
				r.fail(want, "invalid unicode escape code", i)
				return vm.Nil
			}
			i += n - 1
		case 0:
			r.fail(want, "unexpected end of string", i)
			return vm.Nil
		default:
			r.buf = append(r.buf, c)
		}
	}
	r.fail(want, "unexpected end of string", len(s))
	return vm.Nil
}

// escape decodes an escape and returns its length: 0 for an unknown one, -1 for
// a bad character number.
func (r *jsonReader) escape(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		r.buf = append(r.buf, c)
	case 'b':
		r.buf = append(r.buf, '\b')
	case 'f':
		r.buf = append(r.buf, '\f')
	case 'n':
		r.buf = append(r.buf, '\n')
	case 'r':
		r.buf = append(r.buf, '\r')
	case 't':
		r.buf = append(r.buf, '\t')
	case 'u':
		return r.unicode(s)
	default:
		return 0
	}
	return 2
}

func (r *jsonReader) unicode(s string) int {
	c := hex4(s)
	if c < 0 || c >= 0xdc00 && c <= 0xdfff {
		return -1
	}
	n := 6
	if c >= 0xd800 && c <= 0xdbff {
		if len(s) < 12 || s[6] != '\\' || s[7] != 'u' {
			return -1
		}
		low := hex4(s[6:])
		if low < 0xdc00 || low > 0xdfff {
			return -1
		}
		c, n = 0x10000+(c-0xd800)<<10+(low-0xdc00), 12
	}
	r.buf = utf8.AppendRune(r.buf, c)
	return n
}

// hex4 reads \uXXXX, -1 if it is none.
func hex4(s string) rune {
	if len(s) < 6 {
		return -1
	}
	n, err := strconv.ParseUint(s[2:6], 16, 32)
	if err != nil {
		return -1
	}
	return rune(n)
}

// numberAt reads a number and returns its length, 0 for none. As lua-cjson it
// takes what strtod takes, unless invalid numbers are off.
func (r *jsonReader) numberAt() (float64, int) {
	s := r.s[r.pos:]
	n := 0
	if s[0] == '-' || s[0] == '+' && r.cfg.decodeInvalid {
		n++
	}
	if n == len(s) {
		return 0, 0
	}
	switch c := s[n]; {
	case c >= '0' && c <= '9':
		return r.decimal(s, n)
	case r.cfg.decodeInvalid && (c|32 == 'i' || c|32 == 'n'):
		return special(s, n)
	case c == '.' && r.cfg.decodeInvalid && n > 0:
		return r.decimal(s, n)
	}
	return 0, 0
}

// special reads inf, infinity and nan.
func special(s string, n int) (float64, int) {
	rest := strings.ToLower(s[n:min(len(s), n+8)])
	f := math.NaN()
	switch {
	case strings.HasPrefix(rest, "infinity"):
		f, n = math.Inf(1), n+8
	case strings.HasPrefix(rest, "inf"):
		f, n = math.Inf(1), n+3
	case strings.HasPrefix(rest, "nan"):
		n += 3
	default:
		return 0, 0
	}
	if s[0] == '-' {
		f = -f
	}
	return f, n
}

func (r *jsonReader) decimal(s string, start int) (float64, int) {
	n := start
	integer := true
	v := int64(0)
	hex := n+2 < len(s) && s[n] == '0' && s[n+1]|32 == 'x' && hexDigit(s[n+2])
	if hex || s[n] == '0' && n+1 < len(s) && isDigit(s[n+1]) {
		if !r.cfg.decodeInvalid {
			return 0, 0
		}
	}
	if hex {
		return hexadecimal(s, n+2)
	}
	for n < len(s) && isDigit(s[n]) {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	if n-start > 15 {
		integer = false
	}
	if n < len(s) && s[n] == '.' {
		integer = false
		for n++; n < len(s) && isDigit(s[n]); n++ {
		}
	}
	if n < len(s) && s[n]|32 == 'e' {
		e := n + 1
		if e < len(s) && (s[e] == '-' || s[e] == '+') {
			e++
		}
		if e < len(s) && isDigit(s[e]) {
			integer = false
			for n = e; n < len(s) && isDigit(s[n]); n++ {
			}
		}
	}
	if integer {
		if s[0] == '-' {
			v = -v
			if v == 0 {
				return math.Copysign(0, -1), n
			}
		}
		return float64(v), n
	}
	f, err := strconv.ParseFloat(s[:n], 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, 0
	}
	return f, n
}

// hexadecimal reads an integer or float whose digits begin at n.
func hexadecimal(s string, n int) (float64, int) {
	digits := func() {
		for n < len(s) && hexDigit(s[n]) {
			n++
		}
	}
	digits()
	if n < len(s) && s[n] == '.' {
		n++
		digits()
	}
	if n < len(s) && s[n]|32 == 'p' {
		e := n + 1
		if e < len(s) && (s[e] == '-' || s[e] == '+') {
			e++
		}
		if e < len(s) && isDigit(s[e]) {
			for n = e; n < len(s) && isDigit(s[n]); n++ {
			}
		}
	}
	f, ok := vm.ParseNumber(s[:n])
	if !ok {
		return 0, 0
	}
	return f, n
}

func hexDigit(c byte) bool {
	return isDigit(c) || c|32 >= 'a' && c|32 <= 'f'
}
