/** What goes with a 401: how to come back (RFC 9110, 11.6.1; RFC 6750, 3). */
import type { Refusal } from './types.js'

/** Characters of a quoted text that need no escape. */
const REALM = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,128}$/

/**
 * The value of `WWW-Authenticate` for a request that was not signed in: no error where it brought no credential,
 * `invalid_token` where it did, and never which of the reasons. That includes a header that nobody can read, for which
 * RFC 6750 has 400 and `invalid_request`: what was refused may have travelled in any of several transports, and the cure is
 * the same. Throws a `TypeError` for a realm that cannot be quoted.
 */
export function challenge(session: { readonly refused: Refusal | undefined }, realm = 'session'): string {
  if (!REALM.test(realm)) throw new TypeError('challenge: `realm` is plain ASCII without quotes; choose another')
  const came = session.refused !== undefined && session.refused !== 'absent'
  return came ? `Bearer realm="${realm}", error="invalid_token"` : `Bearer realm="${realm}"`
}
