/**
 * Signed claims: a session that APIs and third parties can read and verify without asking us (RFC 9068). Fixed at login;
 * what the claims say of the user is readable unless `encrypt` hides it.
 */
import { Registry, type RegistryOptions } from '../ledger/registry.js'
import { type Form, Stateless } from '../ledger/stateless.js'
import { type AccessTokenOptions, AccessTokens } from '../token/access.js'
import { type AccessKeyOptions, accessKeys } from '../token/access-keys.js'
import type { StrategyContext, StrategyFactory } from '../types.js'

/** Options of `jwt`. */
export interface JwtOptions extends AccessTokenOptions, AccessKeyOptions, RegistryOptions {}

/**
 * Keeps a user's session in a signed token. Guests have none: put `sealed()` or `opaque()` behind it for them. Store
 * calls: none, but for login and logout (see `devices`, `revocations`).
 */
export function jwt(options: JwtOptions): StrategyFactory {
  return (context) => new Stateless(form(options, context), new Registry('jwt', options, context), context)
}

function form(options: JwtOptions, context: StrategyContext): Form {
  const tokens = new AccessTokens(options, accessKeys(options, context.keys))
  const dots = options.encrypt ? 4 : 2
  return {
    name: 'jwt',
    guests: false,
    mutable: false,
    readable: true,
    longest: context.capacity.chunked,
    overflows: false,

    /** The header of a token is longer than any id of a key, which is how an opaque identifier begins. */
    owns: (credential) => credential.indexOf('.') > 16 && credential.split('.', dots + 2).length === dots + 1,
    close: (opened) => tokens.write(opened),
    open: (credential, now) => tokens.read(credential, now),
  }
}
