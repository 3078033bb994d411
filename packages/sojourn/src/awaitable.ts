/**
 * Written once, run both ways: a flow over a synchronous store makes no promise, a flow over an asynchronous one
 * awaits. Serves the law "one await in, one await out".
 */
import type { Awaitable } from './types.js'

/** Whether `value` must be awaited. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function'
}

/** `fn(value)`, now where it can be now. */
export function then<T, R>(value: Awaitable<T>, fn: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(fn) : fn(value)
}

/** A flow: a generator that says `yield* wait(value)` where an async function would say `await value`. */
export type Flow<T> = Generator<Awaitable<unknown>, T, unknown>

/** The `await` of a flow. */
export function* wait<T>(value: Awaitable<T>): Flow<T> {
  return (isPromise(value) ? yield value : value) as T
}

/** Runs a flow to its end: synchronously until the first real promise, and only then with one. */
export function run<T>(flow: Flow<T>): Awaitable<T> {
  const step = flow.next()
  return step.done ? step.value : resume(flow, step.value as Promise<unknown>)
}

async function resume<T>(flow: Flow<T>, first: Promise<unknown>): Promise<T> {
  let pending = first
  for (;;) {
    let step: IteratorResult<Awaitable<unknown>, T>
    try {
      step = flow.next(await pending)
    } catch (error) {
      // Either the awaited promise rejected, and the flow may handle that, or the flow itself threw and is finished.
      step = flow.throw(error)
    }
    if (step.done) return step.value
    pending = step.value as Promise<unknown>
  }
}

/** All items of an iterable that is synchronous or not. */
export function collect<T>(items: Iterable<T> | AsyncIterable<T>): Awaitable<T[]> {
  if (Symbol.iterator in items) return [...items]
  return (async () => {
    const all: T[] = []
    for await (const item of items) all.push(item)
    return all
  })()
}

/** What gives the items of an iterable, synchronous or not, one after the other. */
export function iterate<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.iterator in items ? items[Symbol.iterator]() : items[Symbol.asyncIterator]()
}

/** The next items, at most `count` of them; fewer at the end. */
export function take<T>(items: Iterator<T> | AsyncIterator<T>, count: number): Awaitable<T[]> {
  const taken: T[] = []
  while (taken.length < count) {
    const step = items.next()
    if (isPromise(step)) return takeLater(items as AsyncIterator<T>, step, taken, count)
    if (step.done) break
    taken.push(step.value)
  }
  return taken
}

async function takeLater<T>(
  items: AsyncIterator<T>,
  first: Promise<IteratorResult<T>>,
  taken: T[],
  count: number,
): Promise<T[]> {
  for (let step = await first; !step.done; step = await items.next()) {
    taken.push(step.value)
    if (taken.length >= count) break
  }
  return taken
}

/** Lets everything else that waits have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
