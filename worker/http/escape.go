package http

// escapeSet are the bytes to be escaped where some characters are besides what is not printable ASCII.
func escapeSet(characters string) (t [256]bool) {
	for i := range t {
		t[i] = i <= 0x20 || i >= 0x7f
	}
	for _, c := range []byte(characters) {
		t[c] = true
	}
	return t
}

// escapeURI are the bytes that nginx escapes in a URI path.
var escapeURI = escapeSet("\"#%<>?\\^`{|}")

// AppendEscapedURI appends a path with percent-encoding where nginx puts it.
func AppendEscapedURI(dst, path []byte) []byte { return appendEscaped(dst, path, &escapeURI) }

// appendEscaped appends a text with the bytes of a set percent-encoded.
func appendEscaped(dst, text []byte, set *[256]bool) []byte {
	for _, c := range text {
		if set[c] {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
