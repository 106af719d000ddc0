package http

import (
	"strings"

	"perilune/conf"
)

// mapTable is a map block.
type mapTable struct {
	source    *Script
	hostnames bool
	names     ServerNames[*Script] // wildcards
	regex     []regexServer[*Script]
	plain     map[string]*Script
	standard  *Script // default; nil: empty
	scratch   []byte
}

var mapModule = &conf.Module{Name: "http_map", Kind: conf.HTTPKind}

func init() {
	mapModule.Commands = []conf.Command{
		{Name: "map", Ctx: conf.HTTP, Args: conf.Take2 | conf.Block, Level: conf.MainConf, Set: setMap,
			Doc: "A variable whose value depends on another text: by strings, ~regexes, with hostnames also by wildcards; default, volatile, include."},
		{Name: "geo", Ctx: conf.HTTP, Args: conf.Take12 | conf.Block, Level: conf.MainConf, Set: setGeo,
			Doc: "A variable whose value depends on an address: by addresses and networks, or ranges; default, ranges, delete, include."},
		hashSize("map_hash_max_size", 0), hashSize("map_hash_bucket_size", 1),
		{Name: "split_clients", Ctx: conf.HTTP, Args: conf.Take2 | conf.Block, Level: conf.MainConf, Set: setSplitClients,
			Doc: "A variable whose value depends on the hash of a text: by shares in percent, * for the rest."},
	}
}

// blockVariable is the name of the variable that a block defines.
func blockVariable(text string) (string, error) {
	name, ok := strings.CutPrefix(text, "$")
	if !ok || name == "" {
		return "", conf.Errorf("invalid variable name \"%s\"", text)
	}
	return name, nil
}

func setMap(cf *conf.Conf, _ any) error {
	m := &mapTable{plain: make(map[string]*Script)}
	name, err := blockVariable(cf.Args[2])
	if err != nil {
		return err
	}
	if m.source, err = CompileScript(cf, cf.Args[1]); err != nil {
		return err
	}
	keep := true
	err = cf.ParseEntries(func(cf *conf.Conf) error {
		if len(cf.Args) == 1 {
			switch cf.Args[0] {
			case "hostnames":
				m.hostnames = true
				return nil
			case "volatile":
				keep = false
				return nil
			}
		}
		return m.entry(cf)
	})
	if err != nil {
		return err
	}
	return AddComputed(cf, name, "", keep, m.value)
}

// entry takes a line of the block.
func (m *mapTable) entry(cf *conf.Conf) error {
	if len(cf.Args) != 2 {
		return conf.Errorf("invalid number of the map parameters")
	}
	key := cf.Args[0]
	if key == "include" {
		return cf.Include(cf.Args[1])
	}
	value, err := CompileScript(cf, cf.Args[1])
	if err != nil {
		return err
	}
	switch {
	case key == "default":
		if m.standard != nil {
			return conf.Errorf("duplicate default map parameter")
		}
		m.standard = value
		return nil
	case strings.HasPrefix(key, "~"):
		pattern, caseless := strings.CutPrefix(key[1:], "*")
		re, err := BindRegex(cf, pattern, caseless)
		if err != nil {
			return err
		}
		m.regex = append(m.regex, regexServer[*Script]{re, value})
		return nil
	}
	key = strings.ToLower(strings.TrimPrefix(key, "\\"))
	added := NameAdded
	if m.hostnames && strings.ContainsAny(key, "*.") {
		added = m.names.Add(ServerName{Name: key}, value)
	} else if _, found := m.plain[key]; found {
		added = NameConflict
	} else {
		m.plain[key] = value
	}
	switch added {
	case NameInvalid:
		return conf.Errorf("invalid hostname or wildcard \"%s\"", key)
	case NameConflict:
		return conf.Errorf("conflicting parameter \"%s\"", key)
	}
	return nil
}

// value is the value of the variable.
func (m *mapTable) value(r *Request) ([]byte, bool) {
	text := m.source.AppendTo(r, m.scratch[:0])
	m.scratch = nil // an inner map may be this one's source
	found := m.find(r, text)
	m.scratch = text
	if found == nil {
		return nil, true
	}
	if s, ok := found.Constant(); ok {
		return []byte(s), true
	}
	return r.view(found.AppendTo(r, nil)), true
}

func (m *mapTable) find(r *Request, text []byte) *Script {
	low := AppendLower(nil, text)
	key := low
	if m.hostnames {
		key = []byte(strings.TrimSuffix(string(low), "."))
	}
	if s := m.plain[string(key)]; s != nil {
		return s
	}
	if m.hostnames {
		if s, found, _ := m.names.Find(key, nil); found {
			return s
		}
	}
	for i := range m.regex {
		x := &m.regex[i]
		ok, err := r.parts.captures.Exec(x.regex, r.captureSubject(x.regex, text))
		if err == nil && ok {
			return x.server
		}
	}
	return m.standard
}

// hashSize makes a directive for the size of a table of nginx's.
func hashSize(name string, i int) conf.Command {
	set := conf.SetNum(func(m *MainConf) *conf.Setting[int] { return &m.hashSizes[i] })
	return conf.Command{Name: name, Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
		Set: func(cf *conf.Conf, _ any) error { return set(cf, mainConfOf(cf)) },
		Doc: "Checked and otherwise without effect: tables have the size that they need."}
}
