package secure

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"perilune/conf"
)

// Bits of the protocols.
const (
	SSLv2 uint = 1 << iota
	SSLv3
	TLSv1
	TLSv11
	TLSv12
	TLSv13
)

// Protocols are the names of the protocols in directives, in lower case.
var Protocols = map[string]uint{
	"sslv2": SSLv2, "sslv3": SSLv3, "tlsv1": TLSv1, "tlsv1.1": TLSv11, "tlsv1.2": TLSv12, "tlsv1.3": TLSv13,
}

// Options are the directives of a block. File names are complete.
type Options struct {
	Protocols    uint
	Ciphers      string
	Depth        int
	Trusted      string   // a file, "" for none
	CRL          string   // likewise
	Certificates []string // of the client
	Keys         []string
	Commands     []Command // of OpenSSL, carried out after all else
	KeyLog       io.Writer // gets the keys of connections, nil for none

	least, most uint // protocols that the commands allow, 0 for no limit
}

// Settings are what a handshake needs of the configuration.
type Settings struct {
	config  *tls.Config
	trusted []*x509.Certificate
	pool    *x509.CertPool
	crls    []*x509.RevocationList
	depth   int
}

// Load reads the files that the options name.
func Load(o *Options) (*Settings, error) {
	s := &Settings{depth: o.Depth, pool: x509.NewCertPool()}
	// The certificate is checked when the handshake is over.
	s.config = &tls.Config{InsecureSkipVerify: true, KeyLogWriter: o.KeyLog}
	var err error
	if s.config.CipherSuites, err = cipherSuites(o.Ciphers); err != nil {
		return nil, err
	}
	for i, path := range o.Certificates {
		c, err := LoadIdentity(path, o.Keys[i])
		if err != nil {
			return nil, err
		}
		s.config.Certificates = append(s.config.Certificates, *c)
	}
	if o.Trusted != "" {
		if s.trusted, err = certificates(o.Trusted); err != nil {
			return nil, err
		}
	}
	for _, c := range s.trusted {
		s.pool.AddCert(c)
	}
	if o.CRL != "" {
		if s.crls, err = revocationLists(o.CRL); err != nil {
			return nil, err
		}
	}
	if err := o.apply(s.config); err != nil {
		return nil, err
	}
	s.config.MinVersion, s.config.MaxVersion, err = versions(o.limited())
	return s, err
}

// versions are the lowest and the highest protocol.
func versions(bits uint) (low, high uint16, err error) {
	// OpenSSL has none of the old ones either.
	gap := false
	for i, bit := range [...]uint{TLSv1, TLSv11, TLSv12, TLSv13} {
		v := uint16(tls.VersionTLS10 + i)
		switch {
		case bits&bit == 0:
			gap = low != 0
			continue
		case gap:
			return 0, 0, conf.Errorf("protocols with a gap between them are not supported")
		case low == 0:
			low = v
		}
		high = v
	}
	if low == 0 {
		return 0, 0, conf.Errorf("none of the protocols is supported")
	}
	return low, high, nil
}

// parsePEM reads the blocks of some types in a file; bad is the error of the first that is wrong, at which it ends.
func parsePEM[T any](path string, parse func(der []byte) (T, error), types ...string) (list []T, bad, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return list, nil, nil
		}
		if !slices.Contains(types, b.Type) {
			continue
		}
		x, err := parse(b.Bytes)
		if err != nil {
			return nil, err, nil
		}
		list = append(list, x)
	}
}

// openError is what OpenSSL says of a file that cannot be opened.
func openError(path string, err error) string {
	var p *fs.PathError
	text := err.Error()
	code := "8000000D"
	if errors.As(err, &p) {
		text = p.Err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			code = "80000002"
		}
		if text != "" {
			text = strings.ToUpper(text[:1]) + text[1:]
		}
	}
	s := fmt.Sprintf("BIO_new_file() failed (SSL: error:%s:system library::%s:calling fopen(%s, r)", code, text, path)
	if errors.Is(err, fs.ErrNotExist) {
		return s + " error:10000080:BIO routines::no such file)"
	}
	return s + " error:10080002:BIO routines::system lib)"
}

const noStartLine = "failed (SSL: error:0480006C:PEM routines::no start line:Expecting: "

// certificates are those in a file.
func certificates(path string) ([]*x509.Certificate, error) {
	list, bad, err := parsePEM(path, x509.ParseCertificate, "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
	switch {
	case err != nil:
		return nil, conf.PlainErrorf("cannot load certificate \"%s\": %s", path, openError(path, err))
	case bad != nil:
		return nil, conf.PlainErrorf("cannot load certificate \"%s\": PEM_read_bio_X509() failed (SSL: %s)", path, bad)
	case len(list) == 0:
		return nil, conf.PlainErrorf("cannot load certificate \"%s\": PEM_read_bio_X509_AUX() %sTRUSTED CERTIFICATE)", path, noStartLine)
	}
	return list, nil
}

// LoadIdentity reads a certificate, with those above it, and its key.
func LoadIdentity(path, key string) (*tls.Certificate, error) {
	certs, err := certificates(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(key)
	if err != nil {
		return nil, conf.PlainErrorf("cannot load certificate key \"%s\": %s", key, openError(key, err))
	}
	var chain []byte
	for _, c := range certs {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	pair, err := tls.X509KeyPair(chain, data)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, conf.PlainErrorf("SSL_CTX_use_PrivateKey(\"%s\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)", key)
	}
	return nil, conf.PlainErrorf("cannot load certificate key \"%s\": PEM_read_bio_PrivateKey() failed (SSL: %s)", key, strings.TrimPrefix(err.Error(), "tls: "))
}

func revocationLists(path string) ([]*x509.RevocationList, error) {
	list, bad, err := parsePEM(path, x509.ParseRevocationList, "X509 CRL")
	switch {
	case err != nil:
		return nil, conf.PlainErrorf("cannot load CRL \"%s\": %s", path, openError(path, err))
	case bad != nil:
		return nil, conf.PlainErrorf("cannot load CRL \"%s\": PEM_read_bio_X509_CRL() failed (SSL: %s)", path, bad)
	case len(list) == 0:
		return nil, conf.PlainErrorf("cannot load CRL \"%s\": PEM_read_bio_X509_CRL() %sX509 CRL)", path, noStartLine)
	}
	return list, nil
}
