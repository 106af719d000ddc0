//go:build race

package http

// raceDetector tells tests that count allocations that the race detector makes some of its own.
const raceDetector = true
