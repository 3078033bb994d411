/**
 * Password hashes: argon2id as PHC strings, at the cost that OWASP recommends (PW-01), a bounded number at once (PW-07,
 * Each computes 19 MiB for some 10 ms on a thread of its own. Hashes that users bring from elsewhere are verified
 * too, and computed anew while the password is at hand, where they are weaker than ours (PW-06).
 */
import { createHash, createHmac, pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Events, type Listener } from '../events.js'
import { createKeyring, type Keys } from '../keys.js'
import type { Awaitable, DerivedKey } from '../types.js'
import { type Argon2Cost, type KeptHash, parseHash } from './password-formats.js'
import { createGate } from './password-gate.js'
import { isHashable, normalised } from './password-rules.js'

/** The part of `@node-rs/argon2` (and of `argon2`) that is used here. */
export interface Argon2 {
  hash(password: string, options: Argon2Cost): Promise<string>
  verify(hash: string, password: string): Promise<boolean>
}

/** The part of `bcryptjs`, `bcrypt` and `@node-rs/bcrypt` that is used here. */
export interface Bcrypt {
  compare(password: string, hash: string): Awaitable<boolean>
}

/** Options of `password`. */
export interface PasswordOptions {
  /**
   * Secrets that a stolen database lacks, current first: passwords are keyed with it before they are hashed (HMAC-SHA-256,
   * ASVS 11.4.2). A former one stays in the list until no hash names it: nothing but a login can compute one anew. Default none.
   */
  pepper?: Keys
  /** Default: the package `@node-rs/argon2`, which must be installed. */
  argon2?: Argon2
  /** For bcrypt hashes from elsewhere. Default: the package `bcryptjs`, looked for when the first such hash is met. */
  bcrypt?: Bcrypt
  /** Hashes that are computed at once. Default 2. */
  atOnce?: number
  /** Those that may wait for it; the next throws `ERR_BUSY`, which adapters answer with 503. Default 50. */
  waiting?: number
}

/** Hashes and checks passwords. Both throw a `Fault` (`ERR_BUSY`) when too many are waiting. */
export interface Passwords {
  /**
   * The text to keep. The salt is new with every call. Throws a `TypeError` for what cannot be hashed, all of it and
   * exactly: let `checkPassword` say so first.
   */
  hash(password: string): Promise<string>
  /**
   * Whether the password fits the kept text. Without one, because nobody has that name or that user has no password, it
   * computes just as long and says no. A text that is damaged or of no known form fits nothing, and is told as a fault.
   */
  verify(kept: string | null | undefined, password: string): Promise<boolean>
  /** The text was made in another way than today, or more cheaply: compute it anew while the password is at hand (PW-06). */
  isOutdated(kept: string): boolean
  /** Hears of kept texts that cannot be read: events `fault`, with the code `ERR_DATA`. Returns what stops it. */
  on(listener: Listener): () => void
}

const COST: Argon2Cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
/** bcrypt ends at this byte, and what follows would not be verified. */
const BCRYPT_BYTES = 72

/** A text to keep, and the pepper that it names. */
interface Kept {
  readonly hash: KeptHash
  readonly pepper: DerivedKey | undefined
}

/** Password hashing, behind a gate. Throws a `TypeError` for a pepper that can be guessed. */
export function password(options: PasswordOptions = {}): Passwords {
  const gate = createGate(options.atOnce ?? 2, options.waiting ?? 50)
  const peppers = options.pepper === undefined ? [] : createKeyring(options.pepper).derive('password pepper')
  const [pepper] = peppers
  const events = new Events(Date.now)
  const engine = prepare(options.argon2)
  // Whoever hashes first is told of what is missing; nobody else must be.
  engine.catch(() => {})
  let bcrypt = options.bcrypt

  const read = (kept: string): Kept | undefined => {
    if (typeof kept !== 'string') return undefined
    const [, id, rest = kept] = /^\$pepper\$([A-Za-z0-9]{1,16})(\$argon2.*)$/.exec(kept) ?? []
    const hash = parseHash(rest)
    const named = peppers.find((key) => key.id === id)
    return hash && (id === undefined || named) ? { hash, pepper: named } : undefined
  }

  const fits = async ({ hash, pepper }: Kept, password: string, argon2: Argon2): Promise<boolean> => {
    if (hash.scheme === 'argon2') return fitsArgon2(argon2, hash.text, password, pepper)
    if (hash.scheme !== 'bcrypt') return sameSum(hash, password)
    return bcrypt!.compare(hash.before === 'sha256' ? sha256Hex(password) : password, hash.text)
  }

  return {
    hash: async (password) => {
      if (!isHashable(password))
        throw new TypeError('password: this cannot be hashed, all of it and exactly; let checkPassword say so first')
      const { argon2 } = await engine
      const hash = await gate(() => argon2.hash(seasoned(normalised(password), pepper), COST))
      return pepper ? `$pepper$${pepper.id}${hash}` : hash
    },

    verify: async (kept, password) => {
      const { argon2, nobody } = await engine
      return gate(async () => {
        const known = kept === undefined || kept === null ? undefined : read(kept)
        if (known && isVerifiable(known.hash, password)) {
          if (known.hash.scheme === 'bcrypt') bcrypt ??= await loadBcrypt()
          try {
            return await fits(known, password, argon2)
          } catch {
            // Of the right form, and still not what its library can read.
            events.emit(UNREADABLE)
            return false
          }
        }
        if (!known && kept !== undefined && kept !== null) events.emit(UNREADABLE)
        // What never can have been set fits nobody; a stand-in for it keeps the time equal.
        await fitsArgon2(argon2, nobody, isHashable(password) ? password : '', pepper)
        return false
      })
    },

    isOutdated: (kept) => {
      const known = read(kept)
      if (known?.hash.scheme !== 'argon2' || known.hash.id !== 'argon2id' || known.pepper !== pepper) return true
      // What costs a thief more stays: fewer passes make up for it where there is more memory in each.
      const { memoryCost, timeCost } = known.hash.cost
      return memoryCost < COST.memoryCost || memoryCost * timeCost < COST.memoryCost * COST.timeCost
    },

    on: (listener) => events.on(listener),
  }
}

const UNREADABLE = {
  type: 'fault',
  code: 'ERR_DATA',
  message:
    'a kept password hash is damaged, of no known form, too costly to verify, or made with a pepper that is not in the list; it fits no password',
} as const

/** Made here and not written down: a constant in the source could be known to fit some password. */
async function prepare(given: Argon2 | undefined): Promise<{ argon2: Argon2; nobody: string }> {
  const argon2 = given ?? (await loadArgon2())
  return { argon2, nobody: await argon2.hash(randomBytes(32).toString('base64url'), COST) }
}

async function loadArgon2(): Promise<Argon2> {
  try {
    return await import('@node-rs/argon2')
  } catch (cause) {
    throw new Error('password: `npm install @node-rs/argon2@2`, or hand one in as `argon2`', { cause })
  }
}

async function loadBcrypt(): Promise<Bcrypt> {
  try {
    const { default: bcrypt } = await import('bcryptjs')
    return bcrypt
  } catch (cause) {
    throw new Error('password: a bcrypt hash was met; `npm install bcryptjs@3`, or hand a library in as `bcrypt`', {
      cause,
    })
  }
}

/** All of it, or none: bcrypt would pass over what follows 72 bytes, and some of its libraries what follows a NUL. */
function isVerifiable(hash: KeptHash, password: string): boolean {
  if (!isHashable(password)) return false
  const whole = hash.scheme !== 'bcrypt' || hash.before !== 'nothing'
  return whole || (Buffer.byteLength(password) <= BCRYPT_BYTES && !password.includes('\0'))
}

/**
 * Ours are of normalised text, those of others of what was received: both are tried where the two differ, which they do in few
 * passwords, and for a name that nobody has as for any other.
 */
async function fitsArgon2(
  argon2: Argon2,
  kept: string,
  password: string,
  pepper: DerivedKey | undefined,
): Promise<boolean> {
  for (const text of new Set([normalised(password), password])) {
    if (await argon2.verify(kept, seasoned(text, pepper))) return true
  }
  return false
}

function seasoned(text: string, pepper: DerivedKey | undefined): string {
  return pepper ? createHmac('sha256', pepper.key).update(text).digest('base64url') : text
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

type Summed = Extract<KeptHash, { sum: unknown }>

const scryptLater = promisify<string, Uint8Array, number, object, Buffer>(scrypt)
const pbkdf2Later = promisify(pbkdf2)

async function sameSum(hash: Summed, password: string): Promise<boolean> {
  const { salt, digest } = hash.sum
  const computed =
    hash.scheme === 'scrypt'
      ? await scryptLater(password, salt, digest.length, { N: hash.N, r: hash.r, p: hash.p, maxmem: 2 ** 30 })
      : await pbkdf2Later(password, salt, hash.iterations, digest.length, hash.algorithm)
  return timingSafeEqual(computed, digest)
}
