package conf

// Context is the set of blocks in which a directive may stand.
type Context uint32

// The contexts of nginx.conf.
const (
	Main Context = 1 << iota
	Events
	HTTP
	Server
	Location
	ServerIf
	LocationIf
	LimitExcept
	Upstream

	// AnyContext is every block there is.
	AnyContext Context = 1<<32 - 1
)

// contextNames are the names in the order in which the documentation lists them.
var contextNames = []struct {
	bit  Context
	name string
}{
	{Main, "main"},
	{Events, "events"},
	{HTTP, "http"},
	{Upstream, "upstream"},
	{Server, "server"},
	{ServerIf, "if in server"},
	{Location, "location"},
	{LocationIf, "if in location"},
	{LimitExcept, "limit_except"},
}

// Names lists the contexts as users know them.
func (c Context) Names() []string {
	if c == AnyContext {
		return []string{"any"}
	}
	var names []string
	for _, n := range contextNames {
		if c&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// Args says how many arguments a directive takes and what ends it.
type Args uint32

// What may follow a directive's name. The single counts may be combined.
const (
	NoArgs Args = 1 << iota
	Take1
	Take2
	Take3
	Take4
	Take5
	Take6
	Take7
	Block    // ends with a { … } block that the handler parses
	Flag     // one argument, on or off
	AnyArgs  // any number
	OneMore  // one or more
	TwoMore  // two or more
	LuaBlock // ends with a { … } block of raw Lua, found in Conf.Lua

	Take12   = Take1 | Take2
	Take13   = Take1 | Take3
	Take23   = Take2 | Take3
	Take123  = Take12 | Take3
	Take1234 = Take123 | Take4
)

// accept reports whether n words (the name included) suit the directive.
func (a Args) accept(n int) bool {
	const maxWords = 8 // the name and seven arguments
	switch {
	case a&AnyArgs != 0:
		return true
	case a&Flag != 0:
		return n == 2
	case a&OneMore != 0:
		return n >= 2
	case a&TwoMore != 0:
		return n >= 3
	case n > maxWords:
		return false
	}
	return a&(1<<(n-1)) != 0
}

// Level says which of an HTTP module's structs a directive's handler gets.
type Level int

// The three structs of an HTTP module.
const (
	MainConf Level = iota
	SrvConf
	LocConf
)

// Kind says where a module's structs live.
type Kind int

// The kinds of modules. A core module has one struct, made by CreateMain, in
// Cycle.Core; an HTTP module has up to three, in Ctx.
const (
	CoreKind Kind = iota
	HTTPKind
)

// Command is one directive of a module.
type Command struct {
	Name  string
	Ctx   Context
	Args  Args
	Level Level
	// Set gets the module's struct for the block the directive stands in
	// (nil if the module has none there) and the words in cf.Args.
	Set func(cf *Conf, c any) error
	// Doc is one line for docs/directives.md.
	Doc string
}

// Module is a set of directives with the structs they fill.
type Module struct {
	Name     string
	Kind     Kind
	Commands []Command

	CreateMain, CreateSrv, CreateLoc func(cf *Conf) any

	// Of HTTP modules: before and after the parsing of the http block.
	Preconfiguration, Postconfiguration func(cf *Conf) error

	// InitMain sets defaults: of a core module when all is parsed, of an
	// HTTP module at the end of the http block.
	InitMain func(cf *Conf, c any) error

	MergeSrv, MergeLoc func(cf *Conf, prev, c any) error

	// Index is the module's slot in Cycle.Core or in the slices of Ctx; it
	// is set by Load.
	Index int
}
