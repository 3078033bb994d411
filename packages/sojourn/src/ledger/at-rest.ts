/**
 * Records encrypted at rest, by choice: with the server's keys, so that a stolen database tells nothing; or with a key
 * that only the credential holds, so that the operator's keys do not open it either. AES-256-GCM in both.
 *
 * What is sealed belongs to one version of one record: an operator who swaps the data of two sessions, brings back what
 * was there before, or makes a record another user's, gets a record that nobody honours. In clear stay the user, the
 * times and the version, by which a store lists, ends and expires.
 */
import { then } from '../awaitable.js'
import type { HolderKey } from '../crypto/holder-key.js'
import { Sealer } from '../crypto/seal.js'
import type { Awaitable, Device, Keyring, SessionRecord, Store } from '../types.js'
import { isSealed, SEALED } from './lifetime.js'

/** With what records are encrypted: the server's keys, or what only the credential holds. */
export type Encrypt = 'keys' | 'credential'

const BY_KEYS = `${SEALED}k`
const BY_CREDENTIAL = `${SEALED}c`

/** Seals records on their way to a store, and opens them on their way back, in whichever way they are kept. */
export class AtRest {
  readonly #encrypt: Encrypt | undefined
  readonly #sealer: Sealer

  constructor(encrypt: Encrypt | undefined, keys: Keyring) {
    this.#encrypt = encrypt
    this.#sealer = new Sealer(keys.derive('record at rest'), 'sojourn record')
  }

  /** `store` as the ledger sees it. `keys`, by id: what there is to open and seal with. */
  over(store: Store, keys: ReadonlyMap<string, HolderKey | undefined>): Store {
    const open = (id: string, found: Awaitable<SessionRecord | undefined>) =>
      then(found, (record) => record && this.open(id, record, keys.get(id)))
    return {
      get: (id) => open(id, store.get(id)),
      set: (id, record, was) => store.set(id, this.#seal(id, record, keys.get(id)), was),
      delete: (id) => store.delete(id),
      ...(store.fresh && { fresh: (id) => open(id, store.fresh!(id)) }),
      ...(store.list && { list: (userId) => store.list!(userId) }),
    }
  }

  /** The record in clear. What does not open stays sealed, and is honoured by nobody. */
  open(id: string, record: SessionRecord, key: HolderKey | undefined): SessionRecord {
    if (!isSealed(record)) return record
    const way = record.data.slice(0, 2)
    const sealer = way === BY_KEYS ? this.#sealer : way === BY_CREDENTIAL ? key?.sealer : undefined
    const opened = sealer?.open(record.data.slice(2), belonging(id, record))
    if (opened === undefined || typeof opened === 'string') return record
    const device = () => this.#device(id, record)
    return {
      ...record,
      data: opened.text,
      // Opened when it is asked for, which few requests do.
      get device() {
        return device()
      },
    }
  }

  /** The record for those who look at everything but its data: the device in clear, whoever holds the data's key. */
  shown(id: string, record: SessionRecord): SessionRecord {
    return isSealed(record) ? { ...shown(record), device: this.#device(id, record) } : record
  }

  #device(id: string, { device }: SessionRecord): Device | undefined {
    const sealed = device?.userAgent
    if (!sealed?.startsWith(BY_KEYS)) return undefined
    const opened = this.#sealer.open(sealed.slice(2), ofDevice(id))
    return typeof opened === 'string' ? undefined : (JSON.parse(opened.text) as Device)
  }

  #seal(id: string, record: SessionRecord, key: HolderKey | undefined): SessionRecord {
    // The mark of a replaced record says nothing; what is sealed is on its way out.
    if (this.#encrypt === undefined || record.data === '' || isSealed(record)) return record
    // Written to end a session, by somebody who may not have its key: a store keeps nothing of it.
    if (record.expiresAt === 0) return { ...record, data: SEALED, device: undefined }
    const about = belonging(id, record)
    const data =
      this.#encrypt === 'keys'
        ? BY_KEYS + this.#sealer.seal(record.data, about)
        : BY_CREDENTIAL + key!.sealer.seal(record.data, about)
    const device = record.device && {
      userAgent: BY_KEYS + this.#sealer.seal(JSON.stringify(record.device), ofDevice(id)),
    }
    return { ...record, data, device }
  }
}

/** A record for those who ask whether it holds. */
export function shown(record: SessionRecord): SessionRecord {
  return isSealed(record) ? { ...record, data: '-' } : record
}

/** What the data of a record belongs to: none of it can be altered without the data being lost. */
function belonging(id: string, { userId, createdAt, authenticatedAt, persistent, version }: SessionRecord): string {
  return JSON.stringify([id, userId ?? null, createdAt, authenticatedAt ?? null, persistent === true, version])
}

/** A device may be shown without the data, so it is sealed apart. */
function ofDevice(id: string): string {
  return `device of ${id}`
}
