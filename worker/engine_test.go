package worker

import (
	"slices"
	"strings"
	"testing"

	"perilune/conf"
	"perilune/ipc"
)

func TestAttach(t *testing.T) {
	plain := &conf.Listening{Network: "tcp", Addr: "0.0.0.0:80"}
	many := &conf.Listening{Network: "tcp", Addr: "[::]:80", Reuseport: true}
	was := &conf.Listening{Network: "unix", Addr: "unix:/s"}
	one := &conf.Listening{Network: "tcp", Addr: "0.0.0.0:81", Reuseport: true}
	cycle := &conf.Cycle{Listening: []*conf.Listening{plain, many, was, one}}
	own, err := attach(cycle, []ipc.SocketFDs{
		{Network: "tcp", Addr: "0.0.0.0:81", FDs: []int{9}, Own: []int{0}},
		{Network: "unix", Addr: "unix:/s", FDs: []int{7, 8}, Own: []int{1}},
		{Network: "tcp", Addr: "[::]:80", FDs: []int{4, 5, 6}, Own: []int{0, 2}},
		{Network: "tcp", Addr: "0.0.0.0:80", FDs: []int{3}, Own: []int{0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(own)
	if !slices.Equal(own, []int{0, 1, 2}) {
		t.Errorf("accepts from the slots %v", own)
	}
	for i, c := range []struct {
		fds  []int
		many bool
	}{{[]int{3}, false}, {[]int{4, 5, 6}, true}, {[]int{7, 8}, true}, {[]int{9}, false}} {
		if ls := cycle.Listening[i]; !slices.Equal(ls.FDs, c.fds) || ls.Reuseport != c.many {
			t.Errorf("%s: descriptors %v, reuseport %v", ls.Addr, ls.FDs, ls.Reuseport)
		}
	}
	if _, err := attach(cycle, nil); err == nil || !strings.Contains(err.Error(), "no listen socket for 0.0.0.0:80") {
		t.Errorf("without sockets: %v", err)
	}
}
