/** A browser and an app for tests that need no server, and a store that can be watched, delayed and broken. */
import {
  createSessions,
  generateSecret,
  opaque,
  type Session,
  type SessionEvent,
  type Sessions,
  type SessionsOptions,
  type UserStore,
} from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'

export const ORIGIN = 'https://shop.example'
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE

/** What most tests keep in a session. */
export interface Shop {
  cart: string[]
  count: number
  [key: string]: unknown
}

type Work<Data extends object, T> = (session: Session<Data>, request: Request) => T | Promise<T>

/** What came back: `value` is what the handler returned, unless the adapter answered in its place. */
export interface Answer<T> {
  readonly status: number
  readonly headers: Headers
  readonly value: T | undefined
  readonly problem: { title: string; status: number; detail?: string } | undefined
  /** The credential that was given, as a `Cookie` header sends it. */
  readonly given: string | undefined
  /** Whether the client was told to forget its credential. */
  readonly cleared: boolean
}

/** An app with sessions: its store, its clock, and all that it told its listeners. */
export class App<Data extends object = Shop> {
  readonly clock: ManualClock
  readonly store: UserStore
  readonly sessions: Sessions<Data>
  readonly events: SessionEvent[] = []

  /** The store is memory unless another is given; `clock` and `store` go to both halves. */
  constructor(options: SessionsOptions<Data> & { clock?: ManualClock; store?: UserStore } = {}) {
    this.clock = options.clock ?? manualClock()
    this.store = options.store ?? memory({ clock: this.clock })
    const { store: _, ...rest } = options
    this.sessions = createSessions<Data>({
      keys: KEY,
      strategy: opaque({ store: this.store }),
      ...rest,
      clock: this.clock,
    })
    this.sessions.on((event) => void this.events.push(event))
  }

  /** One request that carries `cookie`, and what the app does with its session. */
  async request<T>(cookie: string, work: Work<Data, T>, { url = '/', ...init }: Init = {}): Promise<Answer<T>> {
    let value: T | undefined
    const handle = fetch(this.sessions, async (request) => {
      value = await work(await this.sessions.of(request), request)
      return new Response('done')
    })
    const headers = { ...(cookie === '' ? {} : { cookie }), ...init.headers }
    const response = await handle(new Request(new URL(url, ORIGIN), { ...init, headers }))
    const answered = response.headers.get('content-type') === 'application/problem+json'
    const line = response.headers.getSetCookie().at(-1)
    const cleared = line !== undefined && /; Max-Age=0;/.test(line)
    return {
      status: response.status,
      headers: response.headers,
      value: answered ? undefined : value,
      problem: answered ? ((await response.json()) as Answer<T>['problem']) : undefined,
      given: cleared ? undefined : line?.split(';', 1)[0],
      cleared,
    }
  }

  browser(cookie = ''): Browser<Data> {
    return new Browser(this, cookie)
  }

  /** Whose session the credential opens; `undefined` where it opens none, or a guest's. */
  async userOf(cookie: string): Promise<string | undefined> {
    return (await this.request(cookie, (session) => session.userId)).value
  }

  /** The types of the events since the last call. */
  told(): string[] {
    return this.events.splice(0).map(({ type }) => type)
  }
}

type Init = Omit<RequestInit, 'headers'> & { url?: string; headers?: Record<string, string> }

/** A client that keeps the cookie that it is given. */
export class Browser<Data extends object = Shop> {
  cookie: string
  readonly #app: App<Data>

  constructor(app: App<Data>, cookie: string) {
    this.#app = app
    this.cookie = cookie
  }

  async visit<T>(work: Work<Data, T>, init?: Init): Promise<Answer<T>> {
    const answer = await this.#app.request(this.cookie, work, init)
    if (answer.given !== undefined) this.cookie = answer.given
    if (answer.cleared) this.cookie = ''
    return answer
  }
}

/** The shop of most tests. */
export function shop(options: Partial<ConstructorParameters<typeof App<Shop>>[0]> = {}): App<Shop> {
  return new App<Shop>({ initial: () => ({ cart: [], count: 0 }), ...options })
}

/** A secret that stays the same within a run, so that two apps can share it. */
export const KEY: string = generateSecret()

export type Verb = 'get' | 'set' | 'delete' | 'list' | 'endAll'

/** What happens around each call of a store: `go` does it. A promise makes the store an asynchronous one. */
export type Around = (verb: Verb, go: () => unknown, args: readonly unknown[]) => unknown

/** `store` behind a gate that sees each call, and may count, delay or break it. */
export function gated(store: UserStore, around: Around): UserStore {
  const through = (verb: Verb, go: () => unknown, args: readonly unknown[]) => around(verb, go, args) as never
  return {
    get: (...args) => through('get', () => store.get(...args), args),
    set: (...args) => through('set', () => store.set(...args), args),
    delete: (...args) => through('delete', () => store.delete(...args), args),
    endAll: (...args) => through('endAll', () => store.endAll(...args), args),
    list(...args) {
      const found: unknown = through('list', () => [...(store.list(...args) as Iterable<unknown>)], args)
      return (found instanceof Promise ? later(found) : found) as ReturnType<UserStore['list']>
    },
  }
}

async function* later(found: Promise<unknown>): AsyncIterable<unknown> {
  yield* (await found) as unknown[]
}

/** Counts the calls of a store; `calls()` says which there were since it was last asked. */
export function counted(store: UserStore): { store: UserStore; calls: () => Verb[] } {
  const seen: Verb[] = []
  const watched = gated(store, (verb, go) => {
    seen.push(verb)
    return go()
  })
  return { store: watched, calls: () => seen.splice(0) }
}
