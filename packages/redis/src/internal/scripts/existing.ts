import { facts, forgetting, placing, reading } from "./parts.ts"

/** Agrees on the number of shards. KEYS: the key that holds it. ARGV: the number that this store is set to. */
export const layout = `
if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return { 'done' } end
local known = redis.call('GET', KEYS[1])
return { known == ARGV[1] and 'done' or 'other', known }
`

/**
 * Creates a run. ARGV: base, id, retention, abandonedAfter, run, agent, due in milliseconds or '', this shard's number, the
 * number of shards, '1' if it is promised to a consumer, until when the input is kept or '', the input, and for each fact its
 * key with incarnation 0, and its JSON without the incarnation.
 */
export const create = `${reading}${placing()}
local version = redis.call('HGET', run, 'version')
if version == '2' and not forgotten() then return { 'found', shown() } end
if version ~= '2' then
  local other = unknown(version)
  if other[1] ~= 'none' then return other end
end

local incarnation = draw(ARGV[8], ARGV[9])
forget(redis.call)
local due = ARGV[7] ~= '' and text(now + ARGV[7]) or ''
local incarnations = ',' .. incarnation .. ','
redis.call('HSET', run, 'version', '2', 'run', ARGV[5], 'agent', ARGV[6], 'incarnation', incarnation,
  'incarnations', incarnations, 'position', '', 'ordinal', '0', 'handled', ARGV[10], 'attempts', '', 'due', due,
  'length', '0', 'stage', 'queued', 'last', text(now), 'createdAt', text(now), 'updatedAt', text(now))
if ARGV[11] ~= '' then
  redis.call('HSET', run, 'input', ARGV[11])
  redis.call('SET', base .. 'input:' .. id, ARGV[12])
end
for i = 13, #ARGV, 2 do
  ARGV[i] = string.gsub(ARGV[i], '^0 ', incarnation .. ' ')
  ARGV[i + 1] = '{"incarnation":' .. incarnation .. ',' .. string.sub(ARGV[i + 1], 2)
end
if #ARGV > 12 then add(unheard(13), 0, incarnations) end
place(true)
sweep()
return { 'created', shown() }
`

/** Removes a run. ARGV: base, id, fence, the length that the journal must have or ''. */
export const remove = `${reading}${forgetting}
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'length')
if known[1] ~= '2' then return unknown(known[1]) end
if forgotten() then return { 'none' } end
if known[2] ~= ARGV[3] or not holds(known[3]) then return { 'lost' } end
if ARGV[4] ~= '' and ARGV[4] ~= known[4] then return { 'moved' } end
forget(redis.call)
return { 'done' }
`

/**
 * Writes facts for a run that nobody holds. ARGV: base, id, retention, abandonedAfter, seen, due in milliseconds or '', the
 * incarnations of the facts between commas, and for each fact its key and JSON.
 */
export const conclude = `${reading}${facts}${placing()}
local known = redis.call('HMGET', run, 'version', 'until', 'length', 'incarnations', 'handled')
if known[1] ~= '2' then return unknown(known[1]) end
if forgotten() then return { 'none' } end
local length, seen = sound(known[3], known[4]), tonumber(ARGV[5])
for incarnation in string.gmatch(ARGV[7], '%d+') do
  if not of(known[4], incarnation) then return { 'none' } end
end
local fresh = unheard(8)
if #fresh == 0 then return { 'written', since(seen, length) } end
if holds(known[2]) then return { 'held', since(seen, length) } end
if length > seen then return { 'moved', since(seen, length) } end

length = add(fresh, length, known[4])
-- The caller may not know that the run was promised to a worker's consumer meanwhile.
local due = known[5] == '1' and text(now) or ARGV[6] ~= '' and text(now + ARGV[6]) or ''
redis.call('HSET', run, 'due', due)
redis.call('HDEL', run, 'fence', 'until', 'reason', 'parkedAt')
place(true)
tellRun(string.match(fresh[1][2], '"by":"([^"\\\\]*)"') or '')
return { 'written', since(seen, length) }
`
