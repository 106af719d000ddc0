package vm

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// Limits of LuaJIT.
const (
	maxLocals   = 200
	maxUpvalues = 60
	maxLevels   = 200
)

type parser struct {
	*lexer
	fs *funcScope
	t  *Thread // whom the work is charged to, or nil
}

// parse reads a chunk. Errors are panics of *SyntaxError.
func parse(t *Thread, src, chunkname string) *functionExpr {
	p := &parser{lexer: newLexer(src, chunkname), t: t}
	f := &functionExpr{scope: &funcScope{vararg: true}}
	p.fs = f.scope
	p.enterBlock(false)
	p.advance()
	f.Stmts = p.chunk()
	if p.tok != tkEOF {
		p.expected(tkEOF)
	}
	p.leaveBlock()
	f.SetLine(0)
	f.SetLastLine(p.line)
	f.scope.lastLine = p.lastLine
	return f
}

func (p *parser) expected(tok int) { p.failTok("'" + tokenName(tok) + "' expected") }

func (p *parser) accept(tok int) bool {
	if p.tok == tok {
		p.advance()
		return true
	}
	return false
}

func (p *parser) check(tok int) {
	if p.tok != tok {
		p.expected(tok)
	}
	p.advance()
}

// match expects the token that closes what was opened at a line.
func (p *parser) match(what, who, line int) {
	if p.tok == what {
		p.advance()
		return
	}
	if line == p.line {
		p.expected(what)
	}
	p.failTok("'" + tokenName(what) + "' expected (to close '" + tokenName(who) + "' at line " + strconv.Itoa(line) + ")")
}

// name expects a name; goto is one unless a name follows.
func (p *parser) name() string {
	if p.tok != tkName && p.tok != tkGoto {
		p.expected(tkName)
	}
	s := p.str
	p.advance()
	return s
}

// nodeBytes is about what a node of the tree, and its code, take.
const nodeBytes = 256

func (p *parser) enterLevel() {
	if p.t != nil {
		p.t.Charge(8)
		p.t.chargeString(nodeBytes)
	}
	p.levels++
	if p.levels >= maxLevels {
		p.fail("chunk has too many syntax levels")
	}
}

func (p *parser) limit(n, max int, what string) {
	if n <= max {
		return
	}
	where := "main function"
	if p.fs.line != 0 {
		where = "function at line " + strconv.Itoa(p.fs.line)
	}
	p.fail(where + " has more than " + strconv.Itoa(max) + " " + what)
}

// Scopes.

func (p *parser) enterBlock(loop bool) {
	p.fs.block = &blockScope{parent: p.fs.block, nact: len(p.fs.active), loop: loop}
}

func (p *parser) leaveBlock() {
	b := p.fs.block
	up := b.parent
	p.fs.block = up
	for _, g := range b.gotos {
		if l := b.find(g.Label); l != nil {
			if l.nact > g.nact {
				p.line = g.Line()
				p.fail("<goto " + g.Label + "> jumps into the scope of local '" + p.fs.active[g.nact].name + "'")
			}
			g.target = l
			continue
		}
		if up == nil {
			p.line = g.Line()
			p.fail("undefined label '" + g.Label + "'")
		}
		g.nact = min(g.nact, b.nact)
		up.gotos = append(up.gotos, g)
	}
	if len(b.breaks) > 0 {
		if up == nil {
			p.line = b.breaks[0]
			p.fail("no loop to break")
		}
		up.breaks = append(up.breaks, b.breaks...)
	}
	p.fs.active = p.fs.active[:b.nact]
}

func (b *blockScope) find(name string) *label {
	for _, l := range b.labels {
		if l.name == name {
			return l
		}
	}
	return nil
}

func (p *parser) declare(vars ...*variable) {
	p.fs.active = append(p.fs.active, vars...)
}

// newVar makes a variable that declare activates later; pending is how many
// wait already.
func (p *parser) newVar(name string, pending int) *variable {
	p.limit(len(p.fs.active)+pending+1, maxLocals, "local variables")
	return &variable{name: name}
}

func (fs *funcScope) local(name string) *variable {
	for i := len(fs.active) - 1; i >= 0; i-- {
		if fs.active[i].name == name {
			return fs.active[i]
		}
	}
	return nil
}

// upvalue returns the index of the upvalue for a name, -1 for a global.
func (p *parser) upvalue(fs *funcScope, name string) int {
	up := fs.parent
	if up == nil {
		return -1
	}
	if v := up.local(name); v != nil {
		v.captured = true
		for i, w := range fs.upVars {
			if w == v {
				return i
			}
		}
		return p.addUpvalue(fs, name, v, 0)
	}
	i := p.upvalue(up, name)
	if i < 0 {
		return -1
	}
	for j, d := range fs.upDesc {
		if !d.fromStack && int(d.index) == i {
			return j
		}
	}
	return p.addUpvalue(fs, name, nil, i)
}

func (p *parser) addUpvalue(fs *funcScope, name string, v *variable, i int) int {
	cur := p.fs
	p.fs = fs
	p.limit(len(fs.upDesc)+1, maxUpvalues, "upvalues")
	p.fs = cur
	fs.upDesc = append(fs.upDesc, upDesc{fromStack: v != nil, index: uint8(i)})
	fs.upVars = append(fs.upVars, v)
	fs.upNames = append(fs.upNames, name)
	return len(fs.upDesc) - 1
}

func (p *parser) resolve(name string, line int) ast.Expr {
	var e ast.Expr
	if v := p.fs.local(name); v != nil {
		l := &localExpr{v: v}
		l.Value = name
		e = l
	} else if i := p.upvalue(p.fs, name); i >= 0 {
		u := &upvalueExpr{index: i}
		u.Value = name
		e = u
	} else {
		e = &ast.IdentExpr{Value: name}
	}
	return at(e, line, line)
}

// at sets the lines of a node: where it starts, and the line of its last token.
func at[N ast.PositionHolder](n N, line, last int) N {
	n.SetLine(line)
	n.SetLastLine(last)
	return n
}

// Statements.

func (p *parser) blockEnd() bool {
	switch p.tok {
	case tkElse, tkElseif, tkEnd, tkUntil, tkEOF:
		return true
	}
	return false
}

func (p *parser) chunk() []ast.Stmt {
	p.enterLevel()
	var list []ast.Stmt
	trailing := 0 // labels since the last other statement
	for last := false; !last && !p.blockEnd(); {
		line := p.line
		var s ast.Stmt
		s, last = p.statement()
		if s.Line() == 0 {
			s.SetLine(line)
		}
		s.SetLastLine(p.lastLine)
		list = append(list, s)
		trailing++
		if _, ok := s.(*labelStmt); !ok || p.tok == ';' {
			trailing = 0
		}
		p.accept(';')
	}
	if p.tok != tkUntil {
		// A label at the end of its block is outside of the block's variables.
		b := p.fs.block
		for _, l := range b.labels[len(b.labels)-trailing:] {
			l.nact = b.nact
		}
	}
	p.levels--
	return list
}

func (p *parser) blockStmts(loop bool) []ast.Stmt {
	p.enterBlock(loop)
	list := p.chunk()
	p.leaveBlock()
	return list
}

// statement reads one statement; last says that none may follow.
func (p *parser) statement() (s ast.Stmt, last bool) {
	line := p.line
	switch p.tok {
	case tkIf:
		return p.ifStmt(line), false
	case tkWhile:
		p.advance()
		w := &ast.WhileStmt{Condition: p.expr()}
		p.check(tkDo)
		w.Stmts = p.blockStmts(true)
		p.match(tkEnd, tkWhile, line)
		return w, false
	case tkDo:
		p.advance()
		d := &ast.DoBlockStmt{Stmts: p.blockStmts(false)}
		p.match(tkEnd, tkDo, line)
		return d, false
	case tkFor:
		return p.forStmt(line), false
	case tkRepeat:
		return p.repeatStmt(line), false
	case tkFunction:
		return p.functionStmt(line), false
	case tkLocal:
		p.advance()
		if p.accept(tkFunction) {
			return p.localFunction(line), false
		}
		return p.localStmt(), false
	case tkReturn:
		p.advance()
		r := &ast.ReturnStmt{}
		if !p.blockEnd() && p.tok != ';' {
			r.Exprs = p.exprList()
		}
		return r, true
	case tkBreak:
		p.advance()
		in := false
		for b := p.fs.block; b != nil; b = b.parent {
			in = in || b.loop
		}
		if !in {
			p.fs.block.breaks = append(p.fs.block.breaks, line)
		}
		return &ast.BreakStmt{}, true
	case tkLabel:
		return p.labelStmt(), false
	case tkGoto:
		if p.peek() == tkName {
			p.advance()
			g := &gotoStmt{nact: len(p.fs.active)}
			g.SetLine(p.line)
			g.Label = p.name()
			p.fs.block.gotos = append(p.fs.block.gotos, g)
			return g, false
		}
	}
	return p.exprStmt(), false
}

func (p *parser) ifStmt(line int) ast.Stmt {
	p.advance()
	head := &ast.IfStmt{Condition: p.expr()}
	p.check(tkThen)
	head.Then = p.blockStmts(false)
	head.SetLine(line)
	cur := head
	for p.tok == tkElseif {
		l := p.line
		p.advance()
		n := at(&ast.IfStmt{Condition: p.expr()}, l, l)
		p.check(tkThen)
		n.Then = p.blockStmts(false)
		cur.Else = []ast.Stmt{n}
		cur = n
	}
	if p.accept(tkElse) {
		cur.Else = p.blockStmts(false)
	}
	p.match(tkEnd, tkIf, line)
	return head
}

func (p *parser) forStmt(line int) ast.Stmt {
	p.advance()
	name := p.name()
	var s ast.Stmt
	switch p.tok {
	case '=':
		s = p.numberFor(name, line)
	case ',', tkIn:
		s = p.genericFor(name, line)
	default:
		p.failTok("'=' or 'in' expected")
	}
	p.match(tkEnd, tkFor, line)
	return s
}

// hidden adds the unnamed variables of a loop to the scope.
func (p *parser) hidden(names ...string) {
	for _, n := range names {
		p.declare(p.newVar(n, 0))
	}
}

func (p *parser) numberFor(name string, line int) ast.Stmt {
	f := at(&numberForStmt{}, line, line)
	p.advance()
	f.Name = name
	f.Init = p.expr()
	p.check(',')
	f.Limit = p.expr()
	if p.accept(',') {
		f.Step = p.expr()
	}
	p.enterBlock(true)
	p.hidden("(for index)", "(for limit)", "(for step)")
	f.doLine = p.line
	p.check(tkDo)
	p.enterBlock(false)
	f.v = p.newVar(name, 0)
	p.declare(f.v)
	f.Stmts = p.chunk()
	p.leaveBlock()
	p.leaveBlock()
	return f
}

func (p *parser) genericFor(name string, line int) ast.Stmt {
	f := at(&genericForStmt{}, line, line)
	f.Names = []string{name}
	for p.accept(',') {
		f.Names = append(f.Names, p.name())
	}
	if p.tok != tkIn {
		p.expected(tkIn)
	}
	p.advance()
	f.exprLine = p.line
	f.Exprs = p.exprList()
	p.enterBlock(true)
	p.hidden("(for generator)", "(for state)", "(for control)")
	f.doLine = p.line
	p.check(tkDo)
	p.enterBlock(false)
	for i, n := range f.Names {
		f.vars = append(f.vars, p.newVar(n, i))
	}
	p.declare(f.vars...)
	f.Stmts = p.chunk()
	p.leaveBlock()
	p.leaveBlock()
	return f
}

func (p *parser) repeatStmt(line int) ast.Stmt {
	p.advance()
	r := &ast.RepeatStmt{}
	p.enterBlock(true)
	p.enterBlock(false)
	r.Stmts = p.chunk()
	p.match(tkUntil, tkRepeat, line)
	r.Condition = p.expr()
	p.leaveBlock()
	p.leaveBlock()
	return r
}

func (p *parser) functionStmt(line int) ast.Stmt {
	p.advance()
	l := p.line
	fn := &ast.FuncName{Func: p.resolve(p.name(), l)}
	for p.tok == '.' {
		p.advance()
		l := p.line
		fn.Func = at(&ast.AttrGetExpr{Object: fn.Func, Key: p.stringExpr(p.name(), l)}, l, l)
	}
	method := p.accept(':')
	if method {
		fn.Receiver = fn.Func
		fn.Func = nil
		fn.Method = p.name()
	}
	f := p.funcBody(method, line)
	return &functionDefStmt{FuncDefStmt: ast.FuncDefStmt{Name: fn}, f: f}
}

// functionDefStmt is "function a.b:c() … end".
type functionDefStmt struct {
	ast.FuncDefStmt
	f *functionExpr
}

func (p *parser) localFunction(line int) ast.Stmt {
	s := &localFunctionStmt{}
	name := p.name()
	s.Names = []string{name}
	s.v = p.newVar(name, 0)
	p.declare(s.v)
	s.f = p.funcBody(false, line)
	return s
}

func (p *parser) localStmt() ast.Stmt {
	s := &localStmt{}
	for {
		name := p.name()
		s.vars = append(s.vars, p.newVar(name, len(s.vars)))
		s.Names = append(s.Names, name)
		if !p.accept(',') {
			break
		}
	}
	if p.accept('=') {
		s.Exprs = p.exprList()
	}
	p.declare(s.vars...)
	return s
}

func (p *parser) labelStmt() ast.Stmt {
	p.advance()
	s := &labelStmt{label: &label{}}
	s.label.name = p.name()
	s.Name = s.label.name
	if p.fs.block.find(s.Name) != nil {
		p.fail("duplicate label '" + s.Name + "'")
	}
	p.check(tkLabel)
	s.label.nact = len(p.fs.active)
	p.fs.block.labels = append(p.fs.block.labels, s.label)
	return s
}

// exprStmt reads an assignment or a call.
func (p *parser) exprStmt() ast.Stmt {
	line := p.line
	e := p.suffixed()
	if c, ok := e.(*ast.FuncCallExpr); ok && !c.AdjustRet {
		return at(&ast.FuncCallStmt{Expr: e}, line, line)
	}
	s := at(&ast.AssignStmt{}, line, line)
	for {
		switch e.(type) {
		case *localExpr, *upvalueExpr, *ast.IdentExpr, *ast.AttrGetExpr:
		default:
			p.failTok("syntax error")
		}
		s.Lhs = append(s.Lhs, e)
		if !p.accept(',') {
			break
		}
		p.limit(p.levels+len(s.Lhs)+1, maxLevels, "variable names")
		e = p.suffixed()
		if _, ok := e.(*ast.FuncCallExpr); ok {
			p.failTok("syntax error")
		}
	}
	if p.tok != '=' {
		p.expected('=')
	}
	p.advance()
	s.Rhs = p.exprList()
	return s
}
