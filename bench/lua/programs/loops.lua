local sum = 0
for i = 1, 20000000 do
  sum = sum + i % 7
end
local n, steps = 837799, 0
for _ = 1, 2000 do
  local x = n
  while x ~= 1 do
    if x % 2 == 0 then x = x / 2 else x = 3 * x + 1 end
    steps = steps + 1
  end
end
print(sum, steps)
