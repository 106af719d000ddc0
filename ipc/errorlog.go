package ipc

import (
	"perilune/conf"
	"perilune/logging"
)

// CycleLog builds the error log of a configuration, in the same way in the master and in its workers. errorLog is the file of
// the -e option; it stands in for the default where the configuration has no error_log.
func CycleLog(cycle *conf.Cycle, base *logging.Log, errorLog string) *logging.Log {
	l := base.Sibling()
	list := cycle.CoreConf().ErrorLogs
	for _, d := range list {
		if errorLog != "" && len(list) == 1 && d == defaultErrorLog(cycle) {
			if d.Target = errorLog; errorLog != "stderr" {
				d.Target = cycle.FullName(errorLog)
			}
		}
		l.AddDirective(cycle.Files, d)
	}
	return l
}

// defaultErrorLog is what conf enters when no error_log is given.
func defaultErrorLog(cycle *conf.Cycle) logging.Directive {
	return logging.Directive{Target: cycle.FullName("logs/error.log"), Level: logging.Error}
}
