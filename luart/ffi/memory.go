package ffi

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"unsafe"
)

// block is a piece of C memory.
type block struct {
	b        []byte
	readOnly bool
	text     bool   // of a Lua string: a zero follows
	address  uint64 // of text, once it was asked for
	ptrs     map[int]pointer
	data     any // of Opaque
}

// pointer is an address: an offset in a block, or a bare number that cannot be
// followed. The zero pointer is NULL.
type pointer struct {
	mem *block
	off int
}

// textBlock is the memory of a Lua string.
func textBlock(s string) *block {
	return &block{b: unsafe.Slice(unsafe.StringData(s), len(s)), readOnly: true, text: true}
}

var emptyCell [1]byte

var textSeed = maphash.MakeSeed()

// base is the address of the first byte. Programs hash strings by their addresses,
// which in LuaJIT are the same for equal strings: here what stands for the address
// of text is made of the bytes.
func (m *block) base() uint64 {
	if m.text {
		if m.address == 0 {
			m.address = 0x600000000000 | maphash.Bytes(textSeed, m.b)&0x0ffffffffff8
		}
		return m.address
	}
	p := unsafe.SliceData(m.b)
	if p == nil {
		p = &emptyCell[0]
	}
	return uint64(uintptr(unsafe.Pointer(p)))
}

func (p pointer) addr() uint64 {
	if p.mem == nil {
		return uint64(p.off)
	}
	return p.mem.base() + uint64(p.off)
}

func (p pointer) add(n int) pointer { return pointer{p.mem, p.off + n} }

var zeroByte [1]byte

// at returns n bytes to be read, nil if they are not all there.
func (p pointer) at(n int) []byte {
	if p.mem == nil || p.off < 0 || n < 0 {
		return nil
	}
	b := p.mem.b
	if p.off <= len(b) && n <= len(b)-p.off {
		if n == 0 {
			return zeroByte[:0]
		}
		return b[p.off : p.off+n : p.off+n]
	}
	if p.mem.text && p.off <= len(b) && n == len(b)-p.off+1 {
		if n == 1 {
			return zeroByte[:]
		}
		// The zero of a string is part of what is read: a copy has room for it.
		return append(append(make([]byte, 0, n), b[p.off:]...), 0)
	}
	return nil
}

// rest returns all there is from p on.
func (p pointer) rest() []byte {
	if p.mem == nil || p.off < 0 || p.off > len(p.mem.b) {
		return nil
	}
	return p.mem.b[p.off:]
}

func getInt(b []byte, unsigned bool) uint64 {
	switch len(b) {
	case 1:
		if unsigned {
			return uint64(b[0])
		}
		return uint64(int8(b[0]))
	case 2:
		u := binary.LittleEndian.Uint16(b)
		if unsigned {
			return uint64(u)
		}
		return uint64(int16(u))
	case 4:
		u := binary.LittleEndian.Uint32(b)
		if unsigned {
			return uint64(u)
		}
		return uint64(int32(u))
	}
	return binary.LittleEndian.Uint64(b)
}

func putInt(b []byte, u uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(u)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(u))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(u))
	default:
		binary.LittleEndian.PutUint64(b, u)
	}
}

func getFloat(b []byte) float64 {
	if len(b) == 4 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func putFloat(b []byte, f float64) {
	if len(b) == 4 {
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(f)))
		return
	}
	binary.LittleEndian.PutUint64(b, math.Float64bits(f))
}

// pointerAt reads the pointer that is stored at p, of which b are the bytes.
func (p pointer) pointerAt(b []byte) pointer {
	u := binary.LittleEndian.Uint64(b)
	if q, ok := p.mem.ptrs[p.off]; ok && q.addr() == u {
		return q
	}
	return pointer{off: int(u)}
}

// putPointer stores q at p, whose bytes are b.
func (p pointer) putPointer(b []byte, q pointer) {
	binary.LittleEndian.PutUint64(b, q.addr())
	if q.mem == nil {
		delete(p.mem.ptrs, p.off)
		return
	}
	if p.mem.ptrs == nil {
		p.mem.ptrs = make(map[int]pointer)
	}
	p.mem.ptrs[p.off] = q
}

// movePointers makes the pointers in n bytes at dst those that are in the bytes at
// src, which have been copied there. The ranges may overlap.
func movePointers(dst, src pointer, n int) {
	var moved map[int]pointer
	for off, q := range src.mem.ptrs {
		if off >= src.off && off+8 <= src.off+n {
			if moved == nil {
				moved = make(map[int]pointer)
			}
			moved[off-src.off+dst.off] = q
		}
	}
	for off := range dst.mem.ptrs {
		if off > dst.off-8 && off < dst.off+n {
			delete(dst.mem.ptrs, off)
		}
	}
	if moved != nil && dst.mem.ptrs == nil {
		dst.mem.ptrs = make(map[int]pointer)
	}
	for off, q := range moved {
		dst.mem.ptrs[off] = q
	}
}
