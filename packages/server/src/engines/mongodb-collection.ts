/** What the server needs of a collection of the `mongodb` package. */

/** Documents of one kind. */
export interface Collection<D> {
  findOne(filter: object): Promise<D | null>
  updateOne(filter: object, update: object, options?: object): Promise<{ matchedCount: number; upsertedCount: number }>
  replaceOne(filter: object, document: object): Promise<object>
}

/** Inserts a document; `false`: there is one of this key already. */
export async function insert<D>(into: Collection<D>, _id: string, fields: object): Promise<boolean> {
  try {
    return (await into.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true })).upsertedCount === 1
  } catch (error) {
    // Two at once, neither of which has found one.
    if ((error as { code?: unknown } | null)?.code === 11_000) return false
    throw error
  }
}
