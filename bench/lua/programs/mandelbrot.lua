local w, h, sum = 640, 480, 0
for py = 0, h - 1 do
  local ci = 2 * py / h - 1
  for px = 0, w - 1 do
    local cr, zr, zi, n = 2 * px / w - 1.5, 0, 0, 0
    while n < 60 do
      local r2, i2 = zr * zr, zi * zi
      if r2 + i2 > 4 then break end
      zi = 2 * zr * zi + ci
      zr = r2 - i2 + cr
      n = n + 1
    end
    sum = sum + n
  end
end
print(sum)
