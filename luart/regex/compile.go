package regex

import (
	"sort"
	"unicode/utf8"
)

type opcode uint8

const (
	opMatch   opcode = iota
	opByte           // b
	opString         // str
	opFold           // str in lower case, ASCII letters of either case
	opSet            // bits
	opChar           // a character of UTF mode: matchChar
	opRep            // bits, min…max of them; greedy or lazy by mode
	opRepChar        // the same of characters of UTF mode
	opSplit          // go on here or at x, whichever first says lazy; filters fa and fb
	opJump
	opSave  // caps[x] = pos
	opOpen  // the start of group x, kept apart until it ends
	opClose // the end of group x
	opReturn
	opRepInit // registers x (count) and x+1 (position)
	opRepLoop
	opRepEnter
	opAtomic
	opLook
	opBehind // go back x characters
	opEnd
	opCond
	opCondLook
	opBackref
	opCall
	opAssert
	opNewline
	opCluster
	opKeep
	opFail
	opAccept
	opCommit
	opPrune
	opSkip
)

// inst is an instruction; what the fields mean depends on op.
type inst struct {
	op   opcode
	mode uint8
	what uint8
	b    byte
	fold bool
	not  bool
	utf  bool // positions are starts of characters: step over continuation bytes
	x    int32
	min  int32
	max  int32
	reg  int32
	kind kind
	bits *[256]bool
	set  *set
	str  string
	fa   *filter // of what follows the instruction
	fb   *filter // of what is at x
	refs []int32
}

// filter says which bytes something can begin with, and whether it can match at
// the end of the subject.
type filter struct {
	bits [256]bool
	end  bool
}

// maxProgram bounds the size of a program, as PCRE's 64K does.
const maxProgram = 1 << 16

// Regexp is a compiled pattern.
type Regexp struct {
	prog   []inst
	ngroup int
	nreg   int
	names  []Name // sorted
	opts   Options
	utf    bool
	dfaErr ExecError // of what PCRE's DFA matcher refuses, if there is such a thing

	anchored  bool // matches only at the start
	lineStart bool // matches only at starts of lines
	atStart   bool // begins with \A or ^
	prefix    string
	first     *filter
	oneByte   int // the only byte that a match begins with, -1
	required  int // a byte that every match has, -1
	lead      *lead
}

type compiler struct {
	p       *parser
	prog    []inst
	nreg    int
	sets    map[[256]bool]*[256]bool
	entries map[int]int32 // where groups begin
	called  map[int]bool
	open    []inst  // what ends the groups around
	calls   []int32 // instructions whose target is a group
	capture bool    // captures are read while matching
	dfaErr  ExecError
}

// Compile compiles a pattern. The error is an *Error.
func Compile(pattern string, opts Options) (re *Regexp, err error) {
	p := &parser{src: pattern, opts: opts, utf: opts&UTF != 0, groups: map[int]*node{}}
	defer func() {
		if e := recover(); e != nil {
			pe, ok := e.(*Error)
			if !ok {
				panic(e)
			}
			re, err = nil, pe
		}
	}()
	root := p.parse()
	c := &compiler{p: p, sets: map[[256]bool]*[256]bool{}, entries: map[int]int32{}, called: map[int]bool{}, capture: p.backrefs}
	for _, r := range p.refs {
		if r.kind == kCall {
			c.called[r.group] = true
			c.capture = true
		}
	}
	c.entries[0] = 0
	c.emit(root)
	c.add(inst{op: opMatch})
	for _, at := range c.calls {
		c.prog[at].x = c.entries[int(c.prog[at].x)]
	}
	sort.Slice(p.names, func(i, j int) bool {
		a, b := p.names[i], p.names[j]
		return a.Name < b.Name || a.Name == b.Name && a.Group < b.Group
	})
	re = &Regexp{prog: c.prog, ngroup: p.ncap, nreg: c.nreg, names: p.names, opts: opts, utf: p.utf, dfaErr: c.dfaErr, oneByte: -1, required: -1}
	if p.ucp {
		re.opts |= ucp
	}
	if !re.hasVerbs() {
		re.required = required(root)
	}
	re.optimise()
	return re, nil
}

// Groups is the number of capturing groups.
func (re *Regexp) Groups() int { return re.ngroup }

// Names are the named groups, sorted.
func (re *Regexp) Names() []Name { return re.names }

func (c *compiler) add(in inst) int32 {
	if len(c.prog) >= maxProgram {
		c.p.fail(errTooLarge, len(c.p.src))
	}
	c.prog = append(c.prog, in)
	return int32(len(c.prog) - 1)
}

func (c *compiler) here() int32 { return int32(len(c.prog)) }

func (c *compiler) intern(bits *[256]bool) *[256]bool {
	if b := c.sets[*bits]; b != nil {
		return b
	}
	c.sets[*bits] = bits
	return bits
}

func (c *compiler) emit(n *node) {
	switch n.kind {
	case kLiteral:
		c.literal(n)
	case kSet, kAny, kAll, kByte:
		c.add(c.single(n))
	case kNewline:
		c.add(inst{op: opNewline})
	case kCluster:
		c.add(inst{op: opCluster})
	case kConcat:
		for _, s := range n.subs {
			c.emit(s)
		}
	case kAlternate:
		c.alternate(n)
	case kRepeat:
		c.repeat(n)
	case kGroup:
		c.group(n)
	case kAtomic:
		at := c.add(inst{op: opAtomic})
		c.emit(n.subs[0])
		c.add(inst{op: opEnd})
		c.prog[at].x = c.here()
	case kLook:
		c.look(n)
	case kCond:
		c.cond(n)
	case kBackref:
		c.dfaErr = ErrDFAItem
		c.add(inst{op: opBackref, refs: c.references(n), fold: n.fold})
	case kCall:
		c.calls = append(c.calls, c.add(inst{op: opCall, x: int32(n.group), min: int32(n.group)}))
	case kAssert:
		c.add(inst{op: opAssert, what: uint8(n.what)})
	case kKeep:
		c.dfaErr = ErrDFAItem
		c.add(inst{op: opKeep})
	case kVerb:
		if n.what == vAccept {
			for _, end := range c.open {
				c.add(end)
			}
		}
		c.add(inst{op: [...]opcode{opFail, opAccept, opCommit, opPrune, opSkip}[n.what-vFail]})
	}
}

func (c *compiler) literal(n *node) {
	switch {
	case n.fold:
		if len(n.text) == 1 {
			c.add(c.single(n))
			return
		}
		c.add(inst{op: opFold, str: n.text})
	case len(n.text) == 1:
		c.add(inst{op: opByte, b: n.text[0]})
	default:
		c.add(inst{op: opString, str: n.text})
	}
}

// single is the instruction for one character. Where all of a set's characters
// are single bytes, it is one for bytes in UTF mode, too.
func (c *compiler) single(n *node) inst {
	s := n.set
	switch n.kind {
	case kAny, kByte, kAll:
		s = &set{}
		for i := range s.bits {
			s.bits[i] = n.kind != kAny || i != '\n'
		}
	case kLiteral:
		s = &set{}
		s.bits[n.text[0]] = true
		if c := n.text[0]; n.fold && c >= 'a' && c <= 'z' {
			s.bits[c-32] = true
		}
	}
	bytes := !c.p.utf || n.kind == kByte || n.kind == kLiteral || n.kind == kSet && len(s.high) == 0
	if bytes {
		return inst{op: opSet, bits: c.intern(&s.bits), kind: n.kind}
	}
	return inst{op: opChar, kind: n.kind, set: s, bits: c.intern(&s.bits)}
}

func (c *compiler) alternate(n *node) {
	var ends []int32
	for i, s := range n.subs {
		if i == len(n.subs)-1 {
			c.emit(s)
			break
		}
		split := c.add(inst{op: opSplit})
		c.emit(s)
		ends = append(ends, c.add(inst{op: opJump}))
		c.prog[split].x = c.here()
	}
	for _, e := range ends {
		c.prog[e].x = c.here()
	}
}

func (c *compiler) group(n *node) {
	if n.group == 0 {
		c.emit(n.subs[0])
		return
	}
	g := int32(n.group)
	if _, ok := c.entries[n.group]; !ok {
		c.entries[n.group] = c.here()
	}
	if c.capture {
		reg := c.registers(1)
		c.add(inst{op: opOpen, x: reg})
		c.open = append(c.open, inst{op: opClose, x: g, min: reg})
	} else {
		c.add(inst{op: opSave, x: 2 * g})
		c.open = append(c.open, inst{op: opSave, x: 2*g + 1})
	}
	c.emit(n.subs[0])
	c.add(c.open[len(c.open)-1])
	c.open = c.open[:len(c.open)-1]
	if c.called[n.group] {
		c.add(inst{op: opReturn, x: g})
	}
}

func (c *compiler) registers(n int) int32 {
	c.nreg += n
	return int32(c.nreg - n)
}

// isSingle reports whether n is always one character.
func (c *compiler) isSingle(n *node) bool {
	switch n.kind {
	case kSet, kAny, kAll, kByte:
		return true
	case kLiteral:
		return len(n.text) == 1
	}
	return false
}

func (c *compiler) repeat(n *node) {
	sub := n.subs[0]
	if n.max == 0 {
		c.skip(sub)
		return
	}
	if c.isSingle(sub) {
		c.repeatSingle(n, sub)
		return
	}
	if n.mode == possessive {
		at := c.add(inst{op: opAtomic})
		c.repeatGroup(n, sub)
		c.add(inst{op: opEnd})
		c.prog[at].x = c.here()
		return
	}
	c.repeatGroup(n, sub)
}

// skip emits what never runs in its place, but may be called from elsewhere.
func (c *compiler) skip(n *node) {
	if len(c.called) == 0 {
		return
	}
	at := c.add(inst{op: opJump})
	c.emit(n)
	c.prog[at].x = c.here()
}

func (c *compiler) repeatSingle(n, sub *node) {
	in := c.single(sub)
	in.mode, in.min, in.max = uint8(n.mode), int32(n.min), int32(n.max)
	if in.op == opSet {
		in.op = opRep
		c.add(in)
		return
	}
	// All characters beyond ASCII are in the set: bytes can be counted as characters
	// as long as there is nothing to count.
	if high := in.kind != kSet || in.set.allHigh(); high && n.min <= 1 && n.max == unlimited && n.mode != lazy {
		bits := *in.bits
		for i := utf8.RuneSelf; i < 256; i++ {
			bits[i] = true
		}
		in.bits = c.intern(&bits)
		in.op, in.utf = opRep, true
		c.add(in)
		return
	}
	in.op = opRepChar
	c.add(in)
}

func (c *compiler) repeatGroup(n, sub *node) {
	mode := uint8(n.mode)
	if n.mode == possessive {
		mode = greedy
	}
	nullable := c.nullable(sub, 0)
	switch {
	case n.min == 0 && n.max == 1:
		split := c.add(inst{op: opSplit, mode: mode})
		c.emit(sub)
		c.prog[split].x = c.here()
	case n.min == 1 && n.max == unlimited && !nullable:
		start := c.here()
		c.emit(sub)
		c.add(inst{op: opSplit, mode: lazy - mode, x: start})
	case n.min == 0 && n.max == unlimited && !nullable:
		split := c.add(inst{op: opSplit, mode: mode})
		c.emit(sub)
		c.add(inst{op: opJump, x: split})
		c.prog[split].x = c.here()
	default:
		reg := c.registers(2)
		c.add(inst{op: opRepInit, x: reg})
		loop := c.add(inst{op: opRepLoop, mode: mode, min: int32(n.min), max: int32(n.max), reg: reg, not: nullable})
		c.add(inst{op: opRepEnter, x: reg})
		c.emit(sub)
		c.add(inst{op: opJump, x: loop})
		c.prog[loop].x = c.here()
	}
}

// nullable reports whether n may match nothing.
func (c *compiler) nullable(n *node, depth int) bool {
	switch n.kind {
	case kLiteral:
		return n.text == ""
	case kSet, kAny, kAll, kByte, kNewline, kCluster:
		return false
	case kConcat:
		for _, s := range n.subs {
			if !c.nullable(s, depth) {
				return false
			}
		}
		return true
	case kAlternate:
		for _, s := range n.subs {
			if c.nullable(s, depth) {
				return true
			}
		}
		return false
	case kRepeat:
		return n.min == 0 || c.nullable(n.subs[0], depth)
	case kGroup, kAtomic:
		return c.nullable(n.subs[0], depth)
	}
	return true
}

func (c *compiler) look(n *node) {
	at := c.add(inst{op: opLook, not: n.not})
	if !n.behind {
		c.emit(n.subs[0])
	} else {
		branches := []*node{n.subs[0]}
		if n.subs[0].kind == kAlternate {
			branches = n.subs[0].subs
		}
		var ends []int32
		for i, b := range branches {
			split := int32(-1)
			if i < len(branches)-1 {
				split = c.add(inst{op: opSplit})
			}
			if w := c.p.width(b); w > 0 {
				c.add(inst{op: opBehind, x: int32(w)})
			}
			c.emit(b)
			if split >= 0 {
				ends = append(ends, c.add(inst{op: opJump}))
				c.prog[split].x = c.here()
			}
		}
		for _, e := range ends {
			c.prog[e].x = c.here()
		}
	}
	c.add(inst{op: opEnd})
	c.prog[at].x = c.here()
}

// references are the groups that a reference may mean.
func (c *compiler) references(n *node) []int32 {
	if n.name == "" {
		return []int32{int32(n.group)}
	}
	var l []int32
	for _, m := range c.p.names {
		if m.Name == n.name {
			l = append(l, int32(m.Group))
		}
	}
	return l
}

func (c *compiler) cond(n *node) {
	branches := n.subs
	if n.what == condDefine {
		at := c.add(inst{op: opJump})
		c.emit(branches[0])
		c.prog[at].x = c.here()
		return
	}
	var at int32
	if n.what == condLook {
		look := branches[0]
		branches = branches[1:]
		if look.kind == kVerb {
			at = c.add(inst{op: opJump})
		} else {
			at = c.add(inst{op: opCondLook})
			c.emit(look)
			c.add(inst{op: opEnd})
			c.prog[at].min = c.here()
		}
	} else {
		if n.what == condGroup {
			c.dfaErr = ErrDFACond
		}
		at = c.add(inst{op: opCond, what: uint8(n.what), refs: c.references(n)})
	}
	c.emit(branches[0])
	end := c.add(inst{op: opJump})
	c.prog[at].x = c.here()
	if len(branches) > 1 {
		c.emit(branches[1])
	}
	c.prog[end].x = c.here()
}
