/** Who is signed in proves once more that it is them, before they change how they sign in. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { IdentityServices, Ways } from '../identity/services.js'
import type { Refused, Services, User } from '../services.js'
import { Field, Form, Problem } from './form.js'
import { type Frame, Layout } from './layout.js'
import { ownPath } from './next.js'
import { action, frameOf, refusal, send, usersOnly, view } from './page.js'
import { ProviderLinks } from './providers.js'

/** Adds `/confirm` to `app`. */
export function confirm(app: Hono, services: Services, identity: IdentityServices): void {
  app.get(
    '/confirm',
    view(
      services,
      usersOnly('/account', async (c, visit) => {
        const ways = await identity.ways(visit)
        const frame = await frameOf(c, services, visit)
        const next = ownPath(c.req.query('next'), '/account')
        return send(c, <Confirm frame={frame} user={visit.user} ways={ways.ok ? ways.value : NONE} next={next} />)
      }),
    ),
  )

  app.post(
    '/confirm',
    action(
      services,
      '/confirm',
      usersOnly('/account', async (c, visit, fields) => {
        const next = ownPath(fields('next'), '/account')
        const { username } = visit.user
        const remember = visit.session.persistent
        const result = await services.signIn(visit, { username, password: fields('password'), remember })
        if (result.ok) {
          visit.notices.flash('notice', 'Thank you. You can go on now.')
          return c.redirect(next, 303)
        }
        const ways = await identity.ways(visit)
        const frame = await frameOf(c, services, visit)
        const props = { frame, user: visit.user, ways: ways.ok ? ways.value : NONE, next, refused: result }
        return send(c, <Confirm {...props} />, refusal(c, result))
      }),
    ),
  )
}

const NONE: Ways = { hasPassword: false, providers: [] }

interface Props {
  frame: Frame
  user: User
  ways: Ways
  next: string
  refused?: Refused
}

function Confirm({ frame, user, ways, next, refused }: Props): JSX.Element {
  // Here only one thing can be wrong with the credentials, since the name is not asked for.
  const message = refused?.reason === 'credentials' ? 'This is not your password.' : refused?.message
  const title = 'Is it still you?'
  const linked = ways.providers.filter(({ as }) => as !== undefined)
  return (
    <Layout title={refused ? `Error: ${title}` : title} frame={frame}>
      <section class="narrow">
        <h1>{title}</h1>
        <p class="hint">You signed in a while ago. Confirm that it is you, {user.username}, and go on.</p>
        <div class="panel">
          {ways.hasPassword ? (
            <Form action="/confirm" csrf={frame.csrf} class="stack">
              {refused ? <Problem>{message}</Problem> : null}
              <input type="text" name="username" autocomplete="username" value={user.username} readonly hidden />
              <Field name="password" label="Password" type="password" autocomplete="current-password" autofocus />
              <input type="hidden" name="next" value={next} />
              <button type="submit">Confirm</button>
            </Form>
          ) : null}
          {linked.length === 0 ? null : <ProviderLinks providers={linked} verb="Confirm with" next={next} />}
        </div>
      </section>
    </Layout>
  )
}
