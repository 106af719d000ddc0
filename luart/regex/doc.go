// Package regex is the engine of ngx.re.*: regular expressions with the syntax
// and the semantics of PCRE 8, over bytes.
//
// A pattern is parsed into a tree, compiled to a small program and run by a
// backtracking matcher with a stack of its own. The work of a match is limited
// as PCRE's is: a pattern that backtracks too often ends with the error
// [ErrMatchLimit] and never holds up the worker. Matching allocates nothing
// once the stack of its [Matcher] has grown.
//
// An engine of its own was chosen by measurement. Of the 780 lines of the table in
// testdata that all can be asked, package regexp answers 487 as PCRE does and
// github.com/dlclark/regexp2 526, this package all but ten, which its test names.
// In BenchmarkEngines it takes 0.1 to 0.5 of the time of regexp on short subjects
// and 0.02 on long ones without a literal to look for, 0.02 to 0.4 of that of
// regexp2, and neither of them matches without allocating.
//
// The package knows neither Lua nor requests.
package regex
