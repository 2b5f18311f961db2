-- asked: {now, id, ttl, hard, charges, packed charges, milliseconds to keep}; answers {admitted, refused at or -1 or nil, which, stood, after}
local charges, windows, over = asked[5], {}, {}
for i, charge in ipairs(charges) do
  local window = load(charge[1])
  if not window then
    window = made(charge, now)
    redis.call('SADD', prefix .. 'pools', charge[1])
  end
  windows[i] = window
  now = math.max(now, window[LATEST])
end
for i, charge in ipairs(charges) do
  meet(windows[i], charge, now)
  if level(windows[i]) + charge[2] > charge[3] then over[#over + 1] = i end
end
local stood, after, crossed = {}, {}, {}
local refused, which = 0, 0
if #over > 0 and asked[4] then
  for _, i in ipairs(over) do
    local at = fits_at(windows[i], charges[i][2])
    if refused ~= -1 and (at == -1 or at > refused) then refused, which = at, i end
  end
else
  for _, i in ipairs(over) do stood[#stood + 1] = {i - 1, standing(windows[i])} end
  for i, charge in ipairs(charges) do crossed[i] = hold(windows[i], charge[2]) end
end
for i, charge in ipairs(charges) do
  after[i] = standing(windows[i])
  save(charge[1], windows[i])
end
if which == 0 and #charges > 0 then
  local held = {}
  for i, charge in ipairs(charges) do held[i] = {charge[1], charge[2]} end
  local lease = {true, now, now + asked[3], asked[7], held, asked[6]}
  redis.call('SET', prefix .. 'lease:' .. asked[2], cmsgpack.pack(lease), 'PX', string.format('%.0f', asked[7]))
  redis.call('ZADD', prefix .. 'due', string.format('%.0f', now + asked[3]), asked[2])
end
return cmsgpack.pack({now, which - 1, refused, after, crossed, stood})
