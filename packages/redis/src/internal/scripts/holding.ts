import { facts, leaseEnd, one, reading, writing } from "./parts.ts"

/** ARGV: base, id, owner, ttl, whether to steal, whether it is an attempt, retention or '', which of how many shards this is. */
export const acquire = `${reading}${one}${facts}${writing}
local known = redis.call('HMGET', run, 'version', 'owner', 'fence', 'until', 'due', 'handled', 'attempts', 'length',
  'incarnations')
if known[1] ~= '2' then return unknown(known[1]) end
sound(known[8], known[9])
local owner, fence, held, attempts = known[2], known[3], holds(known[4]), known[7] or error('CORRUPT')
local own = held and owner == ARGV[3]
if held and not own and ARGV[5] ~= '1' then return { 'leased', owner, known[4] } end

local due = tonumber(known[5] or '')
if not due or due > now then due = now end
if not own then fence = draw(ARGV[8], ARGV[9]) end
local till = ${leaseEnd("ARGV[4]")}
redis.call('HSET', run, 'owner', ARGV[3], 'fence', fence, 'until', till, 'due', text(due))
if ARGV[6] == '1' then
  if not string.find(',' .. attempts .. ',', ',' .. fence .. ',', 1, true) then
    redis.call('HSET', run, 'attempts', attempts == '' and fence or attempts .. ',' .. fence)
  end
  if known[6] ~= '1' then
    redis.call('HSET', run, 'handled', '1')
    settle(known[9], ARGV[7])
  end
end
resume()
place('', till)
return { 'acquired', fence, shown(run, journal, keys) }
`

/** ARGV: base, id, fence, ttl, seen. */
export const renew = `${reading}${one}${facts}
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'length')
if known[1] ~= '2' then return unknown(known[1]) end
if known[2] ~= ARGV[3] or not holds(known[3]) then return { 'lost' } end
local answer = since(tonumber(ARGV[5]), number(known[4]))
local till = ${leaseEnd("ARGV[4]")}
redis.call('HSET', run, 'until', till)
redis.call('ZADD', base .. 'held', till, id)
return { 'done', answer }
`

/**
 * ARGV: base, id, fence, seen, after how long it is due or '' or 'as it is', '=' and the reason to park it or '', what becomes
 * of the attempt.
 */
export const release = `${reading}${one}${writing}
local known = redis.call('HMGET', run, 'version', 'fence', 'attempts', 'length', 'createdAt', 'due')
if known[1] ~= '2' then return unknown(known[1]) end
local held, attempts = known[2] == ARGV[3], known[3] or ''
if ARGV[7] == 'reset' and held then
  attempts = ''
elseif ARGV[7] ~= 'keep' then
  local rest = {}
  for fence in string.gmatch(attempts, '%d+') do
    if fence ~= ARGV[3] then rest[#rest + 1] = fence end
  end
  attempts = table.concat(rest, ',')
end
if not held then
  if attempts ~= (known[3] or '') then redis.call('HSET', run, 'attempts', attempts) end
  return { 'done' }
end

local unseen = number(known[4]) > tonumber(ARGV[4])
local due = ARGV[5]
if due == 'as it is' then
  due = known[6] or ''
elseif unseen then
  due = text(now)
elseif due ~= '' then
  due = text(now + due)
end
redis.call('HDEL', run, 'owner', 'fence', 'until')
redis.call('HSET', run, 'attempts', attempts, 'due', due, 'updatedAt', now)
if ARGV[6] ~= '' and not unseen then
  redis.call('HSET', run, 'reason', string.sub(ARGV[6], 2), 'parkedAt', now)
  redis.call('ZADD', base .. 'parked', known[5], id)
else
  resume()
end
place(due, false)
return { 'done' }
`
