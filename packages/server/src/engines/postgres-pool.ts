/** What the server needs of a pool of `pg`. */

/** Runs one statement, and gives its rows and how many it touched. */
export type Sql = (
  text: string,
  values: readonly unknown[],
) => Promise<{ rows: Record<string, unknown>[]; count: number }>

/** A pool that statements without a time limit can be sent to. */
export interface Pool {
  query(text: string): Promise<unknown>
}
