/** How somebody signs in to their account, on its page: connected providers, and a password for an account without one. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { IdentityServices, Way, Ways } from '../identity/services.js'
import type { Refused, Services } from '../services.js'
import { Field, Form } from './form.js'
import { Message } from './message.js'
import { action, frameOf, refusal, send, usersOnly } from './page.js'
import { Ago } from './time.js'

/** Adds what the buttons do. */
export function connections(app: Hono, services: Services, identity: IdentityServices): void {
  const changing = (answer: Parameters<typeof usersOnly<[(name: string) => string]>>[1]) =>
    action(
      services,
      '/account',
      usersOnly<[(name: string) => string]>(
        '/account',
        async (c, visit, fields) => (await identity.unlessRecent(c.req.raw)) ?? answer(c, visit, fields),
      ),
    )

  app.post(
    '/account/disconnect',
    changing(async (c, visit, fields) => {
      const result = await identity.disconnect(visit, fields('provider'))
      if (!result.ok) return stopped(c, result)
      const gone = 'It is disconnected. Everybody else who was signed in as you is signed out.'
      const notice =
        result.value === 'forgotten'
          ? `${gone} The provider did not confirm that it gave up the connection; look at your settings there.`
          : gone
      visit.notices.flash('notice', notice)
      return c.redirect('/account', 303)
    }),
  )

  app.post(
    '/account/choose-password',
    changing(async (c, visit, fields) => {
      const result = await identity.choosePassword(visit, fields('new'))
      if (!result.ok) return stopped(c, result)
      visit.notices.flash('notice', 'You have a password now. Everybody else who was signed in as you is signed out.')
      return c.redirect('/account', 303)
    }),
  )

  async function stopped(c: Parameters<typeof frameOf>[0], result: Refused): Promise<Response> {
    const frame = await frameOf(c, services, await services.visit(c.req.raw))
    const page = (
      <Message title="That was not done" frame={frame} back={['/account', 'Back to your account']}>
        {result.message}
      </Message>
    )
    return send(c, page, refusal(c, result))
  }
}

/** The providers, what is connected of each, and what can be done about it. */
export function Connections(props: { ways: Ways; csrf: string | undefined; now: number }): JSX.Element {
  const { ways, csrf, now } = props
  return (
    <section class="panel" aria-labelledby="ways">
      <h2 id="ways">Ways to sign in</h2>
      <ul class="ways">
        <li>
          <span>
            Password<span class="hint">{ways.hasPassword ? 'Set' : 'None'}</span>
          </span>
        </li>
        {ways.providers.map((way) => (
          <Connection way={way} csrf={csrf} now={now} />
        ))}
      </ul>
    </section>
  )
}

function Connection({ way, csrf, now }: { way: Way; csrf: string | undefined; now: number }): JSX.Element {
  const { name, label, as, since = now, connected } = way
  return (
    <li>
      <span>
        {label}
        <span class="hint">
          {as === undefined ? (
            'Not connected'
          ) : (
            <>
              {as}, since <Ago at={since} now={now} />
              {connected ? null : '; not in this session'}
            </>
          )}
        </span>
        {name === 'github' && connected ? <a href="/repositories">Your repositories</a> : null}
      </span>
      <span class="does">
        {connected ? null : (
          <Form action={`/oauth/${name}/link`} csrf={csrf}>
            <button class="quiet" type="submit">
              {as === undefined ? 'Connect' : 'Connect here'}
              <span class="hidden"> {label}</span>
            </button>
          </Form>
        )}
        {as === undefined ? null : (
          <Form action="/account/disconnect" csrf={csrf}>
            <input type="hidden" name="provider" value={name} />
            <button class="danger" type="submit">
              Disconnect<span class="hidden"> {label}</span>
            </button>
          </Form>
        )}
      </span>
    </li>
  )
}

/** In the place of the form that changes a password, where there is none. */
export function ChoosePassword(props: { username: string; min: number; csrf: string | undefined }): JSX.Element {
  const { username, min, csrf } = props
  return (
    <Form action="/account/choose-password" csrf={csrf} class="stack">
      {/* Tells a password manager whose password this is. */}
      <input type="text" name="username" autocomplete="username" value={username} readonly hidden />
      <Field
        name="new"
        label="Password"
        type="password"
        autocomplete="new-password"
        minlength={min}
        hint={`At least ${min} characters. With it you can sign in without a provider.`}
      />
      <button type="submit">Choose password</button>
    </Form>
  )
}
