package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const luaModules = "load_module /usr/lib/nginx/modules/ndk_http_module.so;" +
	"load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"

// needed are the files that must be there and the packages that bring them.
var needed = []struct{ path, pkg string }{
	{"/usr/sbin/nginx", "nginx"},
	{"/usr/lib/nginx/modules/ngx_http_lua_module.so", "libnginx-mod-http-lua"},
	{"/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so", "lua-cjson"},
	{"/usr/bin/wrk", "wrk"},
	{"/usr/bin/redis-server", "redis-server"},
	{"/usr/bin/taskset", "util-linux"},
}

// install brings what is missing by apt-get.
func install() error {
	var missing []string
	for _, n := range needed {
		if _, err := os.Stat(n.path); err != nil {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Println("installing", strings.Join(missing, " "))
	// The package starts nginx as a service unless it is told not to.
	script := "apt-get update -q && apt-get install -y --no-install-recommends " + strings.Join(missing, " ")
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("installing %s: %w\n%s", strings.Join(missing, " "), err, out)
	}
	return nil
}
