package conf

// Version is the product's. It is no constant so that a build can set another: -ldflags "-X perilune/conf.Version=…".
var Version = "0.1.0"

// NginxVersion is the nginx whose behaviour is followed.
const NginxVersion = "1.27.4"
