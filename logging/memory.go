package logging

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Memory is a log in memory that keeps the latest lines: a ring. It is a memory
// file of the process, so that it can be read from outside, as
// /proc/PID/fd/N whose link says "perilune-log"; the file is made with the
// first line. The oldest line may have lost its beginning, and stands behind the
// newest.
type Memory struct {
	size int
	mu   sync.Mutex
	fd   int
	at   int
	bad  bool
}

// minMemory is the least that nginx accepts.
const minMemory = 8 << 10

func parseMemory(text string) (*Memory, error) {
	unit := 1
	digits := strings.TrimRight(strings.ToLower(text), "km")
	switch strings.ToLower(text[len(digits):]) {
	case "k":
		unit = 1 << 10
	case "m":
		unit = 1 << 20
	case "":
	default:
		return nil, fmt.Errorf("invalid buffer size \"%s\"", text)
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > 1<<30/unit {
		return nil, fmt.Errorf("invalid buffer size \"%s\"", text)
	}
	if n*unit < minMemory {
		return nil, fmt.Errorf("invalid buffer size \"%s\"", text)
	}
	return &Memory{size: n * unit, fd: -1}, nil
}

func (m *Memory) put(line []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fd < 0 && !m.open() {
		return
	}
	line = line[:min(len(line), m.size)]
	first := min(len(line), m.size-m.at)
	_, _ = unix.Pwrite(m.fd, line[:first], int64(m.at))
	_, _ = unix.Pwrite(m.fd, line[first:], 0)
	m.at = (m.at + len(line)) % m.size
}

func (m *Memory) open() bool {
	if m.bad {
		return false
	}
	fd, err := unix.MemfdCreate("perilune-log", unix.MFD_CLOEXEC)
	if err != nil {
		m.bad = true
		Stderr("[alert] " + os.NewSyscallError("memfd_create", err).Error())
		return false
	}
	m.fd = fd
	return true
}
