/**
 * The same races against Sojourn and its peers, over real HTTP, with interleavings that are made and not hoped for.
 * Prints who keeps what, as Markdown; exits 1 when Sojourn loses anything.
 *
 *   node bench/races.mjs
 */
import { once } from 'node:events'
import { install } from './install.mjs'

install()
// Not before: these need what the installation brings.
const { createGate, SLOW } = await import('./races/gate.mjs')
const { scenarios } = await import('./races/scenarios.mjs')
const { sojourn } = await import('./races/sojourn.mjs')
const { expressSession } = await import('./races/express-session.mjs')
const { fastifySession } = await import('./races/fastify-session.mjs')
const { versionOf } = await import('./contenders.mjs')

const contenders = [
  { package: 'sojourn', open: sojourn },
  { package: 'express-session', open: expressSession },
  { package: '@fastify/session', open: fastifySession },
]

/** Each scenario has a server of its own, so that none inherits another's sessions. */
async function race(open, slow, run) {
  const gate = createGate()
  const server = await open(gate, slow)
  if (!server.listening) await once(server, 'listening')
  try {
    return await run(`http://127.0.0.1:${server.address().port}`, gate)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

let lost = 0
const row = (cells) => console.log(`| ${cells.join(' | ')} |`)
row(['', ...scenarios.map(({ label }) => label)])
row(['---', ...scenarios.map(() => '---')])
for (const contender of contenders) {
  for (const slow of [false, true]) {
    const cells = []
    for (const { run } of scenarios) {
      const { kept, text } = await race(contender.open, slow, run)
      if (!kept && contender.package === 'sojourn') lost++
      cells.push(kept ? text : `**${text}**`)
    }
    row([
      `${versionOf(contender.package)}, ${slow ? `a store that reads in ${SLOW.read} ms and writes in ${SLOW.write} ms` : 'memory'}`,
      ...cells,
    ])
  }
}
console.log(
  '\nThe counter is changed with `session.update` in Sojourn and with the assignment that the others offer; ' +
    'a plain assignment to one key is last-write-wins in Sojourn too.',
)
process.exitCode = lost > 0 ? 1 : 0
