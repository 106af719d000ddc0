package master

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"perilune/ipc"
	"perilune/logging"
)

// argv has empty arguments behind the title as room for a longer one.
func argv(title string) []string { return append([]string{title}, slices.Repeat([]string{""}, 24)...) }

// selfExe is this very binary, even if another one has taken its place on disk.
const selfExe = "/proc/self/exe"

// fdTable collects the descriptors that a child inherits and numbers them.
type fdTable struct{ fds []uintptr }

func (t *fdTable) add(fd int) int {
	t.fds = append(t.fds, uintptr(fd))
	return len(t.fds) - 1
}

// spawn starts the worker of a slot with everything that it is to have, and nothing else.
func (s *system) spawn(g *generation, n int) (process, channel, error) {
	conn, child, err := ipc.Pair()
	if err != nil {
		return nil, nil, err
	}
	defer child.Close()
	pid, err := s.exec(g, n, child)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return osProcess{p}, conn, nil
}

func (s *system) exec(g *generation, n int, child *os.File) (int, error) {
	table := fdTable{fds: []uintptr{0, 1, 2}}
	const manifestFD = 3
	table.add(-1) // filled below: the manifest names the other numbers
	raw := func(fd int) int { return table.add(fd) }
	m := &ipc.Manifest{
		Generation: g.id, Slot: n, Workers: len(g.slots), MasterPID: os.Getpid(),
		IPC:    raw(int(child.Fd())),
		Prefix: s.opts.Prefix, ConfFile: s.opts.ConfFile, Globals: s.opts.Globals, ErrorLog: s.opts.ErrorLog,
		Snapshot:   g.cycle.Snapshot,
		Files:      make(map[string]int),
		Zones:      g.zones.fdsOf(raw),
		Daemonized: s.daemonized, Console: s.console,
	}
	title := ipc.WorkerTitle
	if m.Agent() {
		title = ipc.AgentTitle
		m.Connections = g.agent.connections
	} else {
		m.Sockets, m.User = g.sockets.fdsOf(n, len(g.slots), raw), s.user(g)
	}
	for _, f := range g.cycle.Files.All() {
		if fd := f.FD(); fd >= 0 {
			m.Files[f.Path()] = raw(fd)
		}
	}
	mf, err := m.File()
	if err != nil {
		return 0, err
	}
	defer mf.Close()
	table.fds[manifestFD] = mf.Fd()
	attr := &syscall.ProcAttr{
		Env:   append(withoutManager(g.core.Environ(os.Environ())), ipc.EnvWorker+"=3"),
		Files: table.fds,
	}
	return s.forkWith(g, n, func() (int, error) { return syscall.ForkExec(selfExe, argv(title), attr) })
}

// forkWith forks in a thread that has the worker's processors and priority: the child inherits them before any thread of its
// own exists. The thread is not used again.
func (s *system) forkWith(g *generation, n int, fork func() (int, error)) (int, error) {
	prio := g.core.WorkerPriority.V
	var mask *unix.CPUSet
	if n != ipc.AgentSlot {
		mask = g.core.Affinity(n)
	}
	if mask == nil && prio == 0 {
		return fork()
	}
	type result struct {
		pid int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if prio != 0 {
			if err := unix.Setpriority(unix.PRIO_PROCESS, 0, prio); err != nil {
				g.log.LogErr(logging.Alert, 0, err, "setpriority("+itoa(prio)+") failed")
			}
		}
		if mask != nil {
			if err := unix.SchedSetaffinity(0, mask); err != nil {
				g.log.LogErr(logging.Alert, 0, err, "sched_setaffinity() failed")
			}
		}
		pid, err := fork()
		done <- result{pid, err}
	}()
	r := <-done
	return r.pid, r.err
}

// user is whom the workers of a generation run as, nil if they stay who the master is.
func (s *system) user(g *generation) *ipc.User {
	c := g.core
	if c.UID < 0 || os.Geteuid() != 0 {
		return nil
	}
	return &ipc.User{Name: c.User.V, UID: c.UID, GID: c.GID, Groups: groupsOf(c.User.V, c.GID)}
}

// title is the master's command line in ps, as in nginx with the arguments behind it.
func title(args []string) string {
	return "perilune: master process " + strings.Join(args, " ")
}
