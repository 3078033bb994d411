/** The devices on which a user is signed in, and how to end them from elsewhere (ASVS 7.5.2, SM-13). */
import { Fault, type Sessions } from 'sojourn'
import type { Refused, Services, ShopData } from '../services.js'

/** The answer to a guest who asks for what only a user has. */
export const GUEST: Refused<'guest'> = { ok: false, reason: 'guest', message: 'Sign in first.' }

const REPLACED: Refused<'replaced'> = {
  ok: false,
  reason: 'replaced',
  message: 'You signed in, or changed your password, just before this, so you are still signed in. Sign out once more.',
}

/** What can be done with a user's sessions. */
export function deviceOperations(
  sessions: Sessions<ShopData>,
): Pick<Services, 'signOut' | 'devices' | 'endDevice' | 'endOthers'> {
  return {
    async signOut({ session, user }) {
      // Also where it was replaced: what goes on under another identifier must not be taken for signed out.
      if (user || session.userId !== undefined || session.refused === 'replaced') session.logout()
      try {
        await session.commit()
        return { ok: true, value: undefined }
      } catch (error) {
        if (error instanceof Fault && error.code === 'ERR_CONFLICT') return REPLACED
        throw error
      }
    },

    async devices({ session, user }) {
      if (!user) return GUEST
      const found = await sessions.list(user.id)
      const value = found
        .map(({ id, createdAt, seenAt, expiresAt, persistent, device }) => {
          return { id, current: id === session.id, createdAt, seenAt, expiresAt, persistent, device }
        })
        .sort((a, b) => Number(b.current) - Number(a.current) || b.seenAt - a.seenAt)
      return { ok: true, value }
    },

    async endDevice({ session, user }, id) {
      if (!user) return GUEST
      // Whose it is decides, not who knows its handle: another user's is as unknown as one that never was.
      const own = (await sessions.list(user.id)).some((info) => info.id === id)
      if (!own) return { ok: false, reason: 'unknown', message: 'There is no such session.' }
      if (id === session.id) session.logout()
      else await sessions.end(id)
      return { ok: true, value: undefined }
    },

    async endOthers({ session, user }) {
      if (!user) return GUEST
      return { ok: true, value: await sessions.endAll(user.id, { except: session.id! }) }
    },
  }
}
