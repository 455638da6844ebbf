import { forgetting, one, reading, writing } from "./parts.ts"

/** KEYS: where a namespace says how many shards it has. ARGV: how many this store has. */
export const layout = `
if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return { 'done' } end
local known = redis.call('GET', KEYS[1])
return { known == ARGV[1] and 'done' or 'other', known }
`

/**
 * ARGV: base, id, run, agent, after how long it is due or '', retention or '', which of how many shards this is, and for each
 * fact its key, as if the incarnation were 0, and its JSON without the incarnation.
 */
export const create = `${reading}${one}${writing}
local version = redis.call('HGET', run, 'version')
if version == '2' then return { 'found', shown(run, journal, keys) } end
local other = unknown(version)
if other[1] ~= 'none' then return other end

local incarnation = draw(ARGV[7], ARGV[8])
forget(id, redis.call)
redis.call('DEL', journal)
local due = ARGV[5] ~= '' and text(now + ARGV[5]) or ''
local incarnations = ',' .. incarnation .. ','
redis.call('HSET', run, 'version', '2', 'run', ARGV[3], 'agent', ARGV[4], 'incarnation', incarnation,
  'incarnations', incarnations, 'position', '', 'ordinal', '0', 'handled', '0', 'attempts', '', 'due', due, 'length', '0',
  'createdAt', text(now), 'updatedAt', text(now))
redis.call('ZADD', base .. 'runs', now, id)
place(due, false)
for i = 9, #ARGV, 2 do
  ARGV[i] = string.gsub(ARGV[i], '^0 ', incarnation .. ' ')
  ARGV[i + 1] = '{"incarnation":' .. incarnation .. ',' .. string.sub(ARGV[i + 1], 2)
end
if #ARGV > 8 then add(unheard(9), 0, incarnations, ARGV[6]) end
sweep()
return { 'created', shown(run, journal, keys) }
`

/** ARGV: base, id, fence, how long the journal must be or ''. */
export const remove = `${reading}${one}${forgetting}
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'length')
if known[1] ~= '2' then return unknown(known[1]) end
if known[2] ~= ARGV[3] or not holds(known[3]) then return { 'lost' } end
if ARGV[4] ~= '' and ARGV[4] ~= known[4] then return { 'moved' } end
redis.call('DEL', run, journal)
forget(id, redis.call)
return { 'done' }
`
