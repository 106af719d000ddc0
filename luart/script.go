package luart

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"perilune/luart/ffi"
	"perilune/luart/vm"
)

// Script is the program lua without its options: a VM whose code runs in the main
// thread, uses the standard streams of the process and has its errors shown as that
// program shows them. Methods that run code return false after an error, which they
// have shown.
type Script struct {
	vm     *vm.VM
	stderr io.Writer
	prefix string // of messages
	env    bool
	stop   atomic.Bool // an interrupt has come

	open func(m *vm.VM) (*Runtime, error) // makes the ngx API
	rt   *Runtime                         // that it has made
	ctx  Ctx                              // of the code for the API
	wake atomic.Pointer[func()]           // ends a wait because of an interrupt
}

//lint:ignore ST1005 the words are those of the program lua
var errInterrupted = errors.New("interrupted!")

// interruptUnits is how much work may pass before an interrupt is looked for.
const interruptUnits = 1 << 14

// NewScript returns a script without code. Its errors go to stderr. With env the
// environment variables of the program lua count.
func NewScript(stderr io.Writer, env bool) *Script {
	s := &Script{vm: vm.New(), stderr: stderr, prefix: "lua: ", env: env}
	ffi.Preload(s.vm)
	s.ctx.phase, s.ctx.console = PhaseTimer, true
	s.vm.Main().Data = &s.ctx
	if !env {
		if lib, ok := s.vm.Globals().GetStr("package").AsTable(); ok {
			lib.SetStr("path", vm.String(vm.DefaultPath))
			lib.SetStr("cpath", vm.String(""))
		}
	}
	s.vm.SetBudget(interruptUnits, func(*vm.Thread) error {
		if s.stop.Swap(false) {
			return errInterrupted
		}
		return nil
	})
	return s
}

// Close writes what files still have in their buffers.
func (s *Script) Close() { s.vm.FlushFiles() }

// SetArg makes the global table arg: the script, whose index is given, at 0, its
// arguments after it, what came before it at negative indices.
func (s *Script) SetArg(args []string, script int) {
	tab := s.vm.NewTable(len(args), 1)
	for i, a := range args {
		tab.SetInt(i-script, vm.String(a))
	}
	tab.SetInt(-script-1, vm.String("lua"))
	s.vm.Globals().SetStr("arg", tab.Value())
}

// Init runs the code that the environment variable LUA_INIT has, or names by @file.
func (s *Script) Init() bool {
	init := os.Getenv("LUA_INIT")
	switch {
	case !s.env || init == "":
		return true
	case init[0] == '@':
		return s.DoFile(init[1:], nil)
	}
	return s.do(init, "=LUA_INIT")
}

// PrintVersion writes the name and version of the language.
func (s *Script) PrintVersion() {
	if v, ok := s.vm.Globals().GetStr("_VERSION").AsString(); ok {
		s.print(v + " (perilune)\n")
	}
}

// DoString runs code of the command line.
func (s *Script) DoString(code string) bool { return s.do(code, "=(command line)") }

func (s *Script) do(code, name string) bool {
	fn, err := s.vm.Load([]byte(code), name)
	return s.run(fn, nil, err)
}

// DoFile runs a file, "" is the standard input, with arguments.
func (s *Script) DoFile(name string, args []string) bool {
	fn, err := s.vm.LoadFile(name)
	return s.run(fn, args, err)
}

// Require loads a module.
func (s *Script) Require(name string) bool {
	_, err := s.call(s.vm.Globals().GetStr("require"), vm.String(name))
	s.report(err)
	return err == nil
}

// run calls a chunk, or shows why it could not be loaded.
func (s *Script) run(fn *vm.Function, args []string, err error) bool {
	if err == nil {
		values := make([]vm.Value, len(args))
		for i, a := range args {
			values[i] = vm.String(a)
		}
		_, err = s.call(fn.Value(), values...)
	}
	s.report(err)
	return err == nil
}

// call calls a function. The first interrupt meanwhile ends it, another one the
// process.
func (s *Script) call(fn vm.Value, args ...vm.Value) ([]vm.Value, error) {
	interrupts, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		select {
		case <-interrupts:
			s.interrupt()
			signal.Stop(interrupts)
		case <-done:
		}
	}()
	defer func() {
		signal.Stop(interrupts)
		close(done)
	}()
	results, err := s.vm.Main().Call(fn, args...)
	return results, s.ended(err)
}

// report shows an error with its traceback, if there is one. An error value that is
// no text is asked for it.
func (s *Script) report(err error) {
	var e *vm.Error
	var abort *vm.AbortError
	switch {
	case err == nil:
	case errors.As(err, &abort):
		s.say(abort.Err.Error() + "\n" + abort.Traceback)
	case !errors.As(err, &e):
		s.say(err.Error())
	default:
		text, ok := s.errorText(e.Value)
		switch {
		case ok:
			s.say(text + "\n" + e.Traceback)
		case !e.Value.IsNil():
			s.say("(error object is not a string)")
		}
	}
}

func (s *Script) errorText(v vm.Value) (string, bool) {
	if text, ok := v.ToStringCoerced(); ok {
		return text, true
	}
	t := s.vm.Main()
	h := t.Metafield(v, "__tostring")
	if h.IsNil() {
		return "", false
	}
	res, err := t.Call(h, v)
	if err != nil || len(res) == 0 {
		return "", false
	}
	return res[0].ToStringCoerced()
}

func (s *Script) say(text string) {
	s.vm.FlushFiles()
	_, _ = io.WriteString(s.stderr, s.prefix+text+"\n")
}

func (s *Script) print(text string) {
	_ = s.vm.WriteStdout(text) // as the program lua: who listens no longer is not told
	s.vm.FlushFiles()
}

// IsTerminal reports whether f is one.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
