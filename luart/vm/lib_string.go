package vm

import (
	"math"
	"strings"
	"sync"
)

func openString(m *VM) {
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"byte", strByte, "the codes of the bytes i to j"},
		{"char", strChar, "the string of the given codes"},
		{"dump", strDump, "refused: there is no binary form of functions"},
		{"find", strFind, "where a pattern or plain text occurs, and its captures"},
		{"format", strFormat, "the arguments formatted as C's printf"},
		{"gmatch", strGmatch, "an iterator over the matches of a pattern"},
		{"gsub", strGsub, "a copy with the matches of a pattern replaced"},
		{"len", strLen, "the number of bytes"},
		{"lower", strLower, "a copy with A-Z in lower case"},
		{"match", strMatch, "the captures of the first match of a pattern"},
		{"rep", strRep, "n copies, with a separator between"},
		{"reverse", strReverse, "the bytes in reverse order"},
		{"sub", strSub, "the bytes i to j"},
		{"upper", strUpper, "a copy with a-z in upper case"},
	})
	m.openLib("string", lib)
	meta := m.NewTable(0, 1)
	meta.SetStr("__index", lib.Value())
	m.SetTypeMetatable(TypeString, meta)
}

// buffers keeps buffers for results whose size is not known before. A buffer
// belongs to one call until that returns; an error drops it.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxKeptBuffer is the size up to which a buffer is kept.
const maxKeptBuffer = 1 << 20

func putBuffer(p *[]byte, b []byte) {
	if cap(b) <= maxKeptBuffer {
		*p = b[:0]
		buffers.Put(p)
	}
}

func (t *Thread) errMemory() { t.ErrorValue(String("not enough memory"), 0) }

// checkStr is CheckString that also gives the argument as a string value.
func (t *Thread) checkStr(i int) (Value, string) {
	v := t.Arg(i)
	if v.isStr() {
		return v, v.str().s
	}
	s := t.CheckString(i)
	return String(s), s
}

// checkInt32 returns argument i as LuaJIT takes integers: what does not fit into
// 32 bits becomes the smallest one, as the x86 instruction gives it.
func (t *Thread) checkInt32(i int) int { return toInt32(t.CheckNumber(i)) }

func toInt32(f float64) int {
	if f > math.MinInt32-1.0 && f < math.MaxInt32+1.0 {
		return int(f)
	}
	return math.MinInt32
}

func (t *Thread) optInt32(i, def int) int {
	if t.Arg(i).IsNil() {
		return def
	}
	return t.checkInt32(i)
}

// sliceRange converts Lua's i and j to a Go range of a string of n bytes.
func sliceRange(i, j, n int) (from, to int) {
	if i < 0 {
		i = max(i+n+1, 1)
	} else if i == 0 {
		i = 1
	}
	if j < 0 {
		j += n + 1
	}
	j = min(j, n)
	if i > j {
		return 0, 0
	}
	return i - 1, j
}

func strLen(t *Thread) int {
	t.PushInt(len(t.CheckString(1)))
	return 1
}

func strSub(t *Thread) int {
	v, s := t.checkStr(1)
	from, to := sliceRange(t.checkInt32(2), t.optInt32(3, -1), len(s))
	if to-from == len(s) {
		t.Push(v)
	} else {
		t.Push(t.substring(s, from, to))
	}
	return 1
}

func strByte(t *Thread) int {
	s := t.CheckString(1)
	i := t.optInt32(2, 1)
	from, to := sliceRange(i, t.optInt32(3, i), len(s))
	if i == 0 && t.Arg(3).IsNil() {
		return 0
	}
	if to-from >= maxStack/4 {
		t.Errorf("string slice too long")
	}
	for k := from; k < to; k++ {
		t.PushInt(int(s[k]))
	}
	return to - from
}

func strChar(t *Thread) int {
	n := t.NArgs()
	if n == 1 {
		t.Push(byteStrings[t.checkCode(1)].value())
		return 1
	}
	if n == 0 {
		t.PushString("")
		return 1
	}
	s, buf := newStringBuf(n)
	for i := range buf {
		buf[i] = t.checkCode(i + 1)
	}
	t.Push(s.value())
	return 1
}

func (t *Thread) checkCode(i int) byte {
	c := t.CheckInt(i)
	if c != c&255 {
		t.ArgError(i, "invalid value")
	}
	return byte(c)
}

func strDump(t *Thread) int {
	t.CheckFunction(1)
	t.Errorf("unable to dump given function")
	return 0
}

// mapBytes pushes a string of the same length that fill writes.
func (t *Thread) mapBytes(fill func(dst []byte, s string)) int {
	v, s := t.checkStr(1)
	if s == "" {
		t.Push(v)
		return 1
	}
	t.chargeString(len(s))
	out, buf := newStringBuf(len(s))
	fill(buf, s)
	t.Push(out.value())
	return 1
}

func strLower(t *Thread) int {
	return t.mapBytes(func(dst []byte, s string) {
		for i := range dst {
			c := s[i]
			if c-'A' < 26 {
				c |= 0x20
			}
			dst[i] = c
		}
	})
}

func strUpper(t *Thread) int {
	return t.mapBytes(func(dst []byte, s string) {
		for i := range dst {
			c := s[i]
			if c-'a' < 26 {
				c &^= 0x20
			}
			dst[i] = c
		}
	})
}

func strReverse(t *Thread) int {
	return t.mapBytes(func(dst []byte, s string) {
		for i := range dst {
			dst[i] = s[len(s)-1-i]
		}
	})
}

func strRep(t *Thread) int {
	v, s := t.checkStr(1)
	n := t.checkInt32(2)
	sep := t.OptString(3, "")
	switch {
	case n <= 0 || len(s)+len(sep) == 0:
		t.PushString("")
		return 1
	case n == 1:
		t.Push(v)
		return 1
	case len(s)+len(sep) > maxString/n:
		t.errMemory()
	}
	total := n*len(s) + (n-1)*len(sep)
	t.chargeString(total)
	out, buf := newStringBuf(total)
	at := copy(buf, s)
	at += copy(buf[at:], sep)
	for at < total {
		at += copy(buf[at:], buf[:at])
	}
	t.Push(out.value())
	return 1
}

func strFormat(t *Thread) int {
	format := t.CheckString(1)
	var small [256]byte
	t.PushBytes(t.appendFormat(small[:0], format, 1))
	return 1
}

// startOf returns the start of a search, an index in 0…len(s).
func (t *Thread) startOf(i int, s string) int {
	init := t.optInt32(i, 1)
	if init < 0 {
		init += len(s)
	} else {
		init--
	}
	return min(max(init, 0), len(s))
}

func isPlain(pattern string) bool { return !strings.ContainsAny(pattern, "^$*+?.([%-") }

func strFind(t *Thread) int {
	s := t.CheckString(1)
	pv, p := t.checkStr(2)
	init := t.startOf(3, s)
	if t.NArgs() > 3 && t.ToBool(4) || len(p) < 16 && isPlain(p) {
		i := strings.Index(s[init:], p)
		if i < 0 {
			t.Charge((len(s) - init) >> 8)
			t.PushNil()
			return 1
		}
		t.Charge(i >> 8)
		t.PushInt(init + i + 1)
		t.PushInt(init + i + len(p))
		return 2
	}
	m := newMatcher(t, s, t.m.pattern(pv, true))
	from, to := m.find(init)
	if to < 0 {
		t.PushNil()
		return 1
	}
	t.PushInt(from + 1)
	t.PushInt(to)
	return 2 + m.pushCaptures(from, to, false)
}

func strMatch(t *Thread) int {
	s := t.CheckString(1)
	pv, _ := t.checkStr(2)
	init := t.startOf(3, s)
	m := newMatcher(t, s, t.m.pattern(pv, true))
	from, to := m.find(init)
	if to < 0 {
		t.PushNil()
		return 1
	}
	return m.pushCaptures(from, to, true)
}

// strGmatch returns gmatchNext over upvalues: string, pattern, position.
func strGmatch(t *Thread) int {
	sv, _ := t.checkStr(1)
	pv, _ := t.checkStr(2)
	t.Push(t.m.NewFunction("gmatch_iterator", gmatchNext, sv, pv, Int(0)))
	return 1
}

func gmatchNext(t *Thread) int {
	up := t.goFunction().goUp
	src := up[0].str().s
	pos := int(up[2].float())
	if pos > len(src) {
		return 0
	}
	m := newMatcher(t, src, t.m.pattern(up[1], false))
	from, to := m.find(pos)
	if to < 0 {
		up[2] = Int(len(src) + 1)
		return 0
	}
	pos = to
	if to == from {
		pos++
	}
	up[2].n = math.Float64bits(float64(pos))
	return m.pushCaptures(from, to, true)
}

func strGsub(t *Thread) int {
	sv, s := t.checkStr(1)
	pv, _ := t.checkStr(2)
	repl := t.Arg(3)
	var with string
	switch repl.Type() {
	case TypeNumber, TypeString:
		with, _ = repl.ToStringCoerced()
	case TypeTable, TypeFunction:
	default:
		t.ArgError(3, "string/function/table expected")
	}
	limit := len(s) + 1
	if !t.Arg(4).IsNil() {
		limit = int(int32(t.CheckInt(4))) // wraps, as luaL_optint
	}
	g := gsub{m: newMatcher(t, s, t.m.pattern(pv, true)), repl: repl, with: with,
		plain: strings.IndexByte(with, '%') < 0}
	n := g.run(limit)
	if g.out == nil {
		t.Push(sv)
	} else {
		t.PushBytes(g.out)
		putBuffer(g.pooled, g.out)
	}
	t.PushInt(n)
	return 2
}

// gsub is one call of string.gsub. out is nil as long as the result is the
// string itself; src[:copied] is in out.
type gsub struct {
	m      matcher
	repl   Value
	with   string
	plain  bool
	out    []byte
	pooled *[]byte
	copied int
}

func (g *gsub) run(limit int) (n int) {
	src := g.m.src
	for pos := 0; n < limit; {
		from, to := g.m.find(pos)
		if to < 0 {
			break
		}
		n++
		g.replace(from, to)
		if to > from {
			pos = to
		} else if pos = to + 1; to >= len(src) {
			break
		}
		if g.m.p.anchored {
			break
		}
	}
	if g.out != nil {
		g.add(src[g.copied:])
	}
	return n
}

func (g *gsub) add(s string) {
	g.out = append(g.m.t.grown(g.out, len(s)), s...)
}

// begin copies what was skipped before a replacement at from.
func (g *gsub) begin(from int) {
	if g.out == nil {
		g.pooled = buffers.Get().(*[]byte)
		g.out = (*g.pooled)[:0]
	}
	g.add(g.m.src[g.copied:from])
}

func (g *gsub) replace(from, to int) {
	m := &g.m
	t := m.t
	var v Value
	switch {
	case g.repl.isTab():
		v = t.Index(g.repl, m.capture(0, from, to))
	case g.repl.isFunc():
		v = g.call(from, to)
	default:
		g.begin(from)
		g.copied = to
		if g.plain {
			g.add(g.with)
		} else {
			g.expand(from, to)
		}
		return
	}
	if v.falsy() {
		return
	}
	g.begin(from)
	g.copied = to
	switch {
	case v.isStr():
		g.add(v.str().s)
	case v.isNum():
		g.out = AppendNumber(g.out, v.float())
	default:
		t.Errorf("invalid replacement value (a %s)", v.TypeName())
	}
}

func (g *gsub) call(from, to int) Value {
	m := &g.m
	if m.p.ncap <= 1 {
		if r := m.t.CallValue(g.repl, 1, m.capture(0, from, to)); len(r) > 0 {
			return r[0]
		}
		return Nil
	}
	var small [8]Value
	args := small[:0]
	for i := range m.p.ncap {
		args = append(args, m.capture(i, from, to))
	}
	if r := m.t.CallValue(g.repl, 1, args...); len(r) > 0 {
		return r[0]
	}
	return Nil
}

// expand appends the replacement string with %0 to %9 filled in.
func (g *gsub) expand(from, to int) {
	m, with := &g.m, g.with
	for {
		i := strings.IndexByte(with, '%')
		if i < 0 {
			g.add(with)
			return
		}
		g.add(with[:i])
		if i+1 == len(with) {
			g.add("\x00") // C sees the end of the string here
			return
		}
		switch c := with[i+1]; {
		case c == '0':
			g.add(m.src[from:to])
		case isDigit(c):
			g.addCapture(int(c-'1'), from, to)
		default:
			g.add(with[i+1 : i+2])
		}
		with = with[i+2:]
	}
}

func (g *gsub) addCapture(n, from, to int) {
	m := &g.m
	if n < m.p.ncap && m.p.open>>n&1 == 0 && m.to[n] >= 0 {
		g.add(m.src[m.from[n]:m.to[n]])
		return
	}
	if n == 0 && m.p.ncap == 0 {
		g.add(m.src[from:to])
		return
	}
	v := m.capture(n, from, to)
	g.out = AppendNumber(g.out, v.float())
}
