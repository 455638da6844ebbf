// The log of a run is a stream and a string.
//
//   {baton:3}:log:<id>   the chunks, one entry for each, with the id `<offset after the chunk>-<n>`
//   {baton:3}:head:<id>  `<version>:<epoch>:<dropped>`
//
// `n` is 0 for a chunk with updates. Chunks without updates at the same offset have 1, 2 and so on. So the newest chunk with
// updates is `<length>-0`, and the first entry from `<offset + 1>-0` on holds the update at that offset. An entry has the
// fields `count`, `epoch`, `ended`, `total` (the bytes of all bodies up to this one) and `body`. `dropped` is the number of
// bytes of the removed chunks.
//
// The stream alone decides what the log holds. If Redis loses the head, the epoch is that of the newest chunk, and `dropped`
// is computed from the oldest one. If Redis loses the stream, the log is empty.
//
// A reply is a list of texts, because clients differ in how they read numbers. The first text names the outcome. `text` uses
// `%.0f`, because Lua otherwise rounds numbers to 14 digits. The first write of `open` and `append` is a command that Redis
// refuses if its memory is full, so that they do all or nothing. `truncate` and `remove` work with full memory.

const reading = `
local log, head = KEYS[1], KEYS[2]
local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end

local function chunk(entry)
  local to, nth = string.match(entry[1], '^(%d+)-(%d+)$')
  local known = entry[2]
  if #known ~= 10 or known[1] ~= 'count' or known[7] ~= 'total' or known[9] ~= 'body' then error('CORRUPT') end
  local count = number(known[2])
  return { to = number(to), nth = number(nth), from = to - count, count = count, epoch = number(known[4]),
    ended = known[6], total = number(known[8]), bytes = #known[10] }
end
local function at(found) return found[1] and chunk(found[1]) end
local function oldest() return at(redis.call('XRANGE', log, '-', '+', 'COUNT', 1)) end

local written = redis.call('GET', head)
local version, epoch, dropped
if written then
  version, epoch, dropped = string.match(written, '^(%d+):(%d*):?(%d*)')
  if version and version ~= '1' then return { 'newer' } end
  epoch, dropped = number(epoch), number(dropped)
end
local found = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
local last = at(found)
local exists = written or last
epoch = math.max(epoch or 0, last and last.epoch or 0)
if not last then
  dropped = 0
elseif not written then
  local first = oldest()
  dropped = first.total - first.bytes
end
local length = last and last.to or 0
local function bytes() return text(last and last.total - dropped or 0) end
`

const writing = `
local function keep(key, retention)
  if retention == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, retention) end
end
local function mark(...)
  local fresh = '1:' .. text(epoch) .. ':' .. text(dropped)
  if fresh ~= written then redis.call('SET', head, fresh, ...) end
end
local function tell(channel, id, by) redis.call('PUBLISH', channel, id .. '\\n' .. by) end
`

/** ARGV: the epoch, and how long the log is kept or ''. */
export const open = `${reading}${writing}
local own = number(ARGV[1])
if own < epoch then return { 'fenced', text(epoch) } end
epoch = own
mark()
keep(log, ARGV[2])
keep(head, ARGV[2])
return { 'opened', text(length), bytes(), found }
`

/**
 * ARGV: the chunk's offset, count, epoch, '1' if the run ended with it, and body; how long the log is kept or ''; the channel
 * for hints, the run and the name of the layer.
 */
export const append = `${reading}${writing}
local from, count, own, ended = number(ARGV[1]), number(ARGV[2]), number(ARGV[3]), ARGV[4]
local function is(there)
  return there.from == from and there.count == count and there.epoch == own and there.ended == ended
end
if own < epoch then return { 'fenced', text(epoch) } end
if count == 0 and last and last.count == 0 and is(last) then return { 'known', text(length), bytes() } end
if from < length then
  local there = at(redis.call('XRANGE', log, text(from + 1) .. '-0', '+', 'COUNT', 1))
  if not there then error('CORRUPT') end
  if there.from <= from then
    if there.epoch ~= own then return { 'fenced', text(there.epoch) } end
    if is(there) then return { 'known', text(length), bytes() } end
  end
end
if from ~= length then return { 'gap', text(length) } end

local nth = count == 0 and (last and last.nth or 0) + 1 or 0
local total = (last and last.total or 0) + #ARGV[5]
redis.call('XADD', log, text(from + count) .. '-' .. text(nth), 'count', ARGV[2], 'epoch', ARGV[3], 'ended', ended,
  'total', text(total), 'body', ARGV[5])
epoch = own
mark()
keep(log, ARGV[6])
keep(head, ARGV[6])
tell(ARGV[7], ARGV[8], ARGV[9])
return { 'added', text(from + count), text(total - dropped) }
`

/** ARGV: the offset of the first wanted update, and the largest number of chunks. */
export const read = `${reading}
if not exists then return { 'none' } end
local from, most = number(ARGV[1]), number(ARGV[2])
local first = last and oldest().from or 0
if from < first then return { 'truncated', text(first) } end
local chunks, start = {}, text(from + 1) .. '-0'
while #chunks < most do
  local wanted = most - #chunks
  local entries = redis.call('XRANGE', log, start, '+', 'COUNT', text(wanted))
  for _, entry in ipairs(entries) do
    -- Chunks without updates are left out.
    if string.sub(entry[1], -2) == '-0' then chunks[#chunks + 1] = entry end
  end
  if #entries < wanted then break end
  start = '(' .. entries[#entries][1]
end
return { 'page', text(first), text(length), last and last.ended or '0', chunks }
`

/** ARGV: the offset before which chunks are removed. The newest chunk with updates stays, and those after it. */
export const truncate = `${reading}${writing}
if not last then return { 'done' } end
local least = math.min(number(ARGV[1]) + 1, length)
if redis.call('XTRIM', log, 'MINID', text(least) .. '-0') > 0 then
  local first = oldest()
  dropped = first.total - first.bytes
  mark('KEEPTTL')
end
return { 'done' }
`

/** ARGV: the channel for hints, the run and the name of the layer. */
export const remove = `${reading}${writing}
if exists then
  redis.call('DEL', log, head)
  tell(ARGV[1], ARGV[2], ARGV[3])
end
return { 'done' }
`
