/** The app that the tests of all strategies visit. */
import { createSessions, type Sessions, type SessionsOptions } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'

/** What the journey keeps. */
export interface Data {
  count: number
  text: string
  [key: string]: unknown
}

/** What every route answers. */
export interface View {
  readonly id?: string | undefined
  readonly user?: string | undefined
  readonly count: number
  readonly text: number
  readonly refused?: string | undefined
  readonly fresh?: boolean
}

/** The app: its sessions, what they told, and a handler for requests. */
export interface Place {
  readonly sessions: Sessions<Data>
  readonly events: string[]
  readonly handler: (request: Request) => Promise<Response>
}

/** `/add` counts, `/login/NAME`, `/remember/NAME`, `/logout`, `/rotate`, `/text/N` keeps N characters, `/fresh` asks the store, anything else reads. */
export function place(options: SessionsOptions<Data>): Place {
  const sessions = createSessions<Data>({ initial: () => ({ count: 0, text: '' }), ...options })
  const events: string[] = []
  sessions.on((event) => void events.push('reason' in event ? `${event.type} ${event.reason}` : event.type))
  const handler = fetch(sessions, async (request) => {
    const session = await sessions.of(request)
    const [, verb, argument] = new URL(request.url).pathname.split('/')
    if (verb === 'add') session.update('count', (n) => n + 1)
    if (verb === 'text') session.data.text = 'x'.repeat(Number(argument))
    if (verb === 'login') session.login(argument!)
    if (verb === 'remember') session.login(argument!, { persistent: true })
    if (verb === 'logout') session.logout()
    if (verb === 'rotate') session.rotate()
    const { id, userId: user, refused, data } = session
    const fresh = verb === 'fresh' ? await session.fresh() : undefined
    const view = { id, user, refused, fresh, count: data.count, text: data.text.length }
    return Response.json(view)
  })
  return { sessions, events, handler }
}
