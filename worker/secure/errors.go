package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"syscall"

	"perilune/worker/loop"
)

// CertificateError is the error of a certificate that is not to be trusted.
type CertificateError struct{ Code int }

func (e *CertificateError) Error() string { return verifyTexts[e.Code] }

// HostError is the error of a certificate of another host.
type HostError struct{ Name string }

func (e *HostError) Error() string { return "certificate host mismatch" }

// HandshakeError is the failure of a handshake.
type HandshakeError struct {
	Text     string // as nginx logs it
	Errno    syscall.Errno
	Critical bool // of a kind that nginx does not expect
}

func (e *HandshakeError) Error() string { return "handshake failed" }

// ReadError is the failure of TLS after the handshake.
type ReadError struct{ Text string }

func (e *ReadError) Error() string { return "error" }

const (
	peerClosed      = "peer closed connection in SSL handshake"
	handshakeFailed = "SSL_do_handshake() failed"
)

func handshakeError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, loop.ErrTimeout), errors.Is(err, loop.ErrStopped):
		return cause(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &HandshakeError{Text: peerClosed}
	case errors.As(err, &errno):
		return &HandshakeError{Text: peerClosed, Errno: errno}
	}
	text, known := protocolText(err)
	return &HandshakeError{Text: handshakeFailed + text, Critical: !known}
}

// cause is the loop's error in err.
func cause(err error) error {
	if errors.Is(err, loop.ErrTimeout) {
		return loop.ErrTimeout
	}
	return loop.ErrStopped
}

func readError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	case errors.Is(err, loop.ErrTimeout), errors.Is(err, loop.ErrStopped):
		return cause(err)
	case errors.As(err, &errno):
		return errno
	}
	text, _ := protocolText(err)
	return &ReadError{"SSL_read() failed" + text}
}

// protocolText is what follows in nginx's message when the two sides do not understand each other; known is false for what
// OpenSSL has other words for.
func protocolText(err error) (text string, known bool) {
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return " (SSL: error:0A00010B:SSL routines::wrong version number)", true
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
			return alertText(int(v.Uint())), true
		}
	}
	return " (SSL: " + strings.TrimPrefix(err.Error(), "tls: ") + ")", false
}

// alertText is OpenSSL's text for an alert that the peer has sent.
func alertText(alert int) string {
	reason := alertReasons[alert]
	if reason == "" {
		reason = "reason(" + fmt.Sprint(1000+alert) + ")"
	}
	return fmt.Sprintf(" (SSL: error:%08X:SSL routines::%s:SSL alert number %d)", 0x0A000000+1000+alert, reason, alert)
}

var alertReasons = map[int]string{
	10: "sslv3 alert unexpected message", 20: "sslv3 alert bad record mac", 21: "tlsv1 alert decryption failed",
	22: "tlsv1 alert record overflow", 30: "sslv3 alert decompression failure", 40: "sslv3 alert handshake failure",
	41: "sslv3 alert no certificate", 42: "sslv3 alert bad certificate", 43: "sslv3 alert unsupported certificate",
	44: "sslv3 alert certificate revoked", 45: "sslv3 alert certificate expired", 46: "sslv3 alert certificate unknown",
	47: "sslv3 alert illegal parameter", 48: "tlsv1 alert unknown ca", 49: "tlsv1 alert access denied",
	50: "tlsv1 alert decode error", 51: "tlsv1 alert decrypt error", 60: "tlsv1 alert export restriction",
	70: "tlsv1 alert protocol version", 71: "tlsv1 alert insufficient security", 80: "tlsv1 alert internal error",
	86: "tlsv1 alert inappropriate fallback", 90: "tlsv1 alert user cancelled", 100: "tlsv1 alert no renegotiation",
	109: "tlsv13 alert missing extension", 110: "tlsv1 unsupported extension", 111: "tlsv1 certificate unobtainable",
	112: "tlsv1 unrecognized name", 113: "tlsv1 bad certificate status response", 114: "tlsv1 bad certificate hash value",
	116: "tlsv13 alert certificate required", 120: "tlsv1 alert no application protocol",
}

// Numbers of OpenSSL for what is wrong with a certificate.
const (
	codeUnspecified        = 1
	codeNoCRL              = 3
	codeCRLSignature       = 8
	codeNotYetValid        = 9
	codeExpired            = 10
	codeCRLNotYetValid     = 11
	codeCRLExpired         = 12
	codeSelfSigned         = 18
	codeSelfSignedInChain  = 19
	codeNoLocalIssuer      = 20
	codeNotVerified        = 21
	codeRevoked            = 23
	codePathLength         = 25
	codePurpose            = 26
	codeNotPermitted       = 47
	codeExcluded           = 48
	codeNameConstraintKind = 51
)

var verifyTexts = map[int]string{
	codeUnspecified:        "unspecified certificate verification error",
	codeNoCRL:              "unable to get certificate CRL",
	codeCRLSignature:       "CRL signature failure",
	codeNotYetValid:        "certificate is not yet valid",
	codeExpired:            "certificate has expired",
	codeCRLNotYetValid:     "CRL is not yet valid",
	codeCRLExpired:         "CRL has expired",
	codeSelfSigned:         "self-signed certificate",
	codeSelfSignedInChain:  "self-signed certificate in certificate chain",
	codeNoLocalIssuer:      "unable to get local issuer certificate",
	codeNotVerified:        "unable to verify the first certificate",
	codeRevoked:            "certificate revoked",
	codePathLength:         "path length constraint exceeded",
	codePurpose:            "unsuitable certificate purpose",
	codeNotPermitted:       "permitted subtree violation",
	codeExcluded:           "excluded subtree violation",
	codeNameConstraintKind: "unsupported name constraint type",
}
