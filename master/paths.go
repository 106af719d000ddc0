package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"perilune/conf"
)

// makePaths makes the directories that the workers write to, and gives them to the workers' user.
func (s *system) makePaths(cycle *conf.Cycle) error {
	uid := -1
	if os.Geteuid() == 0 {
		uid = cycle.CoreConf().UID
	}
	for _, dir := range s.opts.Paths(cycle) {
		if err := makePath(dir, uid); err != nil {
			return err
		}
	}
	return nil
}

func makePath(dir string, uid int) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fileError("mkdir()", dir, err)
	}
	if uid < 0 {
		return nil
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fileError("stat()", dir, err)
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != uid {
		if err := os.Chown(dir, uid, -1); err != nil {
			return fmt.Errorf("chown(\"%s\", %d) failed %s", dir, uid, errnoText(err))
		}
	}
	if mode := st.Mode().Perm(); mode&0o700 != 0o700 {
		if err := os.Chmod(dir, mode|0o700); err != nil {
			return fileError("chmod()", dir, err)
		}
	}
	return nil
}
