/** What both processes are configured with: the same keys, the same file, the same bound. */
import { createSessions, jwt } from 'sojourn'
import { sqlite } from 'sojourn/store/sqlite'
import { revocations } from 'sojourn/token/revocation'
import { cuttable } from './cut.mjs'
import { pushed } from './pushed.mjs'

/** One process of the fleet. `peer` is the other, which is told where `push` says so. */
export function member({ file, keys, within, push }, peer) {
  const line = cuttable(sqlite(file))
  const store = push ? pushed(line.store, peer) : line.store
  const strategy = jwt({
    issuer: 'https://id.shop.example',
    audience: 'https://shop.example',
    revocations: revocations({ store, within }),
  })
  return { sessions: createSessions({ keys, strategy }), cut: line.cut }
}
