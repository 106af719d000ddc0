package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Type says what a message means.
type Type uint8

// The messages. The first group goes from a worker to the master, the second from the master to a worker.
const (
	// Init: the configuration is parsed and init_by_lua has run.
	Init Type = 1 + iota
	// Ready: init_worker_by_lua has run, the worker accepts connections.
	Ready
	// Failed: the worker cannot start; Text says why. It exits after this.
	Failed
	// Beat: the heartbeat, sent every second from the worker's loop, with Stats.
	Beat
	// Draining: the worker accepts no more, as it was told; it needs its master no more.
	Draining
	// Dumped: what the worker's goroutines do is in the error log.
	Dumped

	// Quit: stop accepting, finish the requests, exit.
	Quit
	// Stop: exit now.
	Stop
	// Reopen: Paths[i] is now the log file whose descriptor is the i-th that comes with the message.
	Reopen
	// Adopt: accept from the reuseport sockets of Slot too, their worker is away.
	Adopt
	// Release: the worker of Slot is back, leave its reuseport sockets alone.
	Release
	// Dump: log what all goroutines do.
	Dump

	// Agent: Lua's init code asks for a privileged agent with so many Connections. It comes from a worker, before Init.
	Agent
)

// The messages between a master and the next one in an upgrade. These may be programs of different versions: numbers stay.
const (
	// Offer: Paths[i] describes the i-th descriptor that comes with the message.
	Offer Type = 100
	// Offered: that were all descriptors. Text is the state of the master.
	Offered Type = 101
	// Answer: Text is what the next master has to say.
	Answer Type = 102
)

var typeNames = [...]string{
	Init: "init", Ready: "ready", Failed: "failed", Beat: "beat", Draining: "draining", Dumped: "dumped",
	Agent: "agent", Quit: "quit", Stop: "stop", Reopen: "reopen", Adopt: "adopt", Release: "release", Dump: "dump",
	Offer: "offer", Offered: "offered", Answer: "answer",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Limits of a message. A SEQPACKET record is atomic and must fit the socket buffer; the kernel passes at most 253 descriptors with one.
const (
	MaxMessage = 64 << 10
	MaxFiles   = 64
)

// Stats is what a worker says about itself in each heartbeat.
type Stats struct {
	Accepted  uint64 // connections accepted since the start
	Requests  uint64 // requests since the start
	Active    uint64 // connections open now
	Waiting   uint64 // of these, idle keep-alive ones
	LuaMemory uint64 // bytes the Lua state holds
	Turns     uint64 // turns of the event loop
	Handovers uint64 // times the baton changed hands
	Parked    uint64 // goroutines that wait with a request

	Goroutines uint64 // all of the process
}

// Message is one record on the socket.
type Message struct {
	Type  Type
	Text  string   // Failed, Offered, Answer
	Stats Stats    // Beat
	Paths []string // Reopen, Offer
	Slot  int      // Adopt, Release

	Connections int // Agent
}

// leastStats is how many figures every version's heartbeat has.
const leastStats = 8

func (s *Stats) fields() [9]*uint64 {
	return [...]*uint64{&s.Accepted, &s.Requests, &s.Active, &s.Waiting, &s.LuaMemory, &s.Turns, &s.Handovers, &s.Parked, &s.Goroutines}
}

// Append adds the encoded message to b. A text that would not fit is cut.
func (m *Message) Append(b []byte) []byte {
	b = append(b, byte(m.Type))
	switch m.Type {
	case Failed, Offered, Answer:
		text := m.Text
		if len(text) > MaxMessage/2 {
			text = text[:MaxMessage/2]
		}
		b = appendString(b, text)
	case Beat:
		for _, f := range m.Stats.fields() {
			b = binary.AppendUvarint(b, *f)
		}
	case Reopen, Offer:
		b = binary.AppendUvarint(b, uint64(len(m.Paths)))
		for _, p := range m.Paths {
			b = appendString(b, p)
		}
	case Adopt, Release:
		b = binary.AppendUvarint(b, uint64(m.Slot))
	case Agent:
		b = binary.AppendUvarint(b, uint64(m.Connections))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var errShort = errors.New("message is cut short")

// Decode parses one record. Nothing in the result refers to b.
func Decode(b []byte) (Message, error) {
	var m Message
	if len(b) == 0 {
		return m, errShort
	}
	m.Type = Type(b[0])
	d := decoder{b: b[1:]}
	switch m.Type {
	case Init, Ready, Draining, Dumped, Quit, Stop, Dump:
	case Failed, Offered, Answer:
		m.Text = d.str()
	case Beat:
		// A worker of another version, left over from before an upgrade, may count less, or more.
		for i, f := range m.Stats.fields() {
			if i < leastStats || len(d.b) > 0 {
				*f = d.uvarint()
			}
		}
		for len(d.b) > 0 && d.err == nil {
			d.uvarint()
		}
	case Reopen, Offer:
		n := d.uvarint()
		if n > MaxFiles {
			return m, fmt.Errorf("%s names %d files, at most %d are allowed", m.Type, n, MaxFiles)
		}
		for range n {
			m.Paths = append(m.Paths, d.str())
		}
	case Adopt, Release:
		n := d.uvarint()
		if n > 1<<16 {
			return m, fmt.Errorf("slot %d is out of range", n)
		}
		m.Slot = int(n)
	case Agent:
		n := d.uvarint()
		if n > math.MaxInt32 {
			return m, fmt.Errorf("%d connections are out of range", n)
		}
		m.Connections = int(n)
	default:
		return m, fmt.Errorf("unknown message %s", m.Type)
	}
	if d.err != nil {
		return m, fmt.Errorf("%s: %w", m.Type, d.err)
	}
	if len(d.b) != 0 {
		return m, fmt.Errorf("%s: %d bytes too many", m.Type, len(d.b))
	}
	return m, nil
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string {
	n := d.uvarint()
	if d.err != nil {
		return ""
	}
	if n > uint64(len(d.b)) {
		d.err = errShort
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
