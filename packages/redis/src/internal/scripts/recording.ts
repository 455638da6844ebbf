import { facts, one, reading, time, writing } from "./parts.ts"

/**
 * ARGV: base, id, fence, seen, ordinal and position or '', then what most commits leave out: whether it is guarded, retention
 * or '', and for each fact its key and JSON.
 */
export const commit = `${time}
local run = KEYS[1]
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'ordinal', 'attempts', 'length', 'incarnations')
local till, ordinal, length, seen = tonumber(known[3] or '0'), tonumber(known[4]), tonumber(known[6]), tonumber(ARGV[4])
local attempts = known[5]

-- The attempts before this one are forgotten.
local function come()
  redis.call('HSET', run, 'ordinal', ARGV[5], 'position', ARGV[6], 'updatedAt', now)
  if attempts ~= '' and attempts ~= ARGV[3] then
    local own = string.find(',' .. attempts .. ',', ',' .. ARGV[3] .. ',', 1, true)
    redis.call('HSET', run, 'attempts', own and ARGV[3] or '')
  end
end

-- Most commits write a position, and nothing came meanwhile.
if #ARGV == 6 and known[1] == '2' and known[2] == ARGV[3] and till and now < till and ordinal and attempts and
  length and length <= seen then
  if ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal then come() end
  return { 'written' }
end
local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end
${one}${facts}
if known[1] ~= '2' then return unknown(known[1]) end
if not till or not ordinal or not attempts then error('CORRUPT') end
if known[2] ~= ARGV[3] or now >= till then return { 'lost' } end
${writing}
sound(length, known[7])
local fresh = unheard(9)
local further = ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal
if ARGV[7] == '1' and (#fresh > 0 or further) and length > seen then return { 'moved', since(seen, length) } end
if further then come() end
if #fresh > 0 then length = add(fresh, length, known[7], ARGV[8]) end
return { 'written', since(seen, length) }
`

/** ARGV: base, id, seen, incarnation of the fact, retention or '', its key, its JSON. */
export const record = `${reading}${one}${facts}${writing}
local known = redis.call('HMGET', run, 'version', 'until', 'length', 'incarnations')
if known[1] ~= '2' then return unknown(known[1]) end
local length, seen = sound(known[3], known[4]), tonumber(ARGV[3])
if not of(known[4], ARGV[4]) then return { 'none' } end
local fresh = unheard(6)
if #fresh > 0 then
  local held = holds(known[2])
  length = add(fresh, length, known[4], ARGV[5])
  redis.call('HSET', run, 'due', text(now))
  resume()
  if not held then place(text(now), false) end
end
return { 'done', since(seen, length) }
`

/**
 * ARGV: base, id, seen, after how long it is due or '', the incarnations of the facts between commas, retention or '', and for
 * each fact its key and JSON.
 */
export const conclude = `${reading}${one}${facts}${writing}
local known = redis.call('HMGET', run, 'version', 'until', 'length', 'incarnations', 'handled')
if known[1] ~= '2' then return unknown(known[1]) end
local length, seen = sound(known[3], known[4]), tonumber(ARGV[3])
for incarnation in string.gmatch(ARGV[5], '%d+') do
  if not of(known[4], incarnation) then return { 'none' } end
end
local fresh = unheard(7)
if #fresh == 0 then return { 'written', since(seen, length) } end
if holds(known[2]) then return { 'held', since(seen, length) } end
if length > seen then return { 'moved', since(seen, length) } end

length = add(fresh, length, known[4], ARGV[6])
-- Whoever concludes may not know that a worker's consumer was promised the run meanwhile.
local due = known[5] == '1' and text(now) or ARGV[4] ~= '' and text(now + ARGV[4]) or ''
redis.call('HSET', run, 'due', due)
redis.call('HDEL', run, 'owner', 'fence', 'until')
resume()
place(due, false)
return { 'written', since(seen, length) }
`
