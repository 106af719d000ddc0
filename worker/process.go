package worker

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
	"perilune/worker/loop"
)

const (
	titleDraining = ipc.WorkerTitle + " is shutting down"

	// exitFatal is nginx's code for a worker that cannot start.
	exitFatal = 2
)

// process is a worker process.
type process struct {
	*engine
	m    *ipc.Manifest
	conn *ipc.Conn
	beat loop.Timer

	sockets sync.Mutex  // guards the listen sockets once there is no master
	serving atomic.Bool // Lua's init code has ended; before that a stop must not wait for the loop
	failed  bool
}

// Main is the life of a worker process: fd is the manifest's descriptor. It returns the exit code.
func Main(fd int, modules []*conf.Module, hooks *Hooks) int {
	m, err := ipc.ReadManifest(fd)
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		return exitFatal
	}
	conn, err := ipc.NewConn(m.IPC)
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		return exitFatal
	}
	p := &process{m: m, conn: conn}
	if err := p.prepare(modules, hooks); err != nil {
		p.fail(err)
		return exitFatal
	}
	p.catchSignals()
	go p.listen()
	p.loop.Go(p.startUp)
	if err := p.loop.Run(); err != nil {
		p.log.Log(logging.Emerg, 0, err.Error())
		return exitFatal
	}
	if p.failed {
		return exitFatal
	}
	p.leave()
	p.log.Log(logging.Notice, 0, "exit")
	p.cycle.Files.Drain(logging.DrainTime)
	return 0
}

// fail tells the master why the worker cannot start.
func (p *process) fail(err error) {
	_ = p.conn.Send(&ipc.Message{Type: ipc.Failed, Text: err.Error()})
}

// prepare builds the engine from the manifest.
func (p *process) prepare(modules []*conf.Module, hooks *Hooks) error {
	m := p.m
	base := logging.New()
	base.SetConsole(m.Console)
	cycle, err := conf.Load(conf.Options{
		Prefix: m.Prefix, ConfFile: m.ConfFile, Globals: m.Globals,
		Source: m.Snapshot, Modules: modules, Worker: true,
	})
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		return err
	}
	log := ipc.CycleLog(cycle, base, m.ErrorLog)
	for _, f := range cycle.Files.All() {
		if fd, ok := m.Files[f.Path()]; ok {
			err = f.Attach(fd)
		} else {
			err = fmt.Errorf("the master has not opened the log file \"%s\"", f.Path())
		}
		if err != nil {
			logging.Stderr("[emerg] " + err.Error())
			return err
		}
	}
	cycle.Files.ReportTo(log)
	limits(cycle.CoreConf(), log)
	setOOMScore(cycle.CoreConf(), log)
	if m.Agent() {
		cycle.Listening = nil
		cycle.EventsConf().WorkerConnections.V = m.Connections
	}
	own, err := attach(cycle, m.Sockets)
	if err == nil {
		err = attachZones(cycle, m.Zones)
	}
	if err == nil {
		p.engine, err = newEngine(cycle, log, hooks, m.Slot, m.Workers)
	}
	if err != nil {
		log.Log(logging.Emerg, 0, err.Error())
		return err
	}
	p.info.master, p.info.quit = m.MasterPID, func() { p.loop.Post(p.drain) }
	p.own = own
	p.over = p.loop.Stop
	p.loop.Alone()
	p.beat.Init(p.sendBeat)
	return nil
}

// startUp runs in the loop: Lua code may wait in it.
func (p *process) startUp() {
	if err := p.bringUp(); err != nil {
		p.failed = true
		p.fail(err)
		p.loop.Stop()
		return
	}
	p.serving.Store(true)
	_ = p.conn.Send(&ipc.Message{Type: ipc.Ready})
	p.loop.SetTimer(&p.beat, beatInterval)
}

func (p *process) bringUp() error {
	if err := p.init(); err != nil {
		return err
	}
	if p.info.wanted {
		if err := p.conn.Send(&ipc.Message{Type: ipc.Agent, Connections: p.info.agent}); err != nil {
			return err
		}
	}
	if err := p.conn.Send(&ipc.Message{Type: ipc.Init}); err != nil {
		return err
	}
	p.log.SetConsole(false)
	p.redirect()
	if err := p.settle(); err != nil {
		return err
	}
	return p.start()
}

// redirect points standard error at the log, unless it is the log.
func (p *process) redirect() {
	if p.cycle.Files.UsesStderr() {
		return
	}
	if err := p.log.RedirectStderr(); err != nil {
		p.log.Log(logging.Alert, 0, err.Error())
	}
}

// settle makes the process the one that it is to be for good: its user and its directory.
func (p *process) settle() error {
	if u := p.m.User; u != nil {
		if err := syscall.Setgid(u.GID); err != nil {
			return p.fatal(err, fmt.Sprintf("setgid(%d) failed", u.GID), logging.Emerg)
		}
		if err := syscall.Setgroups(u.Groups); err != nil {
			p.log.LogErr(logging.Emerg, 0, err, fmt.Sprintf("initgroups(%s, %d) failed", u.Name, u.GID))
		}
		if err := syscall.Setuid(u.UID); err != nil {
			return p.fatal(err, fmt.Sprintf("setuid(%d) failed", u.UID), logging.Emerg)
		}
	}
	// A change of the user has taken away the core file.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		p.log.LogErr(logging.Alert, 0, err, "prctl(PR_SET_DUMPABLE) failed")
	}
	if dir := p.cycle.CoreConf().WorkingDir.V; dir != "" {
		if err := syscall.Chdir(dir); err != nil {
			return p.fatal(err, "chdir(\""+dir+"\") failed", logging.Alert)
		}
	}
	return nil
}

func (p *process) fatal(err error, text string, lv logging.Level) error {
	p.log.LogErr(lv, 0, err, text)
	return fmt.Errorf("%s %w", text, err)
}

func (p *process) sendBeat() {
	st := p.stats()
	// A master that does not read misses a beat; one that is gone is seen by the reader.
	_ = p.conn.Send(&ipc.Message{Type: ipc.Beat, Stats: st})
	p.loop.SetTimer(&p.beat, beatInterval)
	if p.hooks.Outgrown == nil || p.info.exiting {
		return
	}
	if why := p.hooks.Outgrown(p.srv); why != "" {
		p.log.Log(logging.Alert, 0, why+", another worker process is to take the place of this one")
		p.drain()
	}
}

// listen takes the master's messages, in a goroutine of its own.
func (p *process) listen() {
	for {
		m, fds, err := p.conn.Recv()
		if err != nil {
			if !p.serving.Load() {
				p.log.Log(logging.Alert, 0, "the master process is gone, exiting")
				os.Exit(0)
			}
			p.loop.Post(p.orphaned)
			p.watchAlone()
			return
		}
		switch m.Type {
		case ipc.Quit:
			p.loop.Post(p.drain)
		case ipc.Stop:
			p.stopSoon()
		case ipc.Reopen:
			p.replaceFiles(m.Paths, fds)
		case ipc.Dump:
			p.dumped()
		case ipc.Adopt:
			p.loop.Post(func() { p.adopt(m.Slot) })
		case ipc.Release:
			p.loop.Post(func() { p.release(m.Slot) })
		}
	}
}

// orphaned: the master is gone. Nobody would replace this worker or give it a new configuration, so it goes, too.
func (p *process) orphaned() {
	if !p.info.exiting {
		p.log.Log(logging.Alert, 0, "the master process is gone, shutting down")
		p.drain()
	}
}

func (p *process) drain() {
	if p.m.Agent() {
		// As in OpenResty it does not wait for what its timers do.
		p.info.exiting = true
		_ = p.conn.Send(&ipc.Message{Type: ipc.Draining})
		p.end()
		return
	}
	if !p.info.exiting {
		ipc.SetTitle(titleDraining)
	}
	p.quit()
	p.closeSockets()
	// From now on the master is not needed any more.
	_ = p.conn.Send(&ipc.Message{Type: ipc.Draining})
}

// closeSockets closes this process' descriptors of the listen sockets, which are out of the loop now.
func (p *process) closeSockets() {
	p.sockets.Lock()
	defer p.sockets.Unlock()
	for _, ls := range p.cycle.Listening {
		for _, fd := range ls.FDs {
			unix.Close(fd)
		}
		ls.FDs = nil
	}
}

// stopSoon ends the process at once, from any goroutine.
func (p *process) stopSoon() {
	if !p.serving.Load() {
		os.Exit(0)
	}
	p.loop.Post(p.end)
}

// replaceFiles makes the log files those that the master has opened anew. Writers need not be stopped for it.
func (p *process) replaceFiles(paths []string, fds []int) {
	p.log.Log(logging.Notice, 0, "reopening logs")
	p.cycle.Files.BeforeReopen()
	files := make(map[string]*logging.File)
	for _, f := range p.cycle.Files.All() {
		files[f.Path()] = f
	}
	for i, path := range paths {
		f := files[path]
		if f == nil {
			unix.Close(fds[i])
			continue
		}
		if err := f.Replace(fds[i]); err != nil {
			p.log.Log(logging.Emerg, 0, err.Error())
		}
	}
	if err := p.cycle.Files.ReopenOwn(); err != nil {
		p.log.Log(logging.Emerg, 0, err.Error())
	}
	p.redirect()
	p.flushSoon()
}

// adopt accepts for another worker, release stops that. A slot has a socket for each time that it fits into their number.
func (p *process) adopt(slot int) {
	if p.info.exiting {
		return
	}
	for i := slot; i < p.mostSockets(); i += p.m.Workers {
		if err := p.srv.Adopt(i); err != nil {
			p.log.Log(logging.Alert, 0, err.Error())
		}
	}
}

func (p *process) release(slot int) {
	for i := slot; i < p.mostSockets(); i += p.m.Workers {
		p.srv.Orphan(i)
	}
}

func (p *process) mostSockets() int {
	n := 0
	for _, ls := range p.cycle.Listening {
		n = max(n, len(ls.FDs))
	}
	return n
}

// signalNames are the signals that a worker takes.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP:   "SIGHUP",
	syscall.SIGINT:   "SIGINT",
	syscall.SIGQUIT:  "SIGQUIT",
	syscall.SIGTERM:  "SIGTERM",
	syscall.SIGUSR1:  "SIGUSR1",
	syscall.SIGUSR2:  "SIGUSR2",
	syscall.SIGWINCH: "SIGWINCH",
}

// notify passes signals on.
func notify(take func(syscall.Signal)) {
	signal.Ignore(syscall.SIGSYS)
	// Caught rather than ignored: programs that a worker starts would ignore it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ch := make(chan os.Signal, 64)
	for sig := range signalNames {
		signal.Notify(ch, sig)
	}
	go func() {
		for sig := range ch {
			take(sig.(syscall.Signal))
		}
	}()
}

func logSignal(log *logging.Log, sig syscall.Signal, action string) {
	log.Logf(logging.Notice, 0, "signal %d (%s) received%s", int(sig), signalNames[sig], action)
}

// catchSignals: a worker obeys them as the master does, but for those that are the master's alone.
func (p *process) catchSignals() {
	notify(func(sig syscall.Signal) {
		action, do := "", func() {}
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT:
			action, do = ", exiting", p.stopSoon
		case syscall.SIGQUIT:
			action, do = ", shutting down", func() { p.loop.Post(p.drain) }
		case syscall.SIGWINCH:
			if p.m.Daemonized {
				action, do = ", shutting down", func() { p.loop.Post(p.drain) }
			}
		case syscall.SIGUSR1:
			action, do = ", reopening logs", p.reopen
		default:
			action = ", ignoring"
		}
		logSignal(p.log, sig, action)
		do()
	})
}

// reopen opens the log files by their names, when the signal comes to this process alone.
func (p *process) reopen() {
	p.log.Log(logging.Notice, 0, "reopening logs")
	if err := p.cycle.Files.ReopenAll(-1); err != nil {
		p.log.Log(logging.Emerg, 0, err.Error())
	}
	p.redirect()
	p.flushSoon()
}
