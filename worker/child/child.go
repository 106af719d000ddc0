// Package child runs programs for a worker, with pipes for their standard input, output and error in the worker's event loop.
// What must wait parks the goroutine and gives the baton away; all of it is for the holder of the baton.
//
// The package owns the pipes and the process until it was waited for. It knows nothing of Lua.
package child

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/worker/loop"
)

// Errors of waits.
var (
	ErrClosed  = errors.New("closed")
	ErrAborted = errors.New("aborted")
)

// Stream is one of a program's pipes.
type Stream int

// The streams, by their descriptors in the program.
const (
	Stdin Stream = iota
	Stdout
	Stderr
)

// Options say what to run.
type Options struct {
	Args        []string // Args[0] is looked for in PATH unless it has a slash
	Env         []string // nil: that of the worker
	MergeStderr bool     // standard error goes where standard output goes
	Failed      func(err error)
}

// Process is a program that runs, or has run.
type Process struct {
	PID    int
	proc   *os.Process
	loop   *loop.Loop
	pipes  [3]*pipe
	exited bool
	state  syscall.WaitStatus
	done   loop.Waiter
}

// pipe is the worker's end of a pipe.
type pipe struct {
	fd     loop.FD
	closed bool
}

// OnEvent has nothing to do: who reads or writes waits by himself.
func (*pipe) OnEvent(*loop.FD, bool, bool, bool) {}

// Start starts a program. As with fork and exec one that cannot be run is no error:
// Failed is told, and a process ends with the status 1.
func Start(l *loop.Loop, o *Options) (*Process, error) {
	p := &Process{loop: l}
	var err error
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			if f != nil {
				_ = f.Close()
			}
		}
	}()
	last := Stderr
	if o.MergeStderr {
		last = Stdout
	}
	for s := Stdin; s <= last; s++ {
		if theirs[s], err = p.open(s); err != nil {
			p.Close()
			return nil, err
		}
	}
	files := theirs[:]
	if o.MergeStderr {
		files = []*os.File{theirs[Stdin], theirs[Stdout], theirs[Stdout]}
	}
	attr := &os.ProcAttr{Env: o.Env, Files: files}
	proc, err := execvp(o.Args, attr)
	if err != nil {
		o.Failed(err)
		proc, err = os.StartProcess(shell, []string{shell, "-c", "exit 1"}, attr)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	p.PID, p.proc = proc.Pid, proc
	l.Outside(1)
	go p.reap(proc)
	return p, nil
}

const (
	shell       = "/bin/sh"
	defaultPath = "/bin:/usr/bin"
)

// execvp starts a program as the function of the C library does that is called so.
func execvp(args []string, attr *os.ProcAttr) (*os.Process, error) {
	name := args[0]
	if strings.Contains(name, "/") {
		return execve(name, args, attr)
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = defaultPath
	}
	err := error(unix.ENOENT)
	for _, dir := range filepath.SplitList(path) {
		if name == "" {
			break
		}
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		switch access := unix.Access(file, unix.X_OK); access {
		case nil:
		case unix.EACCES:
			err = access
			continue
		default:
			continue
		}
		proc, failed := execve(file, args, attr)
		if !errors.Is(failed, unix.EACCES) {
			return proc, failed
		}
		err = failed
	}
	return nil, err
}

// execve starts a file. The shell runs one of an unknown format.
func execve(file string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	proc, err := os.StartProcess(file, args, attr)
	if errors.Is(err, unix.ENOEXEC) {
		return os.StartProcess(shell, append([]string{shell, file}, args[1:]...), attr)
	}
	return proc, err
}

// open makes the pipe of a stream and returns the program's end.
func (p *Process) open(s Stream) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	ours, theirs := fds[0], fds[1]
	if s == Stdin {
		ours, theirs = fds[1], fds[0]
	}
	x := &pipe{}
	err := unix.SetNonblock(ours, true)
	if err == nil {
		err = p.loop.Register(&x.fd, ours, x)
	}
	if err != nil {
		_ = unix.Close(ours)
		_ = unix.Close(theirs)
		return nil, err
	}
	x.fd.Readable, x.fd.Writable = true, true
	p.pipes[s] = x
	return os.NewFile(uintptr(theirs), "pipe"), nil
}

// reap waits for the end of the process, without the baton.
func (p *Process) reap(proc *os.Process) {
	st, err := proc.Wait()
	p.loop.Post(func() {
		p.loop.Outside(-1)
		p.exited = true
		if err == nil {
			p.state, _ = st.Sys().(syscall.WaitStatus)
		}
		p.loop.Wake(&p.done, nil)
	})
}

// Read reads what there is, and waits for it. The end of the stream is no error and no bytes.
func (p *Process) Read(s Stream, b []byte, timeout time.Duration) (int, error) {
	x := p.pipes[s]
	for {
		if x == nil || x.closed {
			return 0, ErrClosed
		}
		n, err := unix.Read(x.fd.Sysfd, b)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
		default:
			return 0, err
		}
		x.fd.Readable = false
		if err := x.fd.WaitRead(timeout); err != nil {
			return 0, x.failed(err)
		}
	}
}

// Write writes all of b, and waits while the program does not take it.
func (p *Process) Write(b []byte, timeout time.Duration) error {
	x := p.pipes[Stdin]
	for {
		if x == nil || x.closed {
			return ErrClosed
		}
		n, err := unix.Write(x.fd.Sysfd, b)
		if n > 0 {
			b = b[n:]
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EPIPE:
			return ErrClosed
		case err != nil && err != unix.EAGAIN:
			return err
		case len(b) == 0:
			return nil
		case err == nil:
			continue
		}
		x.fd.Writable = false
		if err := x.fd.WaitWrite(timeout); err != nil {
			return x.failed(err)
		}
	}
}

// failed is the error of a wait.
func (x *pipe) failed(err error) error {
	if x.closed {
		return ErrAborted
	}
	return err
}

// Cancel ends the wait on a stream with err.
func (p *Process) Cancel(s Stream, err error) {
	if x := p.pipes[s]; x != nil && !x.closed {
		x.fd.Cancel(err)
	}
}

// Shutdown closes a pipe; who waits for it gets ErrAborted.
func (p *Process) Shutdown(s Stream) {
	x := p.pipes[s]
	if x == nil || x.closed {
		return
	}
	x.closed = true
	fd := x.fd.Sysfd
	p.loop.Unregister(&x.fd)
	_ = unix.Close(fd)
}

// Close closes all pipes.
func (p *Process) Close() {
	for s := Stdin; s <= Stderr; s++ {
		p.Shutdown(s)
	}
}

// Wait waits for the end of the program.
func (p *Process) Wait(timeout time.Duration) (syscall.WaitStatus, error) {
	if !p.exited {
		if err := p.loop.Park(&p.done, timeout); err != nil {
			return 0, err
		}
	}
	return p.state, nil
}

// CancelWait ends a Wait with err.
func (p *Process) CancelWait(err error) { p.loop.Wake(&p.done, err) }

// Exited says whether the program has ended.
func (p *Process) Exited() bool { return p.exited }

// Kill sends a signal to the program, and never to another one that has its number by now.
func (p *Process) Kill(sig syscall.Signal) error {
	err := p.proc.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return unix.ESRCH
	}
	return err
}
