package http

// ParseStatus is the answer of the request line and header parsers.
type ParseStatus int8

// What a parser can answer.
const (
	ParseAgain         ParseStatus = iota // the buffer ends before the line does
	ParseDone                             // the line is complete
	ParseHeaderDone                       // the empty line after the headers
	ParseBadMethod                        // 400
	ParseBadRequest                       // 400
	ParseBadVersion                       // 505
	ParseBad09Method                      // 400
	ParseBadHeader                        // 400
	parseStatusMaximum                    // number of the answers
)

var parseTexts = [parseStatusMaximum]string{
	ParseBadMethod:   "client sent invalid method",
	ParseBadRequest:  "client sent invalid request",
	ParseBadVersion:  "client sent invalid version",
	ParseBad09Method: "client sent invalid method in HTTP/0.9 request",
	ParseBadHeader:   "client sent invalid header line",
}

// Text is what nginx writes to the error log for a refused request.
func (s ParseStatus) Text() string { return parseTexts[s] }

// Failed tells whether the request must be refused.
func (s ParseStatus) Failed() bool { return s >= ParseBadMethod }

// HTTPStatus is the status code for a refused request.
func (s ParseStatus) HTTPStatus() int {
	if s == ParseBadVersion {
		return 505
	}
	return 400
}

// States of the request line parser.
const (
	rlStart uint8 = iota
	rlStartLF
	rlMethod
	rlSpacesBeforeURI
	rlScheme
	rlSchemeSlash
	rlSchemeSlashSlash
	rlSpacesBeforeHost
	rlHostStart
	rlHost
	rlHostLiteral
	rlHostEnd
	rlPortStart
	rlPort
	rlAfterSlash
	rlCheckURI
	rlURI
	rlAfterURI
	rlProtocol
	rlMajorFirst
	rlMajor
	rlMinorFirst
	rlMinor
	rlSpacesAfterVersion
	rlLF
)

// Classes of bytes, for the tight loops of the parsers.
const (
	chMethod  uint8 = 1 << iota // allowed in a method
	chUsual                     // of no meaning in a URI path
	chHost                      // allowed in the host of an absolute URI
	chLiteral                   // allowed between the brackets of an IP literal
	chDigit
	chAlpha
)

var charClass = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		if c > 0x20 && c != 0x7f {
			switch c {
			case '#', '%', '+', '.', '/', '?':
			default:
				t[i] |= chUsual
			}
		}
		switch {
		case c >= 'A' && c <= 'Z':
			t[i] |= chMethod | chHost | chLiteral | chAlpha
		case c >= 'a' && c <= 'z':
			t[i] |= chHost | chLiteral | chAlpha
		case c >= '0' && c <= '9':
			t[i] |= chHost | chLiteral | chDigit
		}
	}
	for _, c := range []byte("_-") {
		t[c] |= chMethod
	}
	for _, c := range []byte(".-") {
		t[c] |= chHost
	}
	for _, c := range []byte(":-._~!$&'()*+,;=") {
		t[c] |= chLiteral
	}
	return t
}()

const (
	protocolName = "HTTP/"
	usualEnd     = "HTTP/1.1\r\n" // of nearly all request lines
)

// RequestLine parses a request line. All fields but the flags are offsets into the buffer that Parse gets, so that
// they hold when the engine moves the unfinished line to a larger buffer. The zero value is ready for a request.
type RequestLine struct {
	state   uint8
	literal uint8 // how much of "HTTP/" has been seen

	Complex   bool // the path needs NormalizeURI for '/./', '//', '#' and the like
	Quoted    bool // the path needs NormalizeURI for percent-encoding
	EmptyPath bool // absolute form with a query but without a path
	HasArgs   bool
	HasHost   bool // absolute form (or CONNECT): Host…HostEnd are set
	HasScheme bool
	Plus      bool // a '+' in the path

	Method  Method
	Version int // 9, 1000, 1001 …

	Pos                 int // next byte to look at; after ParseDone the first byte of the headers
	Start               int // first byte of the line
	End                 int // behind the last byte of the line, line end not counted
	MethodEnd           int
	Scheme, SchemeEnd   int
	Host, HostEnd       int
	URI, URIEnd         int
	Exten               int // 0: none
	Args                int // with HasArgs
	Protocol            int // 0: none
	versMajor, versMinr int
}

// Rebase makes the offsets relative to the line's start; the engine calls it when it moves the line to the
// beginning of another buffer.
func (l *RequestLine) Rebase() {
	d := l.Start
	if d == 0 {
		return
	}
	for _, p := range []*int{&l.Pos, &l.End, &l.MethodEnd, &l.Scheme, &l.SchemeEnd, &l.Host, &l.HostEnd,
		&l.URI, &l.URIEnd, &l.Exten, &l.Args, &l.Protocol} {
		if *p >= d {
			*p -= d
		}
	}
	l.Start = 0
}

// Idle tells that no byte of a request line has been seen, line ends before it aside.
func (l *RequestLine) Idle() bool { return l.state == rlStart }

// Parse goes on where the last call stopped; buf must hold the bytes of the earlier calls at the same offsets.
func (l *RequestLine) Parse(buf []byte) ParseStatus {
	var st ParseStatus
	p := l.Pos
	for p < len(buf) {
		switch {
		case l.state <= rlMethod:
			p, st = l.parseMethod(buf, p)
		case l.state < rlAfterSlash:
			p, st = l.parseTarget(buf, p)
		case l.state <= rlURI:
			p, st = l.parsePath(buf, p)
		default:
			p, st = l.parseVersion(buf, p)
		}
		if st != ParseAgain {
			l.Pos = p
			return st
		}
	}
	l.Pos = p
	return ParseAgain
}

// parseMethod handles the line ends before a request (only CRLF is taken for one) and the method.
func (l *RequestLine) parseMethod(buf []byte, p int) (int, ParseStatus) {
	for ; p < len(buf); p++ {
		c := buf[p]
		switch l.state {
		case rlStart:
			l.Start = p
			if c == '\r' {
				l.state = rlStartLF
				continue
			}
			if c == '\n' {
				return p, ParseBadRequest
			}
			if charClass[c]&chMethod == 0 {
				return p, ParseBadMethod
			}
			l.state = rlMethod
		case rlStartLF:
			if c != '\n' {
				return p, ParseBadRequest
			}
			l.Start = p + 1
			l.state = rlStart
		default:
			if charClass[c]&chMethod != 0 {
				continue
			}
			if c != ' ' {
				return p, ParseBadMethod
			}
			l.MethodEnd = p
			l.Method = ParseMethod(buf[l.Start:p])
			l.state = rlSpacesBeforeURI
			if l.Method == MethodConnect {
				l.state = rlSpacesBeforeHost
			}
			return p + 1, ParseAgain
		}
	}
	return p, ParseAgain
}

// parseTarget handles what is before the path: spaces, scheme, host and port.
func (l *RequestLine) parseTarget(buf []byte, p int) (int, ParseStatus) {
	for ; p < len(buf); p++ {
		c := buf[p]
		switch l.state {
		case rlSpacesBeforeURI:
			switch {
			case c == '/':
				l.URI = p
				l.state = rlAfterSlash
				return p + 1, ParseAgain
			case charClass[c]&chAlpha != 0:
				l.Scheme = p
				l.state = rlScheme
			case c != ' ':
				return p, ParseBadRequest
			}
		case rlScheme:
			if charClass[c]&(chAlpha|chDigit) != 0 || c == '+' || c == '-' || c == '.' {
				continue
			}
			if c != ':' {
				return p, ParseBadRequest
			}
			l.SchemeEnd = p
			l.HasScheme = true
			l.state = rlSchemeSlash
		case rlSchemeSlash, rlSchemeSlashSlash:
			if c != '/' {
				return p, ParseBadRequest
			}
			l.state++
			if l.state == rlSpacesBeforeHost {
				l.state = rlHostStart
			}
		case rlSpacesBeforeHost:
			if c != ' ' {
				l.state = rlHostStart
				p--
			}
		case rlHostStart:
			l.Host = p
			l.state = rlHostLiteral
			if c != '[' {
				l.state = rlHost
				p--
			}
		case rlHost:
			if charClass[c]&chHost == 0 {
				l.state = rlHostEnd
				p--
			}
		case rlHostLiteral:
			if c == ']' {
				l.state = rlHostEnd
			} else if charClass[c]&chLiteral == 0 {
				return p, ParseBadRequest
			}
		case rlHostEnd:
			if c == ':' {
				l.state = rlPortStart
				continue
			}
			if l.Method == MethodConnect {
				return p, ParseBadRequest
			}
			return l.endAuthority(c, p)
		case rlPortStart:
			if l.Method == MethodConnect && charClass[c]&chDigit == 0 {
				return p, ParseBadRequest
			}
			l.state = rlPort
			p--
		case rlPort:
			if charClass[c]&chDigit == 0 {
				return l.endAuthority(c, p)
			}
		}
	}
	return p, ParseAgain
}

// endAuthority handles the byte after host and port.
func (l *RequestLine) endAuthority(c byte, p int) (int, ParseStatus) {
	l.HostEnd = p
	l.HasHost = true
	switch {
	case l.Method == MethodConnect:
		// The path is the "/" of "HTTP/"; it is not known yet.
		if c != ' ' {
			return p, ParseBadRequest
		}
		l.state = rlAfterURI
	case c == '/':
		l.URI = p
		l.state = rlAfterSlash
	case c == '?':
		l.URI = p
		l.Args = p + 1
		l.HasArgs = true
		l.EmptyPath = true
		l.state = rlURI
	case c == ' ':
		// No path: "/" is, and it stands behind the scheme's colon, too.
		l.URI = l.SchemeEnd + 1
		l.URIEnd = l.SchemeEnd + 2
		l.state = rlAfterURI
	default:
		return p, ParseBadRequest
	}
	return p + 1, ParseAgain
}

// parsePath handles path and query up to the byte that ends them.
func (l *RequestLine) parsePath(buf []byte, p int) (int, ParseStatus) {
	for ; p < len(buf); p++ {
		c := buf[p]
		if charClass[c]&chUsual != 0 {
			if l.state == rlAfterSlash {
				l.state = rlCheckURI
			}
			continue
		}
		switch c {
		case ' ':
			l.URIEnd = p
			l.state = rlAfterURI
			return p + 1, ParseAgain
		case '\r':
			l.URIEnd = p
			l.Version = 9
			l.End = p
			l.state = rlLF
			return p + 1, ParseAgain
		case '#':
			l.Complex = true
			l.state = rlURI
			continue
		default:
			if c < 0x20 || c == 0x7f {
				return p, ParseBadRequest
			}
		}
		if l.state == rlURI {
			continue
		}
		switch c {
		case '/':
			if l.state == rlAfterSlash {
				l.Complex = true
				l.state = rlURI
			} else {
				l.Exten = 0
				l.state = rlAfterSlash
			}
		case '.':
			if l.state == rlAfterSlash {
				l.Complex = true
				l.state = rlURI
			} else {
				l.Exten = p + 1
			}
		case '%':
			l.Quoted = true
			l.state = rlURI
		case '?':
			l.Args = p + 1
			l.HasArgs = true
			l.state = rlURI
		case '+':
			l.Plus = true
			l.state = rlCheckURI
		}
	}
	return p, ParseAgain
}

// parseVersion handles "HTTP/1.1" and the line's end.
func (l *RequestLine) parseVersion(buf []byte, p int) (int, ParseStatus) {
	for ; p < len(buf); p++ {
		c := buf[p]
		digit := charClass[c]&chDigit != 0
		switch l.state {
		case rlAfterURI:
			switch c {
			case ' ':
			case '\r':
				l.Version = 9
				l.End = p
				l.state = rlLF
			case 'H':
				l.Protocol = p
				if len(buf)-p >= len(usualEnd) && string(buf[p:p+len(usualEnd)]) == usualEnd && l.Method != MethodConnect {
					l.Version = 1001
					l.End = p + len(usualEnd) - 2
					l.state = rlStart
					return p + len(usualEnd), ParseDone
				}
				l.literal = 1
				l.state = rlProtocol
			default:
				return p, ParseBadRequest
			}
		case rlProtocol:
			if c != protocolName[l.literal] {
				return p, ParseBadRequest
			}
			l.literal++
			if int(l.literal) == len(protocolName) {
				if l.Method == MethodConnect {
					l.URI, l.URIEnd = p, p+1
				}
				l.state = rlMajorFirst
			}
		case rlMajorFirst, rlMajor:
			if c == '.' && l.state == rlMajor {
				l.state = rlMinorFirst
				continue
			}
			if !digit || (c == '0' && l.state == rlMajorFirst) {
				return p, ParseBadRequest
			}
			l.versMajor = l.versMajor*10 + int(c-'0')
			if l.versMajor > 1 {
				return p, ParseBadVersion
			}
			l.state = rlMajor
		case rlMinorFirst:
			if !digit {
				return p, ParseBadRequest
			}
			l.versMinr = int(c - '0')
			l.state = rlMinor
		case rlMinor, rlSpacesAfterVersion:
			switch {
			case c == '\r':
				l.Version = l.versMajor*1000 + l.versMinr
				l.End = p
				l.state = rlLF
			case c == ' ':
				l.state = rlSpacesAfterVersion
			case !digit || l.state == rlSpacesAfterVersion || l.versMinr > 99:
				return p, ParseBadRequest
			default:
				l.versMinr = l.versMinr*10 + int(c-'0')
			}
		case rlLF:
			if c != '\n' {
				return p, ParseBadRequest
			}
			if l.Version == 9 && l.Method != MethodGet {
				return p + 1, ParseBad09Method
			}
			l.state = rlStart
			return p + 1, ParseDone
		}
	}
	return p, ParseAgain
}

// PathEnd is where the path ends and the query, if any, begins.
func (l *RequestLine) PathEnd() int {
	if l.HasArgs {
		return l.Args - 1
	}
	return l.URIEnd
}

// Simple tells that the path can be used as it stands in the buffer.
func (l *RequestLine) Simple() bool { return !l.Complex && !l.Quoted && !l.EmptyPath }
