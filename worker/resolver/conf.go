package resolver

import (
	"strings"
	"time"

	"perilune/conf"
)

const dnsPort = 53

// Parse makes the resolver of a resolver directive, whose words are args without the directive's name.
func Parse(cf *conf.Conf, args []string) (*Resolver, error) {
	r := &Resolver{ipv4: true, ipv6: true}
	for _, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		if !hasValue {
			name = ""
		}
		switch name {
		case "valid":
			d, err := conf.ParseTime(value, true)
			if err != nil {
				return nil, invalid(arg)
			}
			r.valid = int64(d / time.Second)
			continue
		case "ipv4", "ipv6", "local":
			if value != "on" && value != "off" {
				return nil, invalid(arg)
			}
			on := value == "on"
			switch {
			case name == "ipv4":
				r.ipv4 = on
			case name == "ipv6":
				r.ipv6 = on
			case on:
				r.local = &localHosts{path: hostsFile}
				r.system = readResolvConf(resolvFile)
				for _, addr := range r.system.servers {
					r.servers = append(r.servers, newServer(r, addr))
				}
			}
			continue
		case "status_zone":
			return nil, invalid(arg)
		}
		addrs, complaint := cf.ParseHostPort(arg, dnsPort)
		if complaint != "" {
			return nil, conf.Errorf("%s in resolver \"%s\"", complaint, arg)
		}
		for _, addr := range addrs {
			r.servers = append(r.servers, newServer(r, addr))
		}
	}
	if !r.ipv4 && !r.ipv6 {
		return nil, conf.Errorf("\"ipv4\" and \"ipv6\" cannot both be \"off\"")
	}
	if len(r.servers) == 0 {
		return nil, conf.Errorf("no name servers defined")
	}
	return r, nil
}

func invalid(arg string) error { return conf.Errorf("invalid parameter: %s", arg) }
