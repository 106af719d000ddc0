// Package regex is the engine of ngx.re.*: regular expressions with the syntax
// and the semantics of PCRE 8, over bytes.
//
// A pattern is parsed into a tree, compiled to a small program and run by a
// backtracking matcher with a stack of its own. The work of a match is limited
// as PCRE's is: a pattern that backtracks too often ends with the error
// [ErrMatchLimit] and never holds up the worker. Matching allocates nothing
// once the stack of its [Matcher] has grown.
//
// An engine of its own was chosen after measuring it with the table in testdata
// and the benchmarks beside it. Package regexp understands about two thirds of
// the table, has other rules for $ and invalid UTF-8, and is slower on short
// subjects. The package regexp2 works on runes, so that subjects must be copied
// to four times their size, and allocates for every match.
//
// The package knows neither Lua nor requests.
package regex
