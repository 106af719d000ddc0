package vm

import "fmt"

// Error is a Lua error that no pcall caught.
type Error struct {
	Value     Value
	Traceback string
	// Panic is what a Go function panicked with, if that is how the error
	// came about, and Stack the goroutine's stack then.
	Panic any
	Stack []byte
}

// Error returns the error value as text.
func (e *Error) Error() string {
	if s, ok := e.Value.ToStringCoerced(); ok {
		return s
	}
	return fmt.Sprintf("(error object is a %s value)", e.Value.TypeName())
}

// AbortError says that the budget hook, or memory, ended the thread.
type AbortError struct {
	Err       error
	Traceback string
}

// Error returns the text of the cause.
func (e *AbortError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AbortError) Unwrap() error { return e.Err }

// SyntaxError is an error of Load.
type SyntaxError struct{ Msg string }

// Error returns the message with its position.
func (e *SyntaxError) Error() string { return e.Msg }

// thrown is what travels through Go code, as a panic, from where an error is
// raised to the machine entry below.
type thrown struct {
	value     Value
	handled   bool // an xpcall handler has seen it
	abort     error
	traceback string
	panicked  any
	stack     []byte
}
