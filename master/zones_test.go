package master

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

var zoneModule, otherModule = &conf.Module{Name: "one"}, &conf.Module{Name: "two"}

func wantZones(zones ...*conf.Zone) *conf.Cycle { return &conf.Cycle{Zones: zones} }

func mustOpen(t *testing.T, cycle *conf.Cycle, old *zoneSet, log *logging.Log) *zoneSet {
	t.Helper()
	set, err := openZones(cycle, old, log)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func put(t *testing.T, z *zone, value string) {
	t.Helper()
	if _, err := z.Dict().Set([]byte("key"), shm.Str([]byte(value)), 0, 0); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, z *zone, want string) {
	t.Helper()
	v, _, err := z.Dict().Get([]byte("key"), nil)
	if err != nil || string(v.Str) != want {
		t.Errorf("%q, %v; want %q", v.Str, err, want)
	}
}

func TestZonesOverConfigurations(t *testing.T) {
	log, text := testLog(t)
	first := mustOpen(t, wantZones(&conf.Zone{Name: "a", Size: 1 << 20, For: zoneModule}, &conf.Zone{Name: "b", Size: 1 << 16, For: zoneModule}), nil, log)
	a, b := first.list[0], first.list[1]
	put(t, a, "a's")
	put(t, b, "b's")
	// The same one, and one that another module wants.
	second := mustOpen(t, wantZones(&conf.Zone{Name: "b", Size: 1 << 16, For: otherModule}, &conf.Zone{Name: "a", Size: 1 << 20, For: zoneModule}), first, log)
	if second.find("a") != a || second.find("b") == b {
		t.Error("the wrong zones are kept")
	}
	wantValue(t, second.find("b"), "")
	// Another size, while both configurations are in use.
	third := mustOpen(t, wantZones(&conf.Zone{Name: "a", Size: 1 << 21, For: zoneModule}), second, log)
	wantValue(t, third.find("a"), "a's")
	put(t, third.find("a"), "new")
	wantValue(t, a, "a's")
	if s := text(); !strings.Contains(s, `[notice]`) || !strings.Contains(s, `zone "a" changes its size from 1048576 to 2097152: 1 entries copied, 0 do not fit`) {
		t.Errorf("the log is %q", s)
	}
	first.drop()
	first.drop()
	wantValue(t, second.find("a"), "a's")
	second.drop()
	wantValue(t, third.find("a"), "new")
	if a.refs != 0 || b.refs != 0 || third.find("a").refs != 1 {
		t.Errorf("references %d, %d, %d", a.refs, b.refs, third.find("a").refs)
	}
	third.drop()
	if _, err := openZones(wantZones(&conf.Zone{Name: "z", For: zoneModule}), nil, log); err == nil || err.Error() != `zero size shared memory zone "z"` {
		t.Errorf("error %v", err)
	}
}

// TestZoneKeys has a zone go on only with the key that its entries are of.
func TestZoneKeys(t *testing.T) {
	log, _ := testLog(t)
	zone := func(key string, of *conf.Module) *conf.Cycle {
		return wantZones(&conf.Zone{Name: "k", Size: 1 << 16, For: of, Key: key})
	}
	first := mustOpen(t, zone("$a", zoneModule), nil, log)
	put(t, first.find("k"), "kept")
	same := mustOpen(t, zone("$a", zoneModule), first, log)
	wantValue(t, same.find("k"), "kept")
	if _, err := openZones(zone("$b", zoneModule), same, log); err == nil || err.Error() != `zone "k" uses the "$b" key while previously it used the "$a" key` {
		t.Errorf("error %v", err)
	}
	other := mustOpen(t, zone("$b", otherModule), same, log)
	wantValue(t, other.find("k"), "")
	for _, set := range []*zoneSet{first, same, other} {
		set.drop()
	}
}

// TestZonesGoToTheNextMaster passes descriptors on as an upgrade does.
func TestZonesGoToTheNextMaster(t *testing.T) {
	log, text := testLog(t)
	cycle := wantZones(&conf.Zone{Name: "a", Size: 1 << 20, For: zoneModule}, &conf.Zone{Name: "b", Size: 1 << 16, For: zoneModule})
	set := mustOpen(t, cycle, nil, log)
	defer set.drop()
	put(t, set.list[0], "a's")
	put(t, set.list[1], "b's")
	names, fds := set.offer()
	if len(names) != 2 || names[0] != `{"Kind":"zone","Name":"a","Use":"one","Size":1048576}` {
		t.Fatalf("offered %q", names)
	}
	next := &zoneSet{}
	for i, z := range set.list {
		fd, err := unix.FcntlInt(uintptr(fds[i]), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := next.inherit(&offered{Kind: "zone", Name: z.Name(), Use: z.use, Size: z.Size()}, fd, log); err != nil {
			t.Fatal(err)
		}
	}
	taken := mustOpen(t, cycle, next, log)
	defer taken.drop()
	next.drop()
	wantValue(t, taken.find("a"), "a's")
	put(t, taken.find("b"), "changed")
	wantValue(t, set.find("b"), "changed")
	// What is no zone of this layout begins empty.
	odd, err := unix.MemfdCreate("odd", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	other := &zoneSet{}
	defer other.drop()
	if err := other.inherit(&offered{Name: "c", Use: "one", Size: 1 << 16}, odd, log); err != nil {
		t.Fatal(err)
	}
	wantValue(t, other.find("c"), "")
	if !strings.Contains(text(), `shared memory zone "c" begins empty: `) {
		t.Errorf("the log is %q", text())
	}
}

func TestZonesOfDeadWorkers(t *testing.T) {
	log, text := testLog(t)
	set := mustOpen(t, wantZones(&conf.Zone{Name: "a", Size: 1 << 20, For: zoneModule}), nil, log)
	defer set.drop()
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	owner := set.ownerOf(cmd.Process.Pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if owner.PID != cmd.Process.Pid || owner.Start == 0 {
		t.Errorf("owner %+v", owner)
	}
	set.release(owner, log)
	if s := text(); s != "" {
		t.Errorf("who has held nothing is in the log: %s", s)
	}
	if o := set.ownerOf(cmd.Process.Pid); o != (shm.Owner{}) {
		t.Errorf("owner %+v of a process that is gone", o)
	}
	set.release(shm.Owner{}, log)
	var none *zoneSet
	none.drop()
	none.release(owner, log)
	if names, _ := none.offer(); names != nil || none.fdsOf(nil) != nil || none.ownerOf(1) != (shm.Owner{}) || none.find("a") != nil {
		t.Error("no set is not empty")
	}
}
