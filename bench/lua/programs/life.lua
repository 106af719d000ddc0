local W, H = 96, 96
local function new() local g = {} for y = 1, H do g[y] = {} for x = 1, W do g[y][x] = 0 end end return g end
local g, seed = new(), 1
for y = 1, H do for x = 1, W do seed = (seed * 16807) % 2147483647; g[y][x] = seed % 3 == 0 and 1 or 0 end end
for _ = 1, 200 do
  local ng = new()
  for y = 1, H do
    local up, row, down = g[(y - 2) % H + 1], g[y], g[y % H + 1]
    for x = 1, W do
      local l, r = (x - 2) % W + 1, x % W + 1
      local n = up[l] + up[x] + up[r] + row[l] + row[r] + down[l] + down[x] + down[r]
      ng[y][x] = (n == 3 or n == 2 and row[x] == 1) and 1 or 0
    end
  end
  g = ng
end
local alive = 0
for y = 1, H do for x = 1, W do alive = alive + g[y][x] end end
print(alive)
