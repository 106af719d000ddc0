package master

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"perilune/logging"
)

// fileError is a failed operation on a file in nginx's words.
func fileError(call, path string, err error) error {
	return errors.New(call + " \"" + path + "\" failed " + errnoText(err))
}

// errnoText is the system error alone, without what Go puts before it.
func errnoText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return logging.ErrnoText(err)
}

// writePid writes this process' number. A reader finds either the old contents or the new, never an empty file.
func writePid(path string) error {
	text := []byte(strconv.Itoa(os.Getpid()) + "\n")
	target := path
	if t, err := filepath.EvalSymlinks(path); err == nil {
		target = t
	}
	st, err := os.Lstat(target)
	if err != nil || st.Mode().IsRegular() {
		if replaceFile(target, text) == nil {
			return nil
		}
	}
	// A directory that cannot be written, or no regular file: as nginx does it.
	if err := os.WriteFile(target, text, 0o644); err != nil {
		return fileError("open()", path, err)
	}
	return nil
}

func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	name := f.Name()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}

// testPid checks that the file can be written. Unlike nginx's test it leaves no empty file behind: a reader could meet it.
func testPid(path string) error {
	_, missing := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fileError("open()", path, err)
	}
	if missing != nil {
		os.Remove(path)
	}
	return f.Close()
}

// deletePid removes the pid file, if it is a file.
func deletePid(path string) error {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fileError("unlink()", path, err)
	}
	return nil
}

// errInvalidPid says that the file holds no number.
type errInvalidPid struct{ text, path string }

func (e *errInvalidPid) Error() string {
	return fmt.Sprintf("invalid PID number \"%s\" in \"%s\"", e.text, e.path)
}

// readPid reads the number of a running master.
func readPid(path string) (int, error) {
	b, err := os.ReadFile(path)
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Op == "open" {
		return 0, fileError("open()", path, err)
	}
	if err != nil {
		return 0, fileError("read()", path, err)
	}
	b = bytes.TrimRight(b[:min(len(b), 22)], "\r\n")
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, &errInvalidPid{string(b), path}
		}
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return 0, &errInvalidPid{string(b), path}
	}
	return n, nil
}
