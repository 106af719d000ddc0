local seed = 42
local function rnd() seed = (seed * 16807) % 2147483647; return seed end
local check = 0
for _ = 1, 2 do
  local a, b, c = {}, {}, {}
  for i = 1, 60000 do a[i] = rnd(); b[i] = tostring(rnd()); c[i] = { k = rnd() } end
  table.sort(a)
  table.sort(b)
  table.sort(c, function(x, y) return x.k < y.k end)
  check = check + a[100] + #b[100] + c[100].k
end
print(check)
