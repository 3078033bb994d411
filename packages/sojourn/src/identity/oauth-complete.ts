/** From somebody who came back to a session that is signed in, in the one order that leaves no gap. */
import { problem } from '../errors.js'
import { proofOf } from '../proof.js'
import type { Awaitable, Proof } from '../types.js'
import type { Arrived, OAuthSession, Refused } from './oauth.js'
import { OAUTH_ANSWERS, type OAuthRefusal } from './oauth-refusal.js'

/** The part of a session that is used. */
export interface CompletionSession extends OAuthSession {
  readonly persistent: boolean
  login(userId: string, options?: { persistent?: boolean; authenticatedAt?: number } & Proof): void
  commit(): Awaitable<void>
}

/** Options of `complete`. */
export interface CompletionOptions {
  /**
   * Which user of this app it is, by `arrived.identity` and never by an e-mail address. For a `link`, note the identity
   * for `arrived.userId`, and answer that; or answer whose it is already, and it is refused. `undefined`: nobody's.
   */
  account(arrived: Arrived): Awaitable<string | undefined>
  /** Called when the session is theirs and not yet kept: where tokens go into a vault. */
  keep?(arrived: Arrived): Awaitable<void>
  /** "Remember me". Default: for a step-up as the session was, otherwise `false`. */
  persistent?: boolean
  /** Notes who was signed in by which session at the provider, so that a logout there ends it: a `logoutReceiver`. */
  logout?: { enrol(session: OAuthSession, arrived: Arrived): Awaitable<boolean> }
  /** A page for what was refused. Default: problem details. */
  refused?(refused: Refused): Awaitable<Response>
}

/** Carries out `complete`. */
export async function complete(
  origin: string,
  session: CompletionSession,
  how: CompletionOptions,
  callback: () => Promise<Arrived | Refused>,
): Promise<Response> {
  const refuse = async (refused: Refused): Promise<Response> => {
    const { status, says, headers } = refused
    const { headers: own, body } = problem(status, 'Sign-in failed', says, status === 503 ? { 'retry-after': '5' } : {})
    return withHeaders(how.refused ? await how.refused(refused) : new Response(body, { status, headers: own }), headers)
  }

  const arrived = await callback()
  if (arrived.refused !== undefined) return refuse(arrived)
  const no = (refused: OAuthRefusal) => {
    const { returnTo, headers } = arrived
    return refuse({ refused, ...OAUTH_ANSWERS[refused], returnTo, headers })
  }
  const userId = await how.account(arrived)
  if (userId === undefined) return no('unknown')
  if (arrived.userId !== undefined && arrived.userId !== userId) return no('other-user')
  // How they proved it is the provider's word; what it does not say counts for nothing (ASVS 6.8.4).
  const { persistent = arrived.intent === 'step-up' && session.persistent } = how
  const { claims } = arrived
  if (arrived.intent !== 'link') session.login(userId, { persistent, ...proofOf(claims), ...provedAt(claims) })
  const kept = await settled(() => how.keep?.(arrived))
  // Kept first, noted then: what is noted can be ended, and the browser has the credential only after both.
  if (how.logout && arrived.intent !== 'link') {
    await session.commit()
    if (!(await how.logout.enrol(session, arrived))) return no('ended')
  }
  // Not before: where the adapter commits the login all the same, it is a session that can be ended.
  if (kept.status === 'rejected') throw kept.reason
  const headers = new Headers({ location: new URL(arrived.returnTo, origin).href })
  return withHeaders(new Response(null, { status: 303, headers }), arrived.headers)
}

/** A user who is still signed in at the provider may have proved it long ago, and is sent back without proving anything. */
function provedAt({ auth_time: seconds }: Arrived['claims']): { authenticatedAt?: number } {
  return typeof seconds === 'number' && seconds >= 0 ? { authenticatedAt: seconds * 1000 } : {}
}

async function settled(work: () => Awaitable<void> | undefined): Promise<PromiseSettledResult<void>> {
  const [result] = await Promise.allSettled([(async () => work())()])
  return result
}

function withHeaders(response: Response, headers: Headers): Response {
  const all = new Headers(response.headers)
  for (const [name, value] of headers) {
    if (name === 'set-cookie') all.append(name, value)
    else all.set(name, value)
  }
  return new Response(response.body, { status: response.status, headers: all })
}
