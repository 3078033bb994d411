/** What the servers of libraries for tokens share: the same claims as Sojourn's, in a cookie that is found by its place. */
import { randomBytes } from 'node:crypto'

export const issuer = 'https://id.shop.example'
export const audience = 'https://api.shop.example'

/** The claims of a token that was issued just now: as many as Sojourn writes, and as long. */
export function claims(user) {
  const now = Math.floor(Date.now() / 1000)
  const id = randomBytes(24).toString('base64url')
  const times = { exp: now + 1800, iat: now, auth_time: now }
  const own = [now * 1000, now * 1000, now * 1000, 1, 0]
  return { iss: issuer, aud: audience, sub: user, ...times, jti: `${id}.1`, sid: id, ses: own }
}

/** Hands a token over. */
export const give = (res, token) => res.setHeader('set-cookie', `token=${token}; Path=/; HttpOnly`)

/** The token that came along; the empty text where none did. */
export const tokenOf = ({ headers: { cookie = '' } }) => (cookie.startsWith('token=') ? cookie.slice(6) : '')
