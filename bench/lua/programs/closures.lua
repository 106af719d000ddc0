local function counter()
  local n = 0
  return function(d) n = n + d; return n end
end
local sum = 0
for _ = 1, 400000 do
  local c = counter()
  c(1); c(2)
  sum = sum + c(3)
end
local function compose(f, g) return function(x) return f(g(x)) end end
local inc = function(x) return x + 1 end
local f = inc
for _ = 1, 20 do f = compose(f, inc) end
for i = 1, 200000 do sum = sum + f(i) end
print(sum)
