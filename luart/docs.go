package luart

import (
	"fmt"
	"io"
	"strings"
)

// WriteDocs writes the reference of the API in Markdown.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# The Lua API\n\n<!-- made of the tables in luart by go test ./luart -run TestDocs -update; do not edit -->\n\n" +
		"The functions and fields are those of ngx_lua, under the same names and with the same meaning.\n" +
		"Anything that is not listed here does not exist yet.\n\n## Functions\n\n| Function | What it does | Where |\n|---|---|---|\n")
	for _, f := range Functions() {
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", f.Name, f.Args, strings.ReplaceAll(f.Doc, "|", "\\|"), f.Phases.list())
	}
	b.WriteString("| `print(...)` | writes to the error log at level notice | everywhere |\n\n## Fields\n\n| Field | What it is |\n|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f[0], f[1])
	}
	b.WriteString("\n## ngx.shared.DICT\n\nThe dictionaries of `lua_shared_dict`, by name. All workers share them, and they outlive reloads.\n" +
		"The functions are methods: `ngx.shared.DICT:get(key)`.\n\n| Method | What it does |\n|---|---|\n")
	for _, f := range sharedMethods() {
		fmt.Fprintf(&b, "| `%s%s` | %s |\n", f.name, f.args, f.doc)
	}
	b.WriteString("\n## Bundled modules\n\nThey are part of the program; `require` finds them before it looks at `lua_package_path`.\n\n| Module | What it is |\n|---|---|\n")
	for _, m := range Modules() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m.Name, m.Doc)
	}
	b.WriteString("\n## Constants\n\n| Constant | Value |\n|---|---|\n")
	for _, c := range Constants {
		fmt.Fprintf(&b, "| `ngx.%s` | %d |\n", c.Name, c.Value)
	}
	b.WriteString("| `ngx.null` | the null pointer, printed as `null` |\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var fields = [][2]string{
	{"ngx.status", "the status of the response; can be set until the header is sent"},
	{"ngx.header.NAME", "the response's headers; underscores stand for dashes, a table sets several, nil removes"},
	{"ngx.var.NAME", "nginx's variables; those of `set` can be written"},
	{"ngx.ctx", "a table that lives as long as the request"},
	{"ngx.headers_sent", "whether the header of the response was sent"},
	{"ngx.is_subrequest", "whether this is a subrequest"},
	{"ngx.shared.DICT", "a dictionary of `lua_shared_dict`, nil when there is none of that name"},
	{"ndk.set_var.DIRECTIVE", "the function behind a directive of one value of the set-misc module, such as `ndk.set_var.set_escape_uri(str)`; where there is a request"},
	{"ngx.config.subsystem", "`http`"},
	{"ngx.config.debug", "`false`"},
	{"ngx.config.nginx_version", "the version of nginx that is followed, as a number"},
	{"ngx.config.ngx_lua_version", "the version of ngx_lua that is followed, as a number"},
}

// list is a set of phases for people.
func (p Phase) list() string {
	if p == phasesAny {
		return "everywhere"
	}
	var names []string
	for _, n := range phaseNames {
		if p&n.phase != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}
