package http

import (
	"bytes"
	"net/netip"
	"strings"

	"perilune/conf"
)

// realipConf is the realip module's struct of a location.
type realipConf struct {
	from      conf.Networks // who is trusted
	header    conf.Setting[string]
	recursive conf.Setting[bool]
}

// Values of real_ip_header with a meaning of their own; other headers are looked for in any case.
const (
	realipForwarded = "X-Forwarded-For"
	realipProxy     = "proxy_protocol"
)

// realipState keeps the connection's own address while a request has another.
type realipState struct {
	set    bool
	remote string
	port   uint16
	binary []byte
}

var realipModule = &conf.Module{
	Name:      "http_realip",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &realipConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, rc := prev.(*realipConf), c.(*realipConf)
		if rc.from.Empty() {
			rc.from = p.from
		}
		rc.header.Merge(p.header, "X-Real-IP")
		rc.recursive.Merge(p.recursive, false)
		return nil
	},
}

func init() {
	realipModule.Preconfiguration = func(cf *conf.Conf) error {
		for _, v := range realipVariables {
			if err := AddVariable(cf, v); err != nil {
				return err
			}
		}
		return nil
	}
	realipModule.Postconfiguration = func(cf *conf.Conf) error {
		main := mainConfOf(cf)
		main.AddHandler(PostRead, realipHandler)
		main.AddHandler(Preaccess, realipHandler)
		return nil
	}
	realipModule.Commands = []conf.Command{
		loc("set_real_ip_from", conf.Take1, setRealIPFrom,
			"Addresses that are trusted to say whom they speak for: an address, a network, a name that is looked up at start, or unix:."),
		loc("real_ip_header", conf.Take1, conf.SetStr(func(c *realipConf) *conf.Setting[string] { return &c.header }),
			"Header with the client's address, or proxy_protocol; X-Real-IP by default. X-Forwarded-For may be a list."),
		loc("real_ip_recursive", conf.Flag, conf.SetFlag(func(c *realipConf) *conf.Setting[bool] { return &c.recursive }),
			"Whether the last address of a list that is not trusted counts, and not just the last; off by default."),
	}
}

func setRealIPFrom(cf *conf.Conf, c any) error {
	rc := c.(*realipConf)
	text := cf.Args[1]
	if text == "unix:" {
		rc.from.Unix = true
		return nil
	}
	if p, ok := parseNetwork(cf, text); ok {
		rc.from.List = append(rc.from.List, p)
		return nil
	}
	return rc.from.AddHost(cf, text)
}

// realipHandler works in the post-read and preaccess phases.
func realipHandler(r *Request) int {
	rc := r.LocCtx[realipModule.Index].(*realipConf)
	if rc.from.Empty() || r.Main.parts.realip.set {
		return Declined
	}
	addr := netip.AddrPortFrom(r.clientAddr(), 0)
	found := false
	switch rc.header.V {
	case realipProxy:
		if p := r.Conn.proxy; p != nil {
			if addr, found, _ = rc.speaksFor(addr, []byte(p.src)); found {
				addr = netip.AddrPortFrom(addr.Addr(), p.srcPort)
			}
		}
	case realipForwarded:
		addr, found = rc.forwarded(r, addr)
	default:
		for i := range r.HeadersIn.List {
			if h := &r.HeadersIn.List[i]; equalFoldASCII(h.Name, rc.header.V) {
				addr, found, _ = rc.speaksFor(addr, h.Value)
				break
			}
		}
	}
	if found {
		r.replaceAddr(addr)
	}
	return Declined
}

// forwarded goes through the X-Forwarded-For headers from the last to the first.
func (rc *realipConf) forwarded(r *Request, addr netip.AddrPort) (netip.AddrPort, bool) {
	found := false
	list := r.HeadersIn.List
	for i := len(list) - 1; i >= 0; i-- {
		if !equalFoldASCII(list[i].Name, realipForwarded) {
			continue
		}
		next, ok, last := rc.speaksFor(addr, list[i].Value)
		if ok {
			addr, found = next, true
		}
		if last {
			break
		}
	}
	return addr, found
}

// speaksFor finds whom addr, if it is trusted, speaks for: the last address of a list, or with recursive the last but those that
// are trusted. With last set the search ends there.
func (rc *realipConf) speaksFor(addr netip.AddrPort, list []byte) (_ netip.AddrPort, found, last bool) {
	for rc.from.Contains(addr.Addr()) {
		list = bytes.TrimRight(list, " ,")
		begin := bytes.LastIndexAny(list, " ,") + 1
		next, ok := parseAddrPort(string(list[begin:]))
		if !ok {
			return addr, found, true
		}
		addr, found = next, true
		if !rc.recursive.V || begin == 0 {
			return addr, true, !rc.recursive.V
		}
		list = list[:begin-1]
	}
	return addr, found, true
}

// parseAddrPort reads an address, or with a port "1.2.3.4:5" and "[::1]:5".
func parseAddrPort(text string) (netip.AddrPort, bool) {
	if strings.Contains(text, "%") {
		return netip.AddrPort{}, false
	}
	if a, ok := parseAddr(text); ok {
		return netip.AddrPortFrom(a, 0), true
	}
	a, err := netip.ParseAddrPort(text)
	return a, err == nil && a.Port() != 0
}

// replaceAddr gives the connection another client's address, for the time of the request.
func (r *Request) replaceAddr(a netip.AddrPort) {
	c, s := r.Conn, &r.Main.parts.realip
	s.set = true
	s.remote, s.port, s.binary = c.Remote, c.RemotePort, c.Binary
	c.Remote, c.RemotePort, c.Binary = a.Addr().String(), a.Port(), a.Addr().AsSlice()
}

// restoreAddr takes that back.
func (r *Request) restoreAddr() {
	if s := &r.parts.realip; s.set {
		r.Conn.Remote, r.Conn.RemotePort, r.Conn.Binary = s.remote, s.port, s.binary
		s.set = false
		s.binary = nil
	}
}

var realipVariables = []Variable{
	{Name: "realip_remote_addr", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if s := &r.Main.parts.realip; s.set {
			return append(dst, s.remote...), true
		}
		return append(dst, r.Conn.Remote...), true
	}, Doc: "address of the client without the realip module"},
	{Name: "realip_remote_port", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if s := &r.Main.parts.realip; s.set {
			return appendPort(dst, s.port), true
		}
		return appendPort(dst, r.Conn.RemotePort), true
	}, Doc: "port of the client without the realip module"},
}
