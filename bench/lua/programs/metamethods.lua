local V = {}
V.__index = V
local function vec(x, y) return setmetatable({ x = x, y = y }, V) end
V.__add = function(a, b) return vec(a.x + b.x, a.y + b.y) end
V.__mul = function(a, k) return vec(a.x * k, a.y * k) end
V.__eq = function(a, b) return a.x == b.x and a.y == b.y end
V.__lt = function(a, b) return a.x < b.x end
V.__call = function(self, d) return self.x + d end
local acc, step, n = vec(0, 0), vec(1, 2), 0
for i = 1, 800000 do
  acc = acc + step * 2
  if acc == step then n = n + 1 end
  if step < acc then n = n + 1 end
  n = n + step(1)
end
print(acc.x, acc.y, n)
