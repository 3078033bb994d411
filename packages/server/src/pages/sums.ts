/** What a cart comes to. */
import type { CartLine, Product } from '../services.js'
import { price } from './format.js'

/** How many things, of all kinds together. */
export function items(lines: readonly CartLine[]): number {
  return lines.reduce((sum, line) => sum + line.quantity, 0)
}

/** The sum as a price; the empty string for a cart of nothing that is sold here. */
export function total(products: readonly Product[], lines: readonly CartLine[]): string {
  const priced = lines.flatMap(({ sku, quantity }) => {
    const product = products.find((product) => product.sku === sku)
    return product ? [{ cents: product.price.cents * quantity, currency: product.price.currency }] : []
  })
  const [first] = priced
  // One shop, one currency.
  return first ? price({ cents: priced.reduce((sum, { cents }) => sum + cents, 0), currency: first.currency }) : ''
}

/** The product's name, or its number where it is no longer sold. */
export function nameOf(products: readonly Product[], sku: string): string {
  return products.find((product) => product.sku === sku)?.name ?? sku
}
