package resolver

import (
	"fmt"
	"strings"
	"testing"

	"perilune/conf"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		args  string
		want  string // the servers, the families and valid
		error string
	}{
		{args: "127.0.0.1", want: "127.0.0.1:53 46 0"},
		{args: "127.0.0.1:5353 [::1] [::1]:54", want: "127.0.0.1:5353 [::1]:53 [::1]:54 46 0"},
		{args: "127.0.0.1 valid=30s", want: "127.0.0.1:53 46 30"},
		{args: "127.0.0.1 valid=1m30s ipv6=off", want: "127.0.0.1:53 4 90"},
		{args: "ipv4=off 127.0.0.1 ipv6=on", want: "127.0.0.1:53 6 0"},
		{args: "127.0.0.1 local=off", want: "127.0.0.1:53 46 0"},
		{args: "valid=30s", error: "no name servers defined"},
		{args: "127.0.0.1 valid=x", error: "invalid parameter: valid=x"},
		{args: "127.0.0.1 valid=", error: "invalid parameter: valid="},
		{args: "127.0.0.1 ipv6=no", error: "invalid parameter: ipv6=no"},
		{args: "127.0.0.1 ipv4=", error: "invalid parameter: ipv4="},
		{args: "127.0.0.1 local=maybe", error: "invalid parameter: local=maybe"},
		{args: "127.0.0.1 status_zone=z", error: "invalid parameter: status_zone=z"},
		{args: "127.0.0.1 ipv4=off ipv6=off", error: "\"ipv4\" and \"ipv6\" cannot both be \"off\""},
		{args: "127.0.0.1:0", error: "invalid port in resolver \"127.0.0.1:0\""},
		{args: "127.0.0.1:x", error: "invalid port in resolver \"127.0.0.1:x\""},
		{args: "127.0.0.1:65536", error: "invalid port in resolver \"127.0.0.1:65536\""},
		{args: ":53", error: "no host in resolver \":53\""},
		{args: "[::1", error: "invalid host in resolver \"[::1\""},
		{args: "[::g]", error: "invalid IPv6 address in resolver \"[::g]\""},
		{args: "127.0.0.1/x", error: "invalid host in resolver \"127.0.0.1/x\""},
	} {
		r, err := Parse(&conf.Conf{}, strings.Fields(tt.args))
		if tt.error != "" {
			if err == nil || err.Error() != tt.error {
				t.Errorf("%s: %v, want %s", tt.args, err, tt.error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		if got := parsed(r); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
}

func parsed(r *Resolver) string {
	var b strings.Builder
	for _, s := range r.servers {
		fmt.Fprintf(&b, "%s ", s.addr)
	}
	if r.ipv4 {
		b.WriteByte('4')
	}
	if r.ipv6 {
		b.WriteByte('6')
	}
	fmt.Fprintf(&b, " %d", r.valid)
	return b.String()
}
