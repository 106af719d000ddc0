package vm

import (
	"unsafe"
)

// strBuffer is the object of string.buffer: bytes go in at the end and come out
// at the front.
type strBuffer struct {
	b        []byte
	off      int  // b[:off] is consumed
	borrowed bool // b is a view of a string: copy before writing
	dict     *serialDict
}

func (s *strBuffer) bytes() []byte { return s.b[s.off:] }

// own prepares for appending.
func (s *strBuffer) own() {
	switch {
	case s.borrowed:
		s.b, s.off, s.borrowed = append([]byte(nil), s.b[s.off:]...), 0, false
	case s.off == len(s.b):
		s.b, s.off = s.b[:0], 0
	case s.off > 4096 && s.off > len(s.b)/2:
		s.b, s.off = s.b[:copy(s.b, s.b[s.off:])], 0
	}
}

func (s *strBuffer) reset() {
	if s.borrowed {
		s.b, s.borrowed = nil, false
	}
	s.b, s.off = s.b[:0], 0
}

func (s *strBuffer) skip(n int) { s.off += min(n, len(s.b)-s.off) }

// set makes the buffer a view of v.
func (s *strBuffer) set(v string) {
	s.b, s.off, s.borrowed = unsafe.Slice(unsafe.StringData(v), len(v)), 0, true
}

func openBuffer(m *VM) {
	m.preload("string.buffer", func(t *Thread) Value { return bufferModule(t.m).Value() })
}

func bufferModule(m *VM) *Table {
	meta := m.NewTable(0, 20)
	m.Register(meta, []Reg{
		{"put", bufPut, "appends strings, numbers and objects with __tostring"},
		{"putf", bufPutf, "appends formatted arguments"},
		{"get", bufGet, "consumes and returns the first bytes"},
		{"skip", bufSkip, "consumes bytes"},
		{"set", bufSet, "replaces the contents"},
		{"reset", bufReset, "empties the buffer"},
		{"free", bufFree, "empties the buffer and gives its memory back"},
		{"tostring", bufTostring, "the contents"},
		{"encode", bufEncode, "appends a serialized value"},
		{"decode", bufDecode, "consumes a serialized value and returns it"},
		{"putcdata", bufNeedsFFI, "needs ffi"},
		{"reserve", bufNeedsFFI, "needs ffi"},
		{"commit", bufNeedsFFI, "needs ffi"},
		{"ref", bufNeedsFFI, "needs ffi"},
		{"__tostring", bufTostring, ""},
		{"__len", bufLen, ""},
		{"__concat", bufConcat, ""},
	})
	meta.SetStr("__index", meta.Value())
	meta.SetStr("__metatable", String("buffer"))
	lib := m.NewTable(0, 4)
	m.Register(lib, []Reg{
		{"encode", libEncode, "a value as a string"},
		{"decode", libDecode, "the value of an encoded string"},
		{"new", func(t *Thread) int { return bufNew(t, meta) }, "a new buffer"},
	})
	return lib
}

func bufNew(t *Thread, meta *Table) int {
	b := &strBuffer{}
	arg := 1
	if !t.Arg(1).IsTable() && !t.Arg(1).IsNil() {
		n := t.checkInt32(1)
		if n < 0 || n > maxString {
			t.ArgError(1, "number out of range")
		}
		b.b = make([]byte, 0, min(n, 1<<20))
		arg = 2
	}
	if !t.Arg(arg).IsNil() {
		b.dict = t.newSerialDict(t.CheckTable(arg))
	}
	t.Push(t.m.NewUserdata(b, meta).Value())
	return 1
}

func (t *Thread) checkBuffer() *strBuffer {
	if u, ok := t.Arg(1).AsUserdata(); ok {
		if b, ok := u.Data.(*strBuffer); ok {
			return b
		}
	}
	t.TypeError(1, "buffer")
	return nil
}

// self pushes the buffer, the result of most methods.
func (t *Thread) self() int {
	t.Push(t.Arg(1))
	return 1
}

func bufPut(t *Thread) int {
	b := t.checkBuffer()
	b.own()
	for i := 2; i <= t.NArgs(); i++ {
		v := t.Arg(i)
		switch {
		case v.isStr():
			b.b = append(t.grown(b.b, len(v.str().s)), v.str().s...)
		case v.isNum():
			b.b = AppendNumber(b.b, v.float())
		default:
			if u, ok := v.AsUserdata(); ok {
				if o, ok := u.Data.(*strBuffer); ok {
					if o == b {
						t.ArgError(i, "cannot put buffer into itself")
					}
					b.b = append(t.grown(b.b, len(o.bytes())), o.bytes()...)
					continue
				}
			}
			if t.Metafield(v, "__tostring").IsNil() {
				t.TypeError(i, "string/number/__tostring")
			}
			s := t.ToString(v)
			b.own()
			b.b = append(t.grown(b.b, len(s)), s...)
		}
	}
	return t.self()
}

func bufPutf(t *Thread) int {
	b := t.checkBuffer()
	format := t.CheckString(2)
	pooled := buffers.Get().(*[]byte)
	text := t.appendFormat((*pooled)[:0], format, 2)
	b.own()
	b.b = append(t.grown(b.b, len(text)), text...)
	putBuffer(pooled, text)
	return t.self()
}

func (t *Thread) checkSize(i int) int {
	n := t.checkInt32(i)
	if n < 0 {
		t.ArgError(i, "number out of range")
	}
	return n
}

func bufGet(t *Thread) int {
	b := t.checkBuffer()
	n := max(t.NArgs(), 2)
	for i := 2; i <= n; i++ {
		part := b.bytes()
		if !t.Arg(i).IsNil() {
			part = part[:min(t.checkSize(i), len(part))]
		}
		t.PushBytes(part)
		b.skip(len(part))
	}
	return n - 1
}

func bufSkip(t *Thread) int {
	b := t.checkBuffer()
	b.skip(t.checkSize(2))
	return t.self()
}

func bufSet(t *Thread) int {
	b := t.checkBuffer()
	if !t.Arg(2).isStr() {
		t.TypeError(2, "string")
	}
	b.set(t.Arg(2).str().s)
	return t.self()
}

func bufReset(t *Thread) int {
	t.checkBuffer().reset()
	return t.self()
}

func bufFree(t *Thread) int {
	b := t.checkBuffer()
	b.b, b.off, b.borrowed = nil, 0, false
	return t.self()
}

func bufTostring(t *Thread) int {
	t.PushBytes(t.checkBuffer().bytes())
	return 1
}

func bufLen(t *Thread) int {
	t.PushInt(len(t.checkBuffer().bytes()))
	return 1
}

func bufConcat(t *Thread) int {
	var out []byte
	for i := 1; i <= 2; i++ {
		v := t.Arg(i)
		if u, ok := v.AsUserdata(); ok {
			if b, ok := u.Data.(*strBuffer); ok {
				out = append(t.grown(out, len(b.bytes())), b.bytes()...)
				continue
			}
		}
		s := t.CheckString(i)
		out = append(t.grown(out, len(s)), s...)
	}
	t.PushBytes(out)
	return 1
}

func bufNeedsFFI(t *Thread) int {
	t.checkBuffer()
	t.Errorf("this method of string.buffer needs the FFI library, which has no access to it")
	return 0
}

func libEncode(t *Thread) int {
	e := encoder{t: t}
	e.value(t.CheckAny(1), 0)
	t.PushBytes(e.out)
	return 1
}

func bufEncode(t *Thread) int {
	b := t.checkBuffer()
	e := encoder{t: t, dict: b.dict}
	e.value(t.CheckAny(2), 0)
	b.own()
	b.b = append(t.grown(b.b, len(e.out)), e.out...)
	return t.self()
}

func libDecode(t *Thread) int {
	v := t.Arg(1)
	if !v.isStr() {
		t.TypeError(1, "string")
	}
	d := decoder{t: t, in: v.str().s}
	r := d.value(0)
	if d.pos != len(d.in) {
		t.Errorf("left-over data in buffer")
	}
	t.Push(r)
	return 1
}

func bufDecode(t *Thread) int {
	b := t.checkBuffer()
	d := decoder{t: t, in: string(b.bytes()), dict: b.dict}
	t.Push(d.value(0))
	b.skip(d.pos)
	return 1
}
