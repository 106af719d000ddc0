package vm

type (
	memory     struct{}
	finalizers struct{}
)

func (t *Thread) chargeString(n int)                      {}
func (m *VM) SetUserdataMetatable(u *Userdata, mt *Table) { u.meta = mt }
func (t *Thread) runFinalizers()                          {}
