package main

import (
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strings"

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
  -I dir    look for Lua modules in 'dir', too
  -c num    worker_connections of the ngx API (default: 64)
  --shdict 'name size'      a dictionary ngx.shared.name
  --ns ip                   a name server, in place of the system's
  --resolve-ipv6            look up IPv6 addresses of names, too
  --errlog-level level      of what goes to standard error (default: warn)
  --main-conf text          directives of the main block
  --main-include file       a file of them
  --http-conf text          directives of the http block
  --http-include file       a file of them
  --dump-nginx-conf         print the configuration and exit
  --        stop handling options
  -         execute stdin and stop handling options
`

// luaOptions are the options of the program lua, in the order and with the
// combinations that it takes, and those of OpenResty's resty.
type luaOptions struct {
	steps                                   []luaStep
	interactive, version, exec, noEnv, dump bool
	script                                  int // index of the script, len(args) without one
	api                                     console
}

// luaStep is something to do before the script: code of -e, or a module of -l.
type luaStep struct {
	module bool
	text   string
}

// errUsage stands for the text that says what options there are.
var errUsage = errors.New("wrong usage")

// parseLuaOptions reads the options.
func parseLuaOptions(args []string) (*luaOptions, error) {
	o := &luaOptions{api: console{connections: "64", errlogLevel: "warn"}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) == 0 || a[0] != '-' || a == "-" {
			o.script = i
			return o, o.api.check()
		}
		if a == "--" {
			o.script = i + 1
			return o, o.api.check()
		}
		if o.flag(a) {
			continue
		}
		name, value, given := a[:2], a[2:], len(a) > 2
		if name == "--" {
			name, value, given = strings.Cut(a, "=")
		}
		set := o.setter(name)
		if set == nil {
			return nil, errUsage
		}
		if !given {
			if i++; i == len(args) {
				return nil, errUsage
			}
			value = args[i]
		}
		set(value)
	}
	o.script = len(args)
	return o, o.api.check()
}

// flag takes an option without a value.
func (o *luaOptions) flag(a string) bool {
	switch a {
	case "-i":
		o.interactive, o.version = true, true
	case "-v":
		o.version = true
	case "-E":
		o.noEnv = true
	case "--resolve-ipv6":
		o.api.resolveIPv6, o.api.given = true, true
	case "--dump-nginx-conf":
		o.dump = true
	default:
		return false
	}
	return true
}

// setter is what takes the value of an option, nil if there is no such option.
func (o *luaOptions) setter(name string) func(value string) {
	switch name {
	case "-e":
		return func(text string) {
			o.exec = true
			o.steps = append(o.steps, luaStep{text: text})
		}
	case "-l":
		return func(text string) { o.steps = append(o.steps, luaStep{true, text}) }
	}
	return o.api.setter(name)
}

// runLua is the lua subcommand, the program lua: perilune lua [options] [script [args]].
func runLua(args []string) int {
	o, err := parseLuaOptions(args)
	switch {
	case err == errUsage:
		_, _ = io.WriteString(os.Stderr, luaUsage)
		return 1
	case err != nil:
		_, _ = io.WriteString(os.Stderr, "lua: "+err.Error()+"\n")
		return 1
	case o.dump:
		return o.api.dump()
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(scriptGCPercent)
	}
	s := luart.NewScript(os.Stderr, !o.noEnv)
	defer s.Close()
	s.SetArg(args, o.script)
	s.ProvideAPI(o.api.open)
	if o.api.given {
		s.OpenAPI()
	}
	code := o.run(s, args)
	if o.api.engine != nil {
		if code == 0 && !s.Finish() {
			code = 1
		}
		o.api.engine.Finish(code == 0)
	}
	return code
}

// run does what the options say, and returns the exit status.
func (o *luaOptions) run(s *luart.Script, args []string) int {
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
