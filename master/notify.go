package master

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// The variables by which systemd and the master speak to each other; see sd_notify(3), sd_watchdog_enabled(3) and
// sd_listen_fds(3). envStored is for the next master of an upgrade: the names of the stored sockets.
const (
	envNotify      = "NOTIFY_SOCKET"
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID"
	envListenPID   = "LISTEN_PID"
	envListenFDs   = "LISTEN_FDS"
	envListenNames = "LISTEN_FDNAMES"
	envStored      = "PERILUNE_FDSTORE"
	envJournal     = "JOURNAL_STREAM"
)

// sendTimeout limits how long a service manager that does not read can hold up the master.
const sendTimeout = time.Second

// systemd is the notifier for a service manager that speaks sd_notify(3). Without NOTIFY_SOCKET it says nothing.
type systemd struct {
	addr     string
	limit    time.Duration // for a message
	log      *logging.Log
	interval time.Duration // between two signs of life, 0 for none
	waits    bool          // the master before this one is the main process as long as it lives
	gone     bool          // the next master is the main process
	failed   atomic.Bool   // the last message could not be sent; the signs of life have a goroutine of their own without a master

	phase        phase
	status       string
	generation   int // that serves
	reloadFailed bool

	serves *generation
	stored map[string]int    // how many descriptors of sockets the service manager holds, by name
	zones  map[string]uint64 // the inodes of the zones that it holds, 0 if unknown, by name
}

// newSystemd is for a master that succeeds another one or is the first. It reads the environment and takes out of it what is meant for this process alone. NOTIFY_SOCKET and WATCHDOG_USEC
// stay, for the next master of an upgrade.
func newSystemd(succeeds bool, log *logging.Log) *systemd {
	s := &systemd{addr: os.Getenv(envNotify), limit: sendTimeout, log: log, waits: succeeds, stored: make(map[string]int), zones: make(map[string]uint64)}
	if s.addr != "" && s.addr[0] != '/' && s.addr[0] != '@' {
		log.Logf(logging.Warn, 0, "%s \"%s\" is not supported, ignored", envNotify, s.addr)
		s.addr = ""
	}
	pid, forOne := os.LookupEnv(envWatchdogPID)
	os.Unsetenv(envWatchdogPID)
	if usec, err := strconv.ParseInt(os.Getenv(envWatchdog), 10, 64); err == nil && usec > 0 {
		s.interval = time.Duration(usec) * time.Microsecond / 2
	}
	if forOne && pid != strconv.Itoa(os.Getpid()) {
		s.interval = 0
		os.Unsetenv(envWatchdog)
	}
	s.inherit()
	return s
}

// withoutManager is the environment of a worker: what concerns the service manager stays with the master, except for what
// tells that standard error is the journal.
func withoutManager(env []string) []string {
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case envNotify, envWatchdog, envWatchdogPID, envListenPID, envListenFDs, envListenNames, envStored, envJournal:
		default:
			out = append(out, e)
		}
	}
	if v, ok := os.LookupEnv(envJournal); ok {
		out = append(out, envJournal+"="+v)
	}
	return out
}

// silent says that systemd would not, or should not, listen to this process.
func (s *systemd) silent() bool { return s.addr == "" || s.gone || s.waits }

// send sends one message with descriptors, unless this is not the main process.
func (s *systemd) send(text string, fds ...int) {
	if s.silent() {
		return
	}
	err := sendNotify(s.addr, s.limit, text, fds...)
	if s.failed.Swap(err != nil) || err == nil {
		return
	}
	s.log.LogErr(logging.Warn, 0, err, "sendmsg() to "+s.addr+" failed")
}

// sendNotify sends one message to the socket of a service manager; an address with @ is an abstract one.
func sendNotify(addr string, limit time.Duration, text string, fds ...int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(int64(limit))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: addr}, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// barrier waits until the service manager has read all that was sent before: it closes the descriptor that comes with the
// message. Versions before 246 close it unread.
func (s *systemd) barrier() {
	var p [2]int
	if s.silent() || unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		return
	}
	defer unix.Close(p[0])
	s.send("BARRIER=1", p[1])
	unix.Close(p[1])
	deadline := time.Now().Add(s.limit)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p[0])}}, max(0, int(left.Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			s.log.Logf(logging.Warn, 0, "the service manager has not read its messages within %v", s.limit)
		}
		return
	}
}

// monotonic is what systemd compares with the time at which it asked for a reload.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / int64(time.Microsecond)
}

// begin is called before the first event. The signs of life pass through the master's loop: they end when it hangs.
func (s *systemd) begin(after func(d time.Duration, f func()) (stop func())) {
	if s.addr == "" || s.interval <= 0 {
		return
	}
	var alive func()
	alive = func() {
		s.alive()
		if !s.gone {
			after(s.interval, alive)
		}
	}
	alive()
}

func (s *systemd) alive() {
	if s.interval > 0 {
		s.send("WATCHDOG=1")
	}
}

// mainPID makes another process the one that systemd supervises and listens to. It is believed, with NotifyAccess=main, only
// from the process that is that one until now. The watchdog of the service runs on meanwhile.
func (s *systemd) mainPID(pid int) {
	s.alive()
	s.send("MAINPID=" + strconv.Itoa(pid))
	s.barrier()
	s.gone = true
}

// reloading is called when the configuration is about to be read again.
func (s *systemd) reloading() {
	if s.phase == serving {
		s.announce(reloading, "reading the configuration")
	}
}

// settled is called after every event.
func (s *systemd) settled(v view) {
	if s.addr == "" {
		return
	}
	p := v.phase(s.phase == beginning)
	if s.phase == reloading && p == serving {
		s.reloadFailed = v.cur.generation == s.generation
	}
	if p != reloading {
		s.generation = v.cur.generation
	}
	text := v.status(p)
	if p == serving && s.reloadFailed {
		text += "; the last reload failed"
	}
	s.announce(p, text)
}

// announce sends what is new of phase and status.
func (s *systemd) announce(p phase, status string) {
	var lines []string
	if p != s.phase {
		switch p {
		case serving:
			lines = append(lines, "READY=1")
		case reloading:
			lines = append(lines, "RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic()))
		case ending:
			lines = append(lines, "STOPPING=1")
		}
	}
	if status != s.status {
		lines = append(lines, "STATUS="+status)
	}
	s.phase, s.status = p, status
	if len(lines) > 0 {
		s.send(strings.Join(lines, "\n"))
	}
}

// again tells everything anew, as the process that is the main one from now on.
func (s *systemd) again() {
	p, status := s.phase, s.status
	s.phase, s.status = beginning, ""
	s.announce(p, status)
}
