package logging

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Syslog sends messages to a syslog server, by UDP or to a unix socket, each as
// a datagram in the form of RFC 3164 that nginx sends. A message that the server
// does not take is lost, and counted; the socket is made anew for the next one.
type Syslog struct {
	name     string // of the server, as configured
	addr     unix.Sockaddr
	domain   int
	facility int
	severity int
	host     string // with a space behind it; empty without
	tag      string

	mu     sync.Mutex
	fd     int
	buf    []byte
	second int64
	stamp  []byte

	sent, lost atomic.Uint64
	report     reporter
}

var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp", "audit",
	"alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

const maxTag = 32

// ParseSyslog parses "syslog:server=…,facility=…". address finds the socket
// address of a server that is no unix socket, or says in nginx's words what is
// wrong with it.
func ParseSyslog(text string, address func(server string) (unix.Sockaddr, string)) (*Syslog, error) {
	s := &Syslog{facility: -1, severity: -1, fd: -1}
	noHost, hasTag := false, false
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "syslog:"), ",") {
		name, value, _ := strings.Cut(part, "=")
		switch {
		case strings.HasPrefix(part, "server="):
			if s.addr != nil {
				return nil, fmt.Errorf("duplicate syslog \"server\"")
			}
			if err := s.setServer(value, address); err != nil {
				return nil, err
			}
		case strings.HasPrefix(part, "facility="):
			if err := choose(&s.facility, name, value, facilities); err != nil {
				return nil, err
			}
		case strings.HasPrefix(part, "severity="):
			if err := choose(&s.severity, name, value, levelNames[Emerg:]); err != nil {
				return nil, err
			}
		case strings.HasPrefix(part, "tag="):
			if hasTag {
				return nil, fmt.Errorf("duplicate syslog \"tag\"")
			}
			if len(value) > maxTag {
				return nil, fmt.Errorf("syslog tag length exceeds %d", maxTag)
			}
			if strings.ContainsFunc(value, notInTag) {
				return nil, fmt.Errorf("syslog \"tag\" only allows alphanumeric characters and underscore")
			}
			s.tag, hasTag = value, true
		case part == "nohostname":
			noHost = true
		default:
			return nil, fmt.Errorf("unknown syslog parameter \"%s\"", part)
		}
	}
	if s.addr == nil {
		return nil, fmt.Errorf("no syslog server specified")
	}
	s.defaults(hasTag, noHost)
	return s, nil
}

func (s *Syslog) defaults(hasTag, noHost bool) {
	if s.facility < 0 {
		s.facility = len(facilities) - 1
	}
	if s.severity < 0 {
		s.severity = int(Info - Emerg)
	}
	if !hasTag {
		s.tag = "nginx"
	}
	if host, err := os.Hostname(); err == nil && !noHost {
		s.host = strings.ToLower(host) + " "
	}
}

func notInTag(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func (s *Syslog) setServer(server string, address func(string) (unix.Sockaddr, string)) error {
	s.name = server
	complaint := ""
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		s.domain = unix.AF_UNIX
		s.addr = &unix.SockaddrUnix{Name: path}
		switch {
		case path == "":
			complaint = "no path in the unix domain socket"
		case len(path) > 107:
			complaint = "too long path in the unix domain socket"
		}
	} else {
		s.addr, complaint = address(server)
		s.domain = unix.AF_INET
		if _, ok := s.addr.(*unix.SockaddrInet6); ok {
			s.domain = unix.AF_INET6
		}
	}
	if complaint != "" {
		return fmt.Errorf("%s in syslog server \"%s\"", complaint, server)
	}
	return nil
}

func choose(v *int, name, value string, names []string) error {
	if *v >= 0 {
		return fmt.Errorf("duplicate syslog \"%s\"", name)
	}
	for i, n := range names {
		if n == value {
			*v = i
			return nil
		}
	}
	return fmt.Errorf("unknown syslog %s \"%s\"", name, value)
}

// Send sends a message, without a newline, with the severity of the directive.
func (s *Syslog) Send(msg []byte) error { return s.send(s.severity, msg) }

func (s *Syslog) send(severity int, msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if sec := now.Unix(); sec != s.second {
		s.second, s.stamp = sec, now.AppendFormat(s.stamp[:0], "Jan _2 15:04:05 ")
	}
	b := append(s.buf[:0], '<')
	b = strconv.AppendInt(b, int64(s.facility*8+severity), 10)
	b = append(b, '>')
	b = append(b, s.stamp...)
	b = append(b, s.host...)
	b = append(b, s.tag...)
	b = append(b, ": "...)
	b = append(b, msg...)
	s.buf = b
	call := "connect()"
	err := s.connect()
	if err == nil {
		call = "send()"
		if err = unix.Send(s.fd, b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err == unix.EINTR {
			err = unix.Send(s.fd, b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		}
	}
	if err == nil {
		s.sent.Add(1)
		return nil
	}
	if s.fd >= 0 && err != unix.EAGAIN {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
	s.lost.Add(1)
	return fmt.Errorf("%s failed %w", call, &sysError{err})
}

func (s *Syslog) connect() error {
	if s.fd >= 0 {
		return nil
	}
	fd, err := unix.Socket(s.domain, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, s.addr); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.fd = fd
	return nil
}

// Complain says in the log, once a minute at most, why messages are lost.
func (s *Syslog) Complain(log *Log, err error) {
	if s.report.due() && s.report.within.CompareAndSwap(false, true) {
		log.Begin(Alert, 0).Str(err.Error()).Str(" while logging to syslog").AttrStr("server", s.name).End()
		s.report.within.Store(false)
	}
}

// Sent counts the messages that were sent.
func (s *Syslog) Sent() uint64 { return s.sent.Load() }

// Lost counts the messages that the server did not take.
func (s *Syslog) Lost() uint64 { return s.lost.Load() }
