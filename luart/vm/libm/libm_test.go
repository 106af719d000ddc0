package libm

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const precision = 250

func number(x float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(x) }

func binary(op func(z, a, b *big.Float) *big.Float, a, b *big.Float) *big.Float {
	return op(new(big.Float).SetPrec(precision), a, b)
}

func mul(a, b *big.Float) *big.Float { return binary((*big.Float).Mul, a, b) }
func add(a, b *big.Float) *big.Float { return binary((*big.Float).Add, a, b) }
func sub(a, b *big.Float) *big.Float { return binary((*big.Float).Sub, a, b) }
func quo(a, b *big.Float) *big.Float { return binary((*big.Float).Quo, a, b) }

// taylor sums x^first/first! + sign·x^(first+step)/(first+step)! + …
func taylor(x *big.Float, first, step int, sign float64) *big.Float {
	term := number(1)
	if first == 1 {
		term = x
	}
	s := number(0)
	for n := first; term.Sign() != 0 && term.MantExp(nil) > -precision; n += step {
		s = add(s, term)
		for i := n + 1; i <= n+step; i++ {
			term = quo(mul(term, x), number(float64(i)))
		}
		term = mul(term, number(sign))
	}
	return s
}

func bigExp(x *big.Float) *big.Float {
	e := taylor(quo(x, number(1024)), 0, 1, 1)
	for range 10 {
		e = mul(e, e)
	}
	return e
}

// bigLog and bigAtan improve a float by Newton's method.
func bigLog(x float64) *big.Float {
	l := number(math.Log(x))
	for range 4 {
		e := bigExp(l)
		l = add(l, quo(sub(number(x), e), e))
	}
	return l
}

func bigAtan(x *big.Float) *big.Float {
	f, _ := x.Float64()
	a := number(math.Atan(f))
	for range 4 {
		s, c := taylor(a, 1, 2, -1), taylor(a, 0, 2, -1)
		a = sub(a, mul(sub(quo(s, c), x), mul(c, c)))
	}
	return a
}

// TestLastDigit compares with results of 250 bits: all are the nearest float or one
// beside it, and all but a few are the nearest.
func TestLastDigit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	wide := func() float64 { return (r.Float64() - 0.5) * math.Pow(10, float64(r.IntN(6)-3)) }
	one := func(f func(float64) float64, ref func(*big.Float) *big.Float, arg func() float64) func() (float64, *big.Float) {
		return func() (float64, *big.Float) { x := arg(); return f(x), ref(number(x)) }
	}
	sin := func(x *big.Float) *big.Float { return taylor(x, 1, 2, -1) }
	cos := func(x *big.Float) *big.Float { return taylor(x, 0, 2, -1) }
	small := func() float64 { return math.Mod(wide(), 60) }
	side := func(x *big.Float) *big.Float {
		return new(big.Float).SetPrec(precision).Sqrt(sub(number(1), mul(x, x)))
	}
	unit := func() float64 { return r.Float64()*1.98 - 0.99 }
	for name, f := range map[string]func() (float64, *big.Float){
		"exp":  one(Exp, bigExp, func() float64 { return math.Mod(wide(), 700) }),
		"log":  func() (float64, *big.Float) { x := math.Abs(wide()); return Log(x), bigLog(x) },
		"log1": func() (float64, *big.Float) { x := 1 + wide()*1e-4; return Log(x), bigLog(x) },
		"sin":  one(Sin, sin, small),
		"cos":  one(Cos, cos, small),
		"tan":  one(Tan, func(x *big.Float) *big.Float { return quo(sin(x), cos(x)) }, small),
		"atan": one(Atan, bigAtan, wide),
		"asin": one(Asin, func(x *big.Float) *big.Float { return bigAtan(quo(x, side(x))) }, unit),
		"acos": one(Acos, func(x *big.Float) *big.Float { return bigAtan(quo(side(x), x)) }, func() float64 { return math.Abs(unit()) + 0.001 }),
		"atan2": func() (float64, *big.Float) {
			y, x := wide(), math.Abs(wide())
			return Atan2(y, x), bigAtan(quo(number(y), number(x)))
		},
		"pow": func() (float64, *big.Float) {
			x := math.Abs(wide())
			y := (r.Float64() - 0.5) * 1000 / max(1, math.Abs(math.Log(x)))
			return Pow(x, y), bigExp(mul(number(y), bigLog(x)))
		},
		"power": func() (float64, *big.Float) {
			x, y := 1+(r.Float64()-0.5)*1e-6, r.Float64()*1e8
			return Pow(x, y), bigExp(mul(number(y), bigLog(x)))
		},
	} {
		const n = 300
		wrong := 0
		for range n {
			got, exact := f()
			want, _ := exact.Float64()
			if got != want {
				wrong++
				if got != math.Nextafter(want, got) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
		}
		if wrong > 3 {
			t.Errorf("%s: %d of %d are not the nearest", name, wrong, n)
		}
	}
}

func TestSpecial(t *testing.T) {
	inf, nan, zero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"exp(-inf)", Exp(-inf), 0}, {"exp(710)", Exp(710), inf}, {"exp(-746)", Exp(-746), 0}, {"exp(-745)", Exp(-745), 5e-324}, {"exp(nan)", Exp(nan), nan},
		{"log(0)", Log(0), -inf}, {"log(-1)", Log(-1), nan}, {"log(inf)", Log(inf), inf}, {"log(5e-324)", Log(5e-324), -744.4400719213812},
		{"log2(8)", Log2(8), 3}, {"log10(1000)", Log10(1000), 3}, {"log10(0.001)", Log10(0.001), -3}, {"log10(0)", Log10(0), -inf}, {"log2(0)", Log2(0), -inf},
		{"pow(0,-1)", Pow(0, -1), inf}, {"pow(-0,-1)", Pow(zero, -1), -inf}, {"pow(-2,3)", Pow(-2, 3), -8}, {"pow(-2,2)", Pow(-2, 2), 4}, {"pow(-8,1/3)", Pow(-8, 1.0/3), nan},
		{"pow(2,-1074)", Pow(2, -1074), 5e-324}, {"pow(2,1024)", Pow(2, 1024), inf}, {"pow(-2,1025)", Pow(-2, 1025), -inf}, {"pow(5,20)", Pow(5, 20), 95367431640625}, {"pow(nan,0)", Pow(nan, 0), 1},
		{"sin(-0)", 1 / Sin(zero), -inf}, {"sin(inf)", Sin(inf), nan}, {"sin(π)", Sin(math.Pi), 1.2246467991473532e-16}, {"cos(π/2)", Cos(math.Pi / 2), 6.123233995736766e-17},
		{"sin(1e300)", Sin(1e300), math.Sin(1e300)}, {"tan(π/4)", Tan(math.Pi / 4), 0.9999999999999999}, {"atan(-inf)", Atan(-inf), -math.Pi / 2}, {"atan(-0)", 1 / Atan(zero), -inf},
		{"atan2(-0,-1)", Atan2(zero, -1), -math.Pi}, {"atan2(-5e-324,-1e16)", Atan2(-5e-324, -1e16), -math.Pi}, {"atan2(1,-1)", Atan2(1, -1), 3 * math.Pi / 4}, {"atan2(inf,inf)", Atan2(inf, inf), math.Pi / 4},
		{"asin(1)", Asin(1), math.Pi / 2}, {"asin(2)", Asin(2), nan}, {"acos(1)", Acos(1), 0}, {"acos(-1)", Acos(-1), math.Pi}, {"acos(0)", Acos(0), math.Pi / 2}, {"acos(1-ulp)", Acos(1 - 1.0/(1<<53)), 1.4901161193847656e-08},
		{"sinh(-0)", 1 / Sinh(zero), -inf}, {"sinh(inf)", Sinh(inf), inf}, {"sinh(710)", Sinh(710), 1.1169973830808557e+308}, {"cosh(-inf)", Cosh(-inf), inf}, {"cosh(0)", Cosh(0), 1},
		{"tanh(-inf)", Tanh(-inf), -1}, {"tanh(30)", Tanh(30), 1}, {"tanh(-0)", 1 / Tanh(zero), -inf}, {"tanh(nan)", Tanh(nan), nan},
	} {
		if c.got != c.want && (c.got == c.got || c.want == c.want) {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}
