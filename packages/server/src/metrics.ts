/**
 * What Prometheus can ask: how many requests and how slow, what became of sessions, and how the stores do. No label has
 * more values than this file says, and none is of a user.
 */
import type { SessionEvent, UserStore } from 'sojourn'
import type { Table } from './engines/engine.js'

/** What is counted. Each call costs some microseconds where metrics are on, and nothing where they are off. */
export interface Metrics {
  request(method: string, status: number, seconds: number): void
  event(event: SessionEvent): void
  /** The same store, whose calls are timed. */
  store(table: Table, store: UserStore): UserStore
  /** Asks for the age of the copy of what was ended, milliseconds, when somebody looks. */
  lag(ms: () => number): void
  /** In the text format of Prometheus; absent where metrics are off. */
  readonly text?: () => Promise<{ type: string; body: string }>
}

/** Counts nothing. */
export const UNMEASURED: Metrics = { request() {}, event() {}, store: (_, store) => store, lag() {} }

const METHODS = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'])
/** Seconds: a look-up in memory, a round trip, a slow one, and the two seconds after which a store is given up. */
const CALLS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5]
const REQUESTS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counts, in a registry of its own. */
export async function createMetrics(): Promise<Metrics> {
  const { Counter, Gauge, Histogram, Registry } = await import('prom-client')
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'sojourn_http_request_duration_seconds',
    help: 'Requests that were answered, by method and status.',
    labelNames: ['method', 'status'],
    buckets: REQUESTS,
    registers,
  })
  const events = new Counter({
    name: 'sojourn_session_events_total',
    help: 'What became of sessions: created, renewed, rotated, ended, refused, fault; and why, where there are several reasons.',
    labelNames: ['event', 'reason'],
    registers,
  })
  const calls = new Histogram({
    name: 'sojourn_store_call_duration_seconds',
    help: 'Calls of the stores, by table, verb and whether they failed.',
    labelNames: ['table', 'verb', 'outcome'],
    buckets: CALLS,
    registers,
  })
  const failures = new Gauge({
    name: 'sojourn_store_failures_in_a_row',
    help: 'Calls that failed since the last that did not, by table. After five, one after the other, a store is left alone for a second at a time.',
    labelNames: ['table'],
    registers,
  })

  const timed = (table: Table, verb: string, work: () => unknown): unknown => {
    const start = performance.now()
    const done = (outcome: 'ok' | 'failed') => {
      calls.observe({ table, verb, outcome }, (performance.now() - start) / 1000)
      if (outcome === 'ok') failures.set({ table }, 0)
      else failures.inc({ table })
    }
    try {
      const answer = work()
      if (!(answer instanceof Promise)) {
        done('ok')
        return answer
      }
      return answer.then(
        (value) => {
          done('ok')
          return value
        },
        (error) => {
          done('failed')
          throw error
        },
      )
    } catch (error) {
      done('failed')
      throw error
    }
  }

  return {
    request: (method, status, seconds) =>
      requests.observe({ method: METHODS.has(method) ? method : 'other', status: String(status) }, seconds),
    event(event) {
      const reason = 'reason' in event ? event.reason : event.type === 'fault' ? event.code : ''
      events.inc({ event: event.type, reason }, event.type === 'ended' ? (event.count ?? 1) : 1)
    },
    store(table, store) {
      failures.set({ table }, 0)
      // All that it is and can, but for the verbs that are one call each.
      return new Proxy(store, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name, target)
          if (typeof member !== 'function') return member
          if (!VERBS.has(name)) return member.bind(target)
          return (...args: unknown[]) => timed(table, String(name), () => member.apply(target, args))
        },
      })
    },
    lag(ms) {
      new Gauge({
        name: 'sojourn_revocation_lag_seconds',
        help: 'How old the copy of what was ended is. Above 5 nothing is answered from it.',
        registers,
        collect() {
          // Before somebody needed it, there is no copy.
          const age = ms()
          if (Number.isFinite(age)) this.set(age / 1000)
          else this.reset()
        },
      })
    },
    text: async () => ({ type: registry.contentType, body: await registry.metrics() }),
  }
}

const VERBS: ReadonlySet<unknown> = new Set(['get', 'set', 'delete', 'endAll'])
