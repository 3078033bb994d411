/** The pages: server-rendered, without a line of script. They call the services, and hold no logic of their own. */
import { Hono } from 'hono'
import type { Services } from '../services.js'
import { access } from './access.js'
import { account } from './account.js'
import { FAVICON } from './brand.js'
import { cart } from './cart.js'
import { confirm } from './confirm.js'
import { connections } from './connections.js'
import { devices } from './devices.js'
import { providers } from './providers.js'
import { repositories } from './repositories.js'
import { shop } from './shop.js'
import { STYLE, STYLE_PATH } from './style.js'

export { errorPage } from './message.js'

const YEAR = 31_536_000

/** All pages and what they are dressed in, as routes to mount at `/`. Files touch no session. */
export function pages(services: Services): Hono {
  const app = new Hono()
  app.get(STYLE_PATH, (c) =>
    c.body(STYLE, 200, {
      'Content-Type': 'text/css; charset=utf-8',
      'Cache-Control': `public, max-age=${YEAR}, immutable`,
    }),
  )
  app.get('/favicon.svg', (c) =>
    c.body(FAVICON, 200, { 'Content-Type': 'image/svg+xml', 'Cache-Control': 'public, max-age=86400' }),
  )
  for (const part of [shop, cart, access, account, devices]) part(app, services)
  const { identity } = services
  if (identity === undefined) return app
  for (const part of [providers, confirm, connections]) part(app, services, identity)
  if (identity.hasGithub) repositories(app, services, identity)
  return app
}
