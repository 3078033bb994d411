/** Data that is checked: by zod, valibot and arktype alike, when it is read and before it is kept. */
import { type } from 'arktype'
import type { StandardSchema } from 'sojourn'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { App } from './helpers.js'

interface Checked {
  cart: { sku: string; count: number }[]
  theme: 'light' | 'dark'
}

const schemas: [string, StandardSchema<Checked>][] = [
  [
    'zod',
    z.object({
      cart: z.array(z.object({ sku: z.string(), count: z.number().int().positive() })),
      theme: z.enum(['light', 'dark']),
    }),
  ],
  [
    'valibot',
    v.object({
      cart: v.array(v.object({ sku: v.string(), count: v.pipe(v.number(), v.integer(), v.minValue(1)) })),
      theme: v.picklist(['light', 'dark']),
    }),
  ],
  ['arktype', type({ cart: type({ sku: 'string', count: 'number.integer > 0' }).array(), theme: "'light' | 'dark'" })],
]

describe.each(schemas)('%s', (_, schema) => {
  const checked = (options: Partial<ConstructorParameters<typeof App<Checked>>[0]> = {}) =>
    new App<Checked>({ initial: () => ({ cart: [], theme: 'light' }), schema, ...options })

  test('what fits is kept', async () => {
    const app = checked()
    const { given } = await app.request('', (s) => void s.data.cart.push({ sku: 'book', count: 1 }))
    expect((await app.request(given!, (s) => s.data.cart)).value).toEqual([{ sku: 'book', count: 1 }])
  })

  test('what does not is refused before it is kept, by the name of the field and not by what is in it', async () => {
    const app = checked()
    const { given } = await app.request('', (s) => s.login('ada'))
    app.told()
    const wrong: ((data: Checked) => unknown)[] = [
      (data) => data.cart.push({ sku: 'secret of ada', count: -1 }),
      (data) => Object.assign(data, { cart: { 'secret of ada': 1 } }),
      (data) => Object.assign(data, { cart: 'secret of ada' }),
      (data) => Reflect.set(data, 'cart', undefined),
    ]
    for (const change of wrong) {
      const answer = await app.request(given!, (s) => change(s.data))
      expect([answer.status, answer.given]).toEqual([500, undefined])
    }
    const messages = app.events.map((event) => (event.type === 'fault' ? [event.code, event.message] : event.type))
    expect(messages).toEqual(wrong.map(() => ['ERR_DATA', 'session.data.cart does not fit the schema']))
    expect((await app.request(given!, (s) => [s.userId, s.data.cart])).value).toEqual(['ada', []])
  })

  test('A-73: what was kept before the schema was this one begins anew, and who is signed in stays', async () => {
    const before = new App({ initial: () => ({ cart: ['book'], theme: 'blue' }) })
    const { given } = await before.request('', (s) => [s.login('ada'), s.update('theme', () => 'green')])
    const app = checked({ store: before.store, clock: before.clock })
    const read = await app.request(given!, (s) => [s.userId, { ...s.data }])
    expect(read.value).toEqual(['ada', { cart: [], theme: 'light' }])
    expect(app.events).toEqual([expect.objectContaining({ type: 'fault', code: 'ERR_DATA' })])
    expect(JSON.stringify(app.events)).not.toMatch(/book|green/)

    await app.request(given!, (s) => void s.data.cart.push({ sku: 'pen', count: 2 }))
    app.told()
    expect((await app.request(given!, (s) => s.data.cart)).value).toEqual([{ sku: 'pen', count: 2 }])
    expect(app.told()).toEqual([])
  })

  test('what two requests wrote together is checked as well', async () => {
    const app = checked()
    const { given } = await app.request('', (s) => s.update('theme', () => 'dark'))
    const slow = await app.request(given!, async (s) => {
      s.update('cart', (cart) => cart.map(({ sku, count }) => ({ sku, count: count - 1 })))
      await app.request(given!, (fast) => void fast.data.cart.push({ sku: 'book', count: 1 }))
    })
    expect(slow.status).toBe(500)
    expect((await app.request(given!, (s) => s.data.cart)).value).toEqual([{ sku: 'book', count: 1 }])
  })
})

test('defaults and renamings of a schema are what the app sees', async () => {
  const app = new App<{ count: number }>({
    schema: z.object({ count: z.number().default(7) }),
    initial: () => ({}) as { count: number },
  })
  const { given } = await app.request('', (s) => Object.assign(s.data, { other: 1 }))
  expect((await app.request(given!, (s) => s.data.count)).value).toBe(7)
})

test('a schema that checks asynchronously is misuse, and says so', async () => {
  const app = new App<{ n: number }>({
    initial: () => ({ n: 0 }),
    schema: z.object({ n: z.number() }).refine(async () => true) as unknown as StandardSchema<{ n: number }>,
  })
  const write = app.request('', (s) => s.update('n', (n) => n + 1))
  await expect(write).rejects.toThrow(/^schema: it checks asynchronously/)
})
