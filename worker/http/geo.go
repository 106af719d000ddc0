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
	ranges   []geoRange // in order, without overlaps
	proxies  realipConf // who is trusted to say in X-Forwarded-For whom they speak for
}

type geoRange struct {
	low, high netip.Addr
	value     []byte
}

func setGeo(cf *conf.Conf, _ any) error {
	g := &geoTable{networks: make(map[netip.Prefix][]byte)}
	if len(cf.Args) == 3 {
		source, err := blockVariable(cf.Args[1])
		if err != nil {
			return err
		}
		if g.source, err = CompileScript(cf, "${"+source+"}"); err != nil {
			return err
		}
	}
	name, err := blockVariable(cf.Args[len(cf.Args)-1])
	if err != nil {
		return err
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
		g.proxies.from.List = append(g.proxies.from.List, p)
		return nil
	}
	g.begun = true
	if g.ranged {
		return g.rangeEntry(cf, key, value)
	}
	if key == "delete" {
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

// rangeEntry takes a range of addresses and its value, or one that is to be deleted.
func (g *geoTable) rangeEntry(cf *conf.Conf, key string, value []byte) error {
	del := key == "delete"
	if del {
		key = string(value)
	}
	from, to, ok := strings.Cut(key, "-")
	low, ok2 := parseAddr(from)
	high, ok3 := parseAddr(to)
	if !ok || !ok2 || !ok3 || high.Less(low) || !low.Is4() || !high.Is4() {
		return conf.Errorf("invalid range \"%s\"", key)
	}
	// i is the first range that does not end before the new one.
	i, _ := slices.BinarySearchFunc(g.ranges, low, func(x geoRange, a netip.Addr) int { return x.high.Compare(a) })
	same := i < len(g.ranges) && g.ranges[i].low == low && g.ranges[i].high == high
	switch {
	case del && !same:
		cf.Warnf("no address range \"%s\" to delete", key)
		return nil
	case del:
		g.ranges = slices.Delete(g.ranges, i, i+1)
		return nil
	case same:
		cf.Warnf("duplicate range \"%s\", value: \"%s\", old value: \"%s\"", key, value, g.ranges[i].value)
		g.ranges[i].value = value
		return nil
	}
	fresh := []geoRange{{low, high, value}}
	if i == len(g.ranges) || high.Less(g.ranges[i].low) {
		g.ranges = slices.Insert(g.ranges, i, fresh...)
		return nil
	}
	old := g.ranges[i]
	if low.Less(old.low) || old.high.Less(high) {
		return conf.Errorf("range \"%s\" overlaps \"%s-%s\"", key, old.low, old.high)
	}
	// Within another one, which is cut.
	if old.low.Less(low) {
		fresh = slices.Insert(fresh, 0, geoRange{old.low, low.Prev(), old.value})
	}
	if high.Less(old.high) {
		fresh = append(fresh, geoRange{high.Next(), old.high, old.value})
	}
	g.ranges = slices.Replace(g.ranges, i, i+1, fresh...)
	return nil
}

// value is the value of the variable.
func (g *geoTable) value(r *Request) ([]byte, bool) {
	a := r.clientAddr()
	if g.source != nil {
		a, _ = parseAddr(string(bytes.TrimSpace(g.source.AppendTo(r, nil))))
		a = a.Unmap()
	}
	if !a.IsValid() {
		// What is no address, a client on a unix socket among it, counts as 255.255.255.255.
		a = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	if !g.proxies.from.Empty() {
		if found, ok := g.proxies.forwarded(r, netip.AddrPortFrom(a, 0)); ok {
			a = found.Addr().Unmap()
		}
	}
	if g.ranged {
		i, _ := slices.BinarySearchFunc(g.ranges, a, func(x geoRange, a netip.Addr) int { return x.high.Compare(a) })
		if i < len(g.ranges) && !a.Less(g.ranges[i].low) {
			return g.ranges[i].value, true
		}
		return g.standard, true
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
