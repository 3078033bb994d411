/** How a request becomes a page: open the visit, answer, and commit while a fault can still be shown as a page. */
import type { Context, Handler } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { statusOf, thrown } from '../problem.js'
import type { CartLine, Refused, Services, Visit } from '../services.js'
import { CSRF_FIELD } from './form.js'
import type { Frame } from './layout.js'
import { Message } from './message.js'
import { items } from './sums.js'

type Answer = Response | Promise<Response>

/** What a posted form said; a field that it did not have is the empty string. */
export type Fields = (name: string) => string

/** A page that a visitor asks for. */
export function view(services: Services, answer: (c: Context, visit: Visit) => Answer): Handler {
  return async (c) => {
    const visit = await services.visit(c.req.raw)
    const response = await answer(c, visit)
    // The adapter would commit as well, but answers a fault as JSON; committed here, the app answers it as a page.
    await visit.session.commit()
    return response
  }
}

/**
 * What a posted form does. Of a user it must carry the token of this very session (ASVS 3.5.1). Of a guest it need not:
 * the cross-origin guard stands before both, and a shop that was opened in two tabs before its first cart has forms
 * that know no session yet. `back` is the page that the form stood on.
 */
export function action(
  services: Services,
  back: string,
  answer: (c: Context, visit: Visit, fields: Fields) => Answer,
): Handler {
  return view(services, async (c, visit) => {
    const body = await c.req.parseBody().catch(() => {
      throw thrown(400, 'The form arrived in pieces that do not fit together. Send it again.')
    })
    const fields: Fields = (name) => {
      const value = body[name]
      return typeof value === 'string' ? value : ''
    }
    if (visit.user && !visit.session.verifyCsrf(fields(CSRF_FIELD))) return stale(c, services, visit, back)
    return answer(c, visit, fields)
  })
}

/** What only a user may see or do; a guest is asked to sign in, and comes back to `page`. */
export function usersOnly<Rest extends unknown[]>(
  page: string,
  answer: (c: Context, visit: Visit & { user: object }, ...rest: Rest) => Answer,
): (c: Context, visit: Visit, ...rest: Rest) => Answer {
  return (c, visit, ...rest) =>
    visit.user === undefined
      ? c.redirect(`/login?next=${encodeURIComponent(page)}`, 303)
      : answer(c, visit as Visit & { user: object }, ...rest)
}

/** What the frame shows of this visitor. Reads the notice, which is then gone, and the cart, if that was not read yet. */
export async function frameOf(
  c: Context,
  services: Services,
  visit: Visit,
  cart?: readonly CartLine[],
): Promise<Frame> {
  const { session, user } = visit
  const lines = cart ?? (await services.cart(visit))
  return {
    user,
    cartCount: items(lines),
    csrf: session.id === undefined ? undefined : session.csrfToken(),
    path: c.req.path,
    notice: visit.notices.flashed('notice') as string | undefined,
  }
}

/** Sends a page. Rendering is synchronous, because no component here awaits. */
export function send(c: Context, page: JSX.Element, status: ContentfulStatusCode = 200): Answer {
  return c.html(page, status)
}

/** The status that says why an operation was refused, with `Retry-After` set where trying again later helps. */
export function refusal(c: Context, refused: Refused): ContentfulStatusCode {
  if (refused.retryAfter !== undefined) c.header('Retry-After', String(Math.ceil(refused.retryAfter)))
  return statusOf[refused.reason]
}

async function stale(c: Context, services: Services, visit: Visit, back: string): Promise<Response> {
  const frame = await frameOf(c, services, visit)
  const page = (
    <Message title="That page was out of date" frame={frame} back={[back, 'Load the page again']}>
      You signed in, or changed your password, after it was loaded. Nothing was done; load it again and repeat what you
      wanted to do.
    </Message>
  )
  return send(c, page, 403)
}
