/** `/api/products` and `/api/cart`. */
import type { Hono } from 'hono'
import { refusal } from '../problem.js'
import type { Services } from '../services.js'
import { readFields, textOf } from './json.js'

/** Adds the calls that show the shop and fill the cart. */
export function shopCalls(app: Hono, services: Services): void {
  app.get('/api/products', (c) => {
    return c.json({ products: services.products.map(({ sku, name, price }) => ({ sku, name, price })) })
  })

  app.get('/api/cart', async (c) => {
    return c.json({ items: await services.cart(await services.visit(c.req.raw)) })
  })

  app.post('/api/cart/items', async (c) => {
    const { sku, quantity } = await readFields(c)
    const line = { sku: textOf(sku), quantity: typeof quantity === 'number' ? quantity : Number.NaN }
    const result = await services.addToCart(await services.visit(c.req.raw), line)
    return result.ok ? c.json({ items: result.value }) : refusal(result)
  })

  app.delete('/api/cart/items/:sku', async (c) => {
    const result = await services.removeFromCart(await services.visit(c.req.raw), c.req.param('sku'))
    return result.ok ? c.json({ items: result.value }) : refusal(result)
  })
}
