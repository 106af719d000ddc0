// Package httplua is the ngx_lua module: the lua_* and *_by_lua* directives, and
// the handlers that run Lua code in the phases of a request.
//
// It owns what connects package luart to the HTTP engine and to the
// configuration. The ngx API itself is luart's; the engine knows nothing of
// either.
package httplua
