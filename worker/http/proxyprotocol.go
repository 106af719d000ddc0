package http

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"perilune/logging"
)

// proxyHeader is what a header of the PROXY protocol has said.
type proxyHeader struct {
	src, dst         string // addresses
	srcPort, dstPort uint16
}

// takeProxyHeader takes the header, which must have come whole with the first bytes, out of the buffer. It reports whether the
// bytes of a request follow; otherwise the connection waits for them or is closed.
func (c *Conn) takeProxyHeader() bool {
	c.awaitsProxy = false
	p, n, complaint := parseProxyHeader(c.buf[:c.last])
	if n == 0 {
		if complaint != "" {
			c.logErr(logging.Error, nil, complaint)
		}
		c.close()
		return false
	}
	c.proxy = p
	c.action = "waiting for request"
	if n < c.last {
		c.pos = n
		return true
	}
	c.dropBuffer()
	if c.FD.Readable {
		c.Server.loop.Defer(c.readAgain)
	}
	return false
}

const (
	proxySignature  = "\r\n\r\n\x00\r\nQUIT\n"
	proxyHeaderSize = 16 // of version 2, without addresses
)

// parseProxyHeader parses a header of either version, and returns its length; 0 if it is bad. There may be no addresses in it.
func parseProxyHeader(b []byte) (p *proxyHeader, n int, complaint string) {
	if len(b) >= proxyHeaderSize && bytes.HasPrefix(b, []byte(proxySignature)) {
		return parseProxyV2(b)
	}
	complaint = "broken header: \"" + string(b) + "\""
	rest, ok := bytes.CutPrefix(b, []byte("PROXY "))
	if !ok || len(b) < 8 {
		return nil, 0, complaint
	}
	if bytes.HasPrefix(rest, []byte("UNKNOWN")) {
		end := bytes.Index(rest, []byte("\r\n"))
		if end < 0 {
			return nil, 0, complaint
		}
		return nil, len(b) - len(rest) + end + 2, ""
	}
	if !bytes.HasPrefix(rest, []byte("TCP4 ")) && !bytes.HasPrefix(rest, []byte("TCP6 ")) {
		return nil, 0, complaint
	}
	p = &proxyHeader{}
	rest = rest[len("TCP4 "):]
	if p.src, rest, ok = proxyAddr(rest); ok {
		p.dst, rest, ok = proxyAddr(rest)
	}
	if ok {
		p.srcPort, rest, ok = proxyPort(rest, ' ')
	}
	if ok {
		p.dstPort, rest, ok = proxyPort(rest, '\r')
	}
	if !ok || len(rest) == 0 || rest[0] != '\n' {
		return nil, 0, complaint
	}
	return p, len(b) - len(rest) + 1, ""
}

func proxyAddr(b []byte) (addr string, rest []byte, ok bool) {
	text, rest, ok := bytes.Cut(b, []byte{' '})
	for _, c := range text {
		if c != ':' && c != '.' && unhex(c) < 0 {
			return "", nil, false
		}
	}
	return string(text), rest, ok
}

func proxyPort(b []byte, end byte) (port uint16, rest []byte, ok bool) {
	text, rest, ok := bytes.Cut(b, []byte{end})
	n, err := strconv.ParseUint(string(text), 10, 16)
	return uint16(n), rest, ok && err == nil
}

func parseProxyV2(b []byte) (p *proxyHeader, n int, complaint string) {
	if v := b[12] >> 4; v != 2 {
		return nil, 0, "unknown PROXY protocol version: " + strconv.Itoa(int(v))
	}
	n = proxyHeaderSize + int(binary.BigEndian.Uint16(b[14:]))
	if n > len(b) {
		return nil, 0, "header is too large"
	}
	body := b[proxyHeaderSize:n]
	const proxyCommand, stream = 1, 1
	if b[12]&15 != proxyCommand || b[13]&15 != stream {
		return nil, n, ""
	}
	size := 0
	switch b[13] >> 4 {
	case 1:
		size = 4
	case 2:
		size = 16
	default:
		return nil, n, ""
	}
	if len(body) < 2*size+4 {
		return nil, 0, ""
	}
	text := func(b []byte) string {
		a, _ := netip.AddrFromSlice(b)
		return a.String()
	}
	return &proxyHeader{
		src: text(body[:size]), dst: text(body[size : 2*size]),
		srcPort: binary.BigEndian.Uint16(body[2*size:]), dstPort: binary.BigEndian.Uint16(body[2*size+2:]),
	}, n, ""
}

// proxyVariable makes a VarFunc of a part of the header.
func proxyVariable(f func(p *proxyHeader, dst []byte) []byte) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if r.Conn.proxy == nil {
			return dst, false
		}
		return f(r.Conn.proxy, dst), true
	}
}

var proxyVariables = []Variable{
	{Name: "proxy_protocol_addr", Get: proxyVariable(func(p *proxyHeader, dst []byte) []byte { return append(dst, p.src...) }),
		Doc: "address of the client by the header of the PROXY protocol"},
	{Name: "proxy_protocol_port", Get: proxyVariable(func(p *proxyHeader, dst []byte) []byte { return appendPort(dst, p.srcPort) }),
		Doc: "its port"},
	{Name: "proxy_protocol_server_addr", Get: proxyVariable(func(p *proxyHeader, dst []byte) []byte { return append(dst, p.dst...) }),
		Doc: "address that the client has connected to by that header"},
	{Name: "proxy_protocol_server_port", Get: proxyVariable(func(p *proxyHeader, dst []byte) []byte { return appendPort(dst, p.dstPort) }),
		Doc: "its port"},
}
