package vm

import (
	"encoding/binary"
	"math"
)

// Tags of LuaJIT's serialization format; strings have a tag of their length
// plus serialString.
const (
	serialNil      = 0x00
	serialFalse    = 0x01
	serialTrue     = 0x02
	serialNull     = 0x03
	serialLight32  = 0x04
	serialLight64  = 0x05
	serialInt      = 0x06
	serialNum      = 0x07
	serialTable    = 0x08 // + 1: hash part, + 2: array from 0, + 4: array from 1
	serialTableMax = 0x0d
	serialMeta     = 0x0e
	serialDictStr  = 0x0f
	serialInt64    = 0x10
	serialUint64   = 0x11
	serialComplex  = 0x12
	serialString   = 0x20
)

// maxSerialDepth limits the nesting of tables.
const maxSerialDepth = 100

// serialDict has the strings and metatables that are encoded as indexes.
type serialDict struct {
	strs      []Value
	strIndex  map[string]int
	metas     []*Table
	metaIndex map[*Table]int
}

func (t *Thread) newSerialDict(options *Table) *serialDict {
	d := &serialDict{strIndex: map[string]int{}, metaIndex: map[*Table]int{}}
	list := func(name string) *Table {
		v := options.GetStr(name)
		tbl, ok := v.AsTable()
		if !ok && !v.IsNil() {
			t.Errorf("bad options table")
		}
		return tbl
	}
	if strs := list("dict"); strs != nil {
		for i := 1; i <= strs.Len(); i++ {
			v := strs.GetInt(i)
			d.strs = append(d.strs, v)
			if s, ok := v.AsString(); ok {
				d.strIndex[s] = i - 1
			} else if v != False {
				t.Errorf("bad options table")
			}
		}
	}
	if metas := list("metatable"); metas != nil {
		for i := 1; i <= metas.Len(); i++ {
			mt, ok := metas.GetInt(i).AsTable()
			d.metas = append(d.metas, mt)
			if ok {
				d.metaIndex[mt] = i - 1
			} else if metas.GetInt(i) != False {
				t.Errorf("bad options table")
			}
		}
	}
	return d
}

type encoder struct {
	t    *Thread
	dict *serialDict
	out  []byte
}

func (e *encoder) size(n int) {
	switch {
	case n < 0xe0:
		e.out = append(e.out, byte(n))
	case n < 0x1fe0:
		n -= 0xe0
		e.out = append(e.out, 0xe0|byte(n>>8), byte(n))
	default:
		e.out = binary.LittleEndian.AppendUint32(append(e.out, 0xff), uint32(n))
	}
}

func (e *encoder) bits(tag byte, u uint64) {
	e.out = binary.LittleEndian.AppendUint64(append(e.out, tag), u)
}

func (e *encoder) str(s string) {
	e.size(len(s) + serialString)
	e.out = append(e.t.grown(e.out, len(s)), s...)
}

func (e *encoder) value(v Value, depth int) {
	switch v.Type() {
	case TypeNil:
		e.out = append(e.out, serialNil)
	case TypeBoolean:
		if v == True {
			e.out = append(e.out, serialTrue)
		} else {
			e.out = append(e.out, serialFalse)
		}
	case TypeNumber:
		u := v.n
		if f := v.float(); f != f {
			u |= 1 << 63 // the sign of x86's default NaN
		}
		e.bits(serialNum, u)
	case TypeString:
		e.str(v.str().s)
	case TypeTable:
		e.table(v.tab(), depth)
	case TypeLightUserdata:
		switch id, _ := v.AsLightUserdata(); {
		case id == 0:
			e.out = append(e.out, serialNull)
		case uint64(id) <= math.MaxUint32:
			e.out = binary.LittleEndian.AppendUint32(append(e.out, serialLight32), uint32(id))
		default:
			e.bits(serialLight64, uint64(id))
		}
	case TypeCData:
		switch c := v.cdata(); c.Kind {
		case CInt64:
			e.bits(serialInt64, c.Bits)
		case CUint64:
			e.bits(serialUint64, c.Bits)
		case CForeign:
			e.t.Errorf("cannot serialize '%s'", c.typeName())
		default:
			e.bits(serialComplex, math.Float64bits(c.Re))
			e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(c.Im))
		}
	default:
		e.t.Errorf("cannot serialize '%s'", v.TypeName())
	}
}

func (e *encoder) table(tbl *Table, depth int) {
	if depth >= maxSerialDepth {
		e.t.Errorf("too deep to serialize")
	}
	if e.dict != nil && tbl.Metatable() != nil {
		if i, ok := e.dict.metaIndex[tbl.Metatable()]; ok {
			e.out = append(e.out, serialMeta)
			e.size(i)
		}
	}
	n, nhash := tbl.Len(), 0
	inArray := func(k Value) bool {
		i := arrayIndex(k)
		return k.isNum() && i >= 1 && i <= n
	}
	e.t.eachPair(tbl, func(k, _ Value) bool {
		if !inArray(k) {
			nhash++
		}
		return true
	})
	tag := byte(serialTable)
	if nhash > 0 {
		tag++
	}
	if n > 0 {
		tag += 4
	}
	e.out = append(e.out, tag)
	if n > 0 {
		e.size(n + 1)
	}
	if nhash > 0 {
		e.size(nhash)
	}
	for i := 1; i <= n; i++ {
		e.value(tbl.GetInt(i), depth+1)
	}
	if nhash == 0 {
		return
	}
	e.t.eachPair(tbl, func(k, v Value) bool {
		if !inArray(k) {
			e.key(k, depth+1)
			e.value(v, depth+1)
		}
		return true
	})
}

func (e *encoder) key(k Value, depth int) {
	if s, ok := k.AsString(); ok && e.dict != nil {
		if i, ok := e.dict.strIndex[s]; ok {
			e.out = append(e.out, serialDictStr)
			e.size(i)
			return
		}
	}
	e.value(k, depth)
}

type decoder struct {
	t    *Thread
	dict *serialDict
	in   string
	pos  int
}

// take returns the next n bytes.
func (d *decoder) take(n int) string {
	if n > len(d.in)-d.pos {
		d.t.Errorf("unexpected end of buffer")
	}
	d.pos += n
	return d.in[d.pos-n : d.pos]
}

func (d *decoder) uint32() uint32 {
	s := d.take(4)
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func (d *decoder) uint64() uint64 { return uint64(d.uint32()) | uint64(d.uint32())<<32 }

func (d *decoder) size() int {
	switch c := d.take(1)[0]; {
	case c < 0xe0:
		return int(c)
	case c == 0xff:
		return int(d.uint32())
	default:
		return 0xe0 + int(c&0x1f)<<8 + int(d.take(1)[0])
	}
}

func (d *decoder) value(depth int) Value {
	start := d.pos
	tag := d.size()
	if tag >= serialString {
		s := d.take(tag - serialString)
		return copyString(s)
	}
	switch tag {
	case serialNil:
		return Nil
	case serialFalse:
		return False
	case serialTrue:
		return True
	case serialNull:
		return LightUserdata(0)
	case serialLight32:
		return LightUserdata(uintptr(d.uint32()))
	case serialLight64:
		return LightUserdata(uintptr(d.uint64()))
	case serialInt:
		return Int(int(int32(d.uint32())))
	case serialNum:
		return Number(math.Float64frombits(d.uint64()))
	case serialInt64:
		return Int64(int64(d.uint64()))
	case serialUint64:
		return Uint64(d.uint64())
	case serialComplex:
		c := &CData{Kind: CComplex, Re: math.Float64frombits(d.uint64())}
		c.Im = math.Float64frombits(d.uint64())
		return c.Value()
	case serialDictStr:
		i := d.size()
		if d.dict == nil || i >= len(d.dict.strs) || d.dict.strs[i] == False {
			d.t.Errorf("cannot deserialize dictionary index %d", i+1)
		}
		return d.dict.strs[i]
	case serialMeta:
		i := d.size()
		if d.dict == nil || i >= len(d.dict.metas) || d.dict.metas[i] == nil {
			d.t.Errorf("cannot deserialize dictionary index %d", i+1)
		}
		start = d.pos
		if tag = d.size(); tag >= serialTable && tag <= serialTableMax && tag != serialTable+6 {
			tbl := d.table(tag, depth)
			tbl.SetMetatable(d.dict.metas[i])
			return tbl.Value()
		}
	default:
		if tag >= serialTable && tag <= serialTableMax {
			return d.table(tag, depth).Value()
		}
	}
	d.t.Errorf("cannot deserialize tag 0x%02x", d.in[start])
	return Nil
}

func (d *decoder) table(tag, depth int) *Table {
	if depth >= maxSerialDepth {
		d.t.Errorf("too deep to serialize")
	}
	kind := tag - serialTable
	n, first, nhash := 0, 0, 0
	if kind >= 2 {
		n = d.size()
	}
	if kind >= 4 {
		first = 1
	}
	if kind&1 != 0 {
		nhash = d.size()
	}
	// Each entry takes at least one byte: no memory for sizes that lie.
	if n-first+2*nhash > len(d.in)-d.pos {
		d.t.Errorf("unexpected end of buffer")
	}
	tbl := d.t.m.NewTable(max(n-first, 0), nhash)
	for i := first; i < n; i++ {
		tbl.SetInt(i, d.value(depth+1))
	}
	for range nhash {
		k := d.value(depth + 1)
		if !tbl.Get(k).IsNil() {
			d.t.Errorf("duplicate table key")
		}
		if err := tbl.Set(k, d.value(depth+1)); err != nil {
			d.t.Errorf("%s", err)
		}
	}
	return tbl
}
