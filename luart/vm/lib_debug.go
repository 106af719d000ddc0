package vm

import (
	"bufio"
	"math"
	"os"
	"strings"
)

func openDebug(m *VM) {
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"debug", debugDebug, "runs lines from standard input until one says cont"},
		{"getfenv", debugGetfenv, "the environment of a function, thread or userdata"},
		{"gethook", debugGethook, "the hook of a thread"},
		{"getinfo", debugGetinfo, "a table about a function or an active call"},
		{"getlocal", debugGetlocal, "name and value of a local variable"},
		{"getmetatable", debugGetmetatable, "the metatable, protected or not"},
		{"getregistry", debugGetregistry, "the registry"},
		{"getupvalue", debugGetupvalue, "name and value of an upvalue"},
		{"setfenv", debugSetfenv, "sets the environment of a function, thread or userdata"},
		{"sethook", debugSethook, "sets the hook of a thread"},
		{"setlocal", debugSetlocal, "sets a local variable"},
		{"setmetatable", debugSetmetatable, "sets the metatable of any value"},
		{"setupvalue", debugSetupvalue, "sets an upvalue"},
		{"traceback", debugTraceback, "a message with the stack of calls"},
		{"upvalueid", debugUpvalueid, "identifies the variable behind an upvalue"},
		{"upvaluejoin", debugUpvaluejoin, "makes an upvalue refer to that of another function"},
	})
	m.openLib("debug", lib)
}

// threadArg returns the thread that an optional first argument names, and how
// many arguments that took.
func (t *Thread) threadArg() (co *Thread, skip int) {
	if co, ok := t.Arg(1).AsThread(); ok {
		return co, 1
	}
	return t, 0
}

func debugGetregistry(t *Thread) int {
	t.Push(t.m.registry.Value())
	return 1
}

func pushTable(t *Thread, tbl *Table) int {
	if tbl == nil {
		t.PushNil()
	} else {
		t.Push(tbl.Value())
	}
	return 1
}

func debugGetmetatable(t *Thread) int {
	v := t.CheckAny(1)
	switch v.Type() {
	case TypeTable:
		return pushTable(t, v.tab().Metatable())
	case TypeUserdata:
		return pushTable(t, v.udata().Metatable())
	}
	return pushTable(t, t.m.typeMeta[v.Type()])
}

func debugSetmetatable(t *Thread) int {
	v := t.Arg(1)
	mt, ok := t.Arg(2).AsTable()
	if !ok && (!t.Arg(2).IsNil() || t.NArgs() < 2) {
		t.ArgError(2, "nil or table expected")
	}
	switch v.Type() {
	case TypeTable:
		t.m.setTableMeta(v.tab(), mt)
	case TypeUserdata:
		t.m.SetUserdataMetatable(v.udata(), mt)
	default:
		t.m.SetTypeMetatable(v.Type(), mt)
	}
	t.PushBool(true)
	return 1
}

func debugGetfenv(t *Thread) int {
	v := t.CheckAny(1)
	switch v.Type() {
	case TypeFunction:
		return pushTable(t, v.fn().Env())
	case TypeThread:
		return pushTable(t, v.thread().env)
	case TypeUserdata:
		return pushTable(t, v.udata().env)
	}
	t.PushNil()
	return 1
}

func debugSetfenv(t *Thread) int {
	v := t.Arg(1)
	env := t.CheckTable(2)
	switch v.Type() {
	case TypeFunction:
		v.fn().SetEnv(env)
	case TypeThread:
		v.thread().env = env
	case TypeUserdata:
		v.udata().env = env
	default:
		t.Errorf("'setfenv' cannot change environment of given object")
	}
	t.Push(v)
	return 1
}

func debugGetinfo(t *Thread) int {
	co, skip := t.threadArg()
	what := t.OptString(skip+2, "flnSu")
	var info *Info
	if f, ok := t.Arg(skip + 1).AsFunction(); ok {
		info = FunctionInfo(f)
	} else {
		level, ok := t.Arg(skip + 1).ToNumberCoerced()
		if !ok {
			t.ArgError(skip+1, "function or level expected")
		}
		if level >= 0 && level < maxFrames {
			info = co.LevelInfo(int(level))
		}
		if info == nil {
			t.PushNil()
			return 1
		}
	}
	if strings.Trim(what, "flnSuL") != "" {
		t.ArgError(skip+2, "invalid option")
	}
	t.Push(infoTable(t.m, info, what).Value())
	return 1
}

func infoTable(m *VM, in *Info, what string) *Table {
	tbl := m.NewTable(0, 16)
	has := func(c byte) bool { return strings.IndexByte(what, c) >= 0 }
	if has('S') {
		tbl.SetStr("source", String(in.Source))
		tbl.SetStr("short_src", String(in.ShortSource))
		tbl.SetStr("linedefined", Int(in.LineDefined))
		tbl.SetStr("lastlinedefined", Int(in.LastLineDefined))
		tbl.SetStr("what", String(in.What))
	}
	if has('l') {
		tbl.SetStr("currentline", Int(in.CurrentLine))
	}
	if has('u') {
		tbl.SetStr("nups", Int(in.NumUpvalues))
		tbl.SetStr("nparams", Int(in.NumParams))
		tbl.SetStr("isvararg", Bool(in.IsVararg))
	}
	if has('n') {
		if in.NameWhat != "" {
			tbl.SetStr("name", String(in.Name))
		}
		tbl.SetStr("namewhat", String(in.NameWhat))
	}
	if has('f') {
		tbl.SetStr("func", in.Func)
	}
	if f, ok := in.Func.AsFunction(); ok && has('L') && !f.IsGo() {
		lines := m.NewTable(0, 8)
		for _, l := range f.ActiveLines() {
			lines.SetInt(l, True)
		}
		tbl.SetStr("activelines", lines.Value())
	}
	return tbl
}

// levelArg returns argument i, the level of an active call of co.
func (t *Thread) levelArg(co *Thread, i int) int {
	level := t.CheckNumber(i)
	if !(level >= 0 && level < maxFrames) || co.LevelInfo(int(level)) == nil {
		t.ArgError(i, "level out of range")
	}
	return int(level)
}

func debugGetlocal(t *Thread) int {
	co, skip := t.threadArg()
	if f, ok := t.Arg(skip + 1).AsFunction(); ok {
		if name := f.ParamName(t.checkInt32(skip + 2)); name != "" {
			t.PushString(name)
		} else {
			t.PushNil()
		}
		return 1
	}
	n := t.checkInt32(skip + 2)
	name, v, ok := co.Local(t.levelArg(co, skip+1), n)
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushString(name)
	t.Push(v)
	return 2
}

func debugSetlocal(t *Thread) int {
	co, skip := t.threadArg()
	level := t.levelArg(co, skip+1)
	n := t.checkInt32(skip + 2)
	v := t.CheckAny(skip + 3)
	if name, ok := co.SetLocal(level, n, v); ok {
		t.PushString(name)
	} else {
		t.PushNil()
	}
	return 1
}

func debugGetupvalue(t *Thread) int {
	n := t.checkInt32(2)
	name, v, ok := t.CheckFunction(1).fn().Upvalue(n)
	if !ok {
		return 0
	}
	t.PushString(name)
	t.Push(v)
	return 2
}

func debugSetupvalue(t *Thread) int {
	v := t.CheckAny(3)
	n := t.checkInt32(2)
	name, ok := t.CheckFunction(1).fn().SetUpvalue(n, v)
	if !ok {
		return 0
	}
	t.PushString(name)
	return 1
}

// checkUpvalue returns the function in argument i and the number of one of its
// upvalues in the next.
func (t *Thread) checkUpvalue(i int) (*Function, int) {
	f := t.CheckFunction(i).fn()
	n := t.checkInt32(i + 1)
	if n < 1 || n > f.NumUpvalues() {
		t.ArgError(i+1, "index out of range")
	}
	return f, n
}

func debugUpvalueid(t *Thread) int {
	f, n := t.checkUpvalue(1)
	t.Push(LightUserdata(uintptr(f.UpvalueID(n))))
	return 1
}

func debugUpvaluejoin(t *Thread) int {
	for i := 1; i <= 3; i += 2 {
		if t.CheckFunction(i).fn().IsGo() {
			t.ArgError(i, "Lua function expected")
		}
	}
	f, n := t.checkUpvalue(1)
	g, k := t.checkUpvalue(3)
	f.JoinUpvalue(n, g, k)
	return 0
}

func debugTraceback(t *Thread) int {
	co, skip := t.threadArg()
	v := t.Arg(skip + 1)
	msg, ok := v.ToStringCoerced()
	if !ok && t.NArgs() > skip {
		t.Push(v)
		return 1
	}
	level := 0
	if co == t {
		level = 1
	}
	if !t.Arg(skip + 2).IsNil() {
		level = min(max(t.checkInt32(skip+2), 0), maxFrames)
	}
	trace := co.Traceback("", level)
	if ok {
		trace = msg + "\n" + trace // also where the message is empty
	}
	t.PushString(trace)
	return 1
}

func debugSethook(t *Thread) int {
	co, skip := t.threadArg()
	f := t.Arg(skip + 1)
	if f.IsNil() {
		co.SetHook(Nil, "", 0)
		return 0
	}
	mask := t.CheckString(skip + 2)
	t.CheckFunction(skip + 1)
	count := min(max(t.OptNumber(skip+3, 0), 0), math.MaxInt32)
	co.SetHook(f, mask, int(count))
	return 0
}

func debugGethook(t *Thread) int {
	co, _ := t.threadArg()
	f, mask, count := co.Hook()
	t.Push(f)
	t.PushString(mask)
	t.PushInt(count)
	return 3
}

// debugDebug runs lines that the user types.
func debugDebug(t *Thread) int {
	in := bufio.NewScanner(os.Stdin)
	for {
		// The prompt and errors go where C Lua writes them; nobody could be
		// told if that fails.
		_, _ = os.Stderr.WriteString("lua_debug> ")
		ok := false
		if err := t.WaitFor(Blocks, func() { ok = in.Scan() }); err != nil {
			return t.Abort(err)
		}
		if !ok || in.Text() == "cont" {
			return 0
		}
		f, err := t.m.Load(in.Bytes(), "=(debug command)")
		if err == nil {
			_, err = t.PCall(f.Value())
		}
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
		}
	}
}
