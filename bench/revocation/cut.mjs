/** A store whose line can be cut: calls then fail at once, or are never answered. */

/** The store, and `cut(how)` for it: `fails`, `silent`, or nothing for a line that is whole. */
export function cuttable(store) {
  let how
  const through = (call) => {
    if (how === 'fails') throw new Error('the line is cut')
    return how === 'silent' ? new Promise(() => {}) : call()
  }
  return {
    store: {
      ...store,
      get: (id) => through(() => store.get(id)),
      set: (id, record, was) => through(() => store.set(id, record, was)),
      delete: (id) => through(() => store.delete(id)),
      // A list has no answer to wait for where it is read as it comes; the call before it is cut anyway.
      list: (userId) => {
        if (how !== undefined) throw new Error('the line is cut')
        return store.list(userId)
      },
      endAll: (userId, except) => through(() => store.endAll(userId, except)),
    },
    cut(next) {
      how = next
    },
  }
}
