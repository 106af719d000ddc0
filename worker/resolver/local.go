package resolver

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"time"
)

// The files that local=on reads.
const (
	hostsFile  = "/etc/hosts"
	resolvFile = "/etc/resolv.conf"
)

// nameServers returns the name servers of a resolv.conf; as for the C library that of the machine itself if there is none.
func nameServers(path string) []netip.AddrPort {
	text, _ := os.ReadFile(path) // without the file there is none
	var servers []netip.AddrPort
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) >= 2 && f[0] == "nameserver" {
			if ip, err := netip.ParseAddr(f[1]); err == nil {
				servers = append(servers, netip.AddrPortFrom(ip, 53))
			}
		}
	}
	if servers == nil {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return servers
}

// recheck is how long a hosts file counts as unchanged.
const recheck = 5 * time.Second

// localHosts is a hosts file.
type localHosts struct {
	path    string
	checked time.Time
	stamp   time.Time
	size    int64
	names   map[string][]netip.Addr
}

// lookup returns a host's addresses of the families that are wanted, IPv4 first; nil if the file has none.
func (h *localHosts) lookup(name string, ipv4, ipv6 bool) []netip.Addr {
	if h == nil {
		return nil
	}
	if now := time.Now(); now.Sub(h.checked) >= recheck {
		h.checked = now
		h.read()
	}
	var addrs, six []netip.Addr
	for _, ip := range h.names[name] {
		switch {
		case ip.Is4() && ipv4:
			addrs = append(addrs, ip)
		case ip.Is6() && ipv6:
			six = append(six, ip)
		}
	}
	return append(addrs, six...)
}

// read reads the file if it has changed.
func (h *localHosts) read() {
	st, err := os.Stat(h.path)
	if err != nil {
		h.names, h.stamp = nil, time.Time{}
		return
	}
	if st.ModTime().Equal(h.stamp) && st.Size() == h.size {
		return
	}
	text, err := os.ReadFile(h.path)
	if err != nil {
		return
	}
	h.stamp, h.size = st.ModTime(), st.Size()
	h.names = make(map[string][]netip.Addr)
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(f[0])
		if err != nil {
			continue
		}
		for _, name := range f[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			h.names[name] = append(h.names[name], ip.Unmap().WithZone(""))
		}
	}
}
