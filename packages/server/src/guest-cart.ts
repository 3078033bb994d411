/**
 * A guest's cart, as a value in the session's data. Each function takes a cart and gives the next one, purely, so that
 * `session.update('cart', …)` can run it again over what a parallel request wrote.
 */
import { randomUUID } from 'node:crypto'
import { MAX_QUANTITY } from './carts.js'
import type { CartLine, GuestCart } from './services.js'

/** The cart of a guest who put nothing in. */
export const EMPTY: GuestCart = { id: '', lines: {} }

/** Its lines, by sku. */
export function linesOf(cart: GuestCart): CartLine[] {
  return Object.entries(cart.lines)
    .map(([sku, quantity]) => ({ sku, quantity }))
    .sort((a, b) => (a.sku < b.sku ? -1 : 1))
}

/** Adds the line to whatever cart is there. The id is drawn here, once, because the function may run several times. */
export function adding({ sku, quantity }: CartLine): (cart: GuestCart) => GuestCart {
  const fresh = randomUUID()
  return (cart) => ({
    id: cart.id || fresh,
    lines: { ...cart.lines, [sku]: Math.min(MAX_QUANTITY, (cart.lines[sku] ?? 0) + quantity) },
  })
}

/**
 * Takes the line out. What is left gets a new id when nothing is left, and keeps its own otherwise.
 */
export function removing(sku: string): (cart: GuestCart) => GuestCart {
  return (cart) => {
    const { [sku]: _gone, ...lines } = cart.lines
    return Object.keys(lines).length === 0 ? EMPTY : { id: cart.id, lines }
  }
}

/**
 * Empties the cart if it is as it was when it was merged. One that a parallel request has added to stays whole: merging
 * it again gives the account what is new in it and nothing twice.
 */
export function emptied(merged: GuestCart): (cart: GuestCart) => GuestCart {
  return (cart) =>
    cart.id === merged.id && Object.entries(cart.lines).every(([sku, quantity]) => quantity <= (merged.lines[sku] ?? 0))
      ? EMPTY
      : cart
}
