// Package luart is the Lua runtime of a worker: one virtual machine, a cache of
// compiled chunks, a pool of request threads, and the ngx.* API of ngx_lua over
// them.
//
// It owns what a Lua program can see of a request and when it may use it. It
// never parses a configuration, never touches a socket and knows nothing of the
// HTTP engine: what it needs of a request and of the event loop is said by the
// interfaces [Request] and [Loop], which others implement.
//
// A function of the API that waits simply blocks its goroutine on the loop,
// which hands the baton to another one meanwhile. Everything in this package
// runs with the baton, so that nothing in it is locked.
package luart
