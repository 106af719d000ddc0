package conf

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"perilune/logging"
)

// maxDepth bounds nested includes, so that a file that includes itself is told
// so instead of exhausting the process.
const maxDepth = 100

// textKind is what a run of the parser works on, which decides how it may end.
type textKind int

const (
	kindFile textKind = iota
	kindBlock
	kindParam
)

// ParseBlock parses the block that the directive in hand has opened, for a
// block directive's handler. Within it directives of the given context are
// allowed, and those of HTTP modules get their structs from ctx.
func (cf *Conf) ParseBlock(where Context, ctx *Ctx) error {
	saved := *cf
	cf.Ctx, cf.block, cf.entry = ctx, where, nil
	err := cf.parse(kindBlock)
	*cf = saved
	return err
}

// ParseEntries parses a block of free entries, such as types { … } or
// map { … }: each is given to handle in cf.Args. An include in such a block is
// an entry too, for which handle calls Include.
func (cf *Conf) ParseEntries(handle func(cf *Conf) error) error {
	saved := *cf
	cf.entry = handle
	err := cf.parse(kindBlock)
	*cf = saved
	return err
}

// parseParam parses the text of the -g option.
func (cf *Conf) parseParam(text string) error {
	cf.lex = &lexer{src: []byte(text), param: true}
	err := cf.parse(kindParam)
	cf.lex = nil
	return err
}

// parseFile parses a whole file in the block in hand.
func (cf *Conf) parseFile(path string) error {
	if cf.depth >= maxDepth {
		return cf.place(Errorf("include of \"%s\" is nested deeper than %d files", path, maxDepth))
	}
	text, err := cf.source.ReadFile(path)
	if err != nil {
		return cf.readError(path, err)
	}
	cf.Cycle.Snapshot.addFile(path, text)
	outer := cf.lex
	cf.lex = &lexer{file: path, src: text, line: 1}
	cf.depth++
	err = cf.parse(kindFile)
	cf.depth--
	cf.lex = outer
	return err
}

// readError is nginx's message for a file that cannot be read. It opens a
// directory without complaint and fails to read it, which it says at another
// level and without a place.
func (cf *Conf) readError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, syscall.EISDIR) {
		e := PlainErrorf("pread() \"%s\" failed%s", path, ErrnoText(err)).(*Error)
		e.Level = logging.Crit
		return e
	}
	return cf.place(Errorf("open() \"%s\" failed%s", path, ErrnoText(err)))
}

// parse reads directives until the block, file or parameter ends.
func (cf *Conf) parse(kind textKind) error {
	for {
		words, end, err := cf.lex.next()
		if err != nil {
			return cf.place(err)
		}
		switch {
		case end == blockEnd && kind != kindBlock:
			return cf.place(Errorf("unexpected \"}\""))
		case end == fileEnd && kind == kindBlock:
			return cf.place(Errorf("unexpected end of file, expecting \"}\""))
		case end == blockEnd || end == fileEnd:
			return nil
		case end == blockStart && kind == kindParam:
			return cf.place(Errorf("block directives are not supported in -g option"))
		case end == blockStart && cf.entry != nil:
			return cf.place(Errorf("unexpected \"{\""))
		}
		cf.Args, cf.Lua, cf.Command = words, nil, nil
		if cf.entry != nil {
			err = cf.entry(cf)
		} else {
			err = cf.directive(end)
		}
		if err != nil {
			return cf.place(err)
		}
	}
}

// directive finds the command for cf.Args and calls its handler.
func (cf *Conf) directive(end ending) error {
	name := cf.Args[0]
	found := cf.table[name]
	for _, b := range found {
		cmd := b.cmd
		if cmd.Ctx&cf.block == 0 {
			continue
		}
		block := cmd.Args&(Block|LuaBlock) != 0
		if !block && end != semicolon {
			return Errorf("directive \"%s\" is not terminated by \";\"", name)
		}
		if block && end != blockStart {
			return Errorf("directive \"%s\" has no opening \"{\"", name)
		}
		if !cmd.Args.accept(len(cf.Args)) {
			return Errorf("invalid number of arguments in \"%s\" directive", name)
		}
		cf.Command = cmd
		if cmd.Args&LuaBlock != 0 {
			lua, err := cf.lex.luaBlock()
			if err != nil {
				return err
			}
			cf.Lua = lua
		}
		return cmd.Set(cf, cf.conf(b))
	}
	if len(found) > 0 {
		return Errorf("\"%s\" directive is not allowed here", name)
	}
	return Errorf("unknown directive \"%s\"", name)
}

// Include parses a file, or the files that match a mask, in the block in hand.
func (cf *Conf) Include(path string) error {
	path = cf.Cycle.ConfFullName(path)
	if !strings.ContainsAny(path, "*?[") {
		return cf.parseFile(path)
	}
	names, err := cf.source.Glob(path)
	if err != nil {
		return Errorf("glob() \"%s\" failed%s", path, ErrnoText(err))
	}
	cf.Cycle.Snapshot.addGlob(path, names)
	for _, name := range names {
		if err := cf.parseFile(name); err != nil {
			return err
		}
	}
	return nil
}
