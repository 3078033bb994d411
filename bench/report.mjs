/** The results as Markdown: for a terminal, and for docs/benchmarks.md. */
import { cpus, totalmem } from 'node:os'
import { CONNECTIONS, pinned } from './load/load.mjs'

const micro = (value) => value.toFixed(1)
/** A number of thousands, as people read it. */
export const whole = (value) => Math.round(value).toLocaleString('en')
/** A table: its first column is text, the others are figures. */
export const table = (head, rows) =>
  [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n')

/** What was measured with what, and how. */
export function setting(plan) {
  const cores = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return [
    `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cores.length} × ${cores[0].model}, ${memory} GiB.`,
    `Load: a client that never sleeps, ${CONNECTIONS} connections, ${whole(plan.sessions)} sessions in turn (first sight: ${whole(plan.firstSight)}),`,
    pinned
      ? 'the server pinned to core 1, the load and the database servers to core 0;'
      : 'nothing pinned (no `taskset`);',
    `${plan.rounds * plan.slices} × ${plan.seconds} s, each between two of the bare framework, after ${plan.warmup} s of warming up; order rotated, medians${plan.rounds < 3 ? ' (a quick run: indicative only)' : ''}.`,
  ].join('\n')
}

/** The cost of a session per request; the range is that of the rounds. */
export function requestTable({ frameworks, contenders, differences, absent }) {
  const cost = (row) => (row ? `${micro(row.over)} (${micro(row.least)} to ${micro(row.most)})` : '')
  const rows = frameworks.flatMap((framework) => [
    [
      `_${[framework.label, ...versions(framework)].join(' ')}: ${micro(framework.cpu)} µs_`,
      '',
      '',
      whole(framework.rate),
      '',
    ],
    ...contenders
      .filter(({ over }) => over === framework.name)
      .map((row) => [
        [row.label, ...versions(row)].join(' '),
        cost(row.read),
        cost(row.changed),
        whole(row.read.rate),
        row.changed ? whole(row.changed.rate) : '',
      ]),
  ])
  for (const row of differences) rows.push([`_what is added by ${row.what}_`, cost(row), '', '', ''])
  for (const row of absent) rows.push([row.label, `not measured: ${row.reason}`, '', '', ''])
  return table(['', 'read, µs over bare', 'changed, µs over bare', 'read, requests/s', 'changed, requests/s'], rows)
}

/** What Redis was sent while unchanged sessions were read, as it counted itself; nothing where nobody asked it. */
export function commandTable({ contenders, frameworks }) {
  const on = ({ over }) => frameworks.find(({ name }) => name === over).label
  const rows = contenders
    .filter(({ commands }) => commands)
    .map((row) => [
      `${[row.label, ...versions(row)].join(' ')} on ${on(row)}`,
      Object.entries(row.commands)
        .map(([name, calls]) => `${calls.toFixed(2)} ${name.toUpperCase()}`)
        .join(', ') || 'none',
    ])
  return rows.length > 0 ? table(['a read of an unchanged session', 'commands to Redis'], rows) : ''
}

/** The versions that were measured, in brackets; nothing where there are none. */
export const versions = ({ versions }) => (versions.length ? [`(${versions.join(', ')})`] : [])

/** The verbs of the stores and a request, by how many sessions there are. */
export function growthTable(rows) {
  return table(
    ['store', 'sessions', 'get, ns', 'set, ns', 'request that reads, µs over bare'],
    rows.map((row) => [row.store, whole(row.sessions), whole(row.get), whole(row.set), micro(row.over)]),
  )
}

/** The figures of the memory store with a million sessions. */
export function memoryTable(figures) {
  return table(
    ['memory store', ''],
    figures.map(({ figure, value, unit }) => [figure, `${value.toLocaleString('en')} ${unit}`]),
  )
}

/** The targets, met or missed. */
export function targetTable(rows) {
  return table(
    ['target', 'at most', 'measured', ''],
    rows.map(({ what, beside, most, got, unit, met, reason }) => [
      beside ? `${what} (${beside})` : what,
      `${micro(most)} ${unit}`,
      reason ? `not measured: ${reason}` : `${micro(got)} ${unit}`,
      reason ? '' : met ? 'met' : 'MISSED',
    ]),
  )
}
