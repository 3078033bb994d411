/**
 * What was worked out lately of a text, so that its next sight costs a look-up and not a MAC, a cipher or a parser.
 * Bounded by the size of the texts: two generations of which the older is dropped whole, so that nothing is ever scanned.
 *
 * What comes but once is not kept: a text is only noted at its first sight, in a number, and remembered at its second. To
 * keep what never comes back would cost more than to verify it, in work for the garbage collector.
 *
 * A credential is looked up by a number that a few of its characters make, and then compared in full. Whoever finds two
 * with one number makes one of them forgotten early, and no more. What may be alike in many texts but for a letter is looked
 * up by a name that its user gives, and compared in full as well.
 */

/** Characters that one generation remembers. */
const GENERATION = 2_000_000
/** Places for texts that were seen once: a later one takes the place of an earlier. A power of two. */
const NOTED = 8192
/** Characters that make the number of a credential: in what we sign or seal, any few tell it apart. */
const FEW = 8
/** Characters that tell texts apart that may be alike but for a letter. */
const MANY = 1024

interface Entry<T> {
  readonly text: string
  readonly value: T
  readonly size: number
}

/** Remembers a value for each text that came more than once, for as long as it is in use. */
export class Recent<T> {
  #young = new Map<string | number, Entry<T>>()
  #old = new Map<string | number, Entry<T>>()
  #size = 0
  readonly #noted = new Int32Array(NOTED)
  #other = false

  /** The value of `text`, by the name that it was set under. */
  get(text: string, name: string | number = markOf(text, FEW)): T | undefined {
    const found = this.#young.get(name)
    if (found !== undefined && found.text === text) return found.value
    const aging = this.#old.get(name)
    if (aging === undefined || aging.text !== text) return undefined
    this.#keep(name, aging)
    return aging.value
  }

  /** One name has one text, the latest. `size`: characters that are kept, where that is more than the text. */
  set(text: string, value: T, name?: string, size: number = text.length): void {
    const mark = markOf(text, name === undefined ? FEW : MANY)
    const noted = this.#noted
    const one = mark & (NOTED - 1)
    const other = (mark >>> 16) & (NOTED - 1)
    if (noted[one] === mark || noted[other] === mark) this.#keep(name ?? mark, { text, value, size })
    else {
      // Now here, now there: two that share a place and come in turn would otherwise push each other out for ever.
      this.#other = !this.#other
      noted[this.#other ? other : one] = mark
    }
  }

  #keep(name: string | number, entry: Entry<T>): void {
    if (this.#size + entry.size > GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    this.#size += entry.size
    this.#young.set(name, entry)
  }
}

function markOf(text: string, samples: number): number {
  const step = Math.ceil(text.length / samples)
  let mark = text.length
  for (let at = text.length - 1; at >= 0; at -= step) mark = (Math.imul(mark, 31) + text.charCodeAt(at)) | 0
  // Multiplied once more, so that the low bits, which choose the place, depend on all of it.
  return Math.imul(mark ^ (mark >>> 15), 0x2c1b3c6d)
}
