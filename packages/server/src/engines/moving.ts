/** Two databases between which sessions move, each table of them to that of the same name. */
import { isDeepStrictEqual } from 'node:util'
import { moving } from 'sojourn/store/moving'
import type { Config } from '../config.js'
import { NAMES } from '../place.js'
import type { Engine, EngineContext } from './engine.js'

/** Both as one. The databases stay open when it is closed: whoever opened them closes them. */
export function movingEngine(from: Engine, to: Engine, { clock }: Pick<EngineContext, 'clock'>): Engine {
  return {
    store: (table) => moving({ from: from.store(table), to: to.store(table), clock }),
    async ready() {
      await from.ready()
      await to.ready()
    },
    close: async () => {},
  }
}

/** Throws a `TypeError` where sessions cannot move so, or where accounts would stay behind unnoticed. */
export function checkMove({ store, storeFrom, accounts }: Pick<Config, 'store' | 'storeFrom' | 'accounts'>): void {
  if (!storeFrom) throw new TypeError('SOJOURN_STORE_FROM: say where sessions live until now')
  if (storeFrom.kind === 'memory' || store.kind === 'memory')
    throw new TypeError(
      'SOJOURN_STORE_FROM: what is in memory is in one process alone; nothing can move there or from it',
    )
  if (isDeepStrictEqual(storeFrom, store))
    throw new TypeError('SOJOURN_STORE_FROM: is where SOJOURN_STORE is; name the old place here and the new one there')
  if (accounts === undefined && (storeFrom.kind === 'postgres' || storeFrom.kind === 'mongodb'))
    throw new TypeError(
      `SOJOURN_ACCOUNTS: accounts are in ${NAMES[storeFrom.kind]}, with the sessions until now, and do not move; give its address here`,
    )
}
