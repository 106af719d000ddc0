package vm

// libState is what the standard library keeps in a VM.
type libState struct {
	// Block runs a function that may block the goroutine, so that the host can
	// let other threads run meanwhile; nil means to just call it. An error says
	// that t has been ended meanwhile.
	Block func(t *Thread, how Blocking, f func()) error
	// Exit ends the process for os.exit; nil means os.Exit.
	Exit func(code int)
	// OverMemory says what becomes of the thread for which a heap at its limit has no
	// room: true is an error that Lua can catch, an error one that it cannot. n is
	// how many bytes it wants for a string, 0 if it only runs, over how many there
	// would be too many.
	OverMemory func(t *Thread, n, over int64) (fail bool, abort error)
	// OnLoad is called with every source before it is compiled.
	OnLoad func(source []byte)
	// HostTrace makes the tracebacks of errors that reach the host, in place of
	// Traceback. With it errors pass out of coroutine.wrap without another
	// position, and their traceback begins inside of the coroutine.
	HostTrace func(t *Thread) string
	// HostWraps says of a thread whether the functions that coroutine.wrap makes pass
	// errors on without a position of their own.
	HostWraps func(t *Thread) bool
	// HostYields makes the threads of the host coroutines to Lua code, as those
	// of ngx_lua are: coroutine.yield in one returns at once.
	HostYields bool

	atomic   int // see alone
	patterns patternCache
	io       ioState
}

// openStandard opens the libraries besides base, coroutine and package, which
// must be there already.
func (m *VM) openStandard() {
	openString(m)
	openTable(m)
	openMath(m)
	openBit(m)
	openOS(m)
	openIO(m)
	openDebug(m)
	openJIT(m)
	openBuffer(m)
}

// openLib makes a library a global variable and a loaded module.
func (m *VM) openLib(name string, lib *Table) {
	m.globals.SetStr(name, lib.Value())
	if pkg, ok := m.globals.GetStr("package").AsTable(); ok {
		if loaded, ok := pkg.GetStr("loaded").AsTable(); ok {
			loaded.SetStr(name, lib.Value())
		}
	}
}

// preload makes require(name) call open.
func (m *VM) preload(name string, open func(t *Thread) Value) {
	pkg, ok := m.globals.GetStr("package").AsTable()
	if !ok {
		return
	}
	if preload, ok := pkg.GetStr("preload").AsTable(); ok {
		preload.SetStr(name, m.NewFunction(name, func(t *Thread) int {
			t.Push(open(t))
			return 1
		}))
	}
}
