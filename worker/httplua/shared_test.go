package httplua_test

import (
	"strings"
	"testing"

	"perilune/conf"
	"perilune/internal/freeport"
	"perilune/ipc/shm"
)

// createZones does what the master does for shared memory.
func createZones(t testing.TB, cycle *conf.Cycle) {
	t.Helper()
	for _, z := range cycle.Zones {
		m, err := shm.Create(z.Name, z.Size)
		if err != nil {
			t.Fatal(err)
		}
		// After the worker, whose loop uses it, has been stopped by an earlier cleanup.
		t.Cleanup(func() { _ = m.Close() })
		z.Memory = m
	}
}

func TestSharedConfigErrors(t *testing.T) {
	for _, tc := range []struct{ http, want string }{
		{`lua_shared_dict "" 1m;`, `invalid lua shared dict name ""`},
		{"lua_shared_dict dogs 8191;", `invalid lua shared dict size "8191"`},
		{"lua_shared_dict dogs 1g;", `invalid lua shared dict size "1g"`},
		{"lua_shared_dict dogs -1;", `invalid lua shared dict size "-1"`},
		{"lua_shared_dict dogs 1m; lua_shared_dict dogs 1m;", `lua_shared_dict "dogs" is already defined as "dogs"`},
		{"lua_shared_dict dogs 1m; lua_shared_dict dogs 2m;", `the size 2097152 of shared memory zone "dogs" conflicts with already declared size 1048576`},
		{"lua_shared_dict dogs 5000m;", `the size 5242880000 of shared memory zone "dogs" is more than 4294967296`},
		{"lua_shared_dict dogs;", `invalid number of arguments in "lua_shared_dict" directive`},
	} {
		c := &diffCase{sections: []section{{"http", tc.http + "\n"}}}
		addr := freeport.Addr(t)
		dir := c.prefix(t, "", "", addr)
		_, err := serve(t, dir, addr)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "PREFIX") != tc.want+" in PREFIX/conf/nginx.conf:4" {
			t.Errorf("%s: %v, want %s", tc.http, err, tc.want)
		}
	}
}

// TestSharedOutlivesMachines lets each request have a Lua machine of its own.
func TestSharedOutlivesMachines(t *testing.T) {
	s := start(t, `lua_code_cache off; lua_shared_dict d 64k; init_by_lua_block { ngx.shared.d:incr("inits", 1, 0) }`, `
		location / { content_by_lua_block { ngx.say(ngx.shared.d:get("inits"), ngx.shared.d:get("later")) ngx.shared.d:set("later", true) } }
		location /set { log_by_lua_block { ngx.shared.d:set("later", "logged") } return 200 x; }
	`, nil)
	s.expect(t, "/", "200 OK", "2nil\n")
	s.expect(t, "/set", "200 OK", "x")
	s.expect(t, "/", "200 OK", "4logged\n")
}
