/**
 * Stateful sessions: the credential is a random identifier signed with the secret key, the record is in a store under a
 * hash of it. A forged identifier costs no store call; a stolen database opens nothing (A-05, A-10, ASVS 7.2.3).
 */
import { collect, type Flow, isPromise, run, then } from '../awaitable.js'
import { hmac, sameDigest, sha256 } from '../crypto/digest.js'
import { HolderKey } from '../crypto/holder-key.js'
import { randomText } from '../crypto/random.js'
import { Recent } from '../crypto/recent.js'
import { AtRest, type Encrypt, shown } from '../ledger/at-rest.js'
import { Ledger } from '../ledger/ledger.js'
import { judge } from '../ledger/lifetime.js'
import { type Ask, patience } from '../patience.js'
import type {
  Awaitable,
  DerivedKey,
  Draft,
  Minted,
  Outcome,
  Refusal,
  SessionRecord,
  State,
  Store,
  Strategy,
  StrategyContext,
  StrategyFactory,
  UserStore,
  WeakStore,
} from '../types.js'

export type { Encrypt } from '../ledger/at-rest.js'

/** Say this with a weak store: of two processes that write a session at once, one may undo what the other did. */
export const acceptLostUpdates: unique symbol = Symbol('processes may undo what others wrote, a logout too')

/** Options of `opaque`. A weak store, such as one of express-session, is taken by those who say what that means. */
export type OpaqueOptions = EncryptOption &
  (
    | {
        /** Where the records live: `memory()`, `sqlite('sessions.db')`, … */
        store: Store
        weak?: undefined
      }
    | { store: WeakStore; weak: typeof acceptLostUpdates }
  )

interface EncryptOption {
  /**
   * Encrypts the data and the device of each record: with the server's `keys`, or the data with what only the
   * `credential` holds, so that whoever has the store and the keys cannot read it either. Default: neither.
   * Records that are kept otherwise are read all the same, and rewritten when they are next written to.
   */
  encrypt?: Encrypt
}

/** 256 random bits. */
const ID_BYTES = 32
/** The identifier and its signature, 32 bytes each, as base64url. */
const PART = 43
/** What `sha256` gives. Handles come back from clients: nothing else gets as far as a store. */
const HANDLE = /^[\w-]{43}$/
/** A key id, and the two parts, each after a dot. */
const LONGEST = 16 + 2 * (1 + PART)

/**
 * Keeps sessions in `store`, and a signed random identifier in the client: `<key id>.<identifier>.<signature>`.
 * Store calls: read 1, write 2, login 1 to 3, logout 2; none for a forged identifier or a visitor whom nobody wrote about.
 */
export function opaque(options: OpaqueOptions): StrategyFactory {
  // A weak store has the same verbs, and promises less of them.
  const store = options.store as Store
  const { encrypt } = options
  if (typeof store?.get !== 'function' || typeof store.set !== 'function' || typeof store.delete !== 'function') {
    throw new TypeError(
      'opaque: `store` must have get, set and delete; pass one, such as memory() from sojourn/store/memory',
    )
  }
  if (options.store.weak && options.weak !== acceptLostUpdates) {
    throw new TypeError(
      'opaque: `store` is a weak one, which cannot compare-and-set between processes; choose another, or pass `weak: acceptLostUpdates` to say that this is accepted',
    )
  }
  if (encrypt !== undefined && encrypt !== 'keys' && encrypt !== 'credential')
    throw new TypeError("opaque: `encrypt` says with what: 'keys' or 'credential'; leave it out to keep data readable")
  return (context) => {
    if (context.limit && !knowsUsers(store)) {
      throw new TypeError(
        "opaque: `limit` needs a store that knows a user's sessions (list and endAll); choose another store or drop the limit",
      )
    }
    return new Opaque(store, encrypt, context)
  }
}

function knowsUsers(store: Store): store is UserStore {
  return store.list !== undefined && store.endAll !== undefined
}

/** What a well-signed credential stands for. */
interface Known {
  readonly id: string
  readonly reissue: string | undefined
  readonly key: HolderKey
}

class Opaque implements Strategy {
  readonly byReference = true
  readonly list?: (userId: string) => Awaitable<State[]>
  readonly endAll?: (userId: string, except?: string) => Awaitable<number>
  readonly fresh?: (state: State) => Awaitable<boolean>
  readonly #store: Store
  readonly #context: StrategyContext
  readonly #keys: readonly [DerivedKey, ...DerivedKey[]]
  readonly #ask: Ask = patience()
  readonly #rest: AtRest
  /** For what is known by its handle alone. */
  readonly #ledger: Ledger
  readonly #recent = new Recent<Known>()

  constructor(store: Store, encrypt: Encrypt | undefined, context: StrategyContext) {
    this.#store = store
    this.#context = context
    this.#keys = context.keys.derive('opaque identifier')
    this.#rest = new AtRest(encrypt, context.keys)
    this.#ledger = this.#ledgerOf(undefined, undefined)
    if (store.fresh)
      this.fresh = ({ id }) =>
        then(
          this.#ask(() => store.fresh!(id)),
          (record) => typeof judge(id, record && shown(record), context.clock(), context) !== 'string',
        )
    if (!knowsUsers(store)) return
    this.list = (userId) =>
      then(
        this.#ask(() => collect(store.list(userId))),
        (found) => this.#living(found),
      )
    this.endAll = (userId, except) => this.#ask(() => store.endAll(userId, except))
  }

  open(credential: string, now: number): Awaitable<State | Refusal> {
    const known = this.#recent.get(credential) ?? this.#verify(credential)
    if (typeof known === 'string') return known
    // Not by `then`, for which each request would make a function, also where nothing waits.
    const record = this.#ask(() => this.#store.get(known.id))
    return isPromise(record) ? this.#judgeLater(known, record, now) : this.#judge(known, record, now)
  }

  async #judgeLater(known: Known, record: Promise<SessionRecord | undefined>, now: number): Promise<State | Refusal> {
    return this.#judge(known, await record, now)
  }

  #judge({ id, key, reissue }: Known, record: SessionRecord | undefined, now: number): State | Refusal {
    const state = judge(id, record && this.#rest.open(id, record, key), now, this.#context)
    return typeof state === 'string' ? state : { id, record: state.record, due: state.due, reissue, key }
  }

  mint(): Minted {
    const identifier = randomText(ID_BYTES)
    return { id: sha256(identifier), credential: this.#sign(identifier) }
  }

  commit(draft: Draft, now: number): Awaitable<Outcome> {
    const { state, intent, changed } = draft
    if (intent === 'keep' && !changed && !state?.due && !state?.reissue) return { kind: 'keep' }
    const ours = withMintedHere(draft)
    return run(this.#flow(this.#ledgerOf(state, ours.minted), ours, now))
  }

  adopt(draft: Draft, state: State, now: number): Awaitable<Outcome> {
    const ours = withMintedHere(draft)
    return run(this.#ledgerOf(undefined, ours.minted).adopt(ours, state, now))
  }

  release(state: State, now: number): Awaitable<boolean> {
    return this.#ledger.release(state, now)
  }

  #flow(ledger: Ledger, draft: Draft, now: number): Flow<Outcome> {
    const { state, intent, userId } = draft
    if (intent === 'login') return ledger.login(draft, userId!, now)
    if (intent === 'logout') return ledger.logout(draft, now)
    if (!state) return ledger.create(draft, now)
    return intent === 'rotate' ? ledger.rotate(draft, state, now) : ledger.write(draft, state, now)
  }

  /** A ledger that can open and seal what one request opens and makes. */
  #ledgerOf(state: State | undefined, minted: Minted | undefined): Ledger {
    const keys = new Map<string, HolderKey | undefined>()
    const know = (minted: Minted) => {
      keys.set(minted.id, new HolderKey(identifierIn(minted.credential)))
      return minted
    }
    if (state) keys.set(state.id, state.key)
    if (minted) know(minted)
    return new Ledger(this.#rest.over(this.#store, keys), this.#ask, this.#context, () => know(this.mint()))
  }

  /** Two dots, the second of them where a signature of 43 characters begins. */
  owns(credential: string): boolean {
    const dot = credential.indexOf('.')
    return dot > 0 && credential.length === dot + 2 + 2 * PART && credential[dot + 1 + PART] === '.'
  }

  end(id: string): Awaitable<boolean> {
    return HANDLE.test(id) ? run(this.#ledger.end(id)) : false
  }

  close(): Awaitable<void> {
    return this.#store.close?.()
  }

  #living(found: [id: string, record: SessionRecord][]): State[] {
    const now = this.#context.clock()
    return found
      .map(([id, record]) => judge(id, this.#rest.shown(id, record), now, this.#context))
      .filter((state) => typeof state !== 'string')
  }

  /** No store is asked before this says that we made the credential. */
  #verify(credential: string): Known | Refusal {
    const dot = credential.indexOf('.')
    const signed = credential.length - PART - 1
    const wellFormed =
      credential.length <= LONGEST && dot > 0 && signed === dot + 1 + PART && credential[signed] === '.'
    if (!wellFormed) return 'malformed'
    const keyId = credential.slice(0, dot)
    const key = this.#keys.find((key) => key.id === keyId)
    // The signature covers the text as it came, so there is one spelling of an identifier and no other.
    if (!key || !sameDigest(hmac(key.key, credential.slice(0, signed)), credential.slice(signed + 1))) return 'forged'
    const identifier = credential.slice(dot + 1, signed)
    const reissue = key === this.#keys[0] ? undefined : this.#sign(identifier)
    const known = { id: sha256(identifier), reissue, key: new HolderKey(identifier) }
    this.#recent.set(credential, known)
    return known
  }

  #sign(identifier: string): string {
    const { id, key } = this.#keys[0]
    const signed = `${id}.${identifier}`
    return `${signed}.${hmac(key, signed)}`
  }
}

/** The identifier in a credential of ours. */
function identifierIn(credential: string): string {
  return credential.slice(-2 * PART - 1, -PART - 1)
}

/** Where this strategy keeps what did not fit into another, that other's identifier has no credential to it. */
function withMintedHere(draft: Draft): Draft {
  return draft.minted?.credential === '' ? { ...draft, minted: undefined } : draft
}
