package vm

import (
	"math"

	"perilune/luart/vm/libm"
)

func openMath(m *VM) {
	lib := m.NewTable(0, 32)
	one := func(name, doc string, f func(float64) float64) Reg {
		return Reg{name, func(t *Thread) int {
			t.PushNumber(f(t.CheckNumber(1)))
			return 1
		}, doc}
	}
	two := func(name, doc string, f func(x, y float64) float64) Reg {
		return Reg{name, func(t *Thread) int {
			t.PushNumber(f(t.CheckNumber(1), t.CheckNumber(2)))
			return 1
		}, doc}
	}
	m.Register(lib, []Reg{
		one("abs", "absolute value", math.Abs),
		one("acos", "arc cosine", libm.Acos),
		one("asin", "arc sine", libm.Asin),
		one("atan", "arc tangent", libm.Atan),
		two("atan2", "arc tangent of y/x in the right quadrant", libm.Atan2),
		one("ceil", "the next integer above", math.Ceil),
		one("cos", "cosine", libm.Cos),
		one("cosh", "hyperbolic cosine", libm.Cosh),
		one("deg", "radians to degrees", func(x float64) float64 { return x * (180 / math.Pi) }),
		one("exp", "e^x", libm.Exp),
		one("floor", "the next integer below", math.Floor),
		two("fmod", "the remainder with the sign of x", math.Mod),
		{"frexp", mathFrexp, "mantissa and exponent"},
		{"ldexp", mathLdexp, "m * 2^e"},
		{"log", mathLog, "logarithm, natural or of a base"},
		one("log10", "decimal logarithm", libm.Log10),
		{"max", mathMax, "the largest argument"},
		{"min", mathMin, "the smallest argument"},
		{"modf", mathModf, "integral and fractional part"},
		two("pow", "x^y", libm.Pow),
		one("rad", "degrees to radians", func(x float64) float64 { return x * (math.Pi / 180) }),
		one("sin", "sine", libm.Sin),
		one("sinh", "hyperbolic sine", libm.Sinh),
		one("sqrt", "square root", math.Sqrt),
		one("tan", "tangent", libm.Tan),
		one("tanh", "hyperbolic tangent", libm.Tanh),
	})
	// Each VM has its generator, in the same initial state, as in LuaJIT.
	rng := &tausworthe{}
	rng.seed(0)
	m.Register(lib, []Reg{
		{"random", rng.random, "a pseudo-random number in [0,1), 1…m or m…n"},
		{"randomseed", rng.randomseed, "sets the state of the generator"},
	})
	lib.SetStr("pi", Number(math.Pi))
	lib.SetStr("huge", Number(math.Inf(1)))
	m.openLib("math", lib)
}

func mathFrexp(t *Thread) int {
	f, e := math.Frexp(t.CheckNumber(1))
	t.PushNumber(f)
	t.PushInt(e)
	return 2
}

func mathLdexp(t *Thread) int {
	x := t.CheckNumber(1)
	t.PushNumber(math.Ldexp(x, int(min(max(t.CheckNumber(2), -1<<20), 1<<20))))
	return 1
}

func mathLog(t *Thread) int {
	x := t.CheckNumber(1)
	if t.NArgs() < 2 {
		t.PushNumber(libm.Log(x))
		return 1
	}
	t.PushNumber(libm.Log2(x) * (1 / libm.Log2(t.CheckNumber(2))))
	return 1
}

func mathMax(t *Thread) int {
	x := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if y := t.CheckNumber(i); !(x > y) {
			x = y
		}
	}
	t.PushNumber(x)
	return 1
}

func mathMin(t *Thread) int {
	x := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if y := t.CheckNumber(i); !(x < y) {
			x = y
		}
	}
	t.PushNumber(x)
	return 1
}

func mathModf(t *Thread) int {
	x := t.CheckNumber(1)
	i, f := math.Trunc(x), 0.0
	if !math.IsInf(x, 0) {
		f = x - i
	}
	t.PushNumber(i)
	t.PushNumber(math.Copysign(f, x))
	return 2
}

// tausworthe is the combined generator of period 2^223 by L'Ecuyer that LuaJIT
// uses, so that seeded programs see the same numbers.
type tausworthe struct{ gen [4]uint64 }

// twParams are k, q and s of the four components.
var twParams = [4][3]uint{{63, 31, 18}, {58, 19, 28}, {55, 24, 7}, {47, 21, 8}}

func (r *tausworthe) step() (u uint64) {
	for i, p := range twParams {
		k, q, s := p[0], p[1], p[2]
		z := r.gen[i]
		z = (z<<q^z)>>(k-s) ^ z&(math.MaxUint64<<(64-k))<<s
		r.gen[i] = z
		u ^= z
	}
	return u
}

func (r *tausworthe) seed(d float64) {
	for i, p := range twParams {
		// Two steps: a fused multiply-add would give other bits.
		d = float64(d*math.Pi) + math.E
		u := math.Float64bits(d)
		if low := uint64(1) << (64 - p[0]); u < low {
			u += low
		}
		r.gen[i] = u
	}
	for range 10 {
		r.step()
	}
}

func (r *tausworthe) random(t *Thread) int {
	d := math.Float64frombits(r.step()&(1<<52-1)|0x3ff<<52) - 1
	if t.NArgs() > 0 {
		lo := t.CheckNumber(1)
		if t.NArgs() == 1 {
			d = math.Floor(float64(d*lo)) + 1
		} else {
			hi := t.CheckNumber(2)
			d = math.Floor(float64(d*(hi-lo+1))) + lo
		}
	}
	t.PushNumber(d)
	return 1
}

func (r *tausworthe) randomseed(t *Thread) int {
	r.seed(t.CheckNumber(1))
	return 0
}
