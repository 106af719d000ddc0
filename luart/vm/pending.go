package vm

import "io"

type (
	memory     struct{}
	finalizers struct{}
	hookState  struct{}
)

func (m *VM) compile(source []byte, chunkname string) (*proto, error) { panic("vm: not built yet") }
func (m *VM) openLibs()                                              {}
func readAll(r io.Reader) ([]byte, error)                            { return io.ReadAll(r) }
func fileError(path string, err error) string                        { return err.Error() }
func skipShebang(b []byte) []byte                                    { return b }
func (t *Thread) stackOverflow(n int)                                {}
func (t *Thread) callName(ci int) (name, what string)                { return "", "" }
func (m *VM) SetUserdataMetatable(u *Userdata, mt *Table)            { u.meta = mt }

// Where returns "chunk:line: " of a level of the call stack, "" for Go functions.
func (t *Thread) Where(level int) string { return "" }

// Traceback returns msg and the call stack from a level on, as luaL_traceback.
func (t *Thread) Traceback(msg string, level int) string { return "" }

// Call calls fn and runs it to completion.
func (t *Thread) Call(fn Value, args ...Value) ([]Value, error) { panic("vm: not built yet") }

// Start prepares fn as the body of a coroutine that Resume runs.
func (t *Thread) Start(fn Value) {}

// Resume starts or continues the coroutine for the host.
func (t *Thread) Resume(args ...Value) (results []Value, yielded bool, err error) { panic("vm: not built yet") }

// CallValue calls fn from a Go function; errors propagate. The results are
// valid until the next use of t.
func (t *Thread) CallValue(fn Value, nresults int, args ...Value) []Value { panic("vm: not built yet") }

// PCall calls fn from a Go function and returns a Lua error as *Error.
func (t *Thread) PCall(fn Value, args ...Value) ([]Value, error) { panic("vm: not built yet") }

// Yield is returned by a Go function to yield the coroutine: return t.Yield(v…).
func (t *Thread) Yield(values ...Value) int { panic("vm: not built yet") }

// Index is obj[key] with metamethods.
func (t *Thread) Index(obj, key Value) Value { panic("vm: not built yet") }

// SetIndex is obj[key] = val with metamethods.
func (t *Thread) SetIndex(obj, key, val Value) { panic("vm: not built yet") }

// ToString is tostring(v).
func (t *Thread) ToString(v Value) string { panic("vm: not built yet") }

// Equal is a == b with metamethods.
func (t *Thread) Equal(a, b Value) bool { panic("vm: not built yet") }

// Less is a < b with metamethods.
func (t *Thread) Less(a, b Value) bool { panic("vm: not built yet") }

// Len is #v with metamethods.
func (t *Thread) Len(v Value) Value { panic("vm: not built yet") }

// Concat is a .. b with metamethods.
func (t *Thread) Concat(a, b Value) Value { panic("vm: not built yet") }

// Metafield returns a field of v's metatable, nil without one.
func (t *Thread) Metafield(v Value, name string) Value { panic("vm: not built yet") }

// Charge counts n units of work of a long-running Go function against the budget.
func (t *Thread) Charge(n int) {}
