package http

import "bytes"

// ParseHost checks the value of a Host header, or the authority of an absolute URI, and cuts it into the name and the
// port (0: none). A dot at the name's end is dropped. It answers false for what nginx refuses with 400. The name is
// not lowered: upper tells that it has upper-case letters.
func ParseHost(host []byte) (name []byte, port int, upper, ok bool) {
	end := len(host)
	dot := -1 // the last dot
	i := 0
	literal := len(host) > 0 && host[0] == '['
	if literal {
		i = 1
	}
scan:
	for ; i < len(host); i++ {
		c := host[i]
		switch {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c == '.':
			if dot >= 0 && dot == i-1 {
				return nil, 0, false, false
			}
			dot = i
		case literal && c == ']':
			end = i + 1
			i++
			break scan
		case !literal && c == ':':
			end = i
			break scan
		case charClass[c]&chLiteral != 0 || (!literal && c == '%'):
		default:
			return nil, 0, false, false
		}
	}
	if literal && (end > len(host) || host[end-1] != ']') {
		return nil, 0, false, false
	}
	if i < len(host) {
		if host[i] != ':' {
			return nil, 0, false, false
		}
		if port, ok = parsePort(host[i+1:]); !ok {
			return nil, 0, false, false
		}
	}
	if dot == end-1 {
		end--
	}
	if end <= 0 {
		return nil, 0, false, false
	}
	return host[:end], port, upper, true
}

func parsePort(s []byte) (port int, ok bool) {
	for _, c := range s {
		if charClass[c]&chDigit == 0 {
			return 0, false
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return 0, false
		}
	}
	return port, true
}

// AppendLower appends s with its ASCII letters in lower case.
func AppendLower(dst, s []byte) []byte {
	for _, c := range s {
		dst = append(dst, lowerByte(c))
	}
	return dst
}

// ParseContentLength reads the value of a Content-Length header: decimal digits only, no overflow.
func ParseContentLength(v []byte) (int64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	const limit = 1<<63 - 1
	var n int64
	for _, c := range v {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// IsChunked tells whether the value of a Transfer-Encoding header is the one coding that is understood.
func IsChunked(v []byte) bool { return equalLower(v, "chunked") }

// Browser is what nginx wants to know about the client program, for MSIE padding and keepalive_disable.
type Browser uint8

// The browsers with known troubles.
const (
	BrowserMSIE Browser = 1 << iota
	BrowserMSIE6
	BrowserChrome
	BrowserSafari
)

// ParseUserAgent recognises a browser as nginx does.
func ParseUserAgent(ua []byte) Browser {
	if bytes.Contains(ua, []byte("Opera")) {
		return 0
	}
	var b Browser
	if i := bytes.Index(ua, []byte("MSIE ")); i >= 0 && i+7 < len(ua) {
		b = BrowserMSIE
		if ua[i+6] == '.' {
			switch ua[i+5] {
			case '4', '5':
				b |= BrowserMSIE6
			case '6':
				if !bytes.Contains(ua[i+8:], []byte("SV1")) {
					b |= BrowserMSIE6
				}
			}
		}
		return b
	}
	switch {
	case bytes.Contains(ua, []byte("Gecko/")):
	case bytes.Contains(ua, []byte("Chrome/")):
		b = BrowserChrome
	case bytes.Contains(ua, []byte("Safari/")) && bytes.Contains(ua, []byte("Mac OS X")):
		b = BrowserSafari
	}
	return b
}
