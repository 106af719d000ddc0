package http

// escapeArgs are the bytes that nginx escapes in the arguments of a URI.
var escapeArgs = func() (t [256]bool) {
	for i := range t {
		t[i] = i <= 0x20 || i >= 0x7f
	}
	for _, c := range []byte("\"#%&+;<>?\\^`{|}") {
		t[c] = true
	}
	return t
}()

func appendEscapedArgs(dst, text []byte) []byte { return appendEscaped(dst, text, &escapeArgs) }
