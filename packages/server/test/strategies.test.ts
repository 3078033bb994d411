import { describe, expect, test } from 'vitest'
import { client } from './client.js'
import { folder, PASSWORD, started } from './started.js'

const ways = ['opaque', 'sealed', 'jwt'] as const

describe.each(ways)('SOJOURN_STRATEGY=%s', (strategy) => {
  test('a guest’s cart, a login, devices, the end of one, and a logout that holds', async () => {
    const { visitor, url } = await started({ strategy })
    const one = visitor()
    await one.post('/api/cart/items', { sku: 'notebook', quantity: 2 })
    expect((await one.post('/api/signup', { username: 'ann', password: PASSWORD })).status).toBe(201)
    expect((await one.get('/api/cart')).body).toEqual({ items: [{ sku: 'notebook', quantity: 2 }] })

    const two = visitor()
    expect((await two.post('/api/login', { username: 'ann', password: PASSWORD })).status).toBe(200)
    const { sessions } = (await one.get('/api/sessions')).body
    expect(sessions).toHaveLength(2)
    const [current, other] = sessions
    expect([current.current, other.current]).toEqual([true, false])
    expect((await one.delete(`/api/sessions/${other.id}`)).status).toBe(204)
    expect((await two.get('/api/session')).body.user).toBeNull()

    const stolen = client(url, one.jar.cloneSync())
    expect((await one.post('/api/logout')).status).toBe(204)
    expect((await stolen.get('/api/session')).body.user).toBeNull()
    expect((await stolen.get('/api/sessions')).status).toBe(401)
  })

  test('7.4.3: a change of the password ends the others and goes on here', async () => {
    const { visitor, user, url } = await started({ strategy })
    const one = await user('ann')
    const before = client(url, one.jar.cloneSync())
    const two = visitor()
    await two.post('/api/login', { username: 'ann', password: PASSWORD })
    const next = 'another few words in a row'
    expect((await one.post('/api/account/password', { current: PASSWORD, next })).status).toBe(204)
    expect((await one.get('/api/session')).body.user).toMatchObject({ username: 'ann' })
    for (const ended of [before, two]) expect((await ended.get('/api/session')).body.user).toBeNull()
  })

  test('what a page tells once is told once', async () => {
    const { user } = await started({ strategy })
    const ann = await user('ann')
    const [, token] = /name="csrf" value="([^"]+)"/.exec((await ann.get('/')).text)!
    const form = new URLSearchParams({ csrf: token!, sku: 'notebook', quantity: '1' })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await ann.send('POST', '/cart/add', { body: form.toString(), headers })).status).toBe(303)
    expect((await ann.get('/')).text).toContain('is in your cart')
    expect((await ann.get('/')).text).not.toContain('is in your cart')
  })
})

test('a restart with another strategy logs nobody out, whichever comes after which', async () => {
  const data = folder()
  let first = await started({ data, strategy: 'opaque' })
  let ann = await first.user('ann')
  let guest = first.visitor()
  await guest.post('/api/cart/items', { sku: 'notebook', quantity: 3 })
  for (const strategy of ['sealed', 'jwt', 'opaque', 'jwt', 'sealed', 'opaque'] as const) {
    await first.close()
    first = await started({ data, strategy })
    ann = client(first.url, ann.jar.cloneSync())
    guest = client(first.url, guest.jar.cloneSync())
    // Twice: the first request moves the session, the second comes with what it got.
    for (let i = 0; i < 2; i++) {
      expect((await ann.get('/api/session')).body.user).toMatchObject({ username: 'ann' })
      expect((await guest.get('/api/cart')).body).toEqual({ items: [{ sku: 'notebook', quantity: 3 }] })
    }
    expect((await ann.get('/api/sessions')).body.sessions).toHaveLength(1)
  }
})
