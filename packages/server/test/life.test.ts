/** What survives: a restart, a signal, a broken store. And what the log says of it all. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { openDatabase } from '@sojourn/server/database'
import { describe, expect, test } from 'vitest'
import { client } from './client.js'
import { raw } from './raw.js'
import { serve, sojourn } from './spawned.js'
import { folder, PASSWORD, started } from './started.js'

describe('a restart', () => {
  test('keeps users signed in, and guests their carts', async () => {
    const data = folder()
    const first = await started({ data })
    const ada = await first.user('ada')
    const guest = first.visitor()
    await guest.post('/api/cart/items', { sku: 'notebook', quantity: 2 })
    await first.close()

    const second = await started({ data })
    expect((await client(second.url, ada.jar).get('/api/session')).body.user.username).toBe('ada')
    expect((await client(second.url, guest.jar).get('/api/cart')).body.items).toEqual([
      { sku: 'notebook', quantity: 2 },
    ])
    const again = second.visitor()
    expect((await again.post('/api/login', { username: 'ada', password: PASSWORD })).status).toBe(200)
  })

  test('with sessions in memory ends them, and keeps the accounts', async () => {
    const data = folder()
    const first = await started({ data, store: { kind: 'memory' } })
    const ada = await first.user('ada')
    await first.close()
    const second = await started({ data, store: { kind: 'memory' } })
    expect((await client(second.url, ada.jar).get('/api/session')).body.user).toBeNull()
    expect((await second.visitor().post('/api/login', { username: 'ada', password: PASSWORD })).status).toBe(200)
  })

  test('after a key was added logs nobody out', async () => {
    const data = folder()
    const first = await started({ data })
    const ada = await first.user('ada')
    await first.close()
    const made = sojourn(['keys', 'new', '--data', data])
    expect(await made.ended).toBe(0)
    const secrets = JSON.parse(readFileSync(join(data, 'keys.json'), 'utf8')).map(
      ({ secret }: { secret: string }) => secret,
    )
    expect(secrets).toHaveLength(2)
    for (const secret of secrets) expect(made.output()).not.toContain(secret)
    const second = await started({ data })
    expect((await client(second.url, ada.jar).get('/api/session')).body.user.username).toBe('ada')
  })

  test('PW-06: a password that was hashed at less cost is hashed anew at the next login', async () => {
    const data = folder()
    const first = await started({ data })
    await first.user('ada')
    await first.close()
    const { hash } = await import('@node-rs/argon2')
    const database = openDatabase(join(data, 'accounts.db'))
    database.prepare('UPDATE accounts SET password = ?').run(await hash(PASSWORD, { memoryCost: 4096, timeCost: 1 }))
    const second = await started({ data })
    const login = () => second.visitor().post('/api/login', { username: 'ada', password: PASSWORD })
    expect((await login()).status).toBe(200)
    expect(database.prepare('SELECT password FROM accounts').get()).toMatchObject({
      password: expect.stringContaining('m=19456,t=2,p=1'),
    })
    expect((await login()).status).toBe(200)
    database.close()
  })
})

describe('the command', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: what is under way is finished, nothing new begins, the exit code is 0',
    async (signal) => {
      const server = await serve(folder())
      // A sign-up whose body is still on its way when the signal comes.
      const body = JSON.stringify({ username: 'ada', password: PASSWORD })
      const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
      const slow = request(`${server.url}/api/signup`, { method: 'POST', headers })
      slow.write(body.slice(0, 10))
      await once(slow, 'socket').then(([socket]) => once(socket, 'connect'))
      await new Promise((resolve) => setTimeout(resolve, 200))
      server.child.kill(signal)
      await server.seen(/sys_stopping/)
      await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
      slow.end(body.slice(10))
      const [response] = await once(slow, 'response')
      response.resume()
      expect(response.statusCode).toBe(201)
      expect(response.headers.connection).toBe('close')
      expect(await server.ended).toBe(0)
      expect(server.output()).toMatch(/"event":"sys_shutdown"/)
    },
  )

  test('connections that nobody uses hold nothing up, neither kept alive nor opened ahead', async () => {
    const server = await serve(folder())
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    const ahead = connect(Number(new URL(server.url).port), '127.0.0.1')
    await once(ahead, 'connect')
    const before = performance.now()
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    expect(performance.now() - before).toBeLessThan(4000)
  })

  test('a second signal does not wait', async () => {
    const server = await serve(folder())
    const headers = { 'content-type': 'application/json', 'content-length': '100' }
    const stuck = request(`${server.url}/api/login`, { method: 'POST', headers })
    stuck.on('error', () => {})
    stuck.write('{')
    await once(stuck, 'socket').then(([socket]) => once(socket, 'connect'))
    await new Promise((resolve) => setTimeout(resolve, 200))
    server.child.kill('SIGTERM')
    await server.seen(/sys_stopping/)
    // At once it may be npm passing on what the terminal has sent to both.
    server.child.kill('SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(server.child.exitCode).toBeNull()
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(1)
  })

  test('a bad configuration is refused with everything that is wrong, and nothing is made', async () => {
    const data = join(folder(), 'never')
    const { ended, output } = sojourn(['serve', '--port', 'x', '--data', data], { SOJOURN_STORE: 'redis:' })
    expect(await ended).toBe(1)
    expect(output()).toMatch(/--port: "x".*\n.*SOJOURN_STORE: what it says is no address/)
    expect(output()).not.toMatch(/ {4}at /)
    expect(() => readFileSync(data)).toThrow('ENOENT')
  })

  test('a port that is taken is said to be so', async () => {
    const server = await started()
    const { ended, output } = sojourn(['serve', '--port', new URL(server.url).port, '--data', folder()])
    expect(await ended).toBe(1)
    expect(output()).toMatch(/in use/)
  })

  test('--help names every setting and what to run', async () => {
    const { ended, output } = sojourn(['serve', '--help'])
    expect(await ended).toBe(0)
    for (const name of ['--port', 'PORT', 'SOJOURN_ORIGIN', 'SOJOURN_DATA', 'SOJOURN_TRUST_PROXY'])
      expect(output()).toContain(name)
  })
})

describe('a broken store', () => {
  test('A-80, A-81, 16.5.1: is answered 503 with nothing of the cause; nobody is logged out, and it heals', async () => {
    const data = folder()
    const server = await started({ data })
    const ada = await server.user('ada')
    // Another process takes the whole table away, and gives it back.
    const thief = openDatabase(join(data, 'accounts.db'))
    thief.prepare('ALTER TABLE accounts RENAME TO stolen').run()
    for (const answer of [
      await ada.get('/api/session'),
      await ada.post('/api/login', { username: 'ada', password: PASSWORD }),
    ]) {
      expect(answer.status).toBe(503)
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(answer.headers.get('retry-after')).toBe('1')
      expect(answer.headers.getSetCookie()).toEqual([])
      expect(answer.text).not.toMatch(/sqlite|table|accounts|stack|\bat /i)
    }
    thief.prepare('ALTER TABLE stolen RENAME TO accounts').run()
    thief.close()
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
  })

  test('readyz says what is out of reach, and healthz stays well', async () => {
    const data = folder()
    const server = await started({ data })
    const visitor = server.visitor()
    expect(await visitor.get('/readyz')).toMatchObject({ status: 200, body: { status: 'ok' } })
    // SQLite shows one connection what another has done to the table.
    const thief = raw(join(data, 'sessions.db'))
    thief.exec('ALTER TABLE sojourn_sessions RENAME TO stolen')
    const answer = await visitor.get('/readyz')
    expect(answer.status).toBe(503)
    expect(answer.body).toMatchObject({ status: 503, detail: 'Out of reach: sessions.' })
    expect((await visitor.get('/healthz')).status).toBe(200)
    thief.exec('ALTER TABLE stolen RENAME TO sojourn_sessions')
    thief.close()
    expect((await visitor.get('/readyz')).status).toBe(200)
  })
})
