package http

import (
	"net/netip"
	"strings"
)

// parseAddr reads an address as nginx does: the numbers of one of IPv4 may have zeros in front, or be missing for 0.
func parseAddr(text string) (netip.Addr, bool) {
	if strings.IndexByte(text, ':') >= 0 {
		a, err := netip.ParseAddr(text)
		return a, err == nil && a.Zone() == ""
	}
	var a [4]byte
	part, n := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case charClass[c]&chDigit != 0:
			if n = n*10 + int(c-'0'); n > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && part < 3:
			a[part] = byte(n)
			part, n = part+1, 0
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 {
		return netip.Addr{}, false
	}
	a[3] = byte(n)
	return netip.AddrFrom4(a), true
}
