package vm

import (
	"math"
	"math/bits"
)

func openBit(m *VM) {
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"tobit", bitTobit, "the number as a signed 32-bit integer"},
		{"tohex", bitTohex, "the hexadecimal digits"},
		bitUnary("bnot", "inverts the bits", func(u uint32) uint32 { return ^u }, func(u uint64) uint64 { return ^u }),
		bitUnary("bswap", "reverses the bytes", bits.ReverseBytes32, bits.ReverseBytes64),
		bitFold("band", "and", func(a, b uint64) uint64 { return a & b }),
		bitFold("bor", "or", func(a, b uint64) uint64 { return a | b }),
		bitFold("bxor", "exclusive or", func(a, b uint64) uint64 { return a ^ b }),
		bitShift("lshift", "shifts left", func(u uint32, n int) uint32 { return u << n }, func(u uint64, n int) uint64 { return u << n }),
		bitShift("rshift", "shifts right, zeros come in", func(u uint32, n int) uint32 { return u >> n }, func(u uint64, n int) uint64 { return u >> n }),
		bitShift("arshift", "shifts right, the sign comes in", func(u uint32, n int) uint32 { return uint32(int32(u) >> n) },
			func(u uint64, n int) uint64 { return uint64(int64(u) >> n) }),
		bitShift("rol", "rotates left", bits.RotateLeft32, bits.RotateLeft64),
		bitShift("ror", "rotates right", func(u uint32, n int) uint32 { return bits.RotateLeft32(u, -n) },
			func(u uint64, n int) uint64 { return bits.RotateLeft64(u, -n) }),
	})
	m.openLib("bit", lib)
}

// toBit converts as LuaJIT does: the addition leaves the integer, rounded and
// modulo 2^32, in the low bits.
func toBit(f float64) uint32 { return uint32(math.Float64bits(f + (1<<52 + 1<<51))) }

// checkBit32 returns argument i as 32 bits.
func (t *Thread) checkBit32(i int) uint32 {
	if c := t.boxed(i); c != nil {
		return uint32(c.Bits)
	}
	return toBit(t.CheckNumber(i))
}

// boxed returns argument i if it is a 64-bit integer.
func (t *Thread) boxed(i int) *CData {
	c, ok := t.Arg(i).AsCData()
	if !ok || c.Kind < CComplex {
		return c
	}
	if bits, kind, ok := c.Integer(); ok {
		return &CData{Kind: kind, Bits: bits}
	}
	return nil
}

// checkBit64 returns argument i as 64 bits.
func (t *Thread) checkBit64(i int) uint64 {
	if c := t.boxed(i); c != nil {
		return c.Bits
	}
	return floatToUint(t.CheckNumber(i))
}

func (t *Thread) pushBit32(u uint32) int {
	t.PushInt(int(int32(u)))
	return 1
}

func (t *Thread) pushBit64(kind CKind, u uint64) int {
	t.Push((&CData{Kind: kind, Bits: u}).Value())
	return 1
}

func bitTobit(t *Thread) int { return t.pushBit32(t.checkBit32(1)) }

func bitTohex(t *Thread) int {
	digits, u := 8, uint64(0)
	if c := t.boxed(1); c != nil {
		digits, u = 16, c.Bits
	} else {
		u = uint64(t.checkBit32(1))
	}
	hex := "0123456789abcdef"
	n := digits
	if t.NArgs() > 1 {
		n = int(int32(t.checkBit32(2)))
	}
	if n < 0 {
		n = -n
		hex = "0123456789ABCDEF"
	}
	var buf [254]byte
	if n < 0 || n > len(buf) {
		n = len(buf)
	}
	for i := n - 1; i >= 0; i-- {
		buf[i] = hex[u&15]
		u >>= 4
	}
	t.PushBytes(buf[:n])
	return 1
}

func bitUnary(name, doc string, f32 func(uint32) uint32, f64 func(uint64) uint64) Reg {
	return Reg{name, func(t *Thread) int {
		if c := t.boxed(1); c != nil {
			return t.pushBit64(c.Kind, f64(c.Bits))
		}
		return t.pushBit32(f32(t.checkBit32(1)))
	}, doc}
}

func bitFold(name, doc string, f func(a, b uint64) uint64) Reg {
	return Reg{name, func(t *Thread) int {
		kind, wide := CInt64, false
		for i := 1; i <= t.NArgs(); i++ {
			if c := t.boxed(i); c != nil {
				wide = true
				kind = max(kind, c.Kind)
			}
		}
		if wide {
			u := t.checkBit64(1)
			for i := 2; i <= t.NArgs(); i++ {
				u = f(u, t.checkBit64(i))
			}
			return t.pushBit64(kind, u)
		}
		u := t.checkBit32(1)
		for i := 2; i <= t.NArgs(); i++ {
			u = uint32(f(uint64(u), uint64(t.checkBit32(i))))
		}
		return t.pushBit32(u)
	}, doc}
}

func bitShift(name, doc string, f32 func(uint32, int) uint32, f64 func(uint64, int) uint64) Reg {
	return Reg{name, func(t *Thread) int {
		if c := t.boxed(1); c != nil {
			return t.pushBit64(c.Kind, f64(c.Bits, int(t.checkBit32(2)&63)))
		}
		u := t.checkBit32(1)
		return t.pushBit32(f32(u, int(t.checkBit32(2)&31)))
	}, doc}
}
