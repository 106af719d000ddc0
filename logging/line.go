package logging

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// maxLine is the longest line of an error log with its newline
	// (NGX_MAX_ERROR_STR); what is longer loses its end.
	maxLine = 2048
	// errnoRoom is what nginx keeps free for a system error.
	errnoRoom = 50

	consolePrefix = "nginx: "
)

// Line is a message under way to a Log. It is got from Begin, appended to,
// and given back by End; it must not be used after that. A nil Line takes
// everything and does nothing, so a caller need not ask whether the level is
// enabled when what it appends costs nothing.
type Line struct {
	log  *Log
	lv   Level
	conn uint64
	now  time.Time

	buf   []byte
	pri   []byte // the line again, behind its priority for the journal
	json  jsonWriter
	msg   int // where the message begins
	attrs []attr
}

// attr is a ", name: value" behind the message, as offsets into the buffer.
type attr struct {
	name       string
	start      int // of the ", "
	value, end int
}

var lines = sync.Pool{New: func() any {
	ln := &Line{buf: make([]byte, 0, maxLine+256), attrs: make([]attr, 0, 8)}
	ln.json.init()
	return ln
}}

// Begin starts a line, or returns nil when no target takes the level.
func (l *Log) Begin(lv Level, conn uint64) *Line {
	if !l.Enabled(lv) {
		return nil
	}
	ln := lines.Get().(*Line)
	now, stamp := l.time()
	ln.log, ln.lv, ln.conn, ln.now = l, lv, conn, now
	ln.buf = appendHeader(ln.buf[:0], stamp, lv, l.pid, conn)
	ln.msg = len(ln.buf)
	ln.attrs = ln.attrs[:0]
	return ln
}

// room returns how much of the line is free.
func (ln *Line) room() int { return maxLine - len(ln.buf) }

// Str appends text to the message.
func (ln *Line) Str(s string) *Line {
	if ln != nil {
		ln.buf = append(ln.buf, s[:min(len(s), ln.room())]...)
	}
	return ln
}

// Bytes appends text to the message.
func (ln *Line) Bytes(b []byte) *Line {
	if ln != nil {
		ln.buf = append(ln.buf, b[:min(len(b), ln.room())]...)
	}
	return ln
}

// Int appends a number to the message.
func (ln *Line) Int(n int64) *Line {
	if ln != nil {
		ln.buf = strconv.AppendInt(ln.buf, n, 10)
		ln.clip()
	}
	return ln
}

// Printf appends formatted text to the message.
func (ln *Line) Printf(format string, args ...any) *Line {
	if ln != nil {
		ln.buf = fmt.Appendf(ln.buf, format, args...)
		ln.clip()
	}
	return ln
}

// Write appends text to the message; it is for package fmt and never fails.
func (ln *Line) Write(b []byte) (int, error) {
	ln.Bytes(b)
	return len(b), nil
}

func (ln *Line) clip() {
	if len(ln.buf) > maxLine {
		ln.buf = ln.buf[:maxLine]
	}
}

// Errno appends " (2: No such file or directory)", for which a long message
// is cut short.
func (ln *Line) Errno(errno syscall.Errno) *Line {
	if ln == nil {
		return nil
	}
	if len(ln.buf) > maxLine-errnoRoom {
		ln.buf = append(ln.buf[:maxLine-errnoRoom], "..."...)
	}
	ln.buf = AppendErrno(append(ln.buf, ' '), errno)
	ln.clip()
	return ln
}

// Err appends the system error that err wraps, or else the text of err in
// parentheses; nothing if err is nil.
func (ln *Line) Err(err error) *Line {
	if ln == nil || err == nil {
		return ln
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return ln.Errno(errno)
	}
	return ln.Str(" (").Str(err.Error()).Str(")")
}

// Attr appends `, name: value` behind the message, or a field of that name in
// JSON. The message proper is complete before the first Attr. As in nginx,
// debug messages carry none.
func (ln *Line) Attr(name string, value []byte) *Line { return attrTo(ln, name, value, false) }

// AttrStr is Attr for a string.
func (ln *Line) AttrStr(name, value string) *Line { return attrTo(ln, name, value, false) }

// AttrQuoted appends `, name: "value"`.
func (ln *Line) AttrQuoted(name string, value []byte) *Line { return attrTo(ln, name, value, true) }

// AttrQuotedStr is AttrQuoted for a string.
func (ln *Line) AttrQuotedStr(name, value string) *Line { return attrTo(ln, name, value, true) }

func attrTo[T string | []byte](ln *Line, name string, value T, quoted bool) *Line {
	if ln == nil || ln.lv == Debug {
		return ln
	}
	a := attr{name: name, start: len(ln.buf)}
	ln.Str(", ").Str(name).Str(": ")
	if quoted {
		ln.Str("\"")
	}
	a.value = len(ln.buf)
	ln.buf = append(ln.buf, value[:min(len(value), ln.room())]...)
	a.end = len(ln.buf)
	if quoted {
		ln.Str("\"")
	}
	ln.attrs = append(ln.attrs, a)
	return ln
}

// End writes the line to every target that takes its level.
func (ln *Line) End() {
	if ln == nil {
		return
	}
	ln.buf = append(clip(ln.buf), '\n')
	if f := ln.log.capture.Load(); f != nil {
		(*f)(ln.lv, ln.now, ln.buf[:len(ln.buf)-1])
	}
	wroteStderr := false
	for _, t := range ln.log.targets {
		if t.level < ln.lv && !ln.log.all {
			break
		}
		if t.format == JSON {
			t.put(ln, ln.json.line(ln))
		} else {
			t.put(ln, ln.buf)
		}
		wroteStderr = wroteStderr || (t.file != nil && t.file.FD() == 2)
	}
	if !wroteStderr && ln.lv <= Warn && ln.log.console.Load() {
		ln.toConsole()
	}
	ln.log = nil
	lines.Put(ln)
}

// clip leaves room for the newline.
func clip(line []byte) []byte {
	if len(line) > maxLine-1 {
		return line[:maxLine-1]
	}
	return line
}

// toConsole writes "nginx: [emerg] message" to standard error.
func (ln *Line) toConsole() {
	head := make([]byte, 0, maxLine)
	if stderrIsJournal() {
		head = appendPriority(head, ln.lv)
	}
	head = append(head, consolePrefix...)
	head = append(head, '[')
	head = append(head, ln.lv.label()...)
	head = append(head, "] "...)
	writeConsole(append(head, ln.buf[ln.msg:]...))
}
