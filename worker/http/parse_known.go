package http

// HeaderID names a request header that the server itself looks at.
type HeaderID uint8

// The known request headers.
const (
	HeaderOther HeaderID = iota
	HeaderHost
	HeaderConnection
	HeaderIfModifiedSince
	HeaderIfUnmodifiedSince
	HeaderIfMatch
	HeaderIfNoneMatch
	HeaderUserAgent
	HeaderReferer
	HeaderContentLength
	HeaderContentRange
	HeaderContentType
	HeaderRange
	HeaderIfRange
	HeaderTransferEncoding
	HeaderTE
	HeaderExpect
	HeaderUpgrade
	HeaderAcceptEncoding
	HeaderVia
	HeaderAuthorization
	HeaderProxyAuthorization
	HeaderKeepAlive
	HeaderXForwardedFor
	HeaderCookie
	headerIDs // number of the ids
)

type knownHeader struct {
	name   string // lower case
	unique bool   // a second one is refused with 400
}

var knownHeaders = [headerIDs]knownHeader{
	HeaderHost:               {"host", true},
	HeaderConnection:         {"connection", false},
	HeaderIfModifiedSince:    {"if-modified-since", true},
	HeaderIfUnmodifiedSince:  {"if-unmodified-since", true},
	HeaderIfMatch:            {"if-match", true},
	HeaderIfNoneMatch:        {"if-none-match", true},
	HeaderUserAgent:          {"user-agent", false},
	HeaderReferer:            {"referer", false},
	HeaderContentLength:      {"content-length", true},
	HeaderContentRange:       {"content-range", true},
	HeaderContentType:        {"content-type", false},
	HeaderRange:              {"range", false},
	HeaderIfRange:            {"if-range", true},
	HeaderTransferEncoding:   {"transfer-encoding", true},
	HeaderTE:                 {"te", false},
	HeaderExpect:             {"expect", true},
	HeaderUpgrade:            {"upgrade", false},
	HeaderAcceptEncoding:     {"accept-encoding", false},
	HeaderVia:                {"via", false},
	HeaderAuthorization:      {"authorization", true},
	HeaderProxyAuthorization: {"proxy-authorization", true},
	HeaderKeepAlive:          {"keep-alive", false},
	HeaderXForwardedFor:      {"x-forwarded-for", false},
	HeaderCookie:             {"cookie", false},
}

func headerHash(h uint32, c byte) uint32 { return h*31 + uint32(c) }

const headerSlots = 256

// headerTable is a hash table with linear probing.
var headerTable = func() (t [headerSlots]HeaderID) {
	for id := HeaderOther + 1; id < headerIDs; id++ {
		var h uint32
		for _, c := range []byte(knownHeaders[id].name) {
			h = headerHash(h, c)
		}
		for t[h%headerSlots] != HeaderOther {
			h++
		}
		t[h%headerSlots] = id
	}
	return t
}()

// lookupHeader finds the id of a name; hash is headerHash over the name in lower case.
func lookupHeader(hash uint32, name []byte) HeaderID {
	for ; ; hash++ {
		id := headerTable[hash%headerSlots]
		if id == HeaderOther || equalLower(name, knownHeaders[id].name) {
			return id
		}
	}
}

// HeaderIDOf finds the id of a name in any case.
func HeaderIDOf(name []byte) HeaderID {
	var h uint32
	for _, c := range name {
		h = headerHash(h, lowerByte(c))
	}
	return lookupHeader(h, name)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// equalLower compares s, in any case, with a text in lower case. Only ASCII letters have cases.
func equalLower[S, L ~string | ~[]byte](s S, lower L) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if lowerByte(s[i]) != lower[i] {
			return false
		}
	}
	return true
}

// equalFold compares names of headers, in any case. Only ASCII letters have cases.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

// containsLower tells whether s, in any case, contains a text in lower case.
func containsLower[S ~string | ~[]byte](s S, lower string) bool {
	for i := 0; i+len(lower) <= len(s); i++ {
		if lowerByte(s[i]) == lower[0] && equalLower(s[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}
