package logging

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Directive is what an error_log directive asks for.
type Directive struct {
	Target string // a path, or "stderr"
	Level  Level
	Format Format
	Syslog *Syslog // instead of a file
	Memory *Memory // instead of a file
}

// debugLevels are the parts of nginx that a debugging log can be narrowed to.
// A log here has no such parts: any of them means debug.
var debugLevels = map[string]bool{
	"debug_core": true, "debug_alloc": true, "debug_mutex": true, "debug_event": true,
	"debug_http": true, "debug_mail": true, "debug_stream": true,
}

// ParseDirective parses the arguments of an error_log directive, its name not
// among them: a target, then levels and format=text or format=json in any
// order. The error's text is nginx's, without the place in the configuration.
// address finds the address of a syslog server.
func ParseDirective(args []string, address func(string) (unix.Sockaddr, string)) (Directive, error) {
	d := Directive{Target: args[0], Level: Error}
	var err error
	size, isMemory := strings.CutPrefix(d.Target, "memory:")
	switch {
	case isMemory:
		d.Memory, err = parseMemory(size)
	case strings.HasPrefix(d.Target, "syslog:"):
		d.Syslog, err = ParseSyslog(d.Target, address)
	}
	if err != nil {
		return d, err
	}
	levelSet := false
	for _, arg := range args[1:] {
		if format, ok := strings.CutPrefix(arg, "format="); ok {
			switch format {
			case "json":
				d.Format = JSON
			case "text":
				d.Format = Text
			default:
				return d, fmt.Errorf("invalid log format \"%s\"", format)
			}
			continue
		}
		lv, ok := ParseLevel(arg)
		if debugLevels[arg] && (!levelSet || d.Level == Debug) {
			d.Level, levelSet = Debug, true
			continue
		}
		if !ok {
			return d, fmt.Errorf("invalid log level \"%s\"", arg)
		}
		if levelSet {
			return d, fmt.Errorf("duplicate log level \"%s\"", arg)
		}
		d.Level, levelSet = lv, true
	}
	return d, nil
}

// AddDirective adds what the directive asks for to the log. The target's path
// must have been made absolute.
func (l *Log) AddDirective(files *Files, d Directive) {
	t := &target{level: d.Level, format: d.Format, syslog: d.Syslog, memory: d.Memory}
	switch {
	case t.syslog != nil || t.memory != nil:
	case d.Target == "stderr":
		t.file = files.Stderr()
	default:
		t.file = files.Open(d.Target)
	}
	l.add(t)
}
