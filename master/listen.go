package master

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// socketError is a failed call on a listen socket, in nginx's words.
type socketError struct {
	text  string // "bind() to 0.0.0.0:80 failed"
	errno error
	inUse bool // the address is taken: worth another try
}

func (e *socketError) Error() string { return e.text + " " + logging.ErrnoText(e.errno) }
func (e *socketError) Unwrap() error { return e.errno }

// sockaddr translates the canonical address of a listen directive.
func sockaddr(network, addr string) (unix.Sockaddr, int, error) {
	if network == "unix" {
		path := strings.TrimPrefix(addr, "unix:")
		return &unix.SockaddrUnix{Name: path}, unix.AF_UNIX, nil
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, 0, fmt.Errorf("listen address \"%s\": %w", addr, err)
	}
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, unix.AF_INET, nil
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		if sa.ZoneId, err = zoneID(zone); err != nil {
			return nil, 0, fmt.Errorf("listen address \"%s\": %w", addr, err)
		}
	}
	return sa, unix.AF_INET6, nil
}

func zoneID(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(ifi.Index), nil
}

// openMode is what a socket is opened for.
type openMode int

const (
	openServe openMode = iota
	openShare          // to serve beside another socket of the same port, which has SO_REUSEPORT too
	openTest           // by -t, to be closed at once
)

// openSocket makes one listen socket.
func openSocket(ls *conf.Listening, mode openMode, log *logging.Log) (fd int, err error) {
	sa, family, err := sockaddr(ls.Network, ls.Addr)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, &socketError{text: "socket() " + ls.Addr + " failed", errno: err}
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fd, &socketError{text: "setsockopt(SO_REUSEADDR) " + ls.Addr + " failed", errno: err}
	}
	if ls.Reuseport && mode != openTest || mode == openShare {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fd, &socketError{text: "setsockopt(SO_REUSEPORT) " + ls.Addr + " failed", errno: err}
		}
	}
	if family == unix.AF_INET6 {
		only := 0
		if ls.IPv6Only {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			log.LogErr(logging.Emerg, 0, err, "setsockopt(IPV6_V6ONLY) "+ls.Addr+" failed, ignored")
		}
	}
	if err := bind(fd, sa, ls, mode == openTest, log); err != nil {
		return fd, err
	}
	if err := unix.Listen(fd, ls.Backlog); err != nil {
		text := fmt.Sprintf("listen() to %s, backlog %d failed", ls.Addr, ls.Backlog)
		return fd, &socketError{text: text, errno: err, inUse: errors.Is(err, unix.EADDRINUSE)}
	}
	return fd, nil
}

func bind(fd int, sa unix.Sockaddr, ls *conf.Listening, test bool, log *logging.Log) error {
	err := unix.Bind(fd, sa)
	path, isFile := socketFile(ls)
	if errors.Is(err, unix.EADDRINUSE) && isFile && !test && removeStale(sa, path, log) {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		return &socketError{text: "bind() to " + ls.Addr + " failed", errno: err, inUse: errors.Is(err, unix.EADDRINUSE)}
	}
	if !isFile {
		return nil
	}
	if err := os.Chmod(path, 0o666); err != nil {
		log.LogErr(logging.Emerg, 0, err, "chmod() \""+path+"\" failed")
	}
	if test {
		if err := os.Remove(path); err != nil {
			log.LogErr(logging.Emerg, 0, err, "unlink() "+path+" failed")
		}
	}
	return nil
}

// socketFile is the file of a unix socket; an abstract one has none.
func socketFile(ls *conf.Listening) (string, bool) {
	if ls.Network != "unix" {
		return "", false
	}
	path := strings.TrimPrefix(ls.Addr, "unix:")
	return path, !strings.HasPrefix(path, "@")
}

// removeStale removes the socket file that a master which was killed has left behind: one that nobody listens on any more.
func removeStale(sa unix.Sockaddr, path string, log *logging.Log) bool {
	if st, err := os.Lstat(path); err != nil || st.Mode()&os.ModeSocket == 0 {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); !errors.Is(err, unix.ECONNREFUSED) {
		return false
	}
	if err := os.Remove(path); err != nil {
		log.LogErr(logging.Error, 0, err, "unlink() "+path+" failed")
		return false
	}
	log.Log(logging.Warn, 0, "removed the socket "+path+" that nobody listens on")
	return true
}

// tune sets the options that may change while the socket is open. Failures are logged and ignored, as in nginx.
func tune(fd int, ls *conf.Listening, log *logging.Log) {
	set := func(name string, level, opt, value int) {
		if err := unix.SetsockoptInt(fd, level, opt, value); err != nil {
			log.LogErr(logging.Alert, 0, err, fmt.Sprintf("setsockopt(%s, %d) %s failed, ignored", name, value, ls.Addr))
		}
	}
	if ls.RcvBuf > 0 {
		set("SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, ls.RcvBuf)
	}
	if ls.SndBuf > 0 {
		set("SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, ls.SndBuf)
	}
	switch ls.SoKeepalive {
	case conf.KeepaliveOn:
		set("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	case conf.KeepaliveOff:
		set("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if ls.Network != "tcp" {
		return
	}
	if ls.KeepIdle > 0 {
		set("TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(ls.KeepIdle/time.Second))
	}
	if ls.KeepInterval > 0 {
		set("TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(ls.KeepInterval/time.Second))
	}
	if ls.KeepCount > 0 {
		set("TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, ls.KeepCount)
	}
	if ls.FastOpen >= 0 {
		set("TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, ls.FastOpen)
	}
	deferred := 0
	if ls.Deferred {
		deferred = 1
	}
	if old, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); err == nil && (old != 0) != ls.Deferred {
		set("TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferred)
	}
}
