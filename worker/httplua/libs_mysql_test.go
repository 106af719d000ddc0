package httplua_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"perilune/internal/freeport"
)

// mariaDB starts a server with a data base for the user perilune, and returns its port and its unix socket. Its certificate is
// for db.test.
func mariaDB(t *testing.T, certificates string) (port, sock string) {
	t.Helper()
	for _, name := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("no " + name)
		}
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	var user []string
	if os.Getuid() == 0 {
		user = []string{"--user=root"}
	}
	install := exec.Command("mariadb-install-db", append(user, "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal")...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	sql := "CREATE DATABASE db;\nCREATE USER perilune@'%' IDENTIFIED BY 'secret';\nCREATE USER perilune@localhost IDENTIFIED BY 'secret';\n" +
		"GRANT ALL ON db.* TO perilune@'%';\nGRANT ALL ON db.* TO perilune@localhost;\n"
	if err := os.WriteFile(filepath.Join(dir, "init.sql"), []byte(sql), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := freeport.Addr(t)
	_, port, _ = net.SplitHostPort(addr)
	sock = filepath.Join(dir, "db.sock")
	args := append([]string{"--no-defaults"}, user...)
	program(t, addr, "mariadbd", append(args, "--datadir="+data, "--port="+port, "--bind-address=127.0.0.1", "--socket="+sock, "--pid-file="+filepath.Join(dir, "pid"),
		"--init-file="+filepath.Join(dir, "init.sql"), "--skip-log-bin", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--skip-name-resolve",
		"--ssl-cert="+certificates+"/db.crt", "--ssl-key="+certificates+"/db.key")...)
	return port, sock
}

func TestLibMySQL(t *testing.T) {
	http := libs(t, "lua-resty-mysql")
	dir := t.TempDir()
	root := certificate(t, nil, ca("root"))
	db := certificate(t, root, leaf("db.test"))
	writePEM(t, dir+"/root.crt", "CERTIFICATE", root.cert.Raw)
	writePEM(t, dir+"/db.crt", "CERTIFICATE", db.cert.Raw)
	db.writeKey(t, dir+"/db.key")
	port, sock := mariaDB(t, dir)
	s := startEither(t, http+"lua_ssl_trusted_certificate "+dir+"/root.crt;\n", `location / { content_by_lua_block {
		local mysql = require "resty.mysql"
		local function connect(options)
			local db = assert(mysql:new())
			db:set_timeout(10000)
			options.user, options.password, options.database = "perilune", "secret", "db"
			local ok, err, code, state = db:connect(options)
			if not ok then return nil, err end
			return db
		end
		local tcp = {host = "127.0.0.1", port = `+port+`}
		local db = assert(connect(tcp))
		local function query(...) local r, err, code, state = db:query(...) 
			if not r then return cjson{err, code, state} end
			if #r == 0 then return fields(r) end
			for i, row in ipairs(r) do r[i] = #row > 0 and cjson(row) or fields(row) end
			return table.concat(r, "; ")
		end
		assert(db:query("drop table if exists cats"))
		ngx.say(query("create table cats (id serial primary key, name varchar(20), weight double)"))
		ngx.say(query("insert into cats (name, weight) values ('Bob', 4.25), ('', null), (null, 3)"))
		ngx.say(query("select name from cats order by id"))
		ngx.say(query("select * from cats order by id", 10))
		ngx.say(query("select 1 as a; select 2 as b; select 3 as c"))
		for i = 1, 2 do ngx.say(cjson{db:read_result()}) end
		ngx.say(query("select * from dogs"))
		ngx.say(#db:query("select repeat('x', 1000000) as x")[1].x)
		local rows = {}
		for i = 1, 5000 do rows[i] = "(" .. i .. ")" end
		assert(db:query("create temporary table n (i int)"))
		ngx.say(db:query("insert into n values " .. table.concat(rows, ",")).affected_rows, " ", #db:query("select i from n"))
		ngx.say(ngx.quote_sql_str("O'Hara") == db:query("select quote(" .. ngx.quote_sql_str("O'Hara") .. ") as q")[1].q)
		ngx.say(db:set_keepalive(10000, 10))
		db = assert(connect(tcp))
		ngx.say(db:get_reused_times(), " ", query("select count(*) as n from cats"), " ", db:close())
		db = assert(connect{path = "`+sock+`", compact_arrays = true})
		ngx.say(db:get_reused_times(), " ", query("select name, weight from cats where id = 1"), " ", db:set_keepalive())
		db = assert(connect{path = "`+sock+`", compact_arrays = true})
		ngx.say(db:get_reused_times(), " ", db:close())
		db = assert(connect{host = "127.0.0.1", port = `+port+`, ssl = true, pool = "tls"})
		ngx.say(query("show status like 'Ssl_version'"))
		ngx.say(db:set_keepalive())
		ngx.say(connect{host = "127.0.0.1", port = `+port+`, ssl = true, ssl_verify = true, pool = "verify"} ~= nil)
		local other = assert(mysql:new())
		ngx.say((select(2, other:connect{host = "127.0.0.1", port = `+port+`, user = "perilune", password = "wrong", database = "db", pool = "wrong"})))
	} }`)
	version := "TLSv1.3"
	if againstNginx() {
		version = "TLSv1.2" // the most by default in its ngx_lua
	}
	s.expect(t, "/", "200 OK", `affected_rows=0 insert_id=0 server_status=2 warning_count=0
affected_rows=3 insert_id=1 message=Records: 3  Duplicates: 0  Warnings: 0 server_status=2 warning_count=0
name=Bob; name=; name=userdata: NULL
id=1 name=Bob weight=4.25; id=2 name= weight=userdata: NULL; id=3 name=userdata: NULL weight=3
a=1
[[{"b":2}],"again"]
[[{"c":3}]]
["Table 'db.dogs' doesn't exist",1146,"42S02"]
1000000
5000 5000
true
1
1 n=3 1
0 ["Bob",4.25] 1
1 1
Value=`+version+` Variable_name=Ssl_version
1
true
Access denied for user 'perilune'@'127.0.0.1' (using password: YES)
`)
}
