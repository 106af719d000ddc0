package luart

import (
	"errors"
	"io"

	"perilune/luart/ffi"
	"perilune/luart/vm"
)

// RunScript is the program lua: `[-e CODE] [-v] [FILE [ARGS…]]`. It returns the
// exit status. There is no ngx table. The io library of the script works on the
// standard streams of the process; stdin is where a script is read from that is
// not a file, stderr is where errors go.
func RunScript(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := script{vm: vm.New(), stderr: stderr}
	ffi.Preload(s.vm)
	defer s.vm.FlushFiles()
	return s.run(args, stdin, stdout)
}

type script struct {
	vm     *vm.VM
	stderr io.Writer
}

const scriptUsage = `usage: lua [options] [script [args]].
Available options are:
  -e chunk  execute string 'chunk'
  -v        show version information
  --        stop handling options
  -         execute stdin and stop handling options
`

func (s *script) run(args []string, stdin io.Reader, out io.Writer) int {
	type chunk struct{ text string }
	var chunks []chunk
	version := false
	i := 0
options:
	for ; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			i++
			break options
		case a == "-" || a == "" || a[0] != '-':
			break options
		case a == "-v":
			version = true
		case len(a) > 2 && a[:2] == "-e":
			chunks = append(chunks, chunk{a[2:]})
		case a == "-e" && i+1 < len(args):
			i++
			chunks = append(chunks, chunk{args[i]})
		default:
			_, _ = io.WriteString(s.stderr, scriptUsage)
			return 1
		}
	}
	if version {
		if v, ok := s.vm.Globals().GetStr("_VERSION").AsString(); ok {
			_, _ = io.WriteString(out, v+" (perilune)\n")
		}
	}
	s.setArg(args, i)
	for _, c := range chunks {
		fn, err := s.vm.Load([]byte(c.text), "=(command line)")
		if status := s.call(fn, nil, err); status != 0 {
			return status
		}
	}
	if i >= len(args) {
		if len(chunks) > 0 || version {
			return 0
		}
		return s.stdin(stdin, nil)
	}
	if args[i] == "-" {
		return s.stdin(stdin, args[i+1:])
	}
	fn, err := s.vm.LoadFile(args[i])
	return s.call(fn, args[i+1:], err)
}

func (s *script) stdin(stdin io.Reader, args []string) int {
	text, err := io.ReadAll(stdin)
	if err != nil {
		s.say(err.Error())
		return 1
	}
	fn, err := s.vm.Load(text, "=stdin")
	return s.call(fn, args, err)
}

// setArg makes the global table arg: the script at 0, its arguments after it, what
// came before it at negative indices.
func (s *script) setArg(args []string, at int) {
	tab := s.vm.NewTable(len(args), 1)
	for i, a := range args {
		tab.SetInt(i-at, vm.String(a))
	}
	tab.SetInt(-at-1, vm.String("lua"))
	if at >= len(args) {
		tab.SetInt(0, vm.String("lua"))
	}
	s.vm.Globals().SetStr("arg", tab.Value())
}

func (s *script) call(fn *vm.Function, args []string, err error) int {
	if err == nil {
		values := make([]vm.Value, len(args))
		for i, a := range args {
			values[i] = vm.String(a)
		}
		t := s.vm.Main()
		_, err = t.Call(fn.Value(), values...)
	}
	if err == nil {
		return 0
	}
	var e *vm.Error
	if errors.As(err, &e) {
		text, ok := e.Value.ToStringCoerced()
		switch {
		case !ok && e.Value.IsNil():
			return 1
		case !ok:
			s.say("(error object is a " + e.Value.TypeName() + " value)")
		default:
			s.say(text + "\n" + e.Traceback)
		}
		return 1
	}
	s.say(err.Error())
	return 1
}

func (s *script) say(text string) {
	_, _ = io.WriteString(s.stderr, "lua: "+text+"\n")
}
