/**
 * What was verified lately, so that the second sight of a credential costs a look-up and not a MAC or a cipher. Bounded
 * by the size of the texts: two generations of which the older is dropped whole, so that nothing is ever scanned.
 *
 * The text is looked up by V8's hash, which is seeded anew in each process: how long that takes tells a guesser nothing.
 */

/** Characters of credentials that one generation remembers. */
const GENERATION = 2_000_000

/** Remembers a value for each credential that was verified, for as long as it is in use. */
export class Verified<T> {
  #young = new Map<string, T>()
  #old = new Map<string, T>()
  #size = 0

  get(credential: string): T | undefined {
    const found = this.#young.get(credential)
    if (found !== undefined) return found
    const aging = this.#old.get(credential)
    if (aging !== undefined) this.set(credential, aging)
    return aging
  }

  set(credential: string, value: T): void {
    if (this.#size + credential.length > GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    this.#size += credential.length
    this.#young.set(credential, value)
  }
}
