/**
 * What Redis does in one go: each script touches one key, so that it runs on a Cluster as it does on a single server.
 * A script is sent by its digest, and in full to a server that does not know it (yet, or any more).
 */
import { createHash } from 'node:crypto'

/** A script, and the digest that Redis knows it by. */
export interface Script {
  readonly text: string
  readonly sha: string
}

function script(text: string): Script {
  // Redis names scripts so; nothing is kept secret or genuine by it.
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** Takes a head apart: version, expiry, horizon, write, token, and where the user begins. */
const PARSE = `
local function parse(value)
  local v, e, h, w, t, at = string.match(value, '^%[(%d+),([%d.]+),(%d+),"([^"]*)","([^"]*)",()')
  if not v then error({ err = 'ERR the value is not of this store; give prefix a name that nobody else uses' }) end
  return v, tonumber(e), tonumber(h), w, t, at
end
`

/** Clocks that differ by less find the entries of each other's in time, milliseconds. */
const BEHIND = 300_000

/**
 * Compare-and-set of a record. 0: the version was another. -1: the user's index must know of it first; nothing was
 * written. A text: written, and the entry of this name is not needed as it is any more. 1: written.
 *
 * A driver may send a command again when it lost the answer: a write finds its own name in the record, and answers as
 * it did before.
 */
export const WRITE: Script = script(`${PARSE}
local was, now, ttl, version, expires, write, user, rest, token, horizon, replaced, channel, id = unpack(ARGV)
local old = redis.call('GETRANGE', KEYS[1], 0, 127 + #user)
local v, e, h, w, t, at
if old ~= '' then v, e, h, w, t, at = parse(old) end
local live = v and e > tonumber(now)
if was ~= (live and v or '0') then
  if live and v == version and w == write then return 1 end
  return 0
end
local same = live and user ~= 'null' and string.sub(old, at, at + #user) == user .. ','
local indexed = token ~= ''
if not indexed and user ~= 'null' then
  if not same or h < tonumber(expires) then return -1 end
  -- Of a clock that is far behind the one that its entry was made by: that would be forgotten too soon.
  if replaced == '' and e - tonumber(expires) > ${BEHIND} then return -1 end
  token = t
  if replaced == '' then horizon = string.match(old, '^%[%d+,[%d.]+,(%d+)') end
end
redis.call('SET', KEYS[1], '[' .. version .. ',' .. expires .. ',' .. horizon .. ',"' .. write .. '","' .. token
  .. '",' .. user .. rest, 'PX', ttl)
if live then redis.call('PUBLISH', channel, id) end
if same and (indexed or replaced ~= '') then return t end
return 1
`)

/**
 * Deletes a record if it lives, is of the version `was`, has the index entry `token` and is the user's, each where it
 * is not empty; answers with its head.
 */
export const END: Script = script(`${PARSE}
local now, was, token, user, channel, id = unpack(ARGV)
local old = redis.call('GET', KEYS[1])
if not old then return false end
local v, e, h, w, t, at = parse(old)
if e <= tonumber(now) or (was ~= '' and v ~= was) or (token ~= '' and t ~= token) then return false end
if user ~= '' and string.sub(old, at, at + #user) ~= user .. ',' then return false end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', channel, id)
return string.match(old, '^[^\\n]*')
`)

/** Deletes a record that expired at or before `now`; 1 if it did. */
export const FORGET: Script = script(`${PARSE}
local head = redis.call('GETRANGE', KEYS[1], 0, 127)
if head == '' then return 0 end
local v, e = parse(head)
if e > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
`)

/**
 * Forgets entries whose time is over by both clocks, the caller's and the server's own: a process whose clock is ahead must
 * not take away what others still honour. What is kept for too long does no harm.
 */
const PURGE = `
-- Redis 3 and 4 let nobody write after asking for the time, unless told to replicate what is done instead of the script.
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', math.min(ARGV[1], clock)))
`

/** Forgets entries of a user's index. */
export const TRIM: Script = script(`${PURGE}
return 1
`)

/**
 * Enters a session in its user's index, forgets entries whose time is over, and keeps the index for long enough. Where the
 * caller's clock is behind, the entry is kept by the server's for as long as it would be by the caller's.
 */
export const ENTER: Script = script(`${PURGE}
local now, score, member, ttl = unpack(ARGV)
redis.call('ZADD', KEYS[1], string.format('%.0f', score + math.max(0, clock - now)), member)
if redis.call('PTTL', KEYS[1]) < tonumber(ttl) then redis.call('PEXPIRE', KEYS[1], ttl) end
return 1
`)

/**
 * Marks all entries of a user's index but those of the session `except`, and answers with them, those marked before
 * among them. An entry stays until its record is gone: a call that comes to grief in between is made good by the next.
 */
export const TAKE: Script = script(`
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local taken = {}
for i = 1, #all, 2 do
  local member = all[i]
  if not ARGV[1] or string.sub(member, string.find(member, ':', 1, true) + 1) ~= ARGV[1] then
    if string.sub(member, 1, 1) ~= '!' then
      redis.call('ZADD', KEYS[1], all[i + 1], '!' .. member)
      redis.call('ZREM', KEYS[1], member)
      member = '!' .. member
    end
    taken[#taken + 1] = member
  end
end
return taken
`)
