/** How somebody may sign in to their account, and how they change that. */

import { orBusy } from '../operations/authentication.js'
import { GUEST } from '../operations/devices.js'
import { checkPassword } from '../password-rules.js'
import type { IdentityParts, IdentityTools } from './identity.js'
import type { IdentityServices } from './services.js'

/** The operations on the account's page. Whether somebody signed in lately is for `unlessRecent` to say, before. */
export function connectionOperations(
  { sessions, accounts, identities, passwords, log, config }: IdentityParts,
  { tokens, providers }: IdentityTools,
): Pick<IdentityServices, 'ways' | 'disconnect' | 'choosePassword'> {
  return {
    async ways({ session, user }) {
      if (!user) return GUEST
      const linked = await identities.list(user.id)
      const connected = await tokens.connections(session)
      const hash = (await accounts.credentials(user.username))?.hash
      return {
        ok: true,
        value: {
          hasPassword: hash !== undefined && hash !== '',
          providers: providers.map(({ name, label, issuer }) => {
            const identity = linked.find((one) => one.issuer === issuer)
            return {
              name,
              label,
              as: identity?.label,
              since: identity?.linkedAt,
              connected: connected.some(({ provider, sub }) => provider === name && sub === identity?.sub),
            }
          }),
        },
      }
    },

    async disconnect({ session, user, ip }, name) {
      if (!user) return GUEST
      const provider = providers.find((one) => one.name === name)
      if (!provider) return { ok: false, reason: 'unknown', message: 'There is no such provider.' }
      const others = providers.filter((one) => one !== provider).map(({ issuer }) => issuer)
      const unlinked = await identities.unlink(user.id, provider.issuer, others)
      if (unlinked === 'last') {
        const message = `${provider.label} is the only way to sign in to your account. Choose a password first, or connect another provider.`
        return { ok: false, reason: 'last', message }
      }
      if (unlinked === 'unlinked') log.info({ event: 'authn_identity_unlinked', user: user.id, ip, provider: name })
      // Whoever came in by what is gone now, and the tokens that their sessions hold; also where the last try got no further.
      await sessions.endAll(user.id, { except: session.id! })
      return { ok: true, value: await tokens.disconnect(session, name) }
    },

    async choosePassword({ session, user, ip }, next) {
      if (!user) return GUEST
      const refused = checkPassword(next, user.username, config.passwordMin)
      if (refused) return refused
      const hash = await orBusy(async () => ({ ok: true as const, value: await passwords.hash(next) }))
      if (!hash.ok) return hash
      if (!(await accounts.replacePassword(user.id, '', hash.value)))
        return { ok: false, reason: 'password', message: 'Your account has a password already.' }
      log.info({ event: 'authn_password_change', user: user.id, ip })
      await sessions.endAll(user.id, { except: session.id! })
      session.rotate()
      return { ok: true, value: undefined }
    },
  }
}
