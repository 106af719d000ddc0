package http

import (
	"bytes"
	"strings"

	"perilune/conf"
)

// gzipOK tells whether the client takes gzip, and the configuration lets it have
// that.
func (r *Request) gzipOK() bool {
	f := &r.filters
	if f.gzipTested {
		return f.gzipOK
	}
	f.gzipTested = true
	f.gzipOK = r == r.Main && acceptsGzip(r.HeadersIn.Value(HeaderAcceptEncoding)) && gzipConfOf(r).allows(r)
	return f.gzipOK
}

func acceptsGzip(accept []byte) bool {
	return bytes.HasPrefix(accept, []byte("gzip,")) || acceptsCoding(accept, "gzip")
}

// acceptsCoding looks for a coding, with no quality or one that is not 0, in the
// value of Accept-Encoding, with nginx's idea of its grammar.
func acceptsCoding(accept []byte, name string) bool {
	at := 0
	for {
		i := indexFold(accept[at:], name)
		if i < 0 {
			return false
		}
		i += at
		at = i + len(name)
		if i == 0 || accept[i-1] == ',' || accept[i-1] == ' ' {
			break
		}
	}
	rest := bytes.TrimLeft(accept[at:], " ")
	if len(rest) == 0 || rest[0] == ',' {
		return true
	}
	if rest[0] != ';' {
		return false
	}
	rest = bytes.TrimLeft(rest[1:], " ")
	switch {
	case len(rest) == 0:
		return true
	case rest[0] != 'q' && rest[0] != 'Q':
		return false
	case len(rest) < 3 || rest[1] != '=':
		return false
	}
	return goodQuality(rest[2:])
}

// goodQuality reads "0.5", which must be above 0 and not above 1.
func goodQuality(s []byte) bool {
	if s[0] != '0' && s[0] != '1' {
		return false
	}
	q := int(s[0]-'0') * 100
	if len(s) == 1 || s[1] == ',' || s[1] == ' ' {
		return q > 0
	}
	if s[1] != '.' {
		return false
	}
	n := 0
	for _, c := range s[2:] {
		if c == ',' || c == ' ' {
			break
		}
		if c < '0' || c > '9' {
			return false
		}
		q += int(c - '0')
		n++
	}
	return q > 0 && q <= 100 && n <= 3
}

// indexFold is bytes.Index without regard to case; sub is in lower case.
func indexFold(s []byte, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if equalLower(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// The values of gzip_proxied.
const (
	proxiedOff uint = 1 << iota
	proxiedExpired
	proxiedNoCache
	proxiedNoStore
	proxiedPrivate
	proxiedNoLastModified
	proxiedNoETag
	proxiedAuth
	proxiedAny
)

var proxiedNames = map[string]uint{
	"off": proxiedOff, "expired": proxiedExpired, "no-cache": proxiedNoCache, "no-store": proxiedNoStore, "private": proxiedPrivate,
	"no_last_modified": proxiedNoLastModified, "no_etag": proxiedNoETag, "auth": proxiedAuth, "any": proxiedAny,
}

// gzipConf is the gzip module's struct of a location.
type gzipConf struct {
	codingConf
	vary        conf.Setting[bool]
	httpVersion conf.Setting[int]
	proxied     conf.Setting[uint]
	disable     conf.Setting[[]*BoundRegex] // by User-Agent
	disableMSIE bool
}

func gzipConfOf(r *Request) *gzipConf { return r.LocCtx[gzipModule.Index].(*gzipConf) }

// allows looks at all that may keep a client from gzip, beside what it accepts.
func (g *gzipConf) allows(r *Request) bool {
	in := &r.HeadersIn
	if g.disableMSIE && in.Browser&BrowserMSIE6 != 0 || r.HTTPVersion < g.httpVersion.V {
		return false
	}
	if in.Value(HeaderVia) != nil && !g.allowsProxied(r) {
		return false
	}
	agent := in.Value(HeaderUserAgent)
	if agent == nil {
		return true
	}
	for _, re := range g.disable.V {
		if _, found, err := re.Match(agent, nil); found && err == nil {
			return false
		}
	}
	return true
}

// allowsProxied is gzip_proxied.
func (g *gzipConf) allowsProxied(r *Request) bool {
	p, out := g.proxied.V, &r.HeadersOut
	switch {
	case p&proxiedOff != 0:
		return false
	case p&proxiedAny != 0, p&proxiedAuth != 0 && r.HeadersIn.Value(HeaderAuthorization) != nil:
		return true
	}
	if i := out.Get("Expires"); i >= 0 {
		date := r.Loop().Now().Unix()
		if out.Date != "" && out.Date != Suppress {
			date = parseHTTPDate([]byte(out.Date))
		}
		expires := parseHTTPDate([]byte(out.List[i].Value))
		return p&proxiedExpired != 0 && expires >= 0 && date >= 0 && expires < date
	}
	if out.Get("Cache-Control") >= 0 {
		return p&proxiedNoCache != 0 && out.hasDirective("no-cache") || p&proxiedNoStore != 0 && out.hasDirective("no-store") ||
			p&proxiedPrivate != 0 && out.hasDirective("private")
	}
	return (p&proxiedNoLastModified == 0 || out.LastModified < 0) && (p&proxiedNoETag == 0 || out.Get("ETag") < 0)
}

// hasDirective looks for a word in Cache-Control.
func (h *HeadersOut) hasDirective(word string) bool {
	for i := range h.List {
		if !strings.EqualFold(h.List[i].Name, "Cache-Control") {
			continue
		}
		for _, part := range strings.FieldsFunc(h.List[i].Value, func(c rune) bool { return c == ',' || c == ';' }) {
			if part, _, _ = strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(part, word) {
				return true
			}
		}
	}
	return false
}
