package resolver

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// The files that local=on reads.
const (
	hostsFile  = "/etc/hosts"
	resolvFile = "/etc/resolv.conf"
)

// resolvConf is what a resolv.conf says.
type resolvConf struct {
	servers []netip.AddrPort
	search  []string // domains that names may be meant in
	ndots   int      // a name with so many dots is tried as it is first
}

// readResolvConf reads a resolv.conf, as the C library does: the name server is that of the machine itself if the file names
// none, and the last line about domains counts.
func readResolvConf(path string) resolvConf {
	text, _ := os.ReadFile(path) // without the file there is nothing
	c := resolvConf{ndots: 1}
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(f[1]); err == nil {
				c.servers = append(c.servers, netip.AddrPortFrom(ip, 53))
			}
		case "domain":
			c.setSearch(f[1:2])
		case "search":
			c.setSearch(f[1:])
		case "options":
			for _, option := range f[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(option, "ndots:")); err == nil && n >= 0 {
					c.ndots = min(n, 15)
				}
			}
		}
	}
	if c.servers == nil {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return c
}

func (c *resolvConf) setSearch(domains []string) {
	c.search = nil
	for _, d := range domains {
		if d = strings.ToLower(strings.TrimSuffix(d, ".")); d != "" {
			c.search = append(c.search, d)
		}
	}
}

// candidates are the names that a name may stand for, in the order in which they are tried.
func (c *resolvConf) candidates(name string) []string {
	var all []string
	for _, d := range c.search {
		all = append(all, name+"."+d)
	}
	if strings.Count(name, ".") >= c.ndots {
		return append([]string{name}, all...)
	}
	return append(all, name)
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
