local total = 0
for round = 1, 30 do
  local a = {}
  for i = 1, 200000 do a[i] = i * round end
  for i = 2, #a do a[i] = (a[i] + a[i - 1]) % 65521 end
  total = total + a[#a]
end
print(total)
