// Package systemd holds the units by which systemd runs perilune, and the tests that show what they promise: with a real systemd
// where one can be started, and always with a peer that does what systemd does with NOTIFY_SOCKET, FDSTORE and LISTEN_FDS. It has
// no code of its own; the program's side is in master/notify.go and master/activation.go.
package systemd
