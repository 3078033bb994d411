/** Which account somebody signs in to by a provider: by the pair of issuer and subject, and by nothing else (ASVS 6.8.1). */
import type { User } from '../services.js'

/** Somebody, as a provider names them. */
export interface Identity {
  readonly issuer: string
  /** Unique below `issuer`, and never given to somebody else. */
  readonly sub: string
  /** What the provider calls them, for showing. Untrusted text, of 100 characters at most. */
  readonly label: string
}

/** An identity that opens an account. */
export interface LinkedIdentity extends Identity {
  /** Epoch milliseconds. */
  readonly linkedAt: number
}

/**
 * The identities of this server's users, wherever they are kept. A user has one of each issuer at most. Every call is one
 * unit: it happened or it did not, whatever happens beside it. It rejects when the database fails.
 */
export interface Identities {
  /** Whose it is. */
  find(issuer: string, sub: string): Promise<User | undefined>
  /**
   * A new account without a password, and the identity that opens it: both or neither. Answers whose the identity is: of
   * two that come at once with the same one, both get the first one's. `undefined`: the name is taken.
   */
  create(username: string, identity: Identity): Promise<User | undefined>
  /** `other-user`: it opens another account. `other-identity`: another one of this issuer opens this account. */
  link(userId: string, identity: Identity): Promise<'linked' | 'other-user' | 'other-identity'>
  /** What opens the account. */
  list(userId: string): Promise<LinkedIdentity[]>
  /**
   * Takes the identity of this issuer from the account, unless it is the last way in: `last` when the account has neither a
   * password nor an identity of one of the issuers `others`.
   */
  unlink(userId: string, issuer: string, others: readonly string[]): Promise<'unlinked' | 'absent' | 'last'>
}
