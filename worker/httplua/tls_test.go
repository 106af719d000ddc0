package httplua_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// authority is a certificate with its key and those above it.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // as a server sends it
}

// certificate makes a certificate, which issuer signs or, without one, itself.
func certificate(t testing.TB, issuer *authority, change func(c *x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true,
	}
	change(tmpl)
	a := &authority{key: key}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.chain = [][]byte{der}
	return a
}

func ca(name string) func(c *x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	}
}

func leaf(names ...string) func(c *x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "leaf " + names[0]}
		c.DNSNames = names
	}
}

func both(fs ...func(c *x509.Certificate)) func(c *x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, f := range fs {
			f(c)
		}
	}
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}

func future(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
}

func writePEM(t testing.TB, path, kind string, ders ...[]byte) {
	t.Helper()
	var b bytes.Buffer
	for _, der := range ders {
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pki is the certificates of the tests, by name.
func pki(t testing.TB, dir string) map[string]*authority {
	t.Helper()
	root := certificate(t, nil, ca("root"))
	other := certificate(t, nil, ca("other"))
	inter := certificate(t, root, ca("inter"))
	inter2 := certificate(t, inter, ca("inter2"))
	notCA := certificate(t, root, leaf("notca.test"))
	good := certificate(t, root, leaf("good.test"))
	of := func(issuer *authority, f func(*x509.Certificate), more ...*authority) *authority {
		a := certificate(t, issuer, f)
		for _, m := range more {
			a.chain = append(a.chain, m.cert.Raw)
		}
		return a
	}
	all := map[string]*authority{
		"good":        good,
		"chain":       of(inter, leaf("good.test"), inter),
		"nochain":     of(inter, leaf("good.test")),
		"expired":     of(root, both(leaf("good.test"), expired)),
		"future":      of(root, both(leaf("good.test"), future)),
		"self":        of(nil, leaf("good.test")),
		"selfexpired": of(nil, both(leaf("good.test"), expired)),
		"unknown":     of(other, leaf("good.test")),
		"unknownexp":  of(other, both(leaf("good.test"), expired)),
		"inchain":     of(other, leaf("good.test"), other),
		"inchainexp":  of(other, both(leaf("good.test"), expired), other),
		"cn":          of(root, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "cn.test"} }),
		"wild":        of(root, leaf("*.wild.test")),
		"usage": of(root, both(leaf("good.test"), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})),
		"notca":   of(notCA, leaf("good.test"), notCA),
		"deep":    of(inter2, leaf("good.test"), inter2, inter),
		"revoked": of(root, leaf("good.test")),
		"client":  of(root, leaf("client.test")),
	}
	writePEM(t, filepath.Join(dir, "root.pem"), "CERTIFICATE", root.cert.Raw)
	writePEM(t, filepath.Join(dir, "client.pem"), "CERTIFICATE", all["client"].cert.Raw)
	key, err := x509.MarshalECPrivateKey(all["client"].key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "client.key"), "EC PRIVATE KEY", key)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: all["revoked"].cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)}},
	}, root.cert, root.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "root.crl"), "X509 CRL", crl)
	return all
}

// writeKey writes the key in the form that OpenSSL writes.
func (a *authority) writeKey(t testing.TB, path string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "PRIVATE KEY", der)
}

func (a *authority) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: a.chain, PrivateKey: a.key}}}
}

// suite is the cipher suite of TLS 1.2, which the client's list decides.
func suite(st tls.ConnectionState) string {
	if st.Version > tls.VersionTLS12 {
		return "-"
	}
	return tls.CipherSuiteName(st.CipherSuite)
}

// tlsEcho answers each line with what it knows of the connection.
func tlsEcho(cfg *tls.Config) func(c net.Conn) {
	return func(c net.Conn) {
		s := tls.Server(c, cfg)
		b := make([]byte, 100)
		for {
			n, err := s.Read(b)
			if err != nil {
				return
			}
			st := s.ConnectionState()
			peer := "-"
			if len(st.PeerCertificates) > 0 {
				peer = st.PeerCertificates[0].Subject.CommonName
			}
			fmt.Fprintf(s, "%s %s sni=%s resumed=%v peer=%s %s\n", tls.VersionName(st.Version), suite(st), st.ServerName, st.DidResume, peer, strings.TrimSpace(string(b[:n])))
		}
	}
}

const tlsConf = `
lua_ssl_protocols TLSv1.2 TLSv1.3;
location = /none { content_by_lua_file lua/t.lua; }
location = /root { lua_ssl_trusted_certificate root.pem; content_by_lua_file lua/t.lua; }
location = /deep { lua_ssl_trusted_certificate root.pem; lua_ssl_verify_depth 3; content_by_lua_file lua/t.lua; }
location = /zero { lua_ssl_trusted_certificate root.pem; lua_ssl_verify_depth 0; content_by_lua_file lua/t.lua; }
location = /crl { lua_ssl_trusted_certificate root.pem; lua_ssl_crl root.crl; content_by_lua_file lua/t.lua; }
location = /tls12 { lua_ssl_protocols TLSv1.2; content_by_lua_file lua/t.lua; }
location = /tls13 { lua_ssl_protocols TLSv1.3; content_by_lua_file lua/t.lua; }
location = /ciphers { lua_ssl_protocols TLSv1.2; lua_ssl_ciphers ECDHE+CHACHA20:!aRSA; content_by_lua_file lua/t.lua; }
location = /resume { content_by_lua_file lua/resume.lua; }
`

const tlsLua = `
local a = ngx.req.get_uri_args()
local sock = ngx.socket.tcp()
sock:settimeouts(a.timeout or 5000, 5000, 5000)
local ok, err = sock:connect("127.0.0.1", a.port)
if not ok then return ngx.say("connect: ", err) end
local sess, err = sock:sslhandshake(a.session == "false" and false or nil, a.name, a.verify == "1")
if not sess then
	ngx.say("handshake: ", sess, " ", err)
	return ngx.say(sock:getreusedtimes())
end
ngx.say(type(sess) == "boolean" and tostring(sess) or "session")
sock:send("hello\n")
ngx.say(sock:receive())
ngx.say(a.keep and sock:setkeepalive() or sock:close())
`

// resumeLua takes a session up, and a connection out of the pool.
const resumeLua = `
local a = ngx.req.get_uri_args()
local session
for i = 1, 3 do
	local sock = ngx.socket.tcp()
	assert(sock:connect("127.0.0.1", a.port))
	local sess = assert(sock:sslhandshake(session, a.name))
	sock:send("hello\n")
	ngx.say(sock:receive())
	session = sess
	if sock.getsslsession then
		session = assert(sock:getsslsession())
	end
	assert(sock:close())
end
for i = 1, 2 do
	local sock = ngx.socket.tcp()
	assert(sock:connect("127.0.0.1", a.port))
	local sess = assert(sock:sslhandshake(false, a.name))
	ngx.say(sess, " ", sock:getreusedtimes())
	sock:send("hello\n")
	ngx.say(sock:receive())
	ngx.say(sock:setkeepalive())
end
`

var tlsCases = []struct{ uri, server, args string }{
	{"/none", "good", ""},
	{"/none", "good", "name=good.test&session=false"},
	{"/none", "good", "name=bad.test"},
	{"/none", "good", "name=good.test&verify=1"},
	{"/none", "chain", "name=good.test&verify=1"},
	{"/none", "nochain", "name=good.test&verify=1"},
	{"/none", "self", "name=good.test&verify=1"},
	{"/none", "selfexpired", "name=good.test&verify=1"},
	{"/none", "unknownexp", "name=good.test&verify=1"},
	{"/none", "inchain", "name=good.test&verify=1"},
	{"/none", "expired", "name=good.test&verify=1"},
	{"/none", "expired", "name=good.test"},
	{"/root", "good", "name=good.test&verify=1"},
	{"/root", "good", "name=GOOD.test&verify=1"},
	{"/root", "good", "verify=1"},
	{"/root", "good", "name=bad.test&verify=1"},
	{"/root", "good", "name=127.0.0.1&verify=1"},
	{"/root", "chain", "name=good.test&verify=1"},
	{"/root", "nochain", "name=good.test&verify=1"},
	{"/root", "deep", "name=good.test&verify=1"},
	{"/deep", "deep", "name=good.test&verify=1"},
	{"/deep", "chain", "name=good.test&verify=1"},
	{"/zero", "good", "name=good.test&verify=1"},
	{"/zero", "chain", "name=good.test&verify=1"},
	{"/root", "expired", "name=good.test&verify=1"},
	{"/root", "future", "name=good.test&verify=1"},
	{"/root", "self", "name=good.test&verify=1"},
	{"/root", "selfexpired", "name=good.test&verify=1"},
	{"/root", "unknown", "name=good.test&verify=1"},
	{"/root", "unknownexp", "name=good.test&verify=1"},
	{"/root", "unknownexp", "name=bad.test&verify=1"},
	{"/root", "inchain", "name=good.test&verify=1"},
	{"/root", "inchainexp", "name=good.test&verify=1"},
	{"/root", "cn", "name=cn.test&verify=1"},
	{"/root", "cn", "name=good.test&verify=1"},
	{"/root", "wild", "name=a.wild.test&verify=1"},
	{"/root", "wild", "name=a.b.wild.test&verify=1"},
	{"/root", "wild", "name=wild.test&verify=1"},
	{"/root", "usage", "name=good.test&verify=1"},
	{"/root", "notca", "name=good.test&verify=1"},
	{"/crl", "good", "name=good.test&verify=1"},
	{"/crl", "revoked", "name=good.test&verify=1"},
	{"/crl", "chain", "name=good.test&verify=1"},
	{"/tls12", "good", "name=good.test"},
	{"/tls13", "good", "name=good.test"},
	{"/tls13", "only12", "name=good.test"},
	{"/tls12", "only13", "name=good.test"},
	{"/none", "silent", "timeout=150"},
	{"/none", "closed", ""},
	{"/none", "reset", ""},
	{"/none", "plain", ""},
	{"/none", "alert", ""},
	{"/none", "half", ""},
	{"/none", "needcert", ""},
	{"/none", "askcert", ""},
	{"/ciphers", "good", ""},
	{"/resume", "only12", "name=good.test"},
}

// tlsServers starts the servers and returns their ports.
func tlsServers(t testing.TB, dir string) map[string]string {
	ports := make(map[string]string)
	all := pki(t, dir)
	for name, a := range all {
		ports[name] = listenFor(t, tlsEcho(a.config()))
	}
	with := func(change func(c *tls.Config)) string {
		c := all["good"].config()
		change(c)
		return listenFor(t, tlsEcho(c))
	}
	ports["only12"] = with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	ports["only13"] = with(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	ports["needcert"] = with(func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 })
	ports["askcert"] = with(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	ports["silent"] = listenFor(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	first := func(f func(c net.Conn)) string {
		return listenFor(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			f(c)
		})
	}
	ports["closed"] = first(func(net.Conn) {})
	ports["reset"] = first(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	ports["plain"] = first(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	ports["alert"] = first(func(c net.Conn) { _, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 40}) })
	ports["half"] = first(func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 3, 0, 100, 2, 0}) })
	return ports
}

// tlsRun asks for all cases and returns what comes back and is logged.
func tlsRun(t *testing.T, ports map[string]string, addr, dir string) string {
	var all strings.Builder
	for _, tt := range tlsCases {
		c := &diffCase{sections: []section{{"request", "GET " + tt.uri + "?port=" + ports[tt.server] + "&" + tt.args + " HTTP/1.0\n"}}}
		body, log := "", ""
		// A handshake that fails without a wait is an error of the Lua library beside Debian's nginx.
		for try := 0; try == 0 || try < 20 && strings.Contains(body, "500 Internal"); try++ {
			before := len(readLog(t, dir, addr))
			_, body, _ = strings.Cut(c.ask(t, addr)[0], "\n\\r\n")
			log = readLog(t, dir, addr)[before:]
		}
		log, _, _ = strings.Cut(log, ", client:")
		text := strings.TrimSuffix(body+log, "\n")
		fmt.Fprintf(&all, "%s %s %s\n\t%s\n", tt.uri, tt.server, tt.args, strings.ReplaceAll(text, "\n", "\n\t"))
	}
	return all.String()
}

const tlsGolden = "testdata/tls.golden"

func tlsCase() *diffCase {
	return &diffCase{sections: []section{{"server", tlsConf}, {"file lua/t.lua", tlsLua}, {"file lua/resume.lua", resumeLua}}}
}

// staleCode is a number of the error before, which Debian's Lua library shows with some errors that have none.
var staleCode = regexp.MustCompile(`nil \d+: (handshake failed|timeout|certificate host mismatch)`)

// TestTLSNginx compares with nginx, which has written the answers.
func TestTLSNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx")
	}
	if _, err := os.Stat(oracleModules + "/ngx_http_lua_module.so"); err != nil {
		t.Skip("no ngx_lua")
	}
	addr := freeport.Addr(t)
	dir := tlsCase().prefix(t, "load_module "+oracleModules+"/ndk_http_module.so; load_module "+oracleModules+
		"/ngx_http_lua_module.so; daemon off; master_process off; ", "", addr)
	ports := tlsServers(t, filepath.Join(dir, "conf"))
	cmd := exec.Command(nginx, "-p", dir+"/", "-c", "conf/nginx.conf", "-e", "logs/error.log")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	waitFor(t, addr)
	got := staleCode.ReplaceAllString(tlsRun(t, ports, addr, dir), "nil $1")
	if *update {
		if err := os.WriteFile(tlsGolden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compareTLS(t, got)
}

func compareTLS(t *testing.T, got string) {
	t.Helper()
	want, err := os.ReadFile(tlsGolden)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n/"), strings.Split(string(want), "\n/")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Errorf("got  %s\nwant %s", append(g, "")[min(i, len(g))], append(w, "")[min(i, len(w))])
		}
	}
}

func TestTLS(t *testing.T) {
	addr := freeport.Addr(t)
	dir := tlsCase().prefix(t, "", "", addr)
	ports := tlsServers(t, filepath.Join(dir, "conf"))
	s, err := serve(t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	compareTLS(t, tlsRun(t, ports, addr, dir))
}

// TestTLSOwn is what Debian's ngx_lua does not have, or not in all versions.
func TestTLSOwn(t *testing.T) {
	c := &diffCase{sections: []section{{"http", `
init_worker_by_lua_block {
	ngx.timer.at(0, function()
		local sock = ngx.socket.tcp()
		while not port do ngx.sleep(0.01) end
		assert(sock:connect("127.0.0.1", port))
		local ok, err = sock:sslhandshake(false, "good.test", true)
		timer = tostring(ok) .. " " .. tostring(err)
	end)
}
lua_ssl_trusted_certificate root.pem;
`}, {"server", `
location = /cert { lua_ssl_certificate client.pem; lua_ssl_certificate_key client.key; content_by_lua_file lua/t.lua; }
location = /resume { content_by_lua_file lua/resume.lua; }
location = /most { lua_ssl_conf_command MaxProtocol TLSv1.2; lua_ssl_conf_command CipherString ECDHE+CHACHA20; content_by_lua_file lua/t.lua; }
location = /only { lua_ssl_conf_command Protocol -ALL,TLSv1.2; content_by_lua_file lua/t.lua; }
location = /log { lua_ssl_key_log keys; content_by_lua_file lua/t.lua; }
location = /pem { content_by_lua_block {
	local ssl = require "ngx.ssl"
	local function read(name)
		local f = assert(io.open(ngx.config.prefix() .. "conf/" .. name))
		local s = f:read("*a")
		f:close()
		return s
	end
	local cert, key = assert(ssl.parse_pem_cert(read "client.pem")), assert(ssl.parse_pem_priv_key(read "client.key"))
	assert(ssl.parse_der_cert(ssl.cert_pem_to_der(read "client.pem")))
	assert(ssl.parse_der_priv_key(ssl.priv_key_pem_to_der(read "client.key")))
	ngx.say(ssl.parse_pem_cert("x"))
	ngx.say(ssl.parse_pem_priv_key(read "client.pem"))
	local sock = ngx.socket.tcp()
	assert(sock:connect("127.0.0.1", ngx.var.arg_port))
	ngx.say(sock:setclientcert(cert))
	ngx.say(sock:setclientcert(cert, "key"))
	ngx.say(sock:setclientcert(cert, key))
	ngx.say(type(cert), " ", type(assert(sock:sslhandshake(nil, "good.test", true))), " ", (pcall(function() return require("ffi").cast("char *", cert)[0] end)))
	sock:send("hello\n")
	ngx.say(sock:receive())
} }
location = /duplex { content_by_lua_block {
	local sock = ngx.socket.tcp()
	assert(sock:connect("127.0.0.1", ngx.var.arg_port))
	assert(sock:sslhandshake(nil, "good.test", true))
	local size, piece = 4 * 1024 * 1024, string.rep("0123456789abcdef", 4096)
	local writer = ngx.thread.spawn(function()
		for i = 1, size / #piece do assert(sock:send(piece)) end
	end)
	local got = assert(sock:receive(size))
	ngx.thread.wait(writer)
	ngx.say(got == string.rep(piece, size / #piece))
	ngx.say(sock:send("bye"))
	ngx.say(sock:receive(3))
	ngx.say(sock:close())
	ngx.say(sock:sslhandshake())
} }
location = /kill { content_by_lua_block {
	local sock = ngx.socket.tcp()
	assert(sock:connect("127.0.0.1", ngx.var.arg_port))
	local th = ngx.thread.spawn(function() sock:sslhandshake() end)
	ngx.say(sock:send("x"))
	ngx.say(ngx.thread.kill(th))
	ngx.say(pcall(ngx.socket.tcp().sslhandshake, ngx.socket.tcp()))
} }
location = /timer { content_by_lua_block {
	port = ngx.var.arg_port
	while not timer do ngx.sleep(0.01) end
	ngx.say(timer)
} }
`}, {"file lua/t.lua", tlsLua}, {"file lua/resume.lua", resumeLua}}}
	addr := freeport.Addr(t)
	dir := c.prefix(t, "", "", addr)
	ports := tlsServers(t, filepath.Join(dir, "conf"))
	echo := pki(t, filepath.Join(dir, "conf"))["good"].config() // of the authority that is trusted
	ports["good"] = listenFor(t, tlsEcho(echo))
	ports["echo"] = listenFor(t, func(c net.Conn) {
		s := tls.Server(c, echo)
		_, _ = io.Copy(s, s)
	})
	asking := echo.Clone()
	asking.ClientAuth = tls.RequireAnyClientCert
	ports["needcert"] = listenFor(t, tlsEcho(asking))
	s, err := serve(t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	const said = "TLS 1.3 - sni=good.test resumed=false peer="
	const resumed = "TLS 1.3 - sni=good.test resumed=true peer=- hello\n"
	for _, tt := range []struct{ uri, server, args, want string }{
		{"/cert", "needcert", "name=good.test&verify=1", "session\n" + said + "leaf client.test hello\n1\n"},
		{"/cert", "good", "name=good.test", "session\n" + said + "- hello\n1\n"},
		{"/pem", "needcert", "", "nilPEM_read_bio_X509_AUX() failed\nnilPEM_read_bio_PrivateKey() failed\n" +
			"nilclient certificate must be supplied with corresponding private key\nnilbad pkey arg: cdata expected, got string\ntrue\ncdata cdata false\n" +
			said + "leaf client.test hello\n"},
		{"/resume", "good", "name=good.test", said + "- hello\n" + resumed + resumed +
			"true 0\n" + said + "- hello\n1\ntrue 1\n" + said + "- hello\n1\n"},
		{"/duplex", "echo", "", "true\n3\nbye\n1\nnilclosed\n"},
		{"/kill", "silent", "", "nilsocket busy connecting\n1\nfalsesocket is never created nor connected\n"},
		{"/timer", "good", "", "true nil\n"},
		{"/most", "good", "name=good.test", "session\nTLS 1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 sni=good.test resumed=false peer=- hello\n1\n"},
		{"/only", "only13", "name=good.test", "handshake: nil handshake failed\nnilclosed\n"},
		{"/log", "good", "name=good.test", "session\n" + said + "- hello\n1\n"},
	} {
		q := &diffCase{sections: []section{{"request", "GET " + tt.uri + "?port=" + ports[tt.server] + "&" + tt.args + " HTTP/1.0\n"}}}
		_, body, _ := strings.Cut(q.ask(t, addr)[0], "\n\\r\n")
		if body != tt.want {
			t.Errorf("%s %s:\n%swant\n%s", tt.uri, tt.server, body, tt.want)
		}
	}
	keys, err := os.ReadFile(filepath.Join(dir, "conf/keys"))
	if err != nil || len(regexp.MustCompile(`(?m)^(CLIENT|SERVER)_\w+ [0-9a-f]{64} [0-9a-f]+$`).FindAll(keys, -1)) != 4 {
		t.Errorf("%q %v", keys, err)
	}
	if t.Failed() {
		t.Log(readLog(t, dir, addr))
	}
}
