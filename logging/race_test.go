//go:build race

package logging

func init() { raceEnabled = true }
