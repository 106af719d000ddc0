package conf

// The product's versions.
const (
	Version      = "0.1.0"
	NginxVersion = "1.27.4" // the nginx whose behaviour is followed
)
