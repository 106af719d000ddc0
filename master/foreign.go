package master

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
)

// bequest describes a worker that its master leaves to the next one, together with the socket to it. Versions of the program
// may differ: fields are only added.
type bequest struct {
	Kind       string // "worker"
	Pid        int
	Generation int
	Slot       int
	Drains     bool
	Stopping   bool
	Hang       time.Duration // worker_hang_timeout
	KillAt     int64         // Unix time, 0 for never
	Stats      ipc.Stats
}

// leave describes the workers that outlive this master.
func leave(workers []*worker) (names []string, fds []int) {
	for _, w := range workers {
		conn, ok := w.ch.(*ipc.Conn)
		if !ok {
			continue
		}
		b := bequest{
			Kind: "worker", Pid: w.pid, Generation: w.gen.id, Slot: w.slot.n, Drains: w.drains, Stopping: w.state == stopping,
			Hang: w.gen.core.HangTimeout.V, Stats: w.stats,
		}
		if !w.killAt.IsZero() {
			b.KillAt = w.killAt.Unix()
		}
		text, err := json.Marshal(b)
		if err != nil {
			continue // there is nothing in it that could fail
		}
		names, fds = append(names, string(text)), append(fds, conn.FD())
	}
	return names, fds
}

// inherit takes the workers that the master before this one has left.
func (f *flip) inherit() []*worker {
	var list []*worker
	names, fds := f.h.Left()
	for i, name := range names {
		var b bequest
		if json.Unmarshal([]byte(name), &b) != nil || b.Kind != "worker" || b.Pid <= 1 {
			unix.Close(fds[i])
			continue
		}
		w, err := b.worker(fds[i])
		if err != nil {
			continue // it is gone
		}
		list = append(list, w)
	}
	return list
}

func (b *bequest) worker(fd int) (*worker, error) {
	conn, err := ipc.NewConn(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(b.Pid, 0)
	if err != nil {
		conn.Close()
		return nil, err
	}
	g := &generation{id: b.Generation, core: &conf.CoreConf{}, sockets: &socketSet{}, foreign: true}
	g.core.HangTimeout.V = b.Hang
	w := &worker{
		pid: b.Pid, gen: g, slot: &slot{n: b.Slot, served: true}, proc: &foreignProcess{pid: b.Pid, pidfd: pidfd}, ch: conn,
		state: quitting, drains: b.Drains, stats: b.Stats,
	}
	if b.Stopping {
		w.state = stopping
	}
	if b.KillAt != 0 {
		w.killAt = time.Unix(b.KillAt, 0)
	}
	return w, nil
}

// foreignProcess is a worker that is no child of this process.
type foreignProcess struct {
	pid int

	mu    sync.Mutex
	pidfd int // -1 after the end
}

func (p *foreignProcess) Pid() int { return p.pid }

func (p *foreignProcess) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 {
		return os.ErrProcessDone
	}
	return unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
}

// Wait waits for the end. It is called once.
func (p *foreignProcess) Wait() exitStatus {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.pidfd)
	p.pidfd = -1
	return exitStatus{unknown: true}
}
