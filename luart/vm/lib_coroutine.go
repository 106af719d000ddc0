package vm

func (m *VM) openCoroutine() {
	lib := newTable(0, 8)
	m.Register(lib, []Reg{
		{"create", coCreate, "a coroutine with a function as its body"},
		{"isyieldable", coIsyieldable, "whether the running coroutine can yield"},
		{"resume", coResume, "start or continue a coroutine"},
		{"running", coRunning, "the running coroutine"},
		{"status", coStatus, "the state of a coroutine"},
		{"wrap", coWrap, "a function that resumes a coroutine"},
		{"yield", coYield, "suspend the running coroutine"},
	})
	for name, s := range map[string]special{"resume": spResume, "yield": spYield} {
		f, _ := lib.GetStr(name).AsFunction()
		f.special = s
	}
	m.openLib("coroutine", lib)
}

func checkCoroutine(t *Thread, i int) *Thread {
	co, ok := t.Arg(i).AsThread()
	if !ok {
		t.TypeError2(i, "coroutine")
	}
	return co
}

func checkLuaFunction(t *Thread, i int) Value { return t.CheckFunction(i) }

func coCreate(t *Thread) int {
	t.Push(t.NewCoroutine(checkLuaFunction(t, 1)).Value())
	return 1
}

// coResume and coYield only see wrong arguments: the machine runs the rest.
func coResume(t *Thread) int {
	checkCoroutine(t, 1)
	return 0
}

func coYield(*Thread) int { return 0 }

func coWrap(t *Thread) int {
	co := t.NewCoroutine(checkLuaFunction(t, 1))
	t.Push((&Function{special: spWrap, env: t.m.globals,
		goPart: &goPart{goFn: coYield, goUp: []Value{co.Value()}, name: "wrap"}}).Value())
	return 1
}

func coStatus(t *Thread) int {
	t.PushString(checkCoroutine(t, 1).Status())
	return 1
}

// coRunning returns nil on the main thread, as in Lua 5.1.
func coRunning(t *Thread) int {
	if !t.isCoroutine() {
		t.PushNil()
		return 1
	}
	t.Push(t.Value())
	return 1
}

func (t *Thread) isCoroutine() bool { return t.ci >= 0 && t.frames[0].kind == frBase }

func coIsyieldable(t *Thread) int {
	t.PushBool(t.isCoroutine() && t.stops == 0)
	return 1
}
