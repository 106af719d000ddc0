package http

import "errors"

// ErrChunked is the error for a chunked body that does not follow the grammar; the answer is 400.
var ErrChunked = errors.New("client sent invalid chunked body")

// States of the chunked decoder.
const (
	ckStart uint8 = iota
	ckSize
	ckExtension
	ckSizeLF
	ckData
	ckDataCR
	ckDataLF
	ckTrailerStart
	ckTrailer
	ckTrailerLF
	ckEndLF
	ckDone
)

// Limits that no honest client meets: bytes of a chunk's size line, and of the trailers together.
const (
	maxChunkLine = 4096
	maxTrailers  = 32768
)

// ChunkedDecoder takes the chunked coding off a body, piece by piece. The zero value is ready.
type ChunkedDecoder struct {
	state uint8
	last  bool  // the chunk is the one of size 0
	size  int64 // bytes of the chunk's data still to come
	line  int   // bytes of the size line, or of the trailers

	HoldTrailers bool // Next stops in front of the trailers; they, and the empty line, are for EndTrailers' caller
}

// Done tells that the body is complete.
func (d *ChunkedDecoder) Done() bool { return d.state == ckDone }

// Next consumes bytes of buf up to and including the next run of body data: data is a part of buf, used the number of
// bytes consumed. It is called again with the rest of the buffer until used is 0 or Done says true; bytes behind the
// body are never consumed. Data is empty when buf ends, or the body is complete.
func (d *ChunkedDecoder) Next(buf []byte) (data []byte, used int, err error) {
	p := 0
	for p < len(buf) && d.state != ckDone && !d.AtTrailers() {
		if d.state == ckData {
			n := len(buf) - p
			if int64(n) > d.size {
				n = int(d.size)
			}
			d.size -= int64(n)
			if d.size == 0 {
				d.state = ckDataCR
			}
			return buf[p : p+n], p + n, nil
		}
		if !d.step(buf[p]) {
			return nil, p, ErrChunked
		}
		p++
	}
	return nil, p, nil
}

// step takes one byte that is not body data.
func (d *ChunkedDecoder) step(c byte) bool {
	d.line++
	switch d.state {
	case ckStart:
		h := hexDigit[c]
		d.size = int64(h)
		d.line = 1
		d.state = ckSize
		return h >= 0
	case ckSize:
		h := hexDigit[c]
		if h >= 0 {
			// Leading zeros are no overflow; the limit leaves room for what Left adds.
			ok := d.size < (1<<63-1)/16
			d.size = d.size<<4 | int64(h)
			return ok && d.line <= maxChunkLine
		}
		d.last = d.size == 0
		switch c {
		case '\r':
			d.state = ckSizeLF
		case ';', ' ', '\t':
			d.state = ckExtension
		default:
			return false
		}
	case ckExtension:
		if c == '\r' {
			d.state = ckSizeLF
		}
		return c != '\n' && d.line <= maxChunkLine
	case ckSizeLF:
		d.state = ckData
		if d.last {
			d.state = ckTrailerStart
			d.line = 0
		}
		return c == '\n'
	case ckDataCR:
		d.state = ckDataLF
		return c == '\r'
	case ckDataLF:
		d.state = ckStart
		return c == '\n'
	case ckTrailerStart:
		d.state = ckTrailer
		if c == '\r' {
			d.state = ckEndLF
		}
		return c != '\n'
	case ckTrailer:
		if c == '\r' {
			d.state = ckTrailerLF
		}
		return c != '\n' && d.line <= maxTrailers
	case ckTrailerLF:
		d.state = ckTrailerStart
		return c == '\n'
	case ckEndLF:
		d.state = ckDone
		return c == '\n'
	}
	return true
}

// AtTrailers tells, with HoldTrailers, that only the trailers are to come.
func (d *ChunkedDecoder) AtTrailers() bool { return d.HoldTrailers && d.state == ckTrailerStart }

// EndTrailers ends the body behind its trailers.
func (d *ChunkedDecoder) EndTrailers() { d.state = ckDone }

// Left is the least number of bytes that must still come before the body is complete; the engine does not read less.
func (d *ChunkedDecoder) Left() int64 {
	const tail = 5 // "0" CRLF CRLF
	switch d.state {
	case ckDone:
		return 0
	case ckData:
		return d.size + 2 + tail
	case ckDataCR:
		return 2 + tail
	case ckDataLF:
		return 1 + tail
	case ckSizeLF:
		if d.last {
			return 3
		}
		return 1 + d.size + 2 + tail
	case ckSize, ckExtension:
		if d.size == 0 {
			return 4
		}
		return 2 + d.size + 2 + tail
	case ckTrailerStart:
		return 2
	case ckTrailer:
		return 4
	case ckTrailerLF:
		return 3
	case ckEndLF:
		return 1
	}
	return tail
}

const lastChunk = "0\r\n\r\n"

// AppendChunkSize appends a chunk's size line; the data and a CRLF follow it. A size of 0 would end the body and must
// not be asked for: AppendLastChunk does that.
func AppendChunkSize(dst []byte, size int) []byte {
	const digits = "0123456789abcdef"
	var b [16]byte
	i := len(b)
	for n := uint64(size); ; n >>= 4 {
		i--
		b[i] = digits[n&15]
		if n < 16 {
			break
		}
	}
	dst = append(dst, b[i:]...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the end of a chunked body.
func AppendLastChunk(dst []byte) []byte { return append(dst, lastChunk...) }
