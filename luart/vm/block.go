package vm

// Blocking says how long a function may block its goroutine.
type Blocking uint8

const (
	// MayBlock is a call that is quick as a rule: the host lets others run only
	// if it turns out not to be.
	MayBlock Blocking = iota
	// Blocks is a call that takes long enough for others to run meanwhile.
	Blocks
	// WaitsForThread is a wait for another thread of the VM, which must be able
	// to run wherever this one is.
	WaitsForThread
)

// threadStop is the error of a call whose thread has been ended meanwhile.
type threadStop struct{ err error }

func (s *threadStop) Error() string { return s.err.Error() }

// block runs f, which may block, in a way that lets the host run other threads
// meanwhile. The error is a *threadStop: the Go function that runs cleans up and
// aborts. t is nil where no thread runs.
func (m *VM) block(t *Thread, how Blocking, f func()) error {
	if m.Block == nil || t == nil || m.atomic > 0 && how != WaitsForThread {
		f()
		return nil
	}
	if err := m.Block(t, how, f); err != nil {
		return &threadStop{err}
	}
	return nil
}

// alone runs f, in which nothing that blocks lets others run: what they would see
// is half done.
func (m *VM) alone(f func()) {
	m.atomic++
	defer func() { m.atomic-- }()
	f()
}

// WaitFor is block for functions of the host's libraries. An error says that the
// thread is to end: the Go function returns t.Abort of it.
func (t *Thread) WaitFor(how Blocking, f func()) error {
	err := t.m.block(t, how, f)
	if s, ok := err.(*threadStop); ok {
		return s.err
	}
	return err
}
