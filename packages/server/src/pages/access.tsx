/** The way in and out: sign in, sign up, sign out. */
import type { Context, Hono } from 'hono'
import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Provider } from '../identity/services.js'
import type { Refused, Services, Visit } from '../services.js'
import { Field, Form, Problem } from './form.js'
import { count } from './format.js'
import { type Frame, Layout } from './layout.js'
import { Message } from './message.js'
import { ownPath, withNext } from './next.js'
import { action, type Fields, frameOf, refusal, send, view } from './page.js'
import { leaving, ProviderLinks } from './providers.js'

/** Adds `/login`, `/signup` and `/logout` to `app`. */
export function access(app: Hono, services: Services): void {
  const providers = services.identity?.providers ?? []
  for (const [path, Page] of [
    ['/login', SignIn],
    ['/signup', SignUp],
  ] as const) {
    app.get(
      path,
      view(services, async (c, visit) => {
        const next = ownPath(c.req.query('next'))
        if (visit.user) return c.redirect(next, 303)
        const left = c.req.query('from') === 'logout' ? 'You are signed out.' : undefined
        const frame = await frameOf(c, services, visit)
        return send(
          c,
          <Page
            frame={{ ...frame, notice: frame.notice ?? left }}
            next={next}
            min={services.passwordMin}
            providers={providers}
          />,
        )
      }),
    )
  }

  app.post(
    '/login',
    action(services, '/login', async (c, visit, fields) => {
      const username = fields('username')
      const remember = fields('remember') === 'on'
      const result = await services.signIn(visit, { username, password: fields('password'), remember })
      if (result.ok) return welcome(c, visit, fields, `Welcome back, ${result.value.username}.`)
      const frame = await frameOf(c, services, visit)
      const page = (
        <SignIn {...again(fields)} frame={frame} providers={providers} remember={remember} refused={result} />
      )
      return send(c, page, refusal(c, result))
    }),
  )

  app.post(
    '/signup',
    action(services, '/signup', async (c, visit, fields) => {
      const result = await services.signUp(visit, { username: fields('username'), password: fields('password') })
      if (result.ok) return welcome(c, visit, fields, `Welcome, ${result.value.username}. You are signed in.`)
      const frame = await frameOf(c, services, visit)
      const page = (
        <SignUp {...again(fields)} frame={frame} providers={providers} min={services.passwordMin} refused={result} />
      )
      return send(c, page, refusal(c, result))
    }),
  )

  // Asks for no token: the cross-origin guard keeps strangers out, and nobody may be kept in by a stale page (ASVS 7.4.4).
  app.post(
    '/logout',
    view(services, async (c, visit) => {
      const there = await services.identity?.leave(visit, c.req.raw)
      if (there) return leaving(c, there)
      const result = await services.signOut(visit)
      if (result.ok) return c.redirect('/login?from=logout', 303)
      const page = (
        <Message title="You are still signed in" frame={undefined} back={['/account', 'To your account']}>
          {result.message}
        </Message>
      )
      return send(c, page, refusal(c, result))
    }),
  )
}

function welcome(c: Context, visit: Visit, fields: Fields, notice: string): Response {
  visit.notices.flash('notice', notice)
  return c.redirect(ownPath(fields('next')), 303)
}

/** What a refused form shows again: everything but the password. */
function again(fields: Fields): { username: string; next: string } {
  return { username: fields('username'), next: ownPath(fields('next')) }
}

interface Props {
  frame: Frame
  /** Where to go afterwards; a path of ours. */
  next: string
  providers: readonly Provider[]
  username?: string
  refused?: Refused
}

function SignIn({ frame, next, providers, username, remember, refused }: Props & { remember?: boolean }): JSX.Element {
  return (
    <Card title="Sign in" frame={frame} refused={refused}>
      <Form action="/login" csrf={frame.csrf} class="stack">
        {refused ? <Problem>{refused.message}</Problem> : null}
        <Field name="username" label="Username" autocomplete="username" value={username} autofocus={!refused} />
        <Field name="password" label="Password" type="password" autocomplete="current-password" autofocus={!!refused} />
        <label class="check">
          <input type="checkbox" name="remember" checked={remember} />
          Keep me signed in on this device
        </label>
        <input type="hidden" name="next" value={next} />
        <button type="submit">Sign in</button>
      </Form>
      {providers.length === 0 ? null : <ProviderLinks providers={providers} verb="Sign in with" next={next} />}
      <p class="turn">
        New here? <a href={withNext('/signup', next)}>Create an account</a>
      </p>
    </Card>
  )
}

function SignUp({ frame, next, providers, username, min, refused }: Props & { min: number }): JSX.Element {
  const about = { username: 'username', taken: 'username', password: 'password' }[refused?.reason as string]
  const error = (field: string): string | undefined => (about === field ? refused?.message : undefined)
  return (
    <Card title="Create an account" frame={frame} refused={refused}>
      <Form action="/signup" csrf={frame.csrf} class="stack">
        {refused && about === undefined ? <Problem>{refused.message}</Problem> : null}
        <Field
          name="username"
          label="Username"
          autocomplete="username"
          value={username}
          minlength={3}
          maxlength={64}
          hint="3 to 64 letters, digits, dots, dashes or underscores."
          error={error('username')}
          autofocus={!refused}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          autocomplete="new-password"
          minlength={min}
          hint={`At least ${min} characters. Any will do; a few unusual words are easy to remember.`}
          error={error('password')}
        />
        <input type="hidden" name="next" value={next} />
        <button type="submit">Create account</button>
      </Form>
      {providers.length === 0 ? null : <ProviderLinks providers={providers} verb="Continue with" next={next} />}
      <p class="turn">
        Been here before? <a href={withNext('/login', next)}>Sign in</a>
      </p>
    </Card>
  )
}

function Card(props: { title: string; frame: Frame; refused: Refused | undefined; children: Child }): JSX.Element {
  const { title, frame, refused, children } = props
  return (
    <Layout title={refused ? `Error: ${title}` : title} frame={frame}>
      <section class="narrow">
        <h1>{title}</h1>
        {frame.cartCount === 0 ? null : (
          <p class="hint">The {count(frame.cartCount, 'item')} in your cart will come along.</p>
        )}
        <div class="panel">{children}</div>
      </section>
    </Layout>
  )
}
