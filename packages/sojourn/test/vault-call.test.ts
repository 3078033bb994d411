/** Where a vault sends a token, what it makes of the answers, and what a hostile path, provider or answer comes to. */
import type { VaultAnswer } from 'sojourn/identity/vault'
import { vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { describe, expect, test } from 'vitest'
import { providersAt } from './fixtures/provider.mjs'
import { VAULT_KEY, type World, world } from './fixtures/vault.js'

/** A vault whose user `ada` is connected, and what it says to a path. */
async function ada(options: { timeout?: number; bases?: (url: string) => string[] } = {}) {
  const w: World = await world('opaque', 'user')
  await w.vault.keep('ada', w.tokens())
  const { bases, ...rest } = options
  const providers = { ...providersAt(w.provider.url), ...(bases ? { apiOf: () => bases(w.provider.url) } : {}) }
  const users = w.again({ ...rest, providers })
  return { ...w, call: (path: string, init?: object) => users.fetch('ada', 'github', path, init) }
}

const bodyOf = async (answer: VaultAnswer) => (answer.kind === 'answer' ? answer.response.text() : answer.kind)

describe('15.3.2: the token goes to the provider’s own API alone', () => {
  test.each([
    'https://evil.example/user',
    '//evil.example/user',
    '/\\evil.example',
    '\\\\evil.example',
    'http:evil.example',
    '/..//evil.example',
    '/../admin',
    '/user/../../admin',
    '/%2e%2e/admin',
    '/.%2E/%2e./admin',
    '/a/..%2f..%2fadmin',
    '/a/..%5c..%5cadmin',
    '/\t/evil.example',
    '/user\r\nx-evil: 1',
    '',
    'user',
    '@evil.example/',
    '.evil.example/',
    ':80/',
    'javascript:alert(1)',
    'file:///etc/passwd',
  ])('%j', async (path) => {
    const { call, provider } = await ada()
    const error: unknown = await call(path).catch((error) => error)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).not.toMatch(/evil|canary/)
    expect(provider.state.calls).toEqual([])
  })

  test.each([
    ['a user before the host', (url: string) => url.replace('//', '//ada@')],
    ['the host as a user', (url: string) => `${url}@evil.example`],
    ['another port', (url: string) => `${url.replace(/\d+$/, '')}1`],
    ['the host as the beginning of another', (url: string) => `${url}.evil.example`],
    ['above the base', (url: string) => `${url}/apis/user`],
    ['the origin alone', (url: string) => `${url}/`],
    ['another scheme', (url: string) => `${url.replace('http:', 'https:')}/api/user`],
    ['a backslash', (url: string) => `${url}\\api/user`],
  ])('as a whole URL: %s', async (_, make) => {
    const { call, provider } = await ada()
    await expect(call(make(provider.url))).rejects.toThrow(TypeError)
    expect(provider.state.calls).toEqual([])
  })

  test('a path, a whole URL below the base (as pagination links are), and what a path may well contain', async () => {
    const { call, provider } = await ada()
    const paths = ['/user', `${provider.url}/api/repos?page=2`, '/branches/feature%2Fx', '/a..b/…', '/x?next=//y#z']
    for (const path of paths) expect(await call(path)).toMatchObject({ kind: 'answer' })
    expect(provider.state.calls.map(({ url }) => url)).toEqual([
      '/api/user',
      '/api/repos?page=2',
      '/api/branches/feature%2Fx',
      '/api/a..b/%E2%80%A6',
      '/api/x?next=//y',
    ])
  })

  test('several bases: a path is below the first, a whole URL below exactly one', async () => {
    const { call, provider } = await ada({ bases: (url) => [`${url}/api/`, `${url}/uploads`] })
    await call('/user')
    await call(`${provider.url}/uploads/1`)
    await expect(call(`${provider.url}/uploads-of-others/1`)).rejects.toThrow(TypeError)
    expect(provider.state.calls.map(({ url }) => url)).toEqual(['/api/user', '/uploads/1'])
  })

  test.each([
    'http://api.example',
    'https://ada:pw@api.example',
    'https://api.example/?q',
    'none',
    'ftp://api.example',
  ])('a base in clear, or one that is none, is nobody’s: %s', async (base) => {
    const { call } = await ada({ bases: () => [base] })
    await expect(call('/user')).rejects.toThrow(TypeError)
  })

  test('no redirect is followed, within the host or away from it: the app is told where to', async () => {
    const { call, provider } = await ada()
    const within = await call('/redirect')
    const away = await call('/away')
    if (within.kind !== 'answer' || away.kind !== 'answer') throw new Error('no answer')
    expect([within.response.status, within.response.headers.get('location')]).toEqual([302, '/api/me'])
    expect([away.response.status, away.response.headers.get('location')]).toEqual([307, 'http://127.0.0.2:9/steal'])
    expect(provider.state.calls).toHaveLength(2)
  })
})

describe('what is sent', () => {
  test('`authorization`, `cookie` and `host` are not the caller’s to set; the rest is', async () => {
    const { call, provider } = await ada()
    const headers = { Authorization: 'Bearer mine', COOKIE: 'a=1', host: 'evil.example', 'x-own': '1' }
    await call('/user', { method: 'POST', headers, body: 'hello' })
    const [sent] = provider.state.calls
    expect(sent).toMatchObject({
      method: 'POST',
      body: 'hello',
      headers: { 'x-own': '1', host: provider.url.slice(7) },
    })
    expect(sent!.headers.authorization).toMatch(/^Bearer canary-access-/)
    expect(sent!.headers.cookie).toBeUndefined()
  })

  test('what was sent with a refused token is sent again with a new one', async () => {
    const { call, provider } = await ada()
    provider.state.access.clear()
    await call('/user', { method: 'POST', body: new URLSearchParams({ a: '1' }) })
    expect(provider.state.calls.map(({ body }) => body)).toEqual(['a=1', 'a=1'])
    expect(new Set(provider.state.calls.map(({ headers }) => headers.authorization)).size).toBe(2)
  })

  test('what makes no request is the caller’s to hear, and without the token', async () => {
    const { call, provider } = await ada()
    const error: unknown = await call('/user', { body: 'a GET has none' }).catch((error) => error)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).not.toContain('canary')
    expect(provider.state.calls).toEqual([])
  })

  test('the caller’s signal stops it', async () => {
    const { call } = await ada()
    await expect(call('/slow', { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/)
  })
})

describe('what is answered', () => {
  test.each([
    ['/down', { kind: 'unavailable', provider: 'github', retryAfter: 7_000 }],
    ['/limited', { kind: 'limited', provider: 'github', retryAfter: 3_000 }],
    ['/scope', { kind: 'scope', provider: 'github', scope: ['repo', 'admin'] }],
    ['/scope-github', { kind: 'scope', provider: 'github', scope: ['repo', 'public_repo'] }],
  ])('%s', async (path, expected) => {
    const { call } = await ada()
    expect(await call(path)).toEqual(expected)
  })

  test('GitHub limits with 403, and says until when', async () => {
    const { call } = await ada()
    const answer = await call('/limited-403')
    expect(answer).toMatchObject({ kind: 'limited' })
    expect((answer as { retryAfter: number }).retryAfter).toBeGreaterThan(55_000)
  })

  test('another 403 is the provider’s answer', async () => {
    const { call } = await ada()
    const answer = await call('/forbidden')
    expect(answer).toMatchObject({ kind: 'answer', response: { status: 403 } })
    expect(await bodyOf(answer)).toBe('not yours')
  })

  test('a provider that does not answer in time, or not to the end', async () => {
    const { call } = await ada({ timeout: 200 })
    expect(await call('/slow')).toEqual({ kind: 'unavailable', provider: 'github' })
    await expect(bodyOf(await call('/drip'))).rejects.toThrow()
  })

  test('a provider that is not there', async () => {
    const { call } = await ada({ bases: () => ['http://127.0.0.1:1'] })
    expect(await call('/user')).toEqual({ kind: 'unavailable', provider: 'github' })
  })

  test('an answer without end breaks off at 10 MB', async () => {
    const { call } = await ada()
    await expect(bodyOf(await call('/big'))).rejects.toThrow(/over 10485760 bytes/)
  })

  test('the provider’s cookies are not handed on', async () => {
    const { call } = await ada()
    const answer = await call('/cookie')
    expect(answer.kind === 'answer' && [...answer.response.headers.keys()]).not.toContain('set-cookie')
    expect(await bodyOf(answer)).toBe('ok')
  })

  test('a fresh token that is refused all the same: to connect again, and what is kept stays', async () => {
    const w = await ada()
    const providers = {
      ...providersAt(w.provider.url),
      async refresh(provider: string, refreshToken: string, sub: string) {
        const tokens = await providersAt(w.provider.url).refresh(provider, refreshToken, sub)
        w.provider.state.access.clear()
        return tokens
      },
    }
    w.provider.state.access.clear()
    const answer = await w.again({ providers }).fetch('ada', 'github', '/user')
    expect(answer).toEqual({ kind: 'reconnect', provider: 'github', why: 'revoked' })
    expect(w.provider.state.calls).toHaveLength(2)
    expect(await w.vault.connections('ada')).toHaveLength(1)
  })

  test('OpenID Connect 12.2: tokens that are another user’s are not taken', async () => {
    const w = await world('opaque', 'user')
    await w.vault.keep('ada', w.tokens(0))
    const mixed = {
      ...providersAt(w.provider.url),
      refresh: async () => ({ ...w.tokens(), sub: 'eve' }),
    }
    expect(await w.again({ providers: mixed }).fetch('ada', 'github', '/user')).toMatchObject({ kind: 'unavailable' })
    expect(await w.vault.connections('ada')).toMatchObject([{ sub: '1' }])
  })

  test('a store that fails is a fault without the token, and nothing is renewed or lost', async () => {
    const rows = memory()
    const w = await world('opaque', 'user', { rows })
    await w.vault.keep('ada', w.tokens(0))
    let broken = true
    const failing = {
      ...w.rows,
      get: (id: string) => rows.get(id),
      list: rows.list.bind(rows),
      endAll: rows.endAll.bind(rows),
    }
    const store = {
      ...failing,
      delete: rows.delete.bind(rows),
      set(...args: Parameters<typeof rows.set>) {
        if (broken) throw new Error('canary: disk full')
        return rows.set(...args)
      },
    }
    const users = vault({
      sessions: w.app.sessions,
      keys: VAULT_KEY,
      providers: providersAt(w.provider.url),
      store,
      owner: 'user',
    })
    await expect(users.fetch('ada', 'github', '/user')).rejects.toMatchObject({ code: 'ERR_STORE' })
    expect(w.provider.state.refreshes).toBe(0)
    broken = false
    expect(await users.fetch('ada', 'github', '/user')).toMatchObject({ kind: 'answer' })
  })
})
