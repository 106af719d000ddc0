// Package ffi is LuaJIT's ffi library without C: declarations are parsed, types
// laid out and converted as LuaJIT does on x64, and ffi.C has the functions of
// the system that programs call through it, each written in Go on the system
// call it stands for.
//
// It owns C types, C memory and the functions behind ffi.C. It never loads a
// library, never calls code by address and never reads or writes memory that it
// did not allocate itself.
//
// # Memory
//
// C memory is a [block] of Go bytes, and a pointer is a block and an offset that
// is checked whenever it is followed: an access out of range is a Lua error. A
// pointer that is stored in memory is there twice: as the number that C would
// have there, and in the block's map of the pointers in it, which is what keeps
// the target alive and what the pointer is made of when it is read again. If the
// number has been changed in between, it is but a number, and following it is an
// error.
//
// # Values
//
// A value in Lua's hands is an [object], which begins with a vm.CData of the kind
// CForeign. 64-bit integers are the machine's own boxed integers.
package ffi
