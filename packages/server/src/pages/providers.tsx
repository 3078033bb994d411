/** The way to a provider and back, as a browser goes it: `/oauth/…`. */
import type { Context, Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { IdentityServices, Provider } from '../identity/services.js'
import type { Services, Visit } from '../services.js'
import { Message } from './message.js'
import { ownPath } from './next.js'
import { action, frameOf, send, usersOnly, view } from './page.js'

/** Adds what providers and browsers ask for below `/oauth/`, and the door of a provider's own server. */
export function providers(app: Hono, services: Services, identity: IdentityServices): void {
  app.get(
    '/oauth/:provider',
    view(services, async (c, visit) => {
      // A provider that knows its user may ask them nothing, so that another site's link would sign them in by itself.
      if (c.req.header('sec-fetch-site') === 'cross-site') return c.redirect('/login', 303)
      const begun = await identity.begin(visit, c.req.raw, c.req.param('provider')!, ownPath(c.req.query('next')))
      return begun instanceof Response ? begun : refused(c, services, visit)(begun.status, begun.says, waitFor(begun))
    }),
  )

  app.post(
    '/oauth/:provider/link',
    action(
      services,
      '/account',
      usersOnly('/account', async (c, visit) => {
        const stopped = await identity.unlessRecent(c.req.raw)
        if (stopped) return stopped
        const begun = await identity.link(visit, c.req.raw, c.req.param('provider')!)
        if (begun instanceof Response) return leaving(c, begun)
        return refused(c, services, visit)(begun.status, begun.says, waitFor(begun))
      }),
    ),
  )

  app.get(
    '/oauth/:provider/callback',
    view(services, (c, visit) =>
      identity.complete(visit, c.req.raw, c.req.param('provider')!, refused(c, services, visit)),
    ),
  )

  app.get('/oauth/:provider/signed-out', (c) => identity.left(c.req.raw))

  // From the provider's server: without a cookie, and nobody's visit.
  app.post('/oidc/backchannel-logout', (c) => identity.signedOutThere(c.req.raw))
}

/** Links to the providers, under a form that asks for a password. */
export function ProviderLinks(props: { providers: readonly Provider[]; verb: string; next: string }): JSX.Element {
  const { providers, verb, next } = props
  return (
    <div class="providers">
      {providers.map(({ name, label }) => (
        <a class="button quiet" rel="nofollow" href={`/oauth/${name}?next=${encodeURIComponent(next)}`}>
          {verb} {label}
        </a>
      ))}
    </div>
  )
}

/**
 * Sends a browser that has just posted a form on to a provider. Not by a redirect: `form-action 'self'` would stop it, in
 * Chromium and wherever the provider redirects to in turn, and to let the form go anywhere is what the policy is there against.
 */
export async function leaving(c: Context, response: Response): Promise<Response> {
  const to = response.headers.get('location') ?? '/'
  const { host } = new URL(to, c.req.url)
  const page = await send(
    c,
    <Message title={`On to ${host}`} frame={undefined} back={[to, 'Go on']}>
      Your browser goes there by itself. If it does not, go on by hand.
    </Message>,
  )
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') page.headers.append(name, value)
    else if (name !== 'location') page.headers.set(name, value)
  }
  page.headers.set('refresh', `0; url=${to}`)
  return page
}

/** Seconds until a provider that failed may be tried again; none for what trying again does not mend. */
function waitFor({ status }: { readonly status: number }): number | undefined {
  return status === 503 ? 5 : undefined
}

function refused(c: Context, services: Services, visit: Visit) {
  return async (status: number, says: string, retryAfter?: number): Promise<Response> => {
    if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter))
    const frame = await frameOf(c, services, visit)
    const back = visit.user ? (['/account', 'To your account'] as const) : (['/login', 'To the sign-in page'] as const)
    const page = (
      <Message title="That did not work" frame={frame} back={back}>
        {says}
      </Message>
    )
    return send(c, page, status as ContentfulStatusCode)
  }
}
