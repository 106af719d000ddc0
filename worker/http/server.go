package http

import (
	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// Server is the HTTP engine of a worker.
type Server struct {
	loop  *loop.Loop
	cycle *conf.Cycle
	log   *logging.Log
	main  *MainConf
}

// Loop returns the loop that the server runs in.
func (s *Server) Loop() *loop.Loop { return s.loop }

// Cycle returns the configuration that the server runs with.
func (s *Server) Cycle() *conf.Cycle { return s.cycle }

type connState struct{}
type requestState struct{}
type requestBody struct{}
type output struct{}
type phaseStep struct{}
type port struct{}
