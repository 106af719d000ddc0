package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer does what systemd does for one service of Type=notify, NotifyAccess=main and FileDescriptorStoreMax: it takes messages
// from the main process only, keeps descriptors, each file once, and hands them to the next start.
type peer struct {
	t    *testing.T
	site *site
	addr string
	conn *net.UnixConn

	watchdog time.Duration
	foreign  bool       // the variables name another process
	units    []kept     // sockets of socket units
	unitFDs  []*os.File // their files
	args     []string

	mu       sync.Mutex
	pid      int // main process
	pids     []int
	state    string
	status   string
	store    []kept
	messages []string // without the signs of life
	refused  []string // from other processes than the main one
	alive    int      // signs of life
}

// kept is a descriptor in the store, or one of a socket unit.
type kept struct {
	name  string
	fd    int
	inode uint64 // of the socket or memory file
}

// newPeer listens on an address: a path below the site, or an abstract name.
func newPeer(t *testing.T, s *site, addr string) *peer {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, site: s, addr: addr, conn: conn, args: []string{"-p", s.dir, "-g", "daemon off;"}}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.read()
	}()
	t.Cleanup(func() {
		p.killAll()
		conn.Close()
		<-over
		p.dropStore()
		if t.Failed() {
			t.Logf("messages: %q\nrefused: %q\nstandard error:\n%s", p.messages, p.refused, s.read("logs/stderr"))
		}
	})
	return p
}

func (p *peer) read() {
	buf, oob := make([]byte, 4096), make([]byte, 4096)
	for {
		n, on, _, _, err := p.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		pid, fds := control(oob[:on])
		p.mu.Lock()
		p.take(string(buf[:n]), pid, fds)
		p.mu.Unlock()
	}
}

// control takes sender and descriptors out of the control messages.
func control(oob []byte) (pid int, fds []int) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, nil
	}
	for i := range list {
		if c, err := unix.ParseUnixCredentials(&list[i]); err == nil {
			pid = int(c.Pid)
		}
		if f, err := unix.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, f...)
		}
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return pid, fds
}

// take is one message.
func (p *peer) take(text string, pid int, fds []int) {
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if text == "BARRIER=1" {
		return
	}
	if pid != p.pid {
		p.refused = append(p.refused, text)
		return
	}
	v := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, "=")
		v[name] = value
	}
	if v["WATCHDOG"] == "1" {
		p.alive++
		return
	}
	p.messages = append(p.messages, text)
	switch {
	case v["READY"] == "1":
		p.state = "active"
	case v["RELOADING"] == "1":
		p.state = "reloading"
	case v["STOPPING"] == "1":
		p.state = "deactivating"
	}
	if s, ok := v["STATUS"]; ok {
		p.status = s
	}
	if n, err := strconv.Atoi(v["MAINPID"]); err == nil {
		p.pid = n
		p.pids = append(p.pids, n)
	}
	if v["FDSTOREREMOVE"] == "1" {
		p.drop(func(k kept) bool { return k.name == v["FDNAME"] })
	}
	if v["FDSTORE"] == "1" {
		for _, fd := range fds {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				p.t.Error(err)
			}
			if slices.ContainsFunc(p.store, func(k kept) bool { return k.inode == st.Ino }) {
				unix.Close(fd)
				continue
			}
			// systemd puts each before the others.
			p.store = append([]kept{{v["FDNAME"], fd, st.Ino}}, p.store...)
		}
		fds = nil
	}
}

func (p *peer) drop(gone func(kept) bool) {
	p.store = slices.DeleteFunc(p.store, func(k kept) bool {
		if !gone(k) {
			return false
		}
		unix.Close(k.fd)
		return true
	})
}

func (p *peer) dropStore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(func(kept) bool { return true })
	for _, f := range p.unitFDs {
		f.Close()
	}
	p.units, p.unitFDs = nil, nil
}

// unit adds the socket of a socket unit.
func (p *peer) unit(name string, l interface{ File() (*os.File, error) }) {
	p.t.Helper()
	f, err := l.File()
	if err != nil {
		p.t.Fatal(err)
	}
	p.unitFDs = append(p.unitFDs, f)
	p.units = append(p.units, kept{name: name, fd: int(f.Fd())})
}

// start starts the service with all that it is given and does not wait for anything.
func (p *peer) start() {
	p.t.Helper()
	const script = `[ -n "$FOREIGN" ] && p=1 || p=$$
unset FOREIGN
if [ -n "$WATCHDOG_USEC" ]; then export WATCHDOG_PID=$p; fi
if [ -n "$LISTEN_FDS" ]; then export LISTEN_PID=$p; fi
exec "$0" "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, binary}, p.args...)...)
	stderr, err := os.OpenFile(p.site.path("logs/stderr"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+p.addr)
	if p.foreign {
		cmd.Env = append(cmd.Env, "FOREIGN=1")
	}
	if p.watchdog > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", p.watchdog.Microseconds()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, k := range append(slices.Clone(p.units), p.store...) {
		fd, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			p.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), k.name)
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		names = append(names, k.name)
	}
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	p.state, p.status = "activating", ""
	p.messages, p.alive = nil, 0
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	// The process is this peer's to wait for, as those are that follow it in an upgrade.
	p.pid = cmd.Process.Pid
	p.pids = append(p.pids, p.pid)
	_ = cmd.Process.Release()
}

// up starts the service and waits until it says that it is ready.
func (p *peer) up() {
	p.t.Helper()
	p.start()
	p.await("active", "")
}

// await waits for a state and a text in the status.
func (p *peer) await(state, status string) {
	p.t.Helper()
	until(p.t, "the service is "+state+" "+status, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.state == state && strings.Contains(p.status, status)
	})
}

func (p *peer) main() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

func (p *peer) statusText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *peer) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.main(), sig); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits for the end of the main process.
func (p *peer) ended() syscall.WaitStatus {
	p.t.Helper()
	var ws syscall.WaitStatus
	pid := p.main()
	until(p.t, "the master is gone", func() bool {
		got, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
		if err != nil && err != syscall.EINTR {
			p.t.Fatalf("wait4(%d): %v", pid, err)
		}
		return got == pid
	})
	return ws
}

// sessions are the processes that belong to the service.
func (p *peer) processes() []int {
	var list []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		if sid, err := unix.Getsid(pid); err == nil && slices.Contains(p.pids, sid) && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	return list
}

// killAll is what KillMode=mixed leaves of a service whose main process is dead: nothing.
func (p *peer) killAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pid := range p.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
}

// names are those of the sockets in the store, sorted.
func (p *peer) names() []string { return p.stored("listen=") }

// zones are those of the shared memory in the store, sorted.
func (p *peer) zones() []string { return p.stored("zone=") }

func (p *peer) stored(prefix string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, k := range p.store {
		if strings.HasPrefix(k.name, prefix) {
			list = append(list, k.name)
		}
	}
	slices.Sort(list)
	return list
}

func (p *peer) count(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.messages {
		if strings.Contains(m, text) {
			n++
		}
	}
	return n
}
