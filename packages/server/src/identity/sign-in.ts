/** The way to a provider and back: who came, whose account that is, and a session that is theirs. */
import type { Arrived } from 'sojourn/identity/oauth'
import type { Refused, User, Visit } from '../services.js'
import type { IdentityParts, IdentityTools } from './identity.js'
import { labelOf, proposals } from './names.js'
import type { IdentityServices } from './services.js'

/** Said on top of what the library says. */
interface Reason {
  readonly status: number
  readonly says: string
  readonly retryAfter?: number
}

const SIGN_UP_TRIES = 8

const SOMEBODY_ELSE: Reason = {
  status: 403,
  says: 'You are signed in here to an account that this does not belong to. To connect it, use your account’s page; to sign in with it, sign out first.',
}

const PARTED: Refused = {
  ok: false,
  reason: 'credentials',
  message: 'This way to sign in was disconnected from its account a moment ago. Please sign in another way.',
}

/** The operations that go through a provider's pages. */
export function signInOperations(
  parts: IdentityParts,
  { signIn, tokens, receiver, providers }: IdentityTools,
): Pick<IdentityServices, 'begin' | 'link' | 'complete' | 'leave' | 'left'> {
  const { sessions, identities, throttle, merge, log } = parts
  const labelFor = (name: string) => providers.find((one) => one.name === name)?.label ?? name

  /** Whose account it is; a new one's for an identity that nobody has. */
  const arrive = async (visit: Visit, arrived: Arrived): Promise<User | Reason> => {
    const { identity, profile } = arrived
    const known = await identities.find(identity.issuer, identity.sub)
    // Also by a plain sign-in: a user who confirms who they are must not become somebody else by it.
    if (visit.user) return known?.id === visit.user.id ? visit.user : SOMEBODY_ELSE
    if (known) return known
    const refused = await throttle.signUp(visit.ip)
    if (refused)
      return { status: 429, says: refused.message, ...(refused.retryAfter && { retryAfter: refused.retryAfter }) }
    const labelled = { ...identity, label: labelOf(profile, identity.sub) }
    const names = proposals(profile)
    for (let tries = 0; tries < SIGN_UP_TRIES; tries++) {
      const made = await identities.create(names.next().value, labelled)
      if (!made) continue
      log.info({ event: 'user_created', user: made.id, ip: visit.ip, provider: arrived.provider })
      return made
    }
    return { status: 503, says: 'No free username was found for you. Please try again.', retryAfter: 1 }
  }

  const link = async (visit: Visit, { identity, profile, provider }: Arrived): Promise<User | Reason> => {
    const { user } = visit
    if (!user) return SOMEBODY_ELSE
    const linked = await identities.link(user.id, { ...identity, label: labelOf(profile, identity.sub) })
    if (linked === 'linked') return user
    const label = labelFor(provider)
    return linked === 'other-user'
      ? { status: 403, says: `That ${label} account opens another account here, so it was not connected to yours.` }
      : { status: 403, says: `Another ${label} account is connected to yours. Disconnect it first.` }
  }

  /** A disconnection first parts the two and then ends what is kept: whichever comes second meets the other. */
  const holds = async ({ session, ip }: Visit, { identity, provider }: Arrived, user: User) => {
    if ((await identities.find(identity.issuer, identity.sub))?.id === user.id) return undefined
    await sessions.end(session.id!)
    log.warn({ event: 'authn_login_fail', reason: 'disconnected', user: user.id, ip, provider })
    return PARTED
  }

  return {
    begin(visit, request, provider, next) {
      const known = visit.user !== undefined
      // GitHub cannot be asked for a fresh proof; having signed in there is what it says of its users.
      const intent = known && provider === 'oidc' ? 'step-up' : 'login'
      return signIn.begin(request, provider, { returnTo: next, intent, session: visit.session })
    },

    link: (visit, request, provider) =>
      signIn.begin(request, provider, { returnTo: '/account', intent: 'link', session: visit.session }),

    complete(visit, request, provider, refused) {
      const { session, user, ip } = visit
      let why: Reason | undefined
      return signIn.complete(request, session, {
        persistent: user !== undefined && session.persistent,
        async account(arrived) {
          const found = arrived.intent === 'link' ? await link(visit, arrived) : await arrive(visit, arrived)
          if ('says' in found) {
            why = found
            return undefined
          }
          if (arrived.intent !== 'link') {
            await merge(session, found)
            visit.recheck(() => holds(visit, arrived, found))
          }
          const event = arrived.intent === 'link' ? 'authn_identity_linked' : 'authn_login_success'
          log.info({ event, user: found.id, ip, provider })
          return found.id
        },
        // Before the session is kept, which a notice would come too late for.
        async keep(arrived) {
          const label = labelFor(arrived.provider)
          const said = {
            login: `You are signed in with ${label}.`,
            link: `${label} is connected.`,
            'step-up': 'Thank you.',
          }
          visit.notices.flash('notice', said[arrived.intent])
          await tokens.keep(session, arrived.tokens)
        },
        logout: receiver,
        refused: ({ refused: reason, status, says }) => {
          log.warn({ event: 'authn_login_fail', reason, user: user?.id, ip, provider })
          return refused(
            why?.status ?? status,
            why?.says ?? says,
            why ? why.retryAfter : status === 503 ? 5 : undefined,
          )
        },
      })
    },

    async leave({ session, user }, request) {
      // Whatever fails here must not keep anybody in.
      const idToken = user && (await tokens.idToken(session, 'oidc').catch(() => undefined))
      if (user || session.userId !== undefined) session.logout()
      if (idToken === undefined) return undefined
      await session.commit()
      return signIn.endSession(request, 'oidc', { idToken, returnTo: '/login?from=logout' })
    },

    left: (request) => signIn.sessionEnded(request),
  }
}
