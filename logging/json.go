package logging

import (
	"time"

	"github.com/rs/zerolog"
)

// jsonWriter writes lines as JSON objects: level, time, pid, the number of the
// connection, the message, and what stands behind it in the text format.
type jsonWriter struct {
	log zerolog.Logger
	buf []byte
}

func (j *jsonWriter) init() { j.log = zerolog.New(j) }

// Write keeps what zerolog has made.
func (j *jsonWriter) Write(p []byte) (int, error) {
	j.buf = append(j.buf, p...)
	return len(p), nil
}

// line makes an object of the line, whose buffer ends with its newline.
func (j *jsonWriter) line(ln *Line) []byte {
	j.buf = j.buf[:0]
	end := len(ln.buf) - 1
	e := j.log.Log().Str("level", ln.lv.String())
	var stamp [len(time.RFC3339Nano)]byte
	e = e.Bytes("time", ln.now.AppendFormat(stamp[:0], "2006-01-02T15:04:05.000Z07:00"))
	e = e.Int("pid", ln.log.pidNum)
	if ln.conn != 0 {
		e = e.Uint64("connection", ln.conn)
	}
	msgEnd := end
	if len(ln.attrs) > 0 {
		msgEnd = min(ln.attrs[0].start, end)
	}
	for _, a := range ln.attrs {
		if a.value >= end {
			break
		}
		e = e.Bytes(a.name, ln.buf[a.value:min(a.end, end)])
	}
	e.Bytes("message", ln.buf[ln.msg:msgEnd]).Send()
	return j.buf
}
