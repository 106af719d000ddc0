package http

import (
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// logMain is the access log module's struct of the http block.
type logMain struct {
	formats []*logFormat
	buf     []byte // the line being made; a worker makes one at a time
}

// accessLog is one access_log directive.
type accessLog struct {
	file   *logging.File
	format *logFormat
	filter *Script // if=
}

// logConf is what a location says about access logs.
type logConf struct {
	logs []accessLog
	off  bool
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
			Doc: "File that requests are logged to, format and condition; or off."},
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
	switch {
	case strings.HasPrefix(path, "syslog:"):
		return conf.Errorf("access_log to syslog is not supported: \"%s\"", path)
	case HasVariables(path):
		return conf.Errorf("variables in the path of \"access_log\" are not supported: \"%s\"", path)
	}
	name := "combined"
	if len(cf.Args) > 2 {
		name = cf.Args[2]
	}
	var al accessLog
	var err error
	if al.format, err = logMainOf(cf).format(cf, name); err != nil {
		return err
	}
	for _, arg := range cf.Args[min(3, len(cf.Args)):] {
		condition, found := strings.CutPrefix(arg, "if=")
		switch {
		case found:
			if al.filter, err = CompileScript(cf, condition); err != nil {
				return err
			}
		case strings.HasPrefix(arg, "buffer="), strings.HasPrefix(arg, "flush="), arg == "gzip",
			strings.HasPrefix(arg, "gzip="):
			return conf.Errorf("the \"%s\" parameter of \"access_log\" is not supported", arg)
		default:
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
	}
	al.file = cf.Cycle.Files.Open(cf.Cycle.FullName(path))
	lc.logs = append(lc.logs, al)
	return nil
}

func mergeLogConf(cf *conf.Conf, prev, c any) error {
	p, lc := prev.(*logConf), c.(*logConf)
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

// accessLogHandler writes the lines of a finished request, each with one write(2).
func accessLogHandler(r *Request) int {
	lc := r.LocCtx[logModule.Index].(*logConf)
	if lc.off {
		return OK
	}
	m := r.Srv.Ctx.Main[logModule.Index].(*logMain)
	for i := range lc.logs {
		al := &lc.logs[i]
		if al.filter != nil {
			m.buf = al.filter.AppendTo(r, m.buf[:0])
			if len(m.buf) == 0 || string(m.buf) == "0" {
				continue
			}
		}
		m.buf = al.format.appendLine(r, m.buf[:0])
		if _, err := al.file.Write(m.buf); err != nil {
			r.Log(logging.Alert, "write() to \"%s\" failed %s", al.file.Path(), logging.ErrnoText(err))
		}
	}
	return OK
}
