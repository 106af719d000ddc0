package conf

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lookupTimeout bounds the search for a host's addresses at start.
const lookupTimeout = 30 * time.Second

// LookupHost returns the addresses of a host that the configuration names, IPv4 first as nginx has them. The workers of a
// generation get what the master has found.
func (cf *Conf) LookupHost(host string) ([]netip.Addr, error) {
	if s, ok := cf.source.(*Snapshot); ok {
		if ips := s.Hosts[host]; len(ips) > 0 {
			cf.Cycle.Snapshot.addHost(host, ips)
			return ips, nil
		}
		return nil, fmt.Errorf("host %q is not in the snapshot", host)
	}
	if ips := cf.Cycle.Snapshot.Hosts[host]; len(ips) > 0 {
		return ips, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	rank := func(a netip.Addr) int {
		if a.Is4() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	cf.Cycle.Snapshot.addHost(host, ips)
	return ips, nil
}

// ParseHostPort returns the addresses that "host", "host:port" or "[IPv6]:port" means, or nginx's complaint about it, to which
// the directive adds its own name.
func (cf *Conf) ParseHostPort(text string, defaultPort uint16) (addrs []netip.AddrPort, complaint string) {
	host, portText, hasPort := text, "", false
	if strings.HasPrefix(text, "[") {
		inner, rest, ok := strings.Cut(text[1:], "]")
		if !ok || rest != "" && rest[0] != ':' {
			return nil, "invalid host"
		}
		ip, err := netip.ParseAddr(inner)
		if inner == "" {
			return nil, "no host"
		}
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return nil, "invalid IPv6 address"
		}
		host = inner
		portText, hasPort = strings.CutPrefix(rest, ":")
	} else {
		if strings.ContainsAny(text, "/?") {
			return nil, "invalid host"
		}
		host, portText, hasPort = strings.Cut(text, ":")
	}
	port := defaultPort
	if hasPort {
		n, err := ParseNum(portText)
		if err != nil || n < 1 || n > 65535 {
			return nil, "invalid port"
		}
		port = uint16(n)
	}
	if host == "" {
		return nil, "no host"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, port)}, ""
	}
	ips, err := cf.LookupHost(host)
	if err != nil || len(ips) == 0 {
		return nil, "host not found"
	}
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip, port))
	}
	return addrs, ""
}
