package http

import (
	"bytes"
	"errors"

	"perilune/logging"
	"perilune/worker/loop"
)

// requestState is what only the engine needs to know of a request.
type requestState struct {
	line      RequestLine
	header    HeaderLine
	inHeader  bool     // the request line is complete
	old       [][]byte // header buffers before the connection's present one
	large     int      // large_client_header_buffers in use
	arena     []byte   // decoded URI, lower-case host
	count     int      // references: Finalize(Done) drops one
	phase     int      // next step of the engine
	changes   int      // URI changes left
	errorPage bool     // error_page has been at work
	changed   bool     // the URI has been changed by the rewrite phase
	rewritten bool     // the URI is no longer what UnparsedURI says
	displaced bool     // the URI has been changed and its location has not (break)
	// The URI, which try_files has set, follows the alias of a location given by a regular expression.
	behindAlias bool
	access      int // what an access handler said under satisfy any

	lingering    bool // input may follow the answer
	expectTested bool
	discarding   bool // the rest of the body is to be thrown away
	ended        bool
}

// newRequest takes a request for a connection whose first byte has come.
func (s *Server) newRequest(c *Conn) *Request {
	r := s.takeRequest(len(c.addr.def.Ctx.Loc))
	c.Requests++
	s.requests++
	s.countersChanged()
	r.Conn, r.Server, r.Main = c, s, r
	r.vars = &r.parts.values
	r.Start = s.loop.Now()
	r.StartMsec = s.loop.NowMsec()
	r.MainConf = s.main
	r.useServer(c.addr.def)
	r.HTTPVersion = 1000 // until the request line says otherwise
	r.HeadersIn.ContentLengthN = -1
	r.HeadersOut.ContentLengthN = -1
	r.HeadersOut.LastModified = -1
	r.engine.count = 1
	r.engine.changes = maxURIChanges + 1
	r.engine.line.Pos = c.pos
	return r
}

// takeRequest takes an empty request, of so many modules.
func (s *Server) takeRequest(modules int) *Request {
	n := len(s.freeRequests)
	if n == 0 {
		return &Request{Ctx: make([]any, modules)}
	}
	r := s.freeRequests[n-1]
	s.freeRequests[n-1] = nil
	s.freeRequests = s.freeRequests[:n-1]
	return r
}

// freeRequest keeps the memory of a request for another.
func (s *Server) freeRequest(r *Request) {
	if len(s.freeRequests) >= maxFreeConns {
		return
	}
	r.parts.reset()
	clear(r.Ctx)
	clear(r.HeadersIn.List)
	clear(r.HeadersOut.List)
	*r = Request{
		Ctx:        r.Ctx,
		HeadersIn:  HeadersIn{List: r.HeadersIn.List[:0]},
		HeadersOut: HeadersOut{List: r.HeadersOut.List[:0]},
		engine:     requestState{old: r.engine.old[:0], arena: reusable(r.engine.arena)},
		parts:      r.parts,
		cleanups:   r.cleanups[:0],
		upstreams:  r.upstreams[:0],
	}
	s.freeRequests = append(s.freeRequests, r)
}

// maxArena bounds the memory of its own that a request keeps for the next.
const maxArena = 16 << 10

func reusable(arena []byte) []byte {
	if cap(arena) > maxArena {
		return nil
	}
	return arena[:0]
}

func (r *Request) useServer(srv *SrvConf) {
	r.Srv = srv
	r.SrvCtx = srv.Ctx.Srv
	r.useLocation(srv.Loc)
}

func (r *Request) useLocation(lc *LocConf) {
	r.Loc = lc
	r.LocCtx = lc.Ctx.Loc
}

// view appends b to the request's own memory and returns the copy.
func (r *Request) view(b []byte) []byte {
	e := &r.Main.engine // a subrequest's values may be seen by its parent later
	n := len(e.arena)
	e.arena = append(e.arena, b...)
	return e.arena[n:len(e.arena):len(e.arena)]
}

// readHeader parses what there is of the request's header, reading more when
// need be. It reports whether the header is complete and acceptable; if not,
// more input is awaited or the request has been answered.
func (c *Conn) readHeader() bool {
	r := c.req
	for {
		var st ParseStatus
		if !r.engine.inHeader {
			line := &r.engine.line
			st = line.Parse(c.buf[:c.last])
			c.pos = line.Pos
		} else {
			st = r.engine.header.Parse(c.buf[:c.last], r.Srv.UnderscoresInHeaders.V)
			c.pos = r.engine.header.Pos
		}
		switch st {
		case ParseAgain:
			if c.last == len(c.buf) && !c.moreRoom() {
				return false
			}
			if !c.readMore() {
				return false
			}
		case ParseDone:
			if r.engine.inHeader {
				if !r.gotHeader() {
					return false
				}
				continue
			}
			if !r.gotRequestLine() {
				return false
			}
			if r.Plain {
				return (len(r.HeadersIn.Host) > 0 || r.findServer(nil)) && c.headerDone()
			}
			r.engine.inHeader = true
			r.engine.header.Pos = c.pos
			c.action = "reading client request headers"
		case ParseHeaderDone:
			r.BytesIn += int64(c.pos - r.engine.header.Start)
			return r.gotHeaders() && c.headerDone()
		default:
			r.refuse(st)
			return false
		}
	}
}

// headerDone hands the connection over to the request.
func (c *Conn) headerDone() bool {
	s := c.Server
	s.loop.StopTimer(&c.timer)
	c.busy()
	return true
}

// busy marks that a request has the connection.
func (c *Conn) busy() {
	if c.state == connHeader {
		c.Server.reading--
		c.Server.writing++
		c.Server.countersChanged()
		c.state = connBusy
	}
}

// readMore reads into the rest of the buffer.
func (c *Conn) readMore() bool {
	r := c.req
	n, err := 0, loop.ErrAgain
	if c.FD.Readable {
		n, err = c.FD.Read(c.buf[c.last:])
	}
	switch {
	case errors.Is(err, loop.ErrAgain):
		if !c.timer.Active() {
			c.Server.loop.SetTimer(&c.timer, r.Srv.ClientHeaderTimeout.V)
		}
		return false
	case err != nil:
		r.LogErr(logging.Info, err, "recv() failed")
	case n == 0:
		r.Log(logging.Info, "client prematurely closed connection")
	default:
		c.last += n
		return true
	}
	c.errored = true
	c.busy()
	r.Finalize(400)
	return false
}

// moreRoom puts a large buffer in the place of the one that is full.
func (c *Conn) moreRoom() bool {
	r := c.req
	line, header := &r.engine.line, &r.engine.header
	start, idle := header.Start, header.Idle()
	if !r.engine.inHeader {
		start, idle = line.Start, line.Idle()
		if idle {
			// The client has sent nothing but line ends.
			c.pos, c.last, line.Pos = 0, 0, 0
			return true
		}
	}
	size := int(r.Srv.LargeClientHeaderBuffers.V.Size)
	partial := c.last - start
	if idle {
		partial = 0
	}
	if partial >= size || r.engine.large >= r.Srv.LargeClientHeaderBuffers.V.Num {
		r.tooLarge(start)
		return false
	}
	r.engine.large++
	b := c.Server.buffers.get(size)
	r.engine.old = append(r.engine.old, c.buf)
	switch {
	case idle:
		header.Pos, header.Start = 0, 0
	case r.engine.inHeader:
		copy(b, c.buf[start:c.last])
		header.Rebase()
	default:
		copy(b, c.buf[start:c.last])
		line.Rebase()
	}
	c.buf, c.pos, c.last = b, partial, partial
	return true
}

func (r *Request) tooLarge(start int) {
	c := r.Conn
	c.busy()
	part := c.buf[start:c.last]
	if !r.engine.inHeader {
		r.RequestLine = part
		r.Log(logging.Info, "client sent too long URI")
		r.Finalize(414)
		return
	}
	r.engine.lingering = true
	if len(r.HeadersIn.List) == 0 && r.engine.header.Idle() {
		r.Log(logging.Info, "client sent too large request")
	} else {
		part = part[:min(len(part), maxLogged)]
		r.Log(logging.Info, "client sent too long header line: \"%s...\"", part)
	}
	r.Finalize(StatusRequestHeaderTooLarge)
}

// maxLogged is how much of a header line nginx shows in a message.
const maxLogged = 2048 - 300

// refuse answers a request that the parsers do not accept.
func (r *Request) refuse(st ParseStatus) {
	c := r.Conn
	c.busy()
	if !r.engine.inHeader {
		r.refusedLine(st)
	}
	if st == ParseBadHeader {
		h := &r.engine.header
		part := c.buf[h.Start:h.BadByte]
		r.Log(logging.Info, "client sent invalid header line: \"%s\\x%02x...\"", part[:min(len(part), maxLogged)], c.buf[h.BadByte])
	} else {
		r.Log(logging.Info, "%s", st.Text())
	}
	r.Finalize(st.HTTPStatus())
}

// refusedLine notes of a request line that is not accepted what the logs show of it.
func (r *Request) refusedLine(st ParseStatus) {
	line := &r.engine.line
	text := r.Conn.buf[line.Start:r.Conn.last]
	if end := bytes.IndexAny(text, "\r\n"); end >= 0 {
		text = text[:end]
	}
	r.RequestLine = text
	r.MethodID = line.Method // HEAD gets no page
	if line.Protocol != 0 {
		r.Protocol = text[:0]
	}
	if st == ParseBad09Method {
		r.HTTPVersion, r.Plain = line.Version, true
	}
}

// gotRequestLine takes over what the parser has found.
func (r *Request) gotRequestLine() bool {
	c := r.Conn
	line := &r.engine.line
	buf := c.buf
	r.RequestLine = buf[line.Start:line.End]
	r.Method = buf[line.Start:line.MethodEnd]
	r.MethodID = line.Method
	r.HTTPVersion = line.Version
	r.Plain = line.Version < 1000
	if line.Protocol != 0 {
		r.Protocol = buf[line.Protocol:line.End]
	}
	r.BytesIn = int64(c.pos - line.Start)
	if line.HasArgs {
		r.HasArgs = true
		if line.Args < line.URIEnd {
			r.Args = buf[line.Args:line.URIEnd]
		}
	}
	r.Plus = line.Plus
	if line.Simple() {
		r.URI = buf[line.URI:line.PathEnd()]
		if line.Exten > 0 && line.Exten <= line.PathEnd() {
			r.Exten = buf[line.Exten:line.PathEnd()]
		}
	} else if !r.normalize(buf[line.URI:line.URIEnd], line.EmptyPath) {
		c.busy()
		r.URI = r.RequestLine[:0] // empty, but known
		r.Log(logging.Info, "client sent invalid request")
		r.Finalize(400)
		return false
	}
	r.UnparsedURI = buf[line.URI:line.URIEnd]
	r.engine.rewritten = line.EmptyPath // there is no path to pass on
	if line.HasHost {
		if !r.setHost(buf[line.Host:line.HostEnd], "client sent invalid host in request line") {
			return false
		}
	}
	return true
}

func (r *Request) normalize(raw []byte, emptyPath bool) bool {
	n := len(r.engine.arena)
	u, ok := NormalizeURI(r.engine.arena, raw, emptyPath, r.Srv.MergeSlashes.V)
	if !ok {
		return false
	}
	r.URI = u.Path
	r.Quoted = u.HasQuoted
	// Where the path has been appended in place this only counts it in.
	r.engine.arena = append(r.engine.arena[:n], u.Path...)
	r.HasArgs = u.Args >= 0
	r.Args = nil
	if r.HasArgs && u.Args < len(raw) {
		r.Args = raw[u.Args:u.ArgsEnd]
	}
	if u.Exten >= 0 {
		r.Exten = u.Path[u.Exten:]
	}
	return true
}

// setHost takes the host of the request line or of the Host header, and finds
// its server.
func (r *Request) setHost(text []byte, complaint string) bool {
	name, port, upper, ok := ParseHost(text)
	if !ok {
		r.Conn.busy()
		r.Log(logging.Info, "%s", complaint)
		r.Finalize(400)
		return false
	}
	if len(r.HeadersIn.Host) > 0 {
		return true
	}
	if upper {
		name = r.view(name)
		for i := range name {
			name[i] = lowerByte(name[i])
		}
	}
	if !r.findServer(name) {
		return false
	}
	r.HeadersIn.Host, r.HeadersIn.Port = name, port
	return true
}

// findServer chooses among the servers of the address.
func (r *Request) findServer(host []byte) bool {
	names := r.Conn.addr.names
	if names == nil {
		return true
	}
	srv, found, err := names.Find(host, &r.parts.captures)
	if err != nil {
		r.Log(logging.Alert, "server name regex on \"%s\": %v", host, err)
		r.closeRequest(500)
		return false
	}
	if found {
		r.useServer(srv)
	}
	return true
}

// gotHeader takes over one header line.
func (r *Request) gotHeader() bool {
	c := r.Conn
	h := &r.engine.header
	buf := c.buf
	r.BytesIn += int64(h.Pos - h.Start)
	if h.Invalid && r.Srv.IgnoreInvalidHeaders.V {
		r.Log(logging.Info, "client sent invalid header line: \"%s\"", buf[h.Start:h.ValueEnd])
		return true
	}
	name, value := buf[h.Start:h.NameEnd], buf[h.Value:h.ValueEnd]
	in := &r.HeadersIn
	if h.ID == HeaderOther {
		in.List = append(in.List, Header{Name: name, Value: value})
		return true
	}
	if knownHeaders[h.ID].unique {
		if first := in.Get(h.ID); first != nil {
			c.busy()
			what := "header line"
			if h.ID == HeaderHost {
				what = "host header"
			}
			r.Log(logging.Info, "client sent duplicate %s: \"%s: %s\", previous value: \"%s: %s\"", what, name, value, first.Name, first.Value)
			r.Finalize(400)
			return false
		}
	}
	in.Add(h.ID, name, value)
	switch h.ID {
	case HeaderHost:
		return r.setHost(value, "client sent invalid host header")
	case HeaderConnection:
		if containsLower(value, "close") {
			in.Close, in.KeepAlive = true, false
		} else if containsLower(value, "keep-alive") {
			in.KeepAlive, in.Close = true, false
		}
	case HeaderUserAgent:
		in.Browser |= ParseUserAgent(value)
	}
	return true
}

// gotHeaders checks the header as a whole.
func (r *Request) gotHeaders() bool {
	in := &r.HeadersIn
	if len(in.Host) == 0 && !r.findServer(nil) {
		return false
	}
	if in.known[HeaderHost] == 0 && r.HTTPVersion > 1000 {
		return r.reject(400, "client sent HTTP/1.1 request without \"Host\" header")
	}
	length := in.Get(HeaderContentLength)
	if length != nil {
		n, ok := ParseContentLength(length.Value)
		if !ok {
			return r.reject(400, "client sent invalid \"Content-Length\" header")
		}
		in.ContentLengthN = n
	}
	if te := in.Get(HeaderTransferEncoding); te != nil {
		switch {
		case r.HTTPVersion < 1001:
			return r.reject(400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header")
		case !IsChunked(te.Value):
			r.Conn.busy()
			r.Log(logging.Info, "client sent unknown \"Transfer-Encoding\": \"%s\"", te.Value)
			r.Finalize(501)
			return false
		case length != nil:
			return r.reject(400, "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time")
		}
		in.Chunked = true
	}
	if e := in.Get(HeaderExpect); e != nil {
		in.Expect100 = bytes.EqualFold(e.Value, []byte("100-continue"))
	}
	switch r.MethodID {
	case MethodConnect:
		return r.reject(405, "client sent CONNECT method")
	case MethodTrace:
		return r.reject(405, "client sent TRACE method")
	}
	return true
}

func (r *Request) reject(status int, complaint string) bool {
	r.Conn.busy()
	r.Log(logging.Info, "%s", complaint)
	r.Finalize(status)
	return false
}

// Log writes to the error log of the request's location, with nginx's context
// behind the message.
func (r *Request) Log(lv logging.Level, format string, args ...any) {
	ln := r.beginLog(lv)
	if ln == nil {
		return
	}
	ln.Printf(format, args...)
	r.endLog(ln, lv)
}

// LogErr is Log for a failed system call.
func (r *Request) LogErr(lv logging.Level, err error, msg string) {
	ln := r.beginLog(lv)
	if ln == nil {
		return
	}
	ln.Str(msg).Err(err)
	r.endLog(ln, lv)
}

// ErrorLog returns the error log of the request's location.
func (r *Request) ErrorLog() *logging.Log {
	log := r.Main.Loc.Log
	if log == nil {
		log = r.Server.log
	}
	if r.Conn.debug {
		return log.Debugging()
	}
	return log
}

func (r *Request) beginLog(lv logging.Level) *logging.Line {
	return r.ErrorLog().Begin(lv, r.Conn.Number)
}

func (r *Request) endLog(ln *logging.Line, lv logging.Level) {
	if lv == logging.Debug {
		ln.End()
		return
	}
	c := r.Conn
	m := r.Main
	if r == r.Server.noRequest {
		ln.End()
		return
	}
	if c.action != "" {
		ln.Str(" while ").Str(c.action)
	}
	ln.AttrStr("client", c.Remote).AttrStr("server", m.Srv.Name)
	line := m.RequestLine
	if line == nil && !m.engine.line.Idle() && c.state != connWait {
		line = c.buf[m.engine.line.Start:c.last]
		if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
			line = line[:i]
		}
	}
	if len(line) > 0 {
		ln.AttrQuoted("request", line)
	}
	if r != m {
		ln.AttrQuoted("subrequest", r.URI)
	}
	if u := r.parts.upstream; u != nil {
		u.describe(ln)
	}
	if h := m.HeadersIn.Get(HeaderHost); h != nil {
		ln.AttrQuoted("host", h.Value)
	}
	if h := m.HeadersIn.Get(HeaderReferer); h != nil {
		ln.AttrQuoted("referrer", h.Value)
	}
	ln.End()
}
