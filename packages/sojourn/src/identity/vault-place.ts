/** Where one connection is kept: as a row of its own in a store, or in the session itself. */
import type { Changes } from '../changes.js'
import { SessionCommittedError } from '../errors.js'
import { type Entry, type Envelope, isUsable, type Kept } from './vault-entry.js'
import type { Refresh, Renewal, Renewals } from './vault-renewal.js'
import type { Shelf, StoredShelf } from './vault-shelf.js'

/** Where the tokens of one owner and provider are. */
export interface Place {
  /** What is there now. One store call where it is a row, none where the session carries it. */
  current(): Promise<Entry | undefined>
  /** As `Renewals.renew`, and what came of it is where this was. */
  renew(entry: Entry, refresh: Refresh, failing: string | undefined): Promise<Renewal>
  /** Where the newest state of it can be read and ended; `undefined` where there is none. */
  shelf(): Shelf | undefined
  keep(entry: Entry): Promise<void>
  /** Takes it away here, whatever it is. */
  clear(): Promise<void>
}

/** A row of its own. */
export class StoredPlace implements Place {
  readonly #shelf: StoredShelf
  readonly #renewals: Renewals
  /** Rows that end sooner are written anew, so that they outlive their session. Epoch milliseconds. */
  readonly #until: number

  constructor(shelf: StoredShelf, renewals: Renewals, until: number) {
    this.#shelf = shelf
    this.#renewals = renewals
    this.#until = until
  }

  async current(): Promise<Entry | undefined> {
    const row = await this.#shelf.read()
    if (row === undefined || row === 'unreadable') return undefined
    // Under the current key, and for as long as it is needed. Where somebody was faster, they have done it.
    if (!row.current || row.expiresAt < this.#until) await this.#shelf.write(row.entry, row.version)
    return row.entry
  }

  renew(_: Entry, refresh: Refresh, failing: string | undefined): Promise<Renewal> {
    return this.#renewals.renew(this.#shelf, refresh, failing)
  }

  shelf(): Shelf {
    return this.#shelf
  }

  keep(entry: Entry): Promise<void> {
    return this.#shelf.put(entry)
  }

  clear(): Promise<void> {
    return this.#shelf.clear()
  }
}

/** How a session carries a connection. */
export interface Carrier {
  readonly provider: string
  /** What the session holds for vaults; with a word for what is about to change it, throws when it is too late for that. */
  slot(what?: string): Changes
  readonly envelope: Envelope
  /** Where renewals of what is carried meet. */
  handover(kept: Kept): Shelf
  readonly renewals: Renewals
  readonly clock: () => number
}

/** In the session, as a sealed text. */
export class CarriedPlace implements Place {
  readonly #carrier: Carrier

  constructor(carrier: Carrier) {
    this.#carrier = carrier
  }

  async current(): Promise<Entry | undefined> {
    const kept = this.#kept()
    if (kept && !kept.current) this.#reseal(kept)
    return kept?.entry
  }

  async renew(entry: Entry, refresh: Refresh, failing: string | undefined): Promise<Renewal> {
    const { provider, slot, envelope, handover, renewals, clock } = this.#carrier
    try {
      slot('renewing a provider’s token')
    } catch (late) {
      // The headers have left, and what a renewal brings could not be kept.
      if (failing === undefined && isUsable(entry, clock())) return { kind: 'fresh', entry }
      throw late
    }
    const text = this.#text()
    const kept = this.#kept()
    if (kept === undefined) return { kind: 'over', why: 'absent' }
    const renewal = await renewals.renew(handover(kept), refresh, failing)
    if (renewal.kind === 'unavailable') return renewal
    const next = renewal.kind === 'fresh' ? envelope.seal(plain(renewal.entry)) : undefined
    if (renewal.kind === 'over' || renewal.entry.tokens.accessToken !== kept.entry.tokens.accessToken) {
      // A request that came to know of a later one has written it already.
      slot().update(provider, (was) => (was === text ? next : was))
    }
    return renewal
  }

  shelf(): Shelf | undefined {
    const kept = this.#kept()
    return kept && this.#carrier.handover(kept)
  }

  async keep(entry: Entry): Promise<void> {
    const { provider, slot, envelope } = this.#carrier
    slot().assign(provider, envelope.seal(entry))
  }

  async clear(): Promise<void> {
    if (this.#text() !== undefined) this.#carrier.slot().remove(this.#carrier.provider)
  }

  #reseal({ entry }: Kept): void {
    const { provider, slot, envelope } = this.#carrier
    const text = this.#text()
    try {
      slot().update(provider, (was) => (was === text ? envelope.seal(entry) : was))
    } catch (fault) {
      // Where the headers have left, another request does it.
      if (!(fault instanceof SessionCommittedError)) throw fault
    }
  }

  #text(): unknown {
    return this.#carrier.slot().view[this.#carrier.provider]
  }

  #kept(): Kept | undefined {
    return this.#carrier.envelope.open(this.#text(), this.#carrier.provider)
  }
}

/** Without what concerns a renewal alone. */
function plain({ tokens, connectedAt, obtainedAt }: Entry): Entry {
  return { tokens, connectedAt, obtainedAt }
}
