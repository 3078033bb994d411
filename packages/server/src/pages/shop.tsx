/** The front page: what there is, and what the cart already holds. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { CartLine, Product, Services } from '../services.js'
import { Art } from './art.js'
import { Form } from './form.js'
import { count, price } from './format.js'
import { type Frame, Layout } from './layout.js'
import { frameOf, send, view } from './page.js'
import { items, nameOf, total } from './sums.js'

/** Adds the front page to `app`. */
export function shop(app: Hono, services: Services): void {
  app.get(
    '/',
    view(services, async (c, visit) => {
      const cart = await services.cart(visit)
      const frame = await frameOf(c, services, visit, cart)
      return send(c, <Shop frame={frame} products={services.products} cart={cart} />)
    }),
  )
}

function Shop(props: { frame: Frame; products: readonly Product[]; cart: readonly CartLine[] }): JSX.Element {
  const { frame, products, cart } = props
  return (
    <Layout title="Shop" frame={frame}>
      <div class="intro">
        <h1>Things for a longer stay</h1>
        <p>
          {frame.user
            ? `Good to see you, ${frame.user.username}. Your cart is the same on every device you sign in on.`
            : 'Fill a cart as a guest. When you sign in, it comes along.'}
        </p>
      </div>
      <div class="shop">
        <ul class="products">
          {products.map((product) => (
            <Card product={product} csrf={frame.csrf} />
          ))}
        </ul>
        <Summary products={products} cart={cart} />
      </div>
    </Layout>
  )
}

function Card({ product, csrf }: { product: Product; csrf: string | undefined }): JSX.Element {
  return (
    <li class="card" id={product.sku}>
      <Art sku={product.sku} />
      <h2>{product.name}</h2>
      <p class="about">{product.description}</p>
      <div class="buy">
        <span class="price">{price(product.price)}</span>
        <Form action="/cart/add" csrf={csrf}>
          <input type="hidden" name="sku" value={product.sku} />
          <button type="submit">
            Add to cart<span class="hidden"> {product.name}</span>
          </button>
        </Form>
      </div>
    </li>
  )
}

function Summary({ products, cart }: { products: readonly Product[]; cart: readonly CartLine[] }): JSX.Element {
  return (
    <aside class="summary" aria-labelledby="summary">
      <h2 id="summary">Your cart</h2>
      {cart.length === 0 ? (
        <p class="hint">Nothing in it yet.</p>
      ) : (
        <>
          <ul>
            {cart.map((line) => (
              <li>
                <span>{nameOf(products, line.sku)}</span>
                <span class="times">× {line.quantity}</span>
              </li>
            ))}
          </ul>
          <p class="sum">
            <span>{count(items(cart), 'item')}</span>
            <strong>{total(products, cart)}</strong>
          </p>
          <a class="button" href="/cart">
            View cart
          </a>
        </>
      )}
    </aside>
  )
}
