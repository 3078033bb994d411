/** What must hold at this moment and between processes is kept in stores that can say so. */
import type { Store } from '../types.js'

/**
 * Refuses a store that cannot compare-and-set between processes, or that answers from copies. `who` and `option` name
 * what was configured.
 *
 * @throws TypeError on such a store.
 */
export function mustBeStrong(
  who: string,
  option: string,
  store: Pick<Store, 'staleness'> & { weak?: boolean | undefined },
): void {
  if (store.weak)
    throw new TypeError(
      `${who}: \`${option}\` is a weak store, which cannot compare-and-set between processes; choose another`,
    )
  if (store.staleness !== undefined)
    throw new TypeError(
      `${who}: \`${option}\` answers from copies, and this must be known at once; pass the store that is under it`,
    )
}
