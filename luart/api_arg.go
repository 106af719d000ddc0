package luart

import (
	"perilune/luart/vm"
)

// Chunk is a piece of a response body in a body filter.
type Chunk struct {
	Data  []byte
	Flush bool
	Last  bool

	none bool // Lua code has taken the piece away altogether
	own  bool // Data is Lua's
	seen bool // Lua code has set the end of the body, or has handled it
}

// openArg makes ngx.arg.
func (rt *Runtime) openArg(ngx *vm.Table) {
	tab := rt.vm.NewTable(0, 0)
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", rt.vm.NewFunction("__index", argIndex))
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", argNewIndex))
	tab.SetMetatable(mt)
	ngx.SetStr("arg", tab.Value())
}

func argIndex(t *vm.Thread) int {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		return raise(t, "%s", errNoRequest)
	}
	n, _ := t.Arg(2).AsNumber()
	switch {
	case c.phase == PhaseSet:
		if i := int(n); i >= 1 && i <= len(c.setArg) && c.setArg[i-1] != "" {
			t.PushString(c.setArg[i-1])
			return 1
		}
	case c.phase != PhaseBodyFilter || c.chunk == nil:
		return raise(t, "%s", errCurrentContext)
	case n == 1:
		t.PushBytes(c.chunk.Data)
		return 1
	case n == 2:
		t.PushBool(c.chunk.Last)
		return 1
	}
	t.PushNil()
	return 1
}

func argNewIndex(t *vm.Thread) int {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		return 0
	}
	if c.phase != PhaseBodyFilter || c.chunk == nil {
		return raise(t, "%s%s", errContextOf, c.phase.Directive())
	}
	b := c.chunk
	switch i := t.CheckInt(2); i {
	case 1:
		return b.setData(t)
	case 2:
		b.Last = t.ToBool(3)
		b.seen = b.Last
		if b.Last {
			b.none = false
		}
	default:
		return raise(t, "bad index: %d", i)
	}
	return 0
}

func (b *Chunk) setData(t *vm.Thread) int {
	v := t.Arg(3)
	switch v.Type() {
	case vm.TypeNil:
		b.Data = nil
	case vm.TypeString, vm.TypeNumber:
		s, _ := v.ToStringCoerced()
		b.Data = bytesOf(s)
	case vm.TypeTable:
		tab, _ := v.AsTable()
		b.Data = appendEchoTable(t, nil, tab, 3, true)
	default:
		return raise(t, "bad chunk data type: %s", v.TypeName())
	}
	b.own = true
	b.none = len(b.Data) == 0 && !b.Last && !b.Flush
	b.seen = b.seen || b.Last
	return 0
}

// Forward says whether there is anything left for the next filter.
func (b *Chunk) Forward() bool { return !b.none }

// RunHeaderFilter runs the code of a header filter. It returns OK, Error, or the
// status to answer with instead.
func (rt *Runtime) RunHeaderFilter(c *Ctx, fn *vm.Function) int {
	exited, old := c.exited, c.exitCode
	_, err := rt.runFilter(c, PhaseHeaderFilter, fn)
	switch {
	case err != nil:
		c.logFilter(PhaseHeaderFilter, err)
		return Error
	case c.exited && c.exitCode != 0 && (!exited || c.exitCode != old):
		return c.exitCode
	}
	return OK
}

func (c *Ctx) logFilter(phase Phase, err error) {
	logText(c.req, LevelError, "failed to run "+phase.Directive()+": "+describeFilter(err))
}

// RunBodyFilter runs the code of a body filter on a piece of the body, which it may
// change. It returns OK or Error.
func (rt *Runtime) RunBodyFilter(c *Ctx, fn *vm.Function, b *Chunk) int {
	if c.filteredLast {
		b.none, b.Data = true, nil
		return OK
	}
	outer := c.chunk
	c.chunk = b
	first, err := rt.runFilter(c, PhaseBodyFilter, fn)
	c.chunk = outer
	if err != nil {
		c.logFilter(PhaseBodyFilter, err)
		return Error
	}
	c.filteredLast = b.seen
	if n, ok := first.ToNumberCoerced(); ok && (n == Error || n >= statusSpecial) {
		return Error
	}
	return OK
}

// RunSet runs the code of set_by_lua with its arguments and returns the result.
func (rt *Runtime) RunSet(c *Ctx, fn *vm.Function, args []string) (value string, found bool, rc int) {
	old := c.phase
	c.phase, c.setArg = PhaseSet, args
	values := make([]vm.Value, len(args))
	for i, a := range args {
		values[i] = vm.String(a)
	}
	t := rt.thread(c)
	rt.resumed(c)
	first, err := c.runEntry(t, fn.Value(), values...)
	rt.release(t)
	c.phase, c.setArg = old, nil
	if err != nil {
		c.logFilter(PhaseSet, err)
		return "", false, Error
	}
	if n, ok := first.AsNumber(); ok {
		var buf [32]byte
		return string(appendNumber(buf[:0], n)), true, OK
	}
	value, found = first.AsString()
	return value, found, OK
}
