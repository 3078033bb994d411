/** Renewals at a provider that takes its time, through `oauth`: what it gave is kept, and it is asked once. */
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { createSessions } from 'sojourn'
import { oauth, oidc } from 'sojourn/identity/oauth'
import { vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { describe, expect, test } from 'vitest'
import { VAULT_KEY } from './fixtures/vault.js'
import { KEY } from './helpers.js'
import { type Liar, startLiar } from './providers/liar.js'

/** Makes its refresh tokens good for one use; whichever comes a second time ends the grant. Says which were sent. */
function rotating({ bent, sign }: Liar, late: () => number, claims?: () => Record<string, unknown>): string[] {
  const sent: string[] = []
  bent.answers['/token'] = async (response: ServerResponse) => {
    let body = ''
    for await (const part of response.req) body += part
    const token = new URLSearchParams(body).get('refresh_token')!
    const good = token === `r${sent.length}`
    sent.push(token)
    const next = { access_token: `a${sent.length}`, refresh_token: `r${sent.length}`, token_type: 'bearer' }
    const id_token = claims && (await sign(undefined, claims()))
    const answer = good ? { ...next, expires_in: 3600, id_token } : { error: 'invalid_grant' }
    await pause(late())
    response.writeHead(good ? 200 : 400, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }
  return sent
}

/** Two processes that share a store, in which `ada` is connected with a token that has run out. */
async function connected(liar: Liar) {
  const store = memory()
  const sessions = createSessions({ keys: KEY })
  const one = () => {
    const providers = oauth({ keys: KEY, origin: 'https://shop.example', providers: { staff: oidc(liar) } })
    return vault({ sessions, keys: VAULT_KEY, providers, store, owner: 'user' })
  }
  const [here, there] = [one(), one()]
  const owner = { provider: 'staff', issuer: liar.issuer, sub: 'ada' }
  const expired = { accessToken: 'a0', refreshToken: 'r0', tokenType: 'bearer', expiresAt: Date.now() - 1 } as const
  await here.keep('ada', { ...owner, ...expired })
  return { here, there }
}

describe.concurrent('a provider that is slow', () => {
  test('answers a renewal later than anybody waits: what it gave is kept all the same', {
    timeout: 30_000,
  }, async () => {
    const liar = await startLiar()
    const sent = rotating(liar, () => 6_000)
    const { here, there } = await connected(liar)
    expect(await here.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'unavailable' })
    expect(await there.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
    expect(await here.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
    expect(sent).toEqual(['r0'])
  })

  test('takes its time for its metadata and for its tokens: one process asks, the other waits', {
    timeout: 30_000,
  }, async () => {
    const liar = await startLiar()
    const sent = rotating(liar, () => 4_400)
    const { issuer } = liar
    const endpoints = {
      authorization_endpoint: `${issuer}/a`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/j`,
    }
    liar.bent.answers['/.well-known/openid-configuration'] = async (response) => {
      await pause(4_400)
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ issuer, ...endpoints }))
    }
    const { here, there } = await connected(liar)
    const first = here.fetch('ada', 'staff', '/me')
    await pause(300)
    expect(await there.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
    expect(await first).toMatchObject({ kind: 'unavailable' })
    expect(await here.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
    expect(sent).toEqual(['r0'])
  })
})

test('keys that cannot be had cost nobody the successor; the identity token that they would confirm is left out', async () => {
  const liar = await startLiar()
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: liar.issuer, aud: liar.clientId, sub: 'ada', iat: now, exp: now + 300 }
  const sent = rotating(
    liar,
    () => 0,
    () => claims,
  )
  liar.bent.answers['/jwks'] = (response) => void response.writeHead(503).end()
  const { here } = await connected(liar)
  expect(await here.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
  expect(await here.idToken('ada', 'staff')).toBeUndefined()

  liar.bent.answers['/jwks'] = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [liar.jwk] }))
  }
  liar.bent.answers['/me'] = (response) => void response.writeHead(sent.length > 1 ? 200 : 401).end()
  expect(await here.fetch('ada', 'staff', '/me')).toMatchObject({ kind: 'answer' })
  expect(await here.idToken('ada', 'staff')).toMatch(/^ey/)
  expect(sent).toEqual(['r0', 'r1'])
})
