/** What sessions with equal content share in memory, and that no way of reading lets one of them reach the others. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { App, type Shop, shop } from './helpers.js'

type Reading = (data: Shop) => Partial<Shop>

/** Every way to an own property, and what it hands out. */
const readings: [string, Reading][] = [
  ['a property', (data) => ({ cart: data.cart })],
  ['Reflect.get', (data) => ({ cart: Reflect.get(data, 'cart') as string[] })],
  ['a descriptor', (data) => ({ cart: Object.getOwnPropertyDescriptor(data, 'cart')!.value as string[] })],
  ['Reflect’s descriptor', (data) => ({ cart: Reflect.getOwnPropertyDescriptor(data, 'cart')!.value as string[] })],
  ['all descriptors', (data) => Object.defineProperties({}, Object.getOwnPropertyDescriptors(data))],
  ['entries', (data) => Object.fromEntries(Object.entries(data))],
  ['values', (data) => ({ cart: Object.values(data).find(Array.isArray) })],
  ['a spread', (data) => ({ ...data })],
  ['Object.assign', (data) => Object.assign({}, data)],
  ['a loop', (data) => ({ cart: Object.keys(data).map((key) => data[key])[0] as string[] })],
  ['an heir', (data) => Object.create(data) as Shop],
]
const copies: [string, Reading][] = [
  ['structuredClone', (data) => structuredClone({ ...data })],
  ['JSON', (data) => JSON.parse(JSON.stringify(data)) as Shop],
]

/** Two visitors whose records hold the same text, parsed once for both. */
async function twins(app: App): Promise<[string, string]> {
  const begin = async (user: string) => {
    const { given } = await app.request('', (s) => [s.login(user), s.update('count', () => 7)])
    return given!
  }
  const pair: [string, string] = [await begin('ada'), await begin('eve')]
  for (let i = 0; i < 3; i++) for (const cookie of pair) await app.request(cookie, (s) => s.data.count)
  return pair
}

describe('A-12: what one visitor changes inside an object reaches no other', () => {
  test.each(readings)('A-12: read by %s', async (_, read) => {
    const app = shop()
    const [ada, eve] = await twins(app)
    await app.request(ada, (s) => void read(s.data).cart!.push('of ada'))

    expect((await app.request(eve, (s) => s.data.cart)).value).toEqual([])
    await app.request(eve, (s) => s.update('count', (n) => n + 1))
    expect((await app.request(eve, (s) => s.data.cart)).value).toEqual([])
    // And it is a change like any other, which is kept.
    expect((await app.request(ada, (s) => s.data.cart)).value).toEqual(['of ada'])
  })

  test.each(copies)('A-12: a copy by %s is nobody’s', async (_, copy) => {
    const app = shop()
    const [ada, eve] = await twins(app)
    await app.request(ada, (s) => void copy(s.data).cart!.push('of ada'))
    for (const cookie of [ada, eve]) expect((await app.request(cookie, (s) => s.data.cart)).value).toEqual([])
  })

  test.each(readings)('A-12: after the commit, %s hands out nothing that can be changed', async (_, read) => {
    const app = shop()
    const [ada, eve] = await twins(app)
    await app.request(ada, async (s) => {
      await s.commit()
      expect(() => read(s.data).cart!.push('of ada')).toThrow(TypeError)
    })
    expect((await app.request(eve, (s) => s.data.cart)).value).toEqual([])
  })

  test('a descriptor says what a plain object says', async () => {
    const { value } = await shop().request('', ({ data }) => [
      Object.getOwnPropertyDescriptors(data),
      Object.getOwnPropertyDescriptor(data, 'constructor'),
      Object.getOwnPropertyDescriptor(data, Symbol.iterator),
      Object.hasOwn(data, 'cart'),
      Object.hasOwn(data, 'toString'),
    ])
    const plain = { writable: true, enumerable: true, configurable: true }
    const descriptors = { cart: { value: [], ...plain }, count: { value: 0, ...plain } }
    expect(value).toEqual([descriptors, undefined, undefined, true, false])
  })

  test('looking at what is there is no change', async () => {
    const app = shop()
    const [ada] = await twins(app)
    const set = app.store.set.bind(app.store)
    let writes = 0
    app.store.set = (...args) => {
      writes++
      return set(...args)
    }
    await app.request(ada, ({ data }) => [Object.getOwnPropertyDescriptors(data), Object.keys(data), { ...data }])
    expect(writes).toBe(0)
  })
})

/** An app whose sessions all begin with the same object, as a constant of the module is. */
function constant(options: Partial<ConstructorParameters<typeof App<Shop>>[0]> = {}) {
  const beginning: Shop = { cart: [], count: 0, deep: { list: [] } }
  return { beginning, app: shop({ initial: () => beginning, ...options }) }
}
const schema = z.looseObject({ cart: z.custom<string[]>(Array.isArray), count: z.number() })

describe.each([
  ['without a schema', {}],
  ['with a schema', { schema }],
])('A-12: an `initial` that gives everybody the same object, %s', (_, options) => {
  const started = { cart: [], count: 0, deep: { list: [] } }

  test('A-12: a guest puts nothing into it, and none is locked out of it', async () => {
    const { app, beginning } = constant(options)
    for (const name of ['ada', 'eve', 'bob']) {
      const { value, status } = await app.request('', (s) => {
        s.data.cart.push(name)
        s.update('deep', (deep) => {
          ;(deep as { list: string[] }).list.push(name)
          return deep
        })
        return { ...s.data }
      })
      expect([status, value]).toEqual([200, { cart: [name], count: 0, deep: { list: [name] } }])
    }
    expect(beginning).toEqual(started)
    expect((await app.request('', (s) => ({ ...s.data }))).value).toEqual(started)
    expect([beginning, beginning.cart, beginning.deep].map(Object.isFrozen)).toEqual([false, false, false])
  })

  test('A-12: nor does a session that began before a key was there, or meets a conflict over it', async () => {
    const before = new App({ initial: () => ({ cart: [], count: 0 }) })
    const { given } = await before.request('', (s) => s.update('count', () => 1))
    const { app, beginning } = constant({ ...options, store: before.store, clock: before.clock })
    const push = (s: { update: (key: 'deep', fn: (value: unknown) => unknown) => unknown }, name: string) =>
      s.update('deep', (deep) => {
        ;(deep as { list: string[] }).list.push(name)
        return deep
      })
    await app.request(given!, async (slow) => {
      push(slow, 'slow')
      await before.request(given!, (fast) => fast.update('count', (n) => n + 1))
    })
    expect((await app.request(given!, (s) => [s.data.count, s.data.deep])).value).toEqual([2, { list: ['slow'] }])
    expect(beginning).toEqual(started)
  })

  test('A-12: read after the commit, it is shown and not locked', async () => {
    const { app, beginning } = constant(options)
    await app.request('', async (s) => {
      await s.commit()
      expect(s.data.cart).toBe(s.data.cart)
      expect(() => s.data.cart.push('late')).toThrow(TypeError)
    })
    expect(Object.isFrozen(beginning.cart)).toBe(false)
  })
})

test('A-12: what a schema gives in place of a missing key is nobody’s either', async () => {
  const tags: string[] = []
  const app = new App<{ tags?: unknown }>({
    initial: () => ({}),
    schema: z.object({ tags: z.any().default({ list: tags }) }),
  })
  const { given } = await app.request('', (s) => s.csrfToken())
  await app.request(given!, (s) => void (s.data.tags as { list: string[] }).list.push('of ada'))
  expect(tags).toEqual([])
})

test('what the app puts into a session stays its own: it can be changed when the session is kept', async () => {
  const settings = { theme: 'dark', list: [] as string[] }
  const product = { sku: 'tea', tags: [] as string[] }
  const app = shop()
  const { given } = await app.request('', async (s) => {
    Object.assign(s.data, { settings, again: settings })
    s.update('updated', () => settings)
    ;(s.data.cart as unknown[]).push(product)
    expect(s.data.settings).toBe(settings)
    await s.commit()
    const late = (key: string) => () => Object.assign(s.data[key] as object, { theme: 'light' })
    for (const key of ['settings', 'again', 'updated']) expect(late(key)).toThrow(TypeError)
    expect(() => s.data.cart.push('late')).toThrow(TypeError)
    expect(() => (s.data.cart[0] as unknown as typeof product).tags.push('late')).toThrow(TypeError)
  })
  settings.list.push('of the app')
  product.tags.push('of the app')
  const kept = { theme: 'dark', list: [] }
  expect((await app.request(given!, ({ data }) => ({ ...data }))).value).toEqual({
    cart: [{ sku: 'tea', tags: [] }],
    count: 0,
    settings: kept,
    again: kept,
    updated: kept,
  })
})
