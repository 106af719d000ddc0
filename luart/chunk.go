package luart

import (
	"errors"
	"fmt"
	"io/fs"

	"perilune/luart/vm"
)

// chunk is the function of a piece of code that was loaded, and its number.
type chunk struct {
	fn  *vm.Function
	ref int
}

// What ngx_lua's messages have for the number of a chunk that is not known, and of
// one that is only known by its name.
const (
	refUnknown = -1
	refByName  = -2
)

// Inline returns the function of inline code, and its number; key names it in the
// cache, to which l is told of the look at it.
func (rt *Runtime) Inline(l Logger, key, source, chunkname string) (*vm.Function, int, error) {
	return rt.load(l, key, refUnknown, func() (*vm.Function, error) {
		fn, err := rt.vm.Load(bytesOf(source), chunkname)
		if err != nil {
			return nil, &LoadError{statusInternalError, "failed to load inlined Lua code: " + err.Error()}
		}
		return fn, nil
	})
}

// File is Inline for a file. named says that the file was chosen just now.
func (rt *Runtime) File(l Logger, key, path string, named bool) (*vm.Function, int, error) {
	ref := refUnknown
	if named {
		ref = refByName
	}
	return rt.load(l, key, ref, func() (*vm.Function, error) {
		fn, err := rt.vm.LoadFile(path)
		if err == nil {
			return fn, nil
		}
		status := statusInternalError
		if fe := (*vm.FileError)(nil); errors.As(err, &fe) {
			if status = statusUnavailable; errors.Is(err, fs.ErrNotExist) {
				status = 404
			}
		}
		return nil, &LoadError{status, fmt.Sprintf("failed to load external Lua file \"%s\": %s", path, err)}
	})
}

// load looks for a chunk in the cache, and puts it there. ref is the number that is
// known of it.
func (rt *Runtime) load(l Logger, key string, ref int, compile func() (*vm.Function, error)) (*vm.Function, int, error) {
	debug := l.LogEnabled(LevelDebug)
	if debug {
		traceChunk(l, "lookup", key, ref)
	}
	if c, ok := rt.chunks[key]; ok {
		if ref == refUnknown {
			ref = c.ref
			if debug {
				traceChunk(l, "setting ref", key, ref)
			}
		}
		if debug {
			traceChunk(l, "hit", key, ref)
		}
		return c.fn, ref, nil
	}
	if debug {
		traceChunk(l, "miss", key, ref)
	}
	fn, err := compile()
	if err != nil {
		return nil, 0, err
	}
	if ref == refUnknown {
		rt.chunkRefs++
		ref = rt.chunkRefs
	}
	rt.chunks[key] = chunk{fn, ref}
	return fn, ref, nil
}

// TraceHit tells a log at level debug of a chunk that was found at once.
func TraceHit(l Logger, key string, ref int) {
	traceChunk(l, "lookup", key, ref)
	traceChunk(l, "hit", key, ref)
}

func traceChunk(l Logger, what, key string, ref int) {
	l.Log(LevelDebug, fmt.Appendf(nil, "code cache %s (key='%s', ref=%d)", what, key, ref))
}
