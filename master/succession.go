package master

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// errProcessOne says why there is no upgrade where the end of the process is the end of all.
var errProcessOne = errors.New("process 1 cannot make room for another one; restart the container instead")

// errNoFlip says why there is no upgrade after what is in the log of the start.
var errNoFlip = errors.New("this process was not able to prepare upgrades when it started")

// upgrade starts the next master from the file of this program.
func (s *system) upgrade(g *generation, done func(next successor, err error)) {
	if s.flip == nil {
		go done(successor{}, errNoFlip)
		return
	}
	if os.Getpid() == 1 {
		go done(successor{}, errProcessOne)
		return
	}
	if err := writePid(s.pid + oldbin); err != nil {
		g.log.Log(logging.Alert, 0, err.Error())
	}
	names, fds := offer(g.sockets)
	zoneNames, zoneFDs := g.zones.offer()
	names, fds = append(names, zoneNames...), append(fds, zoneFDs...)
	state := heritage{Daemonized: s.daemonized, PidFile: s.pid, Generations: s.count, Upgrades: s.upgrades + 1}
	go func() {
		next, err := s.flip.start(names, fds, state)
		s.next = next
		done(next, err)
	}()
}

func (s *system) forgo() {
	if s.flip != nil {
		s.flip.upg.Stop()
	}
}

// restore makes the files say that this process is the master.
func (s *system) restore(g *generation) {
	if pid, err := readPid(s.pid); s.pid != "" && (err != nil || pid != os.Getpid()) {
		if err := writePid(s.pid); err != nil {
			g.log.Log(logging.Alert, 0, err.Error())
		}
	}
	s.removeOwnOldbin(g.log)
	s.listenStatus(g)
}

// removeOwnOldbin removes the file that names this process as the old master.
func (s *system) removeOwnOldbin(log *logging.Log) {
	if _, err := os.Lstat(s.pid + oldbin); err != nil {
		return
	}
	if err := deletePid(s.pid + oldbin); err != nil {
		log.Log(logging.Alert, 0, err.Error())
	}
}

// refuse tells the master before this one why this one cannot take over.
func (s *system) refuse(why string) {
	if s.flip != nil && s.flip.before != nil {
		s.flip.say(answer{Refusal: why})
	}
}

// handed is the end of a process whose successor serves. The files of sockets and the pid file are the successor's.
func (s *system) handed(left []*worker) {
	log := s.serving.log
	s.serving.sockets.letGo()
	names, fds := leave(left)
	if err := s.flip.h.Give(names, fds, "", time.Now().Add(leaveTimeout)); err != nil {
		log.LogErr(logging.Warn, 0, err, "the next master will not hear of the workers that are left")
	}
	s.removeOwnOldbin(log)
	s.status.close()
	if s.next.Pid > 0 && s.next.PidFile != s.pid {
		s.removePid(log)
	}
	log.Log(logging.Notice, 0, "exit")
}

// leaveTimeout limits how long the end waits for room for what there is to say about the workers that are left.
const leaveTimeout = 2 * time.Second

// standAlone takes what the master before this one has left when it exited, or was killed.
func (s *system) standAlone() []*worker {
	s.removeOldbin()
	return s.flip.inherit()
}

// removeOldbin removes what a master that was killed in an upgrade has left behind.
func (s *system) removeOldbin() {
	file := s.flip.before.state.PidFile + oldbin
	if pid, err := readPid(file); err != nil || pid != s.flip.before.pid {
		return
	}
	log := s.initLog
	if s.serving != nil {
		log = s.serving.log
	}
	if err := deletePid(file); err != nil {
		log.Log(logging.Alert, 0, err.Error())
	}
}

// decline refuses to succeed the master before this one.
func (s *system) decline(why string) {
	// What takes place before the configuration is known needs no long wait.
	f, err := newFlip(10*time.Second, true, s.initLog)
	if err == nil {
		s.flip = f
		s.refuse(why)
	}
}

// succeed takes over what the master before this one hands over.
func (s *system) succeed(cycle *conf.Cycle) error {
	f, err := newFlip(cycle.CoreConf().UpgradeTimeout.V, true, s.initLog)
	if err != nil {
		return err
	}
	s.flip = f
	// Standard error is what it was for the master before this one: mostly its error log.
	s.console = !s.logsToStderr(cycle)
	s.initLog.SetConsole(s.console)
	s.daemonized, s.count, s.upgrades = f.before.state.Daemonized, f.before.state.Generations, f.before.state.Upgrades
	if !cycle.CoreConf().MasterProcess.V {
		return errors.New("an upgrade cannot change to master_process off")
	}
	return nil
}

// logsToStderr says whether standard error is one of the logs, so that what goes there need not go into the log.
func (s *system) logsToStderr(cycle *conf.Cycle) bool {
	if cycle.Files.UsesStderr() {
		return true
	}
	var here unix.Stat_t
	if err := unix.Fstat(2, &here); err != nil {
		return true
	}
	for _, d := range cycle.CoreConf().ErrorLogs {
		var there unix.Stat_t
		if unix.Stat(d.Target, &there) == nil && there.Dev == here.Dev && there.Ino == here.Ino {
			return true
		}
	}
	return false
}

// took ends the start. A master before this one is told to go, and the sockets that it had beyond those of the configuration are
// closed.
func (s *system) took(g *generation) {
	p := s.flip.before
	var files []string
	if p != nil {
		// A client must not come to a socket that nobody will accept from: once the old workers have gone, none is left.
		files = p.sockets.letGo()
		s.flip.say(answer{PidFile: g.core.Pid.V})
	}
	if err := s.flip.upg.Ready(); err != nil && p != nil {
		// It is dead already, and this one has what it needs.
		g.log.Log(logging.Warn, 0, "the master process "+strconv.Itoa(p.pid)+" is gone before its time: "+err.Error())
	}
	if p != nil {
		unlink(files, g.log)
		p.zones.drop()
	}
}
