package vm

import (
	"errors"
	"os"
	osexec "os/exec"
	"strings"
	"syscall"
	"weak"
)

// ioState is what the io library keeps in a VM.
type ioState struct {
	meta          *Table
	input, output *Userdata
	stdin, stdout *ioFile
	dirty         map[weak.Pointer[ioFile]]struct{} // files with unwritten data
}

// FlushFiles writes what files opened by Lua, standard output among them, hold
// in their buffers. The host calls it before the process ends.
func (m *VM) FlushFiles() {
	for p := range m.io.dirty {
		delete(m.io.dirty, p)
		// One that is in use is being written, or will be by its user.
		if f := p.Value(); f != nil && f.f != nil && f.mu.TryLock() {
			// Nobody is left to be told of a full disk.
			_ = f.flush()
			_ = f.unlock()
		}
	}
}

// WriteStdout writes to the standard output of the VM, in order with io.write.
func (m *VM) WriteStdout(s string) error {
	f := m.io.stdout
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(s)
}

// ReadStdinLine reads a line of what io.stdin reads, without its end. ok is false at
// the end of the file and after an error.
func (m *VM) ReadStdinLine() (line string, ok bool) {
	f := m.io.stdin
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok, err := f.readLine(nil, false)
	return string(b), ok && err == nil
}

// readStdin reads what is left of the standard input.
func (m *VM) readStdin() ([]byte, error) {
	f := m.io.stdin
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readAll(nil)
}

// FlushStdout writes what the standard output of the VM has in its buffer.
func (m *VM) FlushStdout() error {
	f := m.io.stdout
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flush()
}

func openIO(m *VM) {
	m.io.dirty = make(map[weak.Pointer[ioFile]]struct{})
	meta := m.NewTable(0, 16)
	m.Register(meta, []Reg{
		{"close", fileClose, "closes the file"},
		{"flush", fileFlush, "writes what is buffered"},
		{"lines", fileLines, "an iterator that reads by formats, lines by default"},
		{"read", fileRead, "reads by formats"},
		{"seek", fileSeek, "sets and returns the position"},
		{"setvbuf", fileSetvbuf, "sets the kind of buffering"},
		{"write", fileWrite, "writes strings and numbers"},
		{"__gc", fileGC, "closes the file"},
		{"__tostring", fileTostring, "the name with the address"},
	})
	meta.SetStr("__index", meta.Value())
	m.io.meta = meta
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"close", ioClose, "closes a file, by default the output"},
		{"flush", ioFlush, "flushes the default output"},
		{"input", ioInput, "the default input; sets it"},
		{"lines", ioLines, "an iterator over the lines of a file"},
		{"open", ioOpen, "opens a file"},
		{"output", ioOutput, "the default output; sets it"},
		{"popen", ioPopen, "runs a program and returns a pipe from or to it"},
		{"read", ioRead, "reads from the default input"},
		{"tmpfile", ioTmpfile, "a temporary file without a name"},
		{"type", ioType, "file, closed file or nil"},
		{"write", ioWrite, "writes to the default output"},
	})
	std := func(name string, f *os.File, mode bufferMode) *Userdata {
		// Not watched: __gc does nothing to it.
		u := &Userdata{Data: &ioFile{m: m, f: f, std: true, mode: mode}, meta: meta, env: m.globals}
		lib.SetStr(name, u.Value())
		return u
	}
	mode := bufferFull
	if fi, err := os.Stdout.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		mode = bufferLine
	}
	m.io.input = std("stdin", os.Stdin, bufferFull)
	m.io.stdin = m.io.input.Data.(*ioFile)
	m.io.stdin.readOnly = true
	m.io.output = std("stdout", os.Stdout, mode)
	m.io.stdout = m.io.output.Data.(*ioFile)
	std("stderr", os.Stderr, bufferNone)
	m.openLib("io", lib)
}

func (m *VM) newFile(f *ioFile) *Userdata {
	f.m = m
	return m.NewUserdata(f, m.io.meta)
}

// anyFile returns argument 1 as a file, closed or not.
func (t *Thread) anyFile() *ioFile {
	if u, ok := t.Arg(1).AsUserdata(); ok {
		if f, ok := u.Data.(*ioFile); ok {
			return f
		}
	}
	t.TypeError(1, "FILE*")
	return nil
}

// openedFile returns argument 1 as an open file.
func (t *Thread) openedFile() *ioFile {
	f := t.anyFile()
	if f.f == nil {
		t.Errorf("attempt to use a closed file")
	}
	return f
}

// standard returns the default input or output.
func (t *Thread) standard(u *Userdata) *ioFile {
	f := u.Data.(*ioFile)
	if f.f == nil {
		t.Errorf("standard file is closed")
	}
	return f
}

func ioType(t *Thread) int {
	v := t.CheckAny(1)
	if u, ok := v.AsUserdata(); ok {
		if f, ok := u.Data.(*ioFile); ok {
			if f.f == nil {
				t.PushString("closed file")
			} else {
				t.PushString("file")
			}
			return 1
		}
	}
	t.PushNil()
	return 1
}

func fileTostring(t *Thread) int {
	if f := t.anyFile(); f.f == nil {
		t.PushString("file (closed)")
	} else {
		t.PushBytes(append(appendPointer([]byte("file ("), t.Arg(1)), ')'))
	}
	return 1
}

func fileGC(t *Thread) int {
	if f := t.anyFile(); f.f != nil && !f.std {
		f.abandon()
	}
	return 0
}

func fileClose(t *Thread) int { return t.closeFile(t.openedFile()) }

func ioClose(t *Thread) int {
	if t.NArgs() == 0 {
		return t.closeFile(t.standard(t.m.io.output))
	}
	return fileClose(t)
}

func (t *Thread) closeFile(f *ioFile) int {
	if f.std {
		t.PushNil()
		t.PushString("cannot close standard file")
		return 2
	}
	return t.pushResult(f.with(t, f.close), "")
}

func fileFlush(t *Thread) int { return t.flushFile(t.openedFile()) }
func ioFlush(t *Thread) int   { return t.flushFile(t.standard(t.m.io.output)) }

func (t *Thread) flushFile(f *ioFile) int {
	return t.pushResult(f.with(t, f.flush), "")
}

func fileWrite(t *Thread) int { return t.writeFile(t.openedFile(), 2) }
func ioWrite(t *Thread) int   { return t.writeFile(t.standard(t.m.io.output), 1) }

func (t *Thread) writeFile(f *ioFile, first int) int {
	for i := first; i <= t.NArgs(); i++ {
		s := t.CheckString(i)
		if err := f.with(t, func() error { return f.write(s) }); err != nil {
			return t.pushResult(err, "")
		}
	}
	t.PushBool(true)
	return 1
}

func fileSeek(t *Thread) int {
	f := t.openedFile()
	whence := []int{0, 1, 2}[t.CheckOption(2, "cur", "set", "cur", "end")]
	off := t.OptNumber(3, 0)
	var pos int64
	err := f.with(t, func() (err error) {
		pos, err = f.seek(int64(floatToInt(off)), whence)
		return err
	})
	if err != nil {
		return t.pushResult(err, "")
	}
	t.PushNumber(float64(pos))
	return 1
}

func fileSetvbuf(t *Thread) int {
	f := t.openedFile()
	f.mode = []bufferMode{bufferFull, bufferLine, bufferNone}[t.CheckOption(2, "", "full", "line", "no")]
	if f.mode == bufferNone {
		return t.flushFile(f)
	}
	t.PushBool(true)
	return 1
}

func fileRead(t *Thread) int {
	f := t.openedFile()
	formats := make([]Value, 0, 4)
	for i := 2; i <= t.NArgs(); i++ {
		formats = append(formats, t.Arg(i))
	}
	return t.readFile(f, formats, 2)
}

func ioRead(t *Thread) int {
	f := t.standard(t.m.io.input)
	formats := make([]Value, 0, 4)
	for i := 1; i <= t.NArgs(); i++ {
		formats = append(formats, t.Arg(i))
	}
	return t.readFile(f, formats, 1)
}

// readFile reads by formats, which are the arguments from first on, and pushes
// the results: up to the first that fails, or an error triple.
func (t *Thread) readFile(f *ioFile, formats []Value, first int) int {
	if len(formats) == 0 {
		formats = append(formats, String("*l"))
	}
	for i, format := range formats {
		v, err := t.readOne(f, format, first+i)
		if err != nil {
			return t.pushResult(err, "")
		}
		t.Push(v)
		if v.IsNil() {
			return i + 1
		}
	}
	return len(formats)
}

// readOne reads one item; nil is the end of the file.
func (t *Thread) readOne(f *ioFile, format Value, arg int) (v Value, err error) {
	kind, n := byte('b'), 0
	if s, ok := format.AsString(); ok {
		s = strings.TrimPrefix(s, "*")
		if s == "" || !strings.Contains("nalL", s[:1]) {
			t.ArgError(arg, "invalid format")
		}
		kind = s[0]
	} else if x, ok := format.AsNumber(); ok {
		n = toInt32(x)
		if n < 0 || n > maxString {
			t.errMemory()
		}
	} else {
		t.ArgError(arg, "invalid option")
	}
	err = f.with(t, func() (err error) {
		v, err = f.readItem(kind, n)
		return err
	})
	if errors.Is(err, syscall.ENOMEM) {
		t.errMemory()
	}
	return v, err
}

// readItem reads a number, all, n bytes, or a line.
func (f *ioFile) readItem(kind byte, n int) (v Value, err error) {
	if kind == 'n' {
		x, ok, err := f.readNumber()
		if ok {
			v = Number(x)
		}
		return v, err
	}
	pooled := buffers.Get().(*[]byte)
	b, ok := (*pooled)[:0], true
	switch kind {
	case 'a':
		b, err = f.readAll(b)
	case 'b':
		b, ok, err = f.readBytes(b, n)
	default:
		b, ok, err = f.readLine(b, kind == 'L')
	}
	if ok && err == nil {
		v = Bytes(b)
	}
	putBuffer(pooled, b)
	return v, err
}

func fileLines(t *Thread) int {
	t.openedFile()
	return t.pushLines(t.Arg(1), false)
}

// pushLines pushes an iterator over a file with the formats from argument 2 on.
func (t *Thread) pushLines(file Value, closeAtEnd bool) int {
	up := []Value{file, Bool(closeAtEnd)}
	for i := 2; i <= t.NArgs(); i++ {
		up = append(up, t.Arg(i))
	}
	t.Push(t.m.NewFunction("lines_iterator", linesNext, up...))
	return 1
}

func linesNext(t *Thread) int {
	up := t.goFunction().goUp
	f := up[0].udata().Data.(*ioFile)
	if f.f == nil {
		t.Errorf("attempt to use a closed file")
	}
	top := t.top
	n := t.readFile(f, append([]Value(nil), up[2:]...), 1)
	if n == abortResult {
		return n
	}
	if first := t.stack[top]; first.IsNil() {
		if n > 1 {
			msg, _ := t.stack[top+1].AsString()
			t.Errorf("%s", msg)
		}
		if up[1] == True {
			// It was only read: closing has nothing to report.
			if stop, ok := f.with(t, f.close).(*threadStop); ok {
				return t.Abort(stop.err)
			}
		}
	}
	return n
}

func ioLines(t *Thread) int {
	if t.Arg(1).IsNil() {
		return t.pushLines(t.m.io.input.Value(), false)
	}
	name := t.CheckString(1)
	u, err := t.openFile(name, "r")
	if stop, ok := err.(*threadStop); ok {
		return t.Abort(stop.err)
	}
	if err != nil {
		msg, _ := errnoOf(err)
		t.ArgError(1, name+": "+msg)
	}
	return t.pushLines(u.Value(), true)
}

// openFile opens a file with a mode of C's fopen.
func (t *Thread) openFile(name, mode string) (*Userdata, error) {
	flags := 0
	plus := strings.Contains(mode, "+")
	if mode == "" {
		return nil, syscall.EINVAL
	}
	switch mode[0] {
	case 'r':
	case 'w':
		flags = os.O_CREATE | os.O_TRUNC
	case 'a':
		flags = os.O_CREATE | os.O_APPEND
	default:
		return nil, syscall.EINVAL
	}
	switch {
	case plus:
		flags |= os.O_RDWR
	case mode[0] != 'r':
		flags |= os.O_WRONLY
	}
	var f *os.File
	var err error
	stop := t.m.block(t, MayBlock, func() { f, err = os.OpenFile(name, flags, 0o666) })
	if err != nil {
		return nil, err
	}
	if stop != nil {
		_ = f.Close()
		return nil, stop
	}
	return t.m.newFile(&ioFile{f: f, readOnly: mode[0] == 'r' && !plus}), nil
}

func ioOpen(t *Thread) int {
	name := t.CheckString(1)
	u, err := t.openFile(name, t.OptString(2, "r"))
	if err != nil {
		return t.pushResult(err, name)
	}
	t.Push(u.Value())
	return 1
}

func ioInput(t *Thread) int  { return t.defaultFile(&t.m.io.input, "r") }
func ioOutput(t *Thread) int { return t.defaultFile(&t.m.io.output, "w") }

func (t *Thread) defaultFile(p **Userdata, mode string) int {
	if t.NArgs() > 0 && !t.Arg(1).IsNil() {
		if name, ok := t.Arg(1).ToStringCoerced(); ok {
			u, err := t.openFile(name, mode)
			if stop, ok := err.(*threadStop); ok {
				return t.Abort(stop.err)
			}
			if err != nil {
				msg, _ := errnoOf(err)
				t.ArgError(1, name+": "+msg)
			}
			*p = u
		} else {
			t.anyFile()
			*p = t.Arg(1).udata()
		}
	}
	t.Push((*p).Value())
	return 1
}

func ioTmpfile(t *Thread) int {
	var f *os.File
	var err error
	stop := t.m.block(t, MayBlock, func() {
		if f, err = os.CreateTemp("", "lua_"); err == nil {
			err = os.Remove(f.Name())
		}
	})
	if stop != nil && err == nil {
		_ = f.Close()
		err = stop
	}
	if err != nil {
		return t.pushResult(err, "")
	}
	t.Push(t.m.newFile(&ioFile{f: f}).Value())
	return 1
}

func ioPopen(t *Thread) int {
	command := t.CheckString(1)
	mode := t.OptString(2, "r")
	if mode != "r" && mode != "w" {
		return t.pushResult(syscall.EINVAL, command)
	}
	t.m.FlushFiles()
	cmd := osexec.Command("/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	ours, theirs, err := os.Pipe()
	if err != nil {
		return t.pushResult(err, command)
	}
	if mode == "r" {
		cmd.Stdout = theirs
	} else {
		ours, theirs = theirs, ours
		cmd.Stdin = theirs
	}
	stop := t.m.block(t, Blocks, func() { err = cmd.Start() })
	// The child has its copy, or there is no child.
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return t.pushResult(err, command)
	}
	f := &ioFile{f: ours, cmd: cmd, readOnly: mode == "r"}
	if stop != nil {
		f.m = t.m
		f.abandon()
		return t.pushResult(stop, command)
	}
	t.Push(t.m.newFile(f).Value())
	return 1
}
