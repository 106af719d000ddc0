local function sum(...)
  local s = 0
  for i = 1, select("#", ...) do s = s + (select(i, ...)) end
  return s
end
local function pass(...) return ... end
local function collect(...) local t = { ... } return #t, unpack(t) end
local total = 0
for i = 1, 500000 do
  total = total + sum(i, 1, 2, 3) + select("#", pass(i, i, i))
  local n, a, b = collect(i, i + 1, i + 2)
  total = total + n + a + b
end
print(total)
