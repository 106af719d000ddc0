local function tree(d)
  if d == 0 then return {} end
  return { tree(d - 1), tree(d - 1) }
end
local function check(t) if t[1] then return 1 + check(t[1]) + check(t[2]) end return 1 end
local max = 17
local long, total = tree(max), 0
for d = 4, max, 4 do
  for _ = 1, 2 ^ (max - d) do total = total + check(tree(d)) end
end
print(total, check(long))
