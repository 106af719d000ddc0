package luart

import (
	"strings"

	"perilune/luart/vm"
)

// Interact reads statements from the standard input, runs them and prints what they
// return, until its end. A line that begins with = is an expression.
func (s *Script) Interact() {
	prefix := s.prefix
	s.prefix = ""
	for {
		fn, err, ok := s.readStatement()
		if !ok {
			break
		}
		var results []vm.Value
		if err == nil {
			results, err = s.call(fn.Value())
		}
		s.report(err)
		if err == nil && len(results) > 0 {
			results = append([]vm.Value(nil), results...)
			if _, err := s.vm.Main().Call(s.vm.Globals().GetStr("print"), results...); err != nil {
				s.say("error calling 'print' (" + err.Error() + ")")
			}
		}
	}
	s.prefix = prefix
	s.print("\n")
}

// readStatement reads lines until they are a chunk, or are none for another reason
// than their end. ok is false at the end of the input.
func (s *Script) readStatement() (fn *vm.Function, err error, ok bool) {
	text, ok := s.readLine("_PROMPT", "> ")
	if !ok {
		return nil, nil, false
	}
	if strings.HasPrefix(text, "=") {
		text = "return " + text[1:]
	}
	for {
		fn, err = s.vm.Load([]byte(text), "=stdin")
		if err == nil || !strings.HasSuffix(err.Error(), "'<eof>'") {
			return fn, err, true
		}
		more, ok := s.readLine("_PROMPT2", ">> ")
		if !ok {
			return nil, nil, false
		}
		text += "\n" + more
	}
}

// readLine reads a line after a prompt, which a global variable may replace.
func (s *Script) readLine(global, prompt string) (string, bool) {
	if p, ok := s.vm.Globals().GetStr(global).AsString(); ok {
		prompt = p
	}
	s.print(prompt)
	return s.vm.ReadStdinLine()
}
