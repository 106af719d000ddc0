local n = 0
for i = 1, 400000 do
  local s = string.format("%d %5.2f %s %x %q", i, i / 3, "name", i, "a\"b")
  n = n + #s
end
for i = 1, 600000 do n = n + #tostring(i) + #tostring(i + 0.5) end
print(n)
