package logging

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stderrIsJournal reports whether standard error is the connection to the
// journal that systemd has made for this service: JOURNAL_STREAM names its
// device and inode, and a redirection in between gives it others.
func stderrIsJournal() bool {
	v := os.Getenv("JOURNAL_STREAM")
	if v == "" {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(2, &st) == nil && v == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// appendPriority appends the "<3>" of sd-daemon(3), by which the journal knows
// the level of a line. The levels are those of syslog, one off because nginx
// has "stderr" before them; but emerg becomes alert, for the journal writes
// the priority 0 to every terminal of the machine.
func appendPriority(dst []byte, lv Level) []byte {
	pri := max(int(lv)-int(Emerg), 1)
	return append(dst, '<', byte('0'+pri), '>')
}
