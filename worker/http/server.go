// Package http is the HTTP engine of a worker: connections, requests and their
// phases, output, and the directives that govern them; and the parts that the
// engine is made of: parsers, server names, locations, variables, logs of
// requests, static files.
//
// Accepts are spread by taking a shared listen socket out of the epoll set and
// putting it back after each accept: the kernel wakes the first waiter that
// asks to be woken alone, and the one that has just accepted is last then. Of
// 2,000 connections to 8 workers the busiest and the idlest got 250 and 250 one
// after the other, 269 and 242 in 200 at a time; without that step 1944 and 0,
// 702 and 34. nginx in the same run: 257 and 241, 289 and 225; with reuseport
// 266 and 236, 280 and 230.
//
// An idle keep-alive connection costs about 620 bytes of resident memory
// (10,000 of them, nginx in the same run: 530). A request in keep-alive that is
// answered from memory is one read(2) and one write(2) and allocates nothing.
//
// It owns the sockets of clients. Everything in it belongs to the holder of the
// loop's baton. It never parses nginx.conf by itself, starts no process, and
// knows nothing of Lua: other modules hook into it by phase handlers, filters,
// content handlers and variables.
package http

import (
	"fmt"
	"strconv"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// Stats are the counters of a server.
type Stats struct {
	Accepted uint64 // connections accepted
	Handled  uint64 // of these, not closed at once for want of resources
	Requests uint64 // requests begun
	Active   int    // client connections open
	Reading  int    // of these, in the header of a request
	Writing  int    // of these, with a request in work
	Waiting  int    // of these, without a request
}

// Server is the HTTP engine of a worker.
type Server struct {
	loop  *loop.Loop
	cycle *conf.Cycle
	log   *logging.Log
	main  *MainConf

	noRequest *Request // see NoRequest
	listeners []*listener
	slot      int  // of this worker, for sockets with reuseport
	workers   int  // processes that share the listen sockets
	started   bool // Start has been called and StopAccepting has not
	draining  bool
	stayFirst bool // see StayFirst

	maxConns    int // worker_connections
	used        int // of them, listen sockets and IPC included
	multiAccept bool
	paused      loop.Timer // accepting resumes when it fires
	warned      int64      // second of the last complaint about worker_connections

	number   uint64 // of the last connection, in the error log
	idle     connList
	active   int
	writing  int
	reading  int
	accepted uint64
	handled  uint64
	requests uint64

	tempNumber uint64 // of the last temporary file
	msecBase   int64  // see SharedMsec
	limitKeys  []byte // memory for the keys of limit_req
	userids    useridState

	onDrained  func()
	onDraining []func()
	held       int

	freeConns    []*Conn
	freeRequests []*Request
	buffers      bufferPool
	compressors  map[compressorKey][]*compressing // that are free
}

// NewServer makes the engine for a configuration. The listen sockets'
// descriptors must be in the cycle's Listening by the time of Start.
func NewServer(l *loop.Loop, cycle *conf.Cycle, log *logging.Log) (*Server, error) {
	s := &Server{loop: l, cycle: cycle, log: log, workers: 1}
	s.maxConns = cycle.EventsConf().WorkerConnections.V
	s.multiAccept = cycle.EventsConf().MultiAccept.V
	s.paused.Init(s.resumeAccepting)
	if cycle.HTTP == nil {
		s.main = &MainConf{}
		return s, nil
	}
	s.main = cycle.HTTP.Main[CoreModule.Index].(*MainConf)
	if err := s.setUp(cycle.HTTP); err != nil {
		return nil, err
	}
	if z := s.main.status; z != nil {
		z.attach(s)
	}
	s.setUpUpstreams()
	return s, nil
}

// setUp makes the error logs and resolvers of the servers and locations ready.
func (s *Server) setUp(ctx *conf.Ctx) error {
	lc := ctx.Loc[CoreModule.Index].(*LocConf)
	lc.Log = s.log
	if len(lc.ErrorLogs.V) > 0 {
		lc.Log = s.log.Sibling()
		for _, d := range lc.ErrorLogs.V {
			lc.Log.AddDirective(s.cycle.Files, d)
		}
	}
	if lc.Resolver.V != nil {
		lc.Resolver.V.Attach(s.log, s)
	}
	for _, child := range ctx.Children {
		if err := s.setUp(child); err != nil {
			return fmt.Errorf("error_log: %w", err)
		}
	}
	return nil
}

// SetSlot says which of the workers this is, and how many there are: with
// reuseport the socket of its slot is the worker's own.
func (s *Server) SetSlot(slot, workers int) { s.slot, s.workers = slot, workers }

// Loop returns the loop that the server runs in.
func (s *Server) Loop() *loop.Loop { return s.loop }

// Cycle returns the configuration that the server runs with.
func (s *Server) Cycle() *conf.Cycle { return s.cycle }

// ErrorLog returns the error log of the process.
func (s *Server) ErrorLog() *logging.Log { return s.log }

// Active returns the number of client connections.
func (s *Server) Active() int { return s.active }

// Draining reports whether StopAccepting has been called.
func (s *Server) Draining() bool { return s.draining }

// Stats returns the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Accepted: s.accepted,
		Handled:  s.handled,
		Requests: s.requests,
		Active:   s.active,
		Reading:  s.reading,
		Writing:  s.writing,
		Waiting:  s.active - s.reading - s.writing,
	}
}

// Reserve takes one of the worker_connections, for a connection to an upstream
// or the like; idle client connections make room if need be. It logs and
// reports false if there is none left. Release gives it back.
func (s *Server) Reserve() bool {
	ok := s.TryReserve()
	if !ok {
		s.log.Log(logging.Alert, 0, s.NotEnough())
	}
	return ok
}

// NotEnough is what the error log says when Reserve fails.
func (s *Server) NotEnough() string {
	return strconv.Itoa(s.maxConns) + " worker_connections are not enough"
}

// TryReserve is Reserve that logs no failure.
func (s *Server) TryReserve() bool {
	free := s.maxConns - s.used
	if free <= s.maxConns/16 && s.idle.n > 0 {
		s.reuseIdle()
	}
	if s.used >= s.maxConns {
		return false
	}
	s.used++
	return true
}

// Release gives back what Reserve took.
func (s *Server) Release() { s.used-- }

// reuseIdle closes the connections that have been idle longest.
func (s *Server) reuseIdle() {
	if now := s.loop.Now().Unix(); now != s.warned {
		s.warned = now
		s.log.Logf(logging.Warn, 0, "%d worker_connections are not enough, reusing connections", s.maxConns)
	}
	for n := max(1, min(32, s.idle.n/8)); n > 0 && s.idle.first != nil; n-- {
		s.idle.first.closeIdle()
	}
}

// CloseIdle closes the connections in keep-alive. A new connection stays, since
// its first request must be answered, and so does one whose next request has
// arrived already: nginx would lose that one. With keepalive_min_timeout a
// connection is kept for that long.
func (s *Server) CloseIdle() {
	for c := s.idle.first; c != nil; {
		next := c.idleNext
		if c.keepalive && !c.keepsMinimum() {
			if pending, _ := c.FD.Pending(); !pending {
				c.closeIdle()
			}
		}
		c = next
	}
}

// OnDrained sets the function to call, with the baton, once StopAccepting has
// been called and the last connection is gone; at once if that is so already.
func (s *Server) OnDrained(f func()) {
	s.onDrained = f
	s.checkDrained()
}

// OnDraining adds a function to call, with the baton, when StopAccepting has been
// called.
func (s *Server) OnDraining(f func()) { s.onDraining = append(s.onDraining, f) }

// Hold keeps the server from being drained until Unhold has been called as often:
// for work that is not a client's, such as timers.
func (s *Server) Hold() { s.held++ }

// Unhold takes one Hold back.
func (s *Server) Unhold() {
	s.held--
	s.checkDrained()
}

func (s *Server) checkDrained() {
	if s.draining && s.active == 0 && s.held == 0 && s.onDrained != nil {
		f := s.onDrained
		s.onDrained = nil
		s.loop.Defer(f)
	}
}

// bufferPool keeps buffers of the few sizes that a configuration asks for.
type bufferPool struct {
	sizes []sizedBuffers
}

type sizedBuffers struct {
	size int
	free [][]byte
}

// maxFreeBuffers bounds what a burst of connections leaves behind.
const maxFreeBuffers = 128

// maxBufferSizes is how many sizes are kept; others are left to the collector.
const maxBufferSizes = 16

func (p *bufferPool) get(size int) []byte {
	for i := range p.sizes {
		s := &p.sizes[i]
		if s.size != size {
			continue
		}
		if n := len(s.free); n > 0 {
			b := s.free[n-1]
			s.free[n-1] = nil
			s.free = s.free[:n-1]
			return b
		}
		return make([]byte, size)
	}
	if len(p.sizes) < maxBufferSizes {
		p.sizes = append(p.sizes, sizedBuffers{size: size})
	}
	return make([]byte, size)
}

func (p *bufferPool) put(b []byte) {
	for i := range p.sizes {
		s := &p.sizes[i]
		if s.size == len(b) {
			if len(s.free) < maxFreeBuffers {
				s.free = append(s.free, b)
			}
			return
		}
	}
}

// connList is the list of idle connections, the longest idle first.
type connList struct {
	first, last *Conn
	n           int
}

func (q *connList) push(c *Conn) {
	c.isIdle = true
	c.idlePrev, c.idleNext = q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.idleNext = c
	}
	q.last = c
	q.n++
}

func (q *connList) remove(c *Conn) {
	if !c.isIdle {
		return
	}
	c.isIdle = false
	if c.idlePrev == nil {
		q.first = c.idleNext
	} else {
		c.idlePrev.idleNext = c.idleNext
	}
	if c.idleNext == nil {
		q.last = c.idlePrev
	} else {
		c.idleNext.idlePrev = c.idlePrev
	}
	c.idlePrev, c.idleNext = nil, nil
	q.n--
}
