package main

import (
	"os"
	"strings"
	"testing"

	"perilune/conf"
)

func TestPageIsCurrent(t *testing.T) {
	b, err := os.ReadFile("../directives.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != page(modules()) {
		t.Error("docs/directives.md is stale: run make docs")
	}
}

// TestTables checks what the page relies on, and that no two directives of one
// name can be meant in the same block.
func TestTables(t *testing.T) {
	seen := make(map[string]conf.Context)
	for _, m := range modules() {
		for _, c := range m.Commands {
			if c.Doc == "" || strings.Contains(c.Doc, "\n") {
				t.Errorf("%s %s: Doc must be one line: %q", m.Name, c.Name, c.Doc)
			}
			if c.Set == nil || c.Ctx == 0 || c.Args == 0 {
				t.Errorf("%s %s: no handler, context or arguments", m.Name, c.Name)
			}
			if seen[c.Name]&c.Ctx != 0 {
				t.Errorf("%s %s: twice in one context", m.Name, c.Name)
			}
			seen[c.Name] |= c.Ctx
		}
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{"it does.": "It does.", "`x` does": "`x` does.", "Élan": "Élan."} {
		if got := sentence(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		args conf.Args
		want string
	}{
		{conf.NoArgs, "none"}, {conf.Take1, "1"}, {conf.Take12, "1 or 2"}, {conf.Take1234, "1 to 4"}, {conf.Take13, "1 or 3"},
		{conf.Flag, "on \\| off"}, {conf.OneMore, "1 or more"}, {conf.TwoMore | conf.Block, "2 or more { … }"},
		{conf.NoArgs | conf.Block, "{ … }"}, {conf.Take1 | conf.LuaBlock, "1 { Lua }"}, {conf.AnyArgs, "any number"},
		{conf.NoArgs | conf.Take1, "0 or 1"},
	}
	for _, test := range tests {
		if got := arguments(test.args); got != test.want {
			t.Errorf("%b: %q, want %q", test.args, got, test.want)
		}
	}
}
