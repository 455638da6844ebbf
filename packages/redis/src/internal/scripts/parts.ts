// A run is stored as a hash, a list, a set and, while its input is kept, a string.
//
//   {baton:3}:run:<id>      version, run, agent, incarnation, incarnations, position, ordinal, handled, attempts, reason,
//                           parkedAt, due, owner, fence, until, length, last, stage, listed, input, createdAt, updatedAt
//   {baton:3}:journal:<id>  the journal: a fact is `<at>|<JSON>`
//   {baton:3}:keys:<id>     the keys of the facts in the journal
//   {baton:3}:input:<id>    the input; the field `input` of the hash says until when it is kept
//
// The hash holds the fields of a record. `run` and `position` are JSON; an empty `position` is the one before the first
// update. `incarnations` are all incarnations of the run, between commas; the last one is in force. `attempts` are fences
// between commas. If `due` is empty, the run is not work. `length` is the length of the journal: if the list or the set has
// another length, Redis lost a part of the run. `last` is the time of the last fact. `stage` is `queued`, `in_progress` or the
// status of the end, and `listed` the status under which the run is listed. A run that was never parked or held does not have
// the fields for that.
//
//   {baton:3}:runs                    ids by time of creation
//   {baton:3}:agents                  the agents that have or had runs
//   {baton:3}:status:<status>:<agent> ids of the runs with this status, by time of creation
//   {baton:3}:parked:<agent>          ids of parked runs by time of creation
//   {baton:3}:work:<agent>            ids of runs by when they can be claimed: when they are due, or when their lease ends
//   {baton:3}:idle                    ids by when they are forgotten
//   {baton:3}:responses               `<response id>\0<run id>`
//   {baton:3}:held                    `<owner>\0<run id>` of runs that were taken, with their last owner
//   {baton:3}:fence                   the last fence or incarnation that was given
//
// The scripts read little of a fact: its key, and the incarnation, the turn and the status in its JSON.
//
// A later version may store anything if `version` says so: the scripts then do not touch the run. Replies are lists of
// strings, because clients convert numbers differently; the first string names the kind of reply. Lua's own conversion of a
// number to a string rounds to 14 digits, so `%.0f` is used. The first write of a script is one that a full server refuses, so
// that a script does all or nothing; only `release` and `remove` work on a full server.
// `base` is the prefix of all keys of a shard.

export const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** ARGV: base, id; the rest depends on the script. */
export const reading = `${time}
local base = ARGV[1]
local id, run, journal, keys
local function use(name)
  id, run, journal, keys = name, base .. 'run:' .. name, base .. 'journal:' .. name, base .. 'keys:' .. name
end
use(ARGV[2])

local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end
local function holds(till) return till and now < number(till) end

local function unknown(version)
  if version then return (tonumber(version) or error('CORRUPT')) > 2 and { 'newer' } or error('CORRUPT') end
  -- A run is always removed as a whole. If only a part is there, Redis lost the rest.
  if redis.call('EXISTS', run, journal, keys) > 0 then error('CORRUPT') end
  return { 'none' }
end

-- A run whose time is over counts as gone, even if it is not removed yet.
local function forgotten()
  local at = redis.call('ZSCORE', base .. 'idle', id)
  return at and tonumber(at) <= now
end

local function shown()
  local known = redis.call('HMGET', run, 'length', 'until')
  local list = redis.call('LRANGE', journal, 0, -1)
  if number(known[1]) ~= #list or redis.call('SCARD', keys) ~= #list then error('CORRUPT') end
  return { holds(known[2]) and '1' or '0', redis.call('HGETALL', run), list }
end
`

export const facts = `
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

// The end of a lease, rounded up to a whole millisecond.
export const leaseEnd = (ttl: string) => `text(time[1] * 1000 + math.ceil(time[2] / 1000) + ${ttl})`

// `call` is `redis.pcall` if the server may refuse writes.
export const forgetting = `
local function forget(call)
  local known = call('HMGET', run, 'agent', 'listed', 'owner')
  local agent, listed = known[1], known[2]
  if known[3] then call('ZREM', base .. 'held', known[3] .. '\\0' .. id) end
  local facts = call('SMEMBERS', keys)
  for _, key in ipairs(facts) do
    local response = string.match(key, '^Accepted (.*)$')
    if response then call('ZREM', base .. 'responses', response .. '\\0' .. id) end
  end
  call('DEL', run, journal, keys, base .. 'input:' .. id)
  for _, index in ipairs({ 'runs', 'idle' }) do call('ZREM', base .. index, id) end
  if agent then
    call('ZREM', base .. 'work:' .. agent, id)
    call('ZREM', base .. 'parked:' .. agent, id)
    if listed then call('ZREM', base .. 'status:' .. listed .. ':' .. agent, id) end
  end
end
`

/** Functions for scripts that place a run. From `at` on, ARGV has `retention` and `abandonedAfter`, or '' for never. */
export const placing = (at = 3) => `${forgetting}
local retention, abandoned = ARGV[${at}], ARGV[${at + 1}]
local namespace, part = string.match(base, '^{(.*):(%d+)}:$')

-- Removes a few runs at a time, so that no operation takes long. Runs of another version are tried again later.
local function sweep()
  local here = id
  for _, past in ipairs(redis.call('ZRANGEBYSCORE', base .. 'idle', '-inf', now, 'LIMIT', 0, 16)) do
    use(past)
    local version = redis.call('HGET', run, 'version')
    if version and version ~= '2' then
      redis.call('ZADD', base .. 'idle', now + 3600000, id)
    else
      forget(redis.call)
    end
  end
  use(here)
end

-- Draws a number that no other shard draws.
local function draw(shard, shards)
  local last = redis.call('GET', base .. 'fence') or '0'
  local least = math.max(time[1] * 1000000 + time[2], number(last) + 1)
  local fence = text(least + (shard - least) % shards)
  redis.call('SET', base .. 'fence', fence)
  return fence
end

local function of(incarnations, incarnation)
  return string.find(incarnations or '', ',' .. incarnation .. ',', 1, true)
end

-- Whether the run has a response that may still run: it has no end, and no cancel was sent.
local function loose()
  local known = {}
  for _, key in ipairs(redis.call('SMEMBERS', keys)) do known[key] = true end
  for key in pairs(known) do
    local response = string.match(key, '^Accepted (.*)$')
    if response and not known['ResponseEnded ' .. response] and not known['CancelSent ' .. response] then return true end
  end
end

local open = { queued = true, in_progress = true }

-- Updates the indexes according to the fields of the run. With 'tell', publishes a hint if the run is work. With 'inPlace',
-- updates only the indexes that change while the run is held: the others are updated when it is taken and released.
local function place(tell, inPlace)
  local known = redis.call('HMGET', run, 'agent', 'stage', 'due', 'until', 'parkedAt', 'createdAt', 'listed', 'handled',
    'last', 'incarnations', 'updatedAt')
  local agent, stage, due, till, parked, created, listed = unpack(known, 1, 7)
  local isOpen, held = open[stage], holds(till)
  local at = not parked and (held and till or due ~= '' and due)
  if at then
    redis.call('ZADD', base .. 'work:' .. agent, at, id)
  else
    redis.call('ZREM', base .. 'work:' .. agent, id)
  end
  local status = isOpen and due == '' and not till and not parked and 'waiting' or stage
  if status ~= listed then
    if listed then redis.call('ZREM', base .. 'status:' .. listed .. ':' .. agent, id) end
    redis.call('HSET', run, 'listed', status)
  end
  if status ~= listed or not inPlace then
    redis.call('ZADD', base .. 'status:' .. status .. ':' .. agent, created, id)
  end
  -- Also written if the run should be there already: Redis may have lost the index.
  if not inPlace then
    redis.call('SADD', base .. 'agents', agent)
    redis.call('ZADD', base .. 'runs', created, id)
    if parked then
      redis.call('ZADD', base .. 'parked:' .. agent, created, id)
    else
      redis.call('ZREM', base .. 'parked:' .. agent, id)
    end
  end

  local over = not isOpen and
    (known[8] ~= '1' or redis.call('SISMEMBER', keys, string.match(known[10], '(%d+),$') .. ' Delivered') == 1) and
    not loose()
  local kept = over and retention or abandoned
  if kept == '' then
    redis.call('ZREM', base .. 'idle', id)
  else
    local last = math.max(number(over and known[9] or known[11]), number(till or '0'), over and 0 or tonumber(due) or 0)
    redis.call('ZADD', base .. 'idle', last + kept, id)
  end
  if tell and at and not held then
    redis.call('PUBLISH', namespace .. ':hints', 'work\\n' .. part .. '\\n' .. text(math.max(0, at - now)) .. '\\n' .. agent)
  end
end

local function tellRun(by)
  redis.call('PUBLISH', namespace .. ':hints', 'run\\n' .. id .. '\\n' .. by)
end

-- The facts in the arguments from 'first' on that the journal does not have.
local function unheard(first)
  local fresh, given = {}, {}
  for i = first, #ARGV, 2 do
    local key = ARGV[i]
    if not given[key] and redis.call('SISMEMBER', keys, key) == 0 then fresh[#fresh + 1] = { key, ARGV[i + 1] } end
    given[key] = true
  end
  return fresh
end

local function dropInput()
  redis.call('HDEL', run, 'input')
  redis.call('DEL', base .. 'input:' .. id)
end

-- The stage of the run according to its journal.
local function standing(born)
  local facts, turns, last = { Accepted = {}, Retried = {}, Ended = {} }, { { 0, born } }, born
  for _, entry in ipairs(redis.call('LRANGE', journal, 0, -1)) do
    for kind, all in pairs(facts) do
      if string.find(entry, '"_tag":"' .. kind .. '"', 1, true) then
        local fact = cjson.decode(string.match(entry, '^%d+|(.*)$'))
        if fact._tag == kind then all[#all + 1] = fact end
      end
    end
  end
  -- 'turns' are the turns from which each incarnation is in force.
  for _, fact in ipairs(facts.Retried) do
    while #turns > 0 and turns[#turns][1] >= fact.turn do turns[#turns] = nil end
    last = text(fact.incarnation)
    turns[#turns + 1] = { fact.turn, last }
  end
  for _, fact in ipairs(facts.Ended) do
    if text(fact.incarnation) == last then return fact.status end
  end
  for _, fact in ipairs(facts.Accepted) do
    local owner = born
    for _, from in ipairs(turns) do
      if from[1] <= fact.turn then owner = from[2] end
    end
    if text(fact.incarnation) == owner then return 'in_progress' end
  end
  return 'queued'
end

-- Adds facts. Returns the length of the journal, and whether the run ended with these facts.
local function add(fresh, length, incarnations)
  local known, ends, isUnclear = incarnations, false, false
  local fields = redis.call('HMGET', run, 'stage', 'input', 'incarnation')
  local stage, input = fields[1], fields[2]
  for _, fact in ipairs(fresh) do
    local key, json = fact[1], fact[2]
    redis.call('SADD', keys, key)
    redis.call('RPUSH', journal, text(now) .. '|' .. json)
    local response = string.match(key, '^Accepted (.*)$')
    if response then
      redis.call('ZADD', base .. 'responses', 0, response .. '\\0' .. id)
      if stage == 'queued' then isUnclear = true end
      if input == 'accepted' and string.match(json, '"turn":(%d+)') == '0' then dropInput() end
    end
    local incarnation, kind = string.match(key, '^(%d+) (%a+)$')
    if kind == 'Retried' then
      known, isUnclear = known .. incarnation .. ',', true
    elseif kind == 'Ended' then
      local status = string.match(json, '"status":"([%a_]+)"')
      if incarnation == string.match(known, '(%d+),$') then stage, ends = status, true end
      if input and (status == 'completed' or status == 'incomplete') then dropInput() end
    end
  end
  if isUnclear then stage = standing(fields[3]) end
  redis.call('HSET', run, 'length', length + #fresh, 'updatedAt', now, 'last', now, 'stage', stage)
  if known ~= incarnations then redis.call('HSET', run, 'incarnations', known) end
  return length + #fresh, ends
end
`
