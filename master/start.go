package master

import (
	"errors"
	"os"
	"syscall"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
)

// Options are what the command line says.
type Options struct {
	Prefix   string // ends with a slash
	ConfFile string
	ErrorLog string // of -e, or the default; may be "stderr"
	Globals  string

	Test, Dump, Quiet bool
	Signal            string // of -s

	Modules []*conf.Module

	// Paths are the directories to make for the workers to write to.
	Paths func(cycle *conf.Cycle) []string

	// Single serves in this very process, for master_process off.
	Single func(h *SingleHost) int
}

// SingleHost is what a process without workers needs of this package.
type SingleHost struct {
	First *SingleCycle
	// Started is called when init_by_lua has run: it finishes the start of the process.
	Started func() error
	// Reload reads the configuration again; what goes wrong is logged.
	Reload  func() (*SingleCycle, error)
	Reopen  func() // opens the log files anew
	Closing func() // closes the listen sockets
	Finish  func() // is the last to be called
}

// SingleCycle is one configuration of a process without workers.
type SingleCycle struct {
	Cycle *conf.Cycle // with its sockets' descriptors
	Log   *logging.Log
	// Commit makes a reloaded configuration the one in force, once the one before accepts no more; Cancel gives it up.
	Commit, Cancel func()
	// Release closes the log files.
	Release func()
}

// Start does what the command line asks for and returns the exit code.
func Start(o *Options) int {
	file := o.ErrorLog
	if file == "stderr" {
		file = ""
	}
	log := logging.Init(o.Prefix, file)
	if f := log.File(); f != nil {
		defer f.Drain(logging.DrainTime)
	}
	log.SetConsole(true)
	s := &system{opts: o, initLog: log, console: true, report: func() {}, notify: nobody{}}
	child := daemonStatus()
	if child != nil {
		s.report, s.daemonized = child.ok, true
	}
	succeeds := isSuccessor()
	if f := log.File(); succeeds && f != nil {
		log.SetConsole(!sameFile(f.Path(), "/proc/self/fd/2"))
	}
	// What there is to say about the configuration the first process has said.
	parseLog := log
	if child != nil {
		parseLog = nil
	}
	cycle, err := s.parse(parseLog)
	if err != nil {
		log.Log(conf.LevelOf(err), 0, err.Error())
		if o.Test {
			logging.Stderr("configuration file " + confFile(o) + " test failed")
		}
		if succeeds {
			s.decline(err.Error())
		}
		return 1
	}
	switch {
	case o.Test:
		return s.test(cycle)
	case o.Signal != "":
		if o.Signal == "status" || o.Signal == "status-json" {
			return showStatus(cycle, o.Signal == "status-json", os.Stdout, log)
		}
		return signalProcess(cycle, o.Signal, log)
	case succeeds:
		if err := s.succeed(cycle); err != nil {
			log.Log(logging.Emerg, 0, err.Error())
			s.refuse(err.Error())
			return 1
		}
	case child == nil && cycle.CoreConf().Daemon.V:
		return daemonize(log)
	}
	return s.serve(cycle)
}

// confFile is the full name of the configuration file, as messages have it.
func confFile(o *Options) string {
	return (&conf.Cycle{Prefix: o.Prefix}).FullName(o.ConfFile)
}

func (s *system) serve(cycle *conf.Cycle) int {
	s.alone = !cycle.CoreConf().MasterProcess.V
	manager := newSystemd(s.flip != nil, s.initLog)
	sockets := activate(s.initLog, s.inherited)
	s.notify, s.inherited = manager, sockets
	s.storedZones = manager.takeZones(sockets.zones, s.initLog)
	g, err := s.build(cycle, nil, s.initLog)
	if err != nil {
		s.refuse("its files or sockets could not be opened, see the error log")
		return 1
	}
	s.storedZones.drop()
	sockets.disown(g.sockets)
	manager.refuse(sockets.rest())
	status(g.log)
	if s.alone {
		return s.single(g)
	}
	ipc.SetTitle(title(os.Args))
	if s.flip == nil {
		if s.flip, err = newFlip(cycle.CoreConf().UpgradeTimeout.V, false, s.initLog); err != nil {
			g.log.LogErr(logging.Alert, 0, err, "upgrades will not be possible")
		}
	}
	m := newMaster(s.env(), g.log)
	m.daemonized = s.daemonized
	m.record.binary, m.record.upgrades = os.Args[0], s.upgrades
	s.post = m.post
	if s.flip != nil && s.flip.before != nil {
		m.up.inherits, m.up.blocked = true, true
		s.flip.waitBefore(func() { m.post(timerEvent{m.predecessorGone}) })
	}
	catchSignals(func(sig syscall.Signal) { m.post(signalEvent{sig}) })
	m.watch()
	code := m.run(g)
	if m.cur != nil {
		g = m.cur
	}
	g.cycle.Files.Drain(logging.DrainTime)
	return code
}

// single runs the process without workers.
func (s *system) single(g *generation) int {
	cur := g
	tell := func(ending bool) { s.notify.settled(viewOf(cur, ending)) }
	host := func(g *generation) *SingleCycle {
		g.sockets.fill(g.cycle.Listening)
		g.zones.fill(g.cycle)
		return &SingleCycle{
			Cycle: g.cycle, Log: g.log,
			Commit: func() {
				s.changed(cur, g)
				cur = g
				tell(false)
			},
			Cancel: func() {
				s.discard(g)
				tell(false)
			},
			Release: func() {
				g.cycle.Files.CloseAll()
				g.zones.drop()
			},
		}
	}
	s.notify.begin(afterFunc)
	return s.opts.Single(&SingleHost{
		First: host(g),
		Started: func() error {
			err := s.begun(g)
			if err == nil {
				tell(false)
			}
			return err
		},
		Reload: func() (*SingleCycle, error) {
			next, err := s.load(cur)
			if err != nil {
				tell(false)
				return nil, err
			}
			return host(next), nil
		},
		Reopen: func() { s.reopen(cur) },
		Closing: func() {
			tell(true)
			s.closing(cur)
		},
		Finish: s.finish,
	})
}

// test is -t: everything that a start would do, undone.
func (s *system) test(cycle *conf.Cycle) int {
	err := s.try(cycle)
	if err != nil {
		if !errors.Is(err, errLogged) {
			s.initLog.Log(logging.Emerg, 0, err.Error())
		}
		logging.Stderr("configuration file " + cycle.ConfFile + " test failed")
		return 1
	}
	if !s.opts.Quiet {
		logging.Stderr("configuration file " + cycle.ConfFile + " test is successful")
	}
	if s.opts.Dump {
		if err := cycle.Snapshot.Dump(os.Stdout); err != nil {
			return 1
		}
	}
	return 0
}

func (s *system) try(cycle *conf.Cycle) error {
	if err := testPid(cycle.CoreConf().Pid.V); err != nil {
		return err
	}
	if err := s.makePaths(cycle); err != nil {
		return err
	}
	ipc.CycleLog(cycle, s.initLog, s.opts.ErrorLog)
	if err := cycle.Files.OpenAll(); err != nil {
		return err
	}
	defer cycle.Files.CloseAll()
	zones, err := openZones(cycle, nil, s.initLog)
	if err != nil {
		return err
	}
	zones.drop()
	return testSockets(cycle.Listening, s.initLog)
}

// signalOf are the words of -s.
var signalOf = map[string]syscall.Signal{
	"stop":   syscall.SIGTERM,
	"quit":   syscall.SIGQUIT,
	"reopen": syscall.SIGUSR1,
	"reload": syscall.SIGHUP,

	"upgrade": syscall.SIGUSR2,
}

// signalProcess is -s.
func signalProcess(cycle *conf.Cycle, word string, log *logging.Log) int {
	log.Log(logging.Notice, 0, "signal process started")
	pid, err := readPid(cycle.CoreConf().Pid.V)
	if err != nil {
		log.Log(logging.Error, 0, err.Error())
		return 1
	}
	sig := signalOf[word]
	if err := syscall.Kill(pid, sig); err != nil {
		log.LogErr(logging.Alert, 0, err, "kill("+itoa(pid)+", "+itoa(int(sig))+") failed")
		return 1
	}
	return 0
}
