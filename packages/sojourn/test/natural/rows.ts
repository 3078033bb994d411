/** The table of natural rows: which strategies go by which transports, under which adapters. */
import {
  acceptCredentialsInUrls,
  cookie,
  header,
  jwt,
  opaque,
  query,
  type StrategyFactory,
  sealed,
  type Transport,
} from 'sojourn'
import { memory } from 'sojourn/store/memory'
import type { ManualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { adapters } from './servers.js'

/** The strategies of one world, over stores of their own. */
export interface Strategies {
  readonly byId: StrategyFactory
  /** As `byId`, over the same store, encrypted at rest. */
  readonly byIdWithKeys: StrategyFactory
  readonly byIdForHolder: StrategyFactory
  readonly bySeal: StrategyFactory
  readonly byToken: StrategyFactory
  /** As `byToken`, with the session's data inside. */
  readonly byHiddenToken: StrategyFactory
}

/** A way of keeping sessions. */
export interface Way {
  readonly name: string
  readonly now: (from: Strategies) => readonly StrategyFactory[]
  /** How sessions were kept until the line was changed, where it was. */
  readonly before?: (from: Strategies) => readonly StrategyFactory[]
  /** What a signed-in user's parallel changes come to: all kept, the last answer's, or none, as the claims are fixed. */
  readonly writes: 'all' | 'last' | 'none'
  /** Whether a guest's data is there after the login. */
  readonly carries: boolean
  /** Whether the credential only refers to the session: what URLs ask for. */
  readonly byReference: boolean
}

export const ways: readonly Way[] = [
  { name: 'opaque', now: (s) => [s.byId], writes: 'all', carries: true, byReference: true },
  {
    name: 'opaque encrypted with keys',
    now: (s) => [s.byIdWithKeys],
    writes: 'all',
    carries: true,
    byReference: true,
  },
  {
    name: 'opaque encrypted with the credential',
    now: (s) => [s.byIdForHolder],
    writes: 'all',
    carries: true,
    byReference: true,
  },
  {
    name: 'opaque encrypted with the credential, after sealed',
    now: (s) => [s.byIdForHolder, s.bySeal],
    before: (s) => [s.bySeal],
    writes: 'all',
    carries: true,
    byReference: false,
  },
  {
    name: 'sealed, after opaque encrypted with the credential',
    now: (s) => [s.bySeal, s.byIdForHolder],
    before: (s) => [s.byIdForHolder],
    writes: 'last',
    carries: true,
    byReference: false,
  },
  { name: 'sealed', now: (s) => [s.bySeal], writes: 'last', carries: true, byReference: false },
  { name: 'jwt, guests sealed', now: (s) => [s.byToken, s.bySeal], writes: 'none', carries: false, byReference: false },
  {
    name: 'jwt encrypted, guests sealed',
    now: (s) => [s.byHiddenToken, s.bySeal],
    writes: 'none',
    carries: true,
    byReference: false,
  },
  {
    name: 'opaque, after sealed',
    now: (s) => [s.byId, s.bySeal],
    before: (s) => [s.bySeal],
    writes: 'all',
    carries: true,
    byReference: false,
  },
  {
    name: 'opaque, after jwt',
    now: (s) => [s.byId, s.byToken, s.bySeal],
    before: (s) => [s.byToken, s.bySeal],
    writes: 'all',
    carries: true,
    byReference: false,
  },
  {
    name: 'sealed, after opaque',
    now: (s) => [s.bySeal, s.byId],
    before: (s) => [s.byId],
    writes: 'last',
    carries: true,
    byReference: false,
  },
  {
    name: 'jwt encrypted, after opaque',
    now: (s) => [s.byHiddenToken, s.bySeal, s.byId],
    before: (s) => [s.byId],
    writes: 'none',
    carries: true,
    byReference: false,
  },
]

/** How the credential travels, and the client's half of it. A credential is text; `''` is none. */
export interface Travel {
  readonly name: string
  readonly transport: () => Transport
  readonly exposed: boolean
  /** The path and the headers of a request with the credential. */
  send(credential: string, path: string): { path: string; headers: Record<string, string> }
  /** What the client has after an answer. */
  keep(credential: string, answer: { headers: Headers; link?: string }): string
}

export const travels: readonly Travel[] = [
  {
    name: 'cookie',
    transport: () => cookie(),
    exposed: false,
    send: (credential, path) => ({ path, headers: credential === '' ? {} : { cookie: credential } }),
    keep(credential, { headers }) {
      const jar = new Map(credential.split('; ').flatMap((pair) => (pair === '' ? [] : [split(pair)])))
      for (const line of headers.getSetCookie()) {
        const [name, value] = split(line.split('; ')[0]!)
        if (line.includes('; Max-Age=0')) jar.delete(name)
        else jar.set(name, value)
      }
      return [...jar].map((pair) => pair.join('=')).join('; ')
    },
  },
  {
    name: 'header Authorization',
    transport: () => header(),
    exposed: false,
    send: (credential, path) => ({
      path,
      headers: credential === '' ? {} : { authorization: `Bearer ${credential}` },
    }),
    keep: (credential, { headers }) => headers.get('session-token') ?? credential,
  },
  {
    name: 'header X-Session-Id',
    transport: () => header({ name: 'X-Session-Id', responseHeader: 'X-Session-Id' }),
    exposed: false,
    send: (credential, path) => ({ path, headers: credential === '' ? {} : { 'x-session-id': credential } }),
    keep: (credential, { headers }) => headers.get('x-session-id') ?? credential,
  },
  {
    name: 'query',
    transport: () => query({ risk: acceptCredentialsInUrls }),
    exposed: true,
    send: (credential, path) => ({ path: credential === '' ? path : `${path}?session=${credential}`, headers: {} }),
    // An answer that was not the app's own has no link, and changes nothing.
    keep: (credential, { link }) => (link === undefined ? credential : (link.split('session=')[1] ?? '')),
  },
]

function split(pair: string): [string, string] {
  const equals = pair.indexOf('=')
  return [pair.slice(0, equals), pair.slice(equals + 1)]
}

/** Whether a strategy may go that way. */
export const isNatural = (way: Way, travel: Travel): boolean => way.byReference || !travel.exposed

const pairs = ways.flatMap((way) => travels.map((travel) => ({ way, travel })))

/** Each natural row under each adapter. */
export const naturalRows = pairs
  .filter(({ way, travel }) => isNatural(way, travel))
  .flatMap((row) =>
    adapters.map((adapter) => ({ ...row, adapter, title: `${row.way.name} · ${row.travel.name} · ${adapter.name}` })),
  )

/** What does not start. */
export const unnaturalRows = pairs
  .filter(({ way, travel }) => !isNatural(way, travel))
  .map((row) => ({ ...row, title: `${row.way.name} · ${row.travel.name}` }))

/** The strategies of one world. */
export function strategies(clock: ManualClock): Strategies {
  const shared = { revocations: revocations({ store: memory({ clock }), clock }), devices: memory({ clock }) }
  const token = { ...shared, issuer: 'https://shop.example', audience: 'shop' }
  const store = memory({ clock })
  return {
    byId: opaque({ store }),
    byIdWithKeys: opaque({ store, encrypt: 'keys' }),
    byIdForHolder: opaque({ store, encrypt: 'credential' }),
    bySeal: sealed(shared),
    byToken: jwt(token),
    byHiddenToken: jwt({ ...token, encrypt: true }),
  }
}
