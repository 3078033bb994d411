/** What both processes are configured with: the same keys, the same store, the same bound. */
import { createSessions, jwt, opaque } from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { sqlite } from 'sojourn/store/sqlite'
import { revocations } from 'sojourn/token/revocation'
import { open } from '../servers/stores.mjs'
import { cuttable } from './cut.mjs'

/** One process of the fleet. */
export async function member(config) {
  const { keys, store } = config
  if (store === undefined) return tokens(config)
  const strategy = opaque({ store: copied(await open(store, { place: config.folder }), config) })
  return { sessions: createSessions({ keys, strategy }), cut: () => {} }
}

/** Sessions in tokens, which are honoured without a look-up. */
function tokens({ file, keys, within, push }) {
  const store = sqlite(file)
  const line = cuttable(push ? store : quiet(store))
  const strategy = jwt({
    issuer: 'https://id.shop.example',
    audience: 'https://shop.example',
    revocations: revocations({ store: line.store, within }),
  })
  return { sessions: createSessions({ keys, strategy }), cut: line.cut }
}

/** Sessions in a store, which is asked each time, or read from copies, with its push or without. */
function copied(store, { copies, within }) {
  if (copies === undefined) return store
  return cached(copies === 'pushed' ? store : quiet(store), { staleness: within })
}

/** The same store, which does not say what changes. */
function quiet(store) {
  return {
    get: (id) => store.get(id),
    set: (id, record, was) => store.set(id, record, was),
    delete: (id) => store.delete(id),
    list: (userId) => store.list(userId),
    endAll: (userId, except) => store.endAll(userId, except),
    close: () => store.close?.(),
  }
}
