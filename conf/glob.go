package conf

import (
	"os"
	"slices"
	"strings"
)

// glob lists the paths that match a pattern as glob(3) does without flags: a
// wildcard never matches a slash nor a dot that begins a name, a backslash
// escapes, and what cannot be read matches nothing.
func glob(pattern string) []string {
	paths := []string{""}
	for rest := pattern; rest != ""; {
		slashes := len(rest) - len(strings.TrimLeft(rest, "/"))
		sep := rest[:slashes]
		name, tail := rest[slashes:], ""
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name, tail = name[:i], name[i:]
		}
		rest = tail
		var next []string
		for _, dir := range paths {
			next = append(next, globName(dir+sep, name)...)
		}
		paths = next
	}
	slices.Sort(paths)
	return paths
}

// globName lists what matches one name of a pattern in a directory.
func globName(dir, name string) []string {
	if name == "" { // the pattern ends with a slash
		if _, err := os.Stat(dir); err != nil {
			return nil
		}
		return []string{dir}
	}
	if !strings.ContainsAny(name, "*?[") {
		path := dir + unescapeGlob(name)
		if _, err := os.Lstat(path); err != nil {
			return nil
		}
		return []string{path}
	}
	read := dir
	if read == "" {
		read = "."
	}
	entries, err := os.ReadDir(read)
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		n := e.Name()
		if n[0] == '.' && name[0] != '.' {
			continue
		}
		if fnmatch(name, n) {
			paths = append(paths, dir+n)
		}
	}
	return paths
}

func unescapeGlob(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+1 < len(name) {
			i++
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// fnmatch matches one file name. After a star it goes back to where the star
// may swallow one byte more.
func fnmatch(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, n
				p++
				continue
			}
			if next := matchOne(pattern, p, name[n]); next > 0 {
				p = next
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne matches one byte against the pattern at p, and returns where the
// pattern goes on, or 0.
func matchOne(pattern string, p int, c byte) int {
	switch pattern[p] {
	case '?':
		return p + 1
	case '[':
		if next, ok := matchSet(pattern, p, c); next > 0 {
			if ok {
				return next
			}
			return 0
		}
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	if pattern[p] == c {
		return p + 1
	}
	return 0
}

// matchSet matches a byte against a set such as [a-z0-9] or [!.]; next is 0 if
// the bracket has no end and so stands for itself.
func matchSet(pattern string, p int, c byte) (next int, ok bool) {
	i := p + 1
	not := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if not {
		i++
	}
	for first := true; i < len(pattern); first = false {
		low := pattern[i]
		switch {
		case low == ']' && !first:
			return i + 1, ok != not
		case low == '\\' && i+1 < len(pattern):
			i++
			low = pattern[i]
		}
		high := low
		i++
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high = pattern[i+1]
			i += 2
			if high == '\\' && i < len(pattern) {
				high = pattern[i]
				i++
			}
		}
		if low <= c && c <= high {
			ok = true
		}
	}
	return 0, false
}
