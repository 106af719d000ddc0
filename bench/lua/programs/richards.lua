-- The operating system simulation of Martin Richards: tasks, packets, a scheduler.
local IDLE, WORKER, HANDLER_A, HANDLER_B, DEVICE_A, DEVICE_B = 1, 2, 3, 4, 5, 6
local KIND_DEV, KIND_WORK = 0, 1

local Packet = {}
Packet.__index = Packet
function Packet.new(link, id, kind)
  return setmetatable({ link = link, id = id, kind = kind, datum = 0, data = { 0, 0, 0, 0 } }, Packet)
end
local function append(queue, packet)
  packet.link = nil
  if not queue then return packet end
  local last = queue
  while last.link do last = last.link end
  last.link = packet
  return queue
end

local Scheduler = {}
Scheduler.__index = Scheduler

local Task = {}
Task.__index = Task
function Task:take()
  local p = self.queue
  self.queue = p.link
  self.ready = self.queue ~= nil
  return p
end
function Task:runnable() return not self.held and (self.ready or not self.waiting) end

function Scheduler.new() return setmetatable({ tasks = {}, order = nil, queued = 0, held = 0 }, Scheduler) end
function Scheduler:add(id, priority, queue, step, waiting)
  local t = setmetatable({ id = id, priority = priority, queue = queue, step = step, held = false,
    waiting = waiting, ready = queue ~= nil, next = self.order, v1 = 0, v2 = 0 }, Task)
  self.order = t
  self.tasks[id] = t
  return t
end
function Scheduler:hold()
  self.held = self.held + 1
  self.current.held = true
  return self.current.next
end
function Scheduler:release(id)
  local t = self.tasks[id]
  t.held = false
  if t.priority > self.current.priority then return t end
  return self.current
end
function Scheduler:wait()
  self.current.waiting = true
  return self.current
end
function Scheduler:send(packet)
  local t = self.tasks[packet.id]
  self.queued = self.queued + 1
  packet.id = self.current.id
  local idle = t.queue == nil
  t.queue = append(t.queue, packet)
  t.ready = true
  if idle and t.priority > self.current.priority then return t end
  return self.current
end
function Scheduler:run()
  self.current = self.order
  while self.current do
    local t = self.current
    if t:runnable() then
      local packet
      if t.waiting and t.ready then packet = t:take(); t.waiting = false end
      self.current = t.step(self, t, packet)
    else
      self.current = t.next
    end
  end
end

local function idle_step(s, t)
  t.v2 = t.v2 - 1
  if t.v2 == 0 then return s:hold() end
  if t.v1 % 2 == 0 then
    t.v1 = t.v1 / 2
    return s:release(DEVICE_A)
  end
  t.v1 = ((t.v1 - 1) / 2 + 53256) % 65536
  return s:release(DEVICE_B)
end
local function device_step(s, t, packet)
  if not packet then
    local p = t.pending
    if not p then return s:wait() end
    t.pending = nil
    return s:send(p)
  end
  t.pending = packet
  return s:hold()
end
local function worker_step(s, t, packet)
  if not packet then return s:wait() end
  t.v1 = t.v1 == HANDLER_A and HANDLER_B or HANDLER_A
  packet.id, packet.datum = t.v1, 0
  for i = 1, 4 do
    t.v2 = t.v2 % 26 + 1
    packet.data[i] = t.v2
  end
  return s:send(packet)
end
local function handler_step(s, t, packet)
  if packet then
    if packet.kind == KIND_WORK then t.work = append(t.work, packet) else t.devices = append(t.devices, packet) end
  end
  local work = t.work
  if work then
    local count = work.datum
    if count < 4 then
      local dev = t.devices
      if dev then
        t.devices = dev.link
        dev.datum = work.data[count + 1]
        work.datum = count + 1
        dev.id = t.target
        return s:send(dev)
      end
    else
      t.work = work.link
      work.id = WORKER
      return s:send(work)
    end
  end
  return s:wait()
end

local function packets(n, id, kind)
  local q
  for _ = 1, n do q = Packet.new(q, id, kind) end
  return q
end
local queued, held = 0, 0
for _ = 1, 10 do
  local s = Scheduler.new()
  local idle = s:add(IDLE, 0, nil, idle_step, false)
  idle.v1, idle.v2 = 1, 10000
  local w = s:add(WORKER, 1000, packets(2, WORKER, KIND_WORK), worker_step, true)
  w.v1 = HANDLER_A
  s:add(HANDLER_A, 2000, packets(3, DEVICE_A, KIND_DEV), handler_step, true).target = DEVICE_A
  s:add(HANDLER_B, 3000, packets(3, DEVICE_B, KIND_DEV), handler_step, true).target = DEVICE_B
  s:add(DEVICE_A, 4000, nil, device_step, true)
  s:add(DEVICE_B, 5000, nil, device_step, true)
  s:run()
  queued, held = queued + s.queued, held + s.held
end
print(queued, held)
