package luart

import "perilune/luart/vm"

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

func argError(t *vm.Thread, i int, text string) int {
	t.ArgError(i, text)
	return 0
}

func typeError(t *vm.Thread, i int, want string) int {
	t.TypeError(i, want)
	return 0
}
