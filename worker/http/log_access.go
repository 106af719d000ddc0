package http

import (
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
)

// logMain is the access log module's struct of the http block.
type logMain struct {
	formats []*logFormat
	buf     []byte // the line being made, taken by whoever makes one
}

// accessLog is one access_log directive: a file, a path with variables, or a syslog server.
type accessLog struct {
	file   *logging.File
	path   *Script
	syslog *logging.Syslog
	format *logFormat
	filter *Script // if=
}

// logConf is what a location says about access logs.
type logConf struct {
	logs []accessLog
	off  bool

	cache    *logCache // nil is off
	cacheSet bool
}

// logModule has the directives log_format and access_log.
var logModule = &conf.Module{
	Name:      "http_log",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &logConf{} },
}

func init() {
	logModule.CreateMain = func(*conf.Conf) any { return &logMain{} }
	logModule.MergeLoc = mergeLogConf
	logModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Log, accessLogHandler)
		return nil
	}
	logModule.Commands = []conf.Command{
		{Name: "log_format", Ctx: conf.HTTP, Args: conf.TwoMore, Level: conf.MainConf, Set: setLogFormat,
			Doc: "Gives a format of access log lines a name."},
		{Name: "access_log", Ctx: conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept,
			Args: conf.OneMore, Level: conf.LocConf, Set: setAccessLog,
			Doc: "File or syslog server that requests are logged to, format, buffer and condition; or off."},
		{Name: "open_log_file_cache", Ctx: conf.HTTP | conf.Server | conf.Location, Args: conf.Take1234, Level: conf.LocConf,
			Set: setLogCache, Doc: "How many files of logs with variables in their paths are kept open, and for how long; off by default."},
	}
}

func logMainOf(cf *conf.Conf) *logMain { return cf.Ctx.Main[logModule.Index].(*logMain) }

func setLogFormat(cf *conf.Conf, c any) error {
	m := c.(*logMain)
	name := cf.Args[1]
	if name == "combined" || m.find(name, false) != nil {
		return conf.Errorf("duplicate \"log_format\" name \"%s\"", name)
	}
	f, err := compileFormat(cf, name, cf.Args[2:])
	if err != nil {
		return err
	}
	m.formats = append(m.formats, f)
	return nil
}

// find looks for a format; access_log does so without regard to case.
func (m *logMain) find(name string, fold bool) *logFormat {
	for _, f := range m.formats {
		if f.name == name || (fold && strings.EqualFold(f.name, name)) {
			return f
		}
	}
	return nil
}

// format is find with the built-in format, which is made when it is first used.
func (m *logMain) format(cf *conf.Conf, name string) (*logFormat, error) {
	if f := m.find(name, true); f != nil {
		return f, nil
	}
	if !strings.EqualFold(name, "combined") {
		return nil, conf.Errorf("unknown log format \"%s\"", name)
	}
	f, err := compileFormat(cf, "combined", []string{combinedFormat})
	if err != nil {
		return nil, err
	}
	m.formats = append(m.formats, f)
	return f, nil
}

func setAccessLog(cf *conf.Conf, c any) error {
	lc := c.(*logConf)
	path := cf.Args[1]
	if path == "off" {
		lc.off = true
		if len(cf.Args) > 2 {
			return conf.Errorf("invalid parameter \"%s\"", cf.Args[2])
		}
		return nil
	}
	name := "combined"
	if len(cf.Args) > 2 {
		name = cf.Args[2]
	}
	var al accessLog
	var err error
	switch {
	case strings.HasPrefix(path, "syslog:"):
		if al.syslog, err = logging.ParseSyslog(path, cf.SyslogServer); err != nil {
			return conf.Errorf("%s", err.Error())
		}
	case HasVariables(path):
		if al.path, err = CompileScript(cf, cf.Cycle.FullName(path)); err != nil {
			return err
		}
	default:
		al.file = cf.Cycle.Files.Open(cf.Cycle.FullName(path))
	}
	if al.format, err = logMainOf(cf).format(cf, name); err != nil {
		return err
	}
	var b logBuffer
	for _, arg := range cf.Args[min(3, len(cf.Args)):] {
		if condition, found := strings.CutPrefix(arg, "if="); found {
			if al.filter, err = CompileScript(cf, condition); err != nil {
				return err
			}
			continue
		}
		if err := b.parse(arg); err != nil {
			return err
		}
	}
	if err := b.apply(cf, &al); err != nil {
		return err
	}
	lc.logs = append(lc.logs, al)
	return nil
}

// logBuffer is what an access_log directive says about its buffer.
type logBuffer struct {
	size  int64
	flush time.Duration
	gzip  int
}

// parse takes one parameter.
func (b *logBuffer) parse(arg string) error {
	const gzipBuffer = 64 << 10
	name, value, hasValue := strings.Cut(arg, "=")
	var err error
	switch {
	case name == "buffer" && hasValue:
		if b.size, err = conf.ParseSize(value); err != nil || b.size == 0 {
			return conf.Errorf("invalid buffer size \"%s\"", value)
		}
	case name == "flush" && hasValue:
		if b.flush, err = conf.ParseTime(value, false); err != nil || b.flush == 0 {
			return conf.Errorf("invalid flush time \"%s\"", value)
		}
	case name == "gzip":
		if b.size == 0 {
			b.size = gzipBuffer
		}
		b.gzip = 1
		if hasValue {
			if b.gzip, err = conf.ParseNum(value); err != nil || b.gzip < 1 || b.gzip > 9 {
				return conf.Errorf("invalid compression level \"%s\"", value)
			}
		}
	default:
		return conf.Errorf("invalid parameter \"%s\"", arg)
	}
	return nil
}

// apply gives the log its buffer.
func (b *logBuffer) apply(cf *conf.Conf, al *accessLog) error {
	switch {
	case b.size == 0 && b.flush != 0:
		return conf.Errorf("no buffer is defined for access_log \"%s\"", cf.Args[1])
	case b.size == 0:
		return nil
	case al.path != nil:
		return conf.Errorf("buffered logs cannot have variables in name")
	case al.syslog != nil:
		return conf.Errorf("logs to syslog cannot be buffered")
	case !cf.Cycle.Files.Buffer(al.file, int(b.size), b.flush, b.gzip):
		return conf.Errorf("access_log \"%s\" already defined with conflicting parameters", cf.Args[1])
	}
	return nil
}

func mergeLogConf(cf *conf.Conf, prev, c any) error {
	p, lc := prev.(*logConf), c.(*logConf)
	if !lc.cacheSet {
		lc.cache, lc.cacheSet = p.cache, p.cacheSet
	}
	if lc.logs != nil || lc.off {
		return nil
	}
	lc.logs, lc.off = p.logs, p.off
	if lc.logs != nil || lc.off {
		return nil
	}
	f, err := logMainOf(cf).format(cf, "combined")
	if err != nil {
		return err
	}
	lc.logs = []accessLog{{file: cf.Cycle.Files.Open(cf.Cycle.FullName("logs/access.log")), format: f}}
	return nil
}

// accessLogHandler writes the lines of a finished request, each with one write(2) if there is no buffer.
func accessLogHandler(r *Request) int {
	lc := r.LocCtx[logModule.Index].(*logConf)
	if lc.off {
		return OK
	}
	m := r.Srv.Ctx.Main[logModule.Index].(*logMain)
	buf := m.buf
	m.buf = nil // others may log while this one waits for the disk
	for i := range lc.logs {
		al := &lc.logs[i]
		if al.filter != nil {
			buf = al.filter.AppendTo(r, buf[:0])
			if len(buf) == 0 || string(buf) == "0" {
				continue
			}
		}
		buf = al.format.appendLine(r, buf[:0])
		al.write(r, lc, buf)
	}
	m.buf = buf
	return OK
}

// write writes a line. Lines that are lost are counted, and complained about once a minute.
func (al *accessLog) write(r *Request, lc *logConf, line []byte) {
	switch {
	case al.syslog != nil:
		if err := al.syslog.Send(line[:len(line)-1]); err != nil {
			al.syslog.Complain(r.Server.log, err)
		}
	case al.path != nil:
		al.writeToPath(r, lc, line)
	case al.file.Buffered():
		_, _ = al.file.Log(line)
	default:
		r.Server.loop.Lend(func() { _, _ = al.file.Write(line) })
	}
}
