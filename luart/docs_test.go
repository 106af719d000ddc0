package luart

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/lua-api.md")

// TestDocs keeps the page of the manual that is made of the tables up to date.
func TestDocs(t *testing.T) {
	const page = "../docs/lua-api.md"
	var b bytes.Buffer
	if err := WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, b.Bytes()) {
		t.Error(page + " is out of date: run go test ./luart -run TestDocs -update")
	}
}

// TestTables keeps the tables in order.
func TestTables(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Functions() {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if f.Doc == "" || f.Args == "" || f.Phases == 0 || f.fn == nil {
			t.Errorf("%s lacks something", f.Name)
		}
	}
}
