/** Carts over the wire: no add is lost, and none counts twice, whoever adds and whenever they sign in. */
import { storePlace } from '@sojourn/server/place'
import { CookieJar } from 'tough-cookie'
import { describe, expect, test } from 'vitest'
import { type Client, client } from './client.js'
import { PASSWORD, type Started, started } from './started.js'

const add = (who: Client, sku = 'notebook', quantity = 1) => who.post('/api/cart/items', { sku, quantity })
const items = async (who: Client) => (await who.get('/api/cart')).body.items
const login = (who: Client, username = 'ada') => who.post('/api/login', { username, password: PASSWORD })

/** A second tab: the cookies of `who` as they are now, which then go their own way. */
async function tab(server: Started, who: Client): Promise<Client> {
  return client(server.url, CookieJar.deserializeSync(JSON.stringify(who.jar.serializeSync())))
}

describe('the calls', () => {
  test('the catalogue', async () => {
    const { status, body } = await (await started()).visitor().get('/api/products')
    expect(status).toBe(200)
    expect(body.products.length).toBeGreaterThanOrEqual(8)
    for (const product of body.products) {
      expect(product).toEqual({
        sku: expect.stringMatching(/^[a-z-]+$/),
        name: expect.any(String),
        price: { cents: expect.any(Number), currency: 'EUR' },
      })
    }
  })

  test.each(['guest', 'user'])('a %s adds, adds again, and takes out', async (kind) => {
    const server = await started()
    const who = kind === 'guest' ? server.visitor() : await server.user('ada')
    expect(await items(who)).toEqual([])
    expect(await add(who, 'notebook', 2)).toMatchObject({
      status: 200,
      body: { items: [{ sku: 'notebook', quantity: 2 }] },
    })
    expect((await add(who, 'notebook', 3)).body.items).toEqual([{ sku: 'notebook', quantity: 5 }])
    await add(who, 'enamel-mug', 1)
    expect(await items(who)).toEqual([
      { sku: 'enamel-mug', quantity: 1 },
      { sku: 'notebook', quantity: 5 },
    ])
    expect((await who.delete('/api/cart/items/notebook')).body.items).toEqual([{ sku: 'enamel-mug', quantity: 1 }])
    expect((await who.delete('/api/cart/items/notebook')).status).toBe(200)
    expect((await who.delete('/api/cart/items/enamel-mug')).body.items).toEqual([])
  })

  test.each(['guest', 'user'])('a %s is told 422 of what cannot be added', async (kind) => {
    const server = await started()
    const who = kind === 'guest' ? server.visitor() : await server.user('ada')
    for (const quantity of [0, -1, 1.5, '2', null, undefined, 1000, 1e300, [1]]) {
      const answer = await who.post('/api/cart/items', { sku: 'notebook', quantity })
      expect([quantity, answer.status, answer.headers.get('content-type')]).toEqual([
        quantity,
        422,
        'application/problem+json',
      ])
    }
    for (const sku of ['nothing', '', '__proto__', 'constructor', 7, null]) {
      expect((await who.post('/api/cart/items', { sku, quantity: 1 })).status).toBe(422)
    }
    expect((await who.delete('/api/cart/items/__proto__')).status).toBe(422)
    expect((await add(who, 'notebook', 999)).status).toBe(200)
    expect((await add(who, 'notebook', 1)).status).toBe(422)
    expect(await items(who)).toEqual([{ sku: 'notebook', quantity: 999 }])
  })

  test('a visitor who only looks is not remembered', async () => {
    const visitor = (await started()).visitor()
    expect((await visitor.get('/api/cart')).headers.getSetCookie()).toEqual([])
  })
})

describe('15.4.2: parallel adds', () => {
  test.each([
    ['guest', 'sqlite'],
    ['user', 'sqlite'],
    ['guest', 'memory'],
  ] as const)('fifty at once by one %s (%s) are fifty', async (kind, store) => {
    const server = await started({ store: storePlace(`${store}:`) })
    const who = kind === 'guest' ? server.visitor() : await server.user('ada')
    await add(who)
    const answers = await Promise.all(Array.from({ length: 50 }, () => add(who)))
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200))
    expect(await items(who)).toEqual([{ sku: 'notebook', quantity: 51 }])
  })

  test('fifty at once from five devices of one user are fifty', async () => {
    const server = await started()
    const devices = [await server.user('ada')]
    for (let i = 0; i < 4; i++) {
      devices.push(server.visitor())
      await login(devices.at(-1)!)
    }
    await Promise.all(devices.flatMap((device) => Array.from({ length: 10 }, () => add(device))))
    for (const device of devices) expect(await items(device)).toEqual([{ sku: 'notebook', quantity: 50 }])
  })
})

describe('the guest’s cart comes along', () => {
  test('to a new account, and to one that has a cart', async () => {
    const server = await started()
    const ada = server.visitor()
    await add(ada, 'notebook', 2)
    await ada.post('/api/signup', { username: 'ada', password: PASSWORD })
    expect(await items(ada)).toEqual([{ sku: 'notebook', quantity: 2 }])

    const phone = server.visitor()
    await add(phone, 'notebook', 1)
    await add(phone, 'tea-tin', 1)
    await login(phone)
    const all = [
      { sku: 'notebook', quantity: 3 },
      { sku: 'tea-tin', quantity: 1 },
    ]
    // The other device sees it before the first one has looked.
    expect(await items(ada)).toEqual(all)
    expect(await items(phone)).toEqual(all)
  })

  test('and stays with the account at sign-out', async () => {
    const server = await started()
    const ada = await server.user('ada')
    await add(ada)
    await ada.post('/api/logout')
    expect(await items(ada)).toEqual([])
    await login(ada)
    expect(await items(ada)).toEqual([{ sku: 'notebook', quantity: 1 }])
  })

  test('A-12: from one user to the next nothing comes along', async () => {
    const server = await started()
    await server.user('grace')
    const who = await server.user('ada')
    await add(who)
    await login(who, 'grace')
    expect(await items(who)).toEqual([])
  })

  test('once, when two tabs sign in one after the other with the same cookie', async () => {
    const server = await started()
    await server.user('ada')
    const first = server.visitor()
    await add(first, 'notebook', 2)
    const second = await tab(server, first)
    await login(first)
    await login(second)
    for (const who of [first, second]) expect(await items(who)).toEqual([{ sku: 'notebook', quantity: 2 }])
  })

  test('once, when two tabs sign in at the same moment, twenty times over', async () => {
    const server = await started()
    await server.user('ada')
    for (let round = 1; round <= 20; round++) {
      const first = server.visitor()
      await add(first, 'notebook', 2)
      const tabs = [first, await tab(server, first)]
      const answers = await Promise.all(tabs.map((who) => login(who)))
      expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0)
      for (const [i, who] of tabs.entries()) {
        if (answers[i]!.status === 200) expect(await items(who)).toEqual([{ sku: 'notebook', quantity: 2 * round }])
      }
    }
  })

  test('whole, when adds race with the login: each that was answered 200 is in the account, once', async () => {
    const server = await started()
    await server.user('ada')
    let expected = 0
    let refused = 0
    for (let round = 0; round < 20; round++) {
      const guest = server.visitor()
      await add(guest)
      expected++
      const other = await tab(server, guest)
      const [entered, ...adds] = await Promise.all([
        login(guest),
        ...Array.from({ length: 8 }, async (_, i) => {
          // Spread over the login's time, which is mostly that of the hash.
          await new Promise((resolve) => setTimeout(resolve, i * 4))
          return add(other)
        }),
      ])
      expect(entered!.status).toBe(200)
      for (const answer of adds) {
        expect([200, 409]).toContain(answer.status)
        if (answer.status === 200) expected++
        else refused++
      }
      expect(await items(guest)).toEqual([{ sku: 'notebook', quantity: expected }])
    }
    expect(expected + refused).toBe(20 * 9)
  })
})
