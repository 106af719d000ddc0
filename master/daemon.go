package master

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// envDaemon names the descriptor by which the detached process tells the first one that it has started.
const envDaemon = "PERILUNE_DAEMON"

// daemonChild is the detached process' side of the start.
type daemonChild struct{ f *os.File }

// daemonStatus says whether this is the detached process.
func daemonStatus() *daemonChild {
	v, ok := os.LookupEnv(envDaemon)
	if !ok {
		return nil
	}
	os.Unsetenv(envDaemon)
	fd, err := strconv.Atoi(v)
	if err != nil || fd < 3 {
		return nil
	}
	unix.CloseOnExec(fd)
	return &daemonChild{os.NewFile(uintptr(fd), "start")}
}

// ok lets the first process exit. A failure only means that it is gone already.
func (c *daemonChild) ok() {
	_, _ = c.f.Write([]byte{0})
	c.f.Close()
}

// daemonize starts this program again, detached from the terminal, and waits until its sockets are open and its Lua code is
// loaded, or until it has failed. Its messages come out of the standard error of both.
func daemonize(log *logging.Log) int {
	r, w, err := os.Pipe()
	if err != nil {
		log.LogErr(logging.Emerg, 0, err, "pipe() failed")
		return 1
	}
	cmd := exec.Command(selfExe)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), envDaemon+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr // stdin and stdout are /dev/null
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	old := unix.Umask(0)
	err = cmd.Start()
	unix.Umask(old)
	w.Close()
	if err != nil {
		log.LogErr(logging.Emerg, 0, err, "fork() failed")
		return 1
	}
	var b [1]byte
	if n, _ := r.Read(b[:]); n == 1 {
		return 0
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return 1
}
