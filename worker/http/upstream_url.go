package http

import (
	"net/netip"
	"strconv"
	"strings"

	"perilune/worker/peer"
)

// upstreamURL is what an address of an upstream says, the scheme taken off.
type upstreamURL struct {
	host     string // as written; of a unix socket its path
	port     int    // the default one if noPort
	portText string
	noPort   bool
	unix     bool
	uri      string // from the first slash or question mark on
	addr     netip.Addr
}

// parseUpstreamURL takes an address apart as nginx does; it may answer with nginx's
// complaint. Only with uriPart a URI may follow.
func parseUpstreamURL(text string, defaultPort int, uriPart bool) (u upstreamURL, complaint string) {
	if len(text) >= 5 && strings.EqualFold(text[:5], "unix:") {
		u.unix = true
		u.host = text[5:]
		if uriPart {
			u.host, u.uri, _ = strings.Cut(u.host, ":")
		}
		switch {
		case u.host == "":
			return u, "no path in the unix domain socket"
		case len(u.host) >= unixPathMax:
			return u, "too long path in the unix domain socket"
		}
		return u, ""
	}
	bracket := strings.HasPrefix(text, "[")
	hostEnd := 0
	if bracket {
		hostEnd = strings.IndexByte(text, ']') + 1
		if hostEnd == 0 {
			return u, "invalid host"
		}
	}
	stops := "/?"
	if bracket {
		stops = "/"
	}
	if i := strings.IndexAny(text[hostEnd:], stops); i >= 0 {
		if !uriPart {
			return u, "invalid host"
		}
		u.uri = text[hostEnd+i:]
		text = text[:hostEnd+i]
	}
	if !bracket {
		if hostEnd = strings.IndexByte(text, ':'); hostEnd < 0 {
			hostEnd = len(text)
		}
	}
	u.host = text[:hostEnd]
	if rest := text[hostEnd:]; rest != "" {
		if rest[0] != ':' {
			return u, "invalid host"
		}
		u.portText = rest[1:]
		n, ok := portNumber(u.portText)
		if !ok {
			return u, "invalid port"
		}
		u.port = n
	} else {
		u.noPort, u.port = true, defaultPort
	}
	if u.host == "" || u.host == "[]" {
		return u, "no host"
	}
	if bracket {
		a, err := netip.ParseAddr(u.host[1 : len(u.host)-1])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return u, "invalid IPv6 address"
		}
		u.addr = a
	} else if a, err := netip.ParseAddr(u.host); err == nil && a.Is4() {
		u.addr = a
	}
	return u, ""
}

// unixPathMax is the size of sun_path.
const unixPathMax = 108

func portNumber(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}

// peerAddr is the address that needs no look-up.
func (u *upstreamURL) peerAddr() (peer.Addr, bool) {
	switch {
	case u.unix:
		return peer.Unix(u.host), true
	case u.addr.IsValid():
		return peer.TCP(u.addr, uint16(u.port)), true
	}
	return peer.Addr{}, false
}

// hostHeader is $proxy_host, and port $proxy_port.
func (u *upstreamURL) hostHeader(defaultPort int) (host, port string) {
	switch {
	case u.unix:
		return "localhost", ""
	case u.noPort || u.port == defaultPort:
		return u.host, strconv.Itoa(defaultPort)
	}
	return u.host + ":" + u.portText, u.portText
}
