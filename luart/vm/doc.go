// Package vm is a Lua machine in pure Go: Lua 5.1 with the extensions that
// LuaJIT 2.1 accepts in OpenResty's mode, its messages and its limits.
//
// The package owns values, tables, the front end (lexer and parser), the
// compiler to register bytecode, the machine that runs it, and the standard
// library. It never does network I/O, knows nothing of HTTP, of the event loop
// or of the rest of perilune, and keeps no state per VM that would break when
// the goroutine that runs one Thread blocks and another goroutine runs another
// Thread of the same VM meanwhile (never two at the same time).
//
// # Front end
//
// The tree is the one of gopher-lua's ast package; its lexer and grammar are
// not used, because they refuse programs that LuaJIT accepts (\z, \x and \u{}
// escapes, hexadecimal floats, 64-bit literals, goto as a name) and word
// their messages differently. The parser here is a recursive descent over our
// own lexer; it resolves names while it reads, so that limits and label errors
// are reported in the order of the text, and annotates the nodes that need it
// by embedding them (see tree.go).
//
// # Use of unsafe
//
// A Value is two words: a pointer and 64 bits. The pointer is the only word
// the garbage collector looks at and always points at a live Go object of its
// real type, or at a static cell that stands for a type without a pointer
// (numbers, booleans, light userdata). The bits hold the number, or for
// objects a tag: one of the highest uint64 values, which as floats are NaNs
// that no operation here produces (Number canonicalises NaNs that come from
// outside). Conversions back go through the tag only, so that a cast always
// names the type the object was allocated with.
//
// The machine reads instructions, constants and registers by pointer
// arithmetic relative to the start of the function's code, its constants and
// the frame's part of the Lua stack. The compiler is the only producer of
// bytecode (binary chunks are refused) and counts the registers it uses; a
// frame is entered only after the stack was grown to hold them all, plus slack,
// so that no such pointer leaves its object.
//
// Addresses of objects are used as hash values of table keys. This relies on
// the Go collector not moving heap objects.
package vm
