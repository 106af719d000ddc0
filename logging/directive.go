package logging

import (
	"fmt"
	"strings"
)

// Directive is what an error_log directive asks for.
type Directive struct {
	Target string // a path, or "stderr"
	Level  Level
	Format Format
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
func ParseDirective(args []string) (Directive, error) {
	d := Directive{Target: args[0], Level: Error}
	switch {
	case strings.HasPrefix(d.Target, "memory:"):
		return d, fmt.Errorf("nginx was built without debug support")
	case strings.HasPrefix(d.Target, "syslog:"):
		return d, fmt.Errorf("error_log \"%s\": syslog is not supported", d.Target)
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
	if d.Target == "stderr" {
		l.Add(files.Stderr(), d.Level, d.Format)
		return
	}
	l.Add(files.Open(d.Target), d.Level, d.Format)
}
