/** The keys that sign tokens for others: the first of a ring signs, the others are accepted until their time. */
import type { KeyObject } from 'node:crypto'
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

/** Checks the ring. Throws a `TypeError` for a key that is weak, of another kind than its algorithm, or there twice, under one algorithm or two. */
export function signingRing(keys: SigningKeys | SigningRing): SigningRing {
  if ('accepted' in keys) return keys
  const [first, ...others] = checked(keys)
  if (!first.key.private) throw new TypeError('signing keys: the first signs, and needs its private half')
  const ring = [{ ...first, until: FOREVER }, ...others]
  return { current: first.key, accepted: (now) => living(ring, now) }
}

/** The keys that others sign with: as a ring, but that none of them signs here. */
export function verifyingKeys(keys: SigningKeys): (now: number) => readonly SigningKey[] {
  const ring = checked(keys)
  return (now) => living(ring, now)
}

interface Entry {
  readonly key: SigningKey
  readonly until: number
}

function living(ring: readonly Entry[], now: number): SigningKey[] {
  return ring.filter(({ until }) => now < until).map(({ key }) => key)
}

function checked(keys: SigningKeys): [Entry, ...Entry[]] {
  const inputs = 'algorithm' in keys ? [keys] : keys
  const ring = inputs.map((input) => ({ key: importKey(input), until: lastDay(input) }))
  if (ring.length === 0) throw new TypeError('signing keys: the list is empty; give at least one')
  checkApart(ring.map(({ key }) => key))
  if (new Set(ring.map(({ key }) => key.id)).size < ring.length) {
    throw new TypeError('signing keys: two have the same id; drop one, or give it another `id`')
  }
  for (const { key } of ring) warnOf(key)
  return ring as [Entry, ...Entry[]]
}

/** One key, one algorithm, whatever it is called (JW-01): what is signed by one could pass for the other's. */
function checkApart(keys: readonly SigningKey[]): void {
  for (const [at, { algorithm, public: key }] of keys.entries()) {
    const same = keys.slice(0, at).find((other) => isSame(other.public, key))
    if (same?.algorithm === algorithm)
      throw new TypeError('signing keys: two are the same key; drop one, and keep the `id` that tokens name it by')
    if (same)
      throw new TypeError(
        `signing keys: one key is there for ${same.algorithm} and for ${algorithm}; make a key of its own for each`,
      )
  }
}

/** Of one kind first: node:crypto keeps the error of comparing two kinds, and throws it at whoever comes next. */
function isSame(a: KeyObject, b: KeyObject): boolean {
  return a.asymmetricKeyType === b.asymmetricKeyType && a.equals(b)
}

function warnOf({ public: key }: SigningKey): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 3072
  if (bits >= 3072) return
  process.emitWarning(`signing keys: RSA with ${bits} bits is below 128-bit security; use 3072 bits, or Ed25519`, {
    code: 'SOJOURN_WEAK_KEY',
  })
}

const FOREVER = Number.POSITIVE_INFINITY

function lastDay({ until = FOREVER }: SigningKeyInput): number {
  if (typeof until === 'number' && !Number.isNaN(until)) return until
  throw new TypeError('signing keys: `until` is a time in epoch milliseconds; give a number, or leave it out')
}
