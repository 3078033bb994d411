import { memory } from 'sojourn/store/memory'
import { revocations } from 'sojourn/token/revocation'

/** Revocations in which a thousand other sessions were ended already, as on a server that has been up for a while. */
export function ended() {
  const list = revocations({ store: memory() })
  const tomorrow = Date.now() + 24 * 60 * 60_000
  for (let n = 0; n < 1000; n++) list.end(`ended-${n}`, tomorrow)
  return list
}
