package httplua

import (
	"errors"
	"syscall"
	"time"

	"perilune/luart"
	"perilune/worker/child"
	"perilune/worker/loop"
)

// process is a program of ngx.pipe as luart sees it.
type process struct{ *child.Process }

func spawn(l *loop.Loop, o *luart.Program) (luart.Process, error) {
	p, err := child.Start(l, &child.Options{Args: o.Args, Env: o.Env, MergeStderr: o.MergeStderr, Failed: o.Failed})
	if err != nil {
		return nil, err
	}
	return process{p}, nil
}

func (p process) PID() int { return p.Process.PID }

func (p process) Read(stream int, b []byte, timeout time.Duration) (int, error) {
	n, err := p.Process.Read(child.Stream(stream), b, timeout)
	return n, waitError(err)
}

func (p process) Write(b []byte, timeout time.Duration) error {
	return waitError(p.Process.Write(b, timeout))
}

func (p process) Wait(timeout time.Duration) (syscall.WaitStatus, error) {
	st, err := p.Process.Wait(timeout)
	return st, waitError(err)
}

func (p process) Cancel(stream int, err error) { p.Process.Cancel(child.Stream(stream), err) }
func (p process) Shutdown(stream int)          { p.Process.Shutdown(child.Stream(stream)) }

// waitError is the error of a wait in the loop as luart knows it.
func waitError(err error) error {
	if errors.Is(err, loop.ErrTimeout) {
		return luart.ErrTimeout
	}
	return err
}
