package http

import "golang.org/x/sys/unix"

// sysFstatat is the number of fstatat(2), whose name differs.
const sysFstatat = unix.SYS_NEWFSTATAT
