package vm

import "github.com/yuin/gopher-lua/ast"

// The nodes below embed those of gopher-lua's ast package and add what the
// parser found out while reading: resolved names, values of literals, targets
// of jumps.

// variable is a local variable.
type variable struct {
	name     string
	captured bool // some inner function uses it
	reg      int  // given by the compiler
}

// localExpr is the use of a local variable of the same function.
type localExpr struct {
	ast.IdentExpr
	v *variable
}

// upvalueExpr is the use of a variable of an enclosing function.
type upvalueExpr struct {
	ast.IdentExpr
	index int
}

// numberExpr is a numeral; value is a number or a boxed 64-bit or complex one.
type numberExpr struct {
	ast.NumberExpr
	value Value
}

// functionExpr is a function body with its scope.
type functionExpr struct {
	ast.FunctionExpr
	scope *funcScope
}

// localStmt is "local names = exprs".
type localStmt struct {
	ast.LocalAssignStmt
	vars []*variable
}

// localFunctionStmt is "local function name".
type localFunctionStmt struct {
	ast.LocalAssignStmt
	v *variable
	f *functionExpr
}

// numberForStmt and genericForStmt are the loops with their variables, and the
// lines where errors of the loop itself are.
type numberForStmt struct {
	ast.NumberForStmt
	v      *variable
	doLine int
}

type genericForStmt struct {
	ast.GenericForStmt
	vars     []*variable
	exprLine int // of the first expression
	doLine   int
}

// label is a place that goto statements jump to.
type label struct {
	name string
	// nact is the number of variables that are alive at the label.
	nact int
}

type labelStmt struct {
	ast.LabelStmt
	label *label
}

type gotoStmt struct {
	ast.GotoStmt
	target *label
	nact   int
}

// funcScope is a function while it is parsed, and afterwards what the compiler
// needs to know of it.
type funcScope struct {
	parent   *funcScope
	block    *blockScope
	active   []*variable
	upDesc   []upDesc
	upVars   []*variable // the variables of the parent, for upDesc with fromStack
	upNames  []string
	vararg   bool
	line     int
	lastLine int // of the last token
	params   []*variable
}

type blockScope struct {
	parent *blockScope
	nact   int
	loop   bool
	labels []*label
	gotos  []*gotoStmt
	breaks []int // lines of break statements outside of loops
}
