package conf

import "net/netip"

// Networks are networks whose clients have something in common; those of unix sockets may be among them.
type Networks struct {
	List []netip.Prefix
	Unix bool
}

// Empty says that nobody is meant.
func (n *Networks) Empty() bool { return len(n.List) == 0 && !n.Unix }

// Contains reports whether an address, which is not valid for a unix socket, is in one of them.
func (n *Networks) Contains(a netip.Addr) bool {
	if !a.IsValid() {
		return n.Unix
	}
	a = a.Unmap()
	for _, p := range n.List {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// AddHost adds the addresses of a host that the present directive names.
func (n *Networks) AddHost(cf *Conf, host string) error {
	ips, err := cf.LookupHost(host)
	if err != nil || len(ips) == 0 {
		return Errorf("host not found in %s \"%s\"", cf.Args[0], host)
	}
	for _, a := range ips {
		n.List = append(n.List, netip.PrefixFrom(a, a.BitLen()))
	}
	return nil
}
