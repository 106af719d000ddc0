package master

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// firstActivated is the number of the first descriptor that systemd passes.
const firstActivated = 3

// activated is one listen socket that the service manager has passed: that of a socket unit, or a stored one.
type activated struct {
	fd   int
	name string
	addr string // as "listen" has it
	key  string
	id   uint64 // of the socket, however many descriptors it has
}

// stored says whether the socket comes from the store, where this program has put it.
func (a *activated) stored() bool { return strings.HasPrefix(a.name, storedPrefix) }

// activation is the listen sockets that the service manager has passed and that have not been taken yet.
type activation struct {
	list  []activated
	zones []storedZone // shared memory, for takeZones
	units map[int]bool // descriptors that belong to socket units
	next  inherited    // another source, may be nil
}

// storedZone is a descriptor that comes from the store under the name of a zone.
type storedZone struct {
	fd   int
	name string
}

// activate collects the sockets and zones of LISTEN_FDS and removes the variables. What is neither is logged and closed.
func activate(log *logging.Log, next inherited) *activation {
	names, n := listenFDs(log)
	a := &activation{units: make(map[int]bool), next: next}
	for i := range n {
		fd, name := firstActivated+i, "unknown"
		if i < len(names) {
			name = names[i]
		}
		unix.CloseOnExec(fd)
		if strings.HasPrefix(name, zonePrefix) {
			a.zones = append(a.zones, storedZone{fd, name})
			continue
		}
		s, err := inspect(fd, name)
		if err != nil {
			log.LogErr(logging.Warn, 0, err, "descriptor "+itoa(fd)+" that the service manager passed as \""+name+"\" is ignored")
			unix.Close(fd)
			continue
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			log.LogErr(logging.Alert, 0, err, "fcntl(O_NONBLOCK) of "+s.addr+" failed, ignored")
		}
		a.add(s)
	}
	return a
}

// add adds a socket once: one that both its unit holds and the store is the unit's.
func (a *activation) add(s activated) {
	i := slices.IndexFunc(a.list, func(o activated) bool { return o.id == s.id })
	if i < 0 {
		a.list = append(a.list, s)
		i = len(a.list) - 1
	} else {
		if a.list[i].stored() {
			a.list[i], s = s, a.list[i]
		}
		unix.Close(s.fd)
	}
	if !a.list[i].stored() {
		a.units[a.list[i].fd] = true
	}
}

// listenFDs is sd_listen_fds_with_names(3).
func listenFDs(log *logging.Log) (names []string, n int) {
	pid, fds := os.Getenv(envListenPID), os.Getenv(envListenFDs)
	if list := os.Getenv(envListenNames); list != "" {
		names = strings.Split(list, ":")
	}
	for _, v := range []string{envListenPID, envListenFDs, envListenNames} {
		os.Unsetenv(v)
	}
	if fds == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, 0
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > 1<<16 {
		log.Logf(logging.Warn, 0, "invalid %s \"%s\", ignored", envListenFDs, fds)
		return nil, 0
	}
	return names, n
}

// inspect finds out what a descriptor is.
func inspect(fd int, name string) (activated, error) {
	a := activated{fd: fd, name: name}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return a, err
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return a, err
	}
	if typ != unix.SOCK_STREAM || listens == 0 {
		return a, errors.New("not a stream socket that listens")
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return a, err
	}
	if a.key = addressKey(sa); a.key == "" {
		return a, errors.New("neither an Internet nor a unix socket")
	}
	a.addr = strings.TrimPrefix(a.key, "tcp:")
	a.id, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return a, err
}

// addressKey is the same text for the same address.
func addressKey(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return "tcp:" + netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return "tcp:" + netip.AddrPortFrom(ip, uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		if sa.Name == "" {
			return ""
		}
		return "unix:" + sa.Name
	}
	return ""
}

// Take implements inherited.
func (a *activation) Take(network, addr string, slot int) (fd int, ok bool) {
	if a.next != nil {
		if fd, ok := a.next.Take(network, addr, slot); ok {
			return fd, true
		}
	}
	return a.take(network, addr)
}

// take takes a socket of an address; those of reuseport are all alike. A unix socket whose file is gone is of no use to anybody
// and stays among the rest.
func (a *activation) take(network, addr string) (fd int, ok bool) {
	sa, _, err := sockaddr(network, addr)
	if err != nil {
		return -1, false
	}
	key := addressKey(sa)
	i := slices.IndexFunc(a.list, func(s activated) bool { return s.key == key })
	if i < 0 {
		return -1, false
	}
	if file, isFile := socketFile(&conf.Listening{Network: network, Addr: addr}); isFile {
		if st, err := os.Stat(file); err != nil || st.Mode()&os.ModeSocket == 0 {
			return -1, false
		}
	}
	fd = a.list[i].fd
	a.list = slices.Delete(a.list, i, i+1)
	return fd, true
}

// rest are the sockets that nobody took. They are not the activation's any more.
func (a *activation) rest() []activated {
	list := a.list
	a.list = nil
	return list
}

// disown leaves the files of sockets that belong to socket units to systemd, which goes on listening on them.
func (a *activation) disown(set *socketSet) {
	for _, k := range set.list {
		for _, fd := range k.fds {
			if a.units[fd] {
				k.file = ""
			}
		}
	}
}

// adjust makes a socket that somebody else has opened what the directive asks for, as far as that can be changed.
func adjust(fd int, ls *conf.Listening, log *logging.Log) {
	if err := unix.Listen(fd, ls.Backlog); err != nil {
		log.LogErr(logging.Alert, 0, err, "listen() to "+ls.Addr+" failed, ignored")
	}
	if ls.Reuseport {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			log.LogErr(logging.Alert, 0, err, "setsockopt(SO_REUSEPORT) "+ls.Addr+" failed, ignored")
		}
	}
	if ls.Network != "tcp" || !strings.HasPrefix(ls.Addr, "[") {
		return
	}
	only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	if err == nil && (only != 0) != ls.IPv6Only {
		log.Logf(logging.Warn, 0, "the inherited socket %s has ipv6only=%s, which cannot be changed", ls.Addr, onOff(only != 0))
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
