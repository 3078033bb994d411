/** What the library promises of its speed, on Node 20; `npm run bench -- --check` holds it to that. */

/** The contenders that the targets speak of. */
export const needed = [
  'sojourn-memory',
  'sojourn-sqlite',
  'sojourn-cached',
  'sojourn-sealed-first',
  'sojourn-hs256-first',
  'sojourn-hs256',
  'sojourn-hs256-unrevoked',
  'sojourn-ed25519',
  'express-middleware',
  'sojourn-express',
  'express-session',
]

/** Each target with what was measured; throws when a figure is missing, for that is no pass. */
export function targets({ contenders, differences, memory }) {
  const over = (name) => number(contenders.find((contender) => contender.name === name)?.read.over, name)
  const pauses = memory.filter(({ figure }) => figure.startsWith('longest pause, '))
  const perSession = memory.find(({ figure }) => figure.startsWith('memory of a session'))
  const target = (what, got, most, unit, beside) => ({ what, beside, got, most, unit, met: got <= most })
  return [
    target('memory on node:http, over bare', over('sojourn-memory'), 5, 'µs'),
    target('SQLite on node:http, over bare', over('sojourn-sqlite'), 20, 'µs'),
    target('SQLite through copies, over bare', over('sojourn-cached'), 6, 'µs'),
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
