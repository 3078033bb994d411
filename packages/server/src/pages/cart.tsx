/** The cart: what is in it, one more of it, and out with it. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { CartLine, Product, Services } from '../services.js'
import { Art } from './art.js'
import { Form } from './form.js'
import { price } from './format.js'
import { type Frame, Layout } from './layout.js'
import { Message } from './message.js'
import { action, frameOf, refusal, send, view } from './page.js'
import { nameOf, total } from './sums.js'

/** Adds the cart and what its buttons do to `app`. */
export function cart(app: Hono, services: Services): void {
  app.get(
    '/cart',
    view(services, async (c, visit) => {
      const lines = await services.cart(visit)
      const frame = await frameOf(c, services, visit, lines)
      return send(c, <Cart frame={frame} products={services.products} lines={lines} />)
    }),
  )

  app.post(
    '/cart/add',
    action(services, '/', async (c, visit, fields) => {
      const sku = fields('sku')
      const added = await services.addToCart(visit, { sku, quantity: 1 })
      if (!added.ok) {
        const frame = await frameOf(c, services, visit)
        const page = (
          <Message title="That did not go into the cart" frame={frame}>
            {added.message}
          </Message>
        )
        return send(c, page, refusal(c, added))
      }
      if (fields('from') === 'cart') return c.redirect('/cart', 303)
      visit.notices.flash('notice', `${nameOf(services.products, sku)} is in your cart.`)
      // Back to where the visitor was on a long page.
      return c.redirect(`/#${encodeURIComponent(sku)}`, 303)
    }),
  )

  app.post(
    '/cart/remove',
    action(services, '/cart', async (c, visit, fields) => {
      const sku = fields('sku')
      const held = (await services.cart(visit)).some((line) => line.sku === sku)
      if (held && (await services.removeFromCart(visit, sku)).ok) {
        visit.notices.flash('notice', `${nameOf(services.products, sku)} is out of your cart.`)
      }
      return c.redirect('/cart', 303)
    }),
  )
}

function Cart(props: { frame: Frame; products: readonly Product[]; lines: readonly CartLine[] }): JSX.Element {
  const { frame, products, lines } = props
  return (
    <Layout title="Cart" frame={frame}>
      <h1>Your cart</h1>
      {lines.length === 0 ? (
        <section class="empty">
          <p>There is nothing in it yet.</p>
          <a class="button" href="/">
            Look around the shop
          </a>
        </section>
      ) : (
        <>
          <ul class="lines">
            {lines.map((line) => (
              <Line line={line} product={products.find(({ sku }) => sku === line.sku)} csrf={frame.csrf} />
            ))}
          </ul>
          <p class="sum total">
            <span>Total</span>
            <strong>{total(products, lines)}</strong>
          </p>
          {frame.user ? null : (
            <p class="hint">
              <a href="/login?next=%2Fcart">Sign in</a> and this cart comes along, to every device you use.
            </p>
          )}
        </>
      )}
    </Layout>
  )
}

function Line(props: { line: CartLine; product: Product | undefined; csrf: string | undefined }): JSX.Element {
  const { line, product, csrf } = props
  const name = product?.name ?? line.sku
  return (
    <li class="line">
      <Art sku={line.sku} />
      <div class="what">
        <h2>{name}</h2>
        <p class="hint">
          {line.quantity} × {product ? price(product.price) : 'no longer sold'}
        </p>
      </div>
      {product ? <span class="price">{total([product], [line])}</span> : null}
      <div class="does">
        {product ? (
          <Form action="/cart/add" csrf={csrf}>
            <input type="hidden" name="sku" value={line.sku} />
            <input type="hidden" name="from" value="cart" />
            <button class="quiet" type="submit">
              One more<span class="hidden"> {name}</span>
            </button>
          </Form>
        ) : null}
        <Form action="/cart/remove" csrf={csrf}>
          <input type="hidden" name="sku" value={line.sku} />
          <button class="quiet" type="submit">
            Remove<span class="hidden"> {name}</span>
          </button>
        </Form>
      </div>
    </li>
  )
}
