package http

import (
	"strings"
	"time"

	"perilune/worker/loop"
)

// What a Handler returns besides HTTP statuses.
const (
	OK       = 0
	Error    = -1
	Again    = -2
	Busy     = -3
	Done     = -4 // the handler has taken a reference and calls Finalize later
	Declined = -5 // the next handler of the phase, or the next phase, decides
	Abort    = -6
)

// Handler does a request's work in a phase. It runs with the loop's baton and
// may park.
type Handler func(r *Request) int

// Phase is a stage of a request's life.
type Phase int

// The phases in their order, as in nginx. Handlers can be added to all but
// FindConfig, PostRewrite and PostAccess, which are the engine's own.
const (
	PostRead Phase = iota
	ServerRewrite
	FindConfig
	Rewrite
	PostRewrite
	Preaccess
	Access
	PostAccess
	Precontent
	Content
	Log
	phases
)

// Statuses that have no meaning outside of nginx.
const (
	StatusRequestHeaderTooLarge = 494
	StatusClientClosedRequest   = 499
	StatusClose                 = 444 // close the connection without an answer
)

// Header is a request header. ID tells the known ones.
type Header struct {
	Name, Value []byte
	ID          HeaderID
}

// HeadersIn is the header of a request.
type HeadersIn struct {
	List  []Header
	known [headerIDs]uint16 // index in List + 1 of the first of each

	Host           []byte // lower case, without the port; from the request line or the Host header
	Port           int    // the port beside Host, 0 if none
	ContentLengthN int64  // -1 if there is none
	Chunked        bool
	Expect100      bool
	KeepAlive      bool // Connection: keep-alive
	Close          bool // Connection: close
	KeepAliveN     int64
	Browser        Browser
}

// Get returns the first header with that id, nil if there is none.
func (h *HeadersIn) Get(id HeaderID) *Header {
	if i := h.known[id]; i != 0 {
		return &h.List[i-1]
	}
	return nil
}

// Value returns the value of the first header with that id, nil if there is none.
func (h *HeadersIn) Value(id HeaderID) []byte {
	if i := h.known[id]; i != 0 {
		return h.List[i-1].Value
	}
	return nil
}

// Add appends a header and notes it if it is a known one.
func (h *HeadersIn) Add(id HeaderID, name, value []byte) {
	h.List = append(h.List, Header{Name: name, Value: value, ID: id})
	if id != HeaderOther && h.known[id] == 0 {
		h.known[id] = uint16(len(h.List))
	}
}

// is reports whether the header has that name.
func (f *Header) is(id HeaderID, name []byte) bool {
	return f.ID == id && (id != HeaderOther || equalFold(f.Name, name))
}

// Set gives the headers of a name one value, and leaves one of them; it adds one if there are none. An empty value
// removes them all.
func (h *HeadersIn) Set(id HeaderID, name, value []byte) {
	kept, done := h.List[:0], len(value) == 0
	for i := range h.List {
		f := &h.List[i]
		if f.is(id, name) {
			if done {
				continue
			}
			f.Value, done = value, true
		}
		if len(kept) < i {
			h.List[len(kept)] = *f
		}
		kept = h.List[:len(kept)+1]
	}
	if len(kept) < len(h.List) {
		clear(h.List[len(kept):])
		h.List = kept
		h.Reindex()
	}
	if !done {
		h.Add(id, name, value)
	}
}

// Reindex notes the known headers afresh after List has been changed.
func (h *HeadersIn) Reindex() {
	h.known = [headerIDs]uint16{}
	for i := range h.List {
		if id := h.List[i].ID; id != HeaderOther && h.known[id] == 0 {
			h.known[id] = uint16(i + 1)
		}
	}
}

// OutHeader is a response header that has no field of its own in HeadersOut.
// One with an empty Name is not sent.
type OutHeader struct{ Name, Value string }

// HeadersOut is the header of a response. The fields are sent in nginx's
// order, List (ETag, Accept-Ranges, Cache-Control …) behind them.
type HeadersOut struct {
	Status          int
	overrideCharset string // of X-Accel-Charset
	StatusLine      string // "404 Not Found"; empty: the standard text of Status
	List            []OutHeader
	Server          string // replaces the standard value; a single "\x00" suppresses the header
	Date            string // likewise
	ContentType     string // without the charset
	Charset         string
	ContentLengthN  int64 // -1: not known
	LastModified    int64 // seconds since the epoch, -1: none
	Location        string
	locationAt      int // before which element of List it is sent, unless it is made absolute

	// List has a Content-Length, a Last-Modified: it is sent from there.
	LengthListed, ModifiedListed bool
}

// Suppress as the value of HeadersOut.Server or .Date leaves the header out.
const Suppress = "\x00"

// Get returns the index in List of the header with that name, -1 if there is none.
func (h *HeadersOut) Get(name string) int {
	for i := range h.List {
		if strings.EqualFold(h.List[i].Name, name) {
			return i
		}
	}
	return -1
}

// Del removes the headers with that name.
func (h *HeadersOut) Del(name string) {
	for i := range h.List {
		if strings.EqualFold(h.List[i].Name, name) {
			h.List[i].Name = ""
		}
	}
}

// Redirect sets Location. As in nginx an empty one is sent, too.
func (h *HeadersOut) Redirect(to string) {
	h.Del("Location")
	h.Location, h.locationAt = to, len(h.List)
	if to == "" {
		h.Add("Location", "")
	}
}

// Add appends a header.
func (h *HeadersOut) Add(name, value string) {
	h.List = append(h.List, OutHeader{name, value})
}

// Request is one request, from the first byte of its request line until it is
// logged. Requests are used again: nothing of one may be kept once Finalize
// has ended it. The []byte fields are views of the header buffer.
type Request struct {
	Method      []byte
	MethodID    Method
	RequestLine []byte
	UnparsedURI []byte // as sent, with the query
	URI         []byte // decoded and normalised
	Args        []byte // the query, undecoded
	HasArgs     bool   // there is a '?'
	Exten       []byte // file name extension of URI, without the dot
	Protocol    []byte // "HTTP/1.1"; nil for HTTP/0.9
	HTTPVersion int    // 9, 1000, 1001
	HeadersIn   HeadersIn
	HeadersOut  HeadersOut

	HeaderSent bool // the header has gone through the filters
	HeaderOnly bool // the response has no body: HEAD, 204, 304 …
	Internal   bool // an internal redirect or error page has happened
	KeepAlive  bool
	Chunked    bool // the response is chunked
	Plain      bool // HTTP/0.9: no header at all
	// BodyFileQuiet keeps ReadBody from logging what client_body_in_file_only does anyway, as ngx_lua does.
	BodyFileQuiet  bool
	bodyFileSilent bool // that the body goes to a file is not logged at all
	// AllowRanges is set by handlers whose body, whose length is known, may be sent in parts.
	AllowRanges bool
	SingleRange bool // not more than one part
	Quoted      bool // the URI that was sent had percent-encoding in its path
	Plus        bool // or a plus
	// OnWait, of a main request, is called when output is about to wait for the client, or (delayed) for limit_rate.
	OnWait func(delayed bool)

	// Unconditional keeps the filters from answering If-Modified-Since and its like, as when the upstream has done so.
	Unconditional bool

	Conn     *Conn
	Main     *Request // itself unless it is a subrequest
	Parent   *Request // nil unless it is a subrequest
	Server   *Server
	Srv      *SrvConf
	Loc      *LocConf
	MainConf *MainConf
	SrvCtx   []any   // structs of all modules for the server
	LocCtx   []any   // structs of all modules for the location
	Ctx      []any   // a slot for each module's own state
	Content  Handler // the location's content handler, replaceable until the content phase

	Start     time.Time // when the first byte was read
	StartMsec int64     // the same by the loop's clock
	BytesIn   int64     // request line, header and body as read ($request_length)
	BytesOut  int64     // sent to the client, header included, of this request
	HeaderLen int64     // of the response
	ErrStatus int       // status that an error page stands for, 0 if none

	// Unheeding says, of a main request, that its handler goes on without its client, until output fails.
	Unheeding bool

	onAbort          func()
	abortBehindInput bool
	upstreams        []*upstreamRequest // of a main request: what ends when the client is gone

	sub     *subState   // nil without subrequests
	bodyOf  *Request    // whose body it is, of a subrequest
	vars    *[]varValue // of the variables that have a place; subrequests may share them
	engine  requestState
	body    requestBody
	out     output
	filters filterState
	parts   requestParts

	cleanups []func()
}

// Handler types of the two filter chains. Each filter calls the next.
type (
	HeaderFilter func(r *Request) error
	BodyFilter   func(r *Request, b Buf) error
)

// Buf is a piece of a response body on its way through the filters: bytes, or
// a part of a file, or only a mark.
type Buf struct {
	Data    []byte // valid for the time of the call
	File    int    // descriptor, when FileLen > 0
	Off     int64
	FileLen int64
	Flush   bool // send what is held back
	Last    bool // the end of the response

	// Recycled says that whoever sends it waits for its memory: what reaches the socket's end of the chain is sent at
	// once. Filters need not hurry for it.
	Recycled bool
}

// Loop returns the loop that the request runs in.
func (r *Request) Loop() *loop.Loop { return r.Server.loop }
