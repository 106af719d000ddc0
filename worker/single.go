package worker

import (
	"os"
	"strings"
	"syscall"
	"time"

	"perilune/conf"
	"perilune/logging"
)

// Cycle is one configuration of a process without workers, with its sockets and log files open.
type Cycle struct {
	Cycle *conf.Cycle
	Log   *logging.Log
	// Commit makes a reloaded configuration the one in force, once the one before accepts no more; Cancel gives it up.
	Commit, Cancel func()
	// Release closes the log files.
	Release func()
}

// Host does what a process without workers leaves to the master's part of the program.
type Host struct {
	First   *Cycle
	Started func() error
	Reload  func() (*Cycle, error)
	Reopen  func()
	Closing func() // closes the listen sockets
	Finish  func()
}

// single is the one process of master_process off. Its state belongs to the goroutine that runs Single.
type single struct {
	host  *Host
	hooks *Hooks
	cur   *engine
	todo  chan func()
	over  bool
	code  int

	reloading bool   // a configuration is being brought up
	then      func() // what a signal that came meanwhile asks for
}

// killDelay is how long a stop waits for the loop.
const killDelay = 1500 * time.Millisecond

// Single serves in this process until a signal ends it, and returns the exit code.
func Single(host *Host, hooks *Hooks) int {
	s := &single{host: host, hooks: hooks, todo: make(chan func(), 64)}
	setEnviron(host.First.Cycle.CoreConf())
	notify(func(sig syscall.Signal) { s.todo <- func() { s.onSignal(sig) } })
	e, err := s.open(host.First)
	if err != nil {
		return exitFatal
	}
	s.cur = e
	s.run(e, host.First, func() error {
		if err := e.init(); err != nil {
			return err
		}
		if err := host.Started(); err != nil {
			return err
		}
		return e.start()
	}, func(err error) {
		if err != nil {
			s.over, s.code = true, 1
		}
	})
	for !s.over {
		f := <-s.todo
		f()
	}
	if s.code == 0 {
		s.host.Finish()
	}
	return s.code
}

// setEnviron makes the environment what the env directives say.
func setEnviron(c *conf.CoreConf) {
	env := c.Environ(os.Environ())
	os.Clearenv()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		os.Setenv(name, value)
	}
}

func (s *single) open(c *Cycle) (*engine, error) {
	e, err := newEngine(c.Cycle, c.Log, s.hooks, 0, 1)
	if err != nil {
		c.Log.Log(logging.Emerg, 0, err.Error())
		return nil, err
	}
	e.info.count = c.Cycle.CoreConf().WorkerProcesses.V
	for _, ls := range c.Cycle.Listening {
		// Sockets of a configuration before this one, or more than the one of this process.
		ls.Reuseport = len(ls.FDs) > 1
		for i := 1; i < len(ls.FDs); i++ {
			e.own = append(e.own, i)
		}
	}
	e.info.quit = func() { s.todo <- func() { s.onSignal(syscall.SIGQUIT) } }
	e.over = e.loop.Stop
	return e, nil
}

// run runs an engine: up brings it up, with the baton, and done hears of the result in the goroutine of Single.
func (s *single) run(e *engine, c *Cycle, up func() error, done func(error)) {
	e.loop.Go(func() {
		err := up()
		s.todo <- func() { done(err) }
		if err != nil {
			e.ended = true
			e.loop.Stop()
		}
	})
	go func() {
		if err := e.loop.Run(); err != nil {
			e.log.Log(logging.Emerg, 0, err.Error())
		}
		e.leave()
		s.todo <- func() { s.ended(e, c) }
	}()
}

// ended: an engine has come to its end. That of the current one is the end of the process.
func (s *single) ended(e *engine, c *Cycle) {
	if s.cur == e {
		s.over = true
		return
	}
	c.Release()
}

func (s *single) onSignal(sig syscall.Signal) {
	action, do := "", func() {}
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		action, do = ", exiting", s.stop
	case syscall.SIGQUIT:
		action, do = ", shutting down", s.quit
	case syscall.SIGHUP:
		action, do = ", reconfiguring", s.reload
	case syscall.SIGUSR1:
		action, do = ", reopening logs", func() {
			s.cur.log.Log(logging.Notice, 0, "reopening logs")
			s.host.Reopen()
			s.cur.flushSoon()
		}
	case syscall.SIGUSR2:
		action = ", ignoring"
	}
	logSignal(s.cur.log, sig, action)
	do()
}

func (s *single) stop() {
	time.AfterFunc(killDelay, func() { s.todo <- func() { s.over = true } })
	if s.reloading {
		s.then = s.end
		return
	}
	s.end()
}

func (s *single) end() { s.cur.loop.Post(s.cur.end) }

// quit ends gracefully: the configuration that is being brought up as well, since it may take the place of the current one.
func (s *single) quit() {
	if s.reloading {
		s.then = s.quit
		return
	}
	e := s.cur
	e.loop.Post(func() {
		e.quit()
		s.todo <- s.host.Closing
	})
}

// reload brings up an engine for the new configuration beside the one that serves, and lets that one drain.
func (s *single) reload() {
	if s.reloading {
		if s.then == nil {
			s.then = s.reload
		}
		return
	}
	old := s.cur
	old.log.Log(logging.Notice, 0, "reconfiguring")
	c, err := s.host.Reload()
	if err != nil {
		return
	}
	e, err := s.open(c)
	if err != nil {
		c.Cancel()
		c.Release()
		return
	}
	s.reloading = true
	s.run(e, c, func() error {
		if err := e.init(); err != nil {
			return err
		}
		return e.start()
	}, func(err error) {
		if err != nil {
			old.log.Log(logging.Emerg, 0, "reload failed, the old configuration stays: "+err.Error())
			c.Cancel()
			s.reloaded()
			return
		}
		s.cur = e
		old.loop.Post(func() {
			old.quit()
			s.todo <- func() {
				c.Commit()
				s.reloaded()
			}
		})
	})
}

func (s *single) reloaded() {
	s.reloading = false
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
}
