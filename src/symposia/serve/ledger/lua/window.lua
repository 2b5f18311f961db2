-- One pool's window, as window.py has it; every script begins with this. Times are whole ticks of 1 µs.
-- A window: {latest, armed, limit, line, kind, spans = {{since, delta, buckets}, ...}, cells = {{bucket, used, reserved}, ...}}
-- A charge: {key, amount, limit, line, kind, delta, buckets}
local LATEST, ARMED, LIMIT, LINE, KIND, SPANS, CELLS = 1, 2, 3, 4, 5, 6, 7
local KEPT_SPANS, IDLE = 8, 3600000000

local function clock(given)
  if given > 0 then return given end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function load(key)
  local raw = redis.call('GET', key)
  return raw and cmsgpack.unpack(raw) or nil
end

local function span(window)
  return window[SPANS][#window[SPANS]]
end

local function save(key, window)
  local shape = span(window)
  local kept = math.ceil(((shape[3] + 1) * shape[2] + IDLE) / 1000)
  redis.call('SET', key, cmsgpack.pack(window), 'PX', string.format('%.0f', kept))
end

local function sums(window)
  local used, reserved = 0, 0
  for _, cell in ipairs(window[CELLS]) do
    used, reserved = used + cell[2], reserved + cell[3]
  end
  return used, reserved
end

local function level(window)
  local used, reserved = sums(window)
  return used + reserved
end

local function rearm(window)
  if not window[ARMED] and level(window) < window[LINE] then window[ARMED] = true end
end

local function crosses(window)
  if window[ARMED] and level(window) >= window[LINE] then
    window[ARMED] = false
    return true
  end
  return false
end

local function leave(window, now)
  window[LATEST] = now
  local shape = span(window)
  local oldest = math.floor(now / shape[2]) - shape[3]
  local kept = {}
  for _, cell in ipairs(window[CELLS]) do
    if cell[1] >= oldest then kept[#kept + 1] = cell end
  end
  if #kept < #window[CELLS] then
    window[CELLS] = kept
    rearm(window)
  end
end

local function made(charge, now)
  return {now, true, 0, 1, charge[5], {{now, charge[6], charge[7]}}, {}}
end

local function meet(window, charge, now)
  leave(window, now)
  window[LIMIT], window[LINE], window[KIND] = charge[3], charge[4], charge[5]
  local shape = span(window)
  if shape[2] ~= charge[6] or shape[3] ~= charge[7] then
    local spans = window[SPANS]
    if #spans == KEPT_SPANS then table.remove(spans, 1) end
    spans[#spans + 1] = {now, charge[6], charge[7]}
    if #window[CELLS] > 0 then
      local used, reserved = sums(window)
      window[CELLS] = {{math.floor(now / charge[6]), used, reserved}}
    end
  end
  rearm(window)
end

local function hold(window, amount)
  local bucket = math.floor(window[LATEST] / span(window)[2])
  local cells = window[CELLS]
  local last = cells[#cells]
  if last and last[1] == bucket then
    last[3] = last[3] + amount
  else
    cells[#cells + 1] = {bucket, 0, amount}
  end
  return crosses(window)
end

local function found(window, admitted)
  local bucket, before = -1, nil
  for _, shape in ipairs(window[SPANS]) do
    if shape[1] <= admitted then
      bucket = math.floor(admitted / shape[2])
    elseif bucket >= 0 then
      if math.floor(shape[1] / before[2]) > bucket + before[3] then return -1 end
      bucket = math.floor(shape[1] / shape[2])
    end
    before = shape
  end
  return bucket
end

local function replace(window, admitted, reserved, used)
  local bucket = found(window, admitted)
  for _, cell in ipairs(window[CELLS]) do
    if cell[1] == bucket then
      cell[2], cell[3] = cell[2] + used, cell[3] - reserved
      rearm(window)
      return crosses(window)
    end
  end
  return false
end

local function fits_at(window, amount)
  if amount > window[LIMIT] then return -1 end
  local shape = span(window)
  local excess, at = level(window) + amount - window[LIMIT], window[LATEST]
  for _, cell in ipairs(window[CELLS]) do
    if excess <= 0 then break end
    excess = excess - cell[2] - cell[3]
    at = (cell[1] + shape[3] + 1) * shape[2]
  end
  return at
end

-- {used, reserved, limit, kind, ticks until what is held has left}
local function standing(window)
  local used, reserved = sums(window)
  local resets, shape = 0, span(window)
  for _, cell in ipairs(window[CELLS]) do
    if cell[2] > 0 or cell[3] > 0 then resets = (cell[1] + shape[3] + 1) * shape[2] - window[LATEST] end
  end
  return {used, reserved, window[LIMIT], window[KIND], resets}
end

-- A lease: {open, admitted, due, milliseconds its record is kept, held = {{key, amount}, ...}, charges}
-- What overdue leases hold is returned; their names wait in `unreported`.
local function return_overdue(prefix, now)
  local due = redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', string.format('%.0f', now))
  for _, id in ipairs(due) do
    redis.call('ZREM', prefix .. 'due', id)
    local key = prefix .. 'lease:' .. id
    local lease = load(key)
    if lease then
      for _, held in ipairs(lease[5]) do
        local window = load(held[1])
        if window then
          leave(window, math.max(now, window[LATEST]))
          replace(window, lease[2], held[2], 0)
          save(held[1], window)
        end
      end
      lease[1] = false
      redis.call('SET', key, cmsgpack.pack(lease), 'KEEPTTL')
      redis.call('RPUSH', prefix .. 'unreported', cmsgpack.pack({id, lease[2], lease[3], lease[6]}))
    end
  end
end

local asked = cmsgpack.unpack(ARGV[1])
local prefix = KEYS[1]
local now = clock(asked[1])
return_overdue(prefix, now)
