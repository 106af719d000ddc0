package main

import (
	"io"
	"os"
	"runtime/debug"

	"perilune/luart"
)

// scriptGCPercent is how much the heap of a script may grow between two
// collections: most of what scripts allocate dies young, so that rarer
// collections cost less in sum. A script then takes about the memory that it
// takes in PUC Lua.
const scriptGCPercent = 400

const luaUsage = `usage: lua [options] [script [args]].
Available options are:
  -e chunk  execute string 'chunk'
  -l name   require library 'name'
  -i        enter interactive mode after executing 'script'
  -v        show version information
  -E        ignore environment variables
  --        stop handling options
  -         execute stdin and stop handling options
`

// luaOptions are the options of the program lua, in the order and with the
// combinations that it takes.
type luaOptions struct {
	steps                             []luaStep
	interactive, version, exec, noEnv bool
	script                            int // index of the script, len(args) without one
}

// luaStep is something to do before the script: code of -e, or a module of -l.
type luaStep struct {
	module bool
	text   string
}

// parseLuaOptions reports whether the options are right.
func parseLuaOptions(args []string) (o luaOptions, ok bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) == 0 || a[0] != '-' || a == "-" {
			o.script = i
			return o, true
		}
		switch a[1] {
		case 'e', 'l':
			s := luaStep{module: a[1] == 'l', text: a[2:]}
			if s.text == "" {
				if i++; i == len(args) {
					return o, false
				}
				s.text = args[i]
			}
			o.exec = o.exec || !s.module
			o.steps = append(o.steps, s)
			continue
		case '-':
			o.script = i + 1
			return o, len(a) == 2
		case 'i':
			o.interactive, o.version = true, true
		case 'v':
			o.version = true
		case 'E':
			o.noEnv = true
		default:
			return o, false
		}
		if len(a) > 2 {
			return o, false
		}
	}
	o.script = len(args)
	return o, true
}

// runLua is the lua subcommand, the program lua: perilune lua [options] [script [args]].
func runLua(args []string) int {
	o, ok := parseLuaOptions(args)
	if !ok {
		_, _ = io.WriteString(os.Stderr, luaUsage)
		return 1
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(scriptGCPercent)
	}
	s := luart.NewScript(os.Stderr, !o.noEnv)
	defer s.Close()
	s.SetArg(args, o.script)
	if !s.Init() {
		return 1
	}
	if o.version {
		s.PrintVersion()
	}
	for _, step := range o.steps {
		run := s.DoString
		if step.module {
			run = s.Require
		}
		if !run(step.text) {
			return 1
		}
	}
	terminal := false
	switch {
	case o.script < len(args):
		file := args[o.script]
		if file == "-" && (o.script == 0 || args[o.script-1] != "--") {
			file = "" // standard input
		}
		if !s.DoFile(file, args[o.script+1:]) {
			return 1
		}
	case o.exec || o.version:
	case luart.IsTerminal(os.Stdin):
		s.PrintVersion()
		terminal = true
	default:
		if !s.DoFile("", nil) {
			return 1
		}
	}
	if o.interactive || terminal {
		s.Interact()
	}
	return 0
}
