-- An incremental one-way constraint solver in the manner of DeltaBlue: chains and projections.
local REQUIRED, PREFERRED, STRONG, DEFAULT, WEAK, WEAKEST = 0, 1, 2, 3, 4, 6

local Variable = {}
Variable.__index = Variable
function Variable.new(v)
  return setmetatable({ value = v, constraints = {}, determined = nil, mark = 0, strength = WEAKEST, stay = true }, Variable)
end
function Variable:detach(c)
  for i, x in ipairs(self.constraints) do
    if x == c then table.remove(self.constraints, i) break end
  end
  if self.determined == c then self.determined = nil end
end

local Constraint = {}
Constraint.__index = Constraint
local function class(t) t.__index = t return setmetatable(t, { __index = Constraint }) end

local Unary, Equal, Scale = class {}, class {}, class {}
local Stay, Edit = {}, {}
for _, c in ipairs { Stay, Edit } do c.__index = c; setmetatable(c, { __index = Unary }) end
Edit.input = true

function Unary:variables() return { self.out } end
function Unary:choose(mark)
  self.satisfied = self.out.mark ~= mark and self.strength < self.out.strength
end
function Unary:output() return self.out end
function Unary:inputs_known() return true end
function Unary:recalculate()
  self.out.strength = self.strength
  self.out.stay = not self.input
end
function Unary:execute() end
function Unary:mark_inputs() end

function Equal:variables() return { self.a, self.b } end
function Equal:choose(mark)
  local a, b = self.a, self.b
  self.satisfied = false
  if a.mark == mark then
    if b.mark ~= mark and self.strength < b.strength then self.satisfied, self.forward = true, true end
  elseif b.mark == mark then
    if self.strength < a.strength then self.satisfied, self.forward = true, false end
  elseif a.strength > b.strength then
    if self.strength < a.strength then self.satisfied, self.forward = true, false end
  elseif self.strength < b.strength then
    self.satisfied, self.forward = true, true
  end
end
function Equal:output() return self.forward and self.b or self.a end
function Equal:input_var() return self.forward and self.a or self.b end
function Equal:mark_inputs(mark) self:input_var().mark = mark end
function Equal:inputs_known(mark)
  local v = self:input_var()
  return v.mark == mark or v.stay or v.determined == nil
end
function Equal:recalculate()
  local i, o = self:input_var(), self:output()
  o.strength = math.max(self.strength, i.strength)
  o.stay = i.stay
  if o.stay then self:execute() end
end
function Equal:execute() self:output().value = self:input_var().value end

for k, v in pairs(Equal) do if type(v) == "function" and k ~= "execute" then Scale[k] = v end end
function Scale:execute()
  if self.forward then self.b.value = self.a.value * self.k + self.d else self.a.value = (self.b.value - self.d) / self.k end
end

local Planner = {}
Planner.__index = Planner
function Planner:new_mark() self.mark = self.mark + 1 return self.mark end
function Planner:satisfy(c, mark)
  c:choose(mark)
  if not c.satisfied then return nil end
  c:mark_inputs(mark)
  local out = c:output()
  local overridden = out.determined
  if overridden then overridden.satisfied = false end
  out.determined = c
  self:propagate(c, mark)
  out.mark = mark
  return overridden
end
function Planner:add(c)
  for _, v in ipairs(c:variables()) do v.constraints[#v.constraints + 1] = c end
  local mark = self:new_mark()
  while c do c = self:satisfy(c, mark) end
end
function Planner:propagate(c, mark)
  local todo, n = { c }, 1
  while n > 0 do
    local d = todo[n]
    todo[n] = nil
    n = n - 1
    local out = d:output()
    if out.mark == mark and d ~= c then return false end
    d:recalculate()
    for _, x in ipairs(out.constraints) do
      if x ~= out.determined and x.satisfied then n = n + 1; todo[n] = x end
    end
  end
  return true
end
function Planner:remove(c)
  local out = c.satisfied and c:output()
  for _, v in ipairs(c:variables()) do v:detach(c) end
  if not out then return end
  c.satisfied = false
  out.strength, out.stay = WEAKEST, true
  local todo, unsatisfied = { out }, {}
  while #todo > 0 do
    local v = table.remove(todo)
    for _, x in ipairs(v.constraints) do
      if not x.satisfied then unsatisfied[#unsatisfied + 1] = x
      elseif x ~= v.determined then x:recalculate(); todo[#todo + 1] = x:output() end
    end
  end
  table.sort(unsatisfied, function(a, b) return a.strength < b.strength end)
  for _, x in ipairs(unsatisfied) do
    local mark, y = self:new_mark(), x
    while y do y = self:satisfy(y, mark) end
  end
end
function Planner:plan(sources)
  local mark, todo, plan = self:new_mark(), sources, {}
  while #todo > 0 do
    local c = table.remove(todo)
    local out = c:output()
    if out.mark ~= mark and c:inputs_known(mark) then
      plan[#plan + 1] = c
      out.mark = mark
      for _, x in ipairs(out.constraints) do
        if x ~= out.determined and x.satisfied then todo[#todo + 1] = x end
      end
    end
  end
  return plan
end
local function make(class_, t) return setmetatable(t, class_) end
local function change(planner, var, v, times)
  local edit = make(Edit, { out = var, strength = PREFERRED })
  planner:add(edit)
  local plan = planner:plan { edit }
  for _ = 1, times do
    var.value = v
    for i = 1, #plan do plan[i]:execute() end
  end
  planner:remove(edit)
end

local function chain(n)
  local planner = setmetatable({ mark = 0 }, Planner)
  local first, prev
  for i = 1, n do
    local v = Variable.new(0)
    if prev then planner:add(make(Equal, { a = prev, b = v, strength = REQUIRED })) else first = v end
    prev = v
  end
  planner:add(make(Stay, { out = prev, strength = DEFAULT }))
  change(planner, first, 7, 10)
  return prev.value
end
local function projection(n)
  local planner = setmetatable({ mark = 0 }, Planner)
  local src, dst = nil, {}
  for i = 1, n do
    src = Variable.new(i)
    dst[i] = Variable.new(i)
    planner:add(make(Stay, { out = src, strength = DEFAULT }))
    planner:add(make(Scale, { a = src, b = dst[i], k = 10, d = 1000, strength = REQUIRED }))
  end
  change(planner, src, 17, 10)
  return dst[n].value
end
local sum = 0
for i = 1, 120 do sum = sum + chain(200) + projection(200) end
print(sum)
