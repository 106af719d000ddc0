package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perilune/worker/loop"
	"perilune/worker/peer"
)

func TestMatchName(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		want       bool
	}{
		{"a.test", "a.test", true},
		{"A.test", "a.TEST", true},
		{"a.test", "b.test", false},
		{"*.a.test", "b.a.test", true},
		{"*.a.test", "B.A.test", true},
		{"*.a.test", "a.test", false},
		{"*.a.test", ".a.test", false},
		{"*.a.test", "c.b.a.test", false},
		{"*.test", "a.test", false},
		{"*", "a", false},
		{"*.", "a.", false},
		{"*a.b.test", "xa.b.test", false},
		{"", "a.test", false},
		{"127.0.0.1", "127.0.0.1", true},
	} {
		if got := matchName(tt.name, tt.host); got != tt.want {
			t.Errorf("%s %s: %v", tt.name, tt.host, got)
		}
	}
}

func TestCiphers(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		{"ECDHE+CHACHA20:!aRSA", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
		{"ALL:-ALL:AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"},
		{"!kRSA:AESGCM+AES256:@STRENGTH", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
		{"UNKNOWN:AES256-SHA,AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA TLS_RSA_WITH_AES_256_CBC_SHA"},
		{"UNKNOWN", "SSL_CTX_set_cipher_list(\"UNKNOWN\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"},
		{"ALL:!ALL:AES128-SHA", "SSL_CTX_set_cipher_list(\"ALL:!ALL:AES128-SHA\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"},
		{"!", "SSL_CTX_set_cipher_list(\"!\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"},
	} {
		ids, err := cipherSuites(tt.list)
		var names []string
		for _, id := range ids {
			names = append(names, tls.CipherSuiteName(id))
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.list, got, tt.want)
		}
	}
	if ids, err := cipherSuites("DEFAULT"); err != nil || len(ids) != len(ciphers) {
		t.Error(ids, err)
	}
	for i := range ciphers {
		known := slices.ContainsFunc(append(tls.CipherSuites(), tls.InsecureCipherSuites()...), func(s *tls.CipherSuite) bool { return s.ID == ciphers[i].id })
		if !known {
			t.Errorf("%s", ciphers[i].words)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		bits      uint
		low, high uint16
		error     string
	}{
		{SSLv3 | TLSv1 | TLSv11 | TLSv12 | TLSv13, tls.VersionTLS10, tls.VersionTLS13, ""},
		{TLSv12, tls.VersionTLS12, tls.VersionTLS12, ""},
		{TLSv11 | TLSv12, tls.VersionTLS11, tls.VersionTLS12, ""},
		{TLSv11 | TLSv13, 0, 0, "protocols with a gap between them are not supported"},
		{SSLv2 | SSLv3, 0, 0, "none of the protocols is supported"},
	} {
		low, high, err := versions(tt.bits)
		if text := errorText(err); low != tt.low || high != tt.high || text != tt.error {
			t.Errorf("%b: %x %x %s", tt.bits, low, high, text)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		data := []byte("nothing\n")
		if kind != "" {
			data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := identity(t)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	_, other := identity(t)
	otherDER, err := x509.MarshalECPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	good, goodKey := write("good.pem", "CERTIFICATE", cert), write("good.key", "EC PRIVATE KEY", der)
	empty, broken := write("empty", "", nil), write("broken", "CERTIFICATE", cert[:50])
	wrongKey, noFile := write("wrong.key", "EC PRIVATE KEY", otherDER), filepath.Join(dir, "none")
	missing := "BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(" + noFile +
		", r) error:10000080:BIO routines::no such file)"
	const noLine = "failed (SSL: error:0480006C:PEM routines::no start line:Expecting: "
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Trusted: good, Certificates: []string{good}, Keys: []string{goodKey}}, ""},
		{Options{Trusted: noFile}, "cannot load certificate \"" + noFile + "\": " + missing},
		{Options{Trusted: empty}, "cannot load certificate \"" + empty + "\": PEM_read_bio_X509_AUX() " + noLine + "TRUSTED CERTIFICATE)"},
		{Options{Trusted: broken}, "cannot load certificate \"" + broken + "\": PEM_read_bio_X509() failed (SSL: x509: malformed certificate)"},
		{Options{CRL: noFile}, "cannot load CRL \"" + noFile + "\": " + missing},
		{Options{CRL: good}, "cannot load CRL \"" + good + "\": PEM_read_bio_X509_CRL() " + noLine + "X509 CRL)"},
		{Options{Certificates: []string{good}, Keys: []string{noFile}}, "cannot load certificate key \"" + noFile + "\": " + missing},
		{Options{Certificates: []string{good}, Keys: []string{wrongKey}}, "SSL_CTX_use_PrivateKey(\"" + wrongKey +
			"\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)"},
		{Options{Certificates: []string{good}, Keys: []string{empty}}, "cannot load certificate key \"" + empty +
			"\": PEM_read_bio_PrivateKey() failed (SSL: failed to find any PEM data in key input)"},
	} {
		tt.o.Protocols, tt.o.Ciphers = TLSv12, "DEFAULT"
		if _, err := Load(&tt.o); errorText(err) != tt.want {
			t.Errorf("%+v:\n%v, want\n%s", tt.o, err, tt.want)
		}
	}
}

// identity is a certificate and its key.
func identity(t testing.TB) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// client runs f with the baton, with a connection to a server that runs serve.
func client(t *testing.T, serve func(c net.Conn), f func(l *loop.Loop, c *peer.Conn)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	}()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	l.Go(func() {
		defer l.Stop()
		c, err := peer.Dial{}.Connect(l, peer.TCP(ln.Addr().(*net.TCPAddr).AddrPort().Addr(), ln.Addr().(*net.TCPAddr).AddrPort().Port()), time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		f(l, c)
	})
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	<-served
}

func settings(t *testing.T) *Settings {
	t.Helper()
	s, err := Load(&Options{Protocols: TLSv12 | TLSv13, Ciphers: "DEFAULT", Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAfterwards has a server end the connection in its ways after the handshake.
func TestAfterwards(t *testing.T) {
	cert, key := identity(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	set := settings(t)
	for _, tt := range []struct {
		name string
		end  func(raw net.Conn, s *tls.Conn)
		want string
	}{
		{"close_notify", func(_ net.Conn, s *tls.Conn) { _ = s.Close() }, "EOF"},
		{"FIN", func(raw net.Conn, _ *tls.Conn) { _ = raw.Close() }, "EOF"},
		{"RST", func(raw net.Conn, _ *tls.Conn) { _ = raw.(*net.TCPConn).SetLinger(0); _ = raw.Close() }, "connection reset by peer"},
		{"garbage", func(raw net.Conn, _ *tls.Conn) {
			_, _ = raw.Write([]byte("\x17\x03\x03\x00\x20aaaabbbbccccddddaaaabbbbccccdddd"))
		}, "error"},
		{"half a record", func(raw net.Conn, _ *tls.Conn) { _, _ = raw.Write([]byte{23, 3, 3, 0, 32, 1}) }, "EOF"},
	} {
		client(t, func(c net.Conn) {
			s := tls.Server(c, cfg)
			_, _ = s.Read(make([]byte, 10))
			_, _ = s.Write([]byte("bye"))
			tt.end(c, s)
		}, func(l *loop.Loop, conn *peer.Conn) {
			c, err := Client(l, conn, &Handshake{Settings: set}, time.Second)
			if err != nil {
				t.Error(tt.name, err)
				return
			}
			if !c.Quiet() {
				t.Error(tt.name, "there is something to read")
			}
			if _, err := c.Write([]byte("hello"), time.Second); err != nil {
				t.Error(tt.name, err)
			}
			b := make([]byte, 10)
			n, err := c.Read(b, time.Second)
			if err != nil && tt.name != "RST" || err == nil && string(b[:n]) != "bye" {
				t.Error(tt.name, n, err)
			}
			if err == nil {
				_, err = c.Read(b, time.Second)
			}
			if errorText(err) != tt.want {
				t.Error(tt.name, err)
			}
			if c.Quiet() {
				t.Error(tt.name, "quiet")
			}
		})
	}
}

// TestSlowHandshake has a server that sends its part byte by byte: the time is that of the whole handshake.
func TestSlowHandshake(t *testing.T) {
	set := settings(t)
	stop := make(chan struct{})
	client(t, func(c net.Conn) {
		head := []byte{22, 3, 3, 64, 0}
		for i := 0; ; i++ {
			b := byte(0)
			if i < len(head) {
				b = head[i]
			}
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}, func(l *loop.Loop, conn *peer.Conn) {
		defer close(stop)
		if _, err := Client(l, conn, &Handshake{Settings: set}, 100*time.Millisecond); err != loop.ErrTimeout {
			t.Error(err)
		}
	})
}

// TestClosed closes the connection while the handshake waits.
func TestClosed(t *testing.T) {
	set := settings(t)
	client(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_, _ = c.Read(make([]byte, 1<<16))
		_, _ = c.Read(make([]byte, 1))
	},
		func(l *loop.Loop, conn *peer.Conn) {
			l.Go(conn.Close)
			if _, err := Client(l, conn, &Handshake{Settings: set}, time.Second); err != loop.ErrStopped {
				t.Error(err)
			}
		})
}

func TestHandshakeErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		text  string
		errno syscall.Errno
	}{
		{&net.OpError{Op: "x", Err: syscall.ECONNRESET}, "peer closed connection in SSL handshake", syscall.ECONNRESET},
		{errors.New("tls: oops"), "SSL_do_handshake() failed (SSL: oops)", 0},
	} {
		e, ok := handshakeError(tt.err).(*HandshakeError)
		if !ok || e.Text != tt.text || e.Errno != tt.errno || e.Error() != "handshake failed" {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
}

func TestCommands(t *testing.T) {
	failed := func(name, value, cause string) string {
		return "SSL_CONF_cmd(\"" + name + "\", \"" + value + "\") failed (SSL: " + cause + "error:0A000180:SSL routines::bad value:cmd=" + name + ", value=" + value + ")"
	}
	const noCipher = "error:0A0000B9:SSL routines::no cipher match "
	none := `none of the protocols is supported`
	for _, tt := range []struct{ name, value, want string }{
		{"Foo", "bar", `SSL_CONF_cmd("Foo", "bar") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=Foo)`},
		{"MinProtocol", "TLSv1.9", failed("MinProtocol", "TLSv1.9", "")},
		{"minprotocol", "TLSv1.2", ""},
		{"MinProtocol", "None", ""},
		{"MaxProtocol", "None", ""},
		{"MaxProtocol", "SSLv3", none},
		{"CipherString", "nonsense", failed("CipherString", "nonsense", noCipher)},
		{"CipherString", "ECDHE+AESGCM", ""},
		{"Ciphersuites", "nonsense", failed("Ciphersuites", "nonsense", noCipher)},
		{"Ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", `SSL_CONF_cmd("Ciphersuites", "TLS_CHACHA20_POLY1305_SHA256") is not supported`},
		{"Ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", ""},
		{"Curves", "X25519:P-256", ""},
		{"Groups", "nope", failed("Groups", "nope", "error:0A080106:SSL routines::passed invalid argument:group 'nope' cannot be set ")},
		{"Groups", "X448", `SSL_CONF_cmd("Groups", "X448") is not supported`},
		{"Options", "-SessionTicket,ServerPreference,PrioritizeChaCha", ""},
		{"Options", "Nope", failed("Options", "Nope", "")},
		{"Options", "KTLS", `SSL_CONF_cmd("Options", "KTLS") is not supported`},
		{"Protocol", "-ALL,TLSv1.2", ""},
		{"Protocol", "-ALL", none},
		{"Protocol", "Nope", failed("Protocol", "Nope", "")},
		{"VerifyMode", "Peer", `SSL_CONF_cmd("VerifyMode", "Peer") is not supported`},
	} {
		_, err := Load(&Options{Protocols: TLSv12 | TLSv13, Ciphers: "DEFAULT", Commands: []Command{{tt.name, tt.value}}})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
	s, err := Load(&Options{Protocols: TLSv1 | TLSv12, Ciphers: "DEFAULT", Commands: []Command{
		{"Protocol", "ALL"}, {"MinProtocol", "TLSv1.1"}, {"MaxProtocol", "TLSv1.2"}, {"Groups", "P-384"}, {"Options", "-SessionTicket"}, {"CipherString", "ECDHE+CHACHA20"}}})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.config; c.MinVersion != tls.VersionTLS11 || c.MaxVersion != tls.VersionTLS12 || len(c.CurvePreferences) != 1 || !c.SessionTicketsDisabled || len(c.CipherSuites) != 2 {
		t.Errorf("%+v", c)
	}
}
