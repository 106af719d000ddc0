package master

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"
	"golang.org/x/sys/unix"

	"perilune/ipc"
	"perilune/logging"
)

const (
	// envUpgrade names the process that starts the next master: tableflip's own variable could come from any program that uses
	// tableflip.
	envUpgrade = "PERILUNE_UPGRADE"
	// envFlip is tableflip's variable.
	envFlip = "TABLEFLIP_HAS_PARENT_7DIU3"

	// The names of the two files that tableflip passes on.
	nearFile, farFile = "handover-near", "handover-far"

	oldbin = ".oldbin"
)

// flip ties this process to the master before it and to the one after it. Processes are started, watched and timed out by
// tableflip; the listen sockets, which come and go with reloads, go through a handover, for tableflip has no way to let go of a
// descriptor.
type flip struct {
	upg     *tableflip.Upgrader
	h       *ipc.Handover
	exe     string // what the next master is started from
	timeout time.Duration
	before  *predecessor // nil in the first master
}

// predecessor is what the master before this one has handed over.
type predecessor struct {
	pid     int
	state   heritage
	sockets *socketSet
	zones   *zoneSet
}

// heritage is the state that a master hands to the next one. Versions of the program may differ: fields are only added.
type heritage struct {
	Daemonized  bool
	PidFile     string
	Generations int
	Upgrades    int
}

// offered describes a descriptor that is handed over.
type offered struct {
	Kind      string // "listen" or "zone"
	Network   string `json:",omitempty"`
	Addr      string `json:",omitempty"`
	Backlog   int    `json:",omitempty"`
	Reuseport bool   `json:",omitempty"`
	File      string `json:",omitempty"`
	Name      string `json:",omitempty"`
	Use       string `json:",omitempty"`
	Size      int64  `json:",omitempty"`
}

// answer is what the next master says to the one before it.
type answer struct {
	Pid     int
	PidFile string `json:",omitempty"` // it serves
	Refusal string `json:",omitempty"` // it cannot
}

// isSuccessor says whether a master has started this process to take its place.
func isSuccessor() bool {
	from := os.Getenv(envUpgrade)
	os.Unsetenv(envUpgrade)
	yes := os.Getenv(envFlip) != "" && from == strconv.Itoa(os.Getppid())
	if !yes {
		os.Unsetenv(envFlip)
	}
	return yes
}

// newFlip makes the first master, or one that succeeds another, ready for upgrades.
func newFlip(timeout time.Duration, succeeds bool, log *logging.Log) (*flip, error) {
	upg, err := tableflip.New(tableflip.Options{UpgradeTimeout: timeout})
	os.Unsetenv(envFlip)
	if err != nil {
		return nil, err
	}
	f := &flip{upg: upg, timeout: timeout, exe: ownPath(succeeds)}
	os.Args[0] = f.exe
	os.Setenv(envUpgrade, strconv.Itoa(os.Getpid()))
	if !succeeds {
		if f.h, err = ipc.NewHandover(); err != nil {
			return nil, err
		}
		near, far := f.h.Files()
		return f, errors.Join(upg.AddFile(nearFile, near), upg.AddFile(farFile, far))
	}
	near, err1 := upg.File(nearFile)
	far, err2 := upg.File(farFile)
	if near == nil || far == nil {
		return nil, errors.Join(errors.New("the master before this one has passed on no handover"), err1, err2)
	}
	defer near.Close()
	defer far.Close()
	if f.h, err = ipc.OpenHandover(near, far); err != nil {
		return nil, err
	}
	return f, f.take(log)
}

// take receives what the master before this one hands over.
func (f *flip) take(log *logging.Log) error {
	names, fds, state, err := f.h.Take(time.Now().Add(f.timeout))
	if err != nil {
		closeFDs(fds)
		return fmt.Errorf("what the master before this one hands over: %w", err)
	}
	p := &predecessor{pid: os.Getppid(), sockets: &socketSet{}, zones: &zoneSet{}}
	if err := json.Unmarshal([]byte(state), &p.state); err != nil {
		return fmt.Errorf("the state of the master before this one: %w", err)
	}
	for i, name := range names {
		var o offered
		err := json.Unmarshal([]byte(name), &o)
		if err == nil && o.Kind == "zone" {
			if err := p.zones.inherit(&o, fds[i], log); err != nil {
				log.Log(logging.Alert, 0, err.Error())
			}
			continue
		}
		if err != nil || o.Kind != "listen" || !listens(fds[i]) {
			log.Log(logging.Warn, 0, "the inherited descriptor "+name+" is of no use, ignored")
			unix.Close(fds[i])
			continue
		}
		k := p.sockets.find(o.Network, o.Addr)
		if k == nil {
			k = &socket{network: o.Network, addr: o.Addr, backlog: o.Backlog, reuseport: o.Reuseport, file: o.File, refs: 1}
			p.sockets.list = append(p.sockets.list, k)
		}
		k.fds = append(k.fds, fds[i])
	}
	f.before = p
	return nil
}

func listens(fd int) bool {
	yes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && yes != 0
}

// offer describes what the next master gets.
func offer(set *socketSet) (names []string, fds []int) {
	for _, k := range set.list {
		o := offered{Kind: "listen", Network: k.network, Addr: k.addr, Backlog: k.backlog, Reuseport: k.reuseport, File: k.file}
		text, err := json.Marshal(o)
		if err != nil {
			continue // there is nothing in it that could fail
		}
		for _, fd := range k.fds {
			names, fds = append(names, string(text)), append(fds, fd)
		}
	}
	return names, fds
}

// start starts the next master and waits until it serves or has failed.
func (f *flip) start(names []string, fds []int, state heritage) (successor, error) {
	if err := runnable(f.exe); err != nil {
		return successor{}, err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return successor{}, err
	}
	f.h.Answers() // those of an attempt before
	given := make(chan error, 1)
	go func() { given <- f.h.Give(names, fds, string(text), time.Now().Add(f.timeout)) }()
	err = f.upg.Upgrade()
	// The end of the master before this one is known here a moment before tableflip has taken note of it.
	for try := 0; err != nil && err.Error() == "parent hasn't exited" && try < 100; try++ {
		time.Sleep(10 * time.Millisecond)
		err = f.upg.Upgrade()
	}
	if err != nil {
		// Tableflip leaves the child's ends of its pipes to the collector, which may have little to do here.
		runtime.GC()
	}
	f.h.Interrupt()
	gaveErr := <-given
	var last answer
	for _, text := range f.h.Answers() {
		a := answer{}
		if json.Unmarshal([]byte(text), &a) == nil {
			last = a
		}
	}
	switch {
	case err == nil:
		return successor{Pid: last.Pid, PidFile: last.PidFile}, nil
	case last.Refusal != "":
		return successor{}, fmt.Errorf("new binary process %d: %s", last.Pid, last.Refusal)
	case gaveErr != nil && !errors.Is(gaveErr, os.ErrDeadlineExceeded):
		return successor{}, fmt.Errorf("the sockets could not be handed over: %w", gaveErr)
	}
	return successor{}, errors.New(f.explain(err.Error()))
}

// runnable finds out what exec would say: tableflip's error says it less clearly.
func runnable(exe string) error {
	err := unix.Access(exe, unix.X_OK)
	if st, serr := os.Stat(exe); err == nil && serr == nil && !st.Mode().IsRegular() {
		err = unix.EACCES
	}
	if err != nil {
		return execError(exe, err)
	}
	return nil
}

func execError(exe string, err error) error {
	return errors.New("execve() failed while executing new binary process \"" + exe + "\" " + errnoText(err))
}

var (
	flipExited  = regexp.MustCompile(`^child pid=(\d+) exited(?:: (.*))?$`)
	flipTimeout = regexp.MustCompile(`^new child pid=(\d+) timed out$`)
)

// explain says in nginx's words what tableflip has met.
func (f *flip) explain(text string) string {
	if m := flipTimeout.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("new binary process %s was not ready after %v, killed", m[1], f.timeout)
	}
	if m := flipExited.FindStringSubmatch(text); m != nil {
		switch how := m[2]; {
		case how == "":
			return "new binary process " + m[1] + " exited with code 0"
		case strings.HasPrefix(how, "exit status "):
			return "new binary process " + m[1] + " exited with code " + strings.TrimPrefix(how, "exit status ")
		case strings.HasPrefix(how, "signal: "):
			return "new binary process " + m[1] + " exited on signal " + signalNumber(strings.TrimPrefix(how, "signal: "))
		}
	}
	for _, errno := range []syscall.Errno{
		unix.ENOENT, unix.EACCES, unix.ENOEXEC, unix.ETXTBSY, unix.ENOMEM, unix.EAGAIN, unix.ELOOP, unix.ENOTDIR, unix.EMFILE, unix.ENFILE,
	} {
		if strings.HasSuffix(text, ": "+errno.Error()) {
			return execError(f.exe, errno).Error()
		}
	}
	return text
}

// signalNumber undoes what os.ProcessState makes of a signal: "killed", "segmentation fault (core dumped)".
func signalNumber(name string) string {
	name, core, _ := strings.Cut(name, " (")
	for sig := syscall.Signal(1); sig < 65; sig++ {
		if sig.String() == name {
			name = strconv.Itoa(int(sig))
			break
		}
	}
	if core != "" {
		name += " (" + core
	}
	return name
}

// waitBefore calls gone when the master before this one has exited.
func (f *flip) waitBefore(gone func()) {
	go func() {
		_ = f.upg.WaitForParent(context.Background())
		gone()
	}()
}

// say answers to the master before this one. That one may be gone.
func (f *flip) say(a answer) {
	a.Pid = os.Getpid()
	if text, err := json.Marshal(a); err == nil {
		_ = f.h.Answer(string(text))
	}
}

// ownPath is the file that this program was started from, as an absolute path: a package manager or a link puts another one in
// its place. What the shell calls it may be misleading, so it must be the running file; at an upgrade it has been checked.
func ownPath(succeeds bool) string {
	arg := os.Args[0]
	if succeeds && filepath.IsAbs(arg) {
		return arg
	}
	if found, err := exec.LookPath(arg); err == nil {
		if path, err := filepath.Abs(found); err == nil && sameFile(path, selfExe) {
			return path
		}
	}
	path, err := os.Executable()
	if err != nil {
		return arg
	}
	return strings.TrimSuffix(path, " (deleted)")
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
