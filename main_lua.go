package main

import (
	"os"
	"runtime/debug"

	"perilune/luart"
)

// scriptGCPercent is how much the heap of a script may grow between two
// collections: most of what scripts allocate dies young, so that rarer
// collections cost less in sum. A script then takes about the memory that it
// takes in PUC Lua.
const scriptGCPercent = 400

// runLua is the lua subcommand: perilune lua [-e CODE] [FILE [ARGS…]].
func runLua(args []string) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(scriptGCPercent)
	}
	return luart.RunScript(args, os.Stdin, os.Stdout, os.Stderr)
}
