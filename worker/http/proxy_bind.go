package http

import (
	"errors"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// proxyBind is a proxy_bind directive; a nil one is off.
type proxyBind struct {
	script      *Script // of an address with variables
	addr        *localAddr
	transparent bool
}

func setProxyBind(cf *conf.Conf, c any) error { return c.(*proxyConf).setBind(cf) }

// setBind handles proxy_bind and its like.
func (pc *proxyConf) setBind(cf *conf.Conf) error {
	s := &pc.bind
	if s.IsSet {
		return conf.ErrDuplicate
	}
	if len(cf.Args) == 2 && cf.Args[1] == "off" {
		s.Set(nil)
		return nil
	}
	b := &proxyBind{}
	if HasVariables(cf.Args[1]) {
		var err error
		if b.script, err = CompileScript(cf, cf.Args[1]); err != nil {
			return err
		}
	} else if b.addr = parseLocalAddr(cf.Args[1]); b.addr == nil {
		return conf.Errorf("invalid address \"%s\"", cf.Args[1])
	}
	if len(cf.Args) > 2 {
		if cf.Args[2] != "transparent" {
			return conf.Errorf("invalid parameter \"%s\"", cf.Args[2])
		}
		b.transparent = true
	}
	s.Set(b)
	return nil
}

// bindAddr is the address that proxy_bind says; nil if any will do.
func (u *upstreamRequest) bindAddr() *localAddr {
	b := u.conf.bind.V
	if b == nil || b.script == nil {
		if b == nil {
			return nil
		}
		return b.addr
	}
	text := string(b.script.AppendTo(u.r, nil))
	if text == "" {
		return nil
	}
	a := parseLocalAddr(text)
	if a == nil {
		u.r.Log(logging.Error, "invalid local address \"%s\"", text)
	}
	return a
}

// errSocket is the error of a socket that could not be set up; it has been logged.
var errSocket = errors.New("the socket cannot be set up")

// setUpSocket sets what a new socket must have before it is connected.
func (u *upstreamRequest) setUpSocket(fd int) error {
	r := u.r
	if u.conf.socketKeepalive.V {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			r.LogErr(logging.Alert, err, "setsockopt(SO_KEEPALIVE) failed, ignored")
		}
	}
	if u.local == nil {
		return nil
	}
	sa := u.local.addr.Sockaddr
	_, isIPv6 := sa.(*unix.SockaddrInet6)
	if b := u.conf.bind.V; b != nil && b.transparent {
		level, option, name := unix.SOL_IP, unix.IP_TRANSPARENT, "IP_TRANSPARENT"
		if isIPv6 {
			level, option, name = unix.SOL_IPV6, unix.IPV6_TRANSPARENT, "IPV6_TRANSPARENT"
		}
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			r.LogErr(logging.Alert, err, "setsockopt("+name+") failed")
			return errSocket
		}
	}
	// The kernel shall choose the port for the pair of addresses: more connections than there are ports.
	if in4, ok := sa.(*unix.SockaddrInet4); ok && in4.Port == 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil && err != unix.ENOPROTOOPT {
			r.LogErr(logging.Alert, err, "setsockopt(IP_BIND_ADDRESS_NO_PORT) failed, ignored")
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		r.LogErr(logging.Crit, err, "bind("+u.local.name+") failed")
		return errSocket
	}
	return nil
}
