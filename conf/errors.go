package conf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"perilune/logging"
)

// maxErrorText is how much of a message nginx keeps before the position.
const maxErrorText = 1024

// Error is a complaint about the configuration, complete with its place.
type Error struct {
	Level logging.Level // Emerg unless nginx uses another
	Text  string        // the message without its place
	File  string        // empty if the place is not in a file
	Line  int

	commandLine bool
	directive   bool // Text continues `"name" directive `
	placed      bool // the place is known, or known to be none
}

func (e *Error) Error() string {
	switch {
	case e.commandLine:
		return e.Text + " in command line"
	case e.File != "":
		return e.Text + " in " + e.File + ":" + strconv.Itoa(e.Line)
	}
	return e.Text
}

// Errorf makes the error for a directive's handler to return; the place is
// added by the parser.
func Errorf(format string, args ...any) error {
	return &Error{Level: logging.Emerg, Text: fmt.Sprintf(format, args...)}
}

// ErrorAt is Errorf for the few messages that nginx logs at another level.
func ErrorAt(level logging.Level, format string, args ...any) error {
	return &Error{Level: level, Text: fmt.Sprintf(format, args...)}
}

// PlainErrorf makes an error that concerns no place, such as a missing section.
func PlainErrorf(format string, args ...any) error {
	return &Error{Level: logging.Emerg, Text: fmt.Sprintf(format, args...), placed: true}
}

// DirectiveError makes the error `"name" directive TEXT`, the name being that
// of the directive whose handler returns it.
func DirectiveError(text string) error {
	return &Error{Level: logging.Emerg, Text: text, directive: true}
}

// ErrDuplicate is what a handler returns for a directive seen before.
var ErrDuplicate = DirectiveError("is duplicate")

// ErrnoText is the tail " (2: No such file or directory)" that nginx appends for
// a failed system call; for other errors it is their text in parentheses.
func ErrnoText(err error) string {
	return " " + logging.ErrnoText(err)
}

// LevelOf is the level at which an error of Load is to be logged.
func LevelOf(err error) logging.Level {
	var e *Error
	if errors.As(err, &e) {
		return e.Level
	}
	return logging.Emerg
}

// place completes an error that a handler returned with the directive's name
// and the lexer's position. Errors that have a place pass unchanged.
func (cf *Conf) place(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Level: logging.Emerg, Text: err.Error()}
	}
	if e.placed {
		return e
	}
	placed := *e // the value may be shared, as ErrDuplicate is
	// For a raw Lua block ngx_lua reports a handler's text without a prefix.
	if e.directive && (cf.Command == nil || cf.Command.Args&LuaBlock == 0) && len(cf.Args) > 0 {
		placed.Text = `"` + cf.Args[0] + `" directive ` + e.Text
	}
	if len(placed.Text) > maxErrorText {
		placed.Text = placed.Text[:maxErrorText]
	}
	placed.directive = false
	placed.placed = true
	if cf.lex != nil {
		placed.commandLine = cf.lex.param
		placed.File, placed.Line = cf.lex.file, cf.lex.line
		if placed.commandLine {
			placed.File, placed.Line = "", 0
		}
	}
	return &placed
}

// where is the tail of a message: " in FILE:LINE".
func (cf *Conf) where() string {
	switch {
	case cf.lex == nil:
		return ""
	case cf.lex.param:
		return " in command line"
	}
	return " in " + cf.lex.file + ":" + strconv.Itoa(cf.lex.line)
}

func (cf *Conf) message(level logging.Level, format string, args []any) {
	if cf.log == nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, format, args...)
	text := b.String()
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	cf.log.Log(level, 0, text+cf.where())
}

// Alertf logs "[alert] … in FILE:LINE".
func (cf *Conf) Alertf(format string, args ...any) { cf.message(logging.Alert, format, args) }

// Warnf logs "[warn] … in FILE:LINE".
func (cf *Conf) Warnf(format string, args ...any) { cf.message(logging.Warn, format, args) }

// Noticef logs "[notice] … in FILE:LINE".
func (cf *Conf) Noticef(format string, args ...any) { cf.message(logging.Notice, format, args) }
