package vm

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

func itoa(i int) string { return strconv.Itoa(i) }

// loadConst loads a constant into register r.
func (c *compiler) loadConst(v Value, r int) {
	if v.p == nil {
		c.emit(mk(opLoadNil, r, r, 0))
		return
	}
	k, _ := c.constant(v)
	c.emit(mkJ(opLoadK, r, 0, k))
}

// toNext evaluates e into a new register.
func (c *compiler) toNext(e ast.Expr) int {
	r := c.free
	switch e.(type) {
	case *ast.FuncCallExpr, *ast.Comma3Expr:
		c.multi(e, 2)
		c.free = r
		c.reserve(1)
		return r
	}
	c.reserve(1)
	c.toReg(e, r)
	c.free = r + 1
	return r
}

// toAny evaluates e into some register: a variable stays where it is.
func (c *compiler) toAny(e ast.Expr) int {
	switch x := e.(type) {
	case *localExpr:
		return x.v.reg
	case *parenExpr:
		return c.toAny(x.e)
	}
	return c.toNext(e)
}

// operand evaluates e for an instruction that writes register r: like toAny, but
// r serves as well if it is the last temporary, so that a.b.c… and a+b+c… need no
// more of them.
func (c *compiler) operand(e ast.Expr, r int) int {
	switch e.(type) {
	case *localExpr, *parenExpr:
		return c.toAny(e)
	}
	if r == c.free-1 && !c.isVar(r) {
		c.free = r
	}
	return c.toNext(e)
}

// isVar reports whether r belongs to a variable rather than to an expression.
func (c *compiler) isVar(r int) bool {
	n := len(c.active)
	return n > 0 && r <= c.active[n-1].reg
}

// toReg evaluates e into register r. If r is a variable's, it is written last,
// when no operand is needed any more.
func (c *compiler) toReg(e ast.Expr, r int) {
	free := c.free
	switch e := e.(type) {
	case *ast.NilExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.StringExpr, *numberExpr:
		v, _ := c.constantOf(e)
		c.line = e.LastLine()
		c.loadConst(v, r)
	case *parenExpr:
		c.toReg(e.e, r)
	case *localExpr:
		if e.v.reg != r {
			c.line = e.LastLine()
			c.emit(mk(opMove, r, e.v.reg, 0))
		}
	case *upvalueExpr:
		c.line = e.LastLine()
		c.emit(mk(opGetUp, r, e.index, 0))
	case *ast.IdentExpr:
		c.line = e.LastLine()
		k, _ := c.constant(c.m.intern(e.Value).value())
		c.emit(mkJ(opGetG, r, 0, k))
	case *ast.AttrGetExpr:
		obj := c.operand(e.Object, r)
		key := c.keyOperand(e.Key)
		c.line = e.LastLine()
		c.emit(mk([...]opcode{opGet, opGetF, opGetI}[key.kind], r, obj, key.n))
	case *ast.FuncCallExpr, *ast.Comma3Expr:
		c.multiOne(e, r)
	case *functionExpr:
		c.closure(e, r)
	case *ast.TableExpr:
		c.table(e, r)
	case *ast.LogicalOpExpr:
		out := c.valueOrJump(e.Lhs, r, e.Operator == "or")
		c.toReg(e.Rhs, r)
		c.patchHere(out)
	case *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
		yes := c.condJump(e, true)
		c.emit(mk(opFalseSkip, r, 0, 0))
		c.patchHere(yes)
		c.loadConst(True, r)
	case *ast.StringConcatOpExpr:
		c.concat(e, r)
	case *ast.ArithmeticOpExpr:
		c.arith(e, r)
	case *ast.UnaryMinusOpExpr:
		c.unary(opUnm, e.Expr, r, e.LastLine())
	case *ast.UnaryLenOpExpr:
		c.unary(opLen, e.Expr, r, e.LastLine())
	}
	c.free = free
}

func (c *compiler) unary(op opcode, e ast.Expr, r, line int) {
	x := c.operand(e, r)
	c.line = line
	c.emit(mk(op, r, x, 0))
}

// multiOne evaluates a call or ... for one value.
func (c *compiler) multiOne(e ast.Expr, r int) {
	t := c.free
	c.multi(e, 2)
	c.free = t
	c.reserve(1)
	if t != r {
		c.emit(mk(opMove, r, t, 0))
	}
}

func (c *compiler) closure(f *functionExpr, r int) {
	p := c.m.compileFunc(c, f, c.p.source)
	c.p.protos = append(c.p.protos, p)
	c.line = f.LastLine()
	c.emit(mkJ(opClosure, r, 0, len(c.p.protos)-1))
}

func (c *compiler) concat(e *ast.StringConcatOpExpr, r int) {
	base := c.free
	var x ast.Expr = e
	for {
		cc, ok := x.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		c.toNext(cc.Lhs)
		x = cc.Rhs
	}
	last := c.toNext(x)
	c.line = e.LastLine()
	c.emit(mk(opConcat, r, base, last))
}

func arithOps(operator string) opcode {
	switch operator {
	case "+":
		return opAdd
	case "-":
		return opSub
	case "*":
		return opMul
	case "/":
		return opDiv
	case "%":
		return opMod
	}
	return opPow
}

// numConst returns the operand of a numeric constant.
func (c *compiler) numConst(e ast.Expr) (int, bool) {
	v, ok := c.constantOf(e)
	if !ok || !v.isNum() {
		return 0, false
	}
	return c.constant(v)
}

func (c *compiler) arith(e *ast.ArithmeticOpExpr, r int) {
	op := arithOps(e.Operator)
	if k, ok := c.numConst(e.Rhs); ok {
		x := c.operand(e.Lhs, r)
		c.line = e.LastLine()
		c.emit(mk(op+opAddRK-opAdd, r, x, k))
		return
	}
	if k, ok := c.numConst(e.Lhs); ok {
		x := c.operand(e.Rhs, r)
		c.line = e.LastLine()
		c.emit(mk(op+opAddKR-opAdd, r, k, x))
		return
	}
	x := c.operand(e.Lhs, r)
	y := c.toAny(e.Rhs)
	c.line = e.LastLine()
	c.emit(mk(op, r, x, y))
}

// table compiles a constructor; a variable's register gets it at the end.
func (c *compiler) table(e *ast.TableExpr, dst int) {
	r := dst
	if c.isVar(dst) {
		r = c.reserve(1)
	} else if r != c.free-1 {
		r = c.reserve(1)
	}
	c.line = e.Line()
	narr, nhash := 0, 0
	for _, f := range e.Fields {
		if f.Key == nil {
			narr++
		} else {
			nhash++
		}
	}
	if n := len(e.Fields); n > 0 && e.Fields[n-1].Key == nil && isMulti(e.Fields[n-1].Value) {
		narr--
	}
	c.emit(mk(opNewTable, r, min(narr, 0xFFFF), min(nhash, 0xFFFF)))
	const batch = 50
	pending, done := 0, 0
	flush := func(b int) {
		c.emit(mkJ(opSetList, r, b, done))
		done += pending
		pending = 0
		c.free = r + 1
	}
	for i, f := range e.Fields {
		if f.Key != nil {
			c.tableField(f, r)
			continue
		}
		if i == len(e.Fields)-1 && isMulti(f.Value) {
			c.multi(f.Value, 0)
			flush(0)
			break
		}
		c.toNext(f.Value)
		if pending++; pending == batch {
			flush(pending)
		}
	}
	if pending > 0 {
		flush(pending)
	}
	if r != dst {
		c.emit(mk(opMove, dst, r, 0))
	}
}

func (c *compiler) tableField(f *ast.Field, r int) {
	free := c.free
	pl := place{obj: r, key: c.keyOperand(f.Key)}
	c.line = f.Value.LastLine()
	if v, ok := c.constantOf(f.Value); ok {
		if k, ok := c.constant(v); ok {
			c.storeConst(pl, k)
			c.free = free
			return
		}
	}
	x := c.toAny(f.Value)
	c.store(pl, x)
	c.free = free
}

// call compiles a call whose function and results start at c.free.
func (c *compiler) call(e *ast.FuncCallExpr, results int) {
	base := c.free
	n := 0
	if e.Receiver != nil {
		obj := c.toAny(e.Receiver)
		c.free = base
		c.reserve(2)
		k, ok := c.constant(c.m.intern(e.Method).value())
		c.line = e.Func.LastLine()
		if ok {
			c.emit(mk(opSelf, base, obj, k))
		} else {
			c.emit(mk(opMove, base+1, obj, 0))
			c.emit(mkJ(opLoadK, base, 0, k))
			c.emit(mk(opGet, base, base+1, base))
		}
		n = 1
	} else {
		c.toNext(e.Func)
	}
	b := -1
	for i, a := range e.Args {
		if i == len(e.Args)-1 && isMulti(a) {
			c.multi(a, 0)
			b = 0
			break
		}
		c.toNext(a)
		n++
	}
	if b < 0 {
		b = n + 1
	}
	c.line = e.Line()
	c.emit(mk(opCall, base, b, results))
	c.free = base
	if results > 1 {
		c.reserve(results - 1)
		c.free = base
	}
}

// Conditions.

// condJump compiles a jump that is taken if the truth of e is cond; it falls
// through otherwise. The result is the list of jumps to patch.
func (c *compiler) condJump(e ast.Expr, cond bool) []int {
	free := c.free
	defer func() { c.free = free }()
	if v, ok := c.constantOf(e); ok {
		if v.falsy() == cond {
			return nil
		}
		return []int{c.emit(mkJ(opJmp, 0, 0, 0))}
	}
	switch x := e.(type) {
	case *parenExpr:
		return c.condJump(x.e, cond)
	case *ast.UnaryNotOpExpr:
		return c.condJump(x.Expr, !cond)
	case *ast.LogicalOpExpr:
		if (x.Operator == "or") == cond {
			a := c.condJump(x.Lhs, cond)
			return append(a, c.condJump(x.Rhs, cond)...)
		}
		skip := c.condJump(x.Lhs, !cond)
		out := c.condJump(x.Rhs, cond)
		c.patchHere(skip)
		return out
	case *ast.RelationalOpExpr:
		return []int{c.compare(x, cond)}
	}
	r := c.toAny(e)
	c.line = e.LastLine()
	op := opJF
	if cond {
		op = opJT
	}
	return []int{c.emit(mkJ(op, r, 0, 0))}
}

// compare emits a fused comparison and jump.
func (c *compiler) compare(e *ast.RelationalOpExpr, cond bool) int {
	line := e.LastLine()
	neg := opcode(1)
	if cond {
		neg = 0
	}
	emit := func(op opcode, a, b int) int {
		c.line = line
		return c.emit(mkJ(op+neg, a, b, 0))
	}
	switch e.Operator {
	case "~=", "==":
		if e.Operator == "~=" {
			neg ^= 1
		}
		lhs, rhs := e.Lhs, e.Rhs
		if _, ok := c.constantOf(lhs); ok {
			lhs, rhs = rhs, lhs
		}
		if v, ok := c.constantOf(rhs); ok && v.n != tagCData {
			if k, ok := c.constant(v); ok {
				return emit(opJEqK, c.toAny(lhs), k)
			}
		}
		a := c.toAny(e.Lhs)
		return emit(opJEq, a, c.toAny(e.Rhs))
	}
	// a > b is b < a, and with a constant has an instruction of its own.
	ltK, kLt := opJLtK, opJGtK
	op := opJLt
	if e.Operator == "<=" || e.Operator == ">=" {
		ltK, kLt, op = opJLeK, opJGeK, opJLe
	}
	greater := e.Operator == ">" || e.Operator == ">="
	if greater {
		ltK, kLt = kLt, ltK
	}
	if k, ok := c.numConst(e.Rhs); ok {
		return emit(ltK, c.toAny(e.Lhs), k)
	}
	if k, ok := c.numConst(e.Lhs); ok {
		return emit(kLt, c.toAny(e.Rhs), k)
	}
	a := c.toAny(e.Lhs)
	b := c.toAny(e.Rhs)
	if greater {
		a, b = b, a
	}
	return emit(op, a, b)
}

// valueOrJump evaluates e; if its truth is cond the value goes to r and a jump
// of the result list is taken, otherwise it falls through and r, if it is a
// variable's, is unchanged.
func (c *compiler) valueOrJump(e ast.Expr, r int, cond bool) []int {
	free := c.free
	defer func() { c.free = free }()
	switch x := e.(type) {
	case *parenExpr:
		return c.valueOrJump(x.e, r, cond)
	case *ast.LogicalOpExpr:
		if (x.Operator == "or") == cond {
			a := c.valueOrJump(x.Lhs, r, cond)
			return append(a, c.valueOrJump(x.Rhs, r, cond)...)
		}
		skip := c.condJump(x.Lhs, !cond)
		out := c.valueOrJump(x.Rhs, r, cond)
		c.patchHere(skip)
		return out
	case *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
		skip := c.condJump(e, !cond)
		c.loadConst(Bool(cond), r)
		out := c.emit(mkJ(opJmp, 0, 0, 0))
		c.patchHere(skip)
		return []int{out}
	}
	if v, ok := c.constantOf(e); ok {
		if v.falsy() == cond {
			return nil
		}
		c.line = e.LastLine()
		c.loadConst(v, r)
		return []int{c.emit(mkJ(opJmp, 0, 0, 0))}
	}
	var x int
	if l, ok := e.(*localExpr); ok || c.isVar(r) {
		if ok {
			x = l.v.reg
		} else {
			x = c.toNext(e)
		}
		op := opJFS
		if cond {
			op = opJTS
		}
		c.line = e.LastLine()
		return []int{c.emit(mkJ(op, r, x, 0))}
	}
	c.toReg(e, r)
	op := opJF
	if cond {
		op = opJT
	}
	c.line = e.LastLine()
	return []int{c.emit(mkJ(op, r, 0, 0))}
}
