package vm

import (
	"github.com/yuin/gopher-lua/ast"
)

// maxRegs is how many registers a function may use.
const maxRegs = 250

// compiler turns the tree of one function into bytecode.
type compiler struct {
	m      *VM
	parent *compiler
	p      *proto
	scope  *funcScope
	chunk  string

	active []*variable // variables alive, as the parser counts them
	infos  []int       // for each, its index in p.locals
	free   int         // first free register
	line   int
	kIndex map[Value]int
	loops  []*loop
	labels map[*label]*target
}

// loop collects the break jumps of a loop.
type loop struct {
	nact   int
	breaks []int
}

// target is a label: its place, once known, and the jumps that wait for it.
type target struct {
	pc      int
	known   bool
	pending []int
}

// compile parses and compiles a chunk.
func (m *VM) compile(t *Thread, source []byte, chunkname string) (p *proto, err error) {
	defer func() {
		if r := recover(); r != nil {
			se, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			p, err = nil, se
		}
	}()
	f := parse(t, string(source), chunkname)
	return m.compileFunc(nil, f, chunkname), nil
}

func (m *VM) compileFunc(parent *compiler, f *functionExpr, source string) *proto {
	c := &compiler{
		m: m, parent: parent, scope: f.scope, line: f.Line(),
		p:      &proto{source: source, line: f.Line(), lastLine: f.LastLine(), vararg: f.scope.vararg},
		kIndex: map[Value]int{},
		labels: map[*label]*target{},
	}
	if parent == nil {
		c.p.line = 0
		c.chunk = shortSource(source)
	} else {
		c.chunk = parent.chunk
	}
	c.p.numParams = uint8(len(f.scope.params))
	c.reserve(2) // room for the smallest frame
	c.free = 0
	for _, v := range f.scope.params {
		c.declare(v, c.reserve(1))
	}
	c.stmts(f.Stmts)
	if !endsInReturn(f.Stmts) {
		c.line = f.scope.lastLine
		c.emit(mk(opRet0, 0, 0, 0))
	}
	c.endVars(0)
	// The guard: a pointer to the next instruction never leaves the code.
	c.p.code = append(c.p.code, mk(opRet0, 0, 0, 0))
	if len(c.p.k) == 0 {
		c.p.k = []Value{Nil}
	}
	c.p.upDesc, c.p.upNames = f.scope.upDesc, f.scope.upNames
	for i, v := range f.scope.upVars {
		if v != nil {
			c.p.upDesc[i].index = uint8(v.reg)
		}
	}
	return c.p
}

func endsInReturn(list []ast.Stmt) bool {
	if len(list) == 0 {
		return false
	}
	_, is := list[len(list)-1].(*ast.ReturnStmt)
	return is
}

func (c *compiler) emit(i instr) int {
	c.p.code = append(c.p.code, i)
	c.p.lines = append(c.p.lines, int32(c.line))
	return len(c.p.code) - 1
}

func (c *compiler) pc() int { return len(c.p.code) }

// patch makes the jump at index at go to pc.
func (c *compiler) patch(at, pc int) {
	i := &c.p.code[at]
	*i = *i&0xFFFFFFFF | instr(uint32(int32(pc-at-1)))<<32
}

func (c *compiler) patchHere(list []int) {
	for _, at := range list {
		c.patch(at, c.pc())
	}
}

func (c *compiler) reserve(n int) int {
	r := c.free
	c.free += n
	if c.free > maxRegs {
		panic(&SyntaxError{c.chunk + ":" + itoa(c.line) + ": function or expression too complex"})
	}
	c.p.maxStack = max(c.p.maxStack, c.free)
	return r
}

// declare makes v alive in register reg.
func (c *compiler) declare(v *variable, reg int) {
	v.reg = reg
	c.active = append(c.active, v)
	c.infos = append(c.infos, len(c.p.locals))
	c.p.locals = append(c.p.locals, localInfo{name: v.name, reg: reg, start: c.pc()})
}

// endVars ends the life of all variables but the first nact.
func (c *compiler) endVars(nact int) {
	for _, i := range c.infos[nact:] {
		c.p.locals[i].end = c.pc()
	}
	c.active, c.infos = c.active[:nact], c.infos[:nact]
}

// regLevel is the register where the variables from nact on begin.
func (c *compiler) regLevel(nact int) int {
	if nact < len(c.active) {
		return c.active[nact].reg
	}
	return c.free
}

// captured returns the first register from variable nact on that a closure
// uses, -1 if none.
func (c *compiler) captured(nact int) int {
	for _, v := range c.active[nact:] {
		if v.captured {
			return v.reg
		}
	}
	return -1
}

// endBlock closes and drops the variables from nact on.
func (c *compiler) endBlock(nact int) {
	if r := c.captured(nact); r >= 0 {
		c.emit(mk(opClose, r, 0, 0))
	}
	c.free = c.regLevel(nact)
	c.endVars(nact)
}

// block compiles statements in a scope of their own.
func (c *compiler) block(list []ast.Stmt) {
	nact, free := len(c.active), c.free
	c.stmts(list)
	c.endBlock(nact)
	c.free = free
}

func (c *compiler) stmts(list []ast.Stmt) {
	for _, s := range list {
		c.line = s.Line()
		c.stmt(s)
		c.free = 0
		if n := len(c.active); n > 0 {
			c.free = c.active[n-1].reg + 1
		}
	}
}

// constant returns the index of a constant; ok is false if it is too large for
// an operand.
func (c *compiler) constant(v Value) (k int, ok bool) {
	k, found := c.kIndex[v]
	if !found {
		k = len(c.p.k)
		c.p.k = append(c.p.k, v)
		c.kIndex[v] = k
	}
	return k, k <= 0xFFFF
}

// constantOf returns the value of an expression that is constant.
func (c *compiler) constantOf(e ast.Expr) (Value, bool) {
	switch e := e.(type) {
	case *ast.NilExpr:
		return Nil, true
	case *ast.TrueExpr:
		return True, true
	case *ast.FalseExpr:
		return False, true
	case *ast.StringExpr:
		return c.m.intern(e.Value).value(), true
	case *numberExpr:
		return e.value, true
	case *parenExpr:
		return c.constantOf(e.e)
	}
	return Nil, false
}
