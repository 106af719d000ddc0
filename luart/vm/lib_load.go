package vm

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
)

// maxSource limits what a reader function can make load collect.
const maxSource = 1 << 28

// skipHeader skips a byte order mark and the text of a first line that starts
// with #.
func skipHeader(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if len(b) > 0 && b[0] == '#' {
		if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
			return b[i:]
		}
		return nil
	}
	return b
}

// fileError is "path: reason" in C's words.
func fileError(path string, err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if path == "" {
		path = "stdin"
	}
	s := err.Error()
	return path + ": " + strings.ToUpper(s[:1]) + s[1:]
}

func baseDofile(t *Thread) int {
	f, err := t.m.LoadFile(t.OptString(1, ""))
	if err != nil {
		t.ErrorValue(String(err.Error()), 0)
	}
	for _, v := range t.CallValue(f.Value(), -1) {
		t.Push(v)
	}
	return t.resultsPushed()
}

func baseLoadfile(t *Thread) int {
	path := t.OptString(1, "")
	f, err := t.m.loadFile(path, t.OptString(2, anyMode))
	return t.pushLoaded(f, err, 3)
}

func baseLoad(t *Thread) int {
	var src []byte
	name := "=(load)"
	if s, ok := t.Arg(1).ToStringCoerced(); ok {
		t.chargeString(len(s))
		src = []byte(s)
		name = t.OptString(2, s)
	} else {
		name = t.OptString(2, name)
		t.CheckFunction(1)
		for {
			s, problem := t.readChunk(t.Arg(1))
			if problem.p == nil && len(src)+len(s) > maxSource {
				problem = String("not enough memory")
			}
			if problem.p != nil {
				t.PushNil()
				t.Push(problem)
				return 2
			}
			if s == "" {
				break
			}
			src = append(t.grown(src, len(s)), s...)
		}
	}
	f, err := t.m.load(t, src, name, t.OptString(3, anyMode))
	return t.pushLoaded(f, err, 4)
}

// readChunk calls a reader function: "" is the end. The problem is an error
// value, nil if there was none.
func (t *Thread) readChunk(reader Value) (s string, problem Value) {
	res, err := t.PCall(reader)
	var e *Error
	switch {
	case errors.As(err, &e):
		return "", e.Value
	case len(res) == 0 || res[0].p == nil:
		return "", Nil
	}
	s, ok := res[0].ToStringCoerced()
	if !ok {
		return "", String(t.Where(1) + "reader function must return a string")
	}
	return s, Nil
}

// pushLoaded pushes a loaded function, or nil and the message.
func (t *Thread) pushLoaded(f *Function, err error, envArg int) int {
	if err != nil {
		t.PushNil()
		t.PushString(err.Error())
		return 2
	}
	f.env = t.currentEnv()
	if t.nargs >= envArg {
		if env, ok := t.Arg(envArg).AsTable(); ok {
			f.env = env
		}
	}
	t.Push(f.Value())
	return 1
}

// binaryName is how messages name a binary chunk.
func binaryName(chunkname string) string {
	switch {
	case strings.HasPrefix(chunkname, "\x1b"):
		return "(binary)"
	case strings.HasPrefix(chunkname, "@"), strings.HasPrefix(chunkname, "="):
		return chunkname[1:]
	}
	return chunkname
}
