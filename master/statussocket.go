package master

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// statusSuffix makes the socket's path of that of the pid file.
const statusSuffix = ".status"

// statusTimeout limits what a client that does not read, or a master that is busy, can hold up.
const statusTimeout = 10 * time.Second

// statusSocket is the socket on which the master tells how it is. Only root, or whoever the master runs as, may connect.
type statusSocket struct {
	path string
	ln   net.Listener
	id   uint64 // the inode of the file
}

// listenStatus opens the socket beside the pid file. Without it the server works all the same.
func (s *system) listenStatus(g *generation) {
	path := s.pid + statusSuffix
	if s.status.serves(path) {
		return
	}
	s.status.close()
	st, err := openStatus(path)
	if err != nil {
		g.log.LogErr(logging.Alert, 0, err, "socket \""+path+"\" failed")
		s.status = nil
		return
	}
	s.status = st
	go st.serve(s.post)
}

// openStatus makes the socket under another name and puts it in its place in one step: a master before this one, or one that
// was killed, may have left one there. The path may be longer than an address can be.
func openStatus(path string) (*statusSocket, error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "status")
	defer f.Close()
	// The file gets the mode of the socket.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return nil, err
	}
	temp := "." + itoa(os.Getpid()) + statusSuffix
	_ = unix.Unlinkat(dir, temp, 0)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + itoa(dir) + "/" + temp}); err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	err = unix.Listen(fd, 8)
	if err == nil {
		err = unix.Fstatat(dir, temp, &stat, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.Renameat(dir, temp, dir, filepath.Base(path))
	}
	if err != nil {
		_ = unix.Unlinkat(dir, temp, 0)
		return nil, err
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return &statusSocket{path: path, ln: ln, id: stat.Ino}, nil
}

// serves says whether the socket is what clients find at a path.
func (st *statusSocket) serves(path string) bool {
	if st == nil || st.path != path {
		return false
	}
	var stat unix.Stat_t
	return unix.Lstat(path, &stat) == nil && stat.Ino == st.id
}

// close ends the service and removes the file, if it is this socket's.
func (st *statusSocket) close() {
	if st == nil {
		return
	}
	if st.serves(st.path) {
		_ = os.Remove(st.path)
	}
	st.ln.Close()
}

// serve answers one client after the other: each gets a report and the end.
func (st *statusSocket) serve(post func(event)) {
	for {
		c, err := st.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Second) // out of descriptors
			continue
		}
		reply := make(chan *Report, 1)
		post(statusEvent{reply})
		select {
		case r := <-reply:
			_ = c.SetDeadline(time.Now().Add(statusTimeout))
			_ = json.NewEncoder(c).Encode(r)
		case <-time.After(statusTimeout):
		}
		c.Close()
	}
}

// showStatus is -s status and -s status-json.
func showStatus(cycle *conf.Cycle, asJSON bool, out io.Writer, log *logging.Log) int {
	pidFile := cycle.CoreConf().Pid.V
	if _, err := readPid(pidFile); err != nil {
		log.Log(logging.Error, 0, err.Error())
		return 1
	}
	path := pidFile + statusSuffix
	r, err := askStatus(path)
	if err != nil {
		log.Log(logging.Error, 0, "connect() to unix:"+path+" failed "+errnoText(err))
		return 1
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		_, err = io.WriteString(out, r.String())
	}
	if err != nil {
		log.LogErr(logging.Error, 0, err, "write() failed")
		return 1
	}
	return 0
}

func askStatus(path string) (*Report, error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	c, err := net.DialTimeout("unix", "/proc/self/fd/"+itoa(dir)+"/"+filepath.Base(path), statusTimeout)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(statusTimeout)); err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.NewDecoder(c).Decode(r); err != nil {
		return nil, err
	}
	return r, nil
}
