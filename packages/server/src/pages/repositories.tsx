/** A user's repositories at GitHub: what a session can do with a provider's tokens that nobody ever sees. */
import type { Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Repository } from '../identity/repositories.js'
import type { IdentityServices } from '../identity/services.js'
import type { Services } from '../services.js'
import { type Frame, Layout } from './layout.js'
import { Message } from './message.js'
import { frameOf, refusal, send, usersOnly, view } from './page.js'

/** Adds `/repositories` to `app`. */
export function repositories(app: Hono, services: Services, identity: IdentityServices): void {
  app.get(
    '/repositories',
    view(
      services,
      usersOnly('/repositories', async (c, visit) => {
        const result = await identity.repositories(visit)
        const frame = await frameOf(c, services, visit)
        if (result.ok) return send(c, <Repositories frame={frame} list={result.value} />)
        const page = (
          <Message title="No repositories" frame={frame} back={['/account', 'To your account']}>
            {result.message}
          </Message>
        )
        return send(c, page, refusal(c, result))
      }),
    ),
  )
}

function Repositories({ frame, list }: { frame: Frame; list: readonly Repository[] }): JSX.Element {
  return (
    <Layout title="Your repositories" frame={frame}>
      <h1>Your repositories at GitHub</h1>
      {list.length === 0 ? (
        <p class="hint">There are none that this app may see.</p>
      ) : (
        <ul class="lines">
          {list.map(({ name, url, description, private: hidden }) => (
            <li class="repository">
              <h2>
                {url === undefined ? (
                  name
                ) : (
                  <a href={url} rel="noreferrer">
                    {name}
                  </a>
                )}
                {hidden ? <span class="badge soft">Private</span> : null}
              </h2>
              {description === undefined ? null : <p class="hint">{description}</p>}
            </li>
          ))}
        </ul>
      )}
    </Layout>
  )
}
