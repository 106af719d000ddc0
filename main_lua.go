package main

import (
	"os"

	"perilune/luart"
)

// runLua is the lua subcommand: perilune lua [-e CODE] [FILE [ARGS…]].
func runLua(args []string) int {
	return luart.RunScript(args, os.Stdin, os.Stdout, os.Stderr)
}
