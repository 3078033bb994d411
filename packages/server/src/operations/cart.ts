/** The cart of whoever visits: a user's is in the database, a guest's in the session. */
import type { Session } from 'sojourn'
import { type Carts, MAX_QUANTITY } from '../carts.js'
import { adding, emptied, linesOf, removing } from '../guest-cart.js'
import { products } from '../products.js'
import type { Refused, Services, ShopData, User } from '../services.js'

/** Gives the account what it has not had yet of the cart that its session was begun with. */
export type Merge = (session: Session<ShopData>, user: User) => Promise<void>

/**
 * Idempotent, so that it may run at the login, at the next request, and in two tabs at once. The session's cart is
 * emptied at the commit, and only if nothing was added meanwhile; what was is brought home by the next visit.
 */
export function createMerge(carts: Carts): Merge {
  return async (session, user) => {
    const { cart } = session.data
    if (cart.id === '') return
    const merged = { id: cart.id, lines: { ...cart.lines } }
    await carts.merge(user.id, merged)
    session.update('cart', emptied(merged))
  }
}

/** What can be done with a cart. */
export function cartOperations(carts: Carts): Pick<Services, 'products' | 'cart' | 'addToCart' | 'removeFromCart'> {
  const skus = new Set(products.map(({ sku }) => sku))
  const cart: Services['cart'] = async ({ user, session }) => (user ? carts.lines(user.id) : linesOf(session.data.cart))

  return {
    products,
    cart,
    async addToCart(visit, line) {
      if (!skus.has(line.sku)) return noProduct()
      if (!Number.isSafeInteger(line.quantity) || line.quantity < 1 || line.quantity > MAX_QUANTITY)
        return badQuantity()
      const { user, session } = visit
      if (user) return (await carts.add(user.id, line)) ? { ok: true, value: await cart(visit) } : badQuantity()
      if ((session.data.cart.lines[line.sku] ?? 0) + line.quantity > MAX_QUANTITY) return badQuantity()
      return { ok: true, value: linesOf(session.update('cart', adding(line))) }
    },
    async removeFromCart(visit, sku) {
      const { user, session } = visit
      const lines = await cart(visit)
      if (!lines.some((line) => line.sku === sku)) return skus.has(sku) ? { ok: true, value: lines } : noProduct()
      if (user) await carts.remove(user.id, sku)
      else session.update('cart', removing(sku))
      return { ok: true, value: await cart(visit) }
    },
  }
}

function noProduct(): Refused<'product'> {
  return { ok: false, reason: 'product', message: 'There is no such product.' }
}

function badQuantity(): Refused<'quantity'> {
  const message = `A quantity is a whole number from 1 on, and a cart holds at most ${MAX_QUANTITY} of one thing.`
  return { ok: false, reason: 'quantity', message }
}
