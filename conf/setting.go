package conf

// Setting is the value of a directive, which may not have been given yet.
type Setting[T any] struct {
	V     T
	IsSet bool
}

// Set gives the setting a value.
func (s *Setting[T]) Set(v T) { s.V, s.IsSet = v, true }

// Merge inherits: an unset value becomes that of the block around or, if that
// has none either, the default. Afterwards it is set.
func (s *Setting[T]) Merge(prev Setting[T], def T) {
	if s.IsSet {
		return
	}
	if prev.IsSet {
		def = prev.V
	}
	s.Set(def)
}

// Init sets the default if there is no value, where nothing is inherited.
func (s *Setting[T]) Init(def T) {
	if !s.IsSet {
		s.Set(def)
	}
}
