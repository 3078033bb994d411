/** What a session's types promise. Compiled by `npm run check`, never run. */
import {
  createSessions,
  type Fault,
  type FaultCode,
  generateSecret,
  type Refusal,
  type SessionInfo,
  type StandardSchema,
} from 'sojourn'
import { expectTypeOf } from 'vitest'

interface Item {
  sku: string
  quantity: number
}

const keys = generateSecret()
const sessions = createSessions({
  keys,
  initial: () => ({ cart: [] as Item[], count: 0, theme: 'light' as 'light' | 'dark' }),
})
declare const request: object

export async function dataIsTypedFromInitial(): Promise<void> {
  const session = await sessions.of(request)
  expectTypeOf(session.data).toEqualTypeOf<{ cart: Item[]; count: number; theme: 'light' | 'dark' }>()
  session.data.cart.push({ sku: 'tea', quantity: 1 })
  session.data.theme = 'dark'
  // @ts-expect-error: an item has a quantity
  session.data.cart.push({ sku: 'tea' })
  // @ts-expect-error: no such theme
  session.data.theme = 'blue'
  // @ts-expect-error: not in the initial data
  session.data.wishes = []
  // @ts-expect-error: the data is changed, not replaced
  session.data = { cart: [], count: 0, theme: 'light' }
}

export async function updateKnowsTheKeyAndItsType(): Promise<void> {
  const session = await sessions.of(request)
  expectTypeOf(session.update('count', (n) => n + 1)).toEqualTypeOf<number>()
  expectTypeOf(session.update('cart', (cart) => cart.slice(1))).toEqualTypeOf<Item[]>()
  // @ts-expect-error: no such key
  session.update('cuont', (n: number) => n + 1)
  // @ts-expect-error: a count is no text
  session.update('count', (n) => String(n))
  // @ts-expect-error: the function is run again on a conflict, so it cannot be asynchronous
  session.update('count', async (n) => n + 1)
}

export async function identityIsSetByLoginAlone(): Promise<void> {
  const session = await sessions.of(request)
  expectTypeOf(session.userId).toEqualTypeOf<string | undefined>()
  // @ts-expect-error: login() sets it, and rotates
  session.userId = 'u1'
  // @ts-expect-error: the handle is not the app's to choose
  session.id = 'x'
  // @ts-expect-error: timeouts are the configuration's
  session.expiresAt = Number.POSITIVE_INFINITY
  expectTypeOf(session.login('u1')).toEqualTypeOf<void>()
  session.login('u1', { persistent: true, keep: ['cart'] })
  // @ts-expect-error: a number is converted by the app, which knows how
  session.login(1)
  // @ts-expect-error: keeps only what the data has
  session.login('u1', { keep: ['cat'] })
  // @ts-expect-error: marks are not awaited, so a chained one is a mistake
  session.logout().then()
}

export async function aRefusalIsAValue(): Promise<void> {
  const session = await sessions.of(request)
  expectTypeOf(session.refused).toEqualTypeOf<Refusal | undefined>()
  // @ts-expect-error: not one of the reasons
  if (session.refused === 'stale') return
}

export async function devicesAndEnding(): Promise<void> {
  expectTypeOf(await sessions.list('u1')).toEqualTypeOf<SessionInfo[]>()
  expectTypeOf(await sessions.end('handle')).toEqualTypeOf<boolean>()
  expectTypeOf(await sessions.endAll('u1', { except: 'handle' })).toEqualTypeOf<number>()
  // @ts-expect-error: a listed session is a picture of it
  for (const device of await sessions.list('u1')) device.persistent = true
}

export function eventsAreTold(): void {
  sessions.on((event) => {
    expectTypeOf(event.at).toEqualTypeOf<number>()
    if (event.type === 'rotated') expectTypeOf(event.reason).toEqualTypeOf<'login' | 'rotate'>()
    // @ts-expect-error: nothing secret is in an event
    event.credential
  })
}

export function faultsHaveCodes(fault: Fault): void {
  expectTypeOf(fault.code).toEqualTypeOf<FaultCode>()
  expectTypeOf(fault.status).toEqualTypeOf<number>()
  // @ts-expect-error: no such code
  if (fault.code === 'ERR_OTHER') return
}

export function whatIsConfigured(schema: StandardSchema<{ count: number }>): void {
  createSessions({ keys })
  createSessions({
    keys: [keys, { id: 'old', secret: keys }],
    timeouts: 'aal2',
    limit: { sessions: 5, policy: 'reject' },
  })
  createSessions({ keys, schema, initial: () => ({ count: 0 }) })
  // @ts-expect-error: no such option
  createSessions({ keys, timeout: 60_000 })
  // @ts-expect-error: no such preset
  createSessions({ keys, timeouts: 'aal4' })
  // @ts-expect-error: both timeouts always hold
  createSessions({ keys, timeouts: { idle: 60_000 } })
  // @ts-expect-error: no such policy
  createSessions({ keys, limit: { sessions: 5, policy: 'evict-newest' } })
  // @ts-expect-error: the guard is configured or off, never `true`
  createSessions({ keys, csrf: true })
  // @ts-expect-error: the schema is of other data
  createSessions({ keys, schema, initial: () => ({ visits: 0 }) })
}

export async function aLoginKnowsTheData(): Promise<void> {
  const session = await sessions.of(request)
  session.login('u1', { amr: ['pwd'], acr: 'aal1', data: { count: 1 }, keep: ['cart'] })
  // @ts-expect-error: not in the initial data
  session.login('u1', { data: { wishes: [] } })
  // @ts-expect-error: a count is a number
  session.login('u1', { data: { count: 'one' } })
  expectTypeOf(session.amr).toEqualTypeOf<readonly string[] | undefined>()
  // @ts-expect-error: login() says it
  session.acr = 'aal3'
  expectTypeOf(session.scope).toEqualTypeOf<readonly string[] | undefined>()
  // @ts-expect-error: the token says it
  session.scope = ['orders']
  // @ts-expect-error: nor is it widened
  session.scope?.push('orders')
  createSessions({ keys, initial: () => ({ count: 0 }), merge: { count: (guest, kept) => guest + kept } })
  // @ts-expect-error: no such rule
  createSessions({ keys, initial: () => ({ count: 0 }), merge: { count: 'add' } })
}
