package logging

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Format is how a target of an error log writes its lines.
type Format int

// Text is nginx's format; JSON is one object a line, by zerolog.
const (
	Text Format = iota
	JSON
)

// target is one place that an error log writes to: a file, or one of the others.
type target struct {
	file   *File
	syslog *Syslog
	memory *Memory
	level  Level
	format Format
}

// put writes a line, which ends with its newline.
func (t *target) put(ln *Line, line []byte) {
	switch {
	case t.syslog != nil:
		if err := t.syslog.send(max(int(ln.lv-Emerg), 0), line[:len(line)-1]); err != nil {
			t.syslog.Complain(ln.log, err)
		}
	case t.memory != nil:
		t.memory.put(line)
	case t.file.journal:
		ln.pri = append(appendPriority(ln.pri[:0], ln.lv), line...)
		_, _ = t.file.Write(ln.pri)
	default:
		// A line that cannot be written is counted, and complained about, by
		// its file.
		_, _ = t.file.Write(line)
	}
}

// Log is an error log: its targets and the level of each. Targets are added
// while a configuration is set up, by one goroutine; logging is then allowed
// from any.
type Log struct {
	targets []*target // most verbose first, as nginx sorts them
	level   Level
	all     bool // messages of level debug go to all targets
	*shared

	debugging *Log
}

// shared is what all logs of a process have in common.
type shared struct {
	now     atomic.Pointer[func() time.Time]
	stamp   atomic.Pointer[stamp]
	console atomic.Bool
	capture atomic.Pointer[func(lv Level, at time.Time, line []byte)]
	pid     []byte // "PID#TID: "
	pidNum  int
}

// stamp is the text of the time up to a second, made once in that second.
type stamp struct {
	second int64
	text   []byte
}

const stampLayout = "2006/01/02 15:04:05"

// New returns a log without targets, which takes no message until it has one.
func New() *Log {
	sh := &shared{pidNum: os.Getpid()}
	// The process is one to its log, as nginx is: the thread that the Go
	// runtime has picked for a write says nothing to a reader.
	sh.pid = fmt.Appendf(nil, "%d#%d: ", sh.pidNum, sh.pidNum)
	now := time.Now
	sh.now.Store(&now)
	return &Log{level: -1, shared: sh}
}

// Debugging returns the log with debug messages, which go to all its targets
// whatever their levels: that of a connection that debug_connection names.
func (l *Log) Debugging() *Log {
	if d := l.debugging; d != nil {
		return d
	}
	l.debugging = &Log{targets: l.targets, level: Debug, all: true, shared: l.shared}
	return l.debugging
}

// Sibling returns a log without targets that shares clock and console with l:
// the error_log of a server or location beside that of the process.
func (l *Log) Sibling() *Log { return &Log{level: -1, shared: l.shared} }

// Init returns the log of a process that has not read its configuration yet:
// the file errorLog (made absolute with prefix; standard error if empty) at
// level notice. A file that cannot be opened is reported on standard error,
// which then takes its place.
func Init(prefix, errorLog string) *Log {
	l := New()
	if errorLog == "" {
		l.Add(stderrFile(), Notice, Text)
		return l
	}
	path := errorLog
	if path[0] != '/' && prefix != "" {
		if prefix[len(prefix)-1] != '/' {
			prefix += "/"
		}
		path = prefix + path
	}
	f, err := OpenFile(path)
	if err != nil {
		Stderr("[alert] could not open error log file: " + err.Error())
		f = stderrFile()
	}
	l.Add(f, Notice, Text)
	return l
}

// Stderr writes "nginx: msg" to the standard error of the process: the form of
// all that nginx says outside of a log.
func Stderr(msg string) {
	line := make([]byte, 0, len(msg)+len(consolePrefix)+1)
	line = append(line, consolePrefix...)
	line = clip(append(line, msg...))
	writeConsole(append(line, '\n'))
}

func writeConsole(line []byte) {
	for {
		if _, err := syscall.Write(2, line); err != syscall.EINTR {
			return
		}
	}
}

// Add adds a target: messages of level lv and above go to the file.
func (l *Log) Add(f *File, lv Level, format Format) {
	l.add(&target{file: f, level: lv, format: format})
}

func (l *Log) add(t *target) {
	at := len(l.targets)
	for at > 0 && l.targets[at-1].level < t.level {
		at--
	}
	l.targets = append(l.targets, nil)
	copy(l.targets[at+1:], l.targets[at:])
	l.targets[at] = t
	l.level = l.targets[0].level
}

// Level returns the most verbose level of any target, -1 without targets.
func (l *Log) Level() Level { return l.level }

// Enabled reports whether any target takes messages of that level.
func (l *Log) Enabled(lv Level) bool { return lv <= l.level }

// File returns the most verbose target's file that is not standard error, or
// nil; the standard error of a daemon is pointed at it.
func (l *Log) File() *File {
	for _, t := range l.targets {
		if t.file != nil && !t.file.IsStderr() {
			return t.file
		}
	}
	return nil
}

// RedirectStderr points descriptor 2 at the log's file, so that what the
// runtime itself says when it dies is kept. It is repeated after a reopen.
func (l *Log) RedirectStderr() error {
	f := l.File()
	if f == nil || f.FD() < 0 {
		return nil
	}
	if err := syscall.Dup3(f.FD(), 2, 0); err != nil {
		return fmt.Errorf("dup2(STDERR_FILENO) failed %w", &sysError{err})
	}
	return nil
}

// SetClock makes now the source of the time in the lines of l and its
// siblings; an event loop gives the time that it has cached for the turn.
func (l *Log) SetClock(now func() time.Time) { l.now.Store(&now) }

// SetConsole sets whether messages of level warn and above also go to
// standard error, as "nginx: [emerg] …": on in a process until it has
// detached from its terminal.
func (l *Log) SetConsole(on bool) { l.console.Store(on) }

// SetCapture has f see each line that any target takes, without its newline. f is
// called from any goroutine, must not log, and must not keep the line.
func (l *Log) SetCapture(f func(lv Level, at time.Time, line []byte)) { l.capture.Store(&f) }

// time returns the time and its text up to the second.
func (sh *shared) time() (time.Time, []byte) {
	now := (*sh.now.Load())()
	second := now.Unix()
	s := sh.stamp.Load()
	if s == nil || s.second != second {
		s = &stamp{second: second, text: now.AppendFormat(nil, stampLayout)}
		sh.stamp.Store(s)
	}
	return now, s.text
}

// Log writes one message. conn is the number of the connection that it is
// about, 0 for none.
func (l *Log) Log(lv Level, conn uint64, msg string) {
	if l.Enabled(lv) {
		l.Begin(lv, conn).Str(msg).End()
	}
}

// Logf writes one message formatted by package fmt.
func (l *Log) Logf(lv Level, conn uint64, format string, args ...any) {
	if l.Enabled(lv) {
		l.Begin(lv, conn).Printf(format, args...).End()
	}
}

// LogErr writes one message and the system error behind it, as in
// "connect() failed (111: Connection refused)".
func (l *Log) LogErr(lv Level, conn uint64, err error, msg string) {
	if l.Enabled(lv) {
		l.Begin(lv, conn).Str(msg).Err(err).End()
	}
}

func appendHeader(dst []byte, stamp []byte, lv Level, pid []byte, conn uint64) []byte {
	dst = append(dst, stamp...)
	dst = append(dst, " ["...)
	dst = append(dst, lv.label()...)
	dst = append(dst, "] "...)
	dst = append(dst, pid...)
	if conn != 0 {
		dst = append(dst, '*')
		dst = strconv.AppendUint(dst, conn, 10)
		dst = append(dst, ' ')
	}
	return dst
}

// label is the name between the brackets of a line; nginx has none for level 0.
func (lv Level) label() string {
	if lv == LevelStderr {
		return ""
	}
	return lv.String()
}
