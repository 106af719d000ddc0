package luart

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"time"

	"perilune/logging"
	"perilune/luart/vm"
)

// Program is what ngx.pipe is to run.
type Program struct {
	Args        []string
	Env         []string // nil: that of the worker
	MergeStderr bool
	Failed      func(err error) // is told of a program that cannot be run, and ends with 1
}

// Streams of a program.
const (
	streamIn = iota
	streamOut
	streamErr
)

// Process is a program that runs. What waits parks; Cancel and CancelWait end it.
// Errors other than ErrTimeout have the text that Lua code gets.
type Process interface {
	PID() int
	Read(stream int, b []byte, timeout time.Duration) (int, error) // 0 at the end
	Write(b []byte, timeout time.Duration) error
	Wait(timeout time.Duration) (syscall.WaitStatus, error)
	Cancel(stream int, err error)
	CancelWait(err error)
	Shutdown(stream int)
	Kill(sig syscall.Signal) error
	Exited() bool
}

// program is what ngx.pipe.spawn has started.
type program struct {
	c       *Ctx
	p       Process
	merged  bool
	closed  bool // it was waited for, or its request has ended
	waiting claim
	buffer  int
	wait    time.Duration
	pipes   [3]programPipe
}

// programRef is the object that Lua code has: the program ends when it is garbage.
type programRef struct{ *program }

// programPipe is the state of a pipe: what was read and not yet asked for.
type programPipe struct {
	timeout time.Duration
	data    []byte
	busy    claim
	eof     bool
	shut    bool
}

// claim says that a thread reads, writes or waits. One that was killed meanwhile gives
// it back when it gets the baton.
type claim struct{ taken, dropped bool }

// free reports whether the claim can be had.
func (k *claim) free(t *vm.Thread, c *Ctx) bool {
	for k.taken && k.dropped {
		if u := c.current(t); u == nil || c.yield(u) != nil {
			break
		}
	}
	return !k.taken
}

// defaultPipeTimeout is the timeout of everything that waits.
const defaultPipeTimeout = 10 * time.Second

// openPipe makes the module ngx.pipe.
func openPipe(rt *Runtime) *vm.Table {
	reader := func(stream int, read func(t *vm.Thread, x *program, stream int) int) vm.GoFunction {
		return func(t *vm.Thread) int { return read(t, programOf(t), stream) }
	}
	methods := rt.fill(rt.vm.NewTable(0, 16), map[string]vm.GoFunction{
		"pid":               func(t *vm.Thread) int { t.PushInt(programOf(t).p.PID()); return 1 },
		"set_timeouts":      pipeSetTimeouts,
		"stdout_read_all":   reader(streamOut, pipeReadAll),
		"stdout_read_bytes": reader(streamOut, pipeReadBytes),
		"stdout_read_line":  reader(streamOut, pipeReadLine),
		"stdout_read_any":   reader(streamOut, pipeReadAny),
		"stderr_read_all":   reader(streamErr, pipeReadAll),
		"stderr_read_bytes": reader(streamErr, pipeReadBytes),
		"stderr_read_line":  reader(streamErr, pipeReadLine),
		"stderr_read_any":   reader(streamErr, pipeReadAny),
		"write":             pipeWrite,
		"shutdown":          pipeShutdown,
		"wait":              pipeWait,
		"kill":              pipeKill,
	})
	mt := rt.vm.NewTable(0, 1)
	mt.SetStr("__index", methods.Value())
	tab := rt.vm.NewTable(0, 2)
	tab.SetStr("spawn", rt.vm.NewFunction("spawn", func(t *vm.Thread) int { return pipeSpawn(t, rt, mt) }))
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

func programOf(t *vm.Thread) *program {
	if u, ok := t.Arg(1).AsUserdata(); ok {
		if ref, ok := u.Data.(*programRef); ok {
			return ref.program
		}
	}
	raiseAt(t, 1, "not a process instance")
	return nil
}

func pipeSpawn(t *vm.Thread, rt *Runtime, mt *vm.Table) int {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		return raiseAt(t, 1, errCurrentContext)
	}
	o := &Program{Args: pipeArgs(t)}
	x := &program{c: c, buffer: 4096, wait: defaultPipeTimeout}
	for i := range x.pipes {
		x.pipes[i].timeout = defaultPipeTimeout
	}
	if opts, ok := t.Arg(2).AsTable(); ok {
		o.MergeStderr = opts.GetStr("merge_stderr").Truthy()
		x.merged = o.MergeStderr
		if v := opts.GetStr("buffer_size"); v.Truthy() {
			n, ok := v.ToNumberCoerced()
			if !ok || n < 1 {
				return raiseAt(t, 1, "bad buffer_size option")
			}
			x.buffer = int(min(n, 1<<20))
		}
		if v := opts.GetStr("environ"); v.Truthy() {
			o.Env = pipeEnviron(t, v)
		}
		x.setTimeouts(t, opts.GetStr("write_timeout"), opts.GetStr("stdout_read_timeout"), opts.GetStr("stderr_read_timeout"), opts.GetStr("wait_timeout"))
	}
	call := "execvp"
	if o.Env != nil {
		call = "execvpe"
	}
	o.Failed = func(err error) {
		logText(rt.cfg.Log, LevelError, "lua pipe child "+call+"() failed while executing "+o.Args[0]+" "+logging.ErrnoText(err))
	}
	p, err := rt.cfg.Spawn(o)
	if err != nil {
		return fail(t, pipeErrorText(err))
	}
	x.p = p
	if c.programs == nil {
		c.programs = make(map[*program]struct{})
	}
	c.programs[x] = struct{}{}
	ref := &programRef{x}
	runtime.AddCleanup(ref, func(x *program) { rt.cfg.Loop.Post(x.end) }, x)
	t.Push(rt.vm.NewUserdata(ref, mt).Value())
	return 1
}

// pipeArgs is the first argument of spawn: a table of words, or a command for the shell.
func pipeArgs(t *vm.Thread) []string {
	v := t.Arg(1)
	if s, ok := v.AsString(); ok {
		return []string{"/bin/sh", "-c", s}
	}
	tab, ok := v.AsTable()
	if !ok {
		raiseAt(t, 1, "bad args arg: table expected, got "+v.TypeName())
	}
	var args []string
	for i := 1; !tab.GetInt(i).IsNil(); i++ {
		args = append(args, t.ToString(tab.GetInt(i)))
	}
	if len(args) == 0 {
		raiseAt(t, 1, "bad args arg: non-empty table expected")
	}
	return args
}

func pipeEnviron(t *vm.Thread, v vm.Value) []string {
	tab, ok := v.AsTable()
	if !ok {
		raiseAt(t, 1, "bad environ option: table expected, got "+v.TypeName())
	}
	var env []string
	for i := 1; !tab.GetInt(i).IsNil(); i++ {
		s, ok := tab.GetInt(i).AsString()
		if !ok {
			raiseAt(t, 1, fmt.Sprintf("bad value at index %d of environ option: string expected, got %s", i, tab.GetInt(i).TypeName()))
		}
		if len(s) < 2 || strings.IndexByte(s[1:], '=') < 0 {
			raiseAt(t, 1, fmt.Sprintf("bad value at index %d of environ option: 'name=[value]' format expected, got '%s'", i, s))
		}
		env = append(env, s)
	}
	return env
}

// setTimeouts sets those of the four timeouts, in milliseconds, that are given.
func (x *program) setTimeouts(t *vm.Thread, write, out, errs, wait vm.Value) {
	for _, s := range [...]struct {
		v    vm.Value
		name string
		to   *time.Duration
	}{
		{write, "write_timeout", &x.pipes[streamIn].timeout}, {out, "stdout_read_timeout", &x.pipes[streamOut].timeout},
		{errs, "stderr_read_timeout", &x.pipes[streamErr].timeout}, {wait, "wait_timeout", &x.wait},
	} {
		if !s.v.Truthy() {
			continue
		}
		n, ok := s.v.AsNumber()
		if !ok || n < 0 || n > 0xffffffff {
			raiseAt(t, 1, "bad "+s.name+" option")
		}
		*s.to = time.Duration(n) * time.Millisecond
	}
}

func pipeSetTimeouts(t *vm.Thread) int {
	programOf(t).setTimeouts(t, t.Arg(2), t.Arg(3), t.Arg(4), t.Arg(5))
	return 0
}

// pipeContext is the context of a function that waits.
func pipeContext(t *vm.Thread) *Ctx {
	c := context(t)
	if c == nil || c.phase == PhaseInit {
		raise(t, "%s", errNoRequest)
	}
	if c.phase&phasesYieldable == 0 {
		raiseAt(t, 1, errContextOf+c.phase.Directive())
	}
	return c
}

// waits runs f, which may wait, in the light thread of t with the claim. cancel ends it
// when the thread is killed. It reports whether the thread goes on.
func (c *Ctx) waits(t *vm.Thread, k *claim, cancel func(), f func()) bool {
	u := c.current(t)
	if u != nil {
		u.cancel = func() {
			k.dropped = true
			cancel()
		}
	}
	phase := c.phase
	k.taken = true
	f()
	*k = claim{}
	if u != nil {
		u.cancel = nil
	}
	return c.waited(t, phase)
}

// taker looks at what has come, of which it has seen so much before. It says how much
// of it is the result, how much goes with it, and whether that is enough.
type taker func(data []byte, seen int) (n, skip int, ok bool)

// read is what the readers have in common. At the end of the stream what has come is
// the result if endOK says so, else it is only what goes with the error.
func (x *program) read(t *vm.Thread, stream int, take taker, text func([]byte) []byte, endOK bool) int {
	c := pipeContext(t)
	s := &x.pipes[stream]
	switch {
	case x.closed:
		return fail(t, "closed")
	case x.merged && stream == streamErr:
		return fail(t, "merged to stdout")
	case s.shut:
		return fail(t, "closed")
	case !s.busy.free(t, c):
		return fail(t, "pipe busy reading")
	}
	var problem string
	var n, skip, seen int // of the data: the result, what goes with it, what was looked at
	done := false
	goesOn := c.waits(t, &s.busy, func() { x.p.Cancel(stream, errKilled) }, func() {
		buf := make([]byte, x.buffer)
		for {
			if len(s.data) > seen {
				if n, skip, done = take(s.data, seen); done {
					return
				}
				seen = len(s.data)
			}
			if s.eof {
				problem = "closed"
				return
			}
			got, err := x.p.Read(stream, buf, s.timeout)
			if err != nil {
				problem = pipeErrorText(err)
				return
			}
			s.data = append(s.data, buf[:got]...)
			s.eof = got == 0
		}
	})
	if problem == "closed" && endOK {
		n, done = len(s.data), true
	}
	if x.closed { // another thread has waited for the program meanwhile
		x.p.Shutdown(stream)
		if done {
			problem, done = "closed", false
		}
	}
	if !goesOn {
		return t.Abort(errKilled)
	}
	if done {
		t.PushBytes(text(s.data[:n]))
		s.data = append(s.data[:0], s.data[n+skip:]...)
		return 1
	}
	t.PushNil()
	t.PushString(problem)
	t.PushBytes(text(s.data))
	s.data = s.data[:0]
	return 3
}

// pipeErrorText is an error as Lua code gets it.
func pipeErrorText(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.As(err, &errno):
		return logging.Strerror(errno)
	}
	return err.Error()
}

func pipeReadAll(t *vm.Thread, x *program, stream int) int {
	return x.read(t, stream, func([]byte, int) (int, int, bool) { return 0, 0, false }, asItIs, true)
}

func pipeReadBytes(t *vm.Thread, x *program, stream int) int {
	want := int(t.CheckNumber(2))
	if want <= 0 {
		if want < 0 {
			return raiseAt(t, 1, "bad len argument")
		}
		t.PushString("")
		return 1
	}
	return x.read(t, stream, func(data []byte, _ int) (int, int, bool) { return want, 0, len(data) >= want }, asItIs, false)
}

// pipeReadLine reads up to a newline; carriage returns are dropped.
func pipeReadLine(t *vm.Thread, x *program, stream int) int {
	return x.read(t, stream, func(data []byte, seen int) (int, int, bool) {
		i := bytes.IndexByte(data[seen:], '\n')
		return seen + i, 1, i >= 0
	}, withoutCR, false)
}

func asItIs(b []byte) []byte { return b }

func withoutCR(b []byte) []byte { return bytes.ReplaceAll(b, []byte{'\r'}, nil) }

func pipeReadAny(t *vm.Thread, x *program, stream int) int {
	most, ok := t.Arg(2).ToNumberCoerced()
	if !ok || most <= 0 {
		return raiseAt(t, 1, "bad max argument")
	}
	return x.read(t, stream, func(data []byte, _ int) (int, int, bool) { return min(len(data), int(most)), 0, true }, asItIs, false)
}

func pipeWrite(t *vm.Thread) int {
	x := programOf(t)
	var data []byte
	switch v := t.Arg(2); v.Type() {
	case vm.TypeString, vm.TypeNumber:
		s, _ := v.ToStringCoerced()
		data = []byte(s)
	case vm.TypeTable:
		tab, _ := v.AsTable()
		for i := 1; i <= tab.Len(); i++ {
			s, ok := tab.GetInt(i).ToStringCoerced()
			if !ok {
				return raiseAt(t, 1, fmt.Sprintf("invalid value (%s) at index %d in table for 'concat'", tab.GetInt(i).TypeName(), i))
			}
			data = append(data, s...)
		}
	default:
		return raiseAt(t, 1, "bad data arg: string, number, or table expected, got "+v.TypeName())
	}
	c := pipeContext(t)
	s := &x.pipes[streamIn]
	switch {
	case x.closed || s.shut:
		return fail(t, "closed")
	case !s.busy.free(t, c):
		return fail(t, "pipe busy writing")
	}
	var err error
	goesOn := c.waits(t, &s.busy, func() { x.p.Cancel(streamIn, errKilled) }, func() { err = x.p.Write(data, s.timeout) })
	if x.closed {
		x.p.Shutdown(streamIn)
	}
	if !goesOn {
		return t.Abort(errKilled)
	}
	if err != nil {
		return fail(t, pipeErrorText(err))
	}
	t.PushInt(len(data))
	return 1
}

func pipeShutdown(t *vm.Thread) int {
	x := programOf(t)
	name, _ := t.Arg(2).ToStringCoerced()
	stream := -1
	for i, s := range [...]string{"stdin", "stdout", "stderr"} {
		if name == s {
			stream = i
		}
	}
	switch {
	case stream < 0:
		return raiseAt(t, 1, "bad shutdown arg: "+name)
	case x.closed:
		return fail(t, "closed")
	case x.merged && stream == streamErr:
		return fail(t, "merged to stdout")
	}
	x.pipes[stream].shut = true
	x.p.Shutdown(stream)
	t.PushBool(true)
	return 1
}

func pipeWait(t *vm.Thread) int {
	x := programOf(t)
	c := pipeContext(t)
	switch {
	case x.closed:
		return fail(t, "exited")
	case !x.waiting.free(t, c):
		return fail(t, "pipe busy waiting")
	}
	var st syscall.WaitStatus
	var err error
	if !c.waits(t, &x.waiting, func() { x.p.CancelWait(errKilled) }, func() { st, err = x.p.Wait(x.wait) }) {
		return t.Abort(errKilled)
	}
	if err != nil {
		return fail(t, pipeErrorText(err))
	}
	x.close()
	status, reason := st.ExitStatus(), "exit"
	if st.Signaled() {
		status, reason = int(st.Signal()), "signal"
	}
	t.PushBool(status == 0)
	t.PushString(reason)
	t.PushInt(status)
	return 3
}

func pipeKill(t *vm.Thread) int {
	x := programOf(t)
	n, ok := t.Arg(2).AsNumber()
	if !ok {
		return raiseAt(t, 1, "bad signal arg: number expected, got "+t.ToString(t.Arg(2)))
	}
	if x.closed || x.p.Exited() {
		return fail(t, "exited")
	}
	switch err := x.p.Kill(syscall.Signal(int(n))); err {
	case nil:
		t.PushBool(true)
		return 1
	case syscall.EINVAL:
		return fail(t, "invalid signal")
	case syscall.ESRCH:
		return fail(t, "exited")
	default:
		return fail(t, pipeErrorText(err))
	}
}

// close closes the pipes of a program that has ended. Who reads or writes just now gets
// what there still is, and closes that pipe.
func (x *program) close() {
	x.closed = true
	delete(x.c.programs, x)
	for stream := range x.pipes {
		if !x.pipes[stream].busy.taken {
			x.p.Shutdown(stream)
		}
	}
}

// end kills a program that nobody has waited for.
func (x *program) end() {
	if x.closed {
		return
	}
	if !x.p.Exited() {
		_ = x.p.Kill(syscall.SIGKILL)
	}
	x.close()
}

// endPrograms ends what the context has started.
func (c *Ctx) endPrograms() {
	for x := range c.programs {
		x.end()
	}
	c.programs = nil
}
