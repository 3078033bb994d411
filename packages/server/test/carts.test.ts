import type { Carts } from '@sojourn/server/carts'
import { MAX_QUANTITY } from '@sojourn/server/carts'
import { adding, EMPTY, emptied, linesOf, removing } from '@sojourn/server/guest-cart'
import { manualClock } from 'sojourn/testing/clock'
import { beforeEach, describe, expect, test } from 'vitest'
import { KEPT } from './kept.js'

const DAY = 24 * 3_600_000

describe('a guest’s cart', () => {
  test('functions of it are pure: run again over a newer cart they come to the sum', () => {
    const add = adding({ sku: 'mug', quantity: 2 })
    const once = add(EMPTY)
    expect(EMPTY).toEqual({ id: '', lines: {} })
    expect(add(EMPTY)).toEqual(once)
    expect(linesOf(add(once))).toEqual([{ sku: 'mug', quantity: 4 }])
    expect(add(once).id).toBe(once.id)
    expect(removing('mug')(once)).toEqual(EMPTY)
  })

  test('it is emptied only as far as nothing was added meanwhile', () => {
    const merged = adding({ sku: 'mug', quantity: 2 })(EMPTY)
    expect(emptied(merged)(merged)).toEqual(EMPTY)
    const grown = adding({ sku: 'mug', quantity: 1 })(merged)
    expect(emptied(merged)(grown)).toBe(grown)
    const other = adding({ sku: 'mug', quantity: 1 })(EMPTY)
    expect(emptied(merged)(other)).toBe(other)
  })
})

describe.each(KEPT)('in %s', (_, use) => {
  const open = use()
  let carts: Carts
  let sweep: () => Promise<void>
  let ada: string
  let grace: string
  const clock = manualClock()

  beforeEach(async () => {
    const kept = await open(clock)
    ;({ carts, sweep } = kept)
    ada = (await kept.accounts.create('ada', 'hash'))!.id
    grace = (await kept.accounts.create('grace', 'hash'))!.id
  })

  describe('a user’s cart', () => {
    test('adding adds to what is there; each user has their own', async () => {
      await carts.add(ada, { sku: 'mug', quantity: 2 })
      await carts.add(ada, { sku: 'map', quantity: 1 })
      await carts.add(ada, { sku: 'mug', quantity: 3 })
      expect(await carts.lines(ada)).toEqual([
        { sku: 'map', quantity: 1 },
        { sku: 'mug', quantity: 5 },
      ])
      expect(await carts.lines(grace)).toEqual([])
    })

    test('a line over the bound is not added at all', async () => {
      expect(await carts.add(ada, { sku: 'mug', quantity: MAX_QUANTITY + 1 })).toBe(false)
      expect(await carts.add(ada, { sku: 'mug', quantity: MAX_QUANTITY })).toBe(true)
      expect(await carts.add(ada, { sku: 'mug', quantity: 1 })).toBe(false)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: MAX_QUANTITY }])
    })

    test('15.4.2: of adds at once all count, and none leads over the bound', async () => {
      const added = await Promise.all(
        Array.from({ length: 30 }, () => carts.add(ada, { sku: 'mug', quantity: Math.ceil(MAX_QUANTITY / 20) })),
      )
      expect(added.filter(Boolean)).toHaveLength(19)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 19 * 50 }])
    })

    test('removing takes the line out', async () => {
      await carts.add(ada, { sku: 'mug', quantity: 2 })
      await carts.remove(ada, 'mug')
      await carts.remove(ada, 'mug')
      expect(await carts.lines(ada)).toEqual([])
    })
  })

  describe('merging', () => {
    const guest = adding({ sku: 'mug', quantity: 2 })(EMPTY)

    test('adds to what the account has', async () => {
      await carts.add(ada, { sku: 'mug', quantity: 1 })
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 3 }])
    })

    test('happens once, however often it is asked for', async () => {
      for (let i = 0; i < 5; i++) await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 2 }])
    })

    test('of a cart that has grown, what is new in it', async () => {
      await carts.merge(ada, guest)
      await carts.merge(ada, adding({ sku: 'map', quantity: 1 })(adding({ sku: 'mug', quantity: 3 })(guest)))
      // A late reader of the older cart takes nothing back.
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([
        { sku: 'map', quantity: 1 },
        { sku: 'mug', quantity: 5 },
      ])
    })

    test('what was removed since does not come back', async () => {
      await carts.merge(ada, guest)
      await carts.remove(ada, 'mug')
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([])
    })

    test('a line stops at the bound', async () => {
      await carts.add(ada, { sku: 'mug', quantity: MAX_QUANTITY - 1 })
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: MAX_QUANTITY }])
    })

    test('is all or nothing', async () => {
      const broken = { id: 'c', lines: { mug: 1, map: Number.NaN } }
      await expect(carts.merge(ada, broken)).rejects.toThrow()
      expect(await carts.lines(ada)).toEqual([])
      await carts.merge(ada, { id: 'c', lines: { mug: 1 } })
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 1 }])
    })

    test('is remembered for longer than any session lasts, and not for ever', async () => {
      await carts.merge(ada, guest)
      clock.advance(399 * DAY)
      await sweep()
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 2 }])
      clock.advance(401 * DAY)
      await sweep()
      await carts.merge(ada, guest)
      expect(await carts.lines(ada)).toEqual([{ sku: 'mug', quantity: 4 }])
    })

    test('15.4.2: of several at once counts once, beside adds that all count', async () => {
      const grown = adding({ sku: 'mug', quantity: 3 })(guest)
      await Promise.all([
        ...Array.from({ length: 8 }, (_, i) => carts.merge(ada, i % 2 ? guest : grown)),
        ...Array.from({ length: 12 }, () => carts.add(ada, { sku: 'mug', quantity: 1 })),
        ...Array.from({ length: 4 }, () => carts.add(ada, { sku: 'map', quantity: 2 })),
      ])
      expect(await carts.lines(ada)).toEqual([
        { sku: 'map', quantity: 8 },
        { sku: 'mug', quantity: 17 },
      ])
    })
  })
})
