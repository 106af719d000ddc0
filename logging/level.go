// Package logging owns what perilune writes to its logs: the log files that
// many processes share, the error log in nginx's text format or as JSON, and
// the texts of system errors.
//
// A line is one write(2) on a descriptor opened with O_APPEND, so lines of any
// number of processes never interleave. Around it the latch of the file is
// held, a lock in shared memory that costs a few nanoseconds: who writes
// after a process that was killed in a write, or that found the disk full, ends
// its half line first. A file that is slow is left to a goroutine, so that it
// holds nothing up. Files.Use is for loggers that are made while the process runs.
//
// The package never renames or removes a file, and knows nothing of requests:
// who logs appends what it has to say about the client to a Line.
package logging

import "fmt"

// Level is the severity of a message, in nginx's numbers: a smaller level is
// more severe, and a log of level L takes every message of level at most L.
type Level int

// The levels of nginx. LevelStderr is for messages that are always shown.
const (
	LevelStderr Level = iota
	Emerg
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug
)

var levelNames = [...]string{
	LevelStderr: "stderr", Emerg: "emerg", Alert: "alert", Crit: "crit", Error: "error",
	Warn: "warn", Notice: "notice", Info: "info", Debug: "debug",
}

// String returns the name of the level as it stands in configuration and log.
func (lv Level) String() string {
	if lv < LevelStderr || lv > Debug {
		return fmt.Sprintf("level(%d)", int(lv))
	}
	return levelNames[lv]
}

// ParseLevel returns the level that a configuration names. "stderr" is not
// such a name: in an error_log directive it is a target.
func ParseLevel(name string) (Level, bool) {
	for lv := Emerg; lv <= Debug; lv++ {
		if levelNames[lv] == name {
			return lv, true
		}
	}
	return 0, false
}
