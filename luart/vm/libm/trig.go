package libm

import "math"

const (
	halfTurn = 128 // steps of the table of sines, for π
	maxTurns = 1 << 20
)

var (
	sines [halfTurn/2 + 1]dd // sin(i·π/halfTurn)
	atans [65]dd             // atan(i/64)
)

func init() {
	fact := func(i int) float64 {
		f := 1.0
		for j := 2; j <= 2*i+1; j++ {
			f *= float64(j)
		}
		return f
	}
	for i := range sines {
		x := pi.mul(dd{float64(i) / halfTurn, 0})
		sines[i] = x.mul(series(x.mul(x), 14, true, fact))
	}
	for i := 1; i < len(atans); i++ {
		c, d := float64(i)/64, float64(i-1)/64
		t := dd{1.0 / 64, 0}.div(dd{1, 0}.add(dd{c * d, 0}))
		atans[i] = atans[i-1].add(t.mul(series(t.mul(t), 10, true, func(i int) float64 { return float64(2*i + 1) })))
	}
}

// π/halfTurn in three parts, of which the first two have few bits.
const (
	arcHi  = 0x1.921fb54000000p-6
	arcMid = 0x1.10b4600000000p-36
	arcLo  = 0x1.1a62633145c07p-60
)

// reduce returns x - k·π/halfTurn and k.
func reduce(x float64) (r dd, k int) {
	f := math.RoundToEven(x * (halfTurn / math.Pi))
	// The first product and difference are exact, and the second product.
	a, ae := sum(x-f*arcHi, -f*arcMid)
	p, pe := product(f, arcLo)
	a, be := sum(a, -p)
	h, l := quickSum(a, ae+be-pe)
	return dd{h, l}, int(f)
}

// sine is sin(i·π/halfTurn) for any i.
func sine(i int) dd {
	i &= 2*halfTurn - 1
	switch {
	case i > halfTurn:
		return sine(i - halfTurn).neg()
	case i > halfTurn/2:
		return sines[halfTurn-i]
	}
	return sines[i]
}

// sineAt returns sin(k·π/halfTurn + r).
func sineAt(k int, r dd) dd {
	s, c := sine(k), sine(k+halfTurn/2)
	x := r.hi
	q := x * x
	sinTail := r.lo + x*q*(-1.0/6+q*(1.0/120-q*(1.0/5040)))
	cos1 := -q/2 + q*q*(1.0/24-q*(1.0/720)) - x*r.lo // cos(r) - 1
	m, me := product(c.hi, x)
	a, ae := sum(s.hi, m)
	h, l := quickSum(a, ae+me+(s.lo+c.lo*x+s.hi*cos1+c.hi*sinTail))
	return dd{h, l}
}

// Sin returns the sine of x.
func Sin(x float64) float64 {
	if math.Abs(x) > maxTurns || x != x || x == 0 {
		return math.Sin(x)
	}
	r, k := reduce(x)
	return sineAt(k, r).hi
}

// Cos returns the cosine of x.
func Cos(x float64) float64 {
	if math.Abs(x) > maxTurns || x != x {
		return math.Cos(x)
	}
	r, k := reduce(x)
	return sineAt(k+halfTurn/2, r).hi
}

// Tan returns the tangent of x.
func Tan(x float64) float64 {
	if math.Abs(x) > maxTurns || x != x || x == 0 {
		return math.Tan(x)
	}
	r, k := reduce(x)
	return quotient(sineAt(k, r), sineAt(k+halfTurn/2, r)).hi
}

// quotient is a/b to about 100 bits.
func quotient(a, b dd) dd {
	q := a.hi / b.hi
	h, l := quickSum(q, (math.FMA(-q, b.hi, a.hi)+a.lo-q*b.lo)/b.hi)
	return dd{h, l}
}

// atan is for 0 ≤ t ≤ 1.
func atan(t dd) dd {
	i := int(t.hi*64 + 0.5)
	d := t
	if i > 0 {
		c := float64(i) / 64
		p, pe := product(t.hi, c)
		n, ne := sum(1, p)
		m := t.hi - c // exact
		m, me := sum(m, t.lo)
		d = quotient(dd{m, me}, dd{n, ne + pe + t.lo*c})
	}
	x, q := d.hi, d.hi*d.hi
	tail := d.lo + x*q*(-1.0/3+q*(1.0/5-q*(1.0/7-q*(1.0/9))))
	a := atans[i]
	s, e := sum(a.hi, x)
	h, l := quickSum(s, e+(a.lo+tail))
	return dd{h, l}
}

// half is the angle of y over x, both positive, from 0 to π/2.
func half(y, x dd) dd {
	if y.hi > x.hi {
		a := atan(quotient(x, y))
		return dd{pi.hi / 2, pi.lo / 2}.add(a.neg())
	}
	return atan(quotient(y, x))
}

// Atan returns the arc tangent of x.
func Atan(x float64) float64 {
	a := math.Abs(x)
	if a < 1e-8 || a > 1e16 || x != x {
		return math.Atan(x)
	}
	return math.Copysign(half(dd{a, 0}, dd{1, 0}).hi, x)
}

// Atan2 returns the angle of the point (x, y).
func Atan2(y, x float64) float64 {
	a, b := math.Abs(y), math.Abs(x)
	if !(a > 1e-140 && a < 1e140 && b > 1e-140 && b < 1e140) {
		return math.Copysign(math.Atan2(y, x), y) // where y/x is nothing, Go loses the sign
	}
	h := half(dd{a, 0}, dd{b, 0})
	if x < 0 {
		h = pi.add(h.neg())
	}
	return math.Copysign(h.hi, y)
}

// leg is √(1-x²).
func leg(x float64) dd {
	p, e := product(x, x)
	s, f := sum(1, -p)
	s, f = quickSum(s, f-e)
	return dd{s, f}.sqrt()
}

// Asin returns the arc sine of x.
func Asin(x float64) float64 {
	a := math.Abs(x)
	if !(a < 1) || a < 1e-8 {
		return math.Asin(x)
	}
	return math.Copysign(half(dd{a, 0}, leg(a)).hi, x)
}

// Acos returns the arc cosine of x.
func Acos(x float64) float64 {
	a := math.Abs(x)
	if !(a < 1) || a < 1e-20 {
		return math.Acos(x)
	}
	h := half(leg(a), dd{a, 0})
	if x < 0 {
		h = pi.add(h.neg())
	}
	return h.hi
}
