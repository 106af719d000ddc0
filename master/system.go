package master

import (
	"errors"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
)

func itoa(n int) string { return strconv.Itoa(n) }

// system is the real environment of a master: what it does to files, sockets and processes.
type system struct {
	opts       *Options
	initLog    *logging.Log // until the first configuration is in force
	daemonized bool
	alone      bool   // no workers; a reload does not change that
	console    bool   // the start is not finished, messages go to standard error as well
	report     func() // tells the process that waits for the start
	pid        string // the pid file that was written
	inherited  inherited
	// storedZones is what a service manager has kept of a master that died.
	storedZones *zoneSet
	notify      notifier
	flip        *flip         // nil with master_process off
	next        successor     // after an upgrade
	upgrades    int           // before this process
	status      *statusSocket // nil if there is none
	post        func(event)   // to the master's goroutine
	count       int           // generations made
	serving     *generation
}

func (s *system) env() env {
	return env{
		now:     time.Now,
		after:   afterFunc,
		load:    s.load,
		discard: s.discard,
		release: release,
		spawn:   s.spawn,
		begun:   s.begun,
		changed: s.changed,
		reopen:  s.reopen,
		closing: s.closing,
		finish:  s.finish,
		orphans: reapOrphans,
		notify:  s.notify,

		upgrade: s.upgrade,
		forgo:   s.forgo,
		restore: s.restore,
		refuse:  s.refuse,
		handed:  s.handed,
		alone:   s.standAlone,
	}
}

// release closes what the master holds of a generation. One of another master has nothing here.
func release(g *generation) {
	if !g.foreign {
		g.cycle.Files.CloseAll()
		g.zones.drop()
	}
}

func afterFunc(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// parse reads the configuration; its messages go to log.
func (s *system) parse(log *logging.Log) (*conf.Cycle, error) {
	o := s.opts
	return conf.Load(conf.Options{
		Prefix: o.Prefix, ConfFile: o.ConfFile, Globals: o.Globals,
		Modules: o.Modules, TestOnly: o.Test, Log: log,
		Parsed: func(c *conf.Cycle) {
			if o.Test && !o.Quiet {
				logging.Stderr("the configuration file " + c.ConfFile + " syntax is ok")
			}
		},
	})
}

// load makes a generation: configuration, log files, sockets. What goes wrong is logged in the log that is in force.
func (s *system) load(old *generation) (*generation, error) {
	log := s.initLog
	if old != nil {
		log = old.log
		s.notify.reloading()
	}
	cycle, err := s.parse(log)
	if err != nil {
		log.Log(conf.LevelOf(err), 0, err.Error())
		return nil, err
	}
	return s.build(cycle, old, log)
}

// build opens what a configuration needs.
func (s *system) build(cycle *conf.Cycle, old *generation, log *logging.Log) (*generation, error) {
	if old != nil {
		if err := s.checkPid(cycle.CoreConf().Pid.V, log); err != nil {
			return nil, err
		}
	}
	if err := s.makePaths(cycle); err != nil {
		log.Log(logging.Emerg, 0, err.Error())
		return nil, err
	}
	cycleLog := ipc.CycleLog(cycle, s.initLog, s.opts.ErrorLog)
	cycle.Files.ReportTo(cycleLog)
	if err := cycle.Files.OpenAll(); err != nil {
		log.Log(logging.Emerg, 0, err.Error())
		return nil, err
	}
	var before *socketSet
	var zonesBefore *zoneSet
	switch {
	case old != nil:
		before, zonesBefore = old.sockets, old.zones
	case s.flip != nil && s.flip.before != nil:
		before, zonesBefore = s.flip.before.sockets, s.flip.before.zones
	default:
		zonesBefore = s.storedZones
	}
	zones, err := openZones(cycle, zonesBefore, log)
	if err != nil {
		log.Log(logging.Emerg, 0, err.Error())
		cycle.Files.CloseAll()
		return nil, err
	}
	workers := cycle.CoreConf().WorkerProcesses.V
	if s.alone {
		workers = 1
	}
	sockets, err := openSockets(cycle.Listening, workers, before, s.inherited, log, time.Sleep)
	if err != nil {
		cycle.Files.CloseAll()
		zones.drop()
		return nil, err
	}
	sockets.configure(cycle.Listening, log)
	cycleLog.Log(logging.Notice, 0, "using the \"epoll\" event method")
	s.count++
	g := newGeneration(s.count, cycle, cycleLog, sockets)
	g.zones = zones
	return g, nil
}

func (s *system) discard(g *generation) {
	g.sockets.abandon(g.log)
	g.cycle.Files.CloseAll()
	if !s.alone {
		g.zones.drop() // else an engine may still use them
	}
}

// begun finishes the start of the process.
func (s *system) begun(g *generation) error {
	path := g.core.Pid.V
	if err := writePid(path); err != nil {
		g.log.Log(logging.Emerg, 0, err.Error())
		return err
	}
	s.pid = path
	s.serving = g
	s.notify.keep(g)
	s.report()
	s.letGo(g)
	if s.post != nil {
		s.listenStatus(g)
	}
	if s.flip != nil {
		s.took(g)
	}
	if f := s.initLog.File(); f != nil {
		f.Close()
	}
	return nil
}

// letGo ends the use of the standard error that the process was started with, unless it is the log.
func (s *system) letGo(g *generation) {
	s.console = false
	g.log.SetConsole(false)
	s.redirect(g)
}

func (s *system) redirect(g *generation) {
	if g.cycle.Files.UsesStderr() {
		return
	}
	if err := g.log.RedirectStderr(); err != nil {
		g.log.Log(logging.Alert, 0, err.Error())
	}
}

// changed is called when the workers of g serve.
func (s *system) changed(old, g *generation) {
	s.serving = g
	old.sockets.drop(g.log)
	s.notify.keep(g)
	s.redirect(g)
	if path := g.core.Pid.V; path != s.pid {
		if err := writePid(path); err != nil {
			g.log.Log(logging.Emerg, 0, err.Error())
			return
		}
		s.removePid(g.log)
		s.pid = path
		if s.post != nil {
			s.listenStatus(g)
		}
	}
}

// checkPid checks, before anything is changed, that a new pid file could be written.
func (s *system) checkPid(path string, log *logging.Log) error {
	if path == s.pid {
		return nil
	}
	err := testPid(path)
	if err != nil {
		log.Log(logging.Emerg, 0, err.Error())
	}
	return err
}

func (s *system) removePid(log *logging.Log) {
	if s.pid == "" {
		return
	}
	if err := deletePid(s.pid); err != nil {
		log.Log(logging.Alert, 0, err.Error())
	}
	s.pid = ""
}

func (s *system) reopen(g *generation) (paths []string, fds []int) {
	uid := -1
	if os.Geteuid() == 0 {
		uid = g.core.UID
	}
	if err := g.cycle.Files.ReopenAll(uid); err != nil {
		for _, e := range flatten(err) {
			g.log.Log(logging.Emerg, 0, e.Error())
		}
	}
	if g == s.serving {
		s.redirect(g)
	}
	for _, f := range g.cycle.Files.All() {
		if fd := f.FD(); fd >= 0 {
			paths, fds = append(paths, f.Path()), append(fds, fd)
		}
	}
	return paths, fds
}

// flatten undoes errors.Join.
func flatten(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

func (s *system) closing(g *generation) {
	s.notify.leave(g)
	g.sockets.drop(g.log)
}

// finish is the end of the process.
func (s *system) finish() {
	g := s.serving
	if g == nil {
		return
	}
	s.status.close()
	s.removePid(g.log)
	g.log.Log(logging.Notice, 0, "exit")
	s.notify.leave(g)
	g.sockets.drop(g.log)
}

// status logs what kind of process starts, and where.
func status(log *logging.Log) {
	log.Log(logging.Notice, 0, "perilune/"+conf.Version)
	log.Log(logging.Notice, 0, "built by "+runtime.Version())
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		log.Log(logging.Notice, 0, "OS: "+unix.ByteSliceToString(u.Sysname[:])+" "+unix.ByteSliceToString(u.Release[:]))
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err == nil {
		log.Logf(logging.Notice, 0, "getrlimit(RLIMIT_NOFILE): %d:%d", lim.Cur, lim.Max)
	}
}

// groupsOf are the groups of a user, as initgroups(3) sets them.
func groupsOf(name string, gid int) []int {
	groups := []int{gid}
	u, err := user.Lookup(name)
	if err != nil {
		return groups
	}
	ids, err := u.GroupIds()
	if err != nil {
		return groups
	}
	for _, id := range ids {
		// The user's own group is there only if it is the one that was configured.
		if n, err := strconv.Atoi(id); err == nil && n != gid && id != u.Gid {
			groups = append(groups, n)
		}
	}
	return groups
}

// reapOrphans waits for children that this process has inherited as process 1. It stops at a worker, whose own waiter reaps it;
// the end of a worker calls again.
func reapOrphans(isWorker func(pid int) bool) {
	if os.Getpid() != 1 {
		return
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != nil {
			return
		}
		// The union behind the three ints of a siginfo is aligned to 8 bytes and starts with the pid.
		pid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
		if pid == 0 || isWorker(pid) {
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}
