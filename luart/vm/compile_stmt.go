package vm

import "github.com/yuin/gopher-lua/ast"

// Statements.

func (c *compiler) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *localStmt:
		c.localStmt(s)
	case *localFunctionStmt:
		r := c.reserve(1)
		c.declare(s.v, r)
		c.p.locals[len(c.p.locals)-1].start++ // alive after the closure is made
		c.closure(s.f, r)
	case *functionDefStmt:
		c.functionDef(s)
	case *ast.AssignStmt:
		c.assign(s)
	case *ast.FuncCallStmt:
		c.call(s.Expr.(*ast.FuncCallExpr), 1)
	case *ast.DoBlockStmt:
		c.block(s.Stmts)
	case *ast.WhileStmt:
		c.while(s)
	case *ast.RepeatStmt:
		c.repeat(s)
	case *ast.IfStmt:
		c.ifStmt(s)
	case *numberForStmt:
		c.numberFor(s)
	case *genericForStmt:
		c.genericFor(s)
	case *ast.ReturnStmt:
		c.returnStmt(s)
	case *ast.BreakStmt:
		l := c.loops[len(c.loops)-1]
		l.breaks = append(l.breaks, c.jumpOut(l.nact))
	case *gotoStmt:
		c.gotoStmt(s)
	case *labelStmt:
		t := c.target(s.label)
		t.pc, t.known = c.pc(), true
		c.patchHere(t.pending)
	}
}

// jumpOut emits a jump that leaves the scope of the variables from nact on.
func (c *compiler) jumpOut(nact int) int {
	if r := c.captured(nact); r >= 0 {
		return c.emit(mkJ(opJmpClose, r, 0, 0))
	}
	return c.emit(mkJ(opJmp, 0, 0, 0))
}

func (c *compiler) target(l *label) *target {
	t := c.labels[l]
	if t == nil {
		t = &target{}
		c.labels[l] = t
	}
	return t
}

func (c *compiler) gotoStmt(s *gotoStmt) {
	t := c.target(s.target)
	if !t.known {
		t.pending = append(t.pending, c.jumpOut(min(s.target.nact, len(c.active))))
		return
	}
	if r := c.captured(min(s.target.nact, len(c.active))); r >= 0 {
		c.emit(mk(opClose, r, 0, 0))
	}
	c.patch(c.emit(mkJ(opLoop, 0, 0, 0)), t.pc)
}

func (c *compiler) localStmt(s *localStmt) {
	base := c.free
	c.exprsTo(s.Exprs, base, len(s.vars))
	c.free = base
	c.reserve(len(s.vars))
	for i, v := range s.vars {
		c.declare(v, base+i)
	}
}

// exprsTo evaluates expressions into n consecutive registers from base, which
// is the first free one.
func (c *compiler) exprsTo(exprs []ast.Expr, base, n int) {
	for i, e := range exprs {
		if i == len(exprs)-1 && n > len(exprs) && isMulti(e) {
			c.multi(e, n-i+1)
			c.free = base
			c.reserve(n)
			return
		}
		if i >= n {
			c.drop(e)
			continue
		}
		c.toNext(e)
	}
	if k := len(exprs); k < n {
		c.reserve(n - k)
		c.emit(mk(opLoadNil, base+k, base+n-1, 0))
	}
}

// drop evaluates an expression whose value nobody wants.
func (c *compiler) drop(e ast.Expr) {
	free := c.free
	if isMulti(e) {
		c.multi(e, 1)
	} else if _, ok := c.constantOf(e); !ok {
		c.toNext(e)
	}
	c.free = free
}

func isMulti(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// multi compiles a call or ... with results+1 (0: all) values from c.free on.
func (c *compiler) multi(e ast.Expr, results int) {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		c.call(e, results)
	case *ast.Comma3Expr:
		c.line = e.LastLine()
		c.emit(mk(opVararg, c.free, results, 0))
		if results > 1 {
			free := c.free
			c.reserve(results - 1)
			c.free = free
		}
	}
}

func (c *compiler) functionDef(s *functionDefStmt) {
	n := s.Name
	if n.Receiver != nil {
		obj := c.toAny(n.Receiver)
		r := c.reserve(1)
		c.closure(s.f, r)
		c.line = s.Line()
		c.setField(obj, c.m.intern(n.Method).value(), r)
		return
	}
	switch e := n.Func.(type) {
	case *ast.AttrGetExpr:
		obj := c.toAny(e.Object)
		r := c.reserve(1)
		c.closure(s.f, r)
		c.line = s.Line()
		key, _ := c.constantOf(e.Key)
		c.setField(obj, key, r)
	case *localExpr:
		c.closure(s.f, e.v.reg)
	default:
		r := c.reserve(1)
		c.closure(s.f, r)
		c.line = s.Line()
		c.storeName(e, r)
	}
}

// storeName assigns register r to a name.
func (c *compiler) storeName(e ast.Expr, r int) {
	switch e := e.(type) {
	case *localExpr:
		if e.v.reg != r {
			c.emit(mk(opMove, e.v.reg, r, 0))
		}
	case *upvalueExpr:
		c.emit(mk(opSetUp, r, e.index, 0))
	case *ast.IdentExpr:
		k, _ := c.constant(c.m.intern(e.Value).value())
		c.emit(mkJ(opSetG, r, 0, k))
	}
}

func (c *compiler) setField(obj int, key Value, r int) {
	k, ok := c.constant(key)
	if ok {
		c.emit(mk(opSetF, obj, r, k))
		return
	}
	kr := c.reserve(1)
	c.emit(mkJ(opLoadK, kr, 0, k))
	c.emit(mk(opSet, obj, r, kr))
}

// place is the left side of an assignment with its parts evaluated.
type place struct {
	e   ast.Expr // a name, if obj is -1
	obj int
	key operand
}

// operand is a key: a register, a string constant, or a small integer.
type operand struct {
	kind operandKind
	n    int
}

type operandKind uint8

const (
	inReg operandKind = iota
	inK
	asInt
)

func (c *compiler) assign(s *ast.AssignStmt) {
	last := s.Rhs[len(s.Rhs)-1].LastLine()
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		if l, ok := s.Lhs[0].(*localExpr); ok {
			c.toReg(s.Rhs[0], l.v.reg)
			return
		}
		pl := c.place(s.Lhs[0], nil)
		if pl.obj >= 0 {
			if v, ok := c.constantOf(s.Rhs[0]); ok {
				if k, ok := c.constant(v); ok {
					c.line = last
					c.storeConst(pl, k)
					return
				}
			}
		}
		r := c.toAny(s.Rhs[0])
		c.line = last
		c.store(pl, r)
		return
	}
	places := make([]place, len(s.Lhs))
	for i, e := range s.Lhs {
		places[i] = c.place(e, s.Lhs)
	}
	base := c.free
	c.exprsTo(s.Rhs, base, len(s.Lhs))
	c.line = last
	for i := len(places) - 1; i >= 0; i-- {
		c.store(places[i], base+i)
	}
}

// place evaluates the parts of a left side. Registers of variables that the
// same statement assigns (to others) are copied.
func (c *compiler) place(e ast.Expr, others []ast.Expr) place {
	a, ok := e.(*ast.AttrGetExpr)
	if !ok {
		return place{e: e, obj: -1}
	}
	obj := c.stable(c.toAny(a.Object), others)
	key := c.keyOperand(a.Key)
	if key.kind == inReg {
		key.n = c.stable(key.n, others)
	}
	return place{obj: obj, key: key}
}

func (c *compiler) stable(r int, others []ast.Expr) int {
	for _, o := range others {
		if l, ok := o.(*localExpr); ok && l.v.reg == r {
			t := c.reserve(1)
			c.emit(mk(opMove, t, r, 0))
			return t
		}
	}
	return r
}

func (c *compiler) keyOperand(e ast.Expr) operand {
	if v, ok := c.constantOf(e); ok {
		if v.isStr() {
			if k, ok := c.constant(v); ok {
				return operand{inK, k}
			}
		}
		if v.isNum() {
			if i := arrayIndex(v); i > 0 && i <= 0xFFFF {
				return operand{asInt, i}
			}
		}
	}
	return operand{inReg, c.toAny(e)}
}

func (c *compiler) store(p place, r int) {
	if p.obj < 0 {
		c.storeName(p.e, r)
		return
	}
	c.emit(mk([...]opcode{opSet, opSetF, opSetI}[p.key.kind], p.obj, r, p.key.n))
}

func (c *compiler) storeConst(p place, k int) {
	c.emit(mk([...]opcode{opSetK, opSetFK, opSetIK}[p.key.kind], p.obj, k, p.key.n))
}

func (c *compiler) while(s *ast.WhileStmt) {
	start := c.pc()
	exit := c.condJump(s.Condition, false)
	l := c.enterLoop()
	c.block(s.Stmts)
	c.patch(c.emit(mkJ(opLoop, 0, 0, 0)), start)
	c.patchHere(exit)
	c.leaveLoop(l)
}

func (c *compiler) enterLoop() *loop {
	l := &loop{nact: len(c.active)}
	c.loops = append(c.loops, l)
	return l
}

func (c *compiler) leaveLoop(l *loop) {
	c.loops = c.loops[:len(c.loops)-1]
	c.patchHere(l.breaks)
}

func (c *compiler) repeat(s *ast.RepeatStmt) {
	start := c.pc()
	l := c.enterLoop()
	nact := len(c.active)
	c.stmts(s.Stmts)
	exit := c.condJump(s.Condition, true)
	r := c.captured(nact)
	if r >= 0 {
		c.emit(mk(opClose, r, 0, 0))
	}
	c.patch(c.emit(mkJ(opLoop, 0, 0, 0)), start)
	c.patchHere(exit)
	c.endBlock(nact)
	c.leaveLoop(l)
}

func (c *compiler) ifStmt(s *ast.IfStmt) {
	no := c.condJump(s.Condition, false)
	c.block(s.Then)
	if len(s.Else) == 0 {
		c.patchHere(no)
		return
	}
	end := -1
	if n := len(s.Then); n == 0 || !isReturn(s.Then[n-1]) {
		end = c.emit(mkJ(opJmp, 0, 0, 0))
	}
	c.patchHere(no)
	c.block(s.Else)
	if end >= 0 {
		c.patch(end, c.pc())
	}
}

func isReturn(s ast.Stmt) bool {
	_, ok := s.(*ast.ReturnStmt)
	return ok
}

func (c *compiler) hidden(base int, names ...string) {
	for i, n := range names {
		c.declare(&variable{name: n}, base+i)
	}
}

func (c *compiler) numberFor(s *numberForStmt) {
	base := c.free
	c.toNext(s.Init)
	c.toNext(s.Limit)
	if s.Step != nil {
		c.toNext(s.Step)
	} else {
		c.loadConst(num(1), c.reserve(1))
	}
	l := c.enterLoop()
	nact := len(c.active)
	c.hidden(base, "(for index)", "(for limit)", "(for step)")
	c.line = s.doLine
	prep := c.emit(mkJ(opForPrep, base, 0, 0))
	inner := len(c.active)
	c.declare(s.v, c.reserve(1))
	c.stmts(s.Stmts)
	c.endBlock(inner)
	c.patch(prep, c.pc()+1)
	c.line = s.Line()
	c.patch(c.emit(mkJ(opForLoop, base, 0, 0)), prep+1)
	c.endBlock(nact)
	c.free = base
	c.leaveLoop(l)
}

func (c *compiler) genericFor(s *genericForStmt) {
	base := c.free
	c.exprsTo(s.Exprs, base, 3)
	c.free = base
	c.reserve(3)
	l := c.enterLoop()
	nact := len(c.active)
	c.hidden(base, "(for generator)", "(for state)", "(for control)")
	c.line = s.doLine
	start := c.emit(mkJ(opJmp, 0, 0, 0))
	inner := len(c.active)
	vars := c.reserve(len(s.vars))
	free := c.free
	c.reserve(max(0, 3-len(s.vars))) // the call of the iterator
	c.free = free
	for i, v := range s.vars {
		c.declare(v, vars+i)
	}
	c.stmts(s.Stmts)
	c.endBlock(inner)
	c.patch(start, c.pc())
	c.line = s.exprLine
	c.patch(c.emit(mkJ(opTForCall, base, len(s.vars), 0)), start+1)
	c.patch(c.emit(mkJ(opTForLoop, base, 0, 0)), start+1)
	c.endBlock(nact)
	c.free = base
	c.leaveLoop(l)
}

func (c *compiler) returnStmt(s *ast.ReturnStmt) {
	switch n := len(s.Exprs); {
	case n == 0:
		c.emit(mk(opRet0, 0, 0, 0))
	case n == 1 && !isMulti(s.Exprs[0]):
		r := c.toAny(s.Exprs[0])
		c.line = s.LastLine()
		c.emit(mk(opRet1, r, 0, 0))
	default:
		if call, ok := s.Exprs[0].(*ast.FuncCallExpr); ok && n == 1 {
			base := c.free
			c.call(call, 0)
			i := &c.p.code[len(c.p.code)-1]
			*i = mk(opTailCall, instrA(*i), instrB(*i), 0)
			c.emit(mk(opRet, base, 0, 0))
			return
		}
		base := c.free
		b := n + 1
		for i, e := range s.Exprs {
			if i == n-1 && isMulti(e) {
				c.multi(e, 0)
				b = 0
			} else {
				c.toNext(e)
			}
		}
		c.line = s.LastLine()
		c.emit(mk(opRet, base, b, 0))
	}
}
