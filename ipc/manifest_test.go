package ipc

import (
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/conf"
)

func TestManifestRoundTrip(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(r.Fd())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		Generation: 2, Slot: 1, Workers: 4, IPC: fd, Prefix: "/p/", User: &User{Name: "www", UID: 33, GID: 34, Groups: []int{34, 35}},
		Snapshot: &conf.Snapshot{Files: []conf.SnapshotFile{{Path: "/p/nginx.conf", Text: []byte("\x00\xff")}}},
		Sockets:  []SocketFDs{{Network: "tcp", Addr: "0.0.0.0:80", FDs: []int{fd}}},
		Files:    map[string]int{"/e.log": fd},
	}
	f, err := want.File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("the manifest can be written after it was sealed")
	}
	dup, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadManifest(dup)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	KeepFilesHere()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("an inherited descriptor is not close-on-exec (%v)", err)
	}
	if _, err := unix.FcntlInt(uintptr(dup), unix.F_GETFD, 0); err == nil {
		t.Error("the manifest's descriptor is still open")
	}
}

func TestWorkerManifest(t *testing.T) {
	if _, ok, err := WorkerManifest(); ok || err != nil {
		t.Fatalf("this test is no worker: %v, %v", ok, err)
	}
	for value, want := range map[string]int{"7": 7, "x": 0, "2": 0, "": 0} {
		t.Setenv(EnvWorker, value)
		fd, ok, err := WorkerManifest()
		if !ok || fd != want && err == nil || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v, %v", value, fd, ok, err)
		}
		if _, still := os.LookupEnv(EnvWorker); still {
			t.Errorf("%q: the variable is still there", value)
		}
	}
}
