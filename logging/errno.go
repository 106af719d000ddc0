package logging

import (
	"errors"
	"strconv"
	"syscall"
)

// AppendErrno appends nginx's form of a system error, "(2: No such file or
// directory)".
func AppendErrno(dst []byte, errno syscall.Errno) []byte {
	dst = append(dst, '(')
	dst = strconv.AppendUint(dst, uint64(errno), 10)
	dst = append(dst, ": "...)
	dst = append(dst, Strerror(errno)...)
	return append(dst, ')')
}

// Strerror returns glibc's text for a system error.
func Strerror(errno syscall.Errno) string {
	if uint64(errno) < uint64(len(strerror)) && strerror[errno] != "" {
		return strerror[errno]
	}
	return "Unknown error"
}

// ErrnoText returns "(2: No such file or directory)" for an error that wraps
// a system error, and the error's own text in parentheses for any other.
func ErrnoText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return string(AppendErrno(nil, errno))
	}
	return "(" + err.Error() + ")"
}
