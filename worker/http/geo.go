package http

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"perilune/conf"
)

// geoTable is a geo block.
type geoTable struct {
	source   *Script // nil: the client's address
	standard []byte
	networks map[netip.Prefix][]byte
	bits     [2][]int // lengths of the networks' prefixes, the longest first: of IPv4 and IPv6
	ranged   bool
	begun    bool       // there is an entry
	ranges   []geoRange // in order
	proxies  realipConf // who is trusted to say in X-Forwarded-For whom they speak for
}

type geoRange struct {
	low, high netip.Addr
	value     []byte
}

func setGeo(cf *conf.Conf, _ any) error {
	g := &geoTable{networks: make(map[netip.Prefix][]byte)}
	name, err := blockVariable(cf.Args[len(cf.Args)-1])
	if err != nil {
		return err
	}
	if len(cf.Args) == 3 {
		source, err := blockVariable(cf.Args[1])
		if err != nil {
			return err
		}
		if g.source, err = CompileScript(cf, "${"+source+"}"); err != nil {
			return err
		}
	}
	keep := true
	err = cf.ParseEntries(func(cf *conf.Conf) error {
		if len(cf.Args) == 1 && cf.Args[0] == "ranges" {
			if g.begun {
				return conf.Errorf("the \"ranges\" directive must be the first directive inside \"geo\" block")
			}
			g.ranged = true
			return nil
		}
		if len(cf.Args) == 1 && cf.Args[0] == "proxy_recursive" {
			g.proxies.recursive.V = true
			return nil
		}
		if len(cf.Args) == 1 && cf.Args[0] == "volatile" {
			keep = false
			return nil
		}
		return g.entry(cf)
	})
	if err != nil {
		return err
	}
	for p := range g.networks {
		family := 0
		if p.Addr().Is6() {
			family = 1
		}
		if !slices.Contains(g.bits[family], p.Bits()) {
			g.bits[family] = append(g.bits[family], p.Bits())
		}
	}
	for _, bits := range g.bits {
		slices.SortFunc(bits, func(a, b int) int { return b - a })
	}
	slices.SortStableFunc(g.ranges, func(a, b geoRange) int { return a.low.Compare(b.low) })
	return AddComputed(cf, name, "", keep, g.value)
}

func (g *geoTable) entry(cf *conf.Conf) error {
	if len(cf.Args) != 2 {
		return conf.Errorf("invalid number of the geo parameters")
	}
	key, value := cf.Args[0], []byte(cf.Args[1])
	switch key {
	case "include":
		return cf.Include(cf.Args[1])
	case "default":
		g.begun = true
		g.standard = value
		return nil
	case "proxy":
		p, ok := parseNetwork(cf, cf.Args[1])
		if !ok {
			return conf.Errorf("invalid network \"%s\"", cf.Args[1])
		}
		g.proxies.from = append(g.proxies.from, p)
		return nil
	case "delete":
		g.begun = true
		p, ok := parseNetwork(cf, cf.Args[1])
		if !ok {
			return conf.Errorf("invalid network \"%s\"", cf.Args[1])
		}
		if _, found := g.networks[p]; !found {
			cf.Warnf("no network \"%s\" to delete", cf.Args[1])
		}
		delete(g.networks, p)
		return nil
	}
	if g.ranged {
		from, to, ok := strings.Cut(key, "-")
		low, err := netip.ParseAddr(from)
		high, err2 := netip.ParseAddr(to)
		if !ok || err != nil || err2 != nil || high.Less(low) || !low.Is4() || !high.Is4() {
			return conf.Errorf("invalid range \"%s\"", key)
		}
		g.ranges = append(g.ranges, geoRange{low, high, value})
		return nil
	}
	g.begun = true
	p, ok := parseNetwork(cf, key)
	if !ok {
		return conf.Errorf("invalid network \"%s\"", key)
	}
	if old, found := g.networks[p]; found {
		cf.Warnf("duplicate network \"%s\", value: \"%s\", old value: \"%s\"", key, value, old)
	}
	g.networks[p] = value
	return nil
}

// value is the value of the variable.
func (g *geoTable) value(r *Request) ([]byte, bool) {
	a := r.clientAddr()
	if g.source != nil {
		// What is no address counts as 255.255.255.255.
		var err error
		if a, err = netip.ParseAddr(string(bytes.TrimSpace(g.source.AppendTo(r, nil)))); err != nil {
			a = netip.AddrFrom4([4]byte{255, 255, 255, 255})
		}
		a = a.Unmap()
	}
	if g.proxies.from != nil {
		if found, ok := g.proxies.forwarded(r, netip.AddrPortFrom(a, 0)); ok {
			a = found.Addr().Unmap()
		}
	}
	for i := len(g.ranges) - 1; i >= 0; i-- {
		if x := &g.ranges[i]; !a.Less(x.low) && !x.high.Less(a) {
			return x.value, true
		}
	}
	family := 0
	if a.Is6() {
		family = 1
	}
	for _, bits := range g.bits[family] {
		if p, err := a.Prefix(bits); err == nil {
			if v, found := g.networks[p]; found {
				return v, true
			}
		}
	}
	return g.standard, true
}
