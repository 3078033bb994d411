/** What the log says, and what it never says. */

import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { openDatabase } from '@sojourn/server/database'
import { expect, test } from 'vitest'
import { PASSWORD, started } from './started.js'

test('16.2.5, A-154: no password, no username, no credential, no key and no token is ever in it', async () => {
  const server = await started()
  const secrets = new Set<string>([
    PASSWORD,
    'canary-user',
    'canary-query',
    'canary-wrong',
    'canary-next',
    'canary-agent',
  ])
  const ada = server.visitor()
  const keep = async () => {
    for (const cookie of await ada.jar.getCookies(server.url))
      for (const part of cookie.value.split('.').slice(1)) secrets.add(part)
  }
  const agent = { 'user-agent': 'canary-agent' }
  await ada.post('/api/cart/items', { sku: 'notebook', quantity: 1 }, agent)
  await keep()
  await ada.post('/api/signup?canary-query=1', { username: 'canary-user', password: PASSWORD }, agent)
  await keep()
  await ada.post('/api/account/password', { current: PASSWORD, next: 'canary-next and more words' })
  await keep()
  for (let i = 0; i < 7; i++)
    await server.visitor().post('/api/login', { username: 'canary-user', password: 'canary-wrong' })
  await server.visitor().post('/api/login', { username: 'canary-wrong', password: 'canary-wrong' })
  await ada.get('/account?canary-query')
  await ada.post('/api/logout')
  await server
    .visitor()
    .get('/api/session', { cookie: `session=aaaaaa.${'canary-query'.padEnd(43, 'x')}.${'y'.repeat(43)}` })
  for (const { secret } of JSON.parse(readFileSync(join(server.data, 'keys.json'), 'utf8'))) secrets.add(secret)

  const log = server.lines.join('')
  expect(log.length).toBeGreaterThan(1000)
  expect(secrets.size).toBeGreaterThan(10)
  for (const secret of secrets) expect(log.includes(secret), secret).toBe(false)
  expect(log).not.toContain('argon2id')
})

test('16.2.1, 16.2.4, 16.3.1, 16.3.3: when, where, who and what, in the words of OWASP', async () => {
  const server = await started()
  const ada = await server.user('ada')
  const { user } = (await ada.get('/api/session')).body
  await ada.post('/api/logout')
  await ada.post('/api/login', { username: 'ada', password: PASSWORD })
  for (let i = 0; i < 6; i++) await server.visitor().post('/api/login', { username: 'ada', password: 'wrong' })
  await ada.post('/api/logout', undefined, { 'sec-fetch-site': 'cross-site' })
  await server.visitor().get('/api/session', { cookie: `session=aaaaaa.${'x'.repeat(43)}.${'y'.repeat(43)}` })

  const lines = server.lines.map((line) => JSON.parse(line))
  for (const line of lines) expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  const of = (event: string) => lines.filter((line) => line.event === event)
  expect(of('user_created')).toMatchObject([{ user: user.id, ip: '127.0.0.1', level: 'info' }])
  expect(of('authn_login_success')).toMatchObject([{ user: user.id, ip: '127.0.0.1' }])
  expect(of('authn_login_fail')).toHaveLength(5)
  expect(of('authn_login_fail')[0]).toMatchObject({ user: user.id, ip: '127.0.0.1', level: 'warn' })
  expect(of('authn_login_lock')).toMatchObject([{ user: user.id, ip: '127.0.0.1' }])
  expect(of('session_created').map((line) => line.user)).toEqual([user.id, user.id])
  expect(of('session_ended')).toMatchObject([{ user: user.id, reason: 'logout', session: expect.any(String) }])
  expect(of('malicious_csrf')).toMatchObject([{ reason: 'cross-origin', ip: '127.0.0.1' }])
  expect(of('session_refused')).toMatchObject([{ reason: 'forged', ip: '127.0.0.1' }])
  const requests = lines.filter((line) => line.method)
  expect(requests.at(-1)).toMatchObject({ method: 'GET', path: '/api/session', status: 200, ms: expect.any(Number) })
})

test('16.4.1, A-155: whatever a request says, it is one line, and nothing in it commands a terminal', async () => {
  const server = await started()
  const { port } = new URL(server.url)
  const path = '/api/nothing%0d%0a%1b[31m\u2028%e2%80%a8"},{"event":"forged"'
  const sent = request({
    port,
    path: encodeURI(path),
    headers: { 'user-agent': '\u001b[31m"\u0085'.replace(/[^\x20-\x7e]/g, '') },
  })
  await new Promise((resolve) => sent.on('response', (response) => response.resume().on('end', resolve)).end())
  const line = server.lines.find((text) => text.includes('/api/nothing'))!
  expect(line.trimEnd()).toMatch(/^[\x20-\x7e]+$/)
  expect(JSON.parse(line)).not.toMatchObject({ event: 'forged' })
})

test('PW-06: a damaged hash is told, an account without a password is not, and both are answered alike', async () => {
  const server = await started()
  for (const name of ['ada', 'octocat']) await server.user(name)
  const kept = openDatabase(join(server.data, 'accounts.db'))
  for (const [name, hash] of [
    ['ada', '$argon2id$v=19$m=19456,t=2'],
    ['octocat', ''],
  ] as const)
    expect(kept.prepare('UPDATE accounts SET password = ? WHERE name = ?').run(hash, name).changes).toBe(1)
  kept.close()

  const faults = () => server.lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'sys_fault')
  const login = (username: string) => server.visitor().post('/api/login', { username, password: PASSWORD })
  expect((await login('octocat')).status).toBe(401)
  expect(faults()).toEqual([])
  expect((await login('ada')).status).toBe(401)
  expect(faults()).toEqual([expect.objectContaining({ level: 'error', code: 'ERR_DATA' })])
  expect(JSON.stringify(faults())).not.toContain('argon2id')
})
