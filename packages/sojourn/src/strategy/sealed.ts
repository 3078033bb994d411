/**
 * Stateless sessions: the whole session, encrypted and authenticated, in the client's hands. No store is asked on a
 * request; what was ended is refused through `revocations`.
 *
 * A client can send an older state of its own session again: data that it had before, no more. Who is signed in, since
 * when and until when is sealed under an identifier that logout ends and that a login changes.
 */
import { Sealer } from '../crypto/seal.js'
import { Registry, type RegistryOptions } from '../ledger/registry.js'
import { type Form, type Opened, Stateless } from '../ledger/stateless.js'
import type { SessionRecord, StrategyContext, StrategyFactory } from '../types.js'

/** Options of `sealed`. */
export interface SealedOptions extends RegistryOptions {
  /**
   * What to do with a session that does not fit into one cookie of 4,096 bytes: `chunk` it over several, as far as the
   * transport goes; answer with an `error` (`ERR_TOO_LARGE`), and the client keeps what it had; or leave it to the
   * `next` strategy of the list, such as `opaque` with a store. Default `chunk`.
   */
  onTooLarge?: 'chunk' | 'error' | 'next'
}

/** Keeps the whole session in the client. Store calls: none, but for login and logout (see `devices`, `revocations`). */
export function sealed(options: SealedOptions): StrategyFactory {
  return (context) => new Stateless(form(options, context), new Registry('sealed', options, context), context)
}

function form({ onTooLarge = 'chunk' }: SealedOptions, { keys, binding, capacity }: StrategyContext): Form {
  const sealer = new Sealer(keys.derive('sealed session'), `sojourn sealed session, ${binding}`)
  return {
    name: 'sealed',
    guests: true,
    mutable: true,
    readable: false,
    longest: onTooLarge === 'chunk' ? capacity.chunked : capacity.whole,
    overflows: onTooLarge === 'next',

    /** One dot: an opaque identifier and a JWT have two. */
    owns(credential) {
      const dot = credential.indexOf('.')
      return dot > 0 && credential.indexOf('.', dot + 1) < 0
    },

    /** The data is JSON text already: on a line of its own it need not be escaped. */
    close({ id, issuedAt, record: { data, ...fields } }) {
      return sealer.seal(`${JSON.stringify({ id, issuedAt, ...fields })}\n${data}`)
    },

    open(credential) {
      const unsealed = sealer.open(credential)
      if (typeof unsealed === 'string') return unsealed
      const { text, current } = unsealed
      const line = text.indexOf('\n')
      const fields = JSON.parse(text.slice(0, line)) as Opened & SessionRecord
      const { id, issuedAt } = fields
      return { id, issuedAt, keyIs: current ? isCurrent : isOlder, record: recordOf(fields, text.slice(line + 1)) }
    },
  }
}

/** Field by field: all records have one shape then, and what looks at them later is spared a search. */
function recordOf(fields: Omit<SessionRecord, 'data'>, data: string): SessionRecord {
  const { userId, createdAt, seenAt, authenticatedAt, expiresAt, version, persistent, device } = fields
  return { userId, data, createdAt, seenAt, authenticatedAt, expiresAt, version, persistent, device }
}

/** The ring of `createSessions` is the same for as long as the process runs. */
const isCurrent = () => 'current' as const
const isOlder = () => 'older' as const
