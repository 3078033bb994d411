/** The account: who is signed in, how this session runs, and a new password. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Ways } from '../identity/services.js'
import type { Refused, Services, User, Visit } from '../services.js'
import { ChoosePassword, Connections } from './connections.js'
import { Field, Form, Problem } from './form.js'
import { type Frame, Layout } from './layout.js'
import { action, frameOf, refusal, send, usersOnly, view } from './page.js'
import { Ago, Moment } from './time.js'

/** Adds `/account` to `app`. */
export function account(app: Hono, services: Services): void {
  const min = services.passwordMin

  app.get(
    '/account',
    view(
      services,
      usersOnly('/account', async (c, visit) => {
        const frame = await frameOf(c, services, visit)
        const ways = await services.identity?.ways(visit)
        const known = ways?.ok ? ways.value : undefined
        return send(c, <Account frame={frame} user={visit.user} session={visit.session} min={min} ways={known} />)
      }),
    ),
  )

  app.post(
    '/account',
    action(
      services,
      '/account',
      usersOnly('/account', async (c, visit, fields) => {
        const { session, user } = visit
        const result = await services.changePassword(visit, { current: fields('current'), next: fields('new') })
        if (result.ok) {
          visit.notices.flash(
            'notice',
            'Your password is changed. Everybody else who was signed in as you is signed out.',
          )
          return c.redirect('/account', 303)
        }
        const frame = await frameOf(c, services, visit)
        const ways = await services.identity?.ways(visit)
        const known = ways?.ok ? ways.value : undefined
        const page = <Account frame={frame} user={user} session={session} min={min} ways={known} refused={result} />
        return send(c, page, refusal(c, result))
      }),
    ),
  )
}

interface Props {
  frame: Frame
  user: User
  session: Visit['session']
  min: number
  /** Absent where no provider is configured. */
  ways: Ways | undefined
  refused?: Refused
}

function Account({ frame, user, session, min, ways, refused }: Props): JSX.Element {
  const now = Date.now()
  return (
    <Layout title={refused ? 'Error: Account' : 'Account'} frame={frame}>
      <h1>Your account</h1>
      <div class="halves">
        <section class="panel" aria-labelledby="who">
          <h2 id="who">You</h2>
          <dl class="facts">
            <dt>Username</dt>
            <dd>{user.username}</dd>
            <dt>Signed in</dt>
            <dd>
              <Ago at={session.createdAt ?? now} now={now} />
            </dd>
            <dt>Ends</dt>
            <dd>
              {session.persistent
                ? 'If you stay away until '
                : 'When the browser is closed, or if you stay away until '}
              <Moment at={session.expiresAt ?? now} />
            </dd>
          </dl>
          <p>
            <a href="/devices">Where you are signed in</a>
          </p>
        </section>
        <section class="panel" aria-labelledby="password">
          <h2 id="password">{ways?.hasPassword === false ? 'Choose a password' : 'Change your password'}</h2>
          {ways?.hasPassword === false ? (
            <ChoosePassword username={user.username} min={min} csrf={frame.csrf} />
          ) : (
            <Password frame={frame} user={user} min={min} refused={refused} />
          )}
        </section>
        {ways === undefined ? null : <Connections ways={ways} csrf={frame.csrf} now={now} />}
      </div>
    </Layout>
  )
}

function Password(props: { frame: Frame; user: User; min: number; refused: Refused | undefined }): JSX.Element {
  const { frame, user, min, refused } = props
  const about = { credentials: 'current', password: 'new' }[refused?.reason as string]
  // Here only one thing can be wrong with the credentials, since the name is not asked for.
  const message = refused?.reason === 'credentials' ? 'This is not your current password.' : refused?.message
  const error = (field: string): string | undefined => (about === field ? message : undefined)
  return (
    <Form action="/account" csrf={frame.csrf} class="stack">
      {refused && about === undefined ? <Problem>{message}</Problem> : null}
      {/* Tells a password manager whose password this is. */}
      <input type="text" name="username" autocomplete="username" value={user.username} readonly hidden />
      <Field
        name="current"
        label="Current password"
        type="password"
        autocomplete="current-password"
        error={error('current')}
      />
      <Field
        name="new"
        label="New password"
        type="password"
        autocomplete="new-password"
        minlength={min}
        hint={`At least ${min} characters. You stay signed in here, and are signed out everywhere else.`}
        error={error('new')}
      />
      <button type="submit">Change password</button>
    </Form>
  )
}
