local Heap = {}
Heap.__index = Heap
function Heap:push(v)
  local n = #self + 1
  self[n] = v
  while n > 1 do
    local p = (n - n % 2) / 2
    if self[p] <= self[n] then break end
    self[p], self[n] = self[n], self[p]
    n = p
  end
end
function Heap:pop()
  local top, n = self[1], #self
  self[1] = self[n]
  self[n] = nil
  n = n - 1
  local i = 1
  while true do
    local c = 2 * i
    if c > n then break end
    if c < n and self[c + 1] < self[c] then c = c + 1 end
    if self[i] <= self[c] then break end
    self[i], self[c] = self[c], self[i]
    i = c
  end
  return top
end
local h, seed, sum = setmetatable({}, Heap), 7, 0
for i = 1, 100000 do seed = (seed * 16807) % 2147483647; h:push(seed) end
for i = 1, 200000 do seed = (seed * 16807) % 2147483647; sum = (sum + h:pop()) % 1000003; h:push(seed) end
print(sum)
