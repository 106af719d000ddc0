package vm

import "github.com/yuin/gopher-lua/ast"

// parenExpr is an expression in parentheses that is more than that: it can
// not be assigned to.
type parenExpr struct {
	ast.ExprBase
	e ast.Expr
}

func (p *parser) exprList() []ast.Expr {
	list := []ast.Expr{p.expr()}
	for p.accept(',') {
		list = append(list, p.expr())
	}
	return list
}

func (p *parser) expr() ast.Expr { return p.binary(0) }

// Priorities of binary operators, left and right.
func binaryPriority(tok int) (left, right int) {
	switch tok {
	case tkOr:
		return 1, 1
	case tkAnd:
		return 2, 2
	case '<', '>', tkLe, tkGe, tkNe, tkEq:
		return 3, 3
	case tkConcat:
		return 5, 4
	case '+', '-':
		return 6, 6
	case '*', '/', '%':
		return 7, 7
	case '^':
		return 10, 9
	}
	return 0, 0
}

const unaryPriority = 8

// binary reads an expression of operators that bind tighter than limit.
func (p *parser) binary(limit int) ast.Expr {
	p.enterLevel()
	e := p.unary()
	for {
		op := p.tok
		left, right := binaryPriority(op)
		if left <= limit {
			break
		}
		p.advance()
		line := p.lastLine
		e = p.makeBinary(op, e, p.binary(right), line)
	}
	p.levels--
	return e
}

func (p *parser) makeBinary(op int, a, b ast.Expr, line int) ast.Expr {
	name := tokenName(op)
	last := b.LastLine()
	switch op {
	case tkOr, tkAnd:
		if truth, ok := constantTruth(a); ok && truth == (op == tkAnd) {
			return single(b, last)
		}
		return at(&ast.LogicalOpExpr{Operator: name, Lhs: a, Rhs: b}, line, last)
	case '<', '>', tkLe, tkGe, tkNe, tkEq:
		return at(&ast.RelationalOpExpr{Operator: name, Lhs: a, Rhs: b}, line, last)
	case tkConcat:
		return at(&ast.StringConcatOpExpr{Lhs: a, Rhs: b}, line, last)
	}
	if x, ok := a.(*numberExpr); ok {
		if y, ok := b.(*numberExpr); ok {
			if v, ok := foldArith(op, x.value, y.value); ok {
				return at(&numberExpr{value: v}, line, last)
			}
		}
	}
	return at(&ast.ArithmeticOpExpr{Operator: name, Lhs: a, Rhs: b}, line, last)
}

// constantTruth reports whether an expression is a constant, and its truth.
func constantTruth(e ast.Expr) (truth, ok bool) {
	switch e := e.(type) {
	case *ast.NilExpr, *ast.FalseExpr:
		return false, true
	case *ast.TrueExpr, *ast.StringExpr, *numberExpr:
		return true, true
	case *parenExpr:
		return constantTruth(e.e)
	}
	return false, false
}

// single is an expression for one value that cannot be assigned to.
func single(e ast.Expr, last int) ast.Expr {
	switch x := e.(type) {
	case *ast.FuncCallExpr:
		if !x.AdjustRet {
			c := *x
			c.AdjustRet = true
			c.SetLastLine(last)
			return &c
		}
	case *ast.Comma3Expr:
		return at(&ast.Comma3Expr{AdjustRet: true}, x.Line(), last)
	}
	return at(&parenExpr{e: e}, e.Line(), last)
}

// foldArith computes constant arithmetic, but not where the result is NaN or
// -0, as LuaJIT.
func foldArith(op int, a, b Value) (Value, bool) {
	if !a.isNum() || !b.isNum() {
		return Nil, false
	}
	f := arith(arithEvent(op), a.float(), b.float())
	v := num(f)
	return v, f == f && v.n != 1<<63
}

func arithEvent(op int) event {
	switch op {
	case '+':
		return evAdd
	case '-':
		return evSub
	case '*':
		return evMul
	case '/':
		return evDiv
	case '%':
		return evMod
	}
	return evPow
}

func (p *parser) unary() ast.Expr {
	line := p.line
	op := p.tok
	switch op {
	case tkNot, '-', '#':
		p.advance()
	default:
		return p.simple()
	}
	e := p.binary(unaryPriority)
	last := e.LastLine()
	switch op {
	case tkNot:
		return at(&ast.UnaryNotOpExpr{Expr: e}, line, last)
	case '#':
		return at(&ast.UnaryLenOpExpr{Expr: e}, line, last)
	}
	if n, ok := e.(*numberExpr); ok {
		if n.value.isNum() && n.value.float() != 0 {
			return at(&numberExpr{value: num(-n.value.float())}, line, last)
		}
		if c, ok := n.value.AsCData(); ok {
			neg := *c
			neg.Bits, neg.Im = -c.Bits, -c.Im // as LuaJIT, not the real part
			return at(&numberExpr{value: neg.Value()}, line, last)
		}
	}
	return at(&ast.UnaryMinusOpExpr{Expr: e}, line, last)
}

func (p *parser) stringExpr(s string, line int) ast.Expr {
	return at(&ast.StringExpr{Value: s}, line, line)
}

func (p *parser) simple() ast.Expr {
	line := p.line
	var e ast.Expr
	switch p.tok {
	case tkNumber:
		e = &numberExpr{value: p.num, NumberExpr: ast.NumberExpr{Value: p.text}}
	case tkString:
		e = &ast.StringExpr{Value: p.str}
	case tkNil:
		e = &ast.NilExpr{}
	case tkTrue:
		e = &ast.TrueExpr{}
	case tkFalse:
		e = &ast.FalseExpr{}
	case tkDots:
		if !p.fs.vararg {
			p.failTok("cannot use '...' outside a vararg function")
		}
		e = &ast.Comma3Expr{}
	case '{':
		return p.table()
	case tkFunction:
		p.advance()
		return p.funcBody(false, line)
	default:
		return p.suffixed()
	}
	p.advance()
	return at(e, line, line)
}

func (p *parser) primary() ast.Expr {
	line := p.line
	switch p.tok {
	case '(':
		p.advance()
		e := p.expr()
		p.match(')', '(', line)
		return single(e, p.lastLine)
	case tkName, tkGoto:
		return p.resolve(p.name(), line)
	}
	p.failTok("unexpected symbol")
	return nil
}

// suffixed reads a variable or call with all its suffixes.
func (p *parser) suffixed() ast.Expr {
	e := p.primary()
	for {
		line := p.line
		switch p.tok {
		case '.':
			p.advance()
			l := p.line
			e = at(&ast.AttrGetExpr{Object: e, Key: p.stringExpr(p.name(), l)}, l, p.lastLine)
		case '[':
			p.advance()
			k := p.expr()
			p.check(']')
			e = at(&ast.AttrGetExpr{Object: e, Key: k}, line, p.lastLine)
		case ':':
			p.advance()
			c := &ast.FuncCallExpr{Receiver: e, Method: p.name()}
			c.SetLine(p.line)
			// The lookup of the method belongs to the line of its name.
			c.Func = at(&ast.StringExpr{Value: c.Method}, p.lastLine, p.lastLine)
			p.args(c)
			e = c
		case '(', tkString, '{':
			c := &ast.FuncCallExpr{Func: e}
			c.SetLine(line)
			p.args(c)
			e = c
		default:
			return e
		}
	}
}

func (p *parser) args(c *ast.FuncCallExpr) {
	line := p.line
	switch p.tok {
	case '(':
		if line != p.lastLine {
			p.failTok("ambiguous syntax (function call x new statement)")
		}
		p.advance()
		if p.tok != ')' {
			c.Args = p.exprList()
		}
		p.match(')', '(', line)
	case '{':
		c.Args = []ast.Expr{p.table()}
	case tkString:
		c.Args = []ast.Expr{p.stringExpr(p.str, line)}
		p.advance()
	default:
		p.failTok("function arguments expected")
	}
	c.SetLastLine(p.lastLine)
}

func (p *parser) table() ast.Expr {
	line := p.line
	t := &ast.TableExpr{}
	p.check('{')
	for p.tok != '}' {
		f := &ast.Field{}
		switch {
		case p.tok == '[':
			p.advance()
			f.Key = p.expr()
			p.check(']')
			p.check('=')
		case (p.tok == tkName || p.tok == tkGoto) && p.peek() == '=':
			l := p.line
			f.Key = p.stringExpr(p.name(), l)
			p.check('=')
		}
		f.Value = p.expr()
		t.Fields = append(t.Fields, f)
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.match('}', '{', line)
	return at(t, line, p.lastLine)
}

func (p *parser) funcBody(method bool, line int) *functionExpr {
	f := &functionExpr{scope: &funcScope{parent: p.fs, line: line}}
	p.fs = f.scope
	p.enterBlock(false)
	if method {
		f.scope.params = append(f.scope.params, p.newVar("self", 0))
	}
	p.check('(')
	if p.tok != ')' {
		for {
			if p.tok == tkDots {
				p.advance()
				f.scope.vararg = true
				break
			}
			if p.tok != tkName && p.tok != tkGoto {
				p.failTok("<name> or '...' expected")
			}
			f.scope.params = append(f.scope.params, p.newVar(p.str, len(f.scope.params)))
			p.advance()
			if !p.accept(',') {
				break
			}
		}
	}
	p.check(')')
	f.ParList = &ast.ParList{HasVargs: f.scope.vararg}
	for _, v := range f.scope.params {
		f.ParList.Names = append(f.ParList.Names, v.name)
	}
	p.declare(f.scope.params...)
	f.Stmts = p.chunk()
	last := p.line
	f.scope.lastLine = last
	if p.tok != tkEnd {
		p.match(tkEnd, tkFunction, line)
	}
	p.leaveBlock()
	p.fs = f.scope.parent
	p.advance()
	return at(f, line, last)
}
