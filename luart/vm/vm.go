package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// VM is a Lua state: globals, registry, metatables of the basic types. One
// goroutine at a time may use a VM and its threads.
type VM struct {
	globals  *Table
	registry *Table
	main     *Thread
	spare    []stacks
	interned map[string]*lstring
	recent   *recentStrings
	typeMeta [TypeCData + 1]*Table

	// budget falls by one at each call and back-edge.
	budget      int64
	budgetEvery int64
	budgetHook  func(t *Thread) error

	libState
	fnNext, fnIpairsIter *Function
	memory               memory
	finalizers           finalizers
	weak                 weakTables
}

// New returns a VM with the standard library opened.
func New() *VM {
	m := &VM{
		globals:     newTable(0, 64),
		registry:    newTable(0, 8),
		interned:    make(map[string]*lstring),
		budget:      noBudget,
		budgetEvery: noBudget,
	}
	m.internEvents()
	m.main = m.NewThread()
	m.main.isMain = true
	m.openLibs()
	return m
}

const noBudget = 1 << 62

// Globals returns the table of global variables.
func (m *VM) Globals() *Table { return m.globals }

// Registry returns a table that Lua code cannot see.
func (m *VM) Registry() *Table { return m.registry }

// Main returns the main thread.
func (m *VM) Main() *Thread { return m.main }

// NewTable returns a table with room for narr elements of the array part and
// nhash others.
func (m *VM) NewTable(narr, nhash int) *Table { return newTable(narr, nhash) }

// NewUserdata returns a userdata with an optional metatable.
func (m *VM) NewUserdata(data any, mt *Table) *Userdata {
	u := &Userdata{Data: data, env: m.globals}
	m.SetUserdataMetatable(u, mt)
	return u
}

// StringMetatable returns the metatable of strings.
func (m *VM) StringMetatable() *Table { return m.typeMeta[TypeString] }

// SetTypeMetatable sets the metatable of all values of a type other than
// tables and full userdata.
func (m *VM) SetTypeMetatable(t Type, mt *Table) { m.typeMeta[t] = mt }

// NewFunction returns a Go function as a Lua value. The name is used in
// messages when the caller gives none.
func (m *VM) NewFunction(name string, f GoFunction, upvalues ...Value) Value {
	return newGoFunction(m.globals, name, f, upvalues).Value()
}

// Reg is a function of a library.
type Reg struct {
	Name string
	Fn   GoFunction
	Doc  string // one line for the reference
}

// Register puts functions into a table.
func (m *VM) Register(tbl *Table, regs []Reg) {
	for _, r := range regs {
		tbl.setStr(m.intern(r.Name), m.NewFunction(r.Name, r.Fn))
	}
}

// SetBudget makes hook run after each `every` units of work: calls, loop
// iterations and what Go functions charge. An error of hook aborts the thread;
// Lua cannot catch it. With a nil hook nothing is counted.
func (m *VM) SetBudget(every int64, hook func(t *Thread) error) {
	if hook == nil {
		every = noBudget
	}
	m.budget, m.budgetEvery, m.budgetHook = every, every, hook
}

// Load compiles source. The chunk name follows Lua's rules: "=name" is shown as
// it is, "@name" is a file, everything else is source text. A first line that
// starts with # is skipped. The error is a *SyntaxError.
func (m *VM) Load(source []byte, chunkname string) (*Function, error) {
	return m.load(nil, source, chunkname, anyMode)
}

// anyMode is the mode of load that allows text and, if there were any that
// could be loaded, binary chunks.
const anyMode = "bt"

// load is Load with the work charged to t, if there is one, and a mode.
func (m *VM) load(t *Thread, source []byte, chunkname, mode string) (*Function, error) {
	if m.OnLoad != nil {
		m.OnLoad(source)
	}
	source = skipHeader(source)
	binary := len(source) > 0 && source[0] == 0x1b
	switch {
	case binary && !strings.Contains(mode, "b"), !binary && !strings.Contains(mode, "t"):
		return nil, &SyntaxError{"attempt to load chunk with wrong mode"}
	case binary:
		return nil, &SyntaxError{binaryName(chunkname) + ": cannot load incompatible bytecode"}
	}
	p, err := m.compile(t, source, chunkname)
	if err != nil {
		return nil, err
	}
	return &Function{proto: p, env: m.globals}, nil
}

// FileError says that the text of a chunk could not be read.
type FileError struct {
	text string
	err  error
}

func (e *FileError) Error() string { return e.text }
func (e *FileError) Unwrap() error { return e.err }

// LoadFile compiles a file; "" is standard input.
func (m *VM) LoadFile(path string) (*Function, error) { return m.loadFile(path, anyMode) }

func (m *VM) loadFile(path, mode string) (*Function, error) {
	var src []byte
	var err error
	chunk := "@" + path
	if path == "" {
		chunk = "=stdin"
		src, err = m.readStdin()
	} else {
		src, err = os.ReadFile(path)
	}
	if err != nil {
		what := "open"
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) && pe.Op == "read" {
			what = "read"
		}
		return nil, &FileError{fmt.Sprintf("cannot %s %s", what, fileError(path, err)), err}
	}
	return m.load(nil, src, chunk, mode)
}

// Metatable returns the metatable of any value.
func (m *VM) Metatable(v Value) *Table {
	switch v.n {
	case tagTable:
		return v.tab().meta
	case tagUserdata:
		return v.udata().meta
	}
	return m.typeMeta[v.Type()]
}
