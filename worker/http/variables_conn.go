package http

import (
	"strconv"

	"golang.org/x/sys/unix"
)

func serverAddr(r *Request, dst []byte, _ string) ([]byte, bool) {
	addr, _ := r.Conn.LocalAddr()
	return append(dst, addr...), true
}

func serverPort(r *Request, dst []byte, _ string) ([]byte, bool) {
	_, port := r.Conn.LocalAddr()
	return appendPort(dst, uint16(port)), true
}

// appendPort appends a port; unix sockets have 0, which is not shown.
func appendPort(dst []byte, port uint16) []byte {
	if port == 0 {
		return dst
	}
	return strconv.AppendInt(dst, int64(port), 10)
}

func remotePort(r *Request, dst []byte, _ string) ([]byte, bool) {
	return appendPort(dst, r.Conn.RemotePort), true
}

// tcpinfo makes a VarFunc of a field of TCP_INFO.
func tcpinfo(f func(*unix.TCPInfo) uint32) VarFunc {
	return func(r *Request, dst []byte, _ string) ([]byte, bool) {
		info, err := unix.GetsockoptTCPInfo(r.Conn.FD.Sysfd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return dst, false
		}
		return strconv.AppendUint(dst, uint64(f(info)), 10), true
	}
}

var connVariables = []Variable{
	{Name: "remote_addr", Get: text(func(r *Request) string { return r.Conn.Remote }), Doc: "address of the client"},
	{Name: "remote_port", Get: remotePort, Doc: "port of the client"},
	{Name: "binary_remote_addr", Get: whole(func(r *Request) []byte { return r.Conn.Binary }),
		Doc: "address of the client as 4 or 16 bytes"},
	{Name: "server_addr", Get: serverAddr, Doc: "address that took the connection"},
	{Name: "server_port", Get: serverPort, Doc: "port that took the connection"},
	{Name: "connection", Get: number(func(r *Request) int64 { return int64(r.Conn.Number) }),
		Doc: "serial number of the connection"},
	{Name: "connection_requests", Get: number(func(r *Request) int64 { return int64(r.Conn.Requests) }),
		Doc: "requests made on the connection"},
	{Name: "connection_time", Get: seconds(func(r *Request) int64 {
		return r.Loop().NowMsec() - r.Conn.startMsec
	}), Doc: "seconds since the connection was accepted"},
	{Name: "tcpinfo_rtt", Get: tcpinfo(func(i *unix.TCPInfo) uint32 { return i.Rtt }), Doc: "TCP_INFO of the connection"},
	{Name: "tcpinfo_rttvar", Get: tcpinfo(func(i *unix.TCPInfo) uint32 { return i.Rttvar }), Doc: "TCP_INFO of the connection"},
	{Name: "tcpinfo_snd_cwnd", Get: tcpinfo(func(i *unix.TCPInfo) uint32 { return i.Snd_cwnd }),
		Doc: "TCP_INFO of the connection"},
	{Name: "tcpinfo_rcv_space", Get: tcpinfo(func(i *unix.TCPInfo) uint32 { return i.Rcv_space }),
		Doc: "TCP_INFO of the connection"},
}
