// Package conf owns nginx.conf: its grammar, the tables of directives, the
// values of arguments, inheritance between blocks, and the directives of the
// main and events blocks. It reads files through a Source and remembers them in
// a Snapshot, so that every process of a generation parses the same text.
//
// It never opens a log or a socket, never touches a request, and never accepts
// a directive that nothing implements.
package conf

import (
	"strings"

	"perilune/logging"
)

// Conf is what a directive's handler sees of the parsing.
type Conf struct {
	Args    []string   // the directive's words, its name first
	Lua     *LuaSource // of a directive with a raw Lua block
	Command *Command
	Ctx     *Ctx // the HTTP block the directive stands in, nil outside of http
	Cycle   *Cycle

	lex    *lexer
	block  Context
	entry  func(cf *Conf) error // takes whole entries, within types { … } and the like
	table  map[string][]binding
	source Source
	log    *logging.Log
	depth  int // of includes
	worker bool
}

// binding is one command with its module.
type binding struct {
	mod *Module
	cmd *Command
}

// Ctx is an HTTP block: http, a server or a location. The slices have one slot
// per HTTP module. Blocks share what they do not have themselves with the block
// around them: servers the main structs, locations the server's too.
type Ctx struct {
	Main, Srv, Loc []any

	// Children are the blocks made with NewServer and NewLocation, in the
	// order of the file.
	Children []*Ctx
}

// Cycle is one configuration, parsed.
type Cycle struct {
	Prefix     string // ends with a slash
	ConfPrefix string // the directory of ConfFile, ends with a slash
	ConfFile   string
	TestOnly   bool

	Modules   []*Module
	Core      []any // one slot per core module
	HTTP      *Ctx  // the http block; nil without one
	Snapshot  *Snapshot
	Listening []*Listening
	Zones     []*Zone
	Files     *logging.Files
	Debug     bool // some log takes debug messages, or some client has them logged

	modulesUsed bool // a block has been seen that needs all modules there are
}

// Options say what to load.
type Options struct {
	Prefix   string
	ConfFile string // relative to Prefix; conf/nginx.conf if empty
	Globals  string // of -g
	Source   Source // the file system if nil
	TestOnly bool
	Modules  []*Module
	Log      *logging.Log // gets warnings and notices; may be nil

	// Worker says that a process started by the master parses what the
	// master has checked: what only the master needs (user and group of the
	// workers) is not looked up again.
	Worker bool

	// Parsed, if set, is called when the syntax has been found right and
	// before defaults are set: the moment at which -t says so.
	Parsed func(cycle *Cycle)
}

// Load parses a configuration. The text of its error is complete, with the
// place; the level to log it at is LevelOf(err).
func Load(o Options) (*Cycle, error) {
	cycle := newCycle(&o)
	source := o.Source
	if source == nil {
		source = FileSystem{}
	}
	cf := &Conf{
		Cycle:  cycle,
		block:  Main,
		table:  bindings(o.Modules),
		source: source,
		log:    o.Log,
		worker: o.Worker,
	}
	for _, m := range o.Modules {
		if m.Kind == CoreKind && m.CreateMain != nil {
			cycle.Core[m.Index] = m.CreateMain(cf)
		}
	}
	if o.Globals != "" {
		if err := cf.parseParam(o.Globals); err != nil {
			return nil, err
		}
	}
	if err := cf.parseFile(cycle.ConfFile); err != nil {
		return nil, err
	}
	cycle.Zones = append(cycle.Zones, &Zone{Name: LogZone, Size: logZoneSize, For: CoreModule})
	if o.Parsed != nil {
		o.Parsed(cycle)
	}
	for _, m := range o.Modules {
		if m.Kind == CoreKind && m.InitMain != nil {
			if err := m.InitMain(cf, cycle.Core[m.Index]); err != nil {
				return nil, cf.place(err)
			}
		}
	}
	return cycle, nil
}

func newCycle(o *Options) *Cycle {
	cycle := &Cycle{
		Prefix:   o.Prefix,
		ConfFile: o.ConfFile,
		TestOnly: o.TestOnly,
		Modules:  o.Modules,
		Snapshot: &Snapshot{},
		Files:    &logging.Files{},
	}
	if !strings.HasSuffix(cycle.Prefix, "/") {
		cycle.Prefix += "/"
	}
	if cycle.ConfFile == "" {
		cycle.ConfFile = "conf/nginx.conf"
	}
	cycle.ConfFile = cycle.FullName(cycle.ConfFile)
	cycle.ConfPrefix = cycle.ConfFile[:strings.LastIndexByte(cycle.ConfFile, '/')+1]
	if cycle.ConfPrefix == "" {
		cycle.ConfPrefix = cycle.Prefix
	}
	core := numberModules(o.Modules)
	cycle.Core = make([]any, core)
	return cycle
}

// numberModules gives each module its slot among those of its kind, and returns
// how many core modules there are. A slot that is right already is not written
// to: another goroutine may be using the configuration loaded before.
func numberModules(modules []*Module) (core int) {
	http := 0
	for _, m := range modules {
		slot := &http
		if m.Kind == CoreKind {
			slot = &core
		}
		if m.Index != *slot {
			m.Index = *slot
		}
		*slot++
	}
	return core
}

// bindings are the commands of all modules by name.
func bindings(modules []*Module) map[string][]binding {
	table := make(map[string][]binding)
	for _, m := range modules {
		for i := range m.Commands {
			cmd := &m.Commands[i]
			table[cmd.Name] = append(table[cmd.Name], binding{m, cmd})
		}
	}
	return table
}

// FullName makes a path absolute that is relative to the prefix.
func (c *Cycle) FullName(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return c.Prefix + path
}

// ConfFullName makes a path absolute that is relative to the directory of the
// configuration file.
func (c *Cycle) ConfFullName(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return c.ConfPrefix + path
}

// Pos is the file and line that a message would name now; on the command line
// the file is empty.
func (cf *Conf) Pos() (file string, line int) {
	if cf.lex == nil {
		return "", 0
	}
	return cf.lex.file, cf.lex.line
}

// conf is the struct of the module that a command's handler gets.
func (cf *Conf) conf(b binding) any {
	m := b.mod
	if m.Kind == CoreKind {
		return cf.Cycle.Core[m.Index]
	}
	if cf.Ctx == nil {
		return nil
	}
	slots := [...][]any{cf.Ctx.Main, cf.Ctx.Srv, cf.Ctx.Loc}[b.cmd.Level]
	if slots == nil {
		return nil
	}
	return slots[m.Index]
}
