package libm

import "math"

// steps is the size of the tables of exp and log, for a factor of two.
const steps = 128

var (
	powers     [steps]dd      // 2^(i/steps)
	inverses   [steps]float64 // of z in the middle of the step, with few bits
	logarithms [steps]dd      // -log(inverses)
)

func init() {
	root := dd{2, 0}
	for n := 1; n < steps; n *= 2 {
		root = root.sqrt()
	}
	powers[0] = dd{1, 0}
	for i := 1; i < steps; i++ {
		powers[i] = powers[i-1].mul(root)
	}
	for i := range inverses {
		z := math.Sqrt2/2 + (float64(i)+0.5)*(math.Sqrt2/2/steps)
		inverses[i] = math.Round(256/z) / 256
		// log(v) = 2·artanh((v-1)/(v+1))
		t := dd{inverses[i] - 1, 0}.div(dd{inverses[i] + 1, 0})
		l := t.mul(series(t.mul(t), 24, false, func(i int) float64 { return float64(2*i + 1) }))
		logarithms[i] = dd{-2 * l.hi, -2 * l.lo}
	}
}

// The step of exp, and ln 2, in two parts of which the first has few bits.
const (
	stepHi = 0x1.62e42fef80000p-8
	stepLo = 0x1.1cf79abc9e3b4p-43
	ln2Hi  = 0x1.62e42fefa3000p-1
	ln2Lo  = 0x1.3de6af278ece6p-42
)

// Exp returns e^x.
func Exp(x float64) float64 {
	if x != x {
		return x
	}
	return exp(x, 0)
}

// exp returns e^(hi+lo), where lo is small beside hi.
func exp(hi, lo float64) float64 {
	switch {
	case hi > 710:
		return math.Inf(1)
	case hi < -746:
		return 0
	}
	k := math.RoundToEven(hi * (steps / math.Ln2))
	// hi - k·stepHi is exact.
	r, e := sum(hi-k*stepHi, -k*stepLo)
	e += lo
	t := powers[int(k)&(steps-1)]
	p := e*(1+r) + r*r*(1.0/2+r*(1.0/6+r*(1.0/24+r*(1.0/120+r*(1.0/720)))))
	m, me := product(t.hi, r)
	s, se := quickSum(t.hi, m)
	tail := se + (me + (t.hi*p + t.lo*(1+r)))
	n := (int(k) - int(k)&(steps-1)) / steps
	if n > -1021 && n < 1023 {
		return (s + tail) * math.Float64frombits(uint64(n+1023)<<52)
	}
	return math.Ldexp(s+tail, n)
}

// log returns the logarithm of a positive finite number.
func log(x float64) dd {
	z, n := math.Frexp(x)
	if z < math.Sqrt2/2 {
		z *= 2
		n--
	}
	var r, re float64
	var c dd
	if d := z - 1; d < 1.0/128 && d > -1.0/128 {
		r = d
	} else {
		i := min(int((z-math.Sqrt2/2)*(steps/(math.Sqrt2/2))), steps-1)
		p, pe := product(z, inverses[i])
		r, re = quickSum(p-1, pe)
		c = logarithms[i]
	}
	// log(1+r) = r - r²/2 + r³/3 - …
	q, qe := product(r, r)
	s, se := quickSum(r, -q/2)
	tail := se - qe/2 + re - r*re + q*r*(1.0/3-r*(1.0/4-r*(1.0/5-r*(1.0/6-r*(1.0/7-r*(1.0/8-r*(1.0/9)))))))
	if c.hi == 0 && n == 0 {
		h, l := quickSum(s, tail)
		return dd{h, l}
	}
	// n·ln2, whose first part is exact.
	k := float64(n)
	m, me := product(k, ln2Lo)
	a, ae := sum(k*ln2Hi, c.hi)
	a, be := sum(a, s)
	a, ce := sum(a, m)
	h, l := quickSum(a, ae+be+ce+me+c.lo+tail)
	return dd{h, l}
}

// Log returns the natural logarithm of x.
func Log(x float64) float64 {
	if x <= 0 || math.IsInf(x, 1) || x != x {
		return math.Log(x)
	}
	return log(x).hi
}

// Log2 returns the binary logarithm of x.
func Log2(x float64) float64 {
	if x <= 0 || math.IsInf(x, 1) || x != x {
		return math.Log2(x)
	}
	return log(x).mul(dd{0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56}).hi
}

// Pow returns x^y.
func Pow(x, y float64) float64 {
	if x == 0 || x == 1 || y == 0 || x-x != 0 || y-y != 0 || x < 0 && y != math.Trunc(y) {
		return math.Pow(x, y)
	}
	negative := x < 0 && math.Abs(y) < 1<<53 && int64(y)&1 != 0
	l := log(math.Abs(x))
	p, e := product(y, l.hi)
	var f float64
	switch {
	case p > 710:
		f = math.Inf(1)
	case p < -746:
		f = 0
	default:
		f = exp(p, e+y*l.lo)
	}
	if negative {
		return -f
	}
	return f
}

// Log10 returns the decimal logarithm of x, by the formula of most C libraries, of
// whose digits the last is not always right.
func Log10(x float64) float64 {
	if x <= 0 || math.IsInf(x, 1) || x != x {
		return math.Log10(x)
	}
	const (
		log10Of2Hi = 3.01029995663611771306e-01
		log10Of2Lo = 3.69423907715893078616e-13
	)
	z, n := math.Frexp(x) // z in [½, 1)
	z, n = z*2, n-1
	if n < 0 {
		z, n = z/2, n+1
	}
	k := float64(n)
	return (k*log10Of2Lo + (1/math.Ln10)*Log(z)) + k*log10Of2Hi
}

// Sinh returns the hyperbolic sine of x.
func Sinh(x float64) float64 {
	a := math.Abs(x)
	h := math.Copysign(0.5, x)
	switch {
	case a < 1.0/(1<<28) || x-x != 0:
		return x
	case a < 1:
		t := math.Expm1(a)
		return h * (2*t - t*t/(t+1))
	case a < 22:
		t := math.Expm1(a)
		return h * (t + t/(t+1))
	case a < 709.78:
		return h * Exp(a)
	}
	w := Exp(a / 2)
	return h * w * w
}

// Cosh returns the hyperbolic cosine of x.
func Cosh(x float64) float64 {
	a := math.Abs(x)
	switch {
	case x-x != 0:
		return x * x
	case a < math.Ln2/2:
		t := math.Expm1(a)
		return 1 + t*t/(2*(1+t))
	case a < 22:
		t := Exp(a)
		return t/2 + 0.5/t
	case a < 709.78:
		return Exp(a) / 2
	}
	w := Exp(a / 2)
	return w / 2 * w
}

// Tanh returns the hyperbolic tangent of x.
func Tanh(x float64) float64 {
	a := math.Abs(x)
	z := 1.0
	switch {
	case x != x:
		return x
	case a < 1.0/(1<<55):
		return x
	case a >= 22:
	case a >= 1:
		z = 1 - 2/(math.Expm1(2*a)+2)
	default:
		t := math.Expm1(-2 * a)
		z = -t / (t + 2)
	}
	return math.Copysign(z, x)
}
