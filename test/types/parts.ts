/** What fits together and what does not: stores, strategies, transports, adapters. Compiled, never run. */
import session from 'express-session'
import {
  acceptCredentialsInUrls,
  acceptLostUpdates,
  acceptNoRevocation,
  cookie,
  createSessions,
  header,
  opaque,
  query,
  type SessionRecord,
  type Store,
  sealed,
  type UserStore,
  type WeakStore,
} from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { fetch } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import { type Access, requireScope } from 'sojourn/guard/access'
import { type CachedStore, cached } from 'sojourn/store/cached'
import { fromExpressStore, toExpressStore } from 'sojourn/store/express-session'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { expectTypeOf } from 'vitest'

declare const record: SessionRecord
const sessions = createSessions({ keys: 'k', initial: () => ({ visits: 0 }) })

export function aSynchronousStoreIsTypedSo(): void {
  expectTypeOf(memory().get('id')).toEqualTypeOf<SessionRecord | undefined>()
  expectTypeOf(memory().set('id', record, 0)).toEqualTypeOf<boolean>()
  expectTypeOf(sqlite('s.db').get('id')).toEqualTypeOf<SessionRecord | undefined>()
  expectTypeOf(sqlite('s.db').set('id', record, 0)).toEqualTypeOf<boolean>()
  expectTypeOf(sqlite('s.db', { durability: 'normal' }).delete('id')).toEqualTypeOf<boolean>()
  // @ts-expect-error: nothing to wait for
  sqlite('s.db').get('id').then()
}

export function aDurableStorePromises(): void {
  const store = sqlite('s.db', { durability: 'full' })
  expectTypeOf(store.get('id')).toEqualTypeOf<SessionRecord | undefined>()
  expectTypeOf(store.set('id', record, 0)).toEqualTypeOf<Promise<boolean>>()
  expectTypeOf(store.endAll('u1')).toEqualTypeOf<Promise<number>>()
  // @ts-expect-error: no such promise
  sqlite('s.db', { durability: 'most' })
}

export function bothStoresKnowTheirUsers(): void {
  expectTypeOf(memory()).toExtend<UserStore>()
  expectTypeOf(sqlite('s.db')).toExtend<UserStore>()
  expectTypeOf(sqlite('s.db', { durability: 'full' })).toExtend<UserStore>()
}

export function aRecordIsFrozen(): void {
  // @ts-expect-error: a store hands out what it holds
  record.userId = 'somebody else'
}

export function aStoreMayBeWeaker(weak: Store): void {
  opaque({ store: weak })
  // @ts-expect-error: it does not say that it knows whose a record is
  const users: UserStore = weak
  // @ts-expect-error: and may not have the verb
  weak.list('u1')
  expectTypeOf(users).toEqualTypeOf<UserStore>()
}

export function aStatelessSessionCanBeEndedOrSaysThatItCannot(weak: Store): void {
  createSessions({ strategy: sealed({ revocations: revocations({ store: memory() }), devices: memory() }) })
  createSessions({
    strategy: [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store: memory() })],
  })
  // @ts-expect-error: silence is no decision
  sealed({})
  // @ts-expect-error: only the symbol says that it is accepted
  sealed({ revocations: false })
  // @ts-expect-error: what was ended is listed, which this store may not be able to
  revocations({ store: weak })
  // @ts-expect-error: nor can it list devices
  sealed({ revocations: acceptNoRevocation, devices: weak })
}

export function aCredentialTravelsInSeveralWays(): void {
  createSessions({ transport: header({ name: 'X-Session-Id' }) })
  createSessions({ transport: [cookie(), header(), query({ risk: acceptCredentialsInUrls })] })
  // @ts-expect-error: credentials in URLs are asked for by what they cost
  query()
  // @ts-expect-error: which only the symbol says
  query({ risk: true })
  // @ts-expect-error: a header has no path
  header({ path: '/' })
}

export function impossibleParts(): void {
  // @ts-expect-error: a store is an argument of a strategy, not a strategy
  createSessions({ strategy: memory() })
  // @ts-expect-error: nor a transport
  createSessions({ transport: memory() })
  // @ts-expect-error: no strategy without its store
  opaque()
  // @ts-expect-error: a clock is no store
  opaque({ store: manualClock() })
  // @ts-expect-error: compare-and-set says what it overwrites
  memory().set('id', record)
}

export function cookiesThatBrowsersKnow(): void {
  cookie({ prefix: '__Host-', sameSite: 'strict', priority: 'high' })
  // @ts-expect-error: no such prefix
  cookie({ prefix: '__Site-' })
  // @ts-expect-error: no such value
  cookie({ sameSite: 'maybe' })
  // @ts-expect-error: no such attribute
  cookie({ httponly: true })
}

export function adaptersTakeSessions(): void {
  const handler = fetch(sessions, async (request) => {
    const session = await sessions.of(request)
    return new Response(String(session.data.visits))
  })
  expectTypeOf(handler).returns.toEqualTypeOf<Promise<Response>>()
  expectTypeOf(node(sessions)).toBeFunction()
  expectTypeOf(express(sessions)).toBeFunction()
  // @ts-expect-error: the number of proxies, since "all of them" would believe strangers
  node(sessions, { trustProxy: true })
  // @ts-expect-error: a handler answers
  fetch(sessions, () => undefined)
  // @ts-expect-error: not sessions
  express(memory())
}

export function aCachedStoreIsWhatItCaches(store: Store, weak: WeakStore): void {
  expectTypeOf(cached(memory()).get('id')).toEqualTypeOf<SessionRecord | undefined>()
  expectTypeOf(cached(memory()).staleness).toEqualTypeOf<number>()
  expectTypeOf(cached(memory())).toExtend<UserStore>()
  expectTypeOf(cached(store)).toExtend<Store>()
  expectTypeOf<CachedStore<UserStore>>().toExtend<UserStore>()
  // @ts-expect-error: it does not say that it knows whose a record is
  const users: UserStore = cached(store)
  // @ts-expect-error: nothing that copies could rest on
  cached(weak)
  void users
}

export function aWeakStoreIsTakenByThoseWhoSayWhatItMeans(weak: WeakStore, theirs: session.Store): void {
  opaque({ store: weak, weak: acceptLostUpdates })
  expectTypeOf(fromExpressStore(theirs)).toEqualTypeOf<WeakStore>()
  expectTypeOf(toExpressStore(memory(), session.Store)).toExtend<session.Store>()
  session({ secret: 's', store: toExpressStore(memory(), session.Store) })
  // @ts-expect-error: it was not said
  opaque({ store: weak })
  // @ts-expect-error: what was ended must stay so
  revocations({ store: weak })
  // @ts-expect-error: nor does a store of ours stand on it
  toExpressStore(weak, session.Store)
}

export function aScopeIsAskedForByWords(access: Access): void {
  expectTypeOf(requireScope(sessions, 'orders')).toEqualTypeOf<Access>()
  requireScope(sessions, ['orders', 'cart'] as const, { realm: 'shop', signIn: '/sign-in' })
  // @ts-expect-error: it says what it asks for
  requireScope(sessions)
  // @ts-expect-error: words, not options
  requireScope(sessions, { scope: 'orders' })
  const request = { method: 'GET', url: '/', header: () => undefined }
  // @ts-expect-error: who leaves the scope out would be let through
  access.refuse({ userId: 'u1', refused: undefined, authenticatedAt: 1, amr: undefined, acr: undefined }, request)
}
