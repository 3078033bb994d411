/** Signing up, signing in, and changing the password: the three places where a password is looked at. */
import { Fault, type Sessions } from 'sojourn'
import type { TokenPair } from 'sojourn/token/pair'
import { type Accounts, type Credentials, checkUsername, nameOf } from '../accounts.js'
import type { Logger } from '../log.js'
import type { Passwords } from '../password.js'
import { checkPassword } from '../password-rules.js'
import type { Refused, Result, Services, ShopData } from '../services.js'
import type { Throttle } from '../throttle.js'
import type { Merge } from './cart.js'
import { GUEST } from './devices.js'

/** What authentication is made of. */
export interface AuthenticationParts {
  readonly sessions: Sessions<ShopData>
  readonly pair: TokenPair
  readonly accounts: Accounts
  readonly passwords: Passwords
  readonly throttle: Throttle
  readonly merge: Merge
  readonly passwordMin: number
  readonly log: Logger
}

/** What a login or a change is proved by, and where it came from. */
interface Proof {
  readonly username: string
  readonly password: string
  readonly ip: string
}

/** The operations that look at a password. */
export function authenticationOperations(
  parts: AuthenticationParts,
): Pick<Services, 'passwordMin' | 'signUp' | 'signIn' | 'issueTokens' | 'changePassword'> {
  const { sessions, pair, accounts, passwords, throttle, merge, passwordMin, log } = parts

  /** The account that name and password fit. Costs one hash whether or not there is such a name. */
  const verified = async (username: string, password: string): Promise<Credentials | undefined> => {
    const known = await accounts.credentials(username)
    const fits = await passwords.verify(known?.hash || undefined, password)
    if (!known || !fits) return undefined
    // Changed while it was being verified? Then this password may be the one that was meant to be locked out.
    const now = await accounts.credentials(username)
    return now?.hash === known.hash ? known : verified(username, password)
  }

  /** As `verified`, unless whoever asks has guessed too often. Refusals are logged as those of `action`. */
  const authenticate = async (
    action: 'login' | 'password_change',
    { username, password, ip }: Proof,
  ): Promise<Result<Credentials, 'credentials' | 'throttled' | 'busy'>> => {
    const checked = await orBusy(() => throttle.guard(nameOf(username), ip, () => verified(username, password)))
    if (checked.ok && checked.value) return { ok: true, value: checked.value }
    const refused = checked.ok ? WRONG : checked
    const outcome = refused.reason === 'throttled' ? 'lock' : 'fail'
    log.warn({
      event: `authn_${action}_${outcome}`,
      reason: refused.reason,
      user: (await accounts.credentials(username))?.user.id,
      ip,
    })
    return refused
  }

  const hashed = (password: string) =>
    orBusy(async () => ({ ok: true as const, value: await passwords.hash(password) }))

  /** A login that may go on: whose it is, and the hash that is kept by now. */
  const proven = async (input: Proof): ReturnType<typeof authenticate> => {
    const found = await authenticate('login', input)
    if (!found.ok) return found
    const { user, hash } = found.value
    log.info({ event: 'authn_login_success', user: user.id, ip: input.ip })
    const newer = passwords.isOutdated(hash) ? await hashed(input.password) : undefined
    const kept = newer?.ok && (await accounts.replacePassword(user.id, hash, newer.value)) ? newer.value : hash
    return { ok: true, value: { user, hash: kept } }
  }

  /**
   * Whether the password is still the user's, now that what it opened is kept. A change of the password first replaces the
   * hash and then ends what is kept: whichever comes second, the change or the login, meets the other. Another hash may
   * be that of the same password, which a login beside this one has hashed anew.
   */
  const holds = async ({ username, password, ip }: Proof, { user, hash }: Credentials): Promise<boolean> => {
    if ((await accounts.credentials(username))?.hash === hash) return true
    if (await verified(username, password)) return true
    log.warn({ event: 'authn_login_fail', reason: WRONG.reason, user: user.id, ip })
    return false
  }

  return {
    passwordMin,

    async signUp({ session, ip }, { username, password }) {
      const broken = checkUsername(username) ?? checkPassword(password, username, passwordMin)
      const refused = broken ?? (await throttle.signUp(ip))
      if (refused) return refused
      const hash = await hashed(password)
      if (!hash.ok) return hash
      const user = await accounts.create(username, hash.value)
      if (!user) return { ok: false, reason: 'taken', message: 'This username is taken.' }
      log.info({ event: 'user_created', user: user.id, ip })
      await merge(session, user)
      session.login(user.id, PASSWORD)
      return { ok: true, value: user }
    },

    async signIn({ session, ip, recheck }, { remember, ...typed }) {
      const proof = { ...typed, ip }
      const found = await proven(proof)
      if (!found.ok) return found
      const { user } = found.value
      await merge(session, user)
      session.login(user.id, { persistent: remember, ...PASSWORD })
      recheck(async () => {
        if (await holds(proof, found.value)) return undefined
        await sessions.end(session.id!)
        return WRONG
      })
      return { ok: true, value: user }
    },

    async issueTokens({ ip }, { device, ...typed }) {
      const proof = { ...typed, ip }
      const found = await proven(proof)
      if (!found.ok) return found
      const tokens = await pair.issue({ userId: found.value.user.id, device, ...PASSWORD })
      if (await holds(proof, found.value)) return { ok: true, value: tokens }
      await pair.revoke(tokens.refreshToken)
      return WRONG
    },

    async changePassword({ session, user, ip, bearer }, { current, next }) {
      if (!user) return GUEST
      const found = await authenticate('password_change', { username: user.username, password: current, ip })
      if (!found.ok) return found
      const refused = checkPassword(next, user.username, passwordMin)
      if (refused) return refused
      const hash = await hashed(next)
      if (!hash.ok) return hash
      // Of two changes that were made with the same old password, one has come too late.
      if (!(await accounts.replacePassword(user.id, found.value.hash, hash.value))) return WRONG
      log.info({ event: 'authn_password_change', user: user.id, ip })
      if (bearer) {
        // A copy of a token pair is renewed like the original: nothing but a new login tells the two apart.
        await sessions.endAll(user.id)
        session.logout()
      } else {
        // Under the old id, as the store knows no other before the commit.
        await sessions.endAll(user.id, { except: session.id! })
        session.rotate()
      }
      return { ok: true, value: undefined }
    },
  }
}

/** How they proved who they are (RFC 8176). */
const PASSWORD = { amr: ['pwd'] }

/** One answer for every failure: which of the two was wrong would tell who has an account. */
const WRONG: Refused<'credentials'> = { ok: false, reason: 'credentials', message: 'Username or password is wrong.' }

const BUSY: Refused<'busy'> = {
  ok: false,
  reason: 'busy',
  message: 'Too many people are signing in just now. Please try again in a moment.',
  retryAfter: 1,
}

/** What `work` resolves with; or a refusal, where too many hashes are being computed just now. */
export async function orBusy<T>(work: () => Promise<T>): Promise<T | Refused<'busy'>> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fault && error.code === 'ERR_BUSY') return BUSY
    throw error
  }
}
