package luart

import (
	"errors"
	"time"
)

// Level is a level of the error log, in nginx's numbers: 0 is stderr, 8 is debug.
type Level int

// The levels of the error log.
const (
	LevelStderr Level = iota
	LevelEmerg
	LevelAlert
	LevelCrit
	LevelError
	LevelWarn
	LevelNotice
	LevelInfo
	LevelDebug
)

// Return codes of handlers, in nginx's numbers.
const (
	OK       = 0
	Error    = -1
	Again    = -2
	Done     = -4
	Declined = -5
)

// Errors of a wait, as the implementations of [Request] report them.
var (
	// ErrTimeout says that the client took too long.
	ErrTimeout = errors.New("timeout")
	// ErrClientAborted says that the client has gone.
	ErrClientAborted = errors.New("client aborted")
)

// Errors of [Request.SetVariable].
var (
	ErrVariableNotChangeable = errors.New("not changeable")
	ErrVariableNotAssignable = errors.New("cannot be assigned a value")
	ErrVariableNotFound      = errors.New("not found for writing")
)

// Logger writes to an error log. The implementation of a request's logger adds
// what nginx adds after the message (", client: …").
type Logger interface {
	LogEnabled(lv Level) bool
	Log(lv Level, msg []byte)
}

// Loop is what the runtime needs of the worker's event loop.
type Loop interface {
	Now() time.Time // cached once a turn
	UpdateTime()
	Turn() uint64 // counts the turns
	// Go runs f with the baton as a task of its own, later in this turn.
	Go(f func())
	// Next runs f with the baton as a task of its own, before anything else, as soon
	// as the caller parks.
	Next(f func())
	// Post runs f with the baton, from any goroutine.
	Post(f func())
	// Block gives the baton away while f runs; Lend does if f takes long, and reports
	// whether it has.
	Block(f func())
	Lend(f func()) bool
	// Outside adds n to the number of goroutines that work without the baton.
	Outside(n int)
	NewWaiter() Waiter
	NewTimer(f func()) Timer
}

// Waiter is what a goroutine parks on; the baton goes to another one meanwhile.
type Waiter interface {
	// Park waits for Wake, or for the timeout (0 is none), whose error is ErrTimeout.
	Park(timeout time.Duration) error
	// ParkTurn waits for Wake, or for the next turn of the loop, which gives no error.
	ParkTurn() error
	// Yield lets everybody else who is ready go first.
	Yield() error
	// Enqueue has a task run after everybody else who is ready, unless the caller takes its
	// place before that: TakePlace waits for the turn instead.
	Enqueue(task func())
	TakePlace()
	// Wake lets the goroutine that is parked go on, with err as Park's result. It
	// reports whether there was one.
	Wake(err error) bool
	// Drop frees what the loop keeps of the waiter, which will not be parked on again.
	Drop()
}

// Timer calls its function once, with the baton, when the time has come.
type Timer interface {
	Set(d time.Duration)
	Stop()
}

// Request is what the ngx API needs of a request and its response.
//
// Byte slices that are returned are views, valid until the next call; those that
// are passed in are copied by the implementation when it keeps them. Strings
// that are passed in may be kept.
type Request interface {
	Logger

	MethodID() uint32 // nginx's bit of the method (ngx.HTTP_GET is 2, …), 0 or 1 of one that is unknown
	MethodName() []byte
	SetMethod(id uint32, name string)
	HTTPVersion() int // 9, 1000, 1001, 2000, 3000
	Args() []byte
	SetArgs(args []byte)
	Internal() bool
	Subrequest() bool
	StartTime() time.Time
	KeepAlive() bool
	// Origin is what messages of timers that the request starts have at their end:
	// ", client: …, server: …".
	Origin() string
	// AppendRawHeader appends the request's header as it was received.
	AppendRawHeader(dst []byte, withoutRequestLine bool) []byte

	HeadersInLen() int
	HeaderIn(i int) (name, value []byte)
	// SetHeaderIn sets (override) or adds a header; an empty value removes it.
	SetHeaderIn(name, value string, override bool) error

	// ReadBody reads the whole body and parks meanwhile. The result is OK, Error
	// or the status to finish the request with.
	ReadBody() int
	// LeaveBody ends a ReadBody that waits in another thread.
	LeaveBody()
	DiscardBody() error
	BodyDiscarded() bool
	BodyRead() bool
	Body() []byte // nil when there is none or when it is in a file
	BodyFile() string
	SetBody(data []byte)
	// SpillBody moves the body to a file; SetBodyFile makes a file the body and
	// returns its size.
	SpillBody() error
	SetBodyFile(path string, clean bool) (int64, error)
	BodyBufferSize() int // client_body_buffer_size
	// SetURI changes the URI; jump says that the location changes with it.
	SetURI(uri string, jump bool)

	// Variable finds a variable by its name in lower case.
	Variable(name string) (value []byte, found bool)
	Capture(n int) (value []byte, found bool)
	SetVariable(name, value string, unset bool) error

	Status() int // of the response, 0 while there is none
	SetStatus(status int, reason string)
	HeaderSent() bool
	HeaderOnly() bool
	SetHeaderOnly() // tells the filters of the header before it is sent
	// SetHeaderOut sets (override) or adds a header of the response; an empty value
	// removes it. mime reports whether it was the content type.
	SetHeaderOut(name, value string, override bool) (mime bool, err error)
	// HeaderOut returns the i-th value of the response's header of that name.
	HeaderOut(name string, i int) (value string, found bool)
	// EachHeaderOut calls f for every header of the response as it would be sent
	// now: first for those that the engine makes itself.
	EachHeaderOut(f func(name, value string, own bool) bool)
	HasContentLength() bool
	SetContentLength(n int64)
	ClearContentLength()
	ClearAcceptRanges()
	SetDefaultContentType() // unless one is set already
	// BypassConditions keeps the server from answering If-Modified-Since and its like.
	BypassConditions()
	// SetRedirect sets the status and the Location of a redirect.
	SetRedirect(status int, location string)
	// InternalRedirect does what ngx.exec asks for and returns what the phase's
	// handler then returns.
	InternalRedirect(uri, args string) int
	// CheckURI says whether a URI may be given to InternalRedirect, and splits off its
	// arguments. log has an unsafe one logged.
	CheckURI(uri string, log bool) (path, args string, ok bool)

	// OnAbort has f called, with the baton, when the client has gone; nil takes that
	// back.
	OnAbort(f func())

	// Stream is the connection to the client: with raw all of it, else for reading
	// the body. The error is for Lua code.
	Stream(raw bool) (Stream, error)

	// NewSubrequest makes a subrequest, which its Start or Wait starts.
	NewSubrequest(o *SubrequestOptions) (Subrequest, error)

	// Balancer is the try that is being decided on, nil at other times. upstream tells whether the request is, or was, with an
	// upstream.
	Balancer() (b Balancer, upstream bool)

	// SendHeader, Write, Finish return OK, Again, Error or a status. Write takes the
	// bytes over (by copying) before it returns, and may park under back-pressure.
	SendHeader() int
	Write(p []byte) int
	Flush(wait bool) error
	Finish() int
	// LeaveUnread throws a body away that nobody has read; it returns OK or Error.
	LeaveUnread() int
}
