/** What a session costs a request: every contender, unmodified and modified, over the same framework bare. */
import { contenders, differences, frameworks, versionOf } from './contenders.mjs'
import { noEngine, startEngines, stopEngines } from './engines.mjs'
import { missing } from './install.mjs'
import { extras, measure, verify } from './measure.mjs'
import { median, rotate } from './statistics.mjs'

/**
 * Measures the contenders named, or all; where they are read alone, if that is enough. Each is checked first, so that
 * nothing is measured that does not keep a session; throws when one does not.
 */
export async function requests(names, plan, say, readsOnly) {
  try {
    return await measured(names, plan, say, readsOnly)
  } finally {
    await stopEngines()
  }
}

/** Why a contender cannot be measured here; nothing where it can. */
export function absence({ name, optional, packages, engine }) {
  if (optional && !packages.every(versionOf)) return missing(name)
  return engine && noEngine(engine)
}

async function measured(names, plan, say, readsOnly) {
  const chosen = contenders
    .filter(({ name }) => names.length === 0 || names.includes(name))
    .map((contender) => (readsOnly ? { ...contender, variants: contender.variants.slice(0, 1) } : contender))
  const absent = chosen.filter(absence)
  const present = chosen.filter((contender) => !absent.includes(contender))
  for (const contender of absent) say(`${contender.name} is left out: ${absence(contender)}`)
  await startEngines(present.flatMap(({ engine }) => engine ?? []))
  for (const contender of present) {
    const kept = contender.variants.filter((variant) => variant !== 'bare')
    for (const variant of kept) await verify(contender, variant).catch((cause) => fail(contender.name, variant, cause))
    if (kept.length > 0) say(`${contender.name} keeps its sessions`)
  }

  const below = frameworks.filter(({ name }) => present.some(({ over }) => over === name))
  const runs = present.flatMap((contender) => contender.variants.map((variant) => ({ ...contender, variant })))
  const rounds = new Map(runs.map((run) => [key(run), []]))
  for (let round = 0; round < plan.rounds; round++) {
    for (const run of rotate(runs, Math.round((round * runs.length) / plan.rounds))) {
      const { name, over: framework, variant, server, args, distinct, engine, once } = run
      const times = { ...plan, distinct, engine, once, sessions: distinct ? plan.firstSight : plan.sessions }
      const measured = await measure(server, [variant, ...args], framework, times).catch((cause) =>
        fail(name, variant, cause),
      )
      rounds.get(key(run)).push(measured)
      say(`round ${round + 1} of ${plan.rounds}: ${key(run)} ${median(extras(measured)).toFixed(1)} µs over bare`)
    }
  }

  const measuredAs = (name, variant) => rounds.get(key({ name, variant }))
  return {
    frameworks: below.map((framework) => ({
      ...describe(framework),
      ...speed(
        runs.filter(({ over }) => over === framework.name).flatMap((run) => slices(rounds.get(key(run)), 'bare')),
      ),
    })),
    contenders: present.map((contender) => {
      const [read, changed] = contender.variants.map((variant) => cost(measuredAs(contender.name, variant)))
      const commands = asked(measuredAs(contender.name, 'unmodified'))
      return { ...describe(contender), over: contender.over, read, changed, commands }
    }),
    differences: differences
      .map((pair) => ({ ...pair, rounds: [pair.with, pair.without].map((name) => measuredAs(name, 'unmodified')) }))
      .filter((pair) => pair.rounds.every(Boolean))
      .map(({ what, rounds: [more, less] }) => ({
        what,
        ...spread(more.map((round, at) => median(extras(round)) - median(extras(less[at])))),
      })),
    absent: absent.map((contender) => ({
      ...describe(contender),
      over: contender.over,
      reason: absence(contender),
    })),
  }
}

/** How many commands of each name Redis was sent per read, in all rounds; nothing where there is no Redis. */
function asked(rounds) {
  if (!rounds?.every(({ commands }) => commands)) return undefined
  const sum = (values) => values.reduce((total, value) => total + value, 0)
  const names = [...new Set(rounds.flatMap(({ commands }) => Object.keys(commands)))]
  const reads = sum(rounds.map(({ requests }) => requests))
  return Object.fromEntries(names.map((name) => [name, sum(rounds.map(({ commands }) => commands[name] ?? 0)) / reads]))
}

const key = ({ name, variant }) => `${name} ${variant}`
/** What the tables say of a contender. */
export const describe = ({ name, label, packages }) => ({
  name,
  label,
  versions: packages.map(versionOf).filter(Boolean),
})

function fail(name, variant, cause) {
  throw new Error(`${name} (${variant}): ${cause.message}`, { cause })
}

const slices = (rounds, whose) => rounds.flatMap(({ pairs }) => pairs.map((pair) => pair[whose]))

const speed = (slices) => ({ cpu: median(slices.map(({ cpu }) => cpu)), rate: median(slices.map(({ rate }) => rate)) })

/** The middle of all pairs, and the range of the rounds. */
function cost(rounds) {
  return {
    ...speed(slices(rounds, 'own')),
    ...spread(rounds.map((round) => median(extras(round)))),
    over: median(rounds.flatMap(extras)),
  }
}

const spread = (values) => ({ over: median(values), least: Math.min(...values), most: Math.max(...values) })
