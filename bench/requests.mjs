/** What a session costs a request: every contender, unmodified and modified, over the same framework bare. */
import { contenders, frameworks, versionOf } from './contenders.mjs'
import { missing } from './install.mjs'
import { measure, verify } from './measure.mjs'
import { median, rotate } from './statistics.mjs'

const VARIANTS = ['unmodified', 'modified']

/**
 * Measures the contenders named, or all. Each is checked first, so that nothing is measured that does not keep a
 * session; throws when one does not.
 */
export async function requests(names, plan, say) {
  const chosen = contenders.filter(({ name }) => names.length === 0 || names.includes(name))
  const absent = chosen.filter(({ optional, packages }) => optional && !packages.every(versionOf))
  const present = chosen.filter((contender) => !absent.includes(contender))
  for (const { name } of present) {
    for (const variant of VARIANTS) await verify(name, variant).catch((cause) => fail(name, variant, cause))
    say(`${name} keeps its sessions`)
  }

  const below = frameworks.filter(({ name }) => present.some(({ over }) => over === name))
  const runs = [
    ...below.map(({ name }) => ({ name, variant: 'bare' })),
    ...VARIANTS.flatMap((variant) => present.map(({ name }) => ({ name, variant }))),
  ]
  const rounds = new Map(runs.map((run) => [key(run), []]))
  for (let round = 0; round < plan.rounds; round++) {
    for (const run of rotate(runs, Math.round((round * runs.length) / plan.rounds))) {
      const { cpu, rate } = await measure(run.name, [run.variant], plan).catch((e) => fail(run.name, run.variant, e))
      rounds.get(key(run)).push({ cpu, rate })
      say(`round ${round + 1} of ${plan.rounds}: ${key(run)} ${cpu.toFixed(1)} µs, ${Math.round(rate)} requests/s`)
    }
  }

  const bare = (name) => rounds.get(key({ name, variant: 'bare' }))
  return {
    frameworks: below.map((framework) => ({ ...describe(framework), ...summary(bare(framework.name)) })),
    contenders: present.map((contender) => ({
      ...describe(contender),
      over: contender.over,
      ...Object.fromEntries(
        VARIANTS.map((variant) => [variant, over(rounds.get(key({ ...contender, variant })), bare(contender.over))]),
      ),
    })),
    absent: absent.map((contender) => ({
      ...describe(contender),
      over: contender.over,
      reason: missing(contender.name),
    })),
  }
}

const key = ({ name, variant }) => `${name} ${variant}`
const describe = ({ name, label, packages }) => ({ name, label, versions: packages.map(versionOf).filter(Boolean) })

function fail(name, variant, cause) {
  throw new Error(`${name} (${variant}): ${cause.message}`, { cause })
}

function summary(measured) {
  return { cpu: median(measured.map(({ cpu }) => cpu)), rate: median(measured.map(({ rate }) => rate)) }
}

/** Each round is compared with the bare framework of the same round: what slows a round down slows both. */
function over(measured, bare) {
  const differences = measured.map(({ cpu }, round) => cpu - bare[round].cpu)
  return {
    ...summary(measured),
    over: median(differences),
    least: Math.min(...differences),
    most: Math.max(...differences),
  }
}
