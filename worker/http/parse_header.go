package http

import "bytes"

// States of the header parser.
const (
	hlStart uint8 = iota
	hlName
	hlSpaces
	hlValue
	hlLF
	hlEmptyLF
)

// lowcase is the lower case of bytes that may stand in a header name, and 0 for all others.
var lowcase = func() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] = byte(c)
		t[c-'a'+'A'] = byte(c)
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = byte(c)
	}
	t['-'] = '-'
	return t
}()

// HeaderLine parses header lines, one after the other. Its fields are offsets into the buffer that Parse gets, so
// that they hold when the engine moves the unfinished line to a larger buffer. The zero value with Pos set to the
// first byte behind the request line is ready.
type HeaderLine struct {
	state   uint8
	Invalid bool     // the name has a byte that nginx ignores the line for (ignore_invalid_headers)
	ID      HeaderID // of the header if it is a known one
	hash    uint32

	Pos             int // next byte to look at
	Start           int // first byte of the line, and of the name
	NameEnd         int
	Value, ValueEnd int // without the spaces around it
	BadByte         int // after ParseBadHeader: the byte that is not allowed; of a bare CR, the CR
}

// Rebase makes the offsets relative to the line's start; the engine calls it when it moves the unfinished line to
// the beginning of another buffer.
func (h *HeaderLine) Rebase() {
	d := h.Start
	h.Pos -= d
	h.NameEnd -= d
	h.Value -= d
	h.ValueEnd -= d
	h.Start = 0
}

// Idle tells that the parser stands between two lines, so that nothing need be copied to another buffer.
func (h *HeaderLine) Idle() bool { return h.state == hlStart }

// Parse goes on where the last call stopped. ParseDone: one line is complete; ParseHeaderDone: the empty line.
// Lines end with CRLF and with nothing else; folded lines are refused.
func (h *HeaderLine) Parse(buf []byte, underscores bool) ParseStatus {
	p := h.Pos
	for p < len(buf) {
		c := buf[p]
		switch h.state {
		case hlStart:
			h.Start, h.Invalid, h.hash, h.ID = p, false, 0, HeaderOther
			if c == '\r' {
				h.state = hlEmptyLF
				p++
				continue
			}
			if c <= 0x20 || c == 0x7f || c == ':' {
				return h.bad(p)
			}
			h.state = hlName
		case hlName:
			var ok bool
			if p, ok = h.parseName(buf, p, underscores); !ok {
				return h.bad(p)
			}
			continue
		case hlSpaces:
			if c == ' ' {
				p++
				continue
			}
			h.Value = p
			h.state = hlValue
		case hlValue:
			end := bytes.IndexByte(buf[p:], '\r')
			part := buf[p:]
			if end >= 0 {
				part = part[:end]
			}
			if i := bytes.IndexByte(part, '\n'); i >= 0 {
				return h.bad(p + i)
			}
			if i := bytes.IndexByte(part, 0); i >= 0 {
				return h.bad(p + i)
			}
			p += len(part)
			if end >= 0 {
				h.ValueEnd = p
				h.state = hlLF
				p++
			}
		case hlLF:
			if c != '\n' {
				return h.bad(p - 1)
			}
			for h.ValueEnd > h.Value && buf[h.ValueEnd-1] == ' ' {
				h.ValueEnd--
			}
			if !h.Invalid {
				h.ID = lookupHeader(h.hash, buf[h.Start:h.NameEnd])
			}
			h.state = hlStart
			h.Pos = p + 1
			return ParseDone
		case hlEmptyLF:
			if c != '\n' {
				return h.bad(p - 1)
			}
			h.state = hlStart
			h.Pos = p + 1
			return ParseHeaderDone
		}
	}
	h.Pos = p
	return ParseAgain
}

// parseName goes through the name and its colon. As in nginx, a line without a colon is a header with an empty value.
func (h *HeaderLine) parseName(buf []byte, p int, underscores bool) (int, bool) {
	hash := h.hash
	for ; p < len(buf); p++ {
		c := buf[p]
		if l := lowcase[c]; l != 0 {
			hash = headerHash(hash, l)
			continue
		}
		switch {
		case c == ':':
			h.NameEnd = p
			h.hash = hash
			h.state = hlSpaces
			return p + 1, true
		case c == '\r':
			h.NameEnd, h.Value, h.ValueEnd = p, p, p
			h.hash = hash
			h.state = hlLF
			return p + 1, true
		case c <= 0x20 || c == 0x7f:
			return p, false
		case c == '_' && underscores:
			hash = headerHash(hash, c)
		default:
			h.Invalid = true
		}
	}
	h.hash = hash
	return p, true
}

func (h *HeaderLine) bad(p int) ParseStatus {
	h.Pos, h.BadByte = p, p
	return ParseBadHeader
}
