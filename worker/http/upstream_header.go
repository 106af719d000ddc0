package http

import "bytes"

// upstreamKind names a header of a response that the server itself looks at.
type upstreamKind uint8

// The known headers of responses from upstreams.
const (
	upOther upstreamKind = iota
	upStatus
	upContentType
	upContentLength
	upDate
	upLastModified
	upETag
	upServer
	upWWWAuthenticate
	upLocation
	upRefresh
	upSetCookie
	upContentDisposition
	upCacheControl
	upExpires
	upAcceptRanges
	upConnection
	upKeepAlive
	upAccelExpires
	upAccelRedirect
	upAccelLimitRate
	upAccelBuffering
	upAccelCharset
	upTransferEncoding
	upstreamKinds
)

// knownUpstream is how one of them is treated.
type knownUpstream struct {
	name     string // lower case
	once     bool   // another one is ignored, with a warning
	redirect bool   // it is kept over X-Accel-Redirect
}

var knownUpstreams = [upstreamKinds]knownUpstream{
	upStatus:             {"status", true, false},
	upContentType:        {"content-type", true, true},
	upContentLength:      {"content-length", false, false},
	upDate:               {"date", true, false},
	upLastModified:       {"last-modified", true, false},
	upETag:               {"etag", true, false},
	upServer:             {"server", true, false},
	upWWWAuthenticate:    {"www-authenticate", false, false},
	upLocation:           {"location", true, false},
	upRefresh:            {"refresh", true, false},
	upSetCookie:          {"set-cookie", false, true},
	upContentDisposition: {"content-disposition", false, true},
	upCacheControl:       {"cache-control", false, true},
	upExpires:            {"expires", true, true},
	upAcceptRanges:       {"accept-ranges", false, true},
	upConnection:         {"connection", false, false},
	upKeepAlive:          {"keep-alive", false, false},
	upAccelExpires:       {"x-accel-expires", true, false},
	upAccelRedirect:      {"x-accel-redirect", true, false},
	upAccelLimitRate:     {"x-accel-limit-rate", true, false},
	upAccelBuffering:     {"x-accel-buffering", false, false},
	upAccelCharset:       {"x-accel-charset", false, false},
	upTransferEncoding:   {"transfer-encoding", false, false},
}

// upstreamsByLength finds a known header by the length of its name.
var upstreamsByLength = func() (t [20][]upstreamKind) {
	for kind := upOther + 1; kind < upstreamKinds; kind++ {
		n := len(knownUpstreams[kind].name)
		t[n] = append(t[n], kind)
	}
	return t
}()

func upstreamKindOf(name string) upstreamKind {
	if len(name) < len(upstreamsByLength) {
		for _, kind := range upstreamsByLength[len(name)] {
			if equalLower(name, knownUpstreams[kind].name) {
				return kind
			}
		}
	}
	return upOther
}

// upstreamLine is a header of a response from an upstream.
type upstreamLine struct {
	name, value string
	kind        upstreamKind
	ignored     bool
}

// headerSpan is where a header stands in the buffer.
type headerSpan struct{ name, nameEnd, value, valueEnd int }

// responseParser parses the header of a response. The zero value is ready. As nginx does, it takes lines that end
// with a bare LF, and names of any bytes above the space.
type responseParser struct {
	pos     int // of the next line
	seen    int // no LF from pos to here
	spans   []headerSpan
	started bool // the status line is parsed

	version           int // 1000, 1001
	status            int
	line, lineEnd     int // status and reason
	badBegin, badByte int // after responseInvalid: the line, and the byte in it
}

// What the parser answers.
const (
	responseMore    = iota // the header is not complete
	responseDone           // pos is the first byte of the body
	responseNone           // it does not begin with a status line
	responseInvalid        // a header is not one
)

func (p *responseParser) reset() { *p = responseParser{spans: p.spans[:0]} }

// parse goes on with a buffer that has grown since the last call.
func (p *responseParser) parse(buf []byte) int {
	if !p.started {
		if st := p.statusLine(buf); st != responseDone {
			return st
		}
		p.started = true
	}
	for {
		i := bytes.IndexByte(buf[max(p.pos, p.seen):], '\n')
		if i < 0 {
			p.seen = len(buf)
			return p.partial(buf)
		}
		end := max(p.pos, p.seen) + i
		p.seen = 0
		if st := p.header(buf, end); st != responseMore {
			return st
		}
	}
}

// partial looks for what is wrong with a line whose end has not come.
func (p *responseParser) partial(buf []byte) int {
	if p.pos < len(buf) && badNameByte(buf[p.pos]) && buf[p.pos] != '\r' {
		p.badBegin, p.badByte = p.pos, p.pos
		return responseInvalid
	}
	return responseMore
}

func badNameByte(c byte) bool { return c <= 0x20 || c == 0x7f || c == ':' }

// statusLine parses "HTTP/1.1 200 OK".
func (p *responseParser) statusLine(buf []byte) int {
	const prefix = "HTTP/"
	i, version, part := 0, 0, 0
	for ; i < len(prefix); i++ {
		if i == len(buf) {
			return responseMore
		}
		if buf[i] != prefix[i] {
			return responseNone
		}
	}
	for digits := 0; ; i++ { // major.minor
		if i == len(buf) {
			return responseMore
		}
		c := buf[i]
		if c >= '0' && c <= '9' && part <= 99 && (version != 0 || digits > 0 || c != '0') {
			part = part*10 + int(c-'0')
			digits++
			continue
		}
		if c == '.' && version == 0 && digits > 0 {
			version, part, digits = part*1000, 0, 0
			continue
		}
		if c != ' ' || version == 0 || digits == 0 {
			return responseNone
		}
		version += part
		break
	}
	for i < len(buf) && buf[i] == ' ' {
		i++
	}
	status := 0
	for n := 0; n < 3; n++ {
		if i+n == len(buf) {
			return responseMore
		}
		c := buf[i+n]
		if c == ' ' { // as nginx, which passes over spaces here
			i++
			n--
			continue
		}
		if c < '0' || c > '9' {
			return responseNone
		}
		status = status*10 + int(c-'0')
	}
	p.line = i
	if i+3 == len(buf) {
		return responseMore
	}
	switch buf[i+3] {
	case ' ', '.', '\r', '\n':
	default:
		return responseNone
	}
	line := buf[i:]
	end := bytes.IndexByte(line, '\n')
	if end >= 0 {
		line = line[:end+1]
	}
	cr := bytes.IndexByte(line, '\r')
	switch {
	case cr >= 0 && cr+1 < len(line) && line[cr+1] != '\n':
		return responseNone
	case end < 0:
		return responseMore
	case cr >= 0:
		p.lineEnd = i + cr
	default:
		p.lineEnd = i + end
	}
	p.version, p.status, p.pos = version, status, i+end+1
	return responseDone
}

// header parses the line from pos to the LF at end.
func (p *responseParser) header(buf []byte, end int) int {
	begin := p.pos
	line := buf[begin:end]
	invalid := func(i int) int {
		p.badBegin, p.badByte = begin, begin+i
		return responseInvalid
	}
	stop := len(line)
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		stop = i
		for j := i; j < len(line); j++ {
			if line[j] != '\r' {
				return invalid(j)
			}
		}
	}
	if stop == 0 {
		if len(line) > 1 {
			return invalid(1)
		}
		p.pos = end + 1
		return responseDone
	}
	p.pos = end + 1
	if badNameByte(line[0]) {
		return invalid(0)
	}
	n := 0
	for ; n < stop && line[n] != ':'; n++ {
		c := line[n]
		if c == '/' && n == 4 && string(line[:4]) == "HTTP" {
			return responseMore // a second status line, which some servers send
		}
		if c <= 0x20 || c == 0x7f {
			return invalid(n)
		}
	}
	s := headerSpan{name: begin, nameEnd: begin + n, value: begin + stop, valueEnd: begin + stop}
	if n < stop {
		if i := bytes.IndexByte(line[n:stop], 0); i >= 0 {
			return invalid(n + i)
		}
		s.value = begin + n + 1
		for s.value < s.valueEnd && buf[s.value] == ' ' {
			s.value++
		}
		for s.valueEnd > s.value && buf[s.valueEnd-1] == ' ' {
			s.valueEnd--
		}
	}
	p.spans = append(p.spans, s)
	return responseMore
}
