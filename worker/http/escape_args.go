package http

// escapeArgs are the bytes that nginx escapes in the arguments of a URI.
var escapeArgs = escapeSet("\"#%&+;<>?\\^`{|}")

func appendEscapedArgs(dst, text []byte) []byte { return appendEscaped(dst, text, &escapeArgs) }
