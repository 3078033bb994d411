/** Why somebody who came back from a provider was not signed in. A value, never an exception. */

/**
 * - `no-provider`: no provider of that name is configured
 * - `absent`: this browser began no sign-in, or another one did (A-103, login CSRF)
 * - `malformed`: the provider's redirect is not of the form that the standard has
 * - `expired`: begun more than ten minutes ago
 * - `replayed`: this sign-in came back before
 * - `forged`: the answer is of another provider, or does not belong to what was begun
 * - `denied`: the user, or the provider for them, said no
 * - `interaction`: the provider would have had to ask the user something, and `prompt: 'none'` forbade it
 * - `stale`: the user proved who they are longer ago than was asked for
 * - `weak`: the user proved it by less than was asked for
 * - `session`: another session than the one that began it, or one that was not signed in a moment ago
 * - `other-user`: the provider's account is not the one of the user who is signed in here
 * - `unknown`: the app has no account for this identity
 * - `ended`: the provider has signed the user out meanwhile
 * - `unavailable`: the provider cannot be reached, fails, or has had enough requests; try again
 * - `misconfigured`: the provider does not accept how this app is registered
 * - `unusable`: the provider's answer is not what the standards ask for
 */
export type OAuthRefusal =
  | 'no-provider'
  | 'absent'
  | 'malformed'
  | 'expired'
  | 'replayed'
  | 'forged'
  | 'denied'
  | 'interaction'
  | 'stale'
  | 'weak'
  | 'session'
  | 'other-user'
  | 'unknown'
  | 'ended'
  | 'unavailable'
  | 'misconfigured'
  | 'unusable'

const AGAIN = 'Please sign in again.'

/** What to tell the user, and with which HTTP status. Plain words of ours: nothing that a provider sent. */
export const OAUTH_ANSWERS: Readonly<Record<OAuthRefusal, { readonly status: number; readonly says: string }>> = {
  'no-provider': { status: 404, says: 'There is no sign-in by that name here.' },
  absent: { status: 400, says: `This sign-in was not begun in this browser. ${AGAIN}` },
  malformed: { status: 400, says: `The provider's answer could not be read. ${AGAIN}` },
  expired: { status: 400, says: `This sign-in took longer than ten minutes. ${AGAIN}` },
  replayed: { status: 400, says: `This sign-in was completed before. ${AGAIN}` },
  forged: { status: 400, says: `The provider's answer does not belong to this sign-in. ${AGAIN}` },
  denied: { status: 403, says: 'The sign-in was cancelled, or the provider refused it.' },
  interaction: { status: 403, says: 'The provider needs you to sign in there first.' },
  stale: { status: 403, says: `The provider did not ask for your password just now. ${AGAIN}` },
  weak: { status: 403, says: 'The provider did not confirm your identity as strongly as is needed here.' },
  session: { status: 403, says: 'Please sign in here again first, and then repeat this.' },
  'other-user': { status: 403, says: 'This account at the provider belongs to somebody else here.' },
  unknown: { status: 403, says: 'There is no account here for this sign-in.' },
  ended: { status: 403, says: `The provider has signed you out meanwhile. ${AGAIN}` },
  unavailable: { status: 503, says: 'The provider cannot be reached just now. Please try again in a moment.' },
  misconfigured: {
    status: 502,
    says: 'The provider does not accept this application. Its operator has to look at it.',
  },
  unusable: { status: 502, says: "The provider's answer could not be used. Its operator, or ours, has to look at it." },
}

/** What a provider's `error` means, in its redirect or from its token endpoint. Its description is never looked at. */
export function refusalOf(error: unknown): OAuthRefusal {
  return (typeof error === 'string' && Object.hasOwn(KNOWN, error) && KNOWN[error]) || 'misconfigured'
}

const KNOWN: Record<string, OAuthRefusal> = {
  access_denied: 'denied',
  login_required: 'interaction',
  interaction_required: 'interaction',
  consent_required: 'interaction',
  account_selection_required: 'interaction',
  unmet_authentication_requirements: 'weak',
  temporarily_unavailable: 'unavailable',
  server_error: 'unavailable',
  slow_down: 'unavailable',
  invalid_grant: 'forged',
  // GitHub's own words, which it answers with 200.
  bad_verification_code: 'forged',
  bad_refresh_token: 'forged',
}
