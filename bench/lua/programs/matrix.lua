local n = 120
local function make(f) local m = {} for i = 1, n do local r = {} for j = 1, n do r[j] = f(i, j) end m[i] = r end return m end
local function mul(a, b)
  local c = {}
  for i = 1, n do
    local row, ai = {}, a[i]
    for j = 1, n do
      local s = 0
      for k = 1, n do s = s + ai[k] * b[k][j] end
      row[j] = s
    end
    c[i] = row
  end
  return c
end
local a, b = make(function(i, j) return i + j end), make(function(i, j) return i - j end)
local c
for _ = 1, 3 do c = mul(a, b) end
print(c[1][1], c[n][n])
