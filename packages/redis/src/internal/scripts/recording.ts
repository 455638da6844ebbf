import { facts, placing, reading, time } from "./parts.ts"

/**
 * Commits a position and facts. ARGV: base, id, fence, seen, ordinal and position or '', and then, left out by most commits,
 * '1' if it is guarded, retention, abandonedAfter, and for each fact its key and JSON.
 */
export const commit = `${time}
local known = redis.call('HMGET', KEYS[1], 'version', 'fence', 'until', 'ordinal', 'attempts', 'length', 'incarnations')
local till, ordinal, length, seen = tonumber(known[3] or '0'), tonumber(known[4]), tonumber(known[6]), tonumber(ARGV[4])
local attempts = known[5]

-- Writes the position, and forgets the attempts before this one.
local function come()
  redis.call('HSET', KEYS[1], 'ordinal', ARGV[5], 'position', ARGV[6], 'updatedAt', now)
  if attempts ~= '' and attempts ~= ARGV[3] then
    local own = string.find(',' .. attempts .. ',', ',' .. ARGV[3] .. ',', 1, true)
    redis.call('HSET', KEYS[1], 'attempts', own and ARGV[3] or '')
  end
end

-- The fast path: a position without facts, and no new facts in the journal.
if #ARGV == 6 and known[1] == '2' and known[2] == ARGV[3] and till and now < till and ordinal and attempts and
  length and length <= seen then
  if ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal then come() end
  return { 'written' }
end
${reading}${facts}
if known[1] ~= '2' then return unknown(known[1]) end
if not till or not ordinal or not attempts then error('CORRUPT') end
if known[2] ~= ARGV[3] or now >= till then return { 'lost' } end
${placing(8)}
sound(length, known[7])
local fresh = unheard(10)
local further = ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal
if ARGV[7] == '1' and (#fresh > 0 or further) and length > seen then return { 'moved', since(seen, length) } end
if further then come() end
if #fresh > 0 then
  local ends
  length, ends = add(fresh, length, known[7])
  place(false, true)
  if ends then tellRun(string.match(fresh[1][2], '"by":"([^"\\\\]*)"') or '') end
end
return { 'written', since(seen, length) }
`

/** Records a fact without a lease. ARGV: base, id, retention, abandonedAfter, seen, the fact's incarnation, key and JSON. */
export const record = `${reading}${facts}${placing()}
local known = redis.call('HMGET', run, 'version', 'until', 'length', 'incarnations')
if known[1] ~= '2' then return unknown(known[1]) end
if forgotten() then return { 'none' } end
local length, seen = sound(known[3], known[4]), tonumber(ARGV[5])
if not of(known[4], ARGV[6]) then return { 'none' } end
local fresh = unheard(7)
if #fresh > 0 then
  length = add(fresh, length, known[4])
  redis.call('HSET', run, 'due', text(now))
  local held = holds(known[2])
  if not held then redis.call('HDEL', run, 'reason', 'parkedAt') end
  place(true, held)
  tellRun(string.match(fresh[1][2], '"by":"([^"\\\\]*)"') or '')
end
return { 'done', since(seen, length) }
`
