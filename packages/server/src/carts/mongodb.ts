/**
 * Carts in MongoDB: a document for each account, which is overwritten only as it was read. Whoever was overtaken reads it
 * again, so that parallel adds all count, and a merge is in it whole or not at all.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Carts, MAX_QUANTITY, REMEMBER_MERGES } from '../carts.js'
import { type Collection, insert } from '../engines/mongodb-collection.js'
import type { CartLine, GuestCart } from '../services.js'

/** A cart as it is kept. */
export interface Cart {
  /** Whose it is. */
  _id: string
  version: number
  /** By sku. Lists, as a sku is no name of a field. */
  lines: CartLine[]
  /** What the account has had of which guest's cart. */
  merged: { cart: string; at: number; lines: CartLine[] }[]
}

/** Each time another has written; with so many tries nobody is turned away who has not been overtaken for seconds. */
const ROUNDS = 100

/** The carts kept in `carts`. */
export function mongodbCarts(carts: Collection<Cart>, clock: () => number): Carts {
  /** Writes what `next` makes of the cart; `undefined`: there is nothing to write. */
  const change = async (_id: string, next: (cart: Cart) => Pick<Cart, 'lines' | 'merged'> | undefined) => {
    for (let round = 0; round < ROUNDS; round++) {
      const found = await carts.findOne({ _id })
      const cart = found ?? { _id, version: 0, lines: [], merged: [] }
      const wanted = next(cart)
      if (wanted === undefined) return false
      const document = { version: cart.version + 1, ...wanted }
      if (found ? await replace(cart, document) : await insert(carts, _id, document)) return true
      await pause(randomInt(1, Math.min(50, 2 ** (round + 1))))
    }
    throw new Error('a cart was written by others each time; nothing was changed')
  }
  const replace = async ({ _id, version }: Cart, document: object) => {
    const { matchedCount } = (await carts.replaceOne({ _id, version }, document)) as { matchedCount: number }
    return matchedCount === 1
  }

  return {
    async lines(userId) {
      const { lines = [] } = (await carts.findOne({ _id: userId })) ?? {}
      return lines.map(({ sku, quantity }) => ({ sku, quantity }))
    },
    add: (userId, { sku, quantity }) =>
      change(userId, ({ lines, merged }) => {
        const sum = quantityOf(lines, sku) + quantity
        return sum > MAX_QUANTITY ? undefined : { lines: put(lines, { sku, quantity: sum }), merged }
      }),
    async remove(userId, sku) {
      await change(userId, ({ lines, merged }) => {
        const left = lines.filter((line) => line.sku !== sku)
        return left.length === lines.length ? undefined : { lines: left, merged }
      })
    },
    async merge(userId, guest) {
      await change(userId, (cart) => merged(cart, guest, clock()))
    },
    // Done with the next merge.
    sweep: async () => {},
  }
}

function merged(cart: Cart, guest: GuestCart, now: number): Pick<Cart, 'lines' | 'merged'> | undefined {
  const remembered = cart.merged.filter(({ at }) => at >= now - REMEMBER_MERGES)
  const had = remembered.find((one) => one.cart === guest.id)?.lines ?? []
  let { lines } = cart
  let all = had
  for (const [sku, quantity] of Object.entries(guest.lines)) {
    if (!Number.isSafeInteger(quantity)) throw new TypeError('a quantity is a whole number')
    const more = quantity - quantityOf(had, sku)
    if (more <= 0) continue
    lines = put(lines, { sku, quantity: Math.min(MAX_QUANTITY, quantityOf(lines, sku) + more) })
    all = put(all, { sku, quantity })
  }
  if (all === had) return undefined
  const others = remembered.filter((one) => one.cart !== guest.id)
  return { lines, merged: [...others, { cart: guest.id, at: now, lines: all }] }
}

function quantityOf(lines: readonly CartLine[], sku: string): number {
  return lines.find((line) => line.sku === sku)?.quantity ?? 0
}

function put(lines: readonly CartLine[], line: CartLine): CartLine[] {
  return [...lines.filter(({ sku }) => sku !== line.sku), line].sort((a, b) => (a.sku < b.sku ? -1 : 1))
}
