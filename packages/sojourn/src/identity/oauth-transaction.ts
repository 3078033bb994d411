/**
 * A sign-in that is under way: kept in a cookie of the browser that began it, sealed, one for each. Ten tabs do not
 * disturb each other, and nothing is written on the server for a visitor who never comes back.
 */
import { cookieTemplate, readCookies } from '../cookies.js'
import { sha256 } from '../crypto/digest.js'
import { Sealer } from '../crypto/seal.js'
import type { Keyring } from '../types.js'

/** What was begun. */
export interface Transaction {
  readonly kind: 'login' | 'link' | 'step-up' | 'logout'
  readonly provider: string
  /** 256 random bits each. */
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly returnTo: string
  /** Epoch milliseconds. */
  readonly at: number
  /** The session that began it, by its handle; for `link` and `step-up`. */
  readonly session?: string | undefined
  readonly maxAge?: number | undefined
  readonly acrValues?: readonly string[] | undefined
}

/** How long a user may take at the provider, milliseconds. */
export const LONGEST = 600_000
/** Clocks of several servers may differ so much. */
const SKEW = 60_000
/** Sign-ins under way in one browser; one more pushes out the oldest. */
const MOST = 12
/** Bytes of them all: a server refuses a request whose headers are over 16 KB. */
const MOST_BYTES = 8_192

/** Keeps transactions in cookies. `secure`: whether the public origin is https. */
export class Transactions {
  readonly #sealer: Sealer
  readonly #prefix: string
  readonly #secure: boolean
  readonly #clock: () => number

  constructor(keys: Keyring, secure: boolean, clock: () => number) {
    this.#sealer = new Sealer(keys.derive('oauth transaction'), 'sojourn oauth transaction')
    this.#prefix = secure ? '__Host-Http-oauth-' : 'oauth-'
    this.#secure = secure
    this.#clock = clock
  }

  /** The `Set-Cookie` lines that keep a transaction, and drop those that are too many or too old. */
  keep(transaction: Transaction, request: Request): string[] {
    const now = this.#clock()
    const name = this.#nameOf(transaction.state)
    const value = this.#sealer.seal(JSON.stringify(transaction))
    const lines = [this.#template(name)(value, now + LONGEST, now)]
    let count = 1
    let bytes = name.length + value.length
    for (const other of this.#all(request)) {
      count++
      bytes += other.bytes
      if (other.at === undefined || count > MOST || bytes > MOST_BYTES) lines.push(this.#cleared(other.name))
    }
    return lines
  }

  /** The transaction of this state, if this browser began it; or why there is none. */
  find(state: string, request: Request): Transaction | 'absent' | 'expired' {
    const name = this.#nameOf(state)
    const values = [readCookies(request.headers.get('cookie') ?? undefined, name)].flat()
    for (const value of values) {
      const found = this.#open(value)
      if (found?.state !== state) continue
      return isLive(found.at, this.#clock()) ? found : 'expired'
    }
    return 'absent'
  }

  /** The `Set-Cookie` line that forgets it. */
  drop(state: string): string {
    return this.#cleared(this.#nameOf(state))
  }

  /** Newest first; what does not open, or is too old, last and without a time. */
  #all(request: Request): { name: string; bytes: number; at: number | undefined }[] {
    const now = this.#clock()
    const found = (request.headers.get('cookie') ?? '').split(';').flatMap((pair) => {
      const [name = '', value = ''] = pair.trim().split('=', 2)
      if (!name.startsWith(this.#prefix) || !/^[\w-]{16}$/.test(name.slice(this.#prefix.length))) return []
      const at = this.#open(value)?.at
      const live = at !== undefined && isLive(at, now)
      return [{ name, bytes: name.length + value.length, at: live ? at : undefined }]
    })
    return found.sort((a, b) => (b.at ?? 0) - (a.at ?? 0))
  }

  #open(value: string): Transaction | undefined {
    const opened = value === '' ? 'malformed' : this.#sealer.open(value)
    return typeof opened === 'string' ? undefined : (JSON.parse(opened.text) as Transaction)
  }

  /** The state is not in it: names of cookies are shown more freely than their values. */
  #nameOf(state: string): string {
    return this.#prefix + sha256(state).slice(0, 16)
  }

  #cleared(name: string): string {
    return this.#template(name)('', 0)
  }

  /** Lax: the provider's redirect is a request of another site, and must bring it. */
  #template(name: string): ReturnType<typeof cookieTemplate> {
    const secure = this.#secure
    const common = { domain: undefined, path: '/', httpOnly: true, partitioned: false, priority: undefined }
    return cookieTemplate(name, { ...common, secure, sameSite: 'lax' })
  }
}

function isLive(at: number, now: number): boolean {
  return now - at > -SKEW && now - at < LONGEST
}
