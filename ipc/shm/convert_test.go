package shm

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// memFile is a memory file of these contents, sealed as a zone's is.
func memFile(t *testing.T, contents []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "test")
	if _, err := f.Write(contents); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestConvert adopts a zone that a program of layout version 1 has written.
func TestConvert(t *testing.T) {
	packed, err := os.Open("testdata/layout1.zone.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	old, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	f := memFile(t, old)
	if _, err := Attach(f); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "layout version: 1, not 2") {
		t.Errorf("Attach: %v", err)
	}
	z, note, err := Adopt(f, "old", 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	const want = `shared memory zone "old" is converted from layout version 1 to 2: 6 entries copied, 0 do not fit`
	if note != want || z.Outdated() {
		t.Errorf("%s", note)
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
	d := z.Dict()
	var got strings.Builder
	for _, k := range []string{"string", "number", "expires", "expired"} {
		v, flags, err := d.Get([]byte(k), nil)
		fmt.Fprintf(&got, "%s %v %v %q %d %v; ", k, v.Bool, v.Num, v.Str, flags, err)
	}
	ttl, err := d.TTL([]byte("expires"))
	fmt.Fprintf(&got, "%v %v; ", ttl > 1<<45, err)
	for range 3 {
		v, err := d.LPop([]byte("list"), nil)
		fmt.Fprintf(&got, "%s %v; ", v.Str, err)
	}
	if want := `string false 0 "a value" 7 <nil>; number false 4.5 "" 0 <nil>; expires true 0 "" 0 <nil>; ` +
		`expired false 0 "" 0 <nil>; true <nil>; one <nil>; two <nil>; three <nil>; `; got.String() != want {
		t.Errorf("%s\nwant %s", got.String(), want)
	}
	for k, want := range map[string][]byte{"long": bytes.Repeat([]byte("0123456789"), 100), "key" + strings.Repeat("x", 200): []byte("of a long key")} {
		if v, _, err := d.Get([]byte(k), nil); err != nil || !bytes.Equal(v.Str, want) {
			t.Errorf("%.10s: %.20q, %v", k, v.Str, err)
		}
	}
}
