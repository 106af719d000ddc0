package worker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"perilune/ipc"
)

// siblings are the workers among the children of the master, those that drain left out. The kernel lists the children of each
// thread of the master; what they are is told by their titles.
func siblings(master int) []int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", master))
	var pids []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range bytes.Fields(data) {
			pid, err := strconv.Atoi(string(f))
			if err == nil && isWorker(pid) {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

func isWorker(pid int) bool {
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && string(bytes.TrimRight(title, "\x00 ")) == ipc.WorkerTitle
}
