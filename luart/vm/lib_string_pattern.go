package vm

// The items of a compiled pattern. A Lua pattern is a sequence without
// alternatives, so which capture is open at an item is known when it is
// compiled, and going back to an item needs no restoring of captures.
type patOp uint8

const (
	patEnd      patOp = iota
	patChar           // one byte c
	patAny            // any one byte
	patSet            // one byte of set
	patStar           // min or more of a single, as many as possible
	patRun            // as patStar, but fewer than all can never match
	patLazy           // as few as possible
	patOpt            // one or none
	patOpen           // ( of capture n
	patPosition       // () of capture n
	patClose          // ) of capture n
	patBackref        // %n
	patBalance        // %b c d
	patFrontier       // %f set
	patDollar         // $ at the end
	patError          // raises err when it is reached
)

// charSet is a set of bytes.
type charSet [256]bool

type patItem struct {
	op   patOp
	kind patOp // of the repeated single: patChar, patAny, patSet
	c, d byte
	n    uint8 // capture
	min  uint8 // of patStar and patRun
	// hint: only where byte d stands can the rest match (patStar, patLazy).
	hint bool
	set  *charSet
	err  string
}

// pattern is a compiled pattern.
type pattern struct {
	src      string
	anchored bool
	ncap     int
	open     uint32 // captures that are never closed
	// What a match must begin with, if that is known.
	firstOp  patOp // patChar, patSet, or patEnd
	first    byte
	firstSet *charSet
	items    []patItem
}

const (
	maxCaptures   = 32
	maxMatchDepth = 200

	errPatEndsPercent = "malformed pattern (ends with '%')"
	errPatNoBracket   = "malformed pattern (missing ']')"
	errPatFrontier    = "missing '[' after '%f' in pattern"
	errPatBalance     = "unbalanced pattern"
	errPatClose       = "invalid pattern capture"
	errPatCapIndex    = "invalid capture index"
	errPatCaptures    = "too many captures"
	errPatUnfinished  = "unfinished capture"
	errPatComplex     = "pattern too complex"
)

// classes has the sets of %a, %A, …, nil for bytes that stand for themselves.
var classes = func() (cl [256]*charSet) {
	isUpper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	isLower := func(c byte) bool { return c >= 'a' && c <= 'z' }
	isAlnum := func(c byte) bool { return isUpper(c) || isLower(c) || isDigit(c) }
	for name, f := range map[byte]func(byte) bool{
		'a': func(c byte) bool { return isUpper(c) || isLower(c) },
		'c': func(c byte) bool { return c < ' ' || c == 127 },
		'd': isDigit,
		'g': func(c byte) bool { return c > ' ' && c < 127 },
		'l': isLower,
		'p': func(c byte) bool { return c > ' ' && c < 127 && !isAlnum(c) },
		's': isSpace,
		'u': isUpper,
		'w': isAlnum,
		'x': func(c byte) bool { return hexDigit(c) >= 0 },
		'z': func(c byte) bool { return c == 0 },
	} {
		yes, no := new(charSet), new(charSet)
		for c := range 256 {
			yes[c] = f(byte(c))
			no[c] = !yes[c]
		}
		cl[name], cl[name-32] = yes, no
	}
	return cl
}()

// patCompiler reads a pattern from left to right. An error becomes an item,
// because Lua raises it only when matching gets there.
type patCompiler struct {
	p       pattern
	i       int
	isOpen  [maxCaptures]bool
	isPos   [maxCaptures]bool
	stopped bool
}

// compilePattern never fails. With anchor false a leading ^ is an ordinary
// byte, as in gmatch.
func compilePattern(src string, anchor bool) *pattern {
	c := patCompiler{p: pattern{src: src, items: make([]patItem, 0, len(src)+1)}}
	if anchor && src != "" && src[0] == '^' {
		c.p.anchored = true
		c.i = 1
	}
	for c.i < len(src) && !c.stopped {
		c.item()
	}
	c.emit(patItem{op: patEnd})
	for n := range c.p.ncap {
		if c.isOpen[n] {
			c.p.open |= 1 << n
		}
	}
	c.optimise()
	return &c.p
}

func (c *patCompiler) emit(it patItem) { c.p.items = append(c.p.items, it) }

func (c *patCompiler) fail(msg string) {
	c.emit(patItem{op: patError, err: msg})
	c.stopped = true
}

func (c *patCompiler) item() {
	src := c.p.src
	switch src[c.i] {
	case '(':
		c.openCapture()
		return
	case ')':
		c.closeCapture()
		return
	case '$':
		if c.i+1 == len(src) {
			c.emit(patItem{op: patDollar})
			c.i++
			return
		}
	case '%':
		if c.i+1 < len(src) {
			switch d := src[c.i+1]; {
			case d == 'b':
				c.balance()
				return
			case d == 'f':
				c.frontier()
				return
			case isDigit(d):
				c.backref(int(d) - '1')
				return
			}
		}
	}
	if it, ok := c.single(); ok {
		c.repeat(it)
	}
}

func (c *patCompiler) openCapture() {
	if c.p.ncap >= maxCaptures {
		c.fail(errPatCaptures)
		return
	}
	n := c.p.ncap
	c.p.ncap++
	c.i++
	if c.i < len(c.p.src) && c.p.src[c.i] == ')' {
		c.i++
		c.isPos[n] = true
		c.emit(patItem{op: patPosition, n: uint8(n)})
		return
	}
	c.isOpen[n] = true
	c.emit(patItem{op: patOpen, n: uint8(n)})
}

func (c *patCompiler) closeCapture() {
	for n := c.p.ncap - 1; n >= 0; n-- {
		if c.isOpen[n] {
			c.isOpen[n] = false
			c.emit(patItem{op: patClose, n: uint8(n)})
			c.i++
			return
		}
	}
	c.fail(errPatClose)
}

func (c *patCompiler) backref(n int) {
	switch {
	case n < 0 || n >= c.p.ncap || c.isOpen[n]:
		c.fail(errPatCapIndex)
		return
	case c.isPos[n]: // has no text: never matches
		c.emit(patItem{op: patSet, set: new(charSet)})
	default:
		c.emit(patItem{op: patBackref, n: uint8(n)})
	}
	c.i += 2
}

func (c *patCompiler) balance() {
	if c.i+3 >= len(c.p.src) {
		c.fail(errPatBalance)
		return
	}
	c.emit(patItem{op: patBalance, c: c.p.src[c.i+2], d: c.p.src[c.i+3]})
	c.i += 4
}

func (c *patCompiler) frontier() {
	c.i += 2
	if c.i >= len(c.p.src) || c.p.src[c.i] != '[' {
		c.fail(errPatFrontier)
		return
	}
	if set := c.set(); set != nil {
		c.emit(patItem{op: patFrontier, set: set})
	}
}

// single reads a byte, a class or a set.
func (c *patCompiler) single() (patItem, bool) {
	src := c.p.src
	ch := src[c.i]
	switch ch {
	case '%':
		if c.i+1 >= len(src) {
			c.fail(errPatEndsPercent)
			return patItem{}, false
		}
		ch = src[c.i+1]
		c.i += 2
		if set := classes[ch]; set != nil {
			return patItem{op: patSet, set: set}, true
		}
		return patItem{op: patChar, c: ch}, true
	case '[':
		set := c.set()
		return patItem{op: patSet, set: set}, set != nil
	case '.':
		c.i++
		return patItem{op: patAny}, true
	}
	c.i++
	return patItem{op: patChar, c: ch}, true
}

// set reads […]; on an error it returns nil.
func (c *patCompiler) set() *charSet {
	src := c.p.src
	p := c.i + 1
	negate := p < len(src) && src[p] == '^'
	if negate {
		p++
	}
	end := p
	for first := true; first || end >= len(src) || src[end] != ']'; first = false {
		if end >= len(src) {
			c.fail(errPatNoBracket)
			return nil
		}
		end++
		if src[end-1] == '%' {
			end++
		}
	}
	set := new(charSet)
	for ; p < end; p++ {
		switch {
		case src[p] == '%':
			p++
			if cl := classes[src[p]]; cl != nil {
				for i, in := range cl {
					set[i] = set[i] || in
				}
			} else {
				set[src[p]] = true
			}
		case src[p+1] == '-' && p+2 < end:
			for b := int(src[p]); b <= int(src[p+2]); b++ {
				set[b] = true
			}
			p += 2
		default:
			set[src[p]] = true
		}
	}
	if negate {
		for i := range set {
			set[i] = !set[i]
		}
	}
	c.i = end + 1
	return set
}

// repeat emits a single with what follows it: * + - ? or nothing.
func (c *patCompiler) repeat(it patItem) {
	if c.i < len(c.p.src) {
		rep := patEnd
		switch c.p.src[c.i] {
		case '*':
			rep = patStar
		case '+':
			rep = patStar
			it.min = 1
		case '-':
			rep = patLazy
		case '?':
			rep = patOpt
		}
		if rep != patEnd {
			it.op, it.kind = rep, it.op
			c.i++
		}
	}
	c.emit(it)
}

// optimise finds what a match begins with and which repetitions need no going
// back.
func (c *patCompiler) optimise() {
	items := c.p.items
	i := 0
	for items[i].op == patOpen || items[i].op == patPosition {
		i++
	}
	if op := items[i].required(); op == patChar || op == patSet {
		c.p.firstOp, c.p.first, c.p.firstSet = op, items[i].c, items[i].set
	}
	for i := range items {
		switch it := &items[i]; it.op {
		case patStar:
			if runSuffices(items, i) {
				it.op = patRun
			} else {
				it.setHint(items, i)
			}
		case patLazy:
			if j := skipCaptures(items, i+1); items[j].op == patDollar || items[j].required() != patEnd && disjoint(it, &items[j]) {
				it.op = patRun
			} else {
				it.setHint(items, i)
			}
		}
	}
}

// required returns the kind of a single that must occur at least once, patEnd
// for other items.
func (it *patItem) required() patOp {
	switch it.op {
	case patChar, patAny, patSet:
		return it.op
	case patStar, patRun:
		if it.min > 0 {
			return it.kind
		}
	}
	return patEnd
}

func skipCaptures(items []patItem, i int) int {
	for items[i].op == patOpen || items[i].op == patPosition || items[i].op == patClose {
		i++
	}
	return i
}

// setHint notes the byte that has to follow a repetition.
func (it *patItem) setHint(items []patItem, i int) {
	if next := &items[skipCaptures(items, i+1)]; next.required() == patChar {
		it.hint, it.d = true, next.c
	}
}

// runSuffices reports whether after items[i], repeated as often as possible,
// the rest either matches or could not match after fewer repetitions: what
// follows cannot begin with a byte of the repetition.
func runSuffices(items []patItem, i int) bool {
	for j := i + 1; ; j++ {
		switch next := &items[j]; next.op {
		case patOpen, patPosition, patClose:
		case patEnd, patDollar:
			return true
		case patChar, patAny, patSet, patStar, patRun, patLazy, patOpt:
			if !disjoint(&items[i], next) {
				return false
			}
			if next.required() != patEnd {
				return true
			}
		default:
			return false
		}
	}
}

// disjoint reports whether no byte matches both items.
func disjoint(a, b *patItem) bool {
	for c := range 256 {
		if a.one(byte(c)) && b.one(byte(c)) {
			return false
		}
	}
	return true
}

// one reports whether c matches the single of an item.
func (it *patItem) one(c byte) bool {
	kind := it.op
	if kind > patSet {
		kind = it.kind
	}
	switch kind {
	case patChar:
		return c == it.c
	case patAny:
		return true
	}
	return it.set[c]
}
