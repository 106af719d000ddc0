package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"runtime"
	"strings"

	"perilune/conf"
)

// Defaults of the build; packagers set them with -ldflags "-X main.prefix=…".
var (
	prefix   = "/usr/local/perilune/"
	confPath = "conf/nginx.conf"
	errorLog = "logs/error.log" // "stderr" for standard error
)

// cmdline is the command line of nginx.
type cmdline struct {
	help, version, configure bool
	test, dump, quiet        bool
	signal                   string
	prefix, conf, errorLog   string
	globals                  string
}

// parseArgs reads the arguments as nginx does: letters may be joined, and a value may follow its letter at once or be the next
// argument. The error's text is nginx's.
func parseArgs(args []string) (*cmdline, error) {
	c := &cmdline{prefix: prefix, conf: confPath, errorLog: errorLog}
	for i := 0; i < len(args); i++ {
		letters, ok := strings.CutPrefix(args[i], "-")
		if !ok {
			return nil, fmt.Errorf("invalid option: \"%s\"", args[i])
		}
		for p := 0; p < len(letters); p++ {
			if c.flag(letters[p]) {
				continue
			}
			need, known := valueNames[letters[p]]
			if !known {
				return nil, fmt.Errorf("invalid option: \"%s\"", letters[p:p+1])
			}
			value := letters[p+1:]
			if value == "" {
				if i++; i == len(args) {
					return nil, fmt.Errorf("option \"-%c\" requires %s", letters[p], need)
				}
				value = args[i]
			}
			if err := c.value(letters[p], value); err != nil {
				return nil, err
			}
			break
		}
	}
	return c, nil
}

var valueNames = map[byte]string{
	'p': "directory name", 'e': "file name", 'c': "file name", 'g': "parameter", 's': "parameter",
}

func (c *cmdline) flag(letter byte) bool {
	switch letter {
	case '?', 'h':
		c.version, c.help = true, true
	case 'v':
		c.version = true
	case 'V':
		c.version, c.configure = true, true
	case 't':
		c.test = true
	case 'T':
		c.test, c.dump = true, true
	case 'q':
		c.quiet = true
	default:
		return false
	}
	return true
}

func (c *cmdline) value(letter byte, value string) error {
	switch letter {
	case 'p':
		c.prefix = value
		if value != "" && !strings.HasSuffix(value, "/") {
			c.prefix += "/"
		}
	case 'e':
		c.errorLog = value
	case 'c':
		c.conf = value
	case 'g':
		c.globals = value
	case 's':
		switch value {
		case "stop", "quit", "reopen", "reload", "upgrade", "status", "status-json":
		default:
			return fmt.Errorf("invalid option: \"-s %s\"", value)
		}
		c.signal = value
	}
	return nil
}

const usage = `Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
                  or: upgrade, status, status-json
  -p prefix     : set prefix path (default: %s)
  -e filename   : set error log file (default: %s)
  -c filename   : set configuration file (default: %s)
  -g directives : set global directives out of configuration file

`

// showVersion writes what -v, -V and -h ask for.
func (c *cmdline) showVersion(w io.Writer) {
	fmt.Fprintf(w, "nginx version: nginx/%s (perilune/%s)\n", conf.NginxVersion, conf.Version)
	if c.help {
		text := strings.Replace(usage, "Usage: nginx", "Usage: perilune", 1)
		fmt.Fprintf(w, text, prefix, errorLog, confPath)
	}
	if c.configure {
		fmt.Fprintf(w, "built by %s\n", runtime.Version())
		// Tools look for this line. There is no OpenSSL in the program; its part is done by Go's own TLS.
		fmt.Fprintf(w, "built with OpenSSL 3.0.0 (compatible; Go crypto/tls, up to %s)\n", tls.VersionName(tls.VersionTLS13))
		args := configureArguments()
		if strings.Contains(args, sslModule) {
			fmt.Fprintln(w, "TLS SNI support enabled")
		}
		fmt.Fprintf(w, "configure arguments: %s\n", args)
	}
}

// optional are the modules that nginx has unless configure is told otherwise, each with a directive of it.
var optional = []struct{ module, directive string }{
	{"access", "allow"}, {"auth_basic", "auth_basic"}, {"autoindex", "autoindex"}, {"browser", "modern_browser"},
	{"charset", "charset"}, {"empty_gif", "empty_gif"}, {"fastcgi", "fastcgi_pass"}, {"geo", "geo"}, {"grpc", "grpc_pass"},
	{"gzip", "gzip"}, {"limit_conn", "limit_conn"}, {"limit_req", "limit_req"}, {"map", "map"},
	{"memcached", "memcached_pass"}, {"mirror", "mirror"}, {"proxy", "proxy_pass"}, {"referer", "valid_referers"},
	{"rewrite", "rewrite"}, {"scgi", "scgi_pass"}, {"split_clients", "split_clients"}, {"ssi", "ssi"},
	{"upstream_hash", "hash"}, {"upstream_ip_hash", "ip_hash"}, {"upstream_keepalive", "keepalive"},
	{"upstream_least_conn", "least_conn"}, {"upstream_random", "random"}, {"upstream_zone", "zone"},
	{"userid", "userid"}, {"uwsgi", "uwsgi_pass"},
}

// added are the modules that nginx has only if configure is told so, each with a directive of it.
var added = []struct{ module, directive string }{
	{"ssl", "ssl_certificate"}, {"v2", "http2"}, {"realip", "set_real_ip_from"}, {"addition", "add_before_body"},
	{"sub", "sub_filter"}, {"dav", "dav_methods"}, {"gunzip", "gunzip"}, {"gzip_static", "gzip_static"},
	{"auth_request", "auth_request"}, {"random_index", "random_index"}, {"secure_link", "secure_link"}, {"slice", "slice"},
	{"stub_status", "stub_status"},
}

// configureArguments are the arguments to nginx's configure that come closest to this program.
func configureArguments() string {
	has := make(map[string]bool)
	for _, m := range modules() {
		for _, c := range m.Commands {
			has[c.Name] = true
		}
	}
	args := []string{"--prefix=" + strings.TrimSuffix(prefix, "/"), "--conf-path=" + confPath, "--error-log-path=" + errorLog}
	for _, o := range optional {
		if !has[o.directive] {
			args = append(args, "--without-http_"+o.module+"_module")
		}
	}
	if !has["proxy_cache_path"] {
		args = append(args, "--without-http-cache")
	}
	for _, a := range added {
		if has[a.directive] {
			args = append(args, "--with-http_"+a.module+"_module")
		}
	}
	return strings.Join(args, " ")
}

const sslModule = "--with-http_ssl_module"
