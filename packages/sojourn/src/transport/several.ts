/**
 * Several transports at once: what a request carries is looked for in all of them, and counts only where all of it is
 * one visitor's. The answer goes back the way that the honoured credential came; what is new goes by the first.
 */
import { type Flow, isPromise, run, wait } from '../awaitable.js'
import type { Awaitable, Capacity, Exchange, Refusal, State, Strategy, Transport } from '../types.js'

/** What a request's credential came to, and the way it came. */
export interface Arrival {
  readonly found: State | Refusal
  /** Where it came, honoured or not; the first where none did. */
  readonly by: Transport
  /** The one that was honoured. */
  readonly credential: string | undefined
}

/** More values in one place than a browser has honest reasons to send. */
const MAX_CANDIDATES = 2

/** The configured transports. */
export class Transports {
  readonly first: Transport
  readonly #all: readonly Transport[]
  readonly #alert: readonly Transport[]

  constructor(all: readonly [Transport, ...Transport[]]) {
    this.#all = all
    this.#alert = all.filter((transport) => transport.begin)
    this.first = all[0]
  }

  /** The first one's: another may join it, and what was sealed for the first still opens. */
  get binding(): string {
    return this.first.binding
  }

  /** What all of them can carry: a credential goes back the way that its predecessor came. */
  get capacity(): Capacity {
    const least = (size: keyof Capacity) => Math.min(...this.#all.map(({ capacity }) => capacity[size]))
    return { whole: least('whole'), chunked: least('chunked') }
  }

  /** Whether other sites can make requests with a credential, so that these need the guard. */
  get ambient(): boolean {
    return this.#all.some((transport) => transport.ambient)
  }

  /** Whether others can see a credential on its way. */
  get exposed(): boolean {
    return this.#all.some((transport) => transport.exposed)
  }

  /** To be called as a request begins. */
  begin(x: Exchange): void {
    for (const transport of this.#alert) transport.begin?.(x)
  }

  /**
   * Whether a program put the credential there on purpose, and none came that browsers attach: no page of another site
   * made such a request. One without any credential is not such: it may be a login in the visitor's name.
   */
  byHand(x: Exchange): boolean {
    let byHand = false
    for (const transport of this.#all) {
      const carried = transport.read(x)
      if (carried === '') continue
      if (transport.ambient) return false
      if (carried.length > 0) byHand = true
    }
    return byHand
  }

  /** Opens what the request carries. One store call per credential; nearly always one or none. */
  open(x: Exchange, strategy: Strategy, now: number): Awaitable<Arrival> {
    return this.#all.length === 1 ? openOne(this.first, x, strategy, now) : run(this.#openAll(x, strategy, now))
  }

  *#openAll(x: Exchange, strategy: Strategy, now: number): Flow<Arrival> {
    let refused: Arrival = none(this.first)
    let honoured: Arrival | undefined
    for (const transport of this.#all) {
      const arrival = yield* wait(openOne(transport, x, strategy, now))
      if (typeof arrival.found === 'string') {
        if (refused.found === 'absent') refused = arrival
      } else if (honoured === undefined) honoured = arrival
      // Neither the first nor the last: nobody knows which of the two this request means.
      else if (!ofOneVisitor(honoured.found as State, arrival.found)) return malformed(honoured.by)
    }
    return honoured ?? refused
  }
}

/** The transports as configured. Throws a `TypeError` for a list that is empty, or reads one place twice. */
export function several(transports: readonly Transport[]): Transports {
  const [first, ...others] = transports
  if (!first) throw new TypeError('transport: the list is empty; give at least one, such as cookie()')
  if (new Set(transports.map(({ binding }) => binding)).size < transports.length)
    throw new TypeError('transport: two of the list read the same place; drop one, or give it another `name`')
  return new Transports([first, ...others])
}

function openOne(by: Transport, x: Exchange, strategy: Strategy, now: number): Awaitable<Arrival> {
  const carried = by.read(x)
  if (carried === '') return none(by)
  if (typeof carried !== 'string') return run(openBest(by, carried, strategy, now))
  // Not by `then`, for which each request would make a function, also where nothing waits.
  const found = strategy.open(carried, now)
  return isPromise(found) ? arrivalLater(by, found, carried) : arrival(by, found, carried)
}

async function arrivalLater(by: Transport, found: Promise<State | Refusal>, credential: string): Promise<Arrival> {
  return arrival(by, await found, credential)
}

/** Several values in one place: the one that is honoured, unless two are. Never silently the first or the last. */
function* openBest(by: Transport, candidates: readonly string[], strategy: Strategy, now: number): Flow<Arrival> {
  if (candidates.length === 0 || candidates.length > MAX_CANDIDATES) return malformed(by)
  let best: Arrival | undefined
  // One after the other: were both under way when the store fails, nobody would handle the second failure.
  for (const credential of candidates) {
    const found = yield* wait(strategy.open(credential, now))
    if (best === undefined) best = arrival(by, found, credential)
    else if (typeof found === 'string') continue
    else if (typeof best.found === 'string') best = arrival(by, found, credential)
    else if (best.found.id !== found.id) return malformed(by)
  }
  return best!
}

/** The same session, or two of one user. */
function ofOneVisitor(a: State, b: State): boolean {
  return a.id === b.id || (a.record.userId !== undefined && a.record.userId === b.record.userId)
}

function arrival(by: Transport, found: State | Refusal, credential: string): Arrival {
  return { found, by, credential: typeof found === 'string' ? undefined : credential }
}

function none(by: Transport): Arrival {
  return { found: 'absent', by, credential: undefined }
}

function malformed(by: Transport): Arrival {
  return { found: 'malformed', by, credential: undefined }
}
