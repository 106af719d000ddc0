package logging

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

func TestErrnoText(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{syscall.ENOENT, "(2: No such file or directory)"},
		{syscall.ECONNREFUSED, "(111: Connection refused)"},
		{syscall.EADDRINUSE, "(98: Address already in use)"},
		{fmt.Errorf("bind: %w", syscall.EACCES), "(13: Permission denied)"},
		{&sysError{syscall.EIO}, "(5: Input/output error)"},
		{syscall.Errno(41), "(41: Unknown error)"},
		{syscall.Errno(4095), "(4095: Unknown error)"},
		{errors.New("no errno"), "(no errno)"},
	} {
		if got := ErrnoText(tt.err); got != tt.want {
			t.Errorf("ErrnoText(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
