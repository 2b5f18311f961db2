-- asked: {now}; answers {{id, admitted, due, packed charges}, ...}, each once
local reported = {}
for i, raw in ipairs(redis.call('LRANGE', prefix .. 'unreported', 0, -1)) do
  reported[i] = cmsgpack.unpack(raw)
end
redis.call('DEL', prefix .. 'unreported')
for _, key in ipairs(redis.call('SMEMBERS', prefix .. 'pools')) do
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', prefix .. 'pools', key) end
end
return cmsgpack.pack(reported)
