package luart

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/luart/vm"
)

// fileLog is a file of resty.logger.file. All loggers of a worker that have its
// path share it.
type fileLog struct {
	path    string
	file    *logging.File
	loggers int // that are open
	buffers map[bufferSettings]*sharedBuffer
}

type bufferSettings struct {
	size  int
	every time.Duration
}

// sharedBuffer is the buffer of all loggers with the same settings. It does not keep
// them alive.
type sharedBuffer struct {
	*logging.Buffer
	settings bufferSettings
	loggers  map[weak.Pointer[fileLogger]]struct{}
}

// failed tells the loggers that have an on_error of a write that nobody waited for.
func (b *sharedBuffer) failed(rt *Runtime, err error) {
	var all []*fileLogger
	for p := range b.loggers {
		if l := p.Value(); l != nil && l.onError.IsFunction() {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		return
	}
	c := &Ctx{rt: rt, phase: PhaseTimer, settings: rt.cfg.Settings, log: contextLogger{rt.cfg.Log, ", context: ngx.timer"}}
	for _, l := range all {
		t := rt.thread(c)
		rt.resumed(c)
		_, err := c.runEntry(t, l.onError, vm.String(writeError(err)))
		rt.release(t)
		rt.finish(c, err)
	}
	c.closeSockets()
	c.endPrograms()
	c.releaseTable(c.log)
}

// fileLogger is what Lua code has of it.
type fileLogger struct {
	rt      *Runtime
	log     *fileLog // nil when the logger is closed
	buffer  *sharedBuffer
	json    bool
	maxLine int
	onError vm.Value
}

// loggerJSON are the settings that JSON lines are encoded with.
var loggerJSON = func() *jsonConfig {
	cfg := newJSONConfig()
	cfg.escapeSlash, cfg.encodeInvalid, cfg.sparseConvert = false, jsonInvalidNull, true
	return cfg
}()

func openFileLogger(rt *Runtime) *vm.Table {
	methods := rt.fill(rt.vm.NewTable(0, 8), map[string]vm.GoFunction{
		"write":  loggerWrite,
		"json":   loggerEncode,
		"flush":  loggerFlush,
		"reopen": loggerReopen,
		"close":  loggerClose,
	})
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", methods.Value())
	mt.SetStr("__gc", rt.vm.NewFunction("__gc", loggerClose))
	tab := rt.vm.NewTable(0, 2)
	tab.SetStr("_VERSION", vm.String("0.1"))
	tab.SetStr("new", rt.vm.NewFunction("new", func(t *vm.Thread) int {
		opts, ok := t.Arg(t.NArgs()).AsTable()
		if !ok || opts == tab {
			return failure(t, "a table of options expected")
		}
		l := &fileLogger{rt: rt}
		if err := l.open(t, opts); err != "" {
			return failure(t, err)
		}
		t.Push(rt.vm.NewUserdata(l, mt).Value())
		return 1
	}))
	return tab
}

// failure pushes nil and the error.
func failure(t *vm.Thread, text string) int {
	t.PushNil()
	t.PushString(text)
	return 2
}

// open reads the options and opens the file, if no other logger has.
func (l *fileLogger) open(t *vm.Thread, opts *vm.Table) (failed string) {
	path, ok := opts.GetStr("path").AsString()
	if !ok || path == "" || strings.IndexByte(path, 0) >= 0 {
		return "path expected"
	}
	if !filepath.IsAbs(path) {
		path = l.rt.cfg.Prefix + path
	}
	path = filepath.Clean(path)
	mode, err := modeOption(opts.GetStr("mode"))
	if err != "" {
		return err
	}
	var buf bufferSettings
	if buf.size, err = sizeOption(opts, "buffer_size"); err != "" {
		return err
	}
	if l.maxLine, err = sizeOption(opts, "max_line"); err != "" {
		return err
	}
	if buf.every, err = flushOption(opts.GetStr("flush_interval")); err != "" {
		return err
	}
	switch f := opts.GetStr("format"); {
	case f.IsNil():
	default:
		s, _ := f.AsString()
		if s != "text" && s != "json" {
			return "format must be \"text\" or \"json\""
		}
		l.json = s == "json"
	}
	if l.onError = opts.GetStr("on_error"); !l.onError.IsNil() && !l.onError.IsFunction() {
		return "on_error must be a function"
	}
	return l.attach(strings.Clone(path), mode, buf)
}

// modeOption is a number, or a string in octal digits as chmod has it.
func modeOption(v vm.Value) (uint32, string) {
	const bad = "mode must be a number or a string of octal digits"
	if s, ok := v.AsString(); ok {
		n, err := strconv.ParseUint(s, 8, 12)
		if err != nil || n == 0 {
			return 0, bad
		}
		return uint32(n), ""
	}
	if v.IsNil() {
		return 0, ""
	}
	f, ok := v.AsNumber()
	if !ok || f < 1 || f > 0o7777 || f != math.Trunc(f) {
		return 0, bad
	}
	return uint32(f), ""
}

// maxLoggerSize is the largest buffer and the longest line that can be asked for.
const maxLoggerSize = 1 << 30

// sizeOption is a number of bytes, or a string as in the configuration: "64k".
func sizeOption(opts *vm.Table, name string) (int, string) {
	v := opts.GetStr(name)
	if v.IsNil() {
		return 0, ""
	}
	f, ok := v.AsNumber()
	if s, isString := v.AsString(); isString {
		unit := 1.0
		switch strings.ToLower(s[max(len(s)-1, 0):]) {
		case "k":
			unit, s = 1<<10, s[:len(s)-1]
		case "m":
			unit, s = 1<<20, s[:len(s)-1]
		}
		n, err := strconv.Atoi(s)
		f, ok = float64(n)*unit, err == nil
	}
	if !ok || !(f >= 0 && f <= maxLoggerSize) || f != math.Trunc(f) {
		return 0, name + " must be a size"
	}
	return int(f), ""
}

// flushOption is in seconds; 0 is never.
func flushOption(v vm.Value) (time.Duration, string) {
	if v.IsNil() {
		return time.Second, ""
	}
	f, ok := v.AsNumber()
	if !ok || !(f >= 0 && f <= 1e6) {
		return 0, "flush_interval must be a number of seconds"
	}
	return time.Duration(f * float64(time.Second)), ""
}

func (l *fileLogger) attach(path string, mode uint32, buf bufferSettings) (failed string) {
	files := l.rt.cfg.Files
	if files == nil {
		return "no log files here"
	}
	st := &l.rt.modules
	log := st.logs[path]
	if log == nil {
		f, err := files.Use(path, mode)
		if err != nil {
			return err.Error()
		}
		log = &fileLog{path: path, file: f}
		if st.logs == nil {
			st.logs = make(map[string]*fileLog)
		}
		st.logs[path] = log
	}
	log.loggers++
	l.log = log
	if buf.size == 0 {
		return ""
	}
	l.buffer = log.buffers[buf]
	if l.buffer == nil {
		b := &sharedBuffer{settings: buf, loggers: make(map[weak.Pointer[fileLogger]]struct{})}
		b.Buffer = files.NewBuffer(log.file, buf.size, buf.every, func(err error) {
			l.rt.cfg.Loop.Post(func() { b.failed(l.rt, err) })
		})
		l.buffer = b
		if log.buffers == nil {
			log.buffers = make(map[bufferSettings]*sharedBuffer)
		}
		log.buffers[buf] = l.buffer
	}
	l.buffer.loggers[weak.Make(l)] = struct{}{}
	return ""
}

// detach is the end of the logger; with the last one of a file that is closed. The
// error is that of its buffer.
func (l *fileLogger) detach() (err error) {
	log, files := l.log, l.rt.cfg.Files
	l.log = nil
	if b := l.buffer; b != nil {
		if delete(b.loggers, weak.Make(l)); len(b.loggers) == 0 {
			delete(log.buffers, b.settings)
			err = files.DropBuffer(b.Buffer)
		}
	}
	if log.loggers--; log.loggers == 0 {
		delete(l.rt.modules.logs, log.path)
		files.Drop(log.file)
	}
	return err
}

// checkLogger returns the logger of a method's call; nil when it is closed, with
// the results pushed.
func checkLogger(t *vm.Thread) *fileLogger {
	if u, ok := t.Arg(1).AsUserdata(); ok {
		if l, ok := u.Data.(*fileLogger); ok {
			if l.log == nil {
				failure(t, "closed")
				return nil
			}
			return l
		}
	}
	typeError(t, 1, "logger")
	return nil
}

func loggerWrite(t *vm.Thread) int {
	l := checkLogger(t)
	if l == nil {
		return 2
	}
	if l.json {
		return l.writeJSON(t)
	}
	buf := l.rt.scratch[:0]
	for i := 2; i <= max(t.NArgs(), 2); i++ {
		v := t.Arg(i)
		if s, ok := v.AsString(); ok {
			buf = append(buf, s...)
		} else if f, ok := v.AsNumber(); ok {
			buf = vm.AppendNumber(buf, f)
		} else {
			return l.fail(t, "string expected, got "+v.TypeName())
		}
	}
	return l.send(t, buf)
}

// loggerEncode is log:json.
func loggerEncode(t *vm.Thread) int {
	l := checkLogger(t)
	if l == nil {
		return 2
	}
	if v := t.Arg(2); !v.IsTable() {
		return l.fail(t, "table expected, got "+v.TypeName())
	}
	return l.writeJSON(t)
}

// writeJSON writes a table as a line of JSON, and text as the message of one.
func (l *fileLogger) writeJSON(t *vm.Thread) int {
	w := jsonWriter{cfg: loggerJSON, st: l.rt.jsonShared(), t: t, buf: l.rt.scratch[:0]}
	v := t.Arg(2)
	switch {
	case v.IsTable():
		w.value(v, 0)
	case v.IsString() || v.IsNumber():
		s, _ := v.ToStringCoerced()
		w.buf = append(w.buf, `{"time":"`...)
		w.buf = l.rt.cfg.Loop.Now().AppendFormat(w.buf, "2006-01-02T15:04:05.000Z07:00")
		w.buf = append(w.buf, `","pid":`...)
		w.buf = strconv.AppendInt(w.buf, int64(l.rt.cfg.Worker.PID()), 10)
		w.buf = append(w.buf, `,"message":`...)
		w.string(s)
		w.buf = append(w.buf, '}')
	default:
		w.err = "table or string expected, got " + v.TypeName()
	}
	if w.err != "" {
		l.rt.keepScratch(w.buf)
		return l.fail(t, w.err)
	}
	return l.send(t, w.buf)
}

// send writes a line that is in the scratch buffer, and gives that back.
func (l *fileLogger) send(t *vm.Thread, line []byte) int {
	if n := len(line); n == 0 || line[n-1] != '\n' {
		line = append(line, '\n')
	}
	l.rt.keepScratch(line)
	if l.maxLine > 0 && len(line)-1 > l.maxLine {
		return l.fail(t, "line of "+itoa(len(line)-1)+" bytes is too long")
	}
	if l.buffer != nil {
		_, err := l.buffer.Write(line)
		return l.done(t, err)
	}
	_, err := l.log.file.Write(line)
	return l.done(t, err)
}

// done pushes true, or what fail does.
func (l *fileLogger) done(t *vm.Thread, err error) int {
	if err != nil {
		return l.fail(t, writeError(err))
	}
	t.PushBool(true)
	return 1
}

func writeError(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		return "write() failed " + string(logging.AppendErrno(nil, errno))
	}
	return "write() failed (" + err.Error() + ")"
}

// fail pushes nil and the error, and tells on_error.
func (l *fileLogger) fail(t *vm.Thread, text string) int {
	if l.onError.IsFunction() {
		t.CallValue(l.onError, 0, vm.String(text))
	}
	return failure(t, text)
}

func loggerFlush(t *vm.Thread) int {
	l := checkLogger(t)
	if l == nil {
		return 2
	}
	if l.buffer == nil {
		return l.done(t, nil)
	}
	return l.done(t, l.buffer.FlushNow())
}

func loggerReopen(t *vm.Thread) int {
	l := checkLogger(t)
	if l == nil {
		return 2
	}
	for _, b := range l.log.buffers {
		if err := b.FlushNow(); err != nil {
			return l.fail(t, writeError(err))
		}
	}
	if err := l.log.file.Reopen(); err != nil {
		return l.fail(t, err.Error())
	}
	t.PushBool(true)
	return 1
}

// loggerClose is log:close, and what the collector calls.
func loggerClose(t *vm.Thread) int {
	if l := checkLogger(t); l != nil {
		return l.done(t, l.detach())
	}
	return 2
}
