package http

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"perilune/conf"
)

// listenBacklog is nginx's default on Linux.
const listenBacklog = 511

// sockAddr is an address to listen on: IP and port, or a path.
type sockAddr struct {
	ip   netip.AddrPort
	path string // "unix:/path"; empty for IP
}

func wildcard4(port int) sockAddr {
	return sockAddr{ip: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))}
}

func (a sockAddr) String() string {
	if a.path != "" {
		return a.path
	}
	return a.ip.String()
}

func (a sockAddr) wildcard() bool { return a.path == "" && a.ip.Addr().IsUnspecified() }

// samePort reports whether the addresses share a port: the same number of the
// same family.
func (a sockAddr) samePort(b sockAddr) bool {
	if a.path != "" || b.path != "" {
		return a.path != "" && b.path != ""
	}
	return a.ip.Port() == b.ip.Port() && a.ip.Addr().Is4() == b.ip.Addr().Is4()
}

// listenOptions are the parameters of a listen directive.
type listenOptions struct {
	conf.Listening      // all but Network and Addr
	set            bool // a parameter for the socket has been given
	isDefault      bool // default_server
	proxyProtocol  bool
}

func newListenOptions() listenOptions {
	return listenOptions{Listening: conf.Listening{
		Backlog: listenBacklog, RcvBuf: -1, SndBuf: -1, FastOpen: -1, IPv6Only: true,
	}}
}

// address is an address that servers listen on.
type address struct {
	sockAddr
	opt     listenOptions
	servers []*SrvConf
	def     *SrvConf
	names   *ServerNames[*SrvConf] // nil if the default server is the only one
}

// port is the addresses of one port while the configuration is parsed.
type port struct{ addrs []*address }

// listenPort is what the connections of one socket are for. A wildcard socket
// serves the other addresses of its port, too.
type listenPort struct {
	addrs  []*address
	single *address // if there is one only
}

// find returns the configuration for the local address of a connection: its
// own, or that of the wildcard, which is the last.
func (p *listenPort) find(local netip.Addr) *address {
	for _, a := range p.addrs {
		if a.ip.Addr() == local {
			return a
		}
	}
	return p.addrs[len(p.addrs)-1]
}

// setListen handles listen.
func setListen(cf *conf.Conf, c any) error {
	s := c.(*SrvConf)
	s.listens = true
	addrs, complaint := parseListen(cf, cf.Args[1])
	if complaint != "" {
		return conf.Errorf("%s in \"%s\" of the \"listen\" directive", complaint, cf.Args[1])
	}
	opt := newListenOptions()
	for _, arg := range cf.Args[2:] {
		if err := opt.parse(arg); err != nil {
			return err
		}
	}
	main := mainConfOf(cf)
	for i, a := range addrs {
		if slices.Contains(addrs[:i], a) {
			continue
		}
		if err := main.addListen(s, a, opt); err != nil {
			return err
		}
	}
	return nil
}

// parse takes one parameter.
func (o *listenOptions) parse(arg string) error {
	name, value, hasValue := strings.Cut(arg, "=")
	switch {
	case arg == "default_server" || arg == "default":
		o.isDefault = true
		return nil
	case arg == "proxy_protocol":
		o.proxyProtocol = true
		return nil
	case arg == "bind":
	case arg == "deferred":
		o.Deferred = true
	case arg == "reuseport":
		o.Reuseport = true
	case hasValue && name == "backlog":
		n, err := conf.ParseNum(value)
		if err != nil || n == 0 {
			return conf.Errorf("invalid backlog \"%s\"", arg)
		}
		o.Backlog = n
	case hasValue && name == "fastopen":
		n, err := conf.ParseNum(value)
		if err != nil {
			return conf.Errorf("invalid fastopen \"%s\"", arg)
		}
		o.FastOpen = n
	case hasValue && (name == "rcvbuf" || name == "sndbuf"):
		n, err := conf.ParseSize(value)
		if err != nil {
			return conf.Errorf("invalid %s \"%s\"", name, arg)
		}
		if name == "rcvbuf" {
			o.RcvBuf = int(n)
		} else {
			o.SndBuf = int(n)
		}
	case strings.HasPrefix(arg, "ipv6only=o"):
		if value != "on" && value != "off" {
			return conf.Errorf("invalid ipv6only flags \"%s\"", value)
		}
		o.IPv6Only = value == "on"
	case hasValue && name == "so_keepalive":
		if !o.parseKeepalive(value) {
			return conf.Errorf("invalid so_keepalive value: \"%s\"", value)
		}
	default:
		return conf.Errorf("invalid parameter \"%s\"", arg)
	}
	o.set = true
	o.Bind = true
	return nil
}

// parseKeepalive takes on, off or idle:interval:count.
func (o *listenOptions) parseKeepalive(value string) bool {
	switch value {
	case "on":
		o.SoKeepalive = conf.KeepaliveOn
		return true
	case "off":
		o.SoKeepalive = conf.KeepaliveOff
		return true
	}
	idle, rest, _ := strings.Cut(value, ":")
	interval, count, _ := strings.Cut(rest, ":")
	for _, t := range []struct {
		text string
		to   *time.Duration
	}{{idle, &o.KeepIdle}, {interval, &o.KeepInterval}} {
		if t.text == "" {
			continue
		}
		d, err := conf.ParseTime(t.text, true)
		if err != nil {
			return false
		}
		*t.to = d
	}
	if count != "" {
		n, err := conf.ParseNum(count)
		if err != nil {
			return false
		}
		o.KeepCount = n
	}
	o.SoKeepalive = conf.KeepaliveOn
	return o.KeepIdle != 0 || o.KeepInterval != 0 || o.KeepCount != 0
}

// addListen notes that a server listens on an address.
func (m *MainConf) addListen(s *SrvConf, at sockAddr, opt listenOptions) error {
	for _, p := range m.ports {
		if p.addrs[0].samePort(at) {
			return p.add(s, at, opt)
		}
	}
	p := &port{}
	m.ports = append(m.ports, p)
	return p.add(s, at, opt)
}

func (p *port) add(s *SrvConf, at sockAddr, opt listenOptions) error {
	for _, a := range p.addrs {
		if a.sockAddr == at {
			return a.add(s, opt)
		}
	}
	p.addrs = append(p.addrs, &address{sockAddr: at, opt: opt, servers: []*SrvConf{s}, def: s})
	return nil
}

// add puts another server on an address that is known.
func (a *address) add(s *SrvConf, opt listenOptions) error {
	if slices.Contains(a.servers, s) {
		return conf.Errorf("a duplicate listen %s", a)
	}
	a.servers = append(a.servers, s)
	hadDefault, proxyProtocol := a.opt.isDefault, a.opt.proxyProtocol || opt.proxyProtocol
	if opt.set {
		if a.opt.set {
			return conf.Errorf("duplicate listen options for %s", a)
		}
		a.opt = opt
	}
	a.opt.isDefault = hadDefault || opt.isDefault
	a.opt.proxyProtocol = proxyProtocol
	if opt.isDefault {
		if hadDefault {
			return conf.Errorf("a duplicate default server for %s", a)
		}
		a.def = s
	}
	return nil
}

// buildListening makes the sockets of all ports and the tables of names.
func (m *MainConf) buildListening(cf *conf.Conf) error {
	for _, p := range m.ports {
		p.sort()
		for _, a := range p.addrs {
			if len(a.servers) > 1 || a.def.captures {
				if err := a.buildNames(cf); err != nil {
					return err
				}
			}
		}
		p.buildSockets(cf)
	}
	return nil
}

// sort puts addresses with a socket of their own first and the wildcard last.
func (p *port) sort() {
	rank := func(a *address) int {
		switch {
		case a.wildcard():
			return 2
		case a.opt.Bind:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(p.addrs, func(a, b *address) int { return rank(a) - rank(b) })
}

func (a *address) buildNames(cf *conf.Conf) error {
	a.names = &ServerNames[*SrvConf]{}
	for _, s := range a.servers {
		for _, n := range s.Names {
			switch a.names.Add(n, s) {
			case NameInvalid:
				return conf.PlainErrorf("invalid server name or wildcard \"%s\" on %s", n.Name, a)
			case NameConflict:
				cf.Warnf("conflicting server name \"%s\" on %s, ignored", n.Name, a)
			}
		}
	}
	return nil
}

// buildSockets gives the wildcard socket, if there is one, the addresses that
// do not ask for their own.
func (p *port) buildSockets(cf *conf.Conf) {
	addrs := p.addrs
	last := addrs[len(addrs)-1]
	wildcard := last.wildcard()
	for len(addrs) > 0 {
		own := 0
		if wildcard && !addrs[0].opt.Bind {
			own = len(addrs) - 1 // all the rest are the wildcard's
		}
		a := addrs[own]
		ls := a.opt.Listening
		ls.Network, ls.Addr = "tcp", a.String()
		if a.path != "" {
			ls.Network = "unix"
		}
		lp := &listenPort{addrs: addrs[:own+1]}
		if own == 0 {
			lp.single = a
		}
		ls.Data = lp
		cf.Cycle.Listening = append(cf.Cycle.Listening, &ls)
		addrs = addrs[own+1:]
	}
}

// parseListen finds the addresses that a listen directive means, or nginx's
// complaint about it.
func parseListen(cf *conf.Conf, text string) ([]sockAddr, string) {
	if len(text) >= 5 && strings.EqualFold(text[:5], "unix:") {
		path := text[5:]
		switch {
		case path == "":
			return nil, "no path in the unix domain socket"
		case len(path) >= 108:
			return nil, "too long path in the unix domain socket"
		}
		return []sockAddr{{path: "unix:" + path}}, ""
	}
	if strings.HasPrefix(text, "[") {
		return parseListen6(text)
	}
	if strings.ContainsAny(text, "/?") {
		return nil, "invalid host"
	}
	host, portText, hasPort := strings.Cut(text, ":")
	first, end := 80, 80
	if hasPort {
		var complaint string
		if first, end, complaint = parsePorts(portText); complaint != "" {
			return nil, complaint
		}
	} else if isPorts(text) {
		first, end, complaint := parsePorts(text)
		if complaint != "" {
			return nil, complaint
		}
		return eachPort(netip.IPv4Unspecified(), first, end), ""
	}
	switch host {
	case "":
		return nil, "no host"
	case "*":
		return eachPort(netip.IPv4Unspecified(), first, end), ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return eachPort(ip, first, end), ""
	}
	return resolveListen(cf, host, first, end)
}

func parseListen6(text string) ([]sockAddr, string) {
	host, rest, ok := strings.Cut(text[1:], "]")
	if !ok || strings.ContainsAny(rest, "/") {
		return nil, "invalid host"
	}
	first, end := 80, 80
	if rest != "" {
		if rest[0] != ':' {
			return nil, "invalid host"
		}
		var complaint string
		if first, end, complaint = parsePorts(rest[1:]); complaint != "" {
			return nil, complaint
		}
	}
	if host == "" {
		return nil, "no host"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return nil, "invalid IPv6 address"
	}
	return eachPort(ip, first, end), ""
}

// isPorts reports whether a text without a colon is a port or a range of them
// and not a host.
func isPorts(text string) bool {
	first, last, dash := strings.Cut(text, "-")
	if dash {
		if _, err := conf.ParseNum(last); err != nil {
			return false
		}
	}
	_, err := conf.ParseNum(first)
	return err == nil
}

func parsePorts(text string) (first, last int, complaint string) {
	from, to, dash := strings.Cut(text, "-")
	if dash {
		n, err := conf.ParseNum(to)
		if err != nil || n < 1 || n > 65535 {
			return 0, 0, "invalid port"
		}
		last = n
	}
	first, err := conf.ParseNum(from)
	if err != nil || first < 1 || first > 65535 {
		return 0, 0, "invalid port"
	}
	if !dash {
		last = first
	}
	if first > last {
		return 0, 0, "invalid port range"
	}
	return first, last, ""
}

func eachPort(ip netip.Addr, first, last int) []sockAddr {
	var addrs []sockAddr
	for p := first; p <= last; p++ {
		addrs = append(addrs, sockAddr{ip: netip.AddrPortFrom(ip, uint16(p))})
	}
	return addrs
}

func resolveListen(cf *conf.Conf, host string, first, last int) ([]sockAddr, string) {
	ips, err := cf.LookupHost(host)
	if err != nil || len(ips) == 0 {
		return nil, "host not found"
	}
	var addrs []sockAddr
	for _, ip := range ips {
		addrs = append(addrs, eachPort(ip, first, last)...)
	}
	return addrs, ""
}
