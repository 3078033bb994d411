/** The keys that sign tokens for others: the first of a ring signs, the others are accepted until their time. */
import { importKey, type SigningKeyInput } from './import-key.js'
import type { SigningKey } from './jws.js'

/** The current key, or several: the first signs, the others are still accepted. */
export type SigningKeys = SigningKeyInput | readonly SigningKeyInput[]

/** A ring of checked keys. `rotatingKeys` makes one whose keys change while it is in use. */
export interface SigningRing {
  readonly current: SigningKey
  /** The current one, and those whose time has not come. */
  accepted(now: number): readonly SigningKey[]
}

/** Checks the ring. Throws a `TypeError` for a key that is weak, of another kind than its algorithm, or there twice. */
export function signingRing(keys: SigningKeys | SigningRing): SigningRing {
  if ('accepted' in keys) return keys
  const inputs = 'algorithm' in keys ? [keys] : keys
  const ring = inputs.map((input, i) => ({ key: importKey(input), until: i === 0 ? FOREVER : lastDay(input) }))
  const [first] = ring
  if (!first) throw new TypeError('signing keys: the list is empty; give at least one')
  if (!first.key.private) throw new TypeError('signing keys: the first signs, and needs its private half')
  if (new Set(ring.map(({ key }) => key.id)).size < ring.length) {
    throw new TypeError('signing keys: two have the same id; drop one, or give it another `id`')
  }
  return {
    current: first.key,
    accepted: (now) => ring.filter(({ until }) => now < until).map(({ key }) => key),
  }
}

const FOREVER = Number.POSITIVE_INFINITY

function lastDay({ until = FOREVER }: SigningKeyInput): number {
  if (typeof until === 'number' && !Number.isNaN(until)) return until
  throw new TypeError('signing keys: `until` is a time in epoch milliseconds; give a number, or leave it out')
}
