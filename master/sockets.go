package master

import (
	"errors"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
)

// inherited gives listen sockets that somebody else has opened: the previous master in an upgrade, or systemd.
type inherited interface {
	// Take returns the descriptor for an address and slot, and forgets it.
	Take(network, addr string, slot int) (fd int, ok bool)
}

// socket is one listen address with its descriptors: one, or one for each worker's slot with reuseport. The master keeps all
// of them open as long as the address is configured, so that no backlog is ever lost with a process.
type socket struct {
	network, addr string
	fds           []int
	backlog       int
	reuseport     bool
	file          string // of a unix socket
	refs          int    // socket sets that hold it
}

// socketSet is the listen sockets of one generation.
type socketSet struct {
	list []*socket
	// grown are the slots that this set added to sockets that were there before, to be taken back if the set is given up.
	grown map[*socket]int
	old   *socketSet // the set before, while this one is being opened
}

func (s *socketSet) find(network, addr string) *socket {
	if s == nil {
		return nil
	}
	for _, k := range s.list {
		if k.network == network && k.addr == addr {
			return k
		}
	}
	return nil
}

const (
	bindTries = 5
	bindDelay = 500 * time.Millisecond
)

// errLogged says that the reason is already in the log.
var errLogged = errors.New("the reason is logged")

// openSockets makes the set for a configuration. Addresses that old has are taken over, the rest is taken from source (which
// may be nil) or opened. When it fails everything that it opened is closed, and what went wrong is in the log.
func openSockets(listening []*conf.Listening, workers int, old *socketSet, source inherited, log *logging.Log, sleep func(time.Duration)) (*socketSet, error) {
	set := &socketSet{grown: make(map[*socket]int), old: old}
	for _, ls := range listening {
		k := old.find(ls.Network, ls.Addr)
		if k == nil {
			k = &socket{network: ls.Network, addr: ls.Addr, backlog: ls.Backlog, reuseport: ls.Reuseport}
			k.file, _ = socketFile(ls)
		}
		k.refs++
		set.list = append(set.list, k)
	}
	for try := 0; ; try++ {
		inUse, err := set.open(listening, workers, source, log)
		if err == nil && !inUse {
			break
		}
		if err == nil && try < bindTries-1 {
			log.Log(logging.Notice, 0, "try again to bind() after 500ms")
			sleep(bindDelay)
			continue
		}
		if err == nil {
			log.Log(logging.Notice, 0, "try again to bind() after 500ms")
			log.Log(logging.Emerg, 0, "still could not bind()")
		}
		set.abandon(log)
		return nil, errLogged
	}
	set.old = nil
	return set, nil
}

// open opens what is missing. It goes on after an address that is taken and says so.
func (s *socketSet) open(listening []*conf.Listening, workers int, source inherited, log *logging.Log) (inUse bool, err error) {
	for i, ls := range listening {
		k := s.list[i]
		want := 1
		if ls.Reuseport {
			want = max(1, workers)
		}
		if k.refs > 1 && ls.Reuseport && !k.reuseport {
			s.allowReuse(k, log)
		}
		for len(k.fds) < want {
			fd, ok := -1, false
			if source != nil {
				fd, ok = source.Take(ls.Network, ls.Addr, len(k.fds))
			}
			if ok {
				adjust(fd, ls, log)
			}
			if !ok {
				fd, err = openSocket(ls, openServe, log)
			}
			if inUseError(err) && s.sharePort(ls, log) {
				fd, err = openSocket(ls, openShare, log)
			}
			if err != nil {
				log.Log(logging.Emerg, 0, err.Error())
				if !inUseError(err) {
					return false, err
				}
				inUse = true
				break
			}
			k.fds = append(k.fds, fd)
			s.grown[k]++
		}
		err = nil
	}
	return inUse, nil
}

// sharePort makes room for a socket beside those of the old set on the same port: a listen that changes from 127.0.0.1:80 to
// *:80, say. Both are open until the new generation serves.
func (s *socketSet) sharePort(ls *conf.Listening, log *logging.Log) bool {
	if s.old == nil || ls.Network != "tcp" {
		return false
	}
	_, port, _ := net.SplitHostPort(ls.Addr)
	found := false
	for _, k := range s.old.list {
		if _, p, _ := net.SplitHostPort(k.addr); k.network == "tcp" && p == port {
			s.allowReuse(k, log)
			found = true
		}
	}
	return found
}

func inUseError(err error) bool {
	var se *socketError
	return errors.As(err, &se) && se.inUse
}

// allowReuse lets an address that had one plain socket get further ones: all of them must have the option.
func (s *socketSet) allowReuse(k *socket, log *logging.Log) {
	for _, fd := range k.fds {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			log.LogErr(logging.Alert, 0, err, "setsockopt(SO_REUSEPORT) "+k.addr+" failed, ignored")
		}
	}
}

// configure brings the options of all sockets, new and old, to what the configuration says.
func (s *socketSet) configure(listening []*conf.Listening, log *logging.Log) {
	for i, ls := range listening {
		k := s.list[i]
		for _, fd := range k.fds {
			tune(fd, ls, log)
			if k.backlog != ls.Backlog {
				if err := unix.Listen(fd, ls.Backlog); err != nil {
					log.LogErr(logging.Alert, 0, err, "listen() to "+ls.Addr+" failed, ignored")
				}
			}
		}
		k.backlog = ls.Backlog
		k.reuseport = k.reuseport || ls.Reuseport
	}
}

// abandon undoes openSockets.
func (s *socketSet) abandon(log *logging.Log) {
	for _, k := range s.list {
		k.refs--
		if k.refs == 0 {
			k.close(log)
			continue
		}
		keep := len(k.fds) - s.grown[k]
		closeFDs(k.fds[keep:])
		k.fds = k.fds[:keep]
	}
	s.list = nil
}

// drop gives up a set that has served; sockets that no other set holds are closed.
func (s *socketSet) drop(log *logging.Log) { unlink(s.letGo(), log) }

// letGo is drop without the removal of the files of unix sockets, which it returns.
func (s *socketSet) letGo() (files []string) {
	for _, k := range s.list {
		if k.refs--; k.refs == 0 {
			files = append(files, k.letGo()...)
		}
	}
	s.list = nil
	return files
}

func (k *socket) letGo() (files []string) {
	if len(k.fds) > 0 && k.file != "" {
		files = []string{k.file}
	}
	closeFDs(k.fds)
	k.fds = nil
	return files
}

func (k *socket) close(log *logging.Log) { unlink(k.letGo(), log) }

func unlink(files []string, log *logging.Log) {
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			log.LogErr(logging.Emerg, 0, err, "unlink() "+file+" failed")
		}
	}
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// testSockets is what -t does: it tries every address and leaves nothing behind. A taken address is no error.
func testSockets(listening []*conf.Listening, log *logging.Log) error {
	for _, ls := range listening {
		fd, err := openSocket(ls, openTest, log)
		if inUseError(err) {
			continue
		}
		if err != nil {
			log.Log(logging.Emerg, 0, err.Error())
			return errLogged
		}
		unix.Close(fd)
	}
	return nil
}

// ownSlots are the reuseport slots that a worker accepts from: its own and those beyond the number of workers, which are dealt
// out so that no connection waits in a queue that nobody serves.
func ownSlots(k *socket, slot, workers int) []int {
	var own []int
	for s := range k.fds {
		if s%workers == slot {
			own = append(own, s)
		}
	}
	return own
}

// fdsOf describes the set for a worker's manifest. number gives the descriptor's number in the worker.
func (s *socketSet) fdsOf(slot, workers int, number func(fd int) int) []ipc.SocketFDs {
	var out []ipc.SocketFDs
	for _, k := range s.list {
		d := ipc.SocketFDs{Network: k.network, Addr: k.addr, Own: ownSlots(k, slot, workers)}
		for _, fd := range k.fds {
			d.FDs = append(d.FDs, number(fd))
		}
		out = append(out, d)
	}
	return out
}

// fill gives the configuration of this very process the descriptors: without workers it accepts itself.
func (s *socketSet) fill(listening []*conf.Listening) {
	for i, ls := range listening {
		ls.FDs = slices.Clone(s.list[i].fds)
	}
}

// spread says whether workers have sockets of their own.
func (s *socketSet) spread() bool {
	for _, k := range s.list {
		if len(k.fds) > 1 {
			return true
		}
	}
	return false
}
