/** Where a user is signed in: every device, when it was there, and a way to end each. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { DeviceEntry, Services } from '../services.js'
import { DeviceIcon } from './art.js'
import { Form } from './form.js'
import { count } from './format.js'
import { type Frame, Layout } from './layout.js'
import { action, frameOf, send, usersOnly, view } from './page.js'
import { Ago } from './time.js'
import { deviceName } from './user-agent.js'

/** Adds `/devices` and what its buttons do to `app`. */
export function devices(app: Hono, services: Services): void {
  app.get(
    '/devices',
    view(
      services,
      usersOnly('/devices', async (c, visit) => {
        const result = await services.devices(visit)
        const entries = result.ok ? result.value : []
        const frame = await frameOf(c, services, visit)
        return send(c, <Devices frame={frame} entries={entries} now={Date.now()} />)
      }),
    ),
  )

  app.post(
    '/devices/end',
    action(
      services,
      '/devices',
      usersOnly('/devices', async (c, visit, fields) => {
        const result = await services.endDevice(visit, fields('id'))
        // It was this one.
        if (visit.session.userId === undefined) return c.redirect('/login?from=logout', 303)
        // Ended meanwhile, by its owner or by its time: what was wanted is so.
        const notice = result.ok ? 'That device is signed out.' : 'That device was signed out already.'
        visit.notices.flash('notice', notice)
        return c.redirect('/devices', 303)
      }),
    ),
  )

  app.post(
    '/devices/end-others',
    action(
      services,
      '/devices',
      usersOnly('/devices', async (c, visit) => {
        const result = await services.endOthers(visit)
        const ended = result.ok ? result.value : 0
        visit.notices.flash('notice', `${count(ended, 'other device is', 'other devices are')} signed out.`)
        return c.redirect('/devices', 303)
      }),
    ),
  )
}

function Devices({ frame, entries, now }: { frame: Frame; entries: DeviceEntry[]; now: number }): JSX.Element {
  const others = entries.filter((entry) => !entry.current).length
  return (
    <Layout title="Devices" frame={frame}>
      <div class="title">
        <div>
          <h1>Where you are signed in</h1>
          <p class="hint">Something here that is not yours? End it, then change your password.</p>
        </div>
        {others === 0 ? null : (
          <Form action="/devices/end-others" csrf={frame.csrf}>
            <button class="danger" type="submit">
              End all others
            </button>
          </Form>
        )}
      </div>
      <ul class="devices">
        {entries.map((entry) => (
          <Device entry={entry} csrf={frame.csrf} now={now} />
        ))}
      </ul>
      {others === 0 ? <p class="hint">This is the only device that is signed in to your account.</p> : null}
    </Layout>
  )
}

function Device({ entry, csrf, now }: { entry: DeviceEntry; csrf: string | undefined; now: number }): JSX.Element {
  const { name, kind } = deviceName(entry.device?.userAgent)
  return (
    <li class={entry.current ? 'device current' : 'device'}>
      <DeviceIcon kind={kind} />
      <div class="what">
        <h2>
          {name}
          {entry.current ? <span class="badge">This device</span> : null}
          {entry.persistent ? <span class="badge soft">Stays signed in</span> : null}
        </h2>
        <p class="hint">
          <span>{entry.device?.ip ?? 'Address unknown'}</span>
          <span>
            Signed in <Ago at={entry.createdAt} now={now} />
          </span>
          <span>
            Last seen <Ago at={entry.seenAt} now={now} />
          </span>
        </p>
      </div>
      {entry.current ? (
        <Form action="/logout" csrf={csrf}>
          <button class="quiet" type="submit">
            Sign out
          </button>
        </Form>
      ) : (
        <Form action="/devices/end" csrf={csrf}>
          <input type="hidden" name="id" value={entry.id} />
          <button class="quiet" type="submit">
            End<span class="hidden"> {name}</span>
          </button>
        </Form>
      )}
    </li>
  )
}
