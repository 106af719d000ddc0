// Package e2e tests the built binary from outside: it starts perilune with a
// prefix directory of its own, talks to it through real sockets, sends it
// signals, and looks at its processes, descriptors and logs. It imports no
// package of what it tests.
//
// With PERILUNE_E2E_NGINX set the same tests run against Debian's nginx with
// its Lua module: what they expect can be checked where it comes from. Tests
// of what only perilune promises are skipped then. PERILUNE_E2E_BINARY names a
// binary to test instead of one built from the tree.
package e2e
