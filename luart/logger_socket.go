package luart

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"
)

// maxBatch is how much is written to a log server at once.
const maxBatch = 64 << 10

// Times of a sink.
const (
	sinkPause    = time.Second      // after all the retries, before the next ones
	sinkPatience = 5 * time.Second  // that a worker which is to end has for a server that fails
	sinkReports  = 10 * time.Second // between two messages about losses
	sinkPoll     = 5 * time.Millisecond
)

// sinkConfig is where a sink sends to, and how.
type sinkConfig struct {
	to            Endpoint
	name          string // to look up for to.IP, or ""
	udp           bool
	ssl, verify   bool
	serverName    string
	flushLimit    int
	dropLimit     int
	retries       int
	timeout       time.Duration
	retryInterval time.Duration
	periodic      time.Duration // 0 for none
	keep          bool          // the connection, when all is sent
}

// sink sends messages to a log server: those that are logged go into a queue, and a task of the loop takes them out in their
// order. A message leaves the queue when all of it is written, and is forgotten when the server's kernel has it: what a broken
// connection has swallowed is sent again, and nothing else is.
type sink struct {
	rt       *Runtime
	cfg      sinkConfig
	settings *Settings

	queue []string // from head on
	head  int
	size  int // of all that are in the queue

	conn    Stream
	written int64  // on this connection
	sent    []sent // written, but perhaps not received
	batch   []byte

	running  bool // the task is
	held     bool // and keeps the worker from ending
	pause    Waiter
	timer    Timer // of periodic
	attempts int
	failing  bool      // the error log knows
	deadline time.Time // for a server that fails while the worker is to end
	err      string    // for the next call of log

	stats           sinkStats
	unreported      int64 // messages lost that the error log does not know of
	unreportedBytes int64
	reported        time.Time
}

// sent is a message that was written.
type sent struct {
	msg string
	end int64 // of it, among what was written on the connection
}

type sinkStats struct{ sent, sentBytes, lost, lostBytes, failures int64 }

// ackedStream is a stream of TCP, which knows what its peer has received.
type ackedStream interface {
	Stream
	// Unacked is how many bytes the peer has not confirmed; dead says that it will not.
	Unacked() (n int, dead bool)
	// Abort closes the connection without sending what is still to be sent.
	Abort()
}

// ending reports whether the worker is to end.
func (s *sink) ending() bool { return s.rt.loggers.ending || s.rt.cfg.Worker.Exiting() }

func (s *sink) waiting() bool { return s.head < len(s.queue) }

// add takes a message; it reports whether there was room.
func (s *sink) add(msg string) bool {
	if s.size+len(msg) > s.cfg.dropLimit {
		s.lose(1, len(msg))
		s.report(false)
		s.start()
		return false
	}
	s.queue = append(s.queue, msg)
	s.size += len(msg)
	if s.size >= s.cfg.flushLimit || s.ending() {
		s.start()
	}
	return true
}

// start has the queue sent.
func (s *sink) start() {
	ending := s.ending()
	if !s.waiting() && !s.running && (s.conn == nil || !ending) {
		return
	}
	if ending {
		s.hold()
	}
	if !s.running {
		s.running = true
		s.rt.cfg.Loop.Go(s.run)
	}
}

func (s *sink) hold() {
	if !s.held && s.rt.cfg.Timers.Hold != nil {
		s.held = true
		s.rt.cfg.Timers.Hold()
	}
}

// run is the task.
func (s *sink) run() {
	for s.waiting() {
		if err := s.deliver(); err != nil && !s.retry(err) {
			break
		}
	}
	if s.conn != nil && (!s.cfg.keep || s.ending()) {
		s.disconnect()
		if s.waiting() {
			s.rt.cfg.Loop.Go(s.run)
			return
		}
	}
	s.running = false
	s.report(true)
	if s.held {
		s.held = false
		s.rt.cfg.Timers.Release()
	}
	s.rt.loggers.idle()
}

// deliver sends a part of the queue.
func (s *sink) deliver() error {
	if err := s.connect(); err != nil {
		return err
	}
	err := error(nil)
	if s.cfg.udp {
		err = s.sendDatagrams()
	} else {
		err = s.sendBatch()
	}
	if err != nil {
		s.disconnect()
		return err
	}
	s.attempts, s.deadline = 0, time.Time{}
	if s.failing {
		s.failing = false
		s.log(LevelNotice, "sends to "+s.address()+" again")
	}
	return nil
}

// connect makes a connection unless there is one.
func (s *sink) connect() error {
	if s.conn != nil {
		if s.cfg.udp || !s.conn.PeerClosed() {
			return nil
		}
		s.disconnect()
	}
	cfg, settings := &s.rt.cfg, s.settings
	to := s.cfg.to
	if s.cfg.name != "" {
		socket := settings.Socket
		if socket == nil {
			socket = &DefaultSocketSettings
		}
		var addrs []netip.Addr
		addrs, err := cfg.Net.Lookup(socket, s.cfg.name).Addrs()
		if err != nil {
			return err
		}
		to.IP = addrs[rand.IntN(len(addrs))]
	}
	conn, err := cfg.Net.Dial(&Dial{To: to, Datagram: s.cfg.udp})
	if err != nil {
		return err
	}
	if !s.cfg.udp {
		err = conn.Connected(s.cfg.timeout)
	}
	if err == nil && s.cfg.ssl {
		var secure SecureStream
		h := &Handshake{Settings: settings.TLS, Name: s.cfg.serverName, Verify: s.cfg.verify}
		if secure, err = cfg.Net.StartTLS(conn, h, s.cfg.timeout); err == nil {
			s.conn = secure
		}
	} else if err == nil {
		s.conn = conn
	}
	if err != nil {
		conn.Close()
		return err
	}
	s.written, s.sent = 0, s.sent[:0]
	s.conn.OnIdle(s.stir)
	return nil
}

// sendBatch writes the next messages.
func (s *sink) sendBatch() error {
	s.batch = s.batch[:0]
	count := 0
	for _, msg := range s.queue[s.head:] {
		if count > 0 && len(s.batch)+len(msg) > maxBatch {
			break
		}
		s.batch = append(s.batch, msg...)
		count++
	}
	n, err := s.conn.Write(s.batch, s.cfg.timeout)
	for ; count > 0 && len(s.queue[s.head]) <= n; count-- {
		msg := s.pop()
		s.written += int64(len(msg))
		s.sent = append(s.sent, sent{msg, s.written})
		n -= len(msg)
	}
	s.written += int64(n) // of a message that is not complete
	s.forget()
	if cap(s.batch) > 2*maxBatch {
		s.batch = nil
	}
	return err
}

// acked is the connection if what its peer has not received are bytes of messages.
func (s *sink) acked() ackedStream {
	if s.cfg.udp || s.cfg.ssl || s.cfg.to.Path != "" {
		return nil
	}
	c, _ := s.conn.(ackedStream)
	return c
}

// forget drops what the server has received; of a connection that does not know, all that was written.
func (s *sink) forget() {
	received := s.written
	if c := s.acked(); c != nil {
		n, _ := c.Unacked()
		received -= int64(n)
	}
	i := 0
	for i < len(s.sent) && s.sent[i].end <= received {
		s.stats.sent++
		s.stats.sentBytes += int64(len(s.sent[i].msg))
		i++
	}
	s.sent = append(s.sent[:0], s.sent[i:]...)
	clear(s.sent[len(s.sent):cap(s.sent)])
}

// sendDatagrams sends each message as one.
func (s *sink) sendDatagrams() error {
	for waited := time.Duration(0); s.waiting(); {
		msg := s.queue[s.head]
		_, err := s.conn.Write(bytesOf(msg), s.cfg.timeout)
		switch {
		case err == nil:
			s.pop()
			s.stats.sent++
			s.stats.sentBytes += int64(len(msg))
			waited = 0
		case err == syscall.EMSGSIZE:
			s.pop()
			s.lose(1, len(msg))
			s.err = errorText(err)
			s.log(LevelError, fmt.Sprintf("message of %d bytes does not fit into a datagram", len(msg)))
		case err == syscall.EAGAIN || err == syscall.ENOBUFS:
			if waited += sinkPoll; waited > s.cfg.timeout {
				return ErrTimeout
			}
			if !s.sleep(sinkPoll) {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// pop takes the first message out of the queue.
func (s *sink) pop() string {
	msg := s.queue[s.head]
	s.queue[s.head] = ""
	s.head++
	s.size -= len(msg)
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
		if cap(s.queue) > 4096 {
			s.queue = nil
		}
	}
	return msg
}

// unconfirmed reports whether the server has not received everything that was written.
func (s *sink) unconfirmed() bool {
	s.forget()
	return len(s.sent) > 0
}

// disconnect closes the connection; what the server has not received is in the queue again, before everything else.
func (s *sink) disconnect() {
	conn := s.conn
	if conn == nil {
		return
	}
	acked := s.acked()
	if acked != nil {
		// A server that has only ended its own sending still confirms what it gets.
		for waited := time.Duration(0); s.unconfirmed(); waited += sinkPoll {
			if _, dead := acked.Unacked(); dead || waited > s.cfg.timeout || !s.sleep(sinkPoll) {
				break
			}
		}
	}
	s.conn = nil
	conn.OnIdle(nil)
	if acked == nil || len(s.sent) == 0 {
		s.drain(conn)
		conn.Close()
		return
	}
	acked.Abort()
	again := make([]string, 0, len(s.sent)+len(s.queue)-s.head)
	for _, x := range s.sent {
		again = append(again, x.msg)
		s.size += len(x.msg)
	}
	s.queue, s.head = append(again, s.queue[s.head:]...), 0
	s.sent = s.sent[:0]
}

// drain reads what the server has sent: closing a connection with something unread resets it, and the server may lose what it has
// not read yet.
func (s *sink) drain(conn Stream) {
	var b [512]byte
	for i := 0; i < 1024 && !conn.PeerClosed() && !conn.Quiet(); i++ {
		if _, err := conn.Read(b[:], time.Millisecond); err != nil {
			return
		}
	}
}

// stir is called when something happens to the connection and nothing is being sent.
func (s *sink) stir() {
	if s.running {
		return
	}
	s.running = true
	s.rt.cfg.Loop.Go(func() {
		if s.conn != nil {
			if s.drain(s.conn); s.conn.PeerClosed() {
				s.disconnect()
			}
		}
		s.run()
	})
}

// sleep reports whether the loop goes on.
func (s *sink) sleep(d time.Duration) bool {
	err := s.pause.Park(d)
	return err == nil || err == ErrTimeout
}

// retry waits before the next attempt; it reports false when there is to be none.
func (s *sink) retry(err error) bool {
	s.stats.failures++
	s.err = errorText(err)
	s.attempts++
	pause := s.cfg.retryInterval
	if s.attempts > s.cfg.retries {
		s.attempts = 0
		pause = max(pause, sinkPause)
		if !s.failing {
			s.failing = true
			s.log(LevelError, fmt.Sprintf("cannot send to %s: %s; %d bytes wait", s.address(), s.err, s.size))
		}
	}
	if s.ending() {
		now := s.rt.cfg.Loop.Now()
		if s.deadline.IsZero() {
			s.deadline = now.Add(sinkPatience)
		}
		if now.After(s.deadline) {
			s.loseAll()
			return false
		}
		pause = min(max(s.cfg.retryInterval, 10*time.Millisecond), sinkPause)
	}
	if !s.sleep(max(pause, time.Millisecond)) {
		s.loseAll()
		return false
	}
	return true
}

func (s *sink) lose(n, size int) {
	s.stats.lost += int64(n)
	s.stats.lostBytes += int64(size)
	s.unreported += int64(n)
	s.unreportedBytes += int64(size)
}

// loseAll gives the queue up.
func (s *sink) loseAll() {
	s.lose(len(s.queue)-s.head, s.size)
	s.queue, s.head, s.size = nil, 0, 0
}

// report tells the error log of losses, not too often unless it is the last time.
func (s *sink) report(last bool) {
	now := s.rt.cfg.Loop.Now()
	if s.unreported == 0 || !last && now.Sub(s.reported) < sinkReports {
		return
	}
	s.log(LevelError, fmt.Sprintf("%d messages for %s lost, %d bytes", s.unreported, s.address(), s.unreportedBytes))
	s.reported, s.unreported, s.unreportedBytes = now, 0, 0
}

func (s *sink) log(lv Level, text string) {
	logText(s.rt.cfg.Log, lv, "resty.logger.socket: "+text)
}

// address names the server.
func (s *sink) address() string {
	if s.cfg.name != "" {
		return s.cfg.name + ":" + itoa(s.cfg.to.Port)
	}
	return s.cfg.to.String()
}

// tick is the periodic flush.
func (s *sink) tick() {
	s.start()
	if !s.ending() {
		s.timer.Set(s.cfg.periodic)
	}
}

// loggers are the sinks of a runtime.
type loggers struct {
	all    []*sink
	ending bool   // the worker is to end
	wait   Waiter // of FlushLoggers
}

// idle is called when a sink has nothing to do any more.
func (l *loggers) idle() {
	if l.wait != nil && !l.busy() {
		l.wait.Wake(nil)
	}
}

func (l *loggers) busy() bool {
	for _, s := range l.all {
		if s.running {
			return true
		}
	}
	return false
}

// DrainLoggers has the log servers get what waits for them, in a worker that is to end; it does not before that is done, or has
// failed for a time.
func (rt *Runtime) DrainLoggers() {
	rt.loggers.ending = true
	for _, s := range rt.loggers.all {
		s.start()
		s.pause.Wake(nil)
	}
}

// FlushLoggers waits until everything is sent, within the timeout: for the very end of a worker. What is left then is lost.
func (rt *Runtime) FlushLoggers(timeout time.Duration) {
	l := &rt.loggers
	rt.DrainLoggers()
	if l.busy() {
		l.wait = rt.cfg.Loop.NewWaiter()
		_ = l.wait.Park(timeout)
		l.wait = nil
	}
	for _, s := range l.all {
		if s.waiting() {
			s.loseAll()
		}
		s.report(true)
	}
}
