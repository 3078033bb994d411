/** What the server can do about providers, for the pages and the API alike. */
import type { Refused as NotSignedIn } from 'sojourn/identity/oauth'
import type { Result, Visit } from '../services.js'
import type { Repository } from './repositories.js'

/** A provider, as pages name it. */
export interface Provider {
  /** In paths. */
  readonly name: string
  /** For people. */
  readonly label: string
}

/** A way into an account. */
export interface Way extends Provider {
  /** What the provider calls the user; untrusted text. `undefined`: not linked. */
  readonly as: string | undefined
  /** Epoch milliseconds; `undefined` where it is not linked. */
  readonly since: number | undefined
  /** This session may call the provider. */
  readonly connected: boolean
}

/** How somebody may sign in to their account. */
export interface Ways {
  readonly hasPassword: boolean
  /** One for each provider that is configured. */
  readonly providers: readonly Way[]
}

/** A page that says why a sign-in was refused. */
export type RefusalPage = (status: number, says: string, retryAfter?: number) => Response | Promise<Response>

/** Signing in through providers, and calling them. */
export interface IdentityServices {
  readonly providers: readonly Provider[]
  /** GitHub is one of them. */
  readonly hasGithub: boolean
  /** Sends the browser to the provider: a guest to sign in, a user to prove once more who they are. */
  begin(visit: Visit, request: Request, provider: string, next: string): Promise<Response | NotSignedIn>
  /** Sends a user, signed in within ten minutes, to the provider, to link what they have there to their account. */
  link(visit: Visit, request: Request, provider: string): Promise<Response | NotSignedIn>
  /** Somebody came back: signed in, linked, or refused. */
  complete(visit: Visit, request: Request, provider: string, refused: RefusalPage): Promise<Response>
  /** The answer to somebody who has not signed in within ten minutes; `undefined` for who may go on. */
  unlessRecent(request: Request): Promise<Response | undefined>
  ways(visit: Visit): Promise<Result<Ways, 'guest'>>
  /** Unlinks, signs out everywhere else, and gives the provider's tokens back. Says whether the provider has confirmed that. */
  disconnect(
    visit: Visit,
    provider: string,
  ): Promise<Result<'revoked' | 'forgotten' | 'absent', 'guest' | 'last' | 'unknown'>>
  /** Gives a password to an account that has none. */
  choosePassword(visit: Visit, next: string): Promise<Result<void, 'guest' | 'password' | 'busy'>>
  repositories(visit: Visit): Promise<Result<Repository[], 'guest' | 'disconnected' | 'unavailable' | 'unusable'>>
  /** Signs out here, and says where the browser goes to sign out there as well; `undefined`: nowhere. */
  leave(visit: Visit, request: Request): Promise<Response | undefined>
  /** The browser is back from signing out there. */
  left(request: Request): Response
  /** A provider's server says that somebody has signed out there (OpenID Connect Back-Channel Logout 1.0). */
  signedOutThere(request: Request): Promise<Response>
}
