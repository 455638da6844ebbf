// A run is a hash, a list and a set.
//
//   {baton:3}:run:<id>      version, run, agent, incarnation, incarnations, position, ordinal, handled, attempts, reason,
//                           parkedAt, due, owner, fence, until, length, createdAt, updatedAt
//   {baton:3}:journal:<id>  the journal: a fact is `<at>|<JSON>`
//   {baton:3}:keys:<id>     the keys of the facts in the journal
//
// The hash holds what a record does. `run` and `position` are JSON; an empty `position` is the one before the first update.
// `incarnations` are all that the run had, between commas, the last one in force. `attempts` are fences between commas.
// Without `due`, or if it is empty, the run is not work. `length` is that of the journal: if the list or the set has another
// one, Redis lost it, and the run is not what Baton wrote. A run that was never parked or held lacks those fields.
//
//   {baton:3}:runs       ids by time of creation
//   {baton:3}:parked     ids of parked runs by time of creation
//   {baton:3}:work       ids of runs that nobody holds, by when they are due
//   {baton:3}:held       ids of runs that somebody holds, by when the lease ends: then a look at `work` moves them there
//   {baton:3}:ends       ids of runs that are over by the time at which they are forgotten
//   {baton:3}:responses  `<response id>\0<run id>`
//   {baton:3}:fence      the last fence or incarnation that was given
//
// Lua knows nothing of facts but three things that their keys tell: which response was accepted, that the run is over, and
// that it was retried. Redis forgets the hash and the list of a run that is over by itself; its set is there until the
// indexes are swept, as it tells which responses were the run's.
//
// A later version may store what it likes, as long as `version` says so: then nothing of the run is touched. Replies are
// lists of texts whose first says what they are, as clients differ in what they make of numbers. Where Lua makes a text
// of a number it rounds it to 14 digits, so that `%.0f` does it. A script's first write is one that a full server refuses,
// so that it does all or nothing; only `release` and `remove` work on a full server.
// `base` is what all keys of a shard begin with.

const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

const reading = `${time}
local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end
local function holds(till) return till and now < number(till) end

local function shown(run, journal, keys)
  local known = redis.call('HMGET', run, 'length', 'until')
  local list = redis.call('LRANGE', journal, 0, -1)
  if number(known[1]) ~= #list or redis.call('SCARD', keys) ~= #list then error('CORRUPT') end
  return { holds(known[2]) and '1' or '0', redis.call('HGETALL', run), list }
end
`

const one = `
local run, journal, keys, base, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]

local function unknown(version)
  if version then return (tonumber(version) or error('CORRUPT')) > 2 and { 'newer' } or error('CORRUPT') end
  if redis.call('EXISTS', run) == 1 then error('CORRUPT') end
  return { 'none' }
end
`

const facts = `
local function since(seen, length)
  if length <= seen then return {} end
  local list = redis.call('LRANGE', journal, seen, -1)
  if #list ~= length - seen then error('CORRUPT') end
  return list
end

-- Fails before anything is written.
local function sound(length, incarnations)
  length = number(length)
  if not string.find(incarnations or '', '^,.*%d,$') then error('CORRUPT') end
  if redis.call('LLEN', journal) ~= length or redis.call('SCARD', keys) ~= length then error('CORRUPT') end
  return length
end
`

// A lease ends at a whole millisecond, never before its time.
const leaseEnd = (ttl: string) => `text(time[1] * 1000 + math.ceil(time[2] / 1000) + ${ttl})`

// `call` is `redis.pcall` if the server may take no writes.
const forgetting = `
local function forget(id, call)
  local keys = base .. 'keys:' .. id
  local known = call('SMEMBERS', keys)
  for _, key in ipairs(known) do
    local response = string.match(key, '^Accepted (.*)$')
    if response then call('ZREM', base .. 'responses', response .. '\\0' .. id) end
  end
  call('DEL', keys)
  for _, index in ipairs({ 'runs', 'parked', 'work', 'held', 'ends' }) do call('ZREM', base .. index, id) end
end
`

const writing = `${forgetting}
-- Redis has let go of these runs: a few at a time, so that no operation takes long.
local function sweep()
  local past = redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', now - 1000, 'LIMIT', 0, 16)
  for _, id in ipairs(past) do
    if redis.call('EXISTS', base .. 'run:' .. id) == 1 then
      redis.call('ZREM', base .. 'ends', id)
    else
      forget(id, redis.call)
    end
  end
end

-- No other shard gives the same.
local function draw(shard, shards)
  local last = redis.call('GET', base .. 'fence') or '0'
  local least = math.max(time[1] * 1000000 + time[2], number(last) + 1)
  local fence = text(least + (shard - least) % shards)
  redis.call('SET', base .. 'fence', fence)
  return fence
end

local function place(due, till)
  if till then
    redis.call('ZADD', base .. 'held', till, id)
    redis.call('ZREM', base .. 'work', id)
  elseif due ~= '' then
    redis.call('ZADD', base .. 'work', due, id)
    redis.call('ZREM', base .. 'held', id)
  else
    redis.call('ZREM', base .. 'work', id)
    redis.call('ZREM', base .. 'held', id)
  end
end

local function resume()
  if redis.call('HDEL', run, 'reason', 'parkedAt') > 0 then redis.call('ZREM', base .. 'parked', id) end
end

local function of(incarnations, incarnation)
  return string.find(incarnations or '', ',' .. incarnation .. ',', 1, true)
end

-- A run that is over, and of which its consumer knows that or nobody promised it, is kept for its time from now on.
local function settle(incarnations, retention)
  local incarnation = string.match(incarnations, '(%d+),$')
  local over = redis.call('SISMEMBER', keys, incarnation .. ' Ended') == 1 and
    (redis.call('HGET', run, 'handled') ~= '1' or redis.call('SISMEMBER', keys, incarnation .. ' Delivered') == 1)
  if over and retention ~= '' then
    redis.call('ZADD', base .. 'ends', now + retention, id)
    redis.call('PEXPIRE', run, retention)
    redis.call('PEXPIRE', journal, retention)
  elseif not over then
    redis.call('ZREM', base .. 'ends', id)
    redis.call('PERSIST', run)
    redis.call('PERSIST', journal)
  end
  sweep()
end

-- The facts of the arguments from here on that the journal does not have.
local function unheard(first)
  local fresh, given = {}, {}
  for i = first, #ARGV, 2 do
    local key = ARGV[i]
    if not given[key] and redis.call('SISMEMBER', keys, key) == 0 then fresh[#fresh + 1] = { key, ARGV[i + 1] } end
    given[key] = true
  end
  return fresh
end

local function add(fresh, length, incarnations, retention)
  local known, settles = incarnations, false
  for _, fact in ipairs(fresh) do
    local key = fact[1]
    redis.call('SADD', keys, key)
    redis.call('RPUSH', journal, text(now) .. '|' .. fact[2])
    local response = string.match(key, '^Accepted (.*)$')
    if response then redis.call('ZADD', base .. 'responses', 0, response .. '\\0' .. id) end
    local incarnation, kind = string.match(key, '^(%d+) (%a+)$')
    if kind == 'Retried' then known = known .. incarnation .. ',' end
    settles = settles or kind == 'Retried' or kind == 'Ended' or kind == 'Delivered'
  end
  redis.call('HSET', run, 'length', length + #fresh, 'updatedAt', now)
  if known ~= incarnations then redis.call('HSET', run, 'incarnations', known) end
  if settles then settle(known, retention) end
  return length + #fresh
end
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

/** ARGV: base, id. */
export const read = `${reading}${one}
local version = redis.call('HGET', run, 'version')
if version ~= '2' then return unknown(version) end
return { 'found', shown(run, journal, keys) }
`

/** KEYS: the index of the responses. ARGV: the response. Answers the runs of this shard that opened it. */
export const find = `
local found = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1] .. '\\0', '[' .. ARGV[1] .. '\\0\\255')
for i, entry in ipairs(found) do found[i] = string.sub(entry, #ARGV[1] + 2) end
return { 'found', found }
`

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

/**
 * One look at a part of one index. KEYS: the index that is read. ARGV: base; the time and the id after which to begin, or '';
 * how many runs to find; '1' for `work`, of which only runs count that are due now; '1' for parked runs, '0' for others, ''
 * for both; '=' and the agent, or ''. Answers whether the end was reached, how far it came, and the runs, each with its place
 * in the index.
 */
export const list = `${reading}
local index, base = KEYS[1], ARGV[1]
local from, past, wanted, due = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
local most = 1000
${forgetting}
-- Whoever held these runs did not give them up. On a server that takes no writes they stay where they are.
if due then
  local past = redis.call('ZRANGEBYSCORE', base .. 'held', '-inf', now, 'LIMIT', 0, most)
  local moved = 0
  for _, id in ipairs(past) do
    local at = redis.pcall('HGET', base .. 'run:' .. id, 'due')
    local done = type(at) == 'string' and tonumber(at) and redis.pcall('ZADD', base .. 'work', at, id)
    if type(done) == 'table' then break end
    if type(redis.pcall('ZREM', base .. 'held', id)) == 'table' then break end
    moved = moved + 1
  end
  if moved == most then return { '0', '', '', {} } end
end

-- Lua would compare as the server's language does.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- Nothing if the run is not asked for, false if it is gone.
local function look(id, score)
  local run = base .. 'run:' .. id
  local known = redis.call('HMGET', run, 'version', 'agent', 'parkedAt')
  if not known[1] and redis.call('EXISTS', run) == 0 then return false end
  if known[1] and known[1] ~= '2' and number(known[1]) > 2 then return end
  if known[1] ~= '2' or not known[2] then error('CORRUPT') end
  if ARGV[6] ~= '' and (ARGV[6] == '1') ~= (known[3] and true or false) then return end
  if ARGV[7] ~= '' and ARGV[7] ~= '=' .. known[2] then return end
  return { id, score, shown(run, base .. 'journal:' .. id, base .. 'keys:' .. id) }
end

local rank = from == '' and 0 or redis.call('ZCOUNT', index, '-inf', '(' .. from)
local at, last, over = from, past, '0'
local found, gone, looked = {}, {}, 0
while over == '0' and #found < wanted and looked < most do
  local members = redis.call('ZRANGE', index, rank, rank + math.max(16, wanted - #found) - 1, 'WITHSCORES')
  if #members == 0 then over = '1' end
  for i = 1, #members, 2 do
    if #found == wanted then break end
    local id, score = members[i], members[i + 1]
    if due and tonumber(score) > now then
      over = '1'
      break
    end
    rank = rank + 1
    looked = looked + 1
    if from == '' or tonumber(score) > tonumber(from) or after(id, past) then
      at, last = score, id
      -- One run that cannot be read hides no other.
      local sound, run = pcall(look, id, score)
      if not sound then
        found[#found + 1] = { id, score }
      elseif run then
        found[#found + 1] = run
      elseif run == false then
        gone[#gone + 1] = id
      end
    end
  end
end
-- On a server that takes no writes they stay, and are passed over.
for _, id in ipairs(gone) do forget(id, redis.pcall) end
return { over, at, last, found }
`

/** KEYS: where a namespace says how many shards it has. ARGV: how many this store has. */
export const layout = `
if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return { 'done' } end
local known = redis.call('GET', KEYS[1])
return { known == ARGV[1] and 'done' or 'other', known }
`
