package vm

// Instructions are 64 bits: the operation in bits 0–7, register A in 8–15,
// operand B in 16–31, operand C in 32–47; or instead of C a signed operand J in
// 32–63, for jumps relative to the next instruction.
type opcode uint8

const (
	opMove    opcode = iota // R[A] = R[B]
	opLoadK                 // R[A] = K[J]
	opLoadNil               // R[A…B] = nil
	opGetUp                 // R[A] = U[B]
	opSetUp                 // U[B] = R[A]
	opGetG                  // R[A] = env[K[J]]
	opSetG                  // env[K[J]] = R[A]
	opGetF                  // R[A] = R[B][K[C]], K[C] a string
	opGetI                  // R[A] = R[B][C]
	opGet                   // R[A] = R[B][R[C]]
	opSetF                  // R[A][K[C]] = R[B], K[C] a string
	opSetI                  // R[A][C] = R[B]
	opSet                   // R[A][R[C]] = R[B]
	opSetFK                 // R[A][K[C]] = K[B]
	opSetIK                 // R[A][C] = K[B]
	opSetK                  // R[A][R[C]] = K[B]
	opSelf                  // R[A+1] = R[B]; R[A] = R[B][K[C]]
	opAdd                   // R[A] = R[B] + R[C]
	opSub
	opMul
	opDiv
	opMod
	opPow
	opAddRK // R[A] = R[B] + K[C]
	opSubRK
	opMulRK
	opDivRK
	opModRK
	opPowRK
	opAddKR // R[A] = K[B] + R[C]
	opSubKR
	opMulKR
	opDivKR
	opModKR
	opPowKR
	opUnm
	opNot
	opLen
	opConcat    // R[A] = R[B] .. … .. R[C]
	opJmp       // jump J
	opJmpClose  // close upvalues from R[A]; jump J
	opLoop      // jump J backwards
	opClose     // close upvalues from R[A]
	opJT        // if R[A] then jump J
	opJF        // if not R[A] then jump J
	opJTS       // if R[B] then R[A] = R[B], jump J
	opJFS       // if not R[B] then R[A] = R[B], jump J
	opFalseSkip // R[A] = false; skip one instruction
	opJEq       // if R[A] == R[B] then jump J
	opJNe       // the negation of it, and so on
	opJEqK      // K[B]
	opJNeK      //
	opJLt       // R[A] < R[B]
	opJNLt      //
	opJLe       // R[A] <= R[B]
	opJNLe      //
	opJLtK      // R[A] < K[B]
	opJNLtK     //
	opJLeK      // R[A] <= K[B]
	opJNLeK     //
	opJGtK      // K[B] < R[A]
	opJNGtK     //
	opJGeK      // K[B] <= R[A]
	opJNGeK     //
	opCall      // R[A]… = R[A](R[A+1…A+B-1]); B 0: up to top; C results + 1, 0: all
	opTailCall  // return R[A](R[A+1…A+B-1])
	opRet       // return R[A…A+B-2]; B 0: up to top
	opRet0      // return
	opRet1      // return R[A]
	opForPrep   // numeric loop at R[A]: check, prepare, jump J if it does not run
	opForLoop   // step; jump J if it goes on
	opTForCall  // R[A+3…A+2+B] = R[A](R[A+1], R[A+2]); fast iterators jump themselves
	opTForLoop  // if R[A+3] ~= nil then R[A+2] = R[A+3], jump J
	opNewTable  // R[A] = {} with room for B elements and C other keys
	opSetList   // R[A][J+1…] = R[A+1…A+B]; B 0: up to top
	opClosure   // R[A] = closure of function J
	opVararg    // R[A…A+B-2] = ...; B 0: all
)

func mk(op opcode, a, b, c int) instr {
	return instr(op) | instr(uint8(a))<<8 | instr(uint16(b))<<16 | instr(uint16(c))<<32
}

func mkJ(op opcode, a, b, j int) instr {
	return instr(op) | instr(uint8(a))<<8 | instr(uint16(b))<<16 | instr(uint32(int32(j)))<<32
}

func instrOp(i instr) opcode { return opcode(uint8(i)) }
func instrA(i instr) int     { return int(uint8(i >> 8)) }
func instrB(i instr) int     { return int(uint16(i >> 16)) }
func instrC(i instr) int     { return int(uint16(i >> 32)) }
func instrJ(i instr) int     { return int(int32(i >> 32)) }
