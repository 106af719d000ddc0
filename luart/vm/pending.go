package vm

type memory struct{}

func (t *Thread) chargeString(n int) {}
