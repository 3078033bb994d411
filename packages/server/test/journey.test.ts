/** One journey of a user and a guest, wherever the server keeps things. */
import { describe, expect, test } from 'vitest'
import { client } from './client.js'
import { ENGINES } from './engines.js'
import { folder, PASSWORD, started } from './started.js'

describe.each(ENGINES)('on %s', (_, use) => {
  const where = use()

  test.each(['opaque', 'sealed', 'jwt'] as const)(
    '%s: from a guest’s cart to a password’s change',
    async (strategy) => {
      const at = { ...(await where()), strategy, data: folder() }
      let server = await started(at)
      const laptop = server.visitor()
      expect((await laptop.get('/readyz')).status).toBe(200)

      // A guest's cart comes along into the account.
      expect((await laptop.post('/api/cart/items', { sku: 'notebook', quantity: 2 })).status).toBe(200)
      expect((await laptop.post('/api/signup', { username: 'Ada', password: PASSWORD })).status).toBe(201)
      expect((await laptop.get('/api/cart')).body).toEqual({ items: [{ sku: 'notebook', quantity: 2 }] })
      expect((await server.visitor().post('/api/signup', { username: 'ＡＤＡ', password: PASSWORD })).status).toBe(409)
      expect((await server.visitor().post('/api/login', { username: 'ada', password: 'a wrong one' })).status).toBe(401)

      // A second device, with a cart of its own.
      const phone = server.visitor()
      await phone.post('/api/cart/items', { sku: 'notebook', quantity: 1 })
      expect((await phone.post('/api/login', { username: 'ADA', password: PASSWORD })).status).toBe(200)
      expect((await phone.get('/api/cart')).body).toEqual({ items: [{ sku: 'notebook', quantity: 3 }] })

      // parallel adds of two devices all count.
      const adds = Array.from({ length: 20 }, (_, i) => (i % 2 ? phone : laptop))
      const answers = await Promise.all(adds.map((who) => who.post('/api/cart/items', { sku: 'tea-tin', quantity: 1 })))
      expect(answers.map(({ status }) => status)).toEqual(adds.map(() => 200))
      expect((await laptop.get('/api/cart')).body.items).toContainEqual({ sku: 'tea-tin', quantity: 20 })
      expect((await laptop.post('/api/cart/items', { sku: 'tea-tin', quantity: 980 })).status).toBe(422)
      expect((await laptop.delete('/api/cart/items/tea-tin')).body).toEqual({
        items: [{ sku: 'notebook', quantity: 3 }],
      })

      // A restart logs nobody out.
      await server.close()
      server = await started(at)
      const [here, there] = [laptop, phone].map(({ jar }) => client(server.url, jar)) as [typeof laptop, typeof phone]
      expect((await here.get('/api/session')).body.user.username).toBe('Ada')

      // A token pair is a device, too.
      const program = server.visitor()
      const { body: tokens } = await program.post('/api/token', { username: 'ada', password: PASSWORD })
      const authorization = `Bearer ${tokens.access_token}`
      expect((await program.get('/api/cart', { authorization })).body.items).toHaveLength(1)
      const { sessions } = (await here.get('/api/sessions')).body
      expect(sessions).toHaveLength(3)
      const renewed = await program.post('/api/token/refresh', { refresh_token: tokens.refresh_token })
      expect(renewed.status).toBe(200)

      // A ticket opens once.
      const { ticket } = (await here.post('/api/ticket', { path: '/api/ticket/session' })).body
      const redeem = () => program.get(`/api/ticket/session?ticket=${ticket}`)
      expect([(await redeem()).status, (await redeem()).status]).toEqual([200, 401])

      // What is ended is refused, and a stolen copy with it.
      const stolen = client(server.url, there.jar.cloneSync())
      expect((await here.post('/api/sessions/end-others')).body).toEqual({ ended: 2 })
      expect((await stolen.get('/api/session')).body.user).toBeNull()
      const spent = await program.post('/api/token/refresh', { refresh_token: renewed.body.refresh_token })
      expect(spent.status).toBe(400)
      const next = 'another few words in a row'
      expect((await here.post('/api/account/password', { current: PASSWORD, next })).status).toBe(204)
      expect((await server.visitor().post('/api/login', { username: 'ada', password: PASSWORD })).status).toBe(401)
      const again = server.visitor()
      expect((await again.post('/api/login', { username: 'ada', password: next })).status).toBe(200)
      const before = client(server.url, again.jar.cloneSync())
      expect((await again.post('/api/logout')).status).toBe(204)
      expect((await before.get('/api/session')).body.user).toBeNull()
      expect(server.lines.filter((line) => line.includes('sys_fault'))).toEqual([])
    },
  )

  test('A-92: wrong passwords are counted there', async () => {
    const server = await started(await where())
    await server.user('ada')
    const wrong = () => server.visitor().post('/api/login', { username: 'ada', password: 'not the right one' })
    const statuses = []
    for (let i = 0; i < 6; i++) statuses.push((await wrong()).status)
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429])
  })
})
