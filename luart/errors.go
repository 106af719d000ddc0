package luart

import (
	"strings"

	"perilune/luart/vm"
)

// raise raises an error with the position of the caller before it. Like the other
// functions here it never returns; the result is for the convenience of callers.
func raise(t *vm.Thread, format string, args ...any) int {
	t.Errorf(format, args...)
	return 0
}

// raiseAt raises an error with the position of that level.
func raiseAt(t *vm.Thread, level int, text string) int {
	t.ErrorValue(vm.String(text), level)
	return 0
}

// ffiError raises what LuaJIT says when the library of ngx_lua passes a value on that is
// no number.
func ffiError(t *vm.Thread, i int, name string, v vm.Value) int {
	return raise(t, "bad argument #%d to '%s' (cannot convert '%s' to 'int')", i, name, v.TypeName())
}

// cString is the part of a text that a message of C shows.
func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func argError(t *vm.Thread, i int, text string) int {
	t.ArgError(i, text)
	return 0
}

func typeError(t *vm.Thread, i int, want string) int {
	t.TypeError(i, want)
	return 0
}
