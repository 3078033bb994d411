/**
 * What is told a visitor once, where their session cannot take it in: a signed session is fixed at login, so notices
 * travel in a small sealed cookie beside it.
 */
import { acceptNoRevocation, cookie, createSessions, type Keys, type Sessions, sealed } from 'sojourn'
import type { Config } from './config.js'
import { EMPTY } from './guest-cart.js'
import type { ShopData } from './services.js'

const MINUTE = 60_000

/** Sessions that hold nothing but notices: nobody signs in to them, and a few minutes are their whole life. */
export function createNotices(keys: Keys, { origin }: Pick<Config, 'origin'>, clock: () => number): Sessions<ShopData> {
  return createSessions<ShopData>({
    keys,
    initial: () => ({ cart: EMPTY }),
    strategy: sealed({ revocations: acceptNoRevocation, onTooLarge: 'error' }),
    transport: cookie({ name: 'notice' }),
    timeouts: { idle: 5 * MINUTE, absolute: 5 * MINUTE },
    // The session's own guard has looked at the request already.
    csrf: false,
    ...(origin === undefined ? {} : { origin }),
    clock,
  })
}
