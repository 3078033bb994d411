/**
 * Another issuer's public keys, from its JSON Web Key Set. What it costs us and it is bounded on every side: one request
 * at a time, none sooner than a while after the last, each with a limit of time and of size, and no redirect.
 */
import { Fault } from '../errors.js'
import type { Awaitable } from '../types.js'
import { importKey } from './import-key.js'
import { isObject } from './json.js'
import type { Algorithm, SigningKey } from './jws.js'

/** Options of `remoteJwks`. All are milliseconds. */
export interface RemoteJwksOptions {
  /** How long a set is used without asking again: a key that its issuer took back is honoured so long. Default 10 minutes. */
  maxAge?: number
  /** How long it is used after that where the issuer cannot be reached; then nothing is honoured. Default 1 hour. */
  staleFor?: number
  /** The least time between two requests, however many tokens name keys that nobody knows. Default 30 seconds. */
  coolDown?: number
  /** How long the issuer may take. Default 5 seconds. */
  timeout?: number
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** Keys that may have to be fetched. */
export interface RemoteJwks {
  /** The keys, among them the one of that id if there is one. Throws `ERR_STORE` where it cannot be told. */
  keysFor(id: string | undefined): Awaitable<readonly SigningKey[]>
}

const MOST_BYTES = 262_144
const MOST_KEYS = 100
const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]'])

/** The keys at `url`: https, or http on this very machine. Fetched when they are first needed. Throws a `TypeError`. */
export function remoteJwks(url: string | URL, options: RemoteJwksOptions = {}): RemoteJwks {
  return new Remote(checkUrl(url), options)
}

class Remote implements RemoteJwks {
  readonly #url: URL
  readonly #options: Required<RemoteJwksOptions>
  #keys: readonly SigningKey[] = []
  /** The same text is the same key: who remembers what it verified can tell that it is still there. */
  #imported = new Map<string, SigningKey | undefined>()
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #failure: Fault | undefined
  #fetching: Promise<void> | undefined

  constructor(url: URL, { maxAge = 600_000, staleFor = 3_600_000, coolDown = 30_000, ...rest }: RemoteJwksOptions) {
    this.#url = url
    this.#options = { maxAge, staleFor, coolDown, timeout: 5_000, clock: Date.now, ...rest }
  }

  keysFor(id: string | undefined): Awaitable<readonly SigningKey[]> {
    const { clock, maxAge, coolDown } = this.#options
    const now = clock()
    const known = id === undefined || this.#keys.some((key) => key.id === id)
    if (known && now - this.#fetchedAt <= maxAge) return this.#keys
    if (this.#fetching === undefined && now - this.#triedAt < coolDown) return this.#settle(known, now)
    const fetching = this.#fetch(now)
    // While the issuer fails, nobody waits for it whose key is at hand.
    if (known && this.#failure && this.#isUsable(now)) return this.#keys
    return fetching.then(() => this.#settle(id === undefined || this.#keys.some((key) => key.id === id), clock()))
  }

  /** What there is, without asking. That a key is unknown is certain only where the last answer was one. */
  #settle(known: boolean, now: number): readonly SigningKey[] {
    if (this.#isUsable(now) && (known || !this.#failure)) return this.#keys
    throw this.#failure ?? unreachable(undefined)
  }

  #isUsable(now: number): boolean {
    const { maxAge, staleFor } = this.#options
    return now - this.#fetchedAt <= maxAge + staleFor
  }

  #fetch(now: number): Promise<void> {
    if (this.#fetching) return this.#fetching
    this.#triedAt = now
    this.#fetching = this.#read()
      .then(
        (keys) => {
          this.#keys = keys
          this.#fetchedAt = now
          this.#failure = undefined
        },
        (cause) => {
          this.#failure = unreachable(cause)
        },
      )
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }

  async #read(): Promise<SigningKey[]> {
    const response = await fetch(this.#url, {
      redirect: 'error',
      signal: AbortSignal.timeout(this.#options.timeout),
      headers: { accept: 'application/jwk-set+json, application/json' },
    })
    const type = response.headers.get('content-type') ?? ''
    if (response.status !== 200 || !/^application\/(jwk-set\+)?json\b/i.test(type)) {
      await response.body?.cancel()
      throw new Error(`the answer was ${response.status} and of another type than a key set`)
    }
    const set: unknown = JSON.parse(await bounded(response))
    if (!isObject(set) || !Array.isArray(set.keys) || set.keys.length > MOST_KEYS) throw new Error('this is no key set')
    const imported = new Map(set.keys.map((jwk: unknown) => [JSON.stringify(jwk), jwk]))
    this.#imported = new Map(
      [...imported].map(([text, jwk]) => [text, this.#imported.has(text) ? this.#imported.get(text) : usable(jwk)]),
    )
    return [...this.#imported.values()].filter((key) => key !== undefined)
  }
}

/** A public signing key; what is anything else is passed over, as there may be keys in a set that are not for us. */
function usable(jwk: unknown): SigningKey | undefined {
  // A private half that everybody can read signs for nobody.
  if (!isObject(jwk) || jwk.d !== undefined || jwk.k !== undefined) return undefined
  const algorithm = algorithmOf(jwk)
  const { kid } = jwk
  if (!algorithm || (kid !== undefined && typeof kid !== 'string')) return undefined
  try {
    return importKey({ algorithm, key: jwk, ...(kid === undefined ? {} : { id: kid }) })
  } catch {
    return undefined
  }
}

/** What the key says, or else what its kind leaves no choice about; RSA without a word is RS256, as OpenID has it. */
function algorithmOf({ alg, kty, crv }: Record<string, unknown>): Algorithm | undefined {
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  if (kty === 'OKP' && crv === 'Ed25519') return 'Ed25519'
  if (kty !== 'RSA') return undefined
  return alg === 'PS256' ? 'PS256' : 'RS256'
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.length
    // Leaving the loop cancels the rest.
    if (size > MOST_BYTES) throw new Error(`the key set is over ${MOST_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

function unreachable(cause: unknown): Fault {
  return new Fault(
    'ERR_STORE',
    "the issuer's keys could not be fetched; its tokens can be neither honoured nor refused",
    {
      cause,
    },
  )
}

function checkUrl(url: string | URL): URL {
  if (!URL.canParse(String(url))) throw new TypeError('remoteJwks: this is no URL; give the one of the key set')
  const parsed = new URL(url)
  const secure = parsed.protocol === 'https:' || (parsed.protocol === 'http:' && LOCAL.has(parsed.hostname))
  if (!secure || parsed.username !== '' || parsed.password !== '') {
    throw new TypeError(
      "remoteJwks: keys that came over plain HTTP could be anybody's; give an https:// URL without user and password",
    )
  }
  return parsed
}
