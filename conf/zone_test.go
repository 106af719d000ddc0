package conf

import (
	"strings"
	"testing"
)

func TestSharedZone(t *testing.T) {
	one, two := &Module{Name: "one"}, &Module{Name: "two"}
	cf := &Conf{Cycle: &Cycle{}}
	add := func(name string, size int64, mod *Module, want string) *Zone {
		t.Helper()
		z, err := cf.SharedZone(name, size, mod)
		if got := errText(err); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		return z
	}
	a := add("a", 8192, one, "")
	if b := add("a", 8192, one, ""); b != a || add("a", 0, one, "") != a {
		t.Error("the same name is another zone")
	}
	add("a", 8193, one, `the size 8193 of shared memory zone "a" conflicts with already declared size 8192`)
	add("a", 8192, two, `the shared memory zone "a" is already declared for a different use`)
	add("a", 0, two, `the shared memory zone "a" is already declared for a different use`)
	add("long", 1<<33, one, `the size 8589934592 of shared memory zone "long" is more than 4294967296`)
	add(strings.Repeat("n", 200), 8192, one, `the name of shared memory zone "`+strings.Repeat("n", 200)+`" is longer than 188 bytes`)
	// A reference that comes before the zone.
	later := add("later", 0, one, "")
	if got := errText(cf.Cycle.CheckZones()); got != `zero size shared memory zone "later"` {
		t.Error(got)
	}
	if add("later", 10000, one, "") != later || later.Size != 10000 || cf.Cycle.CheckZones() != nil {
		t.Errorf("size %d, %v", later.Size, cf.Cycle.CheckZones())
	}
	if len(cf.Cycle.Zones) != 2 {
		t.Errorf("%d zones", len(cf.Cycle.Zones))
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
