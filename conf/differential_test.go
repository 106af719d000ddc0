package conf

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pieces are what random configurations are made of: enough structure to get
// far, enough rubbish to fail everywhere.
var pieces = []string{
	"events {", "http {", "server {", "location / {", "types {", "}", "}", "}", ";", "{",
	"worker_processes 1;", "env A=b;", "worker_connections 10;", "multi_accept on;", "sendfile off;", "sendfile x;",
	"default_type a/b;", "keepalive_requests 12;", "client_max_body_size 1g;", "send_timeout '1h 30m';",
	"text/html html htm;", "include a.inc;", "include inc.d/*.inc;", "include none/*.x;",
	"content_by_lua_block {", "init_by_lua_block {", "set_by_lua_block $x {", "[[", "]]", "[==[", "]==]", "--", "--[[",
	"\"", "'", "\\", "\"a b\"", "'c;d'", "$", "${", "$a", "#", "# c }\n", "\n", "\n", "\n", " ", " ", "\t", "\r\n", ")", "foo", "a", "=",
}

func randomConf(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(4) > 0 {
		b.WriteString("events {}\nhttp {\nserver {\nlocation / {\n"[:[]int{10, 17, 26, 39}[r.IntN(4)]])
	}
	for range r.IntN(30) {
		b.WriteString(pieces[r.IntN(len(pieces))])
		if r.IntN(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// TestRandomAsNginx compares what perilune and the installed nginx say of random
// configurations.
func TestRandomAsNginx(t *testing.T) {
	haveNginx(t)
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	r := rand.New(rand.NewPCG(7, 9))
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "inc.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.inc", "\n# nothing\n")
	write("inc.d/b.inc", "\n\n")
	failed := 0
	for range rounds {
		text := randomConf(r)
		write("nginx.conf", text)
		want := ask(t, dir, "")
		if strings.Contains(want, "bind() to") || strings.Contains(want, "duplicate extension") {
			continue // beyond parsing
		}
		if got := load(t, dir, ""); got != want {
			t.Errorf("%q\ngot   %s\nnginx %s", text, got, want)
			if failed++; failed > 5 {
				return
			}
		}
	}
}
