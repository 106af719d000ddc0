package secure

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"time"
)

// verify checks the certificates that a server has sent, its own one first. It returns 0 or the number of what OpenSSL says of
// them: without trusted certificates the first of its complaints, since that is where it gives up then, else the last one, as
// nginx has it go on.
func (s *Settings) verify(certs []*x509.Certificate, now time.Time) int {
	chain, code := s.chain(certs)
	if len(s.trusted) == 0 {
		return code
	}
	rest := x509.NewCertPool()
	for _, c := range certs[1:] {
		rest.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{
		Roots: s.pool, Intermediates: rest, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err == nil {
		if c := s.shallow(chains); c == nil {
			code = codeNoLocalIssuer
		} else {
			chain, code = c, 0
		}
	} else if c := complaint(err, chain); c != 0 {
		code = c
	}
	if c := s.revoked(chain, now); c != 0 {
		code = c
	}
	for i := len(chain) - 1; i >= 0; i-- {
		switch {
		case now.Before(chain[i].NotBefore):
			code = codeNotYetValid
		case now.After(chain[i].NotAfter):
			code = codeExpired
		}
	}
	if err != nil && code == 0 {
		return codeUnspecified
	}
	return code
}

// shallow is the first chain that is not too deep.
func (s *Settings) shallow(chains [][]*x509.Certificate) []*x509.Certificate {
	for _, c := range chains {
		if len(c)-2 <= s.depth {
			return c
		}
	}
	return nil
}

// complaint is OpenSSL's number for a certificate that does not serve the purpose, 0 for what it finds elsewhere.
func complaint(err error, chain []*x509.Certificate) int {
	for _, c := range chain[1:] {
		if c.Version >= 3 && !(c.BasicConstraintsValid && c.IsCA) {
			return codePurpose
		}
	}
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return 0
	}
	switch invalid.Reason {
	case x509.NotAuthorizedToSign, x509.IncompatibleUsage:
		return codePurpose
	case x509.TooManyIntermediates:
		return codePathLength
	case x509.CANotAuthorizedForThisName:
		return codeNotPermitted
	case x509.CANotAuthorizedForExtKeyUsage:
		return codePurpose
	case x509.UnconstrainedName:
		return codeNameConstraintKind
	}
	return 0
}

// chain looks for the way from the server's certificate to a trusted one, whatever else may be wrong, and says what is missing.
// It decides nothing: it only finds the words for what Verify refuses.
func (s *Settings) chain(certs []*x509.Certificate) (chain []*x509.Certificate, code int) {
	cur := certs[0]
	chain = append(chain, cur)
	for len(chain) <= maxChain {
		if s.trusts(cur) {
			return chain, 0
		}
		if bytes.Equal(cur.RawSubject, cur.RawIssuer) {
			if len(chain) == 1 {
				return chain, codeSelfSigned
			}
			return chain, codeSelfSignedInChain
		}
		next := issuer(cur, s.trusted)
		if next == nil {
			next = issuer(cur, certs[1:])
		}
		if next == nil {
			break
		}
		cur = next
		chain = append(chain, cur)
	}
	if len(chain) == 1 && len(s.trusted) > 0 {
		return chain, codeNotVerified
	}
	return chain, codeNoLocalIssuer
}

// maxChain is where the search for an issuer ends at the latest: certificates may sign each other.
const maxChain = 100

func (s *Settings) trusts(c *x509.Certificate) bool {
	for _, t := range s.trusted {
		if t.Equal(c) {
			return true
		}
	}
	return false
}

func issuer(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, p := range among {
		if bytes.Equal(p.RawSubject, c.RawIssuer) && p.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return p
		}
	}
	return nil
}

// revoked looks for the certificates of a chain, the trusted one included, in the lists of lua_ssl_crl; each needs one.
func (s *Settings) revoked(chain []*x509.Certificate, now time.Time) (code int) {
	if len(s.crls) == 0 {
		return 0
	}
	for i, c := range chain {
		by := c
		if i+1 < len(chain) {
			by = chain[i+1]
		}
		if k := s.listed(c, by, now); k != 0 {
			code = k
		}
	}
	return code
}

// listed looks for a certificate in the lists of its issuer.
func (s *Settings) listed(c, by *x509.Certificate, now time.Time) int {
	code := codeNoCRL
	for _, l := range s.crls {
		if !bytes.Equal(l.RawIssuer, c.RawIssuer) {
			continue
		}
		switch {
		case l.CheckSignatureFrom(by) != nil:
			code = codeCRLSignature
			continue
		case now.Before(l.ThisUpdate):
			code = codeCRLNotYetValid
			continue
		case !l.NextUpdate.IsZero() && now.After(l.NextUpdate):
			code = codeCRLExpired
			continue
		}
		for i := range l.RevokedCertificateEntries {
			if l.RevokedCertificateEntries[i].SerialNumber.Cmp(c.SerialNumber) == 0 {
				return codeRevoked
			}
		}
		code = 0
	}
	return code
}

// matchHost reports whether a certificate is that of a host, by OpenSSL's rules: the common name counts when there is no other
// name, and an address is a name like others.
func matchHost(c *x509.Certificate, host string) bool {
	names := c.DNSNames
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = []string{c.Subject.CommonName}
	}
	for _, name := range names {
		if matchName(name, host) {
			return true
		}
	}
	return false
}

func matchName(name, host string) bool {
	if strings.EqualFold(name, host) {
		return true
	}
	suffix, ok := strings.CutPrefix(name, "*")
	if !ok || strings.Count(suffix, ".") < 2 || suffix[0] != '.' {
		return false
	}
	label, rest, ok := strings.Cut(host, ".")
	return ok && label != "" && strings.EqualFold(rest, suffix[1:])
}
