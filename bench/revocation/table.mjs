/** The table of how long what had ended was honoured: printed row by row, since each takes its time. */
import { writeDocs } from '../docs.mjs'
import { quantile } from '../statistics.mjs'

/** Clocks count whole milliseconds, and a request is on its way for a moment before it is judged. */
const TOLERANCE = 1

/** A table whose first column is `what`, and whose third counts `things`. */
export function boundTable(what, things) {
  const lines = []
  let broken = 0
  const print = (cells) => {
    lines.push(`| ${cells.join(' | ')} |`)
    console.log(lines.at(-1))
  }
  print([what, 'bound, ms', things, 'median, ms', 'p99, ms', 'worst, ms', 'last honoured, ms', ''])
  print(['---', ...Array.from({ length: 6 }, () => '--:'), '---'])

  return {
    /** What `trial` measured. `within` 0: not one request may have been honoured. */
    row(name, within, measured) {
      const refused = measured.map((one) => one.refused)
      const last = Math.max(...measured.map((one) => one.honoured))
      const kept = last <= (within === 0 ? 0 : within + TOLERANCE)
      if (!kept) broken++
      const figures = [quantile(refused, 0.5), quantile(refused, 0.99), Math.max(...refused), last]
      const bound = within === 0 ? 'at once' : within
      print([name, bound, measured.length, ...figures.map((ms) => ms.toFixed(1)), kept ? 'kept' : '**BROKEN**'])
    },
    absent: (name, within, reason) => print([name, within, '', '', '', '', '', `not measured: ${reason}`]),
    /** Puts it into docs/benchmarks.md, at the marks of this name. */
    write: (name) => writeDocs(name, `Node ${process.versions.node}.\n\n${lines.join('\n')}`),
    get broken() {
      return broken > 0
    },
  }
}
