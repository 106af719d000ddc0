local p = { x = 1, y = 2, n = 0, name = "point" }
for i = 1, 8000000 do
  p.n = p.n + p.x * p.y
  p.x, p.y = p.y, p.x
end
print(p.n)
