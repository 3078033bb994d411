/** A credential that travelled in one place and is to travel in another: read there for as long as clients have it. */
import type { Transport } from '../types.js'

/** Where credentials came so far, and where they go from now on. */
export interface MovedOptions {
  /** Where clients still have them, such as `cookie({ name: 'connect.sid', prefix: '' })`. */
  from: Transport
  /** Where they go: the first of the list. */
  to: Transport
}

/**
 * Reads `from`, and answers by `to`: what is given goes there, and what was at `from` is taken back. To be listed after
 * `to`, as in `transport: [session, moved({ from: old, to: session })]`.
 *
 * @throws TypeError when both are the same place.
 */
export function moved({ from, to }: MovedOptions): Transport {
  if (from.binding === to.binding)
    throw new TypeError('moved: `from` and `to` are the same place; name the place where credentials were before')
  return {
    ambient: from.ambient || to.ambient,
    exposed: from.exposed === true || to.exposed === true,
    binding: from.binding,
    capacity: to.capacity,
    read: (x) => from.read(x),
    write(x, carried, now) {
      // First the one that can fail: what cannot be written leaves the client with what it had.
      to.write(x, carried, now)
      from.clear(x)
    },
    clear: (x) => from.clear(x),
  }
}
