/** What the library promises of its speed, on Node 20; `npm run bench -- --check` holds it to that. */

/** The contenders that the targets speak of. */
export const needed = ['sojourn-memory', 'sojourn-sqlite', 'sojourn-express', 'express-session']

/** Each target with what was measured; throws when a figure is missing, for that is no pass. */
export function targets({ contenders, memory }) {
  const over = (name) => number(contenders.find((contender) => contender.name === name)?.unmodified.over, name)
  const pauses = memory.filter(({ figure }) => figure.startsWith('longest pause, '))
  const perSession = memory.find(({ figure }) => figure.startsWith('memory of a session'))
  const target = (what, got, most, unit) => ({ what, got, most, unit, met: got <= most })
  return [
    target('memory on node:http, over bare', over('sojourn-memory'), 5, 'µs'),
    target('SQLite on node:http, over bare', over('sojourn-sqlite'), 20, 'µs'),
    target('on Express, a twentieth of express-session', over('sojourn-express'), over('express-session') / 20, 'µs'),
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
