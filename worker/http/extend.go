package http

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"
)

// FilterFinalize is for header filters that answer with another status instead of
// what the handler was about to send: the page for the status goes out at once,
// and what the handler writes afterwards is dropped.
func (r *Request) FilterFinalize(status int) error {
	r.CleanHeader()
	r.KeepAlive = false
	if rc := r.specialResponse(status); rc != OK {
		return StatusError(rc)
	}
	r.outBuf().last = true
	return nil
}

// AddFirstHandler puts a handler before those that a phase has; for
// Postconfiguration.
func (m *MainConf) AddFirstHandler(p Phase, h Handler) {
	m.handlers[p] = append([]Handler{h}, m.handlers[p]...)
}

// URIChanged reports whether a directive of the rewrite phase has given the request
// another URI, whose location is yet to be found.
func (r *Request) URIChanged() bool { return r.engine.changed }

// SetURI gives the request another URI, and with jump has its location looked for
// anew after the rewrite phase.
func (r *Request) SetURI(uri []byte, jump bool) {
	r.ChangeURI(uri)
	r.Internal = true
	r.engine.changed, r.engine.displaced = jump, r.engine.displaced || !jump
}

// SetArgs gives the request other arguments, which it keeps; an upstream gets them, too.
func (r *Request) SetArgs(args []byte) {
	r.Args, r.HasArgs = args, len(args) > 0
	r.engine.rewritten = true
}

// SplitURI makes of a URI that a script gives its path, decoded, and its arguments. It is not ok if the path
// is empty, has a NUL, or leads upwards; then path is what a message shows.
func SplitURI(uri string) (path, args string, ok bool) {
	path, args, _ = strings.Cut(uri, "?")
	if strings.IndexByte(path, '%') < 0 {
		if path == "" || leadsUp(path) || strings.IndexByte(path, 0) >= 0 {
			return uri, "", false
		}
		return path, args, true
	}
	decoded, ok := SafePath([]byte(path))
	return string(decoded), args, ok
}

// AppendRawHeader appends the header of the request as the client has sent it, with
// or without the request line.
func (r *Request) AppendRawHeader(dst []byte, withLine bool) []byte {
	m := r.Main
	line := m.RequestLine
	if len(line) == 0 {
		return dst
	}
	rest := line[:cap(line)]
	if !withLine {
		rest = afterLine(rest)
	}
	if len(m.engine.old) == 0 {
		return append(dst, rest[:headerEnd(rest)]...)
	}
	// The header was read into several buffers: each line is whole in one of them.
	if withLine {
		dst = append(dst, rest[:len(rest)-len(afterLine(rest))]...)
	}
	for i := range m.HeadersIn.List {
		name := m.HeadersIn.List[i].Name
		h := name[:cap(name)]
		if cap(name) <= len(name)+len(m.HeadersIn.List[i].Value) {
			continue // not the client's
		}
		dst = append(dst, h[:len(h)-len(afterLine(h))]...)
	}
	return append(dst, "\r\n"...)
}

// afterLine is what follows the first line.
func afterLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[i+1:]
	}
	return nil
}

// headerEnd is where the empty line ends.
func headerEnd(b []byte) int {
	for rest := b; len(rest) > 0; {
		next := afterLine(rest)
		if n := len(rest) - len(next); n == 1 || n == 2 && rest[0] == '\r' {
			return len(b) - len(next)
		}
		rest = next
	}
	return len(b)
}

// SpillBody moves the request's body, which must have been read, to a file.
func (r *Request) SpillBody() error {
	b := &r.Main.body
	if b.file != 0 {
		return nil
	}
	if err := r.Main.spill(); err != nil {
		return err
	}
	b.keep = false
	return nil
}

// SetBodyFile makes the content of a file the request's body; with clean the file
// is deleted when the request ends. The error is that of open(2).
func (r *Request) SetBodyFile(path string, clean bool) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return err
	}
	r.SetBody(nil)
	if st.Size == 0 {
		_ = unix.Close(fd)
		if clean {
			_ = unix.Unlink(path)
		}
		return nil
	}
	b := &r.Main.body
	b.file, b.path, b.keep, b.size, b.mem = fd+1, path, !clean, st.Size, nil
	return nil
}
