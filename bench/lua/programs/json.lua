local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }
local encode
local function encode_string(s) return '"' .. s:gsub('[%c"\\]', escapes) .. '"' end
function encode(v, out)
  local t = type(v)
  if t == "table" then
    if #v > 0 then
      out[#out + 1] = "["
      for i, x in ipairs(v) do
        if i > 1 then out[#out + 1] = "," end
        encode(x, out)
      end
      out[#out + 1] = "]"
    else
      local keys = {}
      for k in pairs(v) do keys[#keys + 1] = k end
      table.sort(keys)
      out[#out + 1] = "{"
      for i, k in ipairs(keys) do
        if i > 1 then out[#out + 1] = "," end
        out[#out + 1] = encode_string(k)
        out[#out + 1] = ":"
        encode(v[k], out)
      end
      out[#out + 1] = "}"
    end
  elseif t == "string" then out[#out + 1] = encode_string(v)
  else out[#out + 1] = tostring(v) end
end
local unesc = { n = "\n", t = "\t", r = "\r", ['"'] = '"', ["\\"] = "\\" }
local function decode(s)
  local pos, value = 1
  local function ws() pos = s:find("%S", pos) or #s + 1 end
  local function str()
    local out, i = {}, pos + 1
    while true do
      local a, b = s:find('^[^"\\]+', i)
      if a then out[#out + 1] = s:sub(a, b); i = b + 1 end
      local c = s:sub(i, i)
      if c == '"' then pos = i + 1; return table.concat(out) end
      out[#out + 1] = unesc[s:sub(i + 1, i + 1)]
      i = i + 2
    end
  end
  function value()
    ws()
    local c = s:byte(pos)
    if c == 123 then
      local t = {}
      pos = pos + 1; ws()
      if s:byte(pos) == 125 then pos = pos + 1 return t end
      repeat
        ws()
        local k = str()
        ws(); pos = pos + 1
        t[k] = value()
        ws()
        local sep = s:byte(pos)
        pos = pos + 1
      until sep == 125
      return t
    elseif c == 91 then
      local t, n = {}, 0
      pos = pos + 1; ws()
      if s:byte(pos) == 93 then pos = pos + 1 return t end
      repeat
        n = n + 1
        t[n] = value()
        ws()
        local sep = s:byte(pos)
        pos = pos + 1
      until sep == 93
      return t
    elseif c == 34 then return str()
    elseif s:sub(pos, pos + 3) == "true" then pos = pos + 4 return true
    elseif s:sub(pos, pos + 4) == "false" then pos = pos + 5 return false
    end
    local a, b = s:find("^-?%d+%.?%d*[eE]?[+-]?%d*", pos)
    pos = b + 1
    return tonumber(s:sub(a, b))
  end
  return value()
end
local doc = { users = {} }
for i = 1, 100 do
  doc.users[i] = { id = i, name = "user \"" .. i .. "\"\n", active = i % 2 == 0, tags = { "a", "b", "c" .. i }, score = i * 1.5 }
end
local total = 0
for _ = 1, 200 do
  local out = {}
  encode(doc, out)
  local s = table.concat(out)
  doc = decode(s)
  total = total + #s
end
print(total, doc.users[42].name, doc.users[7].score)
