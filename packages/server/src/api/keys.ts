/** `/.well-known/jwks.json`: the public keys, for whoever verifies access tokens without asking us (RFC 7517). */
import type { Hono } from 'hono'
import type { SigningKey } from 'sojourn/token/jws'

/** Seconds that verifiers may keep what they read; for a key id that they do not know they look again. */
const MAX_AGE = 300

/** Adds the call that publishes the keys. Public halves only. */
export function keyCalls(app: Hono, verifiers: () => readonly SigningKey[]): void {
  app.get('/.well-known/jwks.json', (c) => {
    const keys = verifiers().map(({ id, algorithm, public: key }) => {
      return { ...key.export({ format: 'jwk' }), kid: id, use: 'sig', alg: algorithm }
    })
    const headers = { 'content-type': 'application/jwk-set+json', 'cache-control': `public, max-age=${MAX_AGE}` }
    return c.body(JSON.stringify({ keys }), 200, headers)
  })
}
