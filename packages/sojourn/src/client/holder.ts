/** Holds the credential of one tab in step with the others: taken at a login, renewed by one of them, gone at a logout. */
import { alone } from './alone.js'
import { type Credential, same } from './credential.js'
import { type Endpoint, renewed, revoked } from './endpoint.js'
import { openWith, sealFor } from './handover.js'
import { type Keep, keepIn, type Storing } from './keep.js'
import { joinTabs, type Message, type Tabs } from './tabs.js'

/** What happened to the login, in this tab or in another. */
export type ClientEvent = 'login' | 'logout'

/** What a holder is made of. */
export interface HolderOptions {
  readonly name: string
  readonly storage: Storing
  readonly refresh: Endpoint | undefined
  readonly revoke: Endpoint | undefined
  readonly tell: (event: ClientEvent) => void
}

/** After a renewal that failed while the old credential was still good: milliseconds until the next one. */
const BREATHER = 5_000
/**
 * What one tab writes or says, another may see later than the lock's end. So a turn lasts a little longer than its work,
 * for those who are about to ask; and whoever had to wait for it looks for so long, so often. Milliseconds.
 */
const LINGER = 200
const ARRIVAL = 500
const LOOK = 10

/** The credential of one client. */
export class Holder {
  readonly #options: HolderOptions
  readonly #keep: Keep
  readonly #tabs: Tabs
  /** No credential is taken whose login began by then. */
  #endedAt = 0
  /** The refresh cookie was asked, and opens nothing until there is a login. */
  #guest = false
  #renewing: Promise<Credential | undefined> | undefined
  #notBefore = 0

  constructor(options: HolderOptions) {
    this.#options = options
    this.#keep = keepIn(options.storage, options.name)
    this.#tabs = joinTabs(`sojourn:${options.name}`, (message) => this.#hear(message))
  }

  /** What is held now, as it is. */
  get held(): Credential | undefined {
    return this.#keep.get()
  }

  /** What to send a request with: renewed in the background while the old one is still good, awaited when it is not. */
  async usable(): Promise<Credential | undefined> {
    const held = this.held
    if (!this.canRenew(held)) return held
    const now = Date.now()
    if (held && now < held.renewAt!) return held
    if (!held || now >= held.expiresAt!) return this.renew(held)
    if (now >= this.#notBefore) this.renew(held).catch(() => {})
    return held
  }

  /** Whether the refresh endpoint may have a successor to this, or a first one. */
  canRenew(held: Credential | undefined): boolean {
    const { refresh } = this.#options
    if (!refresh) return false
    if (!held) return refresh.cookie && !this.#guest
    return held.expiresAt !== undefined && (refresh.cookie || held.refresh !== undefined)
  }

  /**
   * The successor of `was`: made by the first tab that asks, and found by the others. `undefined` when the login is over.
   * Throws a `RenewalError` when the server gave no answer.
   */
  renew(was: Credential | undefined): Promise<Credential | undefined> {
    this.#renewing ??= this.#inTurn(was).finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  #inTurn(was: Credential | undefined): Promise<Credential | undefined> {
    return new Promise((resolve, reject) => {
      const turn = async (waited: boolean): Promise<void> => {
        for (let time = 0; waited && time < ARRIVAL && same(this.held, was); time += LOOK) await pause(LOOK)
        const held = this.held
        const next = await this.#renew(was, held)
        resolve(next)
        if (same(was, held) && !same(next, held)) await pause(LINGER)
      }
      alone(`sojourn:${this.#options.name}`, turn).catch(reject)
    })
  }

  async #renew(was: Credential | undefined, held: Credential | undefined): Promise<Credential | undefined> {
    // Renewed by another tab; or logged out, and then there is nothing to renew.
    if (!same(held, was) || !this.canRenew(held)) return held
    let next: Credential | undefined
    try {
      next = await renewed(this.#options.refresh!, held)
    } catch (error) {
      this.#notBefore = Date.now() + BREATHER
      throw error
    }
    if (next) await this.#succeed(held, next)
    else this.#over(held)
    return this.held
  }

  async #succeed(held: Credential | undefined, next: Credential): Promise<void> {
    if (!this.replace(held, next)) return
    const at = next.since
    if (this.#options.refresh?.cookie) this.#tabs.tell({ kind: 'renewed', at, credential: next })
    else if (this.#options.storage === 'sessionStorage' && held)
      this.#tabs.tell({ kind: 'renewed', at, sealed: await sealFor(held, next) })
  }

  /** The server says that the login is over. It may have answered late, and a newer one be held. */
  #over(held: Credential | undefined): void {
    this.#guest = true
    if (!held || !this.replace(held, undefined)) return
    if (this.#shared) this.#tabs.tell({ kind: 'logout', at: held.since })
    this.#options.tell('logout')
  }

  /** Takes `next` in place of `was`, unless something else is held by now or a logout came between. */
  replace(was: Credential | undefined, next: Credential | undefined): boolean {
    if (!same(this.held, was) || (next && next.since <= this.#endedAt)) return false
    this.#keep.set(next)
    return true
  }

  /** When a login that begins now began. */
  begin(): number {
    return Math.max(Date.now(), this.#endedAt + 1)
  }

  /** A login succeeded: its credential takes the place of any other, unless a logout came after it had begun. */
  login(next: Credential): void {
    const { refresh, revoke, tell } = this.#options
    if (next.since <= this.#endedAt) {
      if (revoke) void revoked(revoke, next)
      return
    }
    const was = this.held
    this.#keep.set(next)
    this.#guest = false
    this.#tabs.tell({ kind: 'login', at: next.since, credential: refresh?.cookie ? next : undefined })
    tell('login')
    // The login that was held until now: nobody could end it later.
    if (revoke && !revoke.cookie && was?.expiresAt !== undefined) void revoked(revoke, was)
  }

  /** Forgets at once, here and in the other tabs; then tells the server, and answers whether that succeeded. */
  async logout(): Promise<boolean> {
    const { revoke } = this.#options
    const at = Date.now()
    const held = this.held
    this.#forget(at)
    this.#tabs.tell({ kind: 'logout', at })
    return revoke ? revoked(revoke, held) : held === undefined
  }

  /** The server took the credential back. */
  taken(was: Credential): void {
    this.#over(was)
  }

  close(): void {
    this.#tabs.close()
  }

  /** Whether the other tabs have the same login as this one, and not one each. */
  get #shared(): boolean {
    return this.#options.storage === 'localStorage' || this.#options.refresh?.cookie === true
  }

  #forget(at: number): void {
    this.#endedAt = Math.max(this.#endedAt, at)
    this.#guest = true
    this.#keep.set(undefined)
    this.#options.tell('logout')
  }

  #hear({ kind, at, credential, sealed }: Message): void {
    const { refresh, revoke, storage, tell } = this.#options
    const held = this.held
    if (kind === 'logout') {
      // A login that begins later than now began before the clock was put right, and nobody knows when.
      if (held && held.since > at && held.since <= Date.now()) return
      this.#forget(at)
      // A login of this tab's own: nobody else can end it.
      if (held && revoke && !this.#shared) void revoked(revoke, held)
      return
    }
    // What comes late, from before a logout or another login, changes nothing.
    if (at <= this.#endedAt || (held && this.#shared && at < held.since)) return
    this.#guest = false
    if (credential && refresh?.cookie) this.#keep.set(credential)
    else if (sealed && held && storage === 'sessionStorage') {
      void openWith(held, sealed).then((next) => next && this.replace(held, next))
    }
    if (kind === 'login') tell('login')
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
