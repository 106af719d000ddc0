package http

import (
	"bytes"
	"strings"
)

// ServerName is one name of a server block: a plain name in lower case ("" is one), a wildcard, or a regular expression.
type ServerName struct {
	Name  string
	Regex *BoundRegex
}

// CheckServerName answers with nginx's message for a name that server_name refuses at once.
func CheckServerName(name string) (complaint string) {
	if (strings.HasPrefix(name, "*") && (len(name) < 3 || name[1] != '.')) || name == "." {
		return `server name "` + name + `" is invalid`
	}
	return ""
}

type regexServer[S any] struct {
	regex  *BoundRegex
	server S
}

// ServerNames finds the server of a host name, among those that listen on one address.
type ServerNames[S any] struct {
	exact map[string]S
	head  map[string]S // "*.example.com" under "example.com"
	tail  map[string]S // "www.example.*" under "www.example"
	regex []regexServer[S]
}

// Outcome of ServerNames.Add.
type AddedName int

// What Add did with a name.
const (
	NameAdded    AddedName = iota
	NameInvalid            // nginx refuses the configuration
	NameConflict           // another server has the name; nginx warns and ignores it
)

// Add gives a name to a server.
func (t *ServerNames[S]) Add(n ServerName, server S) AddedName {
	if n.Regex != nil {
		t.regex = append(t.regex, regexServer[S]{n.Regex, server})
		return NameAdded
	}
	name := n.Name
	stars := strings.Count(name, "*")
	if stars > 1 || strings.Contains(name, "..") || strings.Contains(name, "\x00") {
		return NameInvalid
	}
	switch {
	case len(name) > 1 && name[0] == '.':
		if _, found := t.exact[name[1:]]; found {
			return NameConflict
		}
		if !addName(&t.head, name[1:], server) {
			return NameConflict
		}
		addName(&t.exact, name[1:], server)
		return NameAdded
	case len(name) > 2 && strings.HasPrefix(name, "*."):
		return addedName(addName(&t.head, name[2:], server))
	case len(name) > 2 && strings.HasSuffix(name, ".*"):
		return addedName(addName(&t.tail, name[:len(name)-2], server))
	case stars > 0:
		return NameInvalid
	}
	return addedName(addName(&t.exact, name, server))
}

func addedName(ok bool) AddedName {
	if ok {
		return NameAdded
	}
	return NameConflict
}

func addName[S any](m *map[string]S, name string, server S) bool {
	if *m == nil {
		*m = make(map[string]S)
	}
	if _, found := (*m)[name]; found {
		return false
	}
	(*m)[name] = server
	return true
}

// Find looks for a host in lower case: exact names, then the longest wildcard at the front, the longest at the end,
// and the regular expressions in their order. Without a match the address's default server is meant.
func (t *ServerNames[S]) Find(host []byte, caps *Captures) (server S, found bool, err error) {
	if server, found = t.exact[string(host)]; found {
		return server, true, nil
	}
	if len(t.head) > 0 {
		for i, c := range host {
			if c != '.' {
				continue
			}
			if server, found = t.head[string(host[i+1:])]; found {
				return server, true, nil
			}
		}
	}
	if len(t.tail) > 0 {
		for i := bytes.LastIndexByte(host, '.'); i >= 0; i = bytes.LastIndexByte(host[:i], '.') {
			if server, found = t.tail[string(host[:i])]; found {
				return server, true, nil
			}
		}
	}
	if len(host) > 0 {
		for _, rs := range t.regex {
			ok, err := caps.Exec(rs.regex, host)
			if ok || err != nil {
				return rs.server, ok, err
			}
		}
	}
	return server, false, nil
}
