/**
 * What was verified lately, so that the second sight of a credential costs a look-up and not a MAC. Bounded: two
 * generations of which the older is dropped whole, so that nothing is ever scanned.
 *
 * The text is looked up by V8's hash, which is seeded anew in each process: how long that takes tells a guesser nothing.
 */

/** Entries of a generation; with credentials of about a hundred characters, a few megabytes. */
const GENERATION = 10_000

/** Remembers a value for each credential that was verified, for as long as it is in use. */
export class Verified<T> {
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  get(credential: string): T | undefined {
    const found = this.#young.get(credential)
    if (found !== undefined) return found
    const aging = this.#old.get(credential)
    if (aging !== undefined) this.set(credential, aging)
    return aging
  }

  set(credential: string, value: T): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(credential, value)
  }
}
