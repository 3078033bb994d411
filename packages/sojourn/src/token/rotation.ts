/**
 * A signing ring that renews itself. The schedule is in the keys: each says from when on it signs, and is made one whole
 * period before, so that everybody has seen it published by then. Nobody has to be told anything in time.
 */
import { generateKeyPair, generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { Awaitable } from '../types.js'
import { importKey } from './import-key.js'
import type { Algorithm, SigningKey } from './jws.js'
import type { SigningRing } from './signing-keys.js'

/** A key as it is kept. It holds the private half: whoever reads it signs as you do. */
export interface KeptKey {
  readonly id: string
  readonly algorithm: Algorithm
  readonly jwk: JsonWebKey
  /** Signs from then on, until a younger one does. Epoch milliseconds. */
  readonly from: number
}

/** The keys as they are kept, the youngest first. Plain JSON. */
export interface KeptKeys {
  /** 1, 2, 3 … grows by one with every change. */
  readonly version: number
  readonly keys: readonly KeptKey[]
}

/** Options of `rotatingKeys`. Times are milliseconds. */
export interface RotationOptions {
  /** Reads what was kept, from where only the server reads: a vault, or a table that is encrypted. */
  load: () => Awaitable<KeptKeys | undefined>
  /**
   * Keeps `next` in the place of version `was` (0: there was none), and says whether it did: `false` if another process
   * was faster.
   */
  save: (next: KeptKeys, was: number) => Awaitable<boolean>
  /** What new keys are for. Default `ES256`, which every library reads. */
  algorithm?: Algorithm
  /** How long each signs, an hour at least. Default 30 days. */
  every?: number
  /** How long each is accepted after that: no token may live longer. Default 30 days. */
  accept?: number
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A ring whose keys change while it is in use: for `keys` of `jwt`, of a token pair and of `jwksEndpoint`. */
export interface RotatingKeys extends SigningRing {
  /** Reads the keys again, and makes the next one if it is time. Done by itself, ten times in a period. */
  turn(): Promise<void>
  close(): void
}

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Starts a rotation. Throws what `load` and `save` throw, and a `TypeError` for keys that are none. */
export async function rotatingKeys(options: RotationOptions): Promise<RotatingKeys> {
  const { load, save, algorithm = 'ES256', every = 30 * DAY, accept = 30 * DAY, clock = Date.now } = options
  if (!(every >= HOUR && Number.isFinite(every)))
    throw new TypeError('rotatingKeys: `every` is at least an hour: those who verify look for new keys less often')
  if (!(accept >= 0)) throw new TypeError('rotatingKeys: `accept` is milliseconds, as long as a token may live')
  let ring: readonly { readonly from: number; readonly until: number; readonly key: SigningKey }[] = []

  const use = ({ keys }: KeptKeys) => {
    const known = new Map(ring.map(({ key }) => [key.id, key]))
    ring = keys.map((kept, i) => ({
      from: kept.from,
      until: i === 0 ? Number.POSITIVE_INFINITY : keys[i - 1]!.from + accept,
      key: known.get(kept.id) ?? importKey({ ...kept, key: kept.jwk }),
    }))
  }

  const turn = async () => {
    for (let round = 0; round < 8; round++) {
      const kept = (await load()) ?? { version: 0, keys: [] }
      const keys = await advanced(kept.keys, algorithm, every, accept, clock())
      const next = keys === kept.keys ? kept : { version: kept.version + 1, keys }
      if (next === kept || (await save(next, kept.version))) return use(next)
    }
    throw new Error('rotatingKeys: others were faster eight times; is `save` a compare-and-set?')
  }
  await turn()

  const timer = setInterval(
    () => {
      turn().catch(() => {
        process.emitWarning('rotatingKeys: the keys could not be read or kept; those at hand stay in use', {
          code: 'SOJOURN_ROTATION',
        })
      })
    },
    Math.min(every / 10, DAY),
  )
  timer.unref()

  return {
    get current() {
      const now = clock()
      return (ring.find(({ from }) => from <= now) ?? ring.at(-1)!).key
    },
    accepted: (now) => ring.filter(({ until }) => now < until).map(({ key }) => key),
    turn,
    close: () => clearInterval(timer),
  }
}

/** The keys as they should be: always one that is yet to sign, and none that nobody needs. The same where they are so. */
async function advanced(
  keys: readonly KeptKey[],
  algorithm: Algorithm,
  every: number,
  accept: number,
  now: number,
): Promise<readonly KeptKey[]> {
  const needed = keys.filter((_, i) => i === 0 || now < keys[i - 1]!.from + accept)
  const made: KeptKey[] = []
  if (needed.length === 0) made.unshift(await generated(algorithm, now))
  if (needed.length === 0 || needed[0]!.from <= now) made.unshift(await generated(algorithm, now + every))
  return made.length === 0 && needed.length === keys.length ? keys : [...made, ...needed]
}

const pair = promisify(generateKeyPair)

async function generated(algorithm: Algorithm, from: number): Promise<KeptKey> {
  const jwk = await secretJwk(algorithm)
  return { id: importKey({ algorithm, key: jwk }).id, algorithm, jwk, from }
}

async function secretJwk(algorithm: Algorithm): Promise<JsonWebKey> {
  switch (algorithm) {
    case 'HS256':
    case 'HS384':
    case 'HS512':
      return { kty: 'oct', k: randomBytes(64).toString('base64url') }
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    default:
      // Takes long enough to hold up the requests of others.
      return (await pair('rsa', { modulusLength: 3072 })).privateKey.export({ format: 'jwk' })
  }
}
