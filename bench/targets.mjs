/** What the library promises of the speed of a read, on Node 20; `npm run bench -- --check` holds it to that. */

/** The contenders that the targets speak of. */
export const needed = [
  'sojourn-memory',
  'sojourn-sqlite',
  'raw-redis',
  'sojourn-redis',
  'sojourn-cached-sqlite',
  'sojourn-cached-file',
  'sojourn-cached-redis',
  'sojourn-cached-postgres',
  'sojourn-sealed-first',
  'sojourn-hs256-first',
  'sojourn-hs256',
  'sojourn-hs256-unrevoked',
  'sojourn-ed25519',
  'express-middleware',
  'sojourn-express',
  'express-session',
  'sojourn-express-redis',
  'connect-redis',
]

/** Each target with what was measured; throws when a figure is missing, for that is no pass. */
export function targets({ contenders, differences, memory, absent }) {
  const over = (name) => number(contenders.find((contender) => contender.name === name)?.read.over, name)
  const pauses = memory.filter(({ figure }) => figure.startsWith('longest pause, '))
  const perSession = memory.find(({ figure }) => figure.startsWith('memory of a session'))
  const target = (what, got, most, unit, beside) => ({ what, beside, got, most, unit, met: got <= most })
  /** A target of a contender that may be left out, where its engine is. */
  const ofEngine = (what, name, most) => {
    const reason = absent.find((contender) => contender.name === name)?.reason
    return reason ? { what, most, unit: 'µs', met: false, reason } : target(what, over(name), most, 'µs')
  }
  return [
    target('memory on node:http, over bare', over('sojourn-memory'), 5, 'µs'),
    target('SQLite on node:http, over bare', over('sojourn-sqlite'), 20, 'µs'),
    ofEngine('Redis on node:http, over bare', 'sojourn-redis', 18),
    target('SQLite through copies, over bare', over('sojourn-cached-sqlite'), 6, 'µs'),
    target('files through copies, over bare', over('sojourn-cached-file'), 6, 'µs'),
    ofEngine('Redis through copies, over bare', 'sojourn-cached-redis', 6),
    ofEngine('PostgreSQL through copies, over bare', 'sojourn-cached-postgres', 6),
    target('sealed cookie, first sight', over('sojourn-sealed-first'), 20, 'µs'),
    target('JWT HS256, first sight', over('sojourn-hs256-first'), 15, 'µs'),
    target('JWT HS256, seen again', over('sojourn-hs256'), 5, 'µs'),
    target('JWT Ed25519, seen again', over('sojourn-ed25519'), 5, 'µs'),
    ...differences.map(({ what, over }) => target(what, over, 1, 'µs')),
    target(
      'on Express, a twentieth of express-session',
      over('sojourn-express'),
      over('express-session') / 20,
      'µs',
      `an empty middleware alone: ${over('express-middleware').toFixed(1)} µs`,
    ),
    target('memory of a session, of a million', number(perSession?.value, 'memory of a session'), 700, 'bytes'),
    target(
      'longest pause beside garbage collection',
      number(Math.max(...pauses.map((p) => p.value)), 'pauses'),
      50,
      'ms',
    ),
  ]
}

function number(value, of) {
  if (Number.isFinite(value)) return value
  throw new Error(`no figure of ${of}`)
}
