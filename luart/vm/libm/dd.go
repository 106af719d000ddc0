// Package libm computes the elementary functions of C's math.h so that the last
// digit is right: results are those of exact arithmetic, rounded, but for about one
// in a thousand, as they are in good C libraries. Go's own functions are off by a
// digit in every third result, and in powers by many.
//
// It works with pairs of floats and small tables, which it computes when the program
// starts. It knows nothing of Lua.
package libm

import "math"

// dd is the unevaluated sum of two floats, with about 106 bits.
type dd struct{ hi, lo float64 }

// sum returns a+b and its rounding error.
func sum(a, b float64) (s, e float64) {
	s = a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

// quickSum is sum for |a| ≥ |b|, or a = 0.
func quickSum(a, b float64) (s, e float64) {
	s = a + b
	return s, b - (s - a)
}

// product returns a*b and its rounding error.
func product(a, b float64) (p, e float64) {
	p = a * b
	return p, math.FMA(a, b, -p)
}

func (a dd) add(b dd) dd {
	s, e := sum(a.hi, b.hi)
	t, f := sum(a.lo, b.lo)
	s, e = quickSum(s, e+t)
	s, e = quickSum(s, e+f)
	return dd{s, e}
}

func (a dd) mul(b dd) dd {
	p, e := product(a.hi, b.hi)
	p, e = quickSum(p, e+a.hi*b.lo+a.lo*b.hi)
	return dd{p, e}
}

func (a dd) div(b dd) dd {
	q := a.hi / b.hi
	p := b.mul(dd{q, 0})
	r := a.add(dd{-p.hi, -p.lo})
	q2 := r.hi / b.hi
	p = b.mul(dd{q2, 0})
	r = r.add(dd{-p.hi, -p.lo})
	h, l := quickSum(q, q2)
	return dd{h, l}.add(dd{r.hi / b.hi, 0})
}

func (a dd) neg() dd { return dd{-a.hi, -a.lo} }

// sqrt is for a > 0.
func (a dd) sqrt() dd {
	h := math.Sqrt(a.hi)
	h, l := quickSum(h, (math.FMA(-h, h, a.hi)+a.lo)/(2*h))
	return dd{h, l}
}

// series sums c0 + x²·c1 + x⁴·c2 + … where term gives the divisor of each
// coefficient and the signs alternate if alternate is set; it is for the tables.
func series(x2 dd, terms int, alternate bool, divisor func(i int) float64) dd {
	s := dd{}
	for i := terms - 1; i >= 0; i-- {
		c := dd{1, 0}.div(dd{divisor(i), 0})
		if alternate && i%2 == 1 {
			c = c.neg()
		}
		s = s.mul(x2).add(c)
	}
	return s
}

var pi = dd{3.141592653589793, 1.2246467991473532e-16}
