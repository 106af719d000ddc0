local function A(i, j) local ij = i + j return 1 / (ij * (ij + 1) / 2 + i + 1) end
local function Av(n, v, r)
  for i = 0, n - 1 do local s = 0 for j = 0, n - 1 do s = s + A(i, j) * v[j] end r[i] = s end
end
local function Atv(n, v, r)
  for i = 0, n - 1 do local s = 0 for j = 0, n - 1 do s = s + A(j, i) * v[j] end r[i] = s end
end
local n, u, v, t = 300, {}, {}, {}
for i = 0, n - 1 do u[i] = 1 end
for _ = 1, 10 do
  Av(n, u, t); Atv(n, t, v)
  Av(n, v, t); Atv(n, t, u)
end
local vbv, vv = 0, 0
for i = 0, n - 1 do vbv = vbv + u[i] * v[i]; vv = vv + v[i] * v[i] end
print(string.format("%.9f", math.sqrt(vbv / vv)))
