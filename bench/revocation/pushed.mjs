/**
 * A store that pushes: what one process writes, the other hears of at once, here over the channel between a process and
 * its child. With a database in between it would be `LISTEN`, a subscription or a change stream.
 */

/** The store, with `watch`. `peer` is the child, or in the child `process` itself. */
export function pushed(store, peer) {
  const listeners = new Set()
  const heard = (id) => {
    for (const listener of listeners) listener(id)
  }
  peer.on('message', ({ changed }) => {
    if (changed !== undefined) heard(changed)
  })
  const tell = (id) => {
    heard(id)
    // A peer that is gone has nobody left to refuse.
    if (peer.connected) peer.send({ changed: id })
  }

  return {
    ...store,
    set(id, record, was) {
      const done = store.set(id, record, was)
      if (done) tell(id)
      return done
    },
    delete(id) {
      const done = store.delete(id)
      if (done) tell(id)
      return done
    },
    endAll(userId, except) {
      const ids = [...store.list(userId)].map(([id]) => id)
      const count = store.endAll(userId, except)
      for (const id of ids) tell(id)
      return count
    },
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
