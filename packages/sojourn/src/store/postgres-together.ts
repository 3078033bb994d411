/** Reads that are asked for in one turn of the event loop, asked of the server together. */
// Not by the global timers, which tests put a clock of their own in place of: no read would leave.
import { setImmediate as turn } from 'node:timers/promises'

/** Reads that share a statement, at the most. */
const MOST = 100

/**
 * Makes of what reads several keys what reads one. All that requests ask for in one turn of the event loop is asked at its
 * end, together: a query costs the client and the server many times what a row of it does. `read` gives values by key.
 * When it fails, all that it was to read for fail with it; but where the fault may be `ofOne`, each is asked for alone.
 */
export function together<T>(
  read: (keys: readonly string[]) => Promise<Map<string, T>>,
  ofOne: (fault: unknown) => boolean,
): (key: string) => Promise<T | undefined> {
  interface Batch {
    readonly keys: Set<string>
    readonly values: Promise<Map<string, T>>
    /** What was asked for once more, each key alone. */
    readonly alone: Map<string, Promise<Map<string, T>>>
  }
  let open: Batch | undefined

  const begin = (): Batch => {
    const keys = new Set<string>()
    const send = () => {
      if (open === batch) open = undefined
      return read([...keys])
    }
    const batch = { keys, values: turn().then(send), alone: new Map() }
    return batch
  }

  return async (key) => {
    if (open === undefined || open.keys.size >= MOST) open = begin()
    const { keys, values, alone } = open
    keys.add(key)
    try {
      return (await values).get(key)
    } catch (fault) {
      if (keys.size === 1 || !ofOne(fault)) throw fault
      if (!alone.has(key)) alone.set(key, read([key]))
      return (await alone.get(key)!).get(key)
    }
  }
}
