package master

import (
	"os"
	"syscall"
	"time"

	"perilune/ipc"
)

// env is what the master needs of the system; tests put their own in its place. What else takes part in the life of the process
// (a service manager that is told of readiness, reloads and the end) is called from load, begun, changed, discard and closing.
type env struct {
	now   func() time.Time
	after func(d time.Duration, f func()) (stop func()) // f runs in another goroutine

	// load reads the configuration and opens its files and sockets. What goes wrong is logged by it.
	load func(old *generation) (*generation, error)
	// discard undoes load, for a generation that never served.
	discard func(g *generation)
	// release closes what the master holds of a generation whose last worker is gone.
	release func(g *generation)
	// spawn starts the worker of a slot.
	spawn func(g *generation, n int) (process, channel, error)
	// begun is called once, when the first worker has run init_by_lua: the pid file is written, the terminal let go.
	begun func(g *generation) error
	// changed is called when g has taken over from old.
	changed func(old, g *generation)
	// reopen opens the log files of a generation anew and returns their paths and descriptors.
	reopen func(g *generation) (paths []string, fds []int)
	// closing is called with the generation that serves when no connection is to be accepted any more.
	closing func(g *generation)
	// finish is called at the end.
	finish func()
	// orphans waits for children that are nobody's, if this is process 1.
	orphans func(isWorker func(pid int) bool)

	// upgrade starts the next master. done is called once, from another goroutine: when the next master serves, or has failed.
	upgrade func(g *generation, done func(next successor, err error))
	// forgo ends an upgrade that is under way, and makes further ones impossible.
	forgo func()
	// restore makes the files say again that this process is the master, after an upgrade that has failed.
	restore func(g *generation)
	// refuse tells the master before this one why this one cannot take over.
	refuse func(why string)
	// handed is called in place of finish when the next master serves: that one looks after the workers that are left.
	handed func(left []*worker)
	// alone is called when the master before this one is gone, and returns the workers that it has left.
	alone func() []*worker

	// notify is the service manager.
	notify notifier
}

// notifier is what a service manager hears, and what it keeps, from the master's goroutine and from system. In an upgrade begun
// is called, in the next master, when all its workers are ready.
type notifier interface {
	// begin is called before the first event. Then after runs functions in the master's goroutine.
	begin(after func(d time.Duration, f func()) (stop func()))
	// settled is called after each event.
	settled(v view)
	// reloading is called before the configuration is read again.
	reloading()
	// keep is called with a generation from when on it serves, leave before its sockets are closed at the end of the process.
	keep(g *generation)
	leave(g *generation)
	// mainPID says that another process is the master from now on. This one calls it when the next master is ready, before it
	// lets its workers go and exits.
	mainPID(pid int)
	// alone is called, in the next master, when the one before it is gone.
	alone()
}

// nobody is the notifier where there is no service manager.
type nobody struct{}

func (nobody) begin(func(time.Duration, func()) func()) {}
func (nobody) settled(view)                             {}
func (nobody) reloading()                               {}
func (nobody) keep(*generation)                         {}
func (nobody) leave(*generation)                        {}
func (nobody) mainPID(int)                              {}
func (nobody) alone()                                   {}

// process is a worker's process.
type process interface {
	Pid() int
	Signal(sig syscall.Signal) error
	// Wait waits for the end of the process.
	Wait() exitStatus
}

// channel is the master's end of the socket to a worker.
type channel interface {
	Send(m *ipc.Message, fds ...int) error
	Recv() (ipc.Message, []int, error)
	Close() error
}

// exitStatus is how a process ended.
type exitStatus struct {
	signal  int // 0 if it exited
	code    int
	core    bool
	unknown bool // it was no child
}

func statusOf(ws syscall.WaitStatus) exitStatus {
	if ws.Signaled() {
		return exitStatus{signal: int(ws.Signal()), core: ws.CoreDump()}
	}
	return exitStatus{code: ws.ExitStatus()}
}

// osProcess is a real child.
type osProcess struct{ p *os.Process }

func (p osProcess) Pid() int                        { return p.p.Pid }
func (p osProcess) Signal(sig syscall.Signal) error { return p.p.Signal(sig) }

func (p osProcess) Wait() exitStatus {
	st, err := p.p.Wait()
	if err != nil {
		// Somebody else has waited for it: it is gone, and how is not known.
		return exitStatus{code: -1}
	}
	return statusOf(st.Sys().(syscall.WaitStatus))
}
