/** How far a move is: a bar where somebody looks at a terminal, a line now and then where the output goes to a log. */
import { SingleBar } from 'cli-progress'

/** Shows the progress of one table. */
export type Progress = (table: string, total: number) => Shown

/** What is shown of it. */
export interface Shown {
  update(moved: number): void
  stop(): void
}

const EVERY = 5_000

/** A bar on `stream` if that is a terminal, else a line every five seconds. */
export function progressOn(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? (table, total) => bar(stream, table, total) : (table, total) => lines(stream, table, total)
}

function bar(stream: NodeJS.WriteStream, table: string, total: number): Shown {
  const shown = new SingleBar({
    format: '{table} [{bar}] {value}/{total} | {eta_formatted}',
    stream,
    barsize: 30,
    hideCursor: true,
  })
  shown.start(total, 0, { table })
  return {
    update(moved) {
      // New sessions come while others move.
      if (moved > shown.getTotal()) shown.setTotal(moved)
      shown.update(moved)
    },
    stop: () => shown.stop(),
  }
}

function lines(stream: NodeJS.WritableStream, table: string, total: number): Shown {
  let told = performance.now()
  return {
    update(moved) {
      if (performance.now() - told < EVERY) return
      told = performance.now()
      stream.write(`${table}: ${moved} of about ${Math.max(total, moved)}\n`)
    },
    stop() {},
  }
}
