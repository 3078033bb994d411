/** What sessions with equal content share in memory, and that no way of reading lets one of them reach the others. */
import { describe, expect, test } from 'vitest'
import { type App, type Shop, shop } from './helpers.js'

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
