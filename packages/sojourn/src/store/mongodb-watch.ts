/** What changed in a collection, pushed: a change stream that is opened again for as long as somebody listens. */
import { setTimeout as pause } from 'node:timers/promises'
import { unescaped } from '../escape.js'
import { type MongodbChangeStream, type MongodbCollection, READ } from './mongodb-driver.js'

/** Which document, and what became of it; not its content, which nobody needs here. */
const PIPELINE: object[] = [{ $project: { operationType: 1, documentKey: 1 } }]
/** Milliseconds until a stream that broke is opened again. */
const REST = 1000
/** What a server says that is no member of a replica set. */
const NO_REPLICA_SET = 40573

interface Change {
  readonly operationType: string
  readonly documentKey?: { readonly _id: unknown }
}

/**
 * Calls `onChange` with the id of each record that is written or removed, and `onCut` when changes may have gone
 * untold: when the stream breaks, and whenever listening has begun. Returns what stops it.
 */
export function follow(
  collection: MongodbCollection,
  onChange: (id: string) => void,
  onCut: (() => void) | undefined,
): () => void {
  let stopped = false
  let stream: MongodbChangeStream | undefined
  /** Where to go on. */
  let token: unknown

  const tell = ({ operationType, documentKey }: Change) => {
    if (typeof documentKey?._id === 'string') onChange(unescaped(documentKey._id))
    return operationType
  }

  const listen = async () => {
    stream = collection.watch(PIPELINE as never[], { ...READ, ...(token === undefined ? {} : { resumeAfter: token }) })
    // Sends the command; before it is answered, nothing is listened to.
    let change = await stream.tryNext()
    onCut?.()
    for (;;) {
      if (stopped) return
      // The collection was dropped or renamed: nothing goes on from there.
      const over = change !== null && tell(change as Change) === 'invalidate'
      token = over ? undefined : stream.resumeToken
      if (over) return
      change = await stream.next()
    }
  }

  const listenOn = async () => {
    while (!stopped) {
      await listen().catch((error: { code?: unknown }) => {
        // The server answered that it cannot go on there; where the network broke, there is no such answer.
        if (typeof error.code === 'number') token = undefined
        if (error.code === NO_REPLICA_SET && !stopped) warn()
      })
      await stream?.close().catch(() => {})
      if (stopped) return
      onCut?.()
      await pause(REST, undefined, { ref: false })
    }
  }
  void listenOn()

  return () => {
    stopped = true
    // Ends what it waits for; a failure to say goodbye to the server harms nobody.
    void stream?.close().catch(() => {})
  }
}

let warned = false

function warn(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    'This MongoDB is a single server: it has no change streams, so `watch` hears of nothing. ' +
      'Make it a replica set of one (`--replSet`, then `rs.initiate()`).',
    { code: 'SOJOURN_MONGODB_WATCH' },
  )
}
